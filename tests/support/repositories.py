"""Repositories of git, for tests that need one of their own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def git(repository: Path, *arguments: str) -> str:
    """What git prints there. The test is skipped where there is no git."""
    program = shutil.which("git")
    if program is None:
        pytest.skip("no git here")
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    command = [program, "-C", str(repository), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
