"""The table of `make chaos`. This plugin of pytest collects what the test cases report."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import pytest

T = TypeVar("T")

PROPERTY = "chaos"
_HEAD = ("between", "fault", "tries", "answer", "slowest", "verdict")


class Row(NamedTuple):
    """A row of the table: a fault between two parts of the system, how often it was tried, the
    answers of the tested part, and the seconds that the slowest answer took."""

    between: str
    fault: str
    tries: int
    answer: str
    slowest: float


class Tries:
    """What happened in one test case: the two parts of the system, the fault between them, and the
    answer to each try."""

    def __init__(self) -> None:
        self.between, self.fault = "", ""
        self.answers: list[str] = []
        self.slowest = 0.0

    def name(self, between: str, fault: str) -> None:
        """Set the texts that the table shows for this case. `fault` is the name of the fault, and
        `between` names the two parts between which the fault happens."""
        self.between, self.fault = between, fault

    def ask(self, call: Callable[[], T]) -> T:
        """Make the call, and assert that the answer comes within 5 s, as the contract says."""
        began = time.monotonic()
        answered = call()
        seconds = time.monotonic() - began
        self.slowest = max(self.slowest, seconds)
        assert seconds < 5
        return answered

    def note(self, answer: str) -> None:
        """Record how one try was answered."""
        self.answers.append(answer)


class Table:
    """The rows of the table: one for each case that ran, in this process or in a worker of
    pytest-xdist. `lost` counts failed cases. `untried` has the reason for each case that could not
    run."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.failed: set[str] = set()
        self.untried: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A hook of pytest, called after setup, call and teardown. Only the last report has all
        properties."""
        if report.failed:
            self.failed.add(report.nodeid)
        elif report.skipped and isinstance(report.longrepr, tuple):
            self.untried[report.nodeid] = report.longrepr[2].removeprefix("Skipped: ")
        told = dict(report.user_properties).get(PROPERTY)
        if report.when == "teardown" and isinstance(told, list):
            self.rows[report.nodeid] = Row(*told)

    @property
    def lost(self) -> int:
        """How many cases failed."""
        return len(self.failed)

    def lines(self) -> list[str]:
        """The table as text. A failed case that reported nothing is listed by its name."""
        cells = [_HEAD]
        names = {*self.rows, *self.failed, *self.untried}
        known = {name: self.rows.get(name, Row("", "", 0, "", 0.0)) for name in names}
        for name, row in sorted(known.items(), key=lambda item: (item[1].between, item[0])):
            verdict = "LOST" if name in self.failed else "survived"
            if name in self.untried:
                verdict = f"not tried: {self.untried[name]}"
            slowest = f"{row.slowest:.2f} s" if row.tries else ""
            fault = row.fault or name.rpartition("::")[2]
            cells.append((row.between, fault, str(row.tries), row.answer, slowest, verdict))
        widths = [max(len(line[column]) for line in cells) for column in range(len(_HEAD))]
        table = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in cells
        ]
        tried = sum(row.tries for row in self.rows.values())
        survived = len(names) - self.lost - len(self.untried)
        return [
            *table,
            "",
            f"{len(names)} faults, {tried} tries: {survived} survived, {self.lost} lost, "
            f"{len(self.untried)} not tried",
        ]
