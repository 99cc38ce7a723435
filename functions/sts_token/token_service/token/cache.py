"""A cache of credentials in one instance. It serves credentials for half of their lifetime."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from token_service.token.assume_role import Credentials, RoleRequest

MAX_ENTRIES = 1000
"""An entry takes about 2 KB. The least recently used entry is evicted first."""
MAX_OF_ONE_CALLER = 20
"""With this limit, a caller with many different wishes cannot evict the entries of all others."""
MIN_SECONDS_LEFT = 300
"""Mobile SDKs ask for new credentials when less time than this is left (seen in their source)."""


class _Entry(NamedTuple):
    credentials: Credentials
    # In unix seconds. The entry is served only before this time.
    until: float


class _Flight:
    """A call to STS that is under way, and its result."""

    credentials: Credentials | None = None
    error: Exception | None = None

    def __init__(self) -> None:
        # Locked until the call ends. A threading.Event would take four times as long as a Lock.
        self.under_way = threading.Lock()
        self.under_way.acquire()


class CredentialsCache:
    """Caches the credentials of RoleRequests, at most `share` entries per caller. Thread-safe."""

    def __init__(
        self, clock: Callable[[], float] = time.time, share: int = MAX_OF_ONE_CALLER
    ) -> None:
        self._clock = clock
        self._share = share
        # How many entries each session name has.
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()
        self._entries: OrderedDict[RoleRequest, _Entry] = OrderedDict()
        self._flights: dict[tuple[RoleRequest, object], _Flight] = {}

    def get(
        self, request: RoleRequest, fetch: Callable[[RoleRequest], Credentials], key: object = ()
    ) -> tuple[Credentials, bool]:
        """Return credentials for a request, and whether they come from the cache. If equal requests
        with the same `key` come at once, only one calls `fetch`, and all get the same outcome."""
        with self._lock:
            entry = self._entries.get(request)
            if entry is not None and self._clock() < entry.until:
                self._entries.move_to_end(request)
                return entry.credentials, True
            leads = (request, key) not in self._flights
            flight = self._flights.setdefault((request, key), _Flight())
        if not leads:
            with flight.under_way:
                pass
            if flight.credentials is None:
                raise flight.error or RuntimeError("a call to STS ended without a result")
            return flight.credentials, True
        try:
            flight.credentials = fetch(request)
            self._keep(request, flight.credentials)
        except Exception as error:
            flight.error = error
            raise
        finally:
            with self._lock:
                del self._flights[request, key]
            flight.under_way.release()
        return flight.credentials, False

    def _keep(self, request: RoleRequest, credentials: Credentials) -> None:
        # Use the expiration that STS returned, since STS may grant less time than was asked for.
        expires = credentials.expires
        until = expires - max((expires - self._clock()) / 2, MIN_SECONDS_LEFT)
        with self._lock:
            if request not in self._entries:
                name = request.session_name
                if self._counts.get(name, 0) >= self._share:
                    # This search of at most MAX_ENTRIES entries is much faster than a call to STS.
                    self._evict(next(r for r in self._entries if r.session_name == name))
                self._counts[name] = self._counts.get(name, 0) + 1
            self._entries[request] = _Entry(credentials, until)
            self._entries.move_to_end(request)
            if len(self._entries) > MAX_ENTRIES:
                self._evict(next(iter(self._entries)))

    def _evict(self, request: RoleRequest) -> None:
        del self._entries[request]
        self._counts[request.session_name] -= 1
        if not self._counts[request.session_name]:
            del self._counts[request.session_name]
