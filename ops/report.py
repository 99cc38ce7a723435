"""The results of checks, and the printed table: one line for each check, without secrets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

MAX_DETAIL = 400
"""The reason in a line has at most this many characters, because it may quote other servers."""


class Outcome(Enum):
    """FAIL must be fixed, and WARN should be looked at. SKIP says why something was not checked.
    NOTE only informs, and is not counted."""

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
    """Return a result for a check that passed."""
    return Finding(Outcome.PASS, detail)


def failed(detail: str) -> Finding:
    """Return a result for something that must be fixed."""
    return Finding(Outcome.FAIL, detail)


def warned(detail: str) -> Finding:
    """Return a result for something that works, but may not be what the operator wants."""
    return Finding(Outcome.WARN, detail)


def skipped(detail: str) -> Finding:
    """Return a result for something that was not checked, with the reason."""
    return Finding(Outcome.SKIP, detail)


def noted(detail: str) -> Finding:
    """Return a result that only gives information. It does not say that a check passed or
    failed."""
    return Finding(Outcome.NOTE, detail)


def judged(faults: Sequence[str], detail: str = "") -> Finding:
    """Return FAIL with all faults if there are faults, otherwise PASS with `detail`."""
    return failed("; ".join(faults)) if faults else passed(detail)


def has_failed(checks: Iterable[Check]) -> bool:
    """Whether a check failed. If a check failed, the exit status is not 0."""
    return any(check.finding.outcome is Outcome.FAIL for check in checks)


def pointer(checks: Iterable[Check], command: str) -> str:
    """Return the last line of the table, which says where failures are explained. Return "" if
    nothing failed."""
    if not has_failed(checks):
        return ""
    return f"docs/runbook.md#make-{command} explains each line, and docs/errors.md each code"


def table(checks: Sequence[Check], secrets: Iterable[str] = ()) -> str:
    """Format the checks, one per line, with a last line that counts them.

    No check quotes a secret. But a faulty server may quote a secret in the text of an error, so
    `secrets` are masked here.
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
    """Return one line of printable text. Secrets are masked first, then the text is shortened."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    text = "".join(char if char.isprintable() else " " for char in text)
    return text if len(text) <= MAX_DETAIL else text[: MAX_DETAIL - 1] + "…"
