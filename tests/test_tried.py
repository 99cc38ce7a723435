"""Tests the table of `make fuzz`, and that `make fuzz` fails if too few examples ran."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ops import ROOT
from tried import FLOORS, Tried

SUPPORT = ROOT / "tests" / "support"
CONFTEST = f"""
import sys
sys.path.insert(0, {str(SUPPORT)!r})
from hypothesis import settings
from tried import PROFILE, Tried

settings.register_profile(PROFILE, max_examples=40, database=None)

def pytest_configure(config):
    config.addinivalue_line("markers", "tries(what)")
    if config.getoption("--hypothesis-profile") == PROFILE:
        config.pluginmanager.register(Tried(is_whole=True, floors={{"names": LEAST, "forms": 40}}))
"""
PROPERTIES = """
import pytest
from hypothesis import assume, given, strategies as st

@pytest.mark.tries("names")
@pytest.mark.parametrize("half", [0, 1])
@given(st.integers())
def test_of_two_halves(half, number):
    assert isinstance(number, int)

@pytest.mark.tries("forms")
@given(st.integers())
def test_with_what_is_refused(number):
    assume(number % 2 == 0)

@given(st.integers())
def test_of_no_kind(number):
    pass

def test_of_no_property():
    pass
"""
FAILING = """
@pytest.mark.tries("forms")
@given(st.integers())
def test_one_that_fails(number):
    assert number < 1
"""


def run(folder: Path, least: int, *options: str, more: str = "") -> tuple[int, str]:
    """Run the properties in a new process; return its exit status and its output."""
    (folder / "conftest.py").write_text(CONFTEST.replace("LEAST", str(least)), encoding="utf-8")
    (folder / "test_properties.py").write_text(PROPERTIES + more, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=False)
    return done.returncode, done.stdout


def rows(printed: str) -> dict[str, list[str]]:
    """Return the lines of the table. Each key is the name of a property. A line has the kind, the
    number of examples, and the number of failures."""
    lines = [line.split() for line in printed.splitlines() if line.startswith(("test_", "all"))]
    return {line[0].rpartition("::")[2]: line[1:] for line in lines if line[-1].isdecimal()}


@pytest.mark.slow
@pytest.mark.parametrize("processes", [[], ["-n", "2"]], ids=["one process", "two"])
def test_each_property_is_counted_over_all_its_tests(tmp_path: Path, processes: list[str]) -> None:
    status, printed = run(tmp_path, 80, "--hypothesis-profile=long", *processes)
    assert status == 0, printed
    found = rows(printed)
    assert found["test_of_two_halves"] == ["names", "80", "0"]
    # An example that `assume` refuses is not counted, and is replaced by another one.
    assert found["test_with_what_is_refused"] == ["forms", "40", "0"]
    assert found["test_of_no_kind"] == ["40", "0"]
    assert "test_of_no_property" not in found
    assert found["all"] == ["160", "0"]


@pytest.mark.slow
def test_too_little_fails_the_run_and_is_named(tmp_path: Path) -> None:
    status, printed = run(tmp_path, 81, "--hypothesis-profile=long", "-n", "2")
    assert status == 1
    assert "5 passed" in printed
    assert "TOO FEW  names: 80 tried, at least 81 are needed" in printed


@pytest.mark.slow
def test_a_property_that_fails_is_in_the_table(tmp_path: Path) -> None:
    status, printed = run(tmp_path, 80, "--hypothesis-profile=long", more=FAILING)
    assert status == 1
    assert rows(printed)["test_one_that_fails"][-1] == "1"


@pytest.mark.slow
def test_nothing_is_counted_without_the_long_profile(tmp_path: Path) -> None:
    status, printed = run(tmp_path, 1_000_000)
    assert status == 0
    assert "what was tried" not in printed


def test_all_properties_of_a_kind_count_together() -> None:
    tried = Tried(is_whole=True, floors={"names": 10})
    assert tried.short() == ["names: 0 tried, at least 10 are needed"]
    tried.note("a", "names", 4, failed=False)
    tried.note("b", "policies", 9, failed=False)
    tried.note("a", "names", 5, failed=False)
    assert tried.short() == ["names: 9 tried, at least 10 are needed"]
    tried.note("c", "names", 1, failed=False)
    assert tried.short() == []


def test_a_run_of_some_properties_cannot_have_tried_too_little() -> None:
    assert Tried(is_whole=False).short() == []


def test_each_kind_has_a_floor_and_each_floor_a_property() -> None:
    text = "".join(path.read_text("utf-8") for path in sorted((ROOT / "tests").rglob("test_*.py")))
    for kind in FLOORS:
        assert f'\n@pytest.mark.tries("{kind}")\n' in text
    assert FLOORS["events"] >= 100_000
    assert min(FLOORS.values()) >= 10_000
