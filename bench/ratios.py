"""Decides whether a ratio is significant, by comparing it with the ratio of two equal copies."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from typing import NamedTuple

MIN_ROUNDS = 6
"""Fewer values cannot give a 95 % interval of the median."""


class Ratio(NamedTuple):
    """The median of the rounds' ratios, and its 95 % interval, rounded to a thousandth."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.low:.3f} to {self.high:.3f})"


class Comparison(NamedTuple):
    """`change` compares two versions. `control` compares two equal copies, so it shows the
    noise."""

    change: Ratio
    control: Ratio

    def is_difference(self) -> bool:
        """Whether the change makes a difference. The whole interval of `change` must be above both
        1 and the interval of `control`, or below both."""
        change, control = self
        return change.low > max(control.high, 1.0) or change.high < min(control.low, 1.0)

    def is_within(self, limit: float) -> bool:
        """Whether the whole interval of `change` is at most `limit`, which is 1 or more."""
        return self.change.high <= limit

    def is_over(self, limit: float) -> bool:
        """Whether the change is larger than noise (is_difference), and its whole interval is above
        `limit`, which is 1 or more.

        If the limit is inside the interval, is_within and is_over are both False. More rounds make
        the interval smaller.
        """
        return self.is_difference() and self.change.low > limit


def ratio_of(above: Sequence[float], below: Sequence[float]) -> Ratio:
    """Divide the values round by round. Raises ValueError for fewer than MIN_ROUNDS rounds.

    The interval comes from order statistics, so it is right for every distribution of the noise.
    """
    ratios = sorted(a / b for a, b in zip(above, below, strict=True))
    count = len(ratios)
    if count < MIN_ROUNDS:
        raise ValueError(f"{count} rounds; must be {MIN_ROUNDS} or more")
    cut = values_outside(count)
    middle = (ratios[(count - 1) // 2] + ratios[count // 2]) / 2
    return Ratio(round(middle, 3), round(ratios[cut], 3), round(ratios[count - 1 - cut], 3))


def values_outside(count: int) -> int:
    """Of `count` sorted values, how many at each end are outside the median's 95 % interval.

    The probability that the median is below the k-th smallest value equals the probability that
    `count` throws of a coin show fewer than k heads.
    """
    heads, ways = 0, 1
    while 2 * (ways + comb(count, heads + 1)) <= 0.05 * 2**count:
        heads += 1
        ways += comb(count, heads)
    return heads
