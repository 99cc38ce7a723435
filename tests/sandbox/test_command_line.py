"""The sandbox treats variables on make's command line differently from variables in make's
environment (finding A1). The tests use the real Makefile and the real make."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import needs
from running_sandbox import ROOT, make
from sandbox import command_line
from sandbox.command_line import given_to_make

PROBE = """
import json, os, sys
sys.path.insert(0, {root!r})
from sandbox.command_line import given_to_make
_, _, command, given, make, pid = sys.argv[1:]
assert (given[:8], make) == ("--given=", "--make")
names = given[8:].split()
print(json.dumps({{
    "make": sorted(names),
    "given": sorted(given_to_make(names, int(pid))),
    "values": dict(os.environ),
}}))
"""
VALUES = {
    "CALLER": 'it\'s a "b" `id` ; echo $$HOME \\ #x',
    "JWT_ISSUER": "--make 1 STS_ENDPOINT=x",
}

Ask = Callable[..., dict[str, object]]


@pytest.fixture(params=["run", "token"])
def ask(tmp_path: Path, request: pytest.FixtureRequest) -> Ask:
    """Run `make run` with a Python that prints its own arguments, and return the output."""
    (tmp_path / "probe.py").write_text(PROBE.format(root=str(ROOT)))
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {tmp_path}/probe.py "$@"\n')
    python.chmod(0o755)

    def run(*arguments: str, **variables: str) -> dict[str, object]:
        done = subprocess.run(
            [*make(request.param, *arguments), f"BIN={tmp_path}"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **variables},
            capture_output=True,
            encoding="utf-8",
            timeout=20,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        (line,) = re.findall(r"^\{.*\}$", done.stdout, re.M)
        said: dict[str, object] = json.loads(line)
        return said

    return run


def test_what_stands_on_the_command_line_is_given(ask: Ask) -> None:
    said = ask("JWT_SECRET=a", "ROLE_ARN:=b", "BUCKET_NAME = c", PORT="9000", AUTH="jwt")
    assert said["given"] == ["BIN", "BUCKET_NAME", "BUILD_PAGE", "JWT_SECRET", "READY", "ROLE_ARN"]


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        ([], {"JWT_SECRET": "a"}),
        (["-e"], {"JWT_SECRET": "a"}),
        ([], {"MAKEFLAGS": "-e", "JWT_SECRET": "a"}),
        ([], {"MAKEFLAGS": "JWT_SECRET=a"}),
        ([], {"MAKEFLAGS": "-e -- JWT_SECRET=a", "MAKELEVEL": "1"}),
        ([], {"GNUMAKEFLAGS": "JWT_SECRET=a"}),
        ([], {"MAKEOVERRIDES": "JWT_SECRET=a", "JWT_SECRET": "a"}),
        (["-e"], {"GIVEN": "JWT_SECRET", "JWT_SECRET": "a"}),
        (["-e"], {"SANDBOX_GIVEN": "--given=JWT_SECRET", "JWT_SECRET": "a"}),
        (["JWT_ISSUER=x JWT_SECRET=a"], {"JWT_SECRET": "a"}),
        # Here JWT_SECRET=a is the name of a file.
        (["-W", "JWT_SECRET=a"], {"JWT_SECRET": "a"}),
    ],
)
def test_what_the_environment_holds_is_not(
    ask: Ask, arguments: list[str], variables: dict[str, str]
) -> None:
    said = ask(*arguments, **variables)
    assert isinstance(said["given"], list)
    assert "JWT_SECRET" not in said["given"]


def test_both_at_once_is_given_and_the_command_line_wins(ask: Ask) -> None:
    for flags in ("", "-e"):
        said = ask("JWT_SECRET=a", JWT_SECRET="b", MAKEFLAGS=flags)
        assert isinstance(said["given"], list)
        assert isinstance(said["values"], dict)
        assert "JWT_SECRET" in said["given"]
        assert said["values"]["JWT_SECRET"] == "a"


def test_no_value_breaks_the_command_or_names_another_variable(ask: Ask) -> None:
    said = ask(*(f"{name}={value}" for name, value in VALUES.items()), "it's=1")
    assert isinstance(said["values"], dict)
    assert said["given"] == ["BIN", "BUILD_PAGE", "CALLER", "JWT_ISSUER", "READY"]
    # make reads $$ as one $.
    assert said["values"]["CALLER"] == VALUES["CALLER"].replace("$$", "$")
    assert said["values"]["JWT_ISSUER"] == VALUES["JWT_ISSUER"]


def test_without_proc_ps_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """macOS has no /proc. The answer of ps is one line, so a value with spaces is split."""
    needs.program("ps")
    monkeypatch.setattr(command_line, "Path", lambda path: tmp_path / "none")
    command = [sys.executable, "-c", "input()", "x=1", "JWT_SECRET=a b"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert given_to_make({"JWT_SECRET", "ROLE_ARN"}, process.pid) == {"JWT_SECRET"}
        process.communicate(b"\n")
    with pytest.raises(ProcessLookupError, match="no process"):
        given_to_make({"JWT_SECRET"}, process.pid)


def test_no_process_is_read_where_no_name_is_asked_for() -> None:
    assert given_to_make([], 2**30) == frozenset()
