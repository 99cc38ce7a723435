"""The result of a probe: the assumption is confirmed or refuted, or it was not tried. Each result
has its reason."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple


class Verdict(Enum):
    """REFUTED means that the cloud does not behave as the assumption says."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    NOT_TRIED = "not tried"


class Finding(NamedTuple):
    """A verdict. `detail` says what was seen, or why nothing was seen."""

    verdict: Verdict
    detail: str


class NotTried(Exception):
    """Raised if a probe cannot decide because something is missing or its control failed."""


def judged(faults: Iterable[str], detail: str) -> Finding:
    """Return REFUTED with the faults if there are any, otherwise CONFIRMED with `detail`."""
    found = "; ".join(faults)
    return Finding(Verdict.REFUTED, found) if found else Finding(Verdict.CONFIRMED, detail)
