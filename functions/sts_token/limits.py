"""A limit on how many new tokens one caller gets a minute, within one instance.

Many instances each count for themselves: a real limit belongs before the function (README).
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from errors import TooManyTokens

WINDOW_SECONDS = 60.0
MAX_CALLERS = 10_000
"""The one who asked longest ago is forgotten first."""


class CallerLimit:
    """At most `per_minute` new tokens for each caller; 0 is no limit. Thread-safe."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._lock = threading.Lock()
        # When the last tokens of each caller were asked for: at most `per_minute` times.
        self._times: OrderedDict[str, list[float]] = OrderedDict()

    def take(self, caller: str) -> None:
        """Count one new token. Raises TooManyTokens, which says when to come back."""
        if not self._per_minute:
            return
        now = self._clock()
        with self._lock:
            times = [at for at in self._times.pop(caller, []) if now - at < WINDOW_SECONDS]
            self._times[caller] = times
            if len(times) >= self._per_minute:
                raise TooManyTokens(self._per_minute, WINDOW_SECONDS - (now - times[0]))
            times.append(now)
            while len(self._times) > MAX_CALLERS:
                self._times.popitem(last=False)
