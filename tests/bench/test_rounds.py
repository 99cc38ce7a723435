"""Tests copies in new processes. A slow copy is reported as slow, and equal copies are not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench import rounds
from bench.calls import SCENARIOS
from bench.copies import CompareError, Copies, Python
from bench.ratios import Comparison
from bench.rounds import COLD, measure

THIS = Python(sys.executable, "3.11.0")
LOGIN = ", with a login"
KINDS = ["a new token", "a token served again", "a signed URL (PUT)", "a signed URL (GET)"]

# This function fakes its CPU time. Therefore the measured times of two copies are equal, even if
# other programs run on the machine.
EQUAL = """\
import json, time
cpu = 1000.0
time.process_time = lambda: cpu
def initialize(context):
    global cpu
    cpu += 1.0
def handler(event, context):
    global cpu
    cpu += 0.001
    answer = {"StatusCode": 200}
    if "GET" == json.loads(event)["queryParameters"].get("method"):
        answer = {"StatusCode": 404, "ErrorCode": "NotFound", "ErrorMessage": "-"}
    return {"body": json.dumps(answer)}
"""
SOUND = EQUAL.replace('"GET" ==', '"none" ==')
SLOW = SOUND.replace("cpu += 1.0", "cpu += 1000.0").replace("cpu += 0.001", "cpu += 0.01")


@pytest.fixture(autouse=True)
def _one_scenario(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use only one scenario, because each scenario needs three processes in each round."""
    monkeypatch.setattr(rounds, "SCENARIOS", SCENARIOS[1:])


def copies(folder: Path, base: str, now: str) -> Copies:
    made = Copies(folder / "a0", folder / "a1", folder / "b0")
    for each, text in zip(made, (base, base, now), strict=True):
        each.mkdir()
        (each / "index.py").write_text(text)
    return made


@pytest.mark.slow
def test_a_slow_copy_is_seen_as_slow_an_equal_one_is_not_and_what_base_refuses_is_left_out(
    tmp_path: Path,
) -> None:
    metrics, left_out = measure(copies(tmp_path, EQUAL, SLOW), THIS, cold=6, warm=6, count=1)
    assert left_out == {f"a signed URL (GET){LOGIN}": "404 NotFound: -"}
    cpu_times = [metric for metric in metrics if metric.is_cpu_time]
    assert [metric.title for metric in cpu_times] == [
        COLD + LOGIN,
        *(kind + LOGIN for kind in KINDS[:3]),
    ]
    for metric in cpu_times:
        assert metric.ratios.is_over(1.05), metric
        assert metric.now_ms > metric.base_ms
        equal = Comparison(metric.ratios.control, metric.ratios.control)
        assert not equal.is_difference(), metric
        assert equal.is_within(1.05), metric
    warm = cpu_times[1:]
    assert [round(metric.base_ms, 6) for metric in warm] == [1.0] * 3
    assert [round(metric.now_ms, 6) for metric in warm] == [10.0] * 3


def test_what_only_this_tree_refuses_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        CompareError, match=r"^this working tree answers 404 NotFound: - \(a signed"
    ):
        measure(copies(tmp_path, SOUND, EQUAL), THIS, cold=6, warm=6, count=1)


def test_a_base_without_a_token_is_an_error(tmp_path: Path) -> None:
    refusing = EQUAL.replace('"GET" ==', "None is")
    with pytest.raises(
        CompareError, match=r"^BASE answers 404 NotFound: - \(cold start, first token"
    ):
        measure(copies(tmp_path, refusing, SOUND), THIS, cold=6, warm=6, count=1)


@pytest.mark.parametrize(
    "where", ["import nothing_of_the_kind\n", "import yaml\n", "import bench\n"]
)
def test_a_copy_finds_the_standard_library_and_its_own_folder_only(
    tmp_path: Path, where: str
) -> None:
    with pytest.raises(CompareError, match=r"^this working tree does not run: ModuleNotFoundError"):
        measure(copies(tmp_path, SOUND, where + SOUND), THIS, cold=6, warm=6, count=1)


def test_a_copy_that_dies_between_calls_is_an_error(tmp_path: Path) -> None:
    dying = (
        SOUND
        + "import os, sys, threading\n"
        + (
            "def later():\n"
            "    print('out of memory', file=sys.stderr, flush=True); os._exit(1)\n"
            "def initialize(context): threading.Timer(0.0, later).start()\n"
        )
    )
    with pytest.raises(CompareError, match=r"^this working tree does not run: out of memory$"):
        measure(copies(tmp_path, SOUND, dying), THIS, cold=6, warm=6, count=50)
