"""The results of checks, and the table that is printed: one line per check, never a secret."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

MAX_DETAIL = 400
"""The most characters of a line's reason, as some of it comes from other servers."""


class Outcome(Enum):
    """FAIL must be fixed, WARN should be looked at, SKIP says why it was not checked; NOTE only
    informs, and is not counted."""

    PASS = "PASS"  # noqa: S105 - not a password
    FAIL = "FAIL"
    WARN = "WARN"
    SKIP = "SKIP"
    NOTE = "NOTE"


@dataclass(frozen=True)
class Finding:
    """The result of a check, and its reason."""

    outcome: Outcome
    detail: str


@dataclass(frozen=True)
class Check:
    """One line of the table."""

    name: str
    finding: Finding


def passed(detail: str = "") -> Finding:
    """The check passed."""
    return Finding(Outcome.PASS, detail)


def failed(detail: str) -> Finding:
    """Something must be fixed."""
    return Finding(Outcome.FAIL, detail)


def warned(detail: str) -> Finding:
    """It works, but may not be what the operator wants."""
    return Finding(Outcome.WARN, detail)


def skipped(detail: str) -> Finding:
    """It was not checked, for this reason."""
    return Finding(Outcome.SKIP, detail)


def noted(detail: str) -> Finding:
    """It is good to know; nothing was checked."""
    return Finding(Outcome.NOTE, detail)


def judged(faults: Sequence[str], detail: str = "") -> Finding:
    """FAIL with all faults if there are any, otherwise PASS with `detail`."""
    return failed("; ".join(faults)) if faults else passed(detail)


def has_failed(checks: Iterable[Check]) -> bool:
    """Whether something must be fixed, for the exit status."""
    return any(check.finding.outcome is Outcome.FAIL for check in checks)


def pointer(checks: Iterable[Check], command: str) -> str:
    """Where what failed is explained: the last line of the table; "" where nothing failed."""
    if not has_failed(checks):
        return ""
    return f"What each line means: docs/runbook.md#make-{command}; each code: docs/errors.md"


def table(checks: Sequence[Check], secrets: Iterable[str] = ()) -> str:
    """Format the checks, one per line, with a last line that counts them.

    No check quotes a secret. `secrets` are masked anyway, since a faulty server may quote one in
    the text of an error.
    """
    width = max((len(check.name) for check in checks), default=0)
    lines = [
        f"{check.finding.outcome.value}  {check.name:<{width}}  "
        f"{plain(check.finding.detail, secrets)}".rstrip()
        for check in checks
    ]
    outcomes = [check.finding.outcome for check in checks]
    counts = (
        (outcomes.count(Outcome.PASS), "passed"),
        (outcomes.count(Outcome.FAIL), "failed"),
        (outcomes.count(Outcome.WARN), "to look at"),
        (outcomes.count(Outcome.SKIP), "not checked"),
    )
    summary = ", ".join(f"{number} {word}" for number, word in counts if number)
    return "\n".join([*lines, "", summary])


def plain(text: str, secrets: Iterable[str]) -> str:
    """Make one line of printable text without secrets, masked before it is cut."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    text = "".join(char if char.isprintable() else " " for char in text)
    return text if len(text) <= MAX_DETAIL else text[: MAX_DETAIL - 1] + "…"
