"""`make soak`: ten minutes of mixed traffic against the sandbox, as real SDKs and clients send it.

Each way to log in has a sandbox in its own process. The soak reads the memory, descriptors and
threads of each process ten times. It fails if an answer breaks the contract, or if one of these
numbers grows.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from javascript import is_there
from running_sandbox import ROOT, Sandbox, free_port, given, running
from signed_logins import KEYS, jwk, jwks, login
from soak_traffic import Caller
from token_service.settings.values import CLOCK_SKEW_SECONDS

INTERVALS = 10
CALLERS = 2
"""The number of callers for each way to log in."""
LOGIN_SECONDS, SESSION_SECONDS = 20, 30
"""The lifetime of a login and of a session, in seconds. If a third of the soak's duration is
shorter than such a lifetime, this third is the lifetime, but at least 3 s for a login and 2 s for a
session. The lifetimes are short, so logins and tokens expire often."""
MAX_RISE_MB = 10.0
MAX_RISE_NUMBER = 8
"""How much the numbers of descriptors and of threads may rise. Even without a leak, each number can
change by this much, because callers open and close connections."""
MAX_ERRORS_KEPT = 3
"""The maximum number of errors that are kept for each kind of request."""
WAYS = ("anonymous", "HS256", "JWKS")
_ALI_OSS = "HS256"
_PROC = Path("/proc")
_PATHS = (ROOT, ROOT / "functions" / "sts_token", ROOT / "tests" / "support")
_SECRET = "a-secret-of-the-soak-of-at-least-32-bytes"


@dataclass(frozen=True)
class Sample:
    """What a sandbox uses at one time: minutes since the start, megabytes, descriptors, threads."""

    minutes: float
    megabytes: float
    descriptors: int
    threads: int


@dataclass
class Tally:
    """The requests that were sent, each as (interval, kind, milliseconds), the errors, and the
    sandboxes that ended although nobody stopped them. Thread-safe."""

    done: list[tuple[int, str, float]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    number_of_errors: int = 0
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    renewed: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, interval: int, kind: str, milliseconds: float, error: str) -> None:
        """Add a request of a kind. `error` is "" if the answer was as expected."""
        with self._lock:
            self.done.append((interval, kind, milliseconds))
            if error:
                self.number_of_errors += 1
                if sum(one.startswith(f"{kind}: ") for one in self.errors) < MAX_ERRORS_KEPT:
                    self.errors.append(f"{kind}: {error}")


def faults(tally: Tally, kinds: Sequence[str]) -> list[str]:
    """The reasons why a soak failed: errors, kinds of requests that were never sent, or numbers
    that grew."""
    found = [f"{tally.number_of_errors} errors"] if tally.number_of_errors else []
    found += tally.lost
    tried = {kind for _, kind, _ in tally.done}
    found += [f"{kind} was never tried" for kind in kinds if kind not in tried]
    for way, samples in tally.samples.items():
        found += [f"{way}: {fault}" for fault in _slopes(samples)]
    return found


def _slopes(samples: Sequence[Sample]) -> Iterator[str]:
    """Report what grew after the warm-up, which is the first third. For memory, fit a straight line
    to all later samples (least squares), so that no single sample decides the result. For
    descriptors and threads, compare the medians of the two halves of the later samples."""
    settled = list(samples[len(samples) // 3 :])
    if len(settled) < 4:
        return
    times = [sample.minutes for sample in settled]
    rise = _slope(times, [sample.megabytes for sample in settled]) * (times[-1] - times[0])
    if rise > MAX_RISE_MB:
        yield f"memory rose by {rise:.1f} MB after the warm-up; at most {MAX_RISE_MB:.0f}"
    half = len(settled) // 2
    for name in ("descriptors", "threads"):
        numbers = [getattr(sample, name) for sample in settled]
        more = median(numbers[half:]) - median(numbers[:half])
        if more > MAX_RISE_NUMBER:
            yield f"{more:.0f} {name} more in the second half; at most {MAX_RISE_NUMBER}"


def _slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    below = sum((one - x) ** 2 for one in xs)
    if below == 0:
        return 0.0
    return sum((one - x) * (two - y) for one, two in zip(xs, ys, strict=True)) / below


def look(process: int, minutes: float) -> Sample:
    """Read what a process uses from Linux's /proc."""
    status = (_PROC / str(process) / "status").read_text()
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    descriptors = len(list((_PROC / str(process) / "fd").iterdir()))
    return Sample(
        minutes, int(lines["VmRSS"].split()[0]) / 1024, descriptors, int(lines["Threads"])
    )


