"""`make bench`: the function beside its peers, against a local STS that answers at once.

Each client runs in fresh processes, all of them in turn, round after round, so that what else the
machine does meets all of them; ratios are taken within a round and their median is shown.
`make bench BASE=…` is in compare.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from bench import stub_sts
from bench.client import PARTS

COLD_ROUNDS = 15
WARM_ROUNDS = 7
WARM_CALLS = 1000
URL_CALLS = 2000

NAMES = {
    "handler": "index.handler (ours)",
    "cached": "ours, a token served again",
    "cached_jwt": "the same with a login (jwt)",
    "floor": "http.client + hmac, the floor",
    "acs_client": "AcsClient",
    "tea": "alibabacloud-sts20150401",
}
URL_NAMES = {
    "url_ours": "presign.py (ours)",
    "url_oss2": "oss2",
    "url_oss_v2": "alibabacloud-oss-v2",
    "url_handler": "index.handler (ours)",
    "url_parts": f"a part, of {PARTS} in a call (ours)",
}


@dataclass(frozen=True)
class Run:
    """What one process measured: milliseconds, and megabytes at the peak."""

    cold_ms: float
    warm_ms: list[float]
    cpu_ms: float
    peak_mb: float

    @property
    def p50(self) -> float:
        return median(self.warm_ms)

    @property
    def p99(self) -> float:
        return quantiles(self.warm_ms, n=100)[98]


def _run(name: str, port: str, calls: int) -> Run:
    # No proxy and no keys of this shell: the peers would use them.
    env = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG")}
    script = Path(__file__).with_name("client.py")
    done = subprocess.run(
        [sys.executable, str(script), name, port, str(calls)],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"bench: {name} failed:\n{done.stderr}")
    return Run(**json.loads(done.stdout))


def _rounds(
    port: str, count: int, calls: int, names: Iterable[str] = NAMES
) -> list[dict[str, Run]]:
    rounds = []
    for number in range(count):
        if sys.stderr.isatty():
            print(f"\r  round {number + 1} of {count} ", end="", file=sys.stderr, flush=True)
        # A call for parts is many signed URLs.
        rounds.append({n: _run(n, port, calls // 10 if n == "url_parts" else calls) for n in names})
    if sys.stderr.isatty():
        print("\r" + " " * 30 + "\r", end="", file=sys.stderr)
    return rounds


def _ratio(rounds: list[dict[str, Run]], ours: str, attribute: str, beside: str) -> float:
    """The median over the rounds of one of ours divided by a peer's."""
    ratios = [getattr(r[ours], attribute) / getattr(r[beside], attribute) for r in rounds]
    return float(median(ratios))


def main() -> None:
    with stub_sts.running() as port:
        print("Cold start: imports and the first token, in fresh processes ...", flush=True)
        _rounds(port, 1, 0)  # Once unmeasured: byte code gets compiled, files get cached.
        cold = _rounds(port, COLD_ROUNDS, 0)
        print("Warm: uncached tokens over one process's kept connection ...", flush=True)
        warm = _rounds(port, WARM_ROUNDS, WARM_CALLS)
        print("Signed URLs, with a temporary key ...", flush=True)
        urls = _rounds(port, WARM_ROUNDS, URL_CALLS, URL_NAMES)
    _report(cold, warm)
    _report_urls(urls)


def _report(cold: list[dict[str, Run]], warm: list[dict[str, Run]]) -> None:
    print(f"\n{'':31}{'cold ms':>9}{'p50 ms':>9}{'p99 ms':>9}{'CPU ms':>9}{'peak MB':>9}")
    for name, label in NAMES.items():
        columns = [
            median(r[name].cold_ms for r in cold),
            *(median(getattr(r[name], a) for r in warm) for a in ("p50", "p99", "cpu_ms")),
            median(r[name].peak_mb for r in warm),
        ]
        print(f"{label:31}" + "".join(f"{value:9.2f}" for value in columns))
    print("\nours, divided by                 ratio   target")
    for label, rounds, ours, attribute, beside, target in (
        ("the floor's warm p50", warm, "handler", "p50", "floor", 1.5),
        ("AcsClient's warm p50", warm, "handler", "p50", "acs_client", 0.75),
        ("AcsClient's CPU a call", warm, "handler", "cpu_ms", "acs_client", None),
        ("AcsClient's cold start", cold, "handler", "cold_ms", "acs_client", 0.8),
        ("AcsClient's memory", warm, "handler", "peak_mb", "acs_client", 1.0),
        ("alibabacloud-sts's warm p50", warm, "handler", "p50", "tea", None),
        ("alibabacloud-sts's cold start", cold, "handler", "cold_ms", "tea", None),
        ("alibabacloud-sts's memory", warm, "handler", "peak_mb", "tea", None),
        ("served again: the floor's p50", warm, "cached", "p50", "floor", 0.25),
        ("with a login: the floor's p50", warm, "cached_jwt", "p50", "floor", 0.25),
        ("with a login: AcsClient's cold", cold, "cached_jwt", "cold_ms", "acs_client", None),
    ):
        ratio = _ratio(rounds, ours, attribute, beside)
        _print_ratio(label, ratio, target)


def _report_urls(rounds: list[dict[str, Run]]) -> None:
    print(
        f"\n{'a signed URL':31}{'cold ms':>9}{'p50 ms':>9}{'p99 ms':>9}{'CPU ms':>9}{'a second':>9}"
    )
    for name, label in URL_NAMES.items():
        cold, p50, p99, cpu = (
            median(getattr(r[name], a) for r in rounds) / (PARTS if name == "url_parts" else 1)
            for a in ("cold_ms", "p50", "p99", "cpu_ms")
        )
        print(f"{label:31}{cold:9.2f}{p50:9.3f}{p99:9.3f}{cpu:9.3f}{1000 / cpu:9.0f}")
    print("\nours, divided by                 ratio   target")
    for beside in ("url_oss2", "url_oss_v2"):
        ratio = _ratio(rounds, "url_ours", "p50", beside)
        _print_ratio(f"{URL_NAMES[beside]}'s p50", ratio, 0.5)


def _print_ratio(label: str, ratio: float, target: float | None) -> None:
    verdict = f"{target:7.2f}  {'met' if ratio <= target else 'MISSED'}" if target else ""
    print(f"  {label:30}{ratio:6.2f}  {verdict}".rstrip())


if __name__ == "__main__":
    main()
