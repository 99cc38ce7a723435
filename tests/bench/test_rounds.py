"""Copies in fresh processes: a slow one is seen as slow, equal ones are not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench import rounds
from bench.calls import SCENARIOS
from bench.copies import CompareError, Copies, Python
from bench.rounds import COLD, measure

THIS = Python(sys.executable, "3.11.0")
LOGIN = ", with a login"
KINDS = ["a new token", "a token served again", "a signed URL (PUT)", "a signed URL (GET)"]

BUSY = """\
import json
def initialize(context):
    for _ in range(50 * {loops}): pass
def handler(event, context):
    for _ in range({loops}): pass
    return {{"body": json.dumps({{"StatusCode": 200}})}}
"""
# CPU time passes as this one says, so that two of them take the same.
EQUAL = """\
import json, time
cpu = 1000.0
time.process_time = lambda: cpu
def initialize(context): pass
def handler(event, context):
    global cpu
    cpu += 0.001
    answer = {"StatusCode": 200}
    if "GET" == json.loads(event)["queryParameters"].get("method"):
        answer = {"StatusCode": 404, "ErrorCode": "NotFound", "ErrorMessage": "-"}
    return {"body": json.dumps(answer)}
"""
SOUND = EQUAL.replace('"GET" ==', '"none" ==')


@pytest.fixture(autouse=True)
def _one_scenario(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each costs three processes a round."""
    monkeypatch.setattr(rounds, "SCENARIOS", SCENARIOS[1:])


def copies(folder: Path, base: str, now: str) -> Copies:
    made = Copies(folder / "a0", folder / "a1", folder / "b0")
    for each, text in zip(made, (base, base, now), strict=True):
        each.mkdir()
        (each / "index.py").write_text(text)
    return made


def test_a_copy_that_is_slow_is_seen_as_slow(tmp_path: Path) -> None:
    slow = copies(tmp_path, BUSY.format(loops=2_000), BUSY.format(loops=20_000))
    metrics, left_out = measure(slow, THIS, cold=6, warm=6, count=1)
    assert not left_out
    cpu_times = [metric for metric in metrics if metric.is_cpu_time]
    assert [metric.title for metric in cpu_times] == [
        COLD + LOGIN,
        *(kind + LOGIN for kind in KINDS),
    ]
    for metric in cpu_times:
        assert metric.ratios.is_difference(), metric
        assert metric.ratios.is_over(1.05), metric
        assert metric.now_ms > metric.base_ms


def test_equal_copies_show_no_difference_and_what_base_refuses_is_left_out(tmp_path: Path) -> None:
    metrics, left_out = measure(copies(tmp_path, EQUAL, SOUND), THIS, cold=6, warm=6, count=1)
    assert left_out == {f"a signed URL (GET){LOGIN}": "404 NotFound: -"}
    cpu_times = [metric for metric in metrics if metric.is_cpu_time]
    assert len(cpu_times) == 1 + 3
    for metric in cpu_times:
        assert not metric.ratios.is_difference(), metric
        assert metric.ratios.is_within(1.05), metric
    warm = [metric for metric in cpu_times if not metric.title.startswith(COLD)]
    assert [round(metric.base_ms, 6) for metric in warm] == [1.0] * 3


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