@contextmanager
def sandboxes(
    folder: Path, session_seconds: int, more: Mapping[str, str]
) -> Iterator[dict[str, Sandbox]]:
    """Run a sandbox for each way to log in, with `more` variables. Their tokens expire soon."""
    key_set = folder / "jwks.json"
    key_set.write_text(jwks(jwk("RS256", "soak")))
    variables: dict[str, Mapping[str, str]] = {
        "anonymous": {},
        "HS256": {"AUTH": "jwt", "JWT_SECRET": _SECRET},
        "JWKS": {"AUTH": "jwt", "JWT_JWKS_FILE": str(key_set)},
    }
    with ExitStack() as stack:
        started = {}
        for way, own in variables.items():
            port = free_port()
            # A short session would expire before a run of ali-oss ends.
            lasting = 900 if way == _ALI_OSS else session_seconds
            command = (sys.executable, "-m", "short_sessions", str(lasting), "run")
            (folder / way).mkdir()
            own = {
                **own,
                "CALLBACK_URL": f"http://127.0.0.1:{port}/callback",
                # This rate limit is high for two reasons. First, all anonymous callers share it.
                # Second, the tokens of this test expire too soon for the cache, so each request
                # makes a new token.
                "CALLER_TOKENS_PER_MINUTE": "6000",
                **more,
            }
            env = {**own, "PORT": str(port), "PYTHONPATH": os.pathsep.join(map(str, _PATHS))}
            started[way] = stack.enter_context(
                running(folder / way / "state", port, given(command, *own), **env)
            )
        yield started


def _login(way: str) -> Callable[[str, float], str] | None:
    def sign(user: str, seconds: float) -> str:
        # The function accepts a login for CLOCK_SKEW_SECONDS after it has expired.
        claims: dict[str, Any] = {
            "sub": user,
            "exp": int(time.time() + seconds) - CLOCK_SKEW_SECONDS,
        }
        if way == "HS256":
            return login(_SECRET, **claims)
        return login(KEYS["RS256"], "RS256", "soak", **claims)

    return None if way == "anonymous" else sign


