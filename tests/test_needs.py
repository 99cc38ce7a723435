"""If a test cannot run on this machine, it says why, always in the same words. If CI is set, such
a test fails."""

from __future__ import annotations

import re

import pytest

import needs
from ops import ROOT

SKIPS = re.compile(r"pytest\.(?:skip\(|mark\.skip|importorskip)|unittest\.skip")


@pytest.mark.parametrize(
    ("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)]
)
def test_a_missing_program_is_named_and_a_failure_in_ci(
    ci: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="is left out: there is no no-such-program on the PATH"):
        needs.program("no-such-program")


def test_a_program_that_is_there_has_its_path() -> None:
    assert needs.program("sh").startswith("/")


def test_no_test_skips_by_itself() -> None:
    """Only needs.py may skip a test. If a test called pytest.skip itself, its message would have
    other words, and the test would be skipped even if CI is set."""
    paths = sorted((ROOT / "tests").rglob("*.py"))
    assert len(paths) > 200
    found = [path.name for path in paths if SKIPS.search(path.read_text(encoding="utf-8"))]
    assert found == ["needs.py"]
