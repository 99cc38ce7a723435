"""`python -m ops.reference` (make docs): makes the generated pages and files.

It makes docs/configuration.md and docs/zh/configuration.md from the catalogue
(settings/variables.py) and the descriptions (docs/variables.toml). It also makes
docs/assumptions.md from its register (conform/page.py), docs/errors.md and its Chinese page
(errors_page.py), the tables of docs/sizing.md (sizing.py), and policies/ready.json
(policies_ready.py). tests/ops/test_reference.py fails if one of these files is out of date.
"""

from __future__ import annotations

import posixpath
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any, NamedTuple

from ops import ROOT, errors_page, policies_ready, sizing
from ops.conform import page as assumptions
from token_service.settings.parsing import Refused, Variable, Whole
from token_service.settings.variables import VARIABLES

TEXTS = ROOT / "docs" / "variables.toml"
PAGE = ROOT / "docs" / "configuration.md"
PAGE_ZH = ROOT / "docs" / "zh" / "configuration.md"

_MADE = (
    "<!-- made by `make docs` from settings/variables.py and docs/variables.toml: change those -->"
)
_HEADS = {
    "en": ("# Configuration", ("variable", "meaning", "accepts", "default", "example")),
    "zh": ("# 配置", ("变量", "含义", "可接受的值", "默认值", "示例")),
}
_PARTS = {
    "en": ("What most deployments set", "All others"),
    "zh": ("多数部署需要设置", "其他变量"),
}


class Texts(NamedTuple):
    """The description of a variable: one line in English, one line in Chinese, and a valid value.
    If `accepts`, `default_en` or `default_zh` is "", the page makes this text from the function's
    own definition of the variable."""

    en: str
    zh: str
    example: str
    accepts_zh: str
    accepts: str = ""
    default_en: str = ""
    default_zh: str = ""


class Introductions(NamedTuple):
    """The text at the beginning of each page."""

    en: str
    zh: str


def main() -> int:
    """Write all pages and files, and print which of them changed."""
    texts, introductions = load()
    for path, language in ((PAGE, "en"), (PAGE_ZH, "zh")):
        text = page(texts, introductions, language)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"{path.relative_to(ROOT)} has changed")
    for made in (assumptions, errors_page, policies_ready, sizing):
        if made.write():
            print(f"{made.PAGE.relative_to(ROOT)} has changed")
    return 0


def load() -> tuple[dict[str, Texts], Introductions]:
    """Read docs/variables.toml: the descriptions by variable, and the beginning of each page.

    Raises TypeError for a key that is missing or unknown.
    """
    # Python 3.10 has no tomllib; pytest and mypy install tomli there.
    toml = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    read: dict[str, Any] = toml.loads(TEXTS.read_text(encoding="utf-8"))
    begin = Introductions(read.pop("introduction"), read.pop("introduction_zh"))
    return {name: Texts(**fields) for name, fields in read.items()}, begin


def page(texts: Mapping[str, Texts], introductions: Introductions, language: str = "en") -> str:
    """Return the text of the page, with the variables that most deployments set first. Raises
    KeyError for a variable without texts."""
    chinese = language == "zh"
    heading, head = _HEADS[language]
    begin = (introductions.zh if chinese else introductions.en).strip()
    lines = [heading, "", _MADE, "", begin, ""]
    for title, first in zip(_PARTS[language], (True, False), strict=True):
        rows = (_row(each, texts, language) for each in VARIABLES if each.first is first)
        lines += [f"## {title}", "", *_table(head, rows), ""]
    text = "\n".join(lines)
    return _from_zh(text) if chinese else text


def _row(variable: Variable, texts: Mapping[str, Texts], language: str) -> tuple[str, ...]:
    said = texts[variable.name]
    return (
        f"`{variable.name}`{'<br>*secret*' * variable.secret}",
        said.zh if language == "zh" else said.en,
        said.accepts_zh if language == "zh" else accepts(variable, said),
        _default(variable, said, language),
        f"`{said.example}`",
    )


def accepts(variable: Variable, texts: Texts) -> str:
    """Return what a variable accepts. This is the text `accepts`. If `accepts` is "", the words of
    the parser's error message are used.

    Raises ValueError if `accepts` is "" and the parser accepts any text.
    """
    if texts.accepts:
        return texts.accepts
    if isinstance(variable.parse, Whole):
        return str(variable.parse)
    try:
        variable.parse("\0")
    except Refused as refused:
        text = str(refused).removeprefix("must be ")
        # These characters are escaped, because Markdown would interpret them.
        return text.replace("<", "&lt;").replace("*", "\\*")
    raise ValueError(f"docs/variables.toml must say what {variable.name} accepts")


def _default(variable: Variable, texts: Texts, language: str) -> str:
    own = f"`{variable.default}`" if variable.default else ""
    more = texts.default_zh if language == "zh" else texts.default_en
    if more.startswith("("):
        return f"{own} {more}"
    if more.startswith("\N{FULLWIDTH LEFT PARENTHESIS}"):
        return own + more
    between = "\N{FULLWIDTH SEMICOLON}" if language == "zh" else "; "
    return between.join(filter(None, (own, more)))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    for row in (head, ("---",) * len(head), *rows):
        cells = (cell.replace("|", "\\|") for cell in row)
        yield "| " + " | ".join(cells) + " |" if row[0] != "---" else "|" + "---|" * len(head)


def _from_zh(text: str) -> str:
    """Return the text with its relative links changed, because the Chinese page is in docs/zh."""

    def link(found: re.Match[str]) -> str:
        path, hash_sign, anchor = found[1].partition("#")
        target = posixpath.relpath(posixpath.join("docs", path), "docs/zh")
        return f"]({target}{hash_sign}{anchor})"

    return re.sub(r"\]\(([^):#][^):]*)\)", link, text)


if __name__ == "__main__":
    sys.exit(main())
