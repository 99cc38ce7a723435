"""Makes docs/assumptions.md from docs/assumptions.toml (`make docs`)."""

from __future__ import annotations

import json

from ops import ROOT
from ops.conform import register
from ops.conform.exchanges import MAX_CALLS, MAX_SECONDS
from ops.conform.local_cloud import rights
from ops.conform.register import Assumption

PAGE = ROOT / "docs" / "assumptions.md"


def page(assumptions: tuple[Assumption, ...]) -> str:
    """Return the whole page."""
    text = register.introduction()
    said = {
        "{seconds}": str(MAX_SECONDS),
        "{calls}": str(MAX_CALLS),
        "{rights}": json.dumps(
            rights("BUCKET", "uploads/", "acs:ram::ACCOUNT:role/ROLE"), indent=2
        ),
    }
    for name, value in said.items():
        text = text.replace(name, value)
    return text + "".join(f"| {' | '.join(_cells(one))} |\n" for one in assumptions)


def write() -> bool:
    """Write the page, and return whether it changed."""
    text = page(register.load())
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
        return False
    PAGE.write_text(text, encoding="utf-8")
    return True


def _cells(one: Assumption) -> list[str]:
    depends = ", ".join(f"[{path.rpartition('/')[2]}](../{path})" for path in one.depends)
    depends = depends.replace("](../docs/", "](")
    tried = f"`{one.probe}`" if one.probe else f"by hand, since {one.why}: {one.command}"
    plain = [one.claim, one.source, depends, tried]
    cells = [text.replace("|", "\\|").replace("<", "&lt;") for text in plain]
    return [str(one.id), one.service, *cells]
