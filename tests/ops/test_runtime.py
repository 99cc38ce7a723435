"""Tests in which places the tools search for a Python 3.10. Scripts answer in place of a Python."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from ops.package import PackageError
from ops.runtime import Python, find, find_or_this


@pytest.fixture(autouse=True)
def nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide all Pythons of this machine, so that the tools find only the Pythons of a test."""
    other = program(tmp_path / "other" / "python", "cpython-311 3.11.7 /opt/python3.11")
    monkeypatch.setattr(sys, "executable", str(other))
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path / "first"), str(tmp_path / "bin")]))
    for name in ("RUNTIME_PYTHON", "PYENV_ROOT"):
        monkeypatch.delenv(name, raising=False)


def program(path: Path, says: str, status: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\nexit {status}\n")
    path.chmod(0o755)
    return path


def answering(path: str) -> str:
    return f"cpython-310 3.10.13 {path}"


def test_it_is_known_by_its_own_path_spaces_included(tmp_path: Path) -> None:
    """The package is run without a PATH, so the tools must return the absolute path of the
    Python."""
    program(tmp_path / "bin" / "python3.10", answering("/opt/python 3.10/bin/python3.10"))
    assert find() == Python("/opt/python 3.10/bin/python3.10", "3.10.13", "cpython-310")


def test_a_shim_that_fails_is_passed_over(tmp_path: Path) -> None:
    program(tmp_path / "first" / "python3.10", "pyenv: python3.10: command not found", 127)
    program(tmp_path / "bin" / "python3.10", answering("/opt/a"))
    found = find()
    assert found is not None
    assert found.path == "/opt/a"


@pytest.mark.parametrize(
    "says",
    ["cpython-312 3.12.1 /opt/a", "pypy310 3.10.14 /opt/a", "", "cpython-310", "3.10 /opt/a"],
)
def test_what_only_has_its_name_is_passed_over(tmp_path: Path, says: str) -> None:
    program(tmp_path / "bin" / "python3.10", says)
    assert find() is None


def test_what_the_system_cannot_run_is_passed_over(tmp_path: Path) -> None:
    path = program(tmp_path / "bin" / "python3.10", "")
    path.write_bytes(b"\x7fELF, of another machine")
    assert find() is None


def test_pyenvs_versions_are_found_without_being_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "pyenv"
    program(root / "versions" / "3.10.13" / "bin" / "python3.10", answering("/opt/a"))
    program(root / "versions" / "3.1.0" / "bin" / "python3.10", answering("/opt/other"))
    monkeypatch.setenv("PYENV_ROOT", str(root))
    found = find()
    assert found is not None
    assert found.path == "/opt/a"
    monkeypatch.delenv("PYENV_ROOT")
    assert find() is None
    program(tmp_path / "bin" / "pyenv", str(root))
    assert find() == found


def test_uvs_version_is_found(tmp_path: Path) -> None:
    path = program(tmp_path / "uv" / "cpython-3.10" / "python", answering("/opt/a"))
    program(tmp_path / "bin" / "uv", str(path))
    found = find()
    assert found is not None
    assert found.path == "/opt/a"
    program(tmp_path / "bin" / "uv", "error: No interpreter found for Python 3.10", 2)
    assert find() is None


def test_this_python_is_the_first(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "python3.10", answering("/opt/b"))
    program(Path(sys.executable), answering("/opt/a"))
    found = find()
    assert found is not None
    assert found.path == "/opt/a"


def test_runtime_python_is_the_only_one_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "bin" / "python3.10", answering("/opt/a"))
    named = program(tmp_path / "mine", answering("/opt/mine"))
    monkeypatch.setenv("RUNTIME_PYTHON", str(named))
    found = find()
    assert found is not None
    assert found.path == "/opt/mine"


@pytest.mark.parametrize(
    ("says", "fault"),
    [("cpython-312 3.12.1 /opt/a", "is cpython-312 3.12.1"), ("", "does not run")],
)
def test_a_runtime_python_that_is_none_is_refused_and_says_what_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, fault: str
) -> None:
    program(tmp_path / "bin" / "python3.10", answering("/opt/a"))
    monkeypatch.setenv("RUNTIME_PYTHON", str(program(tmp_path / "mine", says)))
    with pytest.raises(PackageError, match=f"mine {fault}; must be the path of a CPython 3.10"):
        find()


def test_without_one_it_is_this_python() -> None:
    version = "{}.{}.{}".format(*sys.version_info)
    assert find_or_this() == Python(sys.executable, version, sys.implementation.cache_tag)
