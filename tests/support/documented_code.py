"""The Python that the docs tell readers to use, as code that tests run."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"


def python_with(page: str, text: str) -> str:
    """The one block of Python in a page of docs/ that has a text in it."""
    blocks = re.findall(
        r"^( *)```python\n(.*?)^\1```$", (DOCS / page).read_text(encoding="utf-8"), re.M | re.S
    )
    (found,) = (block for _, block in blocks if text in block)
    return textwrap.dedent(found)


def run(code: str, **names: object) -> dict[str, Any]:
    """Run a block with these names; return all that it has then."""
    known: dict[str, Any] = dict(names)
    exec(compile(code, "docs", "exec"), known)  # noqa: S102 - our own docs
    return known
