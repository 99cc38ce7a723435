"""Rate limits: the most that a caller gets from one instance in a minute (docs/security.md)."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

WINDOW_SECONDS = 60.0
"""The window slides, so any 60 seconds contain at most the limit."""
MAX_CALLERS = 10_000
"""The maximum number of counted callers. The caller who asked longest ago is evicted first."""


class RateLimit:
    """Allows each caller at most `per_minute` items, like new tokens; 0 means no limit.
    Thread-safe. A refusal names the items (`what`) and the `variable` that sets the limit, if any.
    Memory grows with the items of the last minute, not with the number of callers."""

    def __init__(
        self,
        per_minute: int,
        what: str,
        variable: str | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        # The monotonic clock is not used, because it may stop while an instance is frozen.
        self._per_minute, self._what, self._variable = per_minute, what, variable
        self._clock = clock
        self._lock = threading.Lock()
        # The times at which each caller got items in the last minute, oldest first.
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def take(self, caller: str, number: int = 1) -> None:
        """Count `number` items (at most `per_minute`). Raises RateLimited with a time to retry."""
        if not self._per_minute:
            return
        now = self._clock()
        with self._lock:
            times = self._times.pop(caller, None) or deque()
            self._times[caller] = times
            while times and not _is_within(times[0], now):
                times.popleft()
            over = len(times) + number - self._per_minute
            if over > 0:
                wait = WINDOW_SECONDS - (now - times[over - 1])
                from token_service.login.refusals import RateLimited

                raise RateLimited(self._what, self._per_minute, wait, self._variable)
            times.extend([now] * number)
            self._evict(now)

    def _evict(self, now: float) -> None:
        """Evict callers who got nothing for a minute. If too many remain, evict the oldest."""
        while True:
            longest_ago = next(iter(self._times))
            idle = not _is_within(self._times[longest_ago][-1], now)
            if not idle and len(self._times) <= MAX_CALLERS:
                return
            del self._times[longest_ago]


def _is_within(then: float, now: float) -> bool:
    # If the clock was set back, `then` is in the future, and the result is False.
    return 0 <= now - then < WINDOW_SECONDS
