"""A misspelt name on make's command line stops the command. Names that belong to other programs do
not. The tests of find(), for the environment, are in tests/sandbox/test_environment.py."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import pytest

import needs
from operators_tool import run_tool
from ops import ROOT, misspelt
from running_sandbox import make
from sandbox.command_line import OWN_VARIABLES
from sandbox.environment import RULES

OF_OTHERS = """
    AUTHOR AWS_REGION CFLAGS CI DEBUG DESTDIR EDITOR FOO HOME HOSTNAME HTTP_PROXY LANG LANGUAGE
    LC_ALL LOG LOGNAME NAME NODE_ENV PAGER PATH PIP_INDEX_URL POST PYTHONPATH SHELL TERM TMPDIR TZ
    USER V VERBOSE VIRTUAL_ENV http_proxy lang no_proxy path
""".split()


def slips(name: str) -> Iterator[str]:
    """The name in lower case, with two letters that changed places, with one letter missing, and
    with one letter too many."""
    yield name.lower()
    for at, letter in enumerate(name):
        yield name[:at] + name[at : at + 2][::-1] + name[at + 2 :]
        yield name[:at] + name[at + 1 :]
        yield name[:at] + letter + name[at:]
        yield f"{name[:at]}X{name[at:]}"


@pytest.mark.parametrize("name", ["AUTH", "PYTHON", "ROLE_ARN", *OWN_VARIABLES])
def test_one_slip_in_a_name_is_found_also_in_short_names(name: str) -> None:
    wrong = set(slips(name)) - {name}
    assert misspelt.typed(wrong, OWN_VARIABLES) == dict.fromkeys(wrong, name)


def test_no_variable_of_make_or_of_another_program_looks_misspelt() -> None:
    printed = subprocess.run(
        [needs.program("make"), "-f", str(ROOT / "Makefile"), "-pn", "help"],
        capture_output=True,
        encoding="utf-8",
        timeout=20,
        check=True,
    )
    of_make = re.findall(r"^([A-Za-z_]\w*) (?:::?|\?|\+)?= ", printed.stdout, re.M)
    assert {"PYTHON", "VENV", "BIN", "READY", "MAKEFLAGS", "SHELL"} <= set(of_make)
    assert misspelt.typed([*of_make, *OF_OTHERS], OWN_VARIABLES) == {}
    assert misspelt.typed(OF_OTHERS, misspelt.OF_TOOLS) == {}


def test_a_name_that_looks_like_two_variables_is_left_alone() -> None:
    assert misspelt.typed(["SS_ENDPOINT"], OWN_VARIABLES) == {}
    assert misspelt.typed(["TS_ENDPOINT"], OWN_VARIABLES) == {"TS_ENDPOINT": "STS_ENDPOINT"}


@pytest.mark.parametrize(
    ("files", "known"),
    [
        ("sandbox/*.py", OWN_VARIABLES),
        ("ops/conform/*.py", misspelt.OF_TOOLS),
        ("ops/measure_cold/*.py", misspelt.OF_TOOLS),
        ("ops/smoke/*.py", misspelt.OF_TOOLS),
        ("ops/explain.py", misspelt.OF_TOOLS),
        ("ops/login.py", misspelt.OF_TOOLS),
        ("ops/roles.py", misspelt.OF_TOOLS),
    ],
)
def test_each_variable_that_a_command_reads_is_known(files: str, known: tuple[str, ...]) -> None:
    reads = r'(?:env(?:iron)?(?:\.get\(|\[)|\(env, |Variable\(\s*)"([A-Z0-9_]+)"'
    found = {name for path in ROOT.glob(files) for name in re.findall(reads, path.read_text())}
    assert found
    others = {"MAKEFLAGS", "NO_PROXY", "TERM"}
    unknown = found - others - {*known, *RULES, *misspelt._OF_DEPLOYMENT}
    assert unknown == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "name", "meant"),
    [
        ("conform", "CLUOD", "CLOUD"),
        ("doctor", "AUHT", "AUTH"),
        ("explain", "CALER", "CALLER"),
        ("login", "SECOND", "SECONDS"),
        ("measure-cold", "CALS", "CALLS"),
        ("roles", "DOCUMNT", "DOCUMENT"),
        ("smoke", "UPLAOD", "UPLOAD"),
    ],
)
def test_a_misspelt_name_stops_an_operators_target(target: str, name: str, meant: str) -> None:
    done = run_tool("", *make("-s", target, "URL=http://127.0.0.1:9", f"{name}=secret"), seconds=30)
    assert (done.returncode, done.stdout) == (2, "")
    line = f"there is no variable {name}; did you mean {meant}? Nothing was started"
    assert done.stderr.splitlines()[0] == f"make {target}: {line}"
    assert "secret" not in done.stderr


def test_a_text_in_a_value_is_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAKELEVEL", raising=False)
    monkeypatch.setenv("MAKEFLAGS", r"s -- CALLER=al\ CALER=ice URL:=http://127.0.0.1/?UPLAOD=1")
    misspelt.refuse("smoke")
    monkeypatch.setenv("MAKEFLAGS", r"s -- CALLER=al\ ice CALER=bob UPLAOD:=1")
    with pytest.raises(SystemExit, match=r"CALER.*\n.*UPLAOD"):
        misspelt.refuse("smoke")


def test_a_line_feed_in_a_value_begins_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """make does not mark a line feed. A part of a secret would be taken for a name, and printed."""
    monkeypatch.setenv("MAKEFLAGS", " -- JWT_SECRET=abc\nCALLERS=secret")
    misspelt.refuse("roles")


def test_a_name_after_a_value_that_ends_with_a_backslash_is_found() -> None:
    flags = r" -- JWT_SECRET=abc\\ CALER=bob URL=a\\\ CALER=b"
    assert misspelt.on_command_line({"MAKEFLAGS": flags}) == ["JWT_SECRET", "CALER", "URL"]


def test_a_name_for_the_make_that_runs_this_make_stops_no_tool(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MAKEFLAGS", " -- SHOW=1")
    monkeypatch.setenv("MAKELEVEL", "2")
    misspelt.refuse("roles")
    monkeypatch.setenv("MAKELEVEL", "1")
    with pytest.raises(SystemExit, match="SHOW"):
        misspelt.refuse("roles")


def test_a_misspelt_name_in_the_environment_stops_no_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAKEFLAGS", raising=False)
    monkeypatch.setenv("CALER", "bob")
    misspelt.refuse("smoke")
