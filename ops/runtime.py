"""Finds the Python of the runtime, CPython 3.10, on this machine: `find()`.

This Python compiles the package, and tests and measures it as it is deployed. The last part of its
version does not matter: byte code of all 3.10 since 3.10b1 has the same magic number, 3439.
(Source: CPython 3.10, Lib/importlib/_bootstrap_external.py, the list above MAGIC_NUMBER.)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ops.package import RUNTIME, PackageError

TAG = f"cpython-{RUNTIME.replace('.', '')}"
"""CPython puts this into the names of byte code files: index.cpython-310.pyc."""

HOW_TO_GET_ONE = (
    f"get one by `uv python install {RUNTIME}` or `pyenv install {RUNTIME}`, "
    "or name one in RUNTIME_PYTHON"
)

_NAME = f"python{RUNTIME}"
_ASK = (
    "import sys; print(sys.implementation.cache_tag, '%d.%d.%d' % sys.version_info[:3], "
    "sys.executable)"
)


class Python(NamedTuple):
    """A Python that runs."""

    path: str
    """The absolute path, since a served package has no PATH."""
    version: str
    """Like "3.10.13"."""
    tag: str
    """Like "cpython-310"."""

    @property
    def is_runtime(self) -> bool:
        """Whether it is the runtime's version; the last number does not matter."""
        return self.tag == TAG


def find() -> Python | None:
    """Return a Python 3.10 that runs, or None.

    If RUNTIME_PYTHON (a path or a command) is set, only that one is tried; PackageError if it does
    not run or is another version. Otherwise this Python, python3.10 on the PATH, and the versions
    of pyenv and uv are tried in this order.
    """
    named = os.environ.get("RUNTIME_PYTHON")
    if named:
        found = _ask(named)
        if found is None or not found.is_runtime:
            what = f"is {found.tag} {found.version}" if found else "does not run"
            raise PackageError(
                f"RUNTIME_PYTHON={named} {what}; must be a CPython {RUNTIME}, by its path or "
                "as a command on the PATH. Without RUNTIME_PYTHON, make looks for one"
            )
        return found
    return next((found for each in _places() if (found := _ask(each)) and found.is_runtime), None)


def this() -> Python:
    """Return the Python that runs this."""
    version = "{}.{}.{}".format(*sys.version_info)
    return Python(sys.executable, version, sys.implementation.cache_tag)


def find_or_this() -> Python:
    """Return `find()`, or this Python, of any version, if there is no 3.10."""
    return find() or this()


def _places() -> Iterator[str]:
    yield sys.executable
    # All of them, because the first may be a shim of pyenv, which fails if pyenv uses another.
    for folder in os.get_exec_path():
        yield str(Path(folder) / _NAME)
    root = os.environ.get("PYENV_ROOT") or _printed("pyenv", "root")
    if root:
        for each in sorted(Path(root).glob(f"versions/{RUNTIME}*/bin/{_NAME}")):
            yield str(each)
    if path := _printed("uv", "python", "find", RUNTIME):
        yield path


def _ask(name: str) -> Python | None:
    said = _printed(name, "-I", "-c", _ASK).split(maxsplit=2)
    if len(said) != 3:
        return None
    tag, version, path = said
    return Python(path, version, tag)


def _printed(*command: str) -> str:
    """Return what a command prints; "" if it is missing or fails."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", check=False
        )
    except OSError:
        # It is for another machine, or not a program.
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
