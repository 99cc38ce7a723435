"""`make bench BASE=…` compares an older version of the code with this working tree.

BASE is a commit, or the folder of a built package or of a checkout. The package of BASE is measured
twice (A and A'), and the package of this working tree once (B). Each round uses fresh processes in
a new order. A'/A shows the noise, so B/A means something only if it is outside the range of A'/A.
More variables:

    ROUNDS=20          rounds of warm calls, 6 or more
    COLD=60            rounds of cold starts, 6 or more
    LIMIT=1.05         exit code 1 if a CPU time's B/A is over this limit in its whole interval
    BYTECODE=0         no copy is compiled beforehand, as on a new instance (1: each copy is)
    BENCH_PYTHON=...   the Python that runs the copies (by default the Python of this program)
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from bench.calls import CALLS
from bench.copies import CompareError, Python, find_python, make_copies
from bench.ratios import MIN_ROUNDS
from bench.rounds import SEED, Measured, Metric, measure
from ops.package import PackageError

SLICES = 25
"""Each process divides the warm calls of one kind into this many groups (slices)."""


class Options(NamedTuple):
    """The values of the variables."""

    base: str
    rounds: int
    cold: int
    limit: float | None
    byte_code: bool
    python: Python


def main() -> int:
    """Compare and report. Return 1 if a metric is over LIMIT, or after an error. Else return 0."""
    try:
        options = read_options(os.environ)
        with tempfile.TemporaryDirectory(prefix="bench-") as name:
            print("Building the packages ...", flush=True)
            copies = make_copies(
                options.base, options.python, Path(name), byte_code=options.byte_code
            )
            measured = measure(
                copies, options.python, cold=options.cold, warm=options.rounds, count=SLICES
            )
    except (CompareError, PackageError) as error:
        print(f"make bench: {error}", file=sys.stderr)
        return 1
    print("\n".join(report(measured, options)))
    return int(any(is_over(metric, options.limit) for metric in measured.metrics))


def read_options(env: Mapping[str, str]) -> Options:
    """Read the variables. Raises CompareError for a wrong value."""
    base = env.get("BASE", "")
    if not base:
        raise CompareError("BASE must be given, as a commit or a folder")
    byte_code = env.get("BYTECODE") or "1"
    if byte_code not in ("0", "1"):
        raise CompareError(f"BYTECODE={byte_code} must be 0 or 1")
    return Options(
        base,
        rounds=_rounds(env, "ROUNDS", "20"),
        cold=_rounds(env, "COLD", "60"),
        limit=_limit(env.get("LIMIT", "")),
        byte_code=byte_code == "1",
        python=find_python(env.get("BENCH_PYTHON") or sys.executable),
    )


def report(measured: Measured, options: Options) -> Iterator[str]:
    """The lines that say what was measured, how, and with which results."""
    yield ""
    yield f"A and A': BASE={options.base}, two equal copies; B: this working tree"
    compiled = "compiled beforehand" if options.byte_code else "not compiled beforehand"
    yield (
        f"Python {options.python.version}, byte code {compiled}, {options.cold} cold rounds, "
        f"{options.rounds} warm rounds of {SLICES * CALLS} calls of a kind, order by seed {SEED}"
    )
    yield "ratios: the median of the rounds' ratios, and its 95 % interval"
    yield ""
    control = "A'/A, the control"
    yield f"{'CPU ms':40}{'A':>9}{'B':>9}   {'B/A':25}{control}"
    for metric in measured.metrics:
        yield (
            f"{metric.title:40}{metric.base_ms:9.3f}{metric.now_ms:9.3f}   "
            f"{metric.ratios.change!s:25}{metric.ratios.control!s:25}"
            f"{verdict(metric, options.limit)}"
        )
    for title, why in measured.left_out.items():
        yield f"{title:40} not compared: BASE answers {why}"


def verdict(metric: Metric, limit: float | None) -> str:
    """The verdict about a metric, in a few words."""
    text = "no difference shown"
    if metric.ratios.is_difference():
        text = f"{metric.ratios.change.median:.3f}"
    # Wall time includes the time of other programs on this machine.
    if limit is None or not metric.is_cpu_time:
        return text
    if metric.ratios.is_within(limit):
        return f"{text}; at most {limit:g}"
    return f"{text}; {f'OVER {limit:g}' if is_over(metric, limit) else f'{limit:g} undecided'}"


def is_over(metric: Metric, limit: float | None) -> bool:
    """Whether a CPU time is over the limit by more than noise can explain."""
    return limit is not None and metric.is_cpu_time and metric.ratios.is_over(limit)


def _rounds(env: Mapping[str, str], name: str, default: str) -> int:
    text = env.get(name) or default
    if not (text.isascii() and text.isdigit() and MIN_ROUNDS <= int(text[:5]) <= 9999):
        raise CompareError(f"{name}={text} must be a whole number, {MIN_ROUNDS} to 9999")
    return int(text)


def _limit(text: str) -> float | None:
    if not text:
        return None
    try:
        limit = float(text)
    except ValueError:
        limit = math.nan
    if not 1 <= limit < math.inf:
        raise CompareError(f"LIMIT={text} must be a ratio of 1 or more, like 1.05")
    return limit


if __name__ == "__main__":
    sys.exit(main())
