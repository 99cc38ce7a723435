"""Runs `make soak` for some seconds, and tests its verdict with the results of failed soaks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import soak
from javascript import is_there
from running_sandbox import ROOT, Sandbox
from sdk_clients import Refusal
from soak import Sample, Tally, faults, summary
from soak_traffic import Caller, Unexpected

KINDS = ["token", "form"]


def tally(*samples: Sample) -> Tally:
    """Return the results of a soak without errors. One sandbox of the soak has these samples."""
    made = Tally(samples={"HS256": list(samples)})
    for interval in range(soak.INTERVALS):
        for kind in KINDS:
            made.add(interval, kind, 5.0, "")
    return made


def looks(
    megabytes: float = 0.0, descriptors: float = 0.0, threads: float = 0.0, *, jump: float = 0.0
) -> list[Sample]:
    """Ten samples, a minute apart. The first three arguments say by how much memory, descriptors
    and threads rise from one sample to the next. `jump` is added to the memory of the third sample
    only."""
    return [
        Sample(
            float(number),
            60 + megabytes * number + (jump if number == 2 else 0),
            int(20 + descriptors * number),
            int(4 + threads * number),
        )
        for number in range(soak.INTERVALS)
    ]


@pytest.mark.slow
def test_a_short_soak_tries_every_kind_and_nothing_is_lost(tmp_path: Path) -> None:
    paths = [ROOT, ROOT / "functions" / "sts_token", ROOT / "tests" / "support"]
    done = subprocess.run(
        [sys.executable, "-m", "soak"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "MINUTES": "0.1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for kind in ("token", "signed URL", "ended URL", "form", "multipart", "oss2", "oss-v2"):
        assert f"\n{kind} " in done.stdout
    assert ("ali-oss" in done.stdout) == is_there()
    assert re.search("ended and renewed: [1-9][0-9]* tokens, [1-9][0-9]* logins", done.stdout)
    assert re.search("requests [1-9][0-9]*, errors 0$", done.stdout)


# The SDKs leave connections open. Python closes these connections later, when it collects garbage,
# and then prints a warning.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.slow
def test_a_route_that_is_closed_is_an_error_of_the_soak() -> None:
    found, kinds = soak.soak(3, lambda line: None, ENABLED_ROUTES="token,signed-url,uploads")
    assert any("errors" in fault for fault in faults(found, kinds))
    assert any("RouteDisabled" in error for error in found.errors)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.slow
def test_a_sandbox_that_dies_ends_the_soak_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    sandboxes, found = soak.sandboxes, dict[str, Sandbox]()

    @contextmanager
    def kept(*arguments: Any) -> Iterator[dict[str, Sandbox]]:
        with sandboxes(*arguments) as started:
            found.update(started)
            yield started

    monkeypatch.setattr(soak, "sandboxes", kept)
    made, kinds = soak.soak(10, lambda line: found["JWKS"].process.kill())
    assert "JWKS: the sandbox has ended, with -9" in faults(made, kinds)
    assert list(summary(made))


@pytest.mark.parametrize("status", [404, 500])
def test_a_refusal_without_a_code_is_an_ended_token_for_403_only(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = Caller("http://127.0.0.1:9", "alice", None, 20)
    monkeypatch.setattr(caller, "_token", object())
    monkeypatch.setattr("soak_traffic.refusal", lambda operation: Refusal(status, "", ""))
    with pytest.raises(Unexpected, match=str(status)):
        caller.sdk("oss2 V4")
    caller.close()


def test_what_is_not_due_yet_is_not_counted_as_done(monkeypatch: pytest.MonkeyPatch) -> None:
    caller = Caller("http://127.0.0.1:9", "alice", None, 20)
    answers = {"/uploads": {"Uploads": [], "Prefix": "a/"}, "/signed-url": {}}
    monkeypatch.setattr(caller, "ask", lambda path, **wishes: answers[path])
    for kind in ("/uploads", "ended URL"):
        done = caller.kinds()[kind]
        assert done() is True
        assert done() is False
    caller.close()


def test_what_stays_as_it_is_is_no_fault() -> None:
    assert faults(tally(*looks()), KINDS) == []
    # A rise of 1 MB a minute stays below the limit of 10 MB, and the jump is in the warm-up, which
    # does not count.
    assert faults(tally(*looks(1.0, jump=200)), KINDS) == []


@pytest.mark.parametrize(
    ("samples", "says"),
    [
        (looks(megabytes=2.5), "memory rose by 15.0 MB"),
        (looks(descriptors=4), "descriptors more in the second half"),
        (looks(threads=4), "threads more in the second half"),
    ],
)
def test_a_slope_is_a_fault(samples: list[Sample], says: str) -> None:
    (fault,) = faults(tally(*samples), KINDS)
    assert fault.startswith("HS256: ")
    assert says in fault


def test_an_error_is_a_fault_and_is_told() -> None:
    made = tally(*looks())
    made.add(3, "form", 5.0, "Unexpected: 500 in place of 200")
    assert faults(made, KINDS) == ["1 errors"]
    assert "  form: Unexpected: 500 in place of 200" in list(summary(made))


def test_a_kind_that_was_never_tried_is_a_fault() -> None:
    assert faults(tally(*looks()), [*KINDS, "oss2"]) == ["oss2 was never tried"]


@pytest.mark.parametrize("minutes", ["0", "-1", "ten", "nan", "1e9"])
def test_minutes_that_are_none_are_one_line(
    minutes: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MINUTES", minutes)
    assert soak.main() == 2
    assert capsys.readouterr().err == f"make soak: MINUTES must be 0.1 to 1440, not {minutes}\n"
