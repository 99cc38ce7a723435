"""`python -m ops.reference` (make docs): the page of the function's variables, and its like.

docs/configuration.md is made of the catalogue (settings/variables.py) and of what a person reads
(docs/variables.toml). Also docs/assumptions.md, of its register (conform/page.py), docs/errors.md
(errors_page.py), the tables of docs/sizing.md (sizing.py), and policies/ready.json
(policies_ready.py).
tests/ops/test_reference.py goes red where they were not made again.
"""

from __future__ import annotations

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

_HEAD = """\
# Configuration

<!-- made by `make docs` of settings/variables.py and docs/variables.toml: change those -->
"""


_FIRST = "What most deployments set / 多数部署需要设置"
_OTHERS = "All others / 其他变量"
_COLUMNS = ("variable", "meaning", "accepts", "default", "example")


class Texts(NamedTuple):
    """What a person reads about one variable: one line in English, one in Chinese, a sound value.
    `accepts` and `default_en` are "" where the catalogue says it."""

    en: str
    zh: str
    example: str
    accepts: str = ""
    default_en: str = ""


def main() -> int:
    """Write all of them, and say which one changed."""
    text = page(*load())
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        PAGE.write_text(text, encoding="utf-8")
        print(f"{PAGE.relative_to(ROOT)} is new")
    for made in (assumptions, errors_page, policies_ready, sizing):
        if made.write():
            print(f"{made.PAGE.relative_to(ROOT)} is new")
    return 0


def load() -> tuple[dict[str, Texts], str]:
    """Read docs/variables.toml: the texts by variable, and what the page begins with.

    Raises TypeError for a key that is missing or unknown.
    """
    # Python 3.10 has none of its own; pytest and mypy bring it there.
    toml = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    read: dict[str, Any] = toml.loads(TEXTS.read_text(encoding="utf-8"))
    introduction: str = read.pop("introduction").strip() + "\n"
    return {name: Texts(**fields) for name, fields in read.items()}, introduction


def page(texts: Mapping[str, Texts], introduction: str) -> str:
    """The text of docs/configuration.md: first the variables that most deployments set. Raises
    KeyError for a variable without texts."""
    lines = [_HEAD, introduction]
    for title, first in ((_FIRST, True), (_OTHERS, False)):
        rows = (_row(variable, texts) for variable in VARIABLES if variable.first is first)
        lines += [f"## {title}\n", *_table(_COLUMNS, rows), ""]
    return "\n".join(lines)


def _row(variable: Variable, texts: Mapping[str, Texts]) -> tuple[str, ...]:
    text = texts[variable.name]
    return (
        f"`{variable.name}`{'<br>*secret*' * variable.secret}",
        f"{text.en}<br>{text.zh}",
        accepts(variable, text),
        _default(variable, text),
        f"`{text.example}`",
    )


def accepts(variable: Variable, texts: Texts) -> str:
    """What a variable accepts: what its parser says of a text that nothing accepts, else `accepts`.

    Raises ValueError for a parser that takes it, where the texts say nothing either.
    """
    if texts.accepts:
        return texts.accepts
    if isinstance(variable.parse, Whole):
        return str(variable.parse)
    try:
        variable.parse("\0")
    except Refused as refused:
        text = str(refused).removeprefix("must be ")
        # Markdown would take them for its own.
        return text.replace("<", "&lt;").replace("*", "\\*")
    raise ValueError(f"docs/variables.toml must say what {variable.name} accepts")


def _default(variable: Variable, texts: Texts) -> str:
    own = f"`{variable.default}`" if variable.default else ""
    between = " " if texts.default_en.startswith("(") else "; "
    return between.join(filter(None, (own, texts.default_en)))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    for row in (head, ("---",) * len(head), *rows):
        cells = (cell.replace("|", "\\|") for cell in row)
        yield "| " + " | ".join(cells) + " |" if row[0] != "---" else "|" + "---|" * len(head)


if __name__ == "__main__":
    sys.exit(main())
