"""Tests that `make burst` runs real instances under a small load, and that it calculates its
figures correctly."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

import bench.__main__ as bench
from bench import burst, slow_sts
from bench.burst import Load, Result, Runtime, is_carried, measured, percentile, result
from bench.copies import CompareError
from bench.fc import REFUSAL, Answer, BuiltIn, Custom
from bench.vcpu import share
from ops.package import FUNCTION, POLICIES

TOKEN = Answer(200, b'{"StatusCode":200,"Code":"Success"}')
ERROR = Answer(200, b'{"StatusCode":500,"ErrorCode":"StsUnreachable"}')
CARRIED = Result(0, 0, 400, 900, 1)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like a built package, for the Python that runs the tests."""
    folder = tmp_path_factory.mktemp("package")
    sources = (FUNCTION, Path(sysconfig.get_path("purelib")))
    for path in (*(path for source in sources for path in source.iterdir()), POLICIES):
        if path.name != "__pycache__":
            (folder / path.name).symlink_to(path)
    return folder


def test_the_built_in_runtime_refuses_what_has_no_instance(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(burst, "MAX_INSTANCES", 2)
    runtime = Runtime("built-in", package, BuiltIn, 1, 1)
    found = measured(runtime, Load("at once", 6, 0), sys.executable)
    assert (found.refused, found.failed, found.instances) == (4, 0, 2)


def test_a_custom_runtime_answers_all_on_one_instance(package: Path) -> None:
    runtime = Runtime("custom", package, Custom, 6, 1)
    found = measured(runtime, Load("at once", 6, 0), sys.executable)
    assert (found.refused, found.failed, found.instances) == (0, 0, 1)


def test_times_are_those_of_tokens() -> None:
    answers = [TOKEN, Answer(429, REFUSAL), ERROR, TOKEN]
    assert result([0.2, 0.001, 5, 0.1], answers, 3) == Result(1, 1, 100, 200, 3)
    assert math.isnan(result([0.1], [ERROR], 1).p99)


@pytest.mark.parametrize(("percent", "value"), [(50, 50), (99, 99), (100, 100), (0, 1)])
def test_a_percentile_is_a_value_that_was_there(percent: int, value: float) -> None:
    assert percentile([*range(1, 101)], percent) == value


@pytest.mark.parametrize(
    "changes",
    [{"refused": 1}, {"failed": 1}, {"instances": 2}, {"p99": 1101}, {"p99": math.nan}],
    ids=str,
)
def test_a_burst_is_not_carried_where_one_is_lost_or_late(changes: dict[str, float]) -> None:
    assert is_carried(600, CARRIED)
    assert not is_carried(600, CARRIED._replace(**changes))  # type: ignore[arg-type]


def test_what_cannot_be_measured_is_said_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("BASE", "no-such-commit")
    assert burst.main() == 1
    assert "make burst: BASE=no-such-commit must be a commit" in capsys.readouterr().err
    monkeypatch.setattr("bench.slow_sts.shutil.which", lambda _: None)
    with (
        pytest.raises(CompareError, match="openssl is missing"),
        slow_sts.running(0, tmp_path),
    ):
        pass


@pytest.mark.parametrize(("main", "part"), [(burst.main, "put_base"), (bench.main, "measure")])
def test_ctrl_c_ends_it_with_a_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    main: Callable[[], int],
    part: str,
) -> None:
    def press(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"{main.__module__}.{part}", press)
    assert main() == 130
    assert capsys.readouterr().err.endswith(": interrupted\n")


def test_a_share_of_a_cpu_is_a_control_group_or_none() -> None:
    with share(0.5) as before:
        code = "print(open('/proc/self/cgroup').read())"
        done = subprocess.run(
            [*(before or []), sys.executable, "-c", code], capture_output=True, text=True
        )
    assert done.returncode == 0
    assert (f"/bench-{os.getpid()}-" in done.stdout) is bool(before)


@pytest.mark.parametrize("files", [["cpu.max"], ["cpu/cpu.cfs_period_us", "cpu/cpu.cfs_quota_us"]])
def test_where_the_kernel_has_no_control_group_nothing_is_limited(
    tmp_path: Path, files: list[str]
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
    with share(0.1, tmp_path) as before:
        assert before is None
    assert [path.name for path in tmp_path.rglob("bench-*")] == []
