"""Reads the code blocks of the docs, so that tests can run them."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"


def blocks(language: str, page: Path) -> list[str]:
    """The blocks of a language in a page. The language is the word after the block's fence."""
    found = re.findall(
        rf"^( *)```{language}\n(.*?)^\1```$", page.read_text(encoding="utf-8"), re.M | re.S
    )
    return [textwrap.dedent(block) for _, block in found]


def code_with(language: str, page: str, text: str) -> str:
    """The only block that contains `text`, among a language's blocks in a page of docs/."""
    (found,) = (block for block in blocks(language, DOCS / page) if text in block)
    return found


def python_with(page: str, text: str) -> str:
    """The only block of Python in a page of docs/ that contains `text`."""
    return code_with("python", page, text)


def run(code: str, **names: object) -> dict[str, Any]:
    """Run a block with these names; return all names that are defined after it."""
    known: dict[str, Any] = dict(names)
    exec(compile(code, "docs", "exec"), known)  # noqa: S102 - our own docs
    return known
