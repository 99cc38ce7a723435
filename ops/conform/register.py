"""docs/assumptions.toml -> Assumption: what is believed of the cloud, and how it is tried."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any, NamedTuple

from ops import ROOT

FILE = ROOT / "docs" / "assumptions.toml"
SERVICES = ("OSS", "STS", "RAM", "FC", "ROS")


class Assumption(NamedTuple):
    """One belief. `id` is 1 and more, and is never given to another.

    `depends` are files of the project whose text names it. Either `probe` is there, the name of a
    function of probes.py; or `why`, for which reason no call can show it, and `command`, what an
    operator does to see it.
    """

    id: int
    service: str
    claim: str
    source: str
    depends: tuple[str, ...]
    probe: str = ""
    why: str = ""
    command: str = ""


def load() -> tuple[Assumption, ...]:
    """Read the register, in its order. Raises TypeError for a member that is missing or unknown."""
    entries: list[dict[str, Any]] = _read()["assumption"]
    return tuple(Assumption(**{**one, "depends": tuple(one["depends"])}) for one in entries)


def introduction() -> str:
    """What docs/assumptions.md begins with; {seconds}, {calls} and {rights} are left open in it."""
    text: str = _read()["introduction"]
    return text


def _read() -> dict[str, Any]:
    # Python 3.10 has none of its own; pytest and mypy bring it there.
    toml = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    read: dict[str, Any] = toml.loads(FILE.read_text(encoding="utf-8"))
    return read
