"""`make burst` asks for many new tokens at once. fc.py simulates Function Compute's instances.

The loads are a burst of 100 requests within a second after an idle time, and 20, 50 and 90 requests
a second for 30 s. They run on the runtime python3.10, with the code of BASE (a commit) and with
today's code, and on a custom runtime. STS answers after 100 ms. If the share of a CPU can be set on
this machine, each instance has the share that s.yaml sets.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import jwt

from bench import slow_sts
from bench.copies import CompareError, put_base
from bench.fc import Answer, BuiltIn, Custom, Instance, Launch, Platform
from bench.vcpu import share
from ops.build import build
from ops.package import PackageError
from ops.runtime import find_or_this

SECRET = "burst-" * 8
BASE = "b291437"
MAX_INSTANCES = 10
"""The values of s.yaml."""
STS_SECONDS = 0.1
GRACE_SECONDS = 0.5
"""The slowest request of a burst may take this much longer than a cold start."""


class Runtime(NamedTuple):
    """One of the runtimes in which s.yaml can run the function. The package is in `folder`."""

    name: str
    folder: Path
    instance: type[BuiltIn] | type[Custom]
    concurrency: int
    vcpu: float


class Load(NamedTuple):
    """A number of requests, spread evenly over some seconds."""

    name: str
    requests: int
    seconds: float


class Result(NamedTuple):
    """`refused` is the number of requests that the platform refused. `failed` is the number of
    other requests that got no token. `p50` and `p99` are in milliseconds."""

    refused: int
    failed: int
    p50: float
    p99: float
    instances: int


ONE, COLD_STARTS = Load("a cold start", 1, 0), 5
LOADS = (
    Load("100 within 1 s", 100, 1),
    *(Load(f"{rate}/s for 30 s", rate * 30, 30) for rate in (20, 50, 90)),
)


def main() -> int:
    """Measure and print. Return 0 if the custom runtime handles the burst (is_carried). Return 1 if
    the custom runtime does not handle the burst, or if nothing can be measured. Return 130 after
    Ctrl-C."""
    base = os.environ.get("BASE") or BASE
    try:
        with tempfile.TemporaryDirectory(prefix="burst-") as name:
            folder = Path(name)
            put_base(base, folder / "before")
            build(folder / "now")
            return report(base, folder)
    except (CompareError, PackageError) as error:
        print(f"make burst: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("make burst: interrupted", file=sys.stderr)
        return 130


def report(base: str, folder: Path) -> int:
    """Measure the packages in `folder`, and print a line for each runtime and load. Return the exit
    status, as main() does."""
    runtimes = (
        Runtime(f"python3.10, {base}", folder / "before", BuiltIn, 1, 0.1),
        Runtime("python3.10, now", folder / "now", BuiltIn, 1, 0.1),
        Runtime("custom, now", folder / "now", Custom, 100, 0.5),
    )
    found_python = find_or_this()
    python = found_python.path
    with share(1) as before:
        limited = "as s.yaml has it" if before else "not limited: no Linux cgroup can be made"
    other = "" if found_python.is_runtime else ", not the runtime"
    print(f"{python}{other}; vCPU {limited}; STS takes 100 ms, over TLS")
    print(f"{'':40}refused failed   p50 ms   p99 ms  instances")
    carried = True
    for runtime in runtimes:
        times = [measured(runtime, ONE, python).p50 for _ in range(COLD_STARTS)]
        cold = statistics.median(times)
        print(f"{runtime.name:24}{ONE.name:16}{'':14}{cold:9.0f}{max(times):9.0f}", flush=True)
        for load in LOADS:
            found = measured(runtime, load, python)
            counted = f"{found.refused:7}{found.failed:7}{found.p50:9.0f}{found.p99:9.0f}"
            print(f"{runtime.name:24}{load.name:16}{counted}{found.instances:11}", flush=True)
            if runtime.instance is Custom and load is LOADS[0]:
                carried = is_carried(cold, found)
    print(f"the burst on the custom runtime: {'handled' if carried else 'NOT handled'}")
    return 0 if carried else 1


def is_carried(cold: float, burst: Result) -> bool:
    """Whether a single instance gave a token for every request, and was fast enough. It was fast
    enough if 99 of 100 requests took at most 0.5 s longer than a cold start (`cold`, in
    milliseconds)."""
    slowest = cold + GRACE_SECONDS * 1000
    return burst.refused == burst.failed == 0 and burst.instances == 1 and burst.p99 <= slowest


def measured(runtime: Runtime, load: Load, python: str) -> Result:
    """Run a load on a platform that has no instance yet."""
    with (
        tempfile.TemporaryDirectory() as name,
        slow_sts.running(STS_SECONDS, Path(name)) as sts,
        platform(runtime, python, sts) as fc,
    ):
        found = put(fc, load)
        return result([one for one, _ in found], [answer for _, answer in found], fc.instances)


@contextmanager
def platform(runtime: Runtime, python: str, sts: Mapping[str, str]) -> Iterator[Platform]:
    """A platform that has no instances yet. `sts` holds environment variables, which tell the
    instances the address of STS. The instances end when the block ends."""
    environment = {
        "ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAI5tBurst",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "burst",
        "ROLE_ARN": "acs:ram::1234567890123456:role/burst",
        "BUCKET_NAME": "burst",
        "OSS_REGION": "cn-hangzhou",
        "JWT_SECRET": SECRET,
        **sts,
    }
    with ExitStack() as groups:

        def start() -> Instance:
            before = groups.enter_context(share(runtime.vcpu)) or []
            return runtime.instance(Launch(before, python, runtime.folder, environment))

        fc = Platform(start, cap=MAX_INSTANCES, concurrency=runtime.concurrency)
        try:
            yield fc
        finally:
            fc.end()


def put(fc: Platform, load: Load) -> list[tuple[float, Answer]]:
    """Ask for tokens of new callers at regular times. Return the seconds and the answer of each
    request."""
    logins = [
        jwt.encode({"sub": f"u{number}", "exp": 4102444800}, SECRET, "HS256")
        for number in range(load.requests)
    ]
    begin = time.perf_counter() + 0.1

    def ask(number: int) -> tuple[float, Answer]:
        due = begin + number * load.seconds / load.requests
        time.sleep(max(due - time.perf_counter(), 0))
        answer = fc.answer({"Authorization": f"Bearer {logins[number]}"})
        # The time is counted from the moment when the request was due, so it includes the wait for
        # a free thread.
        return time.perf_counter() - due, answer

    with ThreadPoolExecutor(200) as clients:
        return list(clients.map(ask, range(load.requests)))


def result(seconds: Sequence[float], answers: Sequence[Answer], instances: int) -> Result:
    """Summarize. The times are those of the requests that got a token."""
    tokens = [b'"Code":"Success"' in answer.body for answer in answers]
    took = sorted(one * 1000 for one, is_token in zip(seconds, tokens, strict=True) if is_token)
    refused = sum(answer.status == 429 for answer in answers)
    return Result(
        refused,
        len(answers) - len(took) - refused,
        percentile(took, 50),
        percentile(took, 99),
        instances,
    )


def percentile(values: Sequence[float], percent: int) -> float:
    """Return this percentile of the sorted values (nearest rank), or NaN if there are none."""
    if not values:
        return float("nan")
    return values[max(-(-len(values) * percent // 100), 1) - 1]


if __name__ == "__main__":
    sys.exit(main())
