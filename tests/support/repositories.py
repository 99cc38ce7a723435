"""Runs git for tests that need their own repository."""

from __future__ import annotations

import subprocess
from pathlib import Path

import needs


def git(repository: Path, *arguments: str) -> str:
    """Run git in a repository; return what it prints. If git is missing, the test is skipped."""
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    command = [needs.program("git"), "-C", str(repository), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
