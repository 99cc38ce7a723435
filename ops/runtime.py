"""Finds the Python of the runtime, CPython 3.10, on this machine: `find()`.

It is what compiles the package, and what tries and measures it as it is deployed. Its last number
does not matter: byte code has one magic number from 3.10b1 on through all of 3.10, 3439 (CPython
3.10, Lib/importlib/_bootstrap_external.py, the list above MAGIC_NUMBER).
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
"""What CPython puts into the name of a file of byte code: index.cpython-310.pyc."""

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
    """Absolute: what is served sees no PATH."""
    version: str
    """Like "3.10.13"."""
    tag: str
    """Like "cpython-310"."""

    @property
    def is_runtime(self) -> bool:
        """Is it the runtime's, whatever its last number?"""
        return self.tag == TAG


def find() -> Python | None:
    """A Python 3.10 that runs; None where there is none.

    RUNTIME_PYTHON, a path or a command, is the only one asked where it is set: PackageError if it
    does not run or is another version. Else this Python, python3.10 on the PATH, pyenv's versions
    and uv's are tried in this order.
    """
    named = os.environ.get("RUNTIME_PYTHON")
    if named:
        found = _ask(named)
        if found is None or not found.is_runtime:
            what = f"is {found.tag} {found.version}" if found else "does not run"
            raise PackageError(
                f"RUNTIME_PYTHON={named} {what}; accepted is a CPython {RUNTIME}, by its path or "
                "as a command on the PATH. Without RUNTIME_PYTHON one is looked for"
            )
        return found
    return next((found for each in _places() if (found := _ask(each)) and found.is_runtime), None)


def this() -> Python:
    """The Python that runs this."""
    version = "{}.{}.{}".format(*sys.version_info)
    return Python(sys.executable, version, sys.implementation.cache_tag)


def find_or_this() -> Python:
    """As `find()`; this Python, whatever it is, where there is no 3.10."""
    return find() or this()


def _places() -> Iterator[str]:
    yield sys.executable
    # All of them: the first may be a shim of pyenv's, which fails where pyenv has chosen another.
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
    """What a command prints; "" where it is not there or fails."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", check=False
        )
    except OSError:
        # Of another machine, or a text that nothing runs.
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
