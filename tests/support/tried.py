"""The count of `make fuzz`: how many examples each property had, and whether they were enough.

A property has the mark `@pytest.mark.tries("names")`, which names the kind of its examples.
Examples that `assume` refuses and examples that failed are not counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping
from functools import wraps
from typing import Any

import pytest
from hypothesis import is_hypothesis_test, settings

FLOORS: Mapping[str, int] = {
    "events": 100_000,
    "pairs of callers": 10_000,
    "names": 10_000,
    "policies": 10_000,
    "forms": 10_000,
    "parts": 10_000,
    "callbacks": 10_000,
}
"""The minimum number of examples for all properties of a kind together. With fewer, `make fuzz`
fails."""
PROFILE = "long"
FEW = "mutants"
"""The profile of `make mutants`. `make mutants` runs a property a thousand times, each time with
few examples."""
FEW_EXAMPLES = 20
_EXAMPLES = "tried"


def examples(few: int, many: int = 10_000, **more: Any) -> settings:
    """Settings of a property. The property gets `many` examples in `make fuzz`, at most
    `FEW_EXAMPLES` in `make mutants`, and otherwise `few` examples."""
    numbers = {PROFILE: many, FEW: min(few, FEW_EXAMPLES)}
    return settings(max_examples=numbers.get(settings.get_current_profile_name(), few), **more)


class Tried:
    """A plugin of pytest that counts examples, and prints the table at the end. If too few examples
    were tried, a run of all properties (`is_whole`) fails. Other runs do not fail for
    this reason."""

    def __init__(self, *, is_whole: bool, floors: Mapping[str, int] = FLOORS) -> None:
        self._is_whole, self._floors = is_whole, floors
        self._count = 0
        self._examples: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._kinds: dict[str, str] = {}

    def note(self, name: str, kind: str, number: int, *, failed: bool) -> None:
        """Add the examples of one test. If a property has parameters, pytest runs it as several
        tests. Then the examples of these tests are added up."""
        self._kinds[name] = kind
        self._examples[name] += number
        self._failures[name] += failed

    def short(self) -> list[str]:
        """One sentence for each kind that had too few examples."""
        totals: Counter[str] = Counter()
        for name, kind in self._kinds.items():
            totals[kind] += self._examples[name]
        return [
            f"{kind}: {totals[kind]:,} tried, at least {least:,} are needed"
            for kind, least in self._floors.items()
            if self._is_whole and totals[kind] < least
        ]

    def table(self) -> list[str]:
        """Return the lines of a table. First each property has a line, grouped by kind. Then each
        kind has a line with its sum, and the last line is the sum of all."""
        names = sorted(
            self._kinds, key=lambda name: (not self._kinds[name], self._kinds[name], name)
        )
        rows = [(n, self._kinds[n], self._examples[n], self._failures[n]) for n in names]
        for kind in sorted({kind for kind in self._kinds.values() if kind}):
            rows.append((f"all {kind}", kind, *_sums(row for row in rows if row[1] == kind)))
        rows.append(
            ("all", "", *_sums((n, "", self._examples[n], self._failures[n]) for n in names))
        )
        wide = max(len(row[0]) for row in rows)
        lines = [f"{'property':{wide}}  {'of':16}  {'examples':>10}  failures"]
        lines += [f"{n:{wide}}  {kind:16}  {number:10,}  {bad:8}" for n, kind, number, bad in rows]
        return lines

    # Hooks of pytest

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for test in {item.obj for item in items if isinstance(item, pytest.Function)}:
            if is_hypothesis_test(test):
                # Hypothesis calls `inner_test` for each example. Plugins may replace it, as
                # Hypothesis's own pytest plugin does.
                test.hypothesis.inner_test = self._counted(test.hypothesis.inner_test)

    def _counted(self, test: Callable[..., None]) -> Callable[..., None]:
        @wraps(test)
        def counted(*args: Any, **kwargs: Any) -> None:
            test(*args, **kwargs)
            self._count += 1

        return counted

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        self._count = 0
        try:
            return (yield)
        finally:
            if item.get_closest_marker("hypothesis"):
                mark = item.get_closest_marker("tries")
                # This process runs the test, and another process may print the table. So the
                # report must contain the count.
                found = (item.nodeid.partition("[")[0], mark.args[0] if mark else "", self._count)
                item.user_properties.append((_EXAMPLES, found))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            found: list[tuple[str, Any]] = report.user_properties
            for name, value in found:
                if name == _EXAMPLES:
                    self.note(*value, failed=report.failed)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        is_worker = hasattr(session.config, "workerinput")
        if not is_worker and self.short() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("what was tried")
        for line in self.table():
            terminalreporter.write_line(line)
        for line in self.short():
            terminalreporter.write_line(f"TOO FEW  {line}", red=True)


def _sums(rows: Iterable[tuple[str, str, int, int]]) -> tuple[int, int]:
    found = list(rows)
    return sum(row[2] for row in found), sum(row[3] for row in found)
