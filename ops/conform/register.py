"""Reads docs/assumptions.toml: each assumption about the cloud, and how it is tested."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any, NamedTuple

from ops import ROOT

FILE = ROOT / "docs" / "assumptions.toml"
SERVICES = ("OSS", "STS", "RAM", "FC", "ROS")


class Assumption(NamedTuple):
    """One assumption. `id` is 1 or more, and is never reused.

    `depends` are files of the project that mention the assumption. An assumption has either `probe`
    or both `why` and `command`. `probe` is the name of a function of probes.py. `why` is the reason
    why no call can test the assumption. `command` is what an operator does to see the answer.
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
    """Read the register, in order. Raises TypeError for a member that is missing or unknown."""
    entries: list[dict[str, Any]] = _read()["assumption"]
    return tuple(Assumption(**{**one, "depends": tuple(one["depends"])}) for one in entries)


def introduction() -> str:
    """Return the beginning of docs/assumptions.md, with placeholders {seconds}, {calls},
    {rights}."""
    text: str = _read()["introduction"]
    return text


def _read() -> dict[str, Any]:
    # Python 3.10 has no tomllib. There, tomli is installed, because pytest and mypy need it.
    toml = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    read: dict[str, Any] = toml.loads(FILE.read_text(encoding="utf-8"))
    return read
