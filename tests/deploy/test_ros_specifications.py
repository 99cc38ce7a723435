"""The resource specifications come from the cache or the index. If this is not possible, a clear
message says why."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

import fetched
from ops import ros_specifications
from ops.ros_specifications import SpecificationsMissing, load


def refused(*_: Any, **__: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess([], 1, "", "WARNING: slow\nERROR: no connection\n")


def test_what_is_cached_is_not_fetched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    known = fetched.specifications()
    monkeypatch.setattr(subprocess, "run", refused)
    assert load() == known


def test_what_cannot_be_fetched_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", refused)
    with pytest.raises(SpecificationsMissing, match="ERROR: no connection"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)]
)
def test_a_check_without_specifications_is_left_out_and_fails_with_ci(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(subprocess, "run", refused)
    monkeypatch.setattr(fetched, "load", lambda: load(tmp_path))
    with pytest.raises(outcome, match="left out"):
        fetched.specifications()


def test_every_specification_is_pinned_by_its_hash() -> None:
    lines = ros_specifications.PINS.read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert len(pins) == 5
    assert all("==" in pin and " --hash=sha256:" in pin for pin in pins)
