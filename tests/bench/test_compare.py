"""Tests `make bench BASE=…`: its variables, its report and its exit code."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench import compare
from bench.compare import Options, main, read_options, report
from bench.copies import CompareError, Python
from bench.ratios import Comparison, Ratio
from bench.rounds import SEED, Measured, Metric

QUIET = Ratio(1.0, 0.99, 1.01)
SAME = Metric("a new token", 0.5, 0.5, Comparison(QUIET, QUIET), True)
SLOW = SAME._replace(title="a signed URL (PUT)", ratios=Comparison(Ratio(1.2, 1.1, 1.3), QUIET))
WALL = SLOW._replace(title="the same by the wall clock", is_cpu_time=False)
LEFT_OUT = {"a signed URL (GET)": "404 NotFound: no such path"}
OPTIONS = Options("v1", 20, 60, None, True, Python(sys.executable, "3.11.7"))


def verdicts(limit: float | None) -> list[str]:
    measured = Measured([SAME, SLOW, WALL], LEFT_OUT)
    return [line.rstrip() for line in report(measured, OPTIONS._replace(limit=limit))][-4:]


def test_each_ratio_stands_beside_its_control_and_noise_is_no_figure() -> None:
    same, slow, wall, left_out = verdicts(None)
    assert "1.000 (0.990 to 1.010)   1.000 (0.990 to 1.010)" in same
    assert same.endswith("no difference shown")
    assert "1.200 (1.100 to 1.300)   1.000 (0.990 to 1.010)" in slow
    assert slow.endswith("1.200")
    assert wall.endswith("1.200")
    assert left_out.endswith("not compared: BASE answers 404 NotFound: no such path")


def test_a_limit_is_for_cpu_time() -> None:
    same, slow, wall, _ = verdicts(1.05)
    assert same.endswith("no difference shown; at most 1.05")
    assert slow.endswith("1.200; OVER 1.05")
    assert wall.endswith("1.200")
    assert verdicts(1.25)[1].endswith("1.200; 1.25 undecided")


def test_the_report_says_how_it_was_measured() -> None:
    text = "\n".join(report(Measured([SAME], {}), OPTIONS._replace(byte_code=False)))
    assert "BASE=v1" in text
    assert (
        "Python 3.11.7, byte code not compiled beforehand, 60 cold rounds, 20 warm rounds" in text
    )
    assert f"seed {SEED}" in text


@pytest.mark.parametrize(("limit", "code"), [("", 0), ("1.05", 1), ("1.25", 0), ("1.5", 0)])
def test_only_what_is_over_the_limit_fails(
    monkeypatch: pytest.MonkeyPatch, limit: str, code: int
) -> None:
    monkeypatch.setenv("BASE", "v1")
    monkeypatch.setenv("LIMIT", limit)
    monkeypatch.setattr(compare, "make_copies", lambda *_, **__: None)
    monkeypatch.setattr(compare, "measure", lambda *_, **__: Measured([SAME, SLOW, WALL], {}))
    assert main() == code


def test_a_bad_base_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BASE", "no-such-commit")
    assert main() == 1
    error = capsys.readouterr().err
    assert error.startswith("make bench: BASE=no-such-commit must be a commit here, or a folder")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"BASE": ""}, "BASE must be given"),
        ({"ROUNDS": "5"}, "ROUNDS=5 must be a whole number, 6 to 9999"),
        ({"COLD": "many"}, "COLD=many must be a whole number, 6 to 9999"),
        ({"COLD": "60000"}, "COLD=60000 must be"),
        ({"COLD": "²"}, "COLD=² must be"),
        ({"LIMIT": "0.9"}, "LIMIT=0.9 must be a ratio of 1 or more, like 1.05"),
        ({"LIMIT": "nan"}, "LIMIT=nan must be"),
        ({"LIMIT": "5%"}, "LIMIT=5% must be"),
        ({"BYTECODE": "yes"}, "BYTECODE=yes must be 0 or 1"),
        ({"BENCH_PYTHON": "/no/python"}, "BENCH_PYTHON=/no/python cannot be run"),
    ],
)
def test_a_wrong_variable_is_named(variables: dict[str, str], message: str) -> None:
    with pytest.raises(CompareError, match=message.replace("²", ".")):
        read_options({"BASE": "v1", **variables})


def test_without_variables_there_are_60_cold_starts() -> None:
    options = read_options({"BASE": "v1", "LIMIT": "", "ROUNDS": ""})
    assert (options.cold, options.rounds, options.limit, options.byte_code) == (60, 20, None, True)
    assert Path(options.python.path) == Path(sys.executable)
