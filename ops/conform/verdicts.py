"""What a probe found: confirmed, refuted, or not tried and why."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple


class Verdict(Enum):
    """REFUTED: the cloud behaves otherwise than the project believes."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    NOT_TRIED = "not tried"


class Finding(NamedTuple):
    """A verdict and what was seen, or why nothing was."""

    verdict: Verdict
    detail: str


class NotTried(Exception):
    """Raised where a probe cannot tell: what it needs is not there, or its control failed."""


def judged(faults: Iterable[str], detail: str) -> Finding:
    """REFUTED with the faults where there are any, else CONFIRMED with `detail`."""
    found = "; ".join(faults)
    return Finding(Verdict.REFUTED, found) if found else Finding(Verdict.CONFIRMED, detail)
