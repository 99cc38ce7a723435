"""Imports of packages without what they load and we never use: half of a cold start."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def stand_ins(members: Mapping[str, Mapping[str, object] | None]) -> Iterator[None]:
    """Let modules of these names, with these members, stand in while something is imported; None:
    the module is not found. What is loaded already stays; afterwards the stand-ins are gone."""
    placed: dict[str, ModuleType | None] = {}
    for name, content in members.items():
        if name not in sys.modules:
            placed[name] = None if content is None else ModuleType(name)
            vars(placed[name]).update(content) if content else None
    sys.modules.update(placed)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in placed:
            del sys.modules[name]
