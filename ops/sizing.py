"""Computes the tables of docs/sizing.md from docs/sizing.toml. `make docs` writes them.

The formula `load` computes the load for each number of devices. The formula `month_usd` computes
the price of a month. The file and the page list the vendor's facts, our measurements and the
reader's own numbers separately.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, NamedTuple

from ops import ROOT
from token_service.token.cache import MIN_SECONDS_LEFT

FILE = ROOT / "docs" / "sizing.toml"
PAGE = ROOT / "docs" / "sizing.md"
DEVICES = (10_000, 1_000_000, 100_000_000)  # the rows of the table `devices`
DAY_SECONDS, MONTH_DAYS, GB = 86_400, 30, 1e9  # GB: the bytes of a GB in prices
_STEP_GB, _LEAST_GB = 0.0625, 0.125
_BLOCK = re.compile(r"(<!-- (\w+): made by `make docs` -->\n).*?(<!-- until here -->)", re.DOTALL)

Values = Mapping[str, float]


class Line(NamedTuple):
    """A fact or an input: `value` in `unit`. A fact also has its source and its date."""

    name: str
    value: float
    unit: str
    says: str
    source: str = ""
    dated: str = ""


class Start(NamedTuple):
    """The seconds from the start of the process to the first token, on a machine of `vcpu` vCPU.
    `builtin` and `custom` are the two runtimes."""

    vcpu: float
    builtin: float
    custom: float


class Sizing(NamedTuple):
    """All of docs/sizing.toml. `value` maps the name of each fact, measurement and input to its
    number."""

    facts: tuple[Line, ...]
    inputs: tuple[Line, ...]
    starts: tuple[Start, ...]
    measured: str
    value: Values


class Way(NamedTuple):
    """A way for an app to get permission to upload. `token_seconds` is how long a token is valid.
    If it is 0, the app asks the function for each upload. `asks_sts` says whether a request may
    need a call to STS."""

    name: str
    token_seconds: float
    asks_sts: bool


class Load(NamedTuple):
    """Requests of the devices in a day and in the busiest second, and calls of STS in the busiest
    second. `seconds` is the time of one request, and `cpu_seconds` its CPU time on a full core."""

    a_day: float
    peak: float
    sts_peak: float
    seconds: float
    cpu_seconds: float


def read() -> Sizing:
    """Read docs/sizing.toml. Raises TypeError for a member that is missing or unknown, and
    ValueError for a name that is used twice."""
    # Python 3.10 has no tomllib.
    toml = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    found: dict[str, Any] = toml.loads(FILE.read_text(encoding="utf-8"))
    facts = tuple(Line(**one) for one in found["fact"])
    inputs = tuple(Line(**one) for one in found["input"])
    own: dict[str, Any] = found["function"]
    measured: str = own.pop("measured")
    names = [*(one.name for one in (*facts, *inputs)), *own]
    if len(set(names)) != len(names):
        raise ValueError("docs/sizing.toml has the same name twice")
    value = {one.name: one.value for one in (*facts, *inputs)} | own
    return Sizing(facts, inputs, tuple(Start(**one) for one in found["measured"]), measured, value)


# The formula


def memory_gb(value: Values, vcpu: float) -> float:
    """Return the least memory for this many vCPU in Function Compute, in GB of 1,024 MB."""
    steps = math.ceil(vcpu * value["memory_gb_a_vcpu"] / _STEP_GB)
    return max(_LEAST_GB, steps * _STEP_GB)


def cu(value: Values, vcpu: float, calls: float, busy: float, idle: float) -> float:
    """Return how many CU (the vendor's unit for billing) this many calls use. The instances are
    busy for `busy` seconds and idle for `idle` seconds."""
    memory = memory_gb(value, vcpu) * value["cu_a_gb_second"]
    busy_second = vcpu * value["cu_a_vcpu_second"] + memory
    idle_second = vcpu * value["cu_an_idle_vcpu_second"] + memory
    return calls * value["cu_a_call"] + busy * busy_second + idle * idle_second


def usd(value: Values, units: float) -> float:
    """Return the price of this many CU in one month, with the vendor's three price tiers."""
    return (
        min(units, 1e8) * value["cu_usd"]
        + min(max(units - 1e8, 0), 4e8) * value["cu_usd_over_100_million"]
        + max(units - 5e8, 0) * value["cu_usd_over_500_million"]
    )


def ways(value: Values) -> tuple[Way, ...]:
    """Return the ways to upload that the page compares: with a token, or with a signed URL."""
    kept = (value["token_seconds"], value["long_token_seconds"])
    return (
        Way("a token for each upload", 0, asks_sts=True),
        *(Way(f"a token of {life:,} s, kept", life, asks_sts=True) for life in kept),
        Way("a signed URL for each upload", 0, asks_sts=False),
    )


def asks_a_day(value: Values, way: Way) -> float:
    """Return how often one device asks the function in a day."""
    uploads = value["uploads_a_day"]
    if not way.token_seconds:
        return uploads
    kept_seconds = max(way.token_seconds - MIN_SECONDS_LEFT, 1)
    return min(uploads, max(1, value["active_seconds_a_day"] / kept_seconds))


def load(value: Values, way: Way, devices: float, vcpu: float) -> Load:
    """Compute requests, calls of STS and seconds from a number of devices. docs/sizing.md
    explains this formula."""
    a_day = devices * asks_a_day(value, way)
    peak = a_day / DAY_SECONDS * value["peak_factor"]
    new = (1 - value["served_again"]) * way.asks_sts
    cpu_seconds = value["cpu_seconds_new_token" if way.asks_sts else "cpu_seconds_signed_url"]
    seconds = value["sts_seconds"] * new + cpu_seconds / vcpu
    return Load(a_day, peak, peak * new, seconds, cpu_seconds)


def instances(asked: Load, rate: float, at_once: float, vcpu: float) -> int:
    """Return how many instances are needed for `rate` requests a second. Two numbers are computed:
    how many instances can hold all requests that run at the same time, and how many instances have
    enough CPU time. The larger number is returned."""
    by_requests = math.ceil(rate * asked.seconds / at_once)
    by_cpu = math.ceil(rate * asked.cpu_seconds / vcpu)
    return max(1, by_requests, by_cpu)


def month_usd(value: Values, asked: Load, at_once: float, vcpu: float) -> float:
    """Return the price of Function Compute in a month, with outgoing traffic, without logs."""
    # If an instance serves several requests at the same time, each second is billed only once.
    # `most` is the maximum of billed seconds in a day. It is reached if all instances that the mean
    # rate needs are busy all day.
    most = instances(asked, asked.a_day / DAY_SECONDS, at_once, vcpu) * DAY_SECONDS
    busy = min(asked.a_day * asked.seconds, most)
    idle = min(asked.a_day * value["released_after_seconds"], most - busy)
    units = cu(value, vcpu, asked.a_day, busy, idle) * MONTH_DAYS
    return usd(value, units) + traffic_gb(value, asked) * value["traffic_usd_a_gb"]


def traffic_gb(value: Values, asked: Load) -> float:
    """Return the outgoing traffic of a month in GB."""
    return asked.a_day * MONTH_DAYS * value["answer_bytes"] / GB


def kept_usd(value: Values, vcpu: float) -> float:
    """Return the price of one instance that is kept idle for a month."""
    return usd(value, cu(value, vcpu, calls=0, busy=0, idle=MONTH_DAYS * DAY_SECONDS))


def calls_usd(value: Values, vcpu: float, calls: int, seconds: float) -> float:
    """Return the price of this many calls. Each call uses its own instance, which ends after
    the call."""
    idle = calls * value["released_after_seconds"]
    return usd(value, cu(value, vcpu, calls, calls * seconds, idle))


# The page


def facts(sizing: Sizing) -> Iterator[tuple[str, ...]]:
    """The vendor's documented facts."""
    yield "fact", "value", "where from", "since"
    for one in sizing.facts:
        linked = f"[{one.source.rpartition('/')[2]}]({one.source})" if "://" in one.source else ""
        yield (
            one.says,
            f"{one.value:.6f}".rstrip("0").rstrip(".") + f" {one.unit}",
            (linked or one.source),
            one.dated,
        )


def inputs(sizing: Sizing) -> Iterator[tuple[str, ...]]:
    """The table of the inputs: numbers that only the reader of docs/sizing.md knows."""
    yield "input", "meaning", "here"
    for one in sizing.inputs:
        yield f"`{one.name}`", one.says, f"{one.value:,} {one.unit}".strip()


def sizes(sizing: Sizing) -> Iterator[tuple[str, ...]]:
    """Yield the header and the rows of a table. Each row is for one vCPU value: the time to the
    first token, a burst, and the prices."""
    value = sizing.value
    burst, at_once = value["burst"], value["custom_at_once"]
    yield (
        "vCPU, least memory",
        "first token, `python3.10`",
        "first token, `custom`",
        f"burst of {burst:,}, `python3.10`",
        f"burst of {burst:,}, `custom`",
        "a thousand cold starts, USD",
        "a million new tokens, USD",
        "one instance kept for a month, USD",
    )
    for vcpu, builtin, custom in sizing.starts:
        asked = load(value, ways(value)[0], 1, vcpu)
        first = value["platform_seconds"] + custom
        needed = math.ceil(burst / at_once)
        # Each request opens its own connection to STS, because no connection is open yet.
        each = asked.cpu_seconds + value["cpu_seconds_new_connection"]
        last = first + min(burst, at_once) * each / vcpu
        million = cu(value, vcpu, 1e6, 1e6 * asked.seconds, 0)
        yield (
            f"{vcpu:g}, {memory_gb(value, vcpu) * 1024:.0f} MB",
            f"{value['platform_seconds'] + builtin:.2f} s",
            f"{first:.2f} s",
            f"{min(value['cap'], burst):,} served, {max(burst - value['cap'], 0):,} refused",
            f"all served within {last:.1f} s, {needed} instance{'s' * (needed > 1)}",
            f"{calls_usd(value, vcpu, 1000, builtin):.3f}",
            f"{usd(value, million):.2f}",
            f"{kept_usd(value, vcpu):.2f}",
        )


def tokens(sizing: Sizing) -> Iterator[tuple[str, ...]]:
    """How many devices fit into STS's limit, with each lifetime of tokens and with signed URLs."""
    value = sizing.value
    yield "way", "requests of one device a day", "devices at STS's limit for one account"
    for way in ways(value):
        asked = load(value, way, 1, value["vcpu"])
        most = value["sts_a_second"] / asked.sts_peak if asked.sts_peak else math.inf
        most_said = "no limit of STS" if most == math.inf else f"{int(most):,}"
        yield way.name, f"{asked.a_day:.3g}", most_said


def devices(sizing: Sizing) -> Iterator[tuple[str, ...]]:
    """Requests, instances and prices for each number of devices."""
    value, vcpu = sizing.value, sizing.value["vcpu"]
    yield (
        "devices",
        "way",
        "requests a second, at the peak",
        "of these, calls of STS",
        "instances at the peak, `python3.10`",
        "`custom`",
        "USD a month, `python3.10`",
        "`custom`",
        "traffic a month",
    )
    for number in DEVICES:
        for way in ways(value):
            asked = load(value, way, number, vcpu)
            over = asked.sts_peak > value["sts_a_second"]
            at_once = (value["builtin_at_once"], value["custom_at_once"])
            yield (
                f"{number:,}",
                way.name,
                _rate(asked.peak),
                f"**{_rate(asked.sts_peak)}: too many**" if over else _rate(asked.sts_peak),
                *(f"{instances(asked, asked.peak, some, vcpu):,}" for some in at_once),
                *(f"{month_usd(value, asked, some, vcpu):,.2f}" for some in at_once),
                f"{traffic_gb(value, asked):,.1f} GB",
            )


def measured(sizing: Sizing) -> Iterator[tuple[str, ...]]:
    """This project's own measurements, and when and where they were made."""
    value = sizing.value
    yield "figure", "value"
    yield "measured", sizing.measured
    for start in sizing.starts:
        said = f"{start.builtin:.2f} s (`python3.10`), {start.custom:.2f} s (`custom`)"
        yield f"process start to first token, {start.vcpu:g} vCPU", said
    yield (
        "CPU time of a new token",
        f"{value['cpu_seconds_new_token'] * 1000:.2f} ms of a full core",
    )
    yield (
        "CPU time of a signed URL",
        f"{value['cpu_seconds_signed_url'] * 1000:.2f} ms of a full core",
    )
    opened = f"{value['cpu_seconds_new_connection'] * 1000:.2f} ms of a full core"
    yield "CPU time of a new connection to STS", opened
    yield "an answer with its headers", f"{value['answer_bytes']:,} bytes"


TABLES: Mapping[str, Callable[[Sizing], Iterator[tuple[str, ...]]]] = {
    made.__name__: made for made in (facts, inputs, sizes, tokens, devices, measured)
}
"""The tables of the page. The key is the name in the table's marker."""


def page(text: str, sizing: Sizing) -> str:
    """Return the page's text with new tables. Raises ValueError if a table has no marker."""
    if sorted(TABLES) != sorted(found[1] for found in _BLOCK.findall(text)):
        raise ValueError(f"docs/sizing.md must have each of these tables once: {', '.join(TABLES)}")

    def table(found: re.Match[str]) -> str:
        head, *rows = (f"| {' | '.join(cells)} |" for cells in TABLES[found[2]](sizing))
        lines = (head, "|---" * (head.count(" | ") + 1) + "|", *rows)
        return "\n".join((found[1], *lines, "", found[3]))

    return _BLOCK.sub(table, text)


def write() -> bool:
    """Write the page's tables; return whether one changed."""
    text = PAGE.read_text(encoding="utf-8")
    made = page(text, read())
    if made != text:
        PAGE.write_text(made, encoding="utf-8")
    return made != text


def _rate(a_second: float) -> str:
    return f"{a_second:,.0f}" if a_second >= 10 or not a_second else f"{a_second:.2g}"
