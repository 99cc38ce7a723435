"""docs/errors.md, made of docs/errors.json by `make docs`: each code, in English and in Chinese.

The web page shows the same sentences. tests/ops/test_errors.py compares the file with the code.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ops import ROOT

TEXTS = ROOT / "docs" / "errors.json"
PAGE = ROOT / "docs" / "errors.md"
SOURCES = {
    "function": (
        "From the function",
        "`ErrorCode` of its JSON; Function Compute, and the sandbox in its place, answer some.",
    ),
    "STS": (
        "From STS, passed on by the function",
        "`ErrorCode` of its JSON. All are about what the function asked with its own credentials.",
    ),
    "OSS": (
        "From OSS",
        "`<Code>` of its XML, for an upload or a download. The function passes them on as well, "
        "for what it asks itself (callbacks, `/uploads`): then the operator has to act.",
    ),
    "page": (
        "From the JavaScript client",
        "`code` of the error that it throws where nobody's answer has one.",
    ),
}
"""Where a code comes from (`from`): a heading, and where it stands."""
WHO = {
    "app": "the app",
    "operator": "the operator",
    "user": "the user",
    "network": "the network",
    "cloud": "the cloud",
}
"""Who caused it (`who`), as the page says it."""
_HEAD = """\
# Errors

<!-- made by `make docs` of docs/errors.json: change that -->

Each error code, who caused it, and what to do. The message beside a code says more: which
parameter, which variable. It names the variable that would allow what was refused, with `AUTH=jwt`
only to callers who are logged in; the function's log always has it (`reason`). A code that is not
listed, with a dot and more behind it, is explained at the part before the dot. *Documented*: the
vendor's documentation has this code; the function and the sandbox never answer it.

Programs read the same from [errors.json](errors.json).
"""


def load() -> dict[str, Any]:
    """The rows of docs/errors.json by code."""
    rows: dict[str, Any] = json.loads(TEXTS.read_text(encoding="utf-8"))
    return rows


def page(rows: dict[str, Any]) -> str:
    """The text of docs/errors.md. Raises KeyError for a row that lacks something."""
    return "\n".join([_HEAD, *(line for source in SOURCES for line in _section(source, rows))])


def write() -> bool:
    """Write it; whether it changed."""
    text = page(load())
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
        return False
    PAGE.write_text(text, encoding="utf-8")
    return True


def _section(source: str, rows: dict[str, Any]) -> Iterator[str]:
    heading, where = SOURCES[source]
    yield from (f"## {heading}", "", where, "")
    yield "| code | who caused it | what happened, and what to do | 原因与处理方法 |"
    yield "|---|---|---|---|"
    for code, row in sorted(rows.items()):
        if source in (row["from"], *row.get("also", ())):
            en, zh = row["en"], row["zh"]
            texts = f"{en['what']} {en['do']} | {zh['what']}{zh['do']}".replace("*", "\\*")
            known = f" ([documented]({row['documented']}))" if "documented" in row else ""
            yield f"| `{code}`{known} | {WHO[row['who']]} | {texts} |"
    yield ""
