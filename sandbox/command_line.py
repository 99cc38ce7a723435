"""Finds out which variables were set on make's own command line, and not in its environment.

make exports variables of both origins in the same way. make's function $(origin) distinguishes the
two origins, but it reports "command line" also for variables from MAKEFLAGS. Therefore the
arguments of make's process are checked as well. Only names are read here, because the values come
through the environment.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

OWN_VARIABLES = (
    *("BUILD_PAGE", "CALLER", "CLOUD", "HOST", "LAN", "NO_COLOR", "PORT", "PUBLIC_ENDPOINT"),
    *("SANDBOX_DIR", "SIGNATURE_V1"),
)
"""The variables of `make run` and `make token` that are not variables of the function. HOST is here
because lan.py refuses it with a message of its own."""


def given_to_make(names: Iterable[str], make_pid: int) -> frozenset[str]:
    """Return each of the `names` that make got as an argument. `names` are the variables for which
    $(origin) reports "command line".

    Raises OSError if the arguments of the process `make_pid` cannot be read.
    """
    named = set(names)
    if not named:
        return frozenset()
    return frozenset(named & {_assigned(argument) for argument in _arguments(make_pid)})


def _assigned(argument: str) -> str:
    """The name in NAME=value, or in another form of assignment that make accepts; else ""."""
    found = re.match(r"([A-Za-z_][A-Za-z0-9_]*)\s*(?:[+!?]|:{0,3})=", argument)
    return found[1] if found else ""


def _arguments(pid: int) -> list[str]:
    process = Path(f"/proc/{pid}/cmdline")
    if process.exists():
        return process.read_bytes().decode("utf-8", "replace").split("\0")
    # macOS has no /proc, so the command is split at spaces. A part of a value may then look like an
    # assignment. Such a part does no harm, because only names for which $(origin) of make reports
    # "command line" are looked up.
    command = ["ps", "-ww", "-o", "args=", "-p", str(pid)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        raise ProcessLookupError(f"there is no process {pid}")
    return done.stdout.decode("utf-8", "replace").split()
