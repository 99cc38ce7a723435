"""Finds misspelt names of variables. With a misspelt name, a setting or check has no effect."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from token_service.request_log import log
from token_service.settings.variables import VARIABLES

_LIKENESS = 0.9
"""The least similarity to a known name (a ratio of difflib). About 1 letter in 10 may differ."""


def find(names: Iterable[str], more: Iterable[str] = ()) -> list[tuple[str, str]]:
    """Return pairs of an unknown name and the known name that it resembles. `more` is known too."""
    known = sorted({variable.name for variable in VARIABLES}.union(more))
    found = []
    for name in sorted(set(names) - set(known)):
        close = difflib.get_close_matches(name, known, 1, _LIKENESS)
        if close:
            found.append((name, close[0]))
    return found


def warn(env: Mapping[str, str]) -> None:
    """Log the misspelt names, without their values."""
    for name, meant in find(env):
        log.warning("%s is not a variable of the function; did you mean %s?", name, meant)
