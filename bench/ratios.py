"""Decides whether a ratio of two copies is significant, compared with that of two equal copies."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from typing import NamedTuple

MIN_ROUNDS = 6
"""Fewer values have no 95 % interval of their median."""


class Ratio(NamedTuple):
    """The median of the rounds' ratios, and its 95 % interval; to a thousandth."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.low:.3f} to {self.high:.3f})"


class Comparison(NamedTuple):
    """A ratio of before and after, and that of two equal copies, which is noise."""

    change: Ratio
    control: Ratio

    def is_difference(self) -> bool:
        """Whether the change's interval lies wholly outside the control's, and outside 1."""
        change, control = self
        return change.low > max(control.high, 1.0) or change.high < min(control.low, 1.0)

    def is_within(self, limit: float) -> bool:
        """Whether the change's whole interval is at most `limit`, which is 1 or more."""
        return self.change.high <= limit

    def is_over(self, limit: float) -> bool:
        """Whether it is a difference, and its whole interval is over `limit`, 1 or more.

        A ratio that is neither within nor over is undecided: more rounds narrow the interval.
        """
        return self.is_difference() and self.change.low > limit


def ratio_of(above: Sequence[float], below: Sequence[float]) -> Ratio:
    """Divide round by round; raises ValueError for fewer than MIN_ROUNDS rounds.

    The interval is that of the order statistics: exact, whatever the noise looks like.
    """
    ratios = sorted(a / b for a, b in zip(above, below, strict=True))
    count = len(ratios)
    if count < MIN_ROUNDS:
        raise ValueError(f"{count} rounds; must be {MIN_ROUNDS} or more")
    cut = values_outside(count)
    middle = (ratios[(count - 1) // 2] + ratios[count // 2]) / 2
    return Ratio(round(middle, 3), round(ratios[cut], 3), round(ratios[count - 1 - cut], 3))


def values_outside(count: int) -> int:
    """How many of `count` sorted values, at each end, the 95 % interval of their median leaves out.

    The median lies below the k-th smallest as often as `count` throws of a coin show fewer than k
    heads.
    """
    heads, ways = 0, 1
    while 2 * (ways + comb(count, heads + 1)) <= 0.05 * 2**count:
        heads += 1
        ways += comb(count, heads)
    return heads
