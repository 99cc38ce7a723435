"""What each case tells the table of `make chaos`, and what it may leave behind: nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from chaos_table import PROPERTY, Row

T = TypeVar("T")


class Tries:
    """The tries of one case: between whom, which fault, and how it was answered."""

    def __init__(self) -> None:
        self.between, self.fault = "", ""
        self.answers: list[str] = []
        self.slowest = 0.0

    def name(self, between: str, fault: str) -> None:
        """Say what is tried."""
        self.between, self.fault = between, fault

    def ask(self, call: Callable[[], T]) -> T:
        """Ask, and hold that the answer comes within 5 s: not a measurement, but the contract."""
        began = time.monotonic()
        answered = call()
        seconds = time.monotonic() - began
        self.slowest = max(self.slowest, seconds)
        assert seconds < 5
        return answered

    def note(self, answer: str) -> None:
        """Say how one try was answered."""
        self.answers.append(answer)


@pytest.fixture
def tries(record_property: Callable[[str, object], None]) -> Iterator[Tries]:
    """What goes into the table as one row."""
    made = Tries()
    yield made
    answers = " or ".join(dict.fromkeys(made.answers))
    row = Row(made.between, made.fault, len(made.answers), answers, made.slowest)
    record_property(PROPERTY, list(row))
