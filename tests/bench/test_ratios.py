"""Tests that noise is not reported as a difference, and that a real difference is not reported as
noise."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.ratios import Comparison, Ratio, ratio_of, values_outside

AROUND_1 = Ratio(1.001, 0.99, 1.02)
Values = list[float]


def noisy(chance: random.Random, scale: float, count: int = 20) -> Values:
    """Return times in milliseconds, like those measured on a busy machine. Most times are near
    `scale`, and some are far above it."""
    return [
        scale * chance.lognormvariate(0, 0.05) * chance.choice([1, 1, 1, 1.5]) for _ in "x" * count
    ]


@pytest.mark.parametrize(
    ("count", "outside"), [(6, 0), (8, 0), (9, 1), (20, 5), (60, 21), (100, 39)]
)
def test_the_interval_is_that_of_the_tables(count: int, outside: int) -> None:
    """The expected numbers are in Conover, Practical Nonparametrics (95 % interval of the median by
    order statistics)."""
    assert values_outside(count) == outside


def test_too_few_rounds_are_refused() -> None:
    with pytest.raises(ValueError, match="5 rounds; must be 6 or more"):
        ratio_of([1.0] * 5, [1.0] * 5)


def test_rounds_are_divided_one_by_one() -> None:
    """Other work of the machine slows down both programs of a round alike, so it does not change
    the ratio of the round."""
    busy = [1.0, 2.0, 4.0, 8.0, 3.0, 5.0]
    assert ratio_of([1.1 * each for each in busy], busy) == Ratio(1.1, 1.1, 1.1)
    assert ratio_of(busy, busy) == Ratio(1.0, 1.0, 1.0)


def test_one_wild_round_moves_neither_median_nor_interval() -> None:
    assert ratio_of([*[1.0] * 9, 50.0], [1.0] * 10) == Ratio(1.0, 1.0, 1.0)


def test_equal_copies_show_hardly_ever_a_difference_and_a_slower_one_does() -> None:
    """A run compares twelve metrics, so it must be very rare that a metric seems to differ by
    chance."""
    chance = random.Random(1)  # noqa: S311 - noise, no secret
    shown = slower = 0
    for _ in range(1000):
        base, control, now = (noisy(chance, 1.0) for _ in range(3))
        held = ratio_of(control, base)
        shown += Comparison(ratio_of(now, base), held).is_difference()
        slow = [2 * each for each in now]
        slower += Comparison(ratio_of(slow, base), held).is_difference()
    assert shown <= 5
    assert slower == 1000


@pytest.mark.parametrize(
    ("change", "is_difference"),
    [
        (Ratio(1.05, 1.021, 1.08), True),
        (Ratio(1.05, 1.02, 1.08), False),
        (Ratio(0.9, 0.88, 0.989), True),
        (Ratio(0.9, 0.88, 0.99), False),
        (Ratio(1.0, 0.999, 1.001), False),
    ],
)
def test_a_difference_lies_wholly_outside_the_control(change: Ratio, is_difference: bool) -> None:
    assert Comparison(change, AROUND_1).is_difference() is is_difference


@pytest.mark.parametrize("control", [Ratio(0.9, 0.88, 0.95), Ratio(1.1, 1.05, 1.12)])
def test_a_control_that_is_off_makes_no_difference_of_1(control: Ratio) -> None:
    """If two equal copies differ, the run is too noisy, so a difference of the new copy does not
    count."""
    assert not Comparison(Ratio(1.0, 0.999, 1.001), control).is_difference()


def test_a_limit_is_kept_missed_or_undecided_by_the_whole_interval() -> None:
    within = Comparison(Ratio(1.02, 1.0, 1.05), AROUND_1)
    undecided = Comparison(Ratio(1.06, 1.04, 1.08), AROUND_1)
    over = Comparison(Ratio(1.08, 1.051, 1.1), AROUND_1)
    found = [(each.is_within(1.05), each.is_over(1.05)) for each in (within, undecided, over)]
    assert found == [(True, False), (False, False), (False, True)]
    # Here the control, which compares two equal copies, reaches 1.06. The change `over` begins at
    # 1.051, so it may be noise, and does not count as a difference.
    assert not over._replace(control=Ratio(1.0, 0.9, 1.06)).is_over(1.05)


@given(st.lists(st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)), min_size=6, max_size=80))
def test_the_median_lies_in_its_interval(pairs: list[tuple[float, float]]) -> None:
    ratio = ratio_of(*zip(*pairs, strict=True))
    assert ratio.low <= ratio.median <= ratio.high
