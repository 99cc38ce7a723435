"""Names that are almost a variable's: nobody reads them, and a check may be missing for it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from token_service.request_log import log
from token_service.settings.variables import VARIABLES

_LIKENESS = 0.9
"""Of difflib: one letter in ten."""


def find(names: Iterable[str], more: Iterable[str] = ()) -> list[tuple[str, str]]:
    """Names that nobody reads, each with the variable, or the one of `more`, that is meant."""
    known = sorted({variable.name for variable in VARIABLES}.union(more))
    found = []
    for name in sorted(set(names) - set(known)):
        close = difflib.get_close_matches(name, known, 1, _LIKENESS)
        if close:
            found.append((name, close[0]))
    return found


def warn(env: Mapping[str, str]) -> None:
    """Name them in the log; no value."""
    for name, meant in find(env):
        log.warning("%s is no variable of the function; is %s meant?", name, meant)
