"""`python -m ops.reference` (make docs): the tables of the function's variables.

Made of the catalogue (settings/variables.py) and of what a person reads (docs/variables.toml):
docs/configuration.md whole, and in README.md what stands between the two markers. Also
docs/assumptions.md, of its register (conform/page.py), docs/errors.md (errors_page.py), the tables
of docs/sizing.md (sizing.py), and policies/ready.json (policies_ready.py).
tests/ops/test_reference.py goes red where they were not made again.
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
README = ROOT / "README.md"
PAGE = ROOT / "docs" / "configuration.md"
BEGIN = "<!-- made by `make docs` of docs/variables.toml -->"
END = "<!-- until here -->"

_HEAD = """\
# Configuration

<!-- made by `make docs` of settings/variables.py and docs/variables.toml: change those -->
"""


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
    texts, introduction = load()
    readme = README.read_text(encoding="utf-8")
    for path, text in ((PAGE, page(texts, introduction)), (README, with_table(readme, texts))):
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"{path.relative_to(ROOT)} is new")
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
    """The text of docs/configuration.md. Raises KeyError for a variable without texts."""
    rows = (
        (
            f"`{variable.name}`{'<br>*secret*' * variable.secret}",
            f"{texts[variable.name].en}<br>{texts[variable.name].zh}",
            accepts(variable, texts[variable.name]),
            _default(variable, texts[variable.name]),
            f"`{texts[variable.name].example}`",
        )
        for variable in VARIABLES
    )
    head = ("variable", "meaning", "accepts", "default", "example")
    return "\n".join([_HEAD, introduction, *_table(head, rows), ""])


def with_table(readme: str, texts: Mapping[str, Texts]) -> str:
    """README's text with its table: what is `first`. Raises ValueError without the markers."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"README.md must have the lines {BEGIN} and {END}")
    rows = (
        (
            f"`{variable.name}`",
            _from_readme(texts[variable.name].en),
            _from_readme(_default(variable, texts[variable.name])),
        )
        for variable in VARIABLES
        if variable.first
    )
    table = "\n".join(_table(("variable", "meaning", "default"), rows))
    return f"{before}{begin}\n\n{table}\n\n{end}{after}"


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


def _from_readme(text: str) -> str:
    """With links from the root instead of from docs/."""

    def link(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join("docs", found[1]))
        return f"]({target.removeprefix('README.md')})"

    return re.sub(r"\]\(([^):#][^):]*)\)", link, text)


if __name__ == "__main__":
    sys.exit(main())
