"""Runs `make doctor` with a shell's environment, and makes programs that replace the real ones."""

from __future__ import annotations

from pathlib import Path

from ops.doctor.checks import examine
from ops.report import Check, table

Env = dict[str, str]
# A secret as `openssl rand -base64 32` makes it.
SECRET = "vMO0gEtCpY0XosgLeggeE1ZfI4MRWhsddphlIBlIArQ="
ANOTHER = "rYLGngLcFFNiCfWak0DWB7gLh+yDlcXu98ZG9DrStYU="


def stand_in(folder: Path, name: str, said: str) -> None:
    """Write a program with this name that only prints this text."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{said}\nEND\n")
    program.chmod(0o755)


def examined(shell: Env, folder: Path) -> dict[str, tuple[str, str]]:
    """The lines of `make doctor` by name. Asserts that no line holds a secret."""
    checks = examine(shell, folder)
    text = table(checks)
    for name, value in shell.items():
        if len(value) > 4 and ("SECRET" in name or "KEY_ID" in name):
            assert value not in text
    return lines_of(checks)


def lines_of(checks: list[Check]) -> dict[str, tuple[str, str]]:
    lines = {check.name: (check.finding.outcome.value, check.finding.detail) for check in checks}
    assert len(lines) == len(checks)
    return lines
