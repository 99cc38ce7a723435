"""`make bench`: measures the deployed function, its peers and an earlier version.

It measures the built package as read-only files, on the runtime's Python if that is installed. The
package calls a stand-in of the cloud over TLS. CPU time is measured on full cores. Wall time is
measured while the process gets only a share of a CPU. This needs a cgroup of Linux: if none can be
made, wall time is left out. `make bench BASE=…` is in compare.py. Variables:

    QUICK=1   few rounds, only at 0.1 vCPU: under 4 minutes instead of under 20
    WRITE=1   rewrite the tables of docs/benchmark.md and its plot
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench import deployed, packages
from bench.copies import CompareError
from bench.deployed import VCPUS, Values
from bench.musts import Results, tables
from bench.packages import Packages
from bench.plot import Bar, svg
from ops import ROOT
from ops.package import PackageError
from ops.runtime import HOW_TO_GET_ONE, Python, find_or_this

BASE = "b291437"
"""The commit of the earlier version."""
PAGE = ROOT / "docs" / "benchmark.md"
PLOT = ROOT / "docs" / "images" / "first-token.svg"
BEGIN = "<!-- made by `make bench WRITE=1` -->"
END = "<!-- until here -->"

LABELS = {
    "hs256": "ours, a login (HS256)",
    "anonymous": "ours, AUTH=anonymous",
    "template": "ours, in the template",
    "base": f"the package of {BASE}",
    "base template": f"the template of {BASE}",
    "AcsClient": "AcsClient, no login",
    "52 lines": "52 lines, a login (HS256)",
}


class Size(NamedTuple):
    """How much is measured: the number of rounds for each kind of measurement, and the shares of a
    CPU."""

    cold: int
    warm: int
    slices: int
    slow: int
    vcpus: tuple[float, ...]
    requests: int


FULL = Size(cold=30, warm=30, slices=3, slow=6, vcpus=VCPUS, requests=100_000)
QUICK = Size(cold=5, warm=5, slices=2, slow=2, vcpus=VCPUS[:1], requests=10_000)


def main() -> int:
    """Measure and report. Return 0, or 1 with the fault on stderr, or 130 after Ctrl-C."""
    size = QUICK if os.environ.get("QUICK") else FULL
    try:
        python = find_or_this()
        if not python.is_runtime:
            print(f"Measured on Python {python.version}. For the runtime's: {HOW_TO_GET_ONE}")
        with tempfile.TemporaryDirectory(prefix="bench-") as name:
            found = measure(size, python, Path(name))
    except (CompareError, PackageError) as error:
        print(f"make bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("make bench: interrupted", file=sys.stderr)
        return 130
    print("\n".join(["", *tables(found)]))
    if os.environ.get("WRITE"):
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")
        PLOT.write_text(plot(found), encoding="utf-8")
        names = f"{PAGE.relative_to(ROOT)} and {PLOT.relative_to(ROOT)}"
        print(f"\n{names} are written. Now compare their ratios with README.md.")
    return 0


def measure(size: Size, python: Python, folder: Path) -> Results:
    """Build everything in an empty folder and run it. Raises CompareError and PackageError."""
    _say("Building the packages ...")
    made = packages.make(BASE, python, folder)
    place = folder / "world"
    place.mkdir()
    with deployed.world(made, python.path, place) as world:
        _say(f"{size.cold} rounds of cold starts ...")
        cold = deployed.cold(world, size.cold)
        _say(f"{size.slow} rounds with limited CPU time ...")
        slow = {vcpu: deployed.slow(world, vcpu, size.slow) for vcpu in size.vcpus}
        _say(f"{size.warm} rounds of warm calls ...")
        warm = deployed.warm(world, size.warm, size.slices)
        _say(f"Memory over {size.requests:,} requests ...")
        memory = deployed.memory(world, size.requests)
    how = (
        f"Python {python.version}, over TLS. CPU times are medians of {size.cold} rounds. The "
        "brackets have the 95 % interval, or the whole range if there are fewer than 6 rounds"
    )
    return Results(cold, slow, warm, memory, dict(_sizes(made)), machine(), how)


def machine() -> str:
    """The machine in one line."""
    model, governor = platform.machine(), ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        model = names[0] if names else model
    chosen = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    if chosen.exists():
        governor = f", governor {chosen.read_text().strip()}"
    kernel = f"{platform.system()} {platform.release()}"
    return f"{model}, {os.cpu_count()} cores{governor}, {kernel}"


def written(page: str, found: Results) -> str:
    """Return the text of `page` with the tables of this run. The tables replace the text between
    the markers BEGIN and END."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise CompareError(f"{PAGE.relative_to(ROOT)} has no {BEGIN} with {END} after it")
    return "\n".join([head + BEGIN, "", *tables(found), "", END + tail])


def plot(found: Results) -> str:
    """The plot of first tokens. It shows the wall time at 0.1 vCPU if this was measured, otherwise
    the CPU time."""
    slow = found.slow.get(0.1)
    title, unit, values = "CPU time of a cold start with its first token", "ms", found.cold
    if slow is not None:
        seconds: Values = {name: [ms / 1000 for ms in each] for name, each in slow.items()}
        title, unit, values = "Cold start with its first token at 0.1 vCPU", "s", seconds
    ours = ("hs256", "anonymous", "template")
    return svg(title, unit, [Bar(LABELS[n], values[n], n in ours) for n in LABELS])


def _sizes(made: Packages) -> Iterator[tuple[str, int]]:
    yield "zip of the package", made.ours.size
    yield "template with its code", made.template.size
    yield f"zip of {BASE}", made.base.size
    yield f"template of {BASE}", made.base_template.size


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
