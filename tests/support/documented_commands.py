"""Finds the blocks of commands in README.md and docs/, and runs them as a reader does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import needs
from documented_code import blocks, code_with
from running_sandbox import ROOT, Sandbox, environment

README = "README.md"
# Files that a command makes, or that are not part of a checkout.
_LEFT_OUT = shutil.ignore_patterns(
    ".*_cache", ".env", ".git", ".sandbox", ".venv", "__pycache__", "build", "dist", "node_modules"
)
# This make installs no packages and builds no page, so no test has to wait for that.
_MAKE = """
make() {{ command make -f '{file}' "$@" READY= BUILD_PAGE=no BIN='{bin}'; }}
"""


def pages() -> list[str]:
    """The paths of the English pages, from the root. Other tests check the Chinese pages."""
    docs = sorted(path for path in ROOT.glob("docs/**/*.md") if "zh" not in path.parts)
    return [README, *(path.relative_to(ROOT).as_posix() for path in docs)]


def all_blocks() -> Iterator[tuple[str, str]]:
    """Each block of commands, with the page that it is in."""
    for page in pages():
        for block in blocks("sh", ROOT / page):
            yield page, block


def block_with(page: str, text: str) -> str:
    """The only block of commands that contains `text`. `page` is a path from the root."""
    return code_with("sh", f"../{page}", text)


def in_shell(
    commands: str, folder: Path, variables: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run commands in a folder, without the developer's own variables in the environment."""
    if "curl" in commands:
        needs.program("curl")
    file = next(at / "Makefile" for at in (folder, ROOT) if (at / "Makefile").exists())
    make = _MAKE.format(file=file, bin=Path(sys.executable).parent)
    return subprocess.run(
        ["sh", "-c", make + commands.replace(".venv/bin/python", sys.executable)],  # noqa: S607
        cwd=folder,
        env={**environment(folder / ".sandbox"), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )


def beside(sandbox: Sandbox, commands: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run commands like in_shell(), but replace the ports of the pages by those of `sandbox`."""
    for offset in (0, 1, 2):
        commands = commands.replace(str(7080 + offset), str(sandbox.port + offset))
    return in_shell(commands, folder, {})


def checkout(folder: Path) -> Path:
    """A copy of the checkout, in which commands may write. No link leads out of the copy, so a
    command can only remove files of the copy."""
    made = folder / "checkout"
    shutil.copytree(ROOT, made, ignore=_LEFT_OUT, symlinks=True)
    return made


def in_checkout(
    commands: str, made: Path, variables: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run commands in the copy, with the copy's modules. pip uses the developer's index."""
    path = f"{made}{os.pathsep}{made / 'functions' / 'sts_token'}"
    of_pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    more = {"PYTHONPATH": path, "HOME": str(made), **of_pip, **variables}
    return in_shell(commands, made, more)
