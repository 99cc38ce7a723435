"""Collects the results of each case, for the table of `make chaos`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from chaos_table import PROPERTY, Row, Tries


@pytest.fixture
def tries(record_property: Callable[[str, object], None]) -> Iterator[Tries]:
    """Collect the data of one row of the table."""
    made = Tries()
    yield made
    answers = " or ".join(dict.fromkeys(made.answers))
    row = Row(made.between, made.fault, len(made.answers), answers, made.slowest)
    record_property(PROPERTY, list(row))
