"""Rounds of a comparison. In each round, every copy runs in a fresh process. The order of the
copies is random in each round."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from statistics import median
from typing import NamedTuple

from bench import stub_sts
from bench.calls import CALLS, SCENARIOS, Scenario, Slice, cold_event, environment, slices
from bench.copies import CompareError, Copies, Python
from bench.process import Process, started
from bench.ratios import Comparison, ratio_of

SEED = 20261124
"""The seed of the random orders. With a fixed seed, every run has the same orders."""

COLD, WALL = "cold start, first token", "the same by the wall clock"

# How error messages name the copies that are compared.
_COPIES = {"base": "BASE", "control": "the copy of BASE", "now": "this working tree"}


class Metric(NamedTuple):
    """The values of one metric over all rounds: the medians in milliseconds of BASE and of the
    working tree, and the ratios of both."""

    title: str
    base_ms: float
    now_ms: float
    ratios: Comparison
    is_cpu_time: bool


class Measured(NamedTuple):
    """The results of a comparison. `left_out` lists the calls that were not compared, because BASE
    refuses them: it maps their titles to the reasons."""

    metrics: list[Metric]
    left_out: Mapping[str, str]


class _Run(NamedTuple):
    """The result of one copy in one round. The keys of `ms` and `refused` are titles of calls. `ms`
    has the time of each call in milliseconds. `refused` says why the copy refused a call."""

    ms: dict[str, float]
    refused: dict[str, str]

    def note(self, title: str, refused: str | None) -> None:
        if refused:
            self.refused[title] = refused


_Round = dict[str, _Run]
"""The results of one round, one for each copy. A key is the name of a field of Copies."""


def measure(copies: Copies, python: Python, *, cold: int, warm: int, count: int) -> Measured:
    """Run `cold` rounds of cold starts, then `warm` rounds of warm calls. A round of warm calls has
    `count` slices of each kind of call.

    Raises CompareError if a copy does not run, or if it refuses a call that BASE answers.
    """
    with stub_sts.running() as port:
        runner = _Runner(copies, python, port)
        # This round is not measured. It fills the file cache, and finds the calls that BASE
        # refuses.
        runner.round(1)
        cold_rounds = [runner.round(0) for _ in _told("cold starts", cold)]
        warm_rounds = [runner.round(count) for _ in _told("warm calls", warm)]
    starts = list(cold_rounds[0]["base"].ms)
    kinds = [title for title in warm_rounds[0]["base"].ms if title not in starts]
    metrics = [_metric(title, cold_rounds) for title in starts]
    metrics += [_metric(title, warm_rounds) for title in kinds]
    return Measured(metrics, runner.left_out)


class _Runner:
    """Runs rounds. The first round finds the calls that BASE refuses. Later rounds leave these
    calls out (`left_out`)."""

    def __init__(self, copies: Copies, python: Python, port: str) -> None:
        self.left_out: Mapping[str, str] = {}
        self._is_first = True
        self._copies = copies._asdict()
        self._python = python
        self._port = port
        self._random = random.Random(SEED)  # noqa: S311 - an order, no secret

    def round(self, count: int) -> _Round:
        """Measure each copy in each scenario: first the cold start, then `count` slices of calls
        of each kind."""
        found: _Round = {name: _Run({}, {}) for name in self._copies}
        for scenario in SCENARIOS:
            now = time.time()
            with ExitStack() as stack:
                processes = self._started(scenario, now, found, stack)
                if count:
                    self._warm(scenario, slices(scenario, count + 1, now), found, processes)
        self._judge(found)
        return found

    def _started(
        self, scenario: Scenario, now: float, found: _Round, stack: ExitStack
    ) -> dict[str, Process]:
        processes = {}
        for name in self._shuffled():
            variables = environment(scenario, self._port)
            process = started(_COPIES[name], [self._copies[name]], self._python.path, variables)
            processes[name] = stack.enter_context(process)
            answer = processes[name].ask(cold_event(scenario, now))
            found[name].ms[COLD + scenario.label] = answer["cold"]
            found[name].ms[WALL + scenario.label] = answer["wall"]
            found[name].note(COLD + scenario.label, answer["refused"])
        return processes

    def _warm(
        self,
        scenario: Scenario,
        kinds: Mapping[str, Sequence[Slice]],
        found: _Round,
        processes: Mapping[str, Process],
    ) -> None:
        for kind, parts in kinds.items():
            title = kind + scenario.label
            if title in self.left_out:
                continue
            sums = dict.fromkeys(processes, 0.0)
            for number, part in enumerate(parts):
                line = json.dumps(part)
                for name in self._shuffled():
                    answer = processes[name].ask(line)
                    found[name].note(title, answer["refused"])
                    # The first slice imports modules and fills caches for all later slices.
                    sums[name] += answer["cpu"] if number else 0.0
            for name, cpu in sums.items():
                found[name].ms[title] = cpu / (len(parts) - 1) / CALLS

    def _shuffled(self) -> list[str]:
        return self._random.sample(list(self._copies), len(self._copies))

    def _judge(self, found: _Round) -> None:
        """Raise CompareError if a copy refused a call that is not in `left_out`."""
        if self._is_first:
            self._is_first = False
            self.left_out = {
                title: why
                for title, why in found["base"].refused.items()
                if not title.startswith(COLD)
            }
        for name, run in found.items():
            for title, why in run.refused.items():
                if title not in self.left_out:
                    raise CompareError(f"{_COPIES[name]} answers {why} ({title})")


def _metric(title: str, rounds: list[_Round]) -> Metric:
    base, control, now = ([each[name].ms[title] for each in rounds] for name in Copies._fields)
    ratios = Comparison(ratio_of(now, base), ratio_of(control, base))
    return Metric(title, median(base), median(now), ratios, not title.startswith(WALL))


def _told(what: str, count: int) -> Iterator[int]:
    """Count rounds, and show the progress on a terminal."""
    print(f"{count} rounds of {what} ...", flush=True)
    for number in range(count):
        if sys.stderr.isatty():
            print(f"\r  round {number + 1} of {count} ", end="", file=sys.stderr, flush=True)
        yield number
    if sys.stderr.isatty():
        print("\r" + " " * 30 + "\r", end="", file=sys.stderr)
