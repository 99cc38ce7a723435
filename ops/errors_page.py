"""Writes docs/errors.md and docs/zh/errors.md from errors.json and errors_page.json (`make docs`).

errors.json has a row for each code. The web page shows the members `what` and `do` of the row.
errors_page.json has the symptoms that a person sees first (`symptoms`, each with its codes).
errors_page.json also has the other texts of both pages. tests/ops/test_errors.py compares both
files with the code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ops import ROOT

TEXTS = ROOT / "docs" / "errors.json"
WORDS = ROOT / "docs" / "errors_page.json"
PAGE = ROOT / "docs" / "errors.md"
PAGES = {"en": PAGE, "zh": ROOT / "docs" / "zh" / "errors.md"}
"""The page of each language."""
PARTS = ("what", "look", "do", "mended")
"""The names of the texts that each row of errors.json has in each language."""
WHO = ("app", "operator", "user", "network", "cloud")
"""Who can cause an error: the values that the member `who` may have."""
LOGS = ("function", "bucket", "none")
"""Where an operator finds the code (the member `log`): in the function's log, in the bucket's own
log, or in no log."""
SOURCES = ("function", "STS", "OSS", "page")
"""Where an error code comes from (the member `from`). "page" is the web page."""
FAMILIES = frozenset({"InvalidParameter"})
"""An answer adds a dot and a name to these codes, for example `InvalidParameter.Object`."""


def load() -> dict[str, Any]:
    """Return the rows of docs/errors.json, by error code."""
    rows: dict[str, Any] = json.loads(TEXTS.read_text(encoding="utf-8"))
    return rows


def load_words() -> dict[str, Any]:
    """Return docs/errors_page.json: the symptoms, and the words of each page by language."""
    words: dict[str, Any] = json.loads(WORDS.read_text(encoding="utf-8"))
    return words


def query(code: str) -> str:
    """Return the query that finds a code in the function's log."""
    return f"{code}{'*' * (code in FAMILIES)} and error"


def anchor(code: str) -> str:
    """Return the anchor that GitHub makes for the heading of a code."""
    return re.sub(r"[^\w-]", "", code.lower())


def page(rows: dict[str, Any], words: dict[str, Any], language: str = "en") -> str:
    """Return the text of the page. Raises KeyError for a row that lacks a member."""
    own = words[language]
    lines = [*own["head"], "", *own["symptoms"]]
    for row in words["symptoms"]:
        links = [f"[`{code}`](#{anchor(code)})" for code in row["codes"]]
        links += filter(None, [row[language].get("go")])
        cells = (row[language]["seen"], row[language]["means"], own["comma"].join(links))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    lines.append("")
    for source in SOURCES:
        lines += _section(source, rows, own, language)
    return "\n".join(lines)


def write() -> bool:
    """Write both pages; return whether one changed."""
    rows, words, changed = load(), load_words(), False
    for language, path in PAGES.items():
        text = page(rows, words, language)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            changed = True
    return changed


def _section(
    source: str, rows: dict[str, Any], own: dict[str, Any], language: str
) -> Iterator[str]:
    heading, where = own["sources"][source]
    yield from (f"## {heading}", "", where, "")
    for code, row in sorted(rows.items()):
        if row["from"] == source:
            yield from (f"### {code}", "", row[language]["what"], "")
            yield from _lines(code, row, own, row[language])
            yield ""


def _lines(
    code: str, row: dict[str, Any], own: dict[str, Any], texts: dict[str, str]
) -> Iterator[str]:
    labels = {name: f"- **{label}**{own['colon']}" for name, label in own["labels"].items()}
    yield labels["who"] + own["who"][row["who"]]
    yield labels["look"] + texts["look"]
    if asked := own["logs"][row["log"]].format(code=code, query=query(code)):
        yield labels["log"] + asked
    yield labels["do"] + texts["do"].replace("*", "\\*")
    yield labels["mended"] + texts["mended"]
    if others := row.get("also"):
        names = own["comma"].join(own["sources"][source][0] for source in others)
        yield labels["also"] + names
    if "documented" in row:
        yield f"{labels['documented']}<{row['documented']}>"
