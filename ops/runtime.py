"""Finds the Python of the runtime, CPython 3.10, on this machine: `find()`.

The package is compiled, tested and measured with this Python, as it is deployed. The last part of
its version does not matter, because the byte code of all 3.10 versions since 3.10b1 has the same
magic number, 3439. (Source: CPython 3.10, Lib/importlib/_bootstrap_external.py, the list above
MAGIC_NUMBER.)
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
"""CPython puts this tag into the names of byte code files, like index.cpython-310.pyc."""

HOW_TO_GET_ONE = (
    f"get one by `uv python install {RUNTIME}` or `pyenv install {RUNTIME}`, "
    "or set RUNTIME_PYTHON to its path"
)

_NAME = f"python{RUNTIME}"
_ASK = (
    "import sys; print(sys.implementation.cache_tag, '%d.%d.%d' % sys.version_info[:3], "
    "sys.executable)"
)


class Python(NamedTuple):
    """A Python that can be started."""

    path: str
    """The absolute path. A package is run without the variable PATH, so a name alone would not be
    found."""
    version: str
    """The version, like "3.10.13"."""
    tag: str
    """The tag of its byte code files, like "cpython-310"."""

    @property
    def is_runtime(self) -> bool:
        """Whether this is the runtime's version. The last number of the version does not matter."""
        return self.tag == TAG


def find() -> Python | None:
    """Return a Python 3.10 that can be started, or None.

    If RUNTIME_PYTHON (a path or a command) is set, only this Python is tried. Raises PackageError
    if this Python does not run or has another version. If RUNTIME_PYTHON is not set, the order is:
    the Python that runs this code, python3.10 on the PATH, the versions of pyenv, the versions of
    uv.
    """
    named = os.environ.get("RUNTIME_PYTHON")
    if named:
        found = _ask(named)
        if found is None or not found.is_runtime:
            what = f"is {found.tag} {found.version}" if found else "does not run"
            raise PackageError(
                f"RUNTIME_PYTHON={named} {what}; must be the path of a CPython {RUNTIME}, or a "
                "command on the PATH. If it is not set, make looks for one"
            )
        return found
    return next((found for each in _places() if (found := _ask(each)) and found.is_runtime), None)


def this() -> Python:
    """Return the Python that runs this code."""
    version = "{}.{}.{}".format(*sys.version_info)
    return Python(sys.executable, version, sys.implementation.cache_tag)


def find_or_this() -> Python:
    """Return a Python 3.10. If there is none, return the Python that runs this code."""
    return find() or this()


def _places() -> Iterator[str]:
    yield sys.executable
    # Try every folder of the PATH. The first python3.10 may be a shim of pyenv, which fails if
    # pyenv uses another version.
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
    """Return the output of a command, or "" if the command is missing or fails."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", check=False
        )
    except OSError:
        # The file is for another kind of machine, or is not a program.
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