def soak(
    seconds: float,
    tell: Callable[[str], None],
    **more: str,
) -> tuple[Tally, list[str]]:
    """Run for `seconds`, or until Ctrl-C; return what was done, and the kinds of requests.
    `more` are variables of the sandboxes."""
    tally, end = Tally(), threading.Event()
    login_seconds = min(LOGIN_SECONDS, max(3, int(seconds / 3)))
    session_seconds = min(SESSION_SECONDS, max(2, int(seconds / 3)))
    with (
        tempfile.TemporaryDirectory(prefix="soak-") as name,
        sandboxes(Path(name), session_seconds, more) as started,
    ):
        began = time.monotonic()

        def interval() -> int:
            passed = time.monotonic() - began
            return min(INTERVALS - 1, int(passed / seconds * INTERVALS))

        def work(caller: Caller, choices: Mapping[str, Callable[[], bool | None]]) -> None:
            chance = random.Random(caller.name)  # noqa: S311 - the same mixture each time
            names = list(choices)
            while not end.is_set():
                # Each turn has each kind of request once, so that a short soak tries all kinds.
                for kind in chance.sample(names, len(names)):
                    start, error = time.perf_counter(), ""
                    was_tried: bool | None = True
                    try:
                        was_tried = choices[kind]()
                    except Exception as caught:  # noqa: BLE001 - every error is reported
                        error = f"{type(caught).__name__}: {caught}"[:400]
                    spent = (time.perf_counter() - start) * 1000
                    if was_tried is not False:
                        tally.add(interval(), kind, spent, error)
                    if end.is_set():
                        break
            tally.renewed.update(caller.renewed)
            caller.close()

        threads: list[threading.Thread] = []
        kinds: set[str] = set()
        for way, sandbox in started.items():
            for number in range(CALLERS):
                url = f"http://127.0.0.1:{sandbox.port}"
                caller = Caller(url, f"{way}-{number}", _login(way), login_seconds)
                choices = caller.kinds()
                if number == 0 and way == _ALI_OSS and is_there():
                    choices["ali-oss"] = caller.ali_oss
                kinds |= choices.keys()
                threads.append(threading.Thread(target=work, args=(caller, choices)))
        for thread in threads:
            thread.start()
        try:
            for number in range(1, INTERVALS + 1):
                end.wait(max(0.0, began + seconds * number / INTERVALS - time.monotonic()))
                for way, sandbox in started.items():
                    if (status := sandbox.process.poll()) is not None:
                        tally.lost.append(f"{way}: the sandbox has ended, with {status}")
                if tally.lost:
                    break
                passed = (time.monotonic() - began) / 60
                for way, sandbox in started.items() if _PROC.is_dir() else ():
                    sample = look(sandbox.process.pid, passed)
                    tally.samples.setdefault(way, []).append(sample)
                tell(
                    f"{number} of {INTERVALS}: {len(tally.done)} requests, "
                    f"{tally.number_of_errors} errors"
                )
        except KeyboardInterrupt:
            tell("ended by Ctrl-C")
        finally:
            # Set this even after an error, because a running thread would keep this process alive
            # for ever.
            end.set()
            for thread in threads:
                thread.join()
    return tally, sorted(kinds)


def summary(tally: Tally) -> Iterator[str]:
    """Tables of what was done."""
    yield f"{'kind':<12}{'done':>8}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}"
    for kind in sorted({kind for _, kind, _ in tally.done}):
        yield _row(kind, [spent for _, one, spent in tally.done if one == kind])
    yield ""
    head = "".join(f"{way + ' ' + unit:>18}" for way in tally.samples for unit in ("MB", "fd/thr"))
    yield f"{'interval':<12}{'done':>8}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{head}"
    for number in range(INTERVALS):
        spent = [one for interval, _, one in tally.done if interval == number]
        looks = [samples[number] for samples in tally.samples.values() if number < len(samples)]
        if spent:
            held = "".join(
                f"{one.megabytes:>18.1f}{f'{one.descriptors}/{one.threads}':>18}" for one in looks
            )
            yield _row(str(number + 1), spent) + held
    yield ""
    yield f"ended and renewed: {tally.renewed['token']} tokens, {tally.renewed['login']} logins"
    if not _PROC.is_dir():
        yield "memory, descriptors and threads: not measured, because this machine has no /proc"
    yield f"requests {len(tally.done)}, errors {tally.number_of_errors}"
    yield from (f"  {error}" for error in tally.errors)


def _row(name: str, spent: Sequence[float]) -> str:
    cuts = quantiles(spent, n=100) if len(spent) > 1 else [spent[0]] * 99
    shown = "".join(f"{cuts[cut - 1]:>9.1f}" for cut in (50, 95, 99))
    return f"{name:<12}{len(spent):>8}{shown}"


def _tell(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def main() -> int:
    """Run the soak; return 0, 1 if something failed, or 2 if MINUTES is not a valid number."""
    text = os.environ.get("MINUTES", "10")
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0.1 <= minutes <= 24 * 60:
        print(f"make soak: MINUTES must be 0.1 to 1440, not {text}", file=sys.stderr)  # noqa: T201
        return 2
    _tell(f"Mixed traffic for {minutes:g} minutes; Ctrl-C ends it early and prints the results.")
    tally, kinds = soak(minutes * 60, _tell)
    _tell("\n".join(["", *summary(tally)]))
    found = faults(tally, kinds)
    for fault in found:
        print(f"make soak: {fault}", file=sys.stderr)  # noqa: T201
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
