"""Imports packages without their unused modules, which would take half of a cold start."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def stand_ins(members: Mapping[str, Mapping[str, object] | None]) -> Iterator[None]:
    """Put stand-ins with these names and members in place during an import. If the members are
    None, the import of that name fails. Loaded modules stay. Stand-ins are removed afterwards."""
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
