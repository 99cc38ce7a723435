"""Tables of the results of `make bench`, and the limits that they must meet. Ratios come first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import NamedTuple

from bench.deployed import MIXED, State, Values
from bench.ratios import MIN_ROUNDS, Ratio, ratio_of


class Results(NamedTuple):
    """All results of a run. `cold` and `warm` are CPU milliseconds. `slow` has the wall-clock
    milliseconds for each vCPU value, or None for a value that was not measured. `sizes` has the
    sizes of the packages that are uploaded for a deployment, in bytes."""

    cold: Values
    slow: Mapping[float, Values | None]
    warm: Values
    memory: Mapping[str, Sequence[State]]
    sizes: Mapping[str, int]
    machine: str
    how: str


class Figure(NamedTuple):
    """A ratio or a number (`value`), and the limit that it must meet (`must`). `value` is None if
    it was not measured."""

    title: str
    value: Ratio | float | None
    must: float | None
    aim: float | None = None

    def verdict(self) -> str:
        """Say whether the median is within the limit: met or MISSED."""
        if self.value is None:
            return "not measured"
        middle = self.value.median if isinstance(self.value, Ratio) else self.value
        if self.must is None:
            return ""
        if middle > self.must:
            return "MISSED"
        return (
            "met"
            if self.aim is None
            else f"met; aim {self.aim:g} {'met' if middle <= self.aim else 'MISSED'}"
        )


# Each row has a title, what we measure, what we compare it with, the maximum ratio (must), and the
# ratio that we aim for.
_COLD = (
    ("cold start (anonymous) / `AcsClient`", "anonymous", "AcsClient", 0.55, None),
    ("cold start (HS256) / `AcsClient`", "hs256", "AcsClient", 0.60, None),
    ("cold start (JWKS by URL) / `AcsClient`", "jwks", "AcsClient", 0.90, None),
    ("cold start (HS256) / 52 lines of standard library", "hs256", "52 lines", 2.3, 2.0),
    ("cold start (HS256) / `alibabacloud-sts20150401`", "hs256", "sts20150401", None, None),
    ("cold start (HS256) / earlier version", "hs256", "base", None, None),
    ("cold start of the template (HS256) / earlier one", "template", "base template", None, None),
)
_SLOW = (
    ("first token at 0.1 vCPU (HS256) / earlier version", "hs256", "base", 0.45, None),
    ("first token at 0.1 vCPU, template / earlier one", "template", "base template", 0.75, None),
)
_WARM = (
    ("new token / bare `http.client` + `hmac`", "new token", "floor", 1.35, 1.25),
    ("new token / `AcsClient`", "new token", "AcsClient", None, None),
    ("new token / `alibabacloud-sts20150401`", "new token", "sts20150401", None, None),
    ("served again / bare `http.client` + `hmac`", "served again", "floor", 0.15, 0.12),
    ("signed URL, signing alone / `alibabacloud-oss-v2`", "signed URL, signing alone", "oss-v2",
     0.25, 0.2),
    ("signed URL, signing alone / `oss2`", "signed URL, signing alone", "oss2", None, None),
    ("signed URL, whole handler / `alibabacloud-oss-v2`", "signed URL", "oss-v2", None, None),
)  # fmt: skip
_CONTROLS = (
    ("control: cold start (anonymous), two equal copies", "anonymous again", "anonymous"),
    ("control: cold start (HS256), two equal copies", "hs256 again", "hs256"),
)


def figures(found: Results) -> Iterator[Figure]:
    """All ratios, and the limits of a process's memory. Ratios of two equal copies come last."""
    for title, ours, peer, must, aim in _COLD:
        yield Figure(title, ratio(found.cold, ours, peer), must, aim)
    at_least = found.slow.get(0.1)
    for title, ours, peer, must, aim in _SLOW:
        yield Figure(title, ratio(at_least, ours, peer) if at_least else None, must, aim)
    for title, ours, peer, must, aim in _WARM:
        yield Figure(title, ratio(found.warm, ours, peer), must, aim)
    peak, peer_peak = (found.memory[name][1].peak for name in ("hs256", "AcsClient"))
    yield Figure("memory, peak of 1,000 requests / `AcsClient`", peak / peer_peak,
                 0.70, 0.65)  # fmt: skip
    _, begin, end = found.memory[MIXED]
    for title, name, must in (
        (f"MB more after {end.requests:,} requests than after {begin.requests:,}", "rss", 1.0),
        ("descriptors more", "descriptors", 0.0),
        ("threads more", "threads", 0.0),
    ):
        yield Figure(title, round(getattr(end, name) - getattr(begin, name), 3), must)
    for title, again, first in _CONTROLS:
        yield Figure(title, ratio(found.cold, again, first), None)
    title = "control: new token, two equal copies"
    yield Figure(title, ratio(found.warm, "new token again", "new token"), None)


def ratio(values: Values, ours: str, peer: str) -> Ratio:
    """The median of the rounds' ratios and its 95 % interval. If there are fewer than MIN_ROUNDS
    rounds, the interval goes from the smallest ratio to the largest ratio."""
    above, below = values[ours], values[peer]
    if len(above) >= MIN_ROUNDS:
        return ratio_of(above, below)
    each = sorted(a / b for a, b in zip(above, below, strict=True))
    return Ratio(*(round(value, 3) for value in (median(each), each[0], each[-1])))


def tables(found: Results) -> list[str]:
    """The tables in Markdown. Spaces make the cells of a column equally wide, so the tables are
    readable in a terminal too."""
    ratios = [
        (
            figure.title,
            "" if figure.value is None else _shown(figure.value),
            "" if figure.must is None else f"{figure.must:g}",
            figure.verdict(),
        )
        for figure in figures(found)
    ]
    lines = [f"{found.machine}. {found.how}", ""]
    lines += table(("ours, divided by a peer's", "ratio", "at most", ""), ratios)
    shares = [f"{vcpu:g} vCPU, s" for vcpu in found.slow]
    cold = [
        (name, _middle(values), *(_seconds(found.slow[vcpu], name) for vcpu in found.slow))
        for name, values in found.cold.items()
    ]
    lines += ["", *table(("first token of a fresh process", "CPU ms", *shares), cold)]
    warm = [(name, _middle(values)) for name, values in found.warm.items()]
    lines += ["", *table(("one call", "CPU ms"), warm)]
    held = [
        (
            name,
            f"{state.requests:,}",
            f"{state.rss:.1f}",
            f"{state.peak:.1f}",
            f"{state.descriptors:g}",
            f"{state.threads:g}",
        )
        for name, states in found.memory.items()
        for state in states
    ]
    columns = ("a process", "requests", "MB", "peak MB", "descriptors", "threads")
    lines += ["", *table(columns, held)]
    sizes = [(name, f"{size / 1000:,.0f}") for name, size in found.sizes.items()]
    return [*lines, "", *table(("what is uploaded", "kB"), sizes)]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table in Markdown, with padded columns."""
    cells = [list(header), *map(list, rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


def _shown(value: Ratio | float) -> str:
    if isinstance(value, Ratio):
        return f"{value.median:.2f} ({value.low:.2f} to {value.high:.2f})"
    return f"{value:.2f}"


def _middle(values: Sequence[float]) -> str:
    return f"{median(values):.{1 if median(values) > 20 else 3}f}"


def _seconds(values: Values | None, name: str) -> str:
    if values is None:
        return "not measured"
    return f"{median(values[name]) / 1000:.2f}" if name in values else ""
