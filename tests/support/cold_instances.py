"""Simulates the instances of a platform, in front of a function that is always warm.

A request gets a free instance, or a new one if none is free. The start of an instance takes a
second of a simulated clock, so no test waits for it. The proxy in faulty_proxy.py calls this
module.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from faulty_proxy import Exchange, faulty

START_SECONDS = 1.0
LOG = '10:00:00 [INFO] {"route":"/","status":200,"stsMs":41.5,"totalMs":60.1}\nDuration: 61 ms'


class Clock:
    """A running clock that a test can move forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        """Seconds."""
        return time.monotonic() + self.ahead

    def pass_by(self, seconds: float) -> None:
        """Move the clock forward."""
        self.ahead += seconds


class Instances:
    """At most `cap` instances, each for one request at a time. The first `together` requests wait
    for each other: none is answered before all have arrived. If `names` is true, each answer names
    its instance."""

    def __init__(self, clock: Clock, *, cap: int = 99, together: int = 1, names: bool = True):
        self.clock, self.cap, self.names = clock, cap, names
        self.requests: list[Exchange] = []
        self.started = 0
        self._lock = threading.Lock()
        self._free: list[str] = []
        self._busy: dict[int, str] = {}
        self._first = together
        self._arrived = threading.Barrier(together, self._start, timeout=20)

    def _start(self) -> None:
        self.clock.pass_by(START_SECONDS)

    def release(self) -> None:
        """Stop all instances, as the platform does after five minutes without a request."""
        self._free.clear()

    def ask(self, exchange: Exchange) -> None:
        """Assign an instance to an incoming request."""
        with self._lock:
            self.requests.append(exchange)
            # The first `together` requests all arrive before one of them is answered. Each of them
            # therefore gets a new instance.
            is_new = not self._free or self._first > 0
            self._first -= 1
            name = f"c-{self.started:04}" if is_new else self._free.pop()
            self.started += is_new
            self._busy[id(exchange)] = name
        if is_new:
            self._arrived.wait()

    def answer(self, exchange: Exchange) -> None:
        """Write the instance into the answer, and release it."""
        with self._lock:
            name = self._busy.pop(id(exchange))
            if int(name[2:]) >= self.cap:
                exchange.status, exchange.body = 429, b"<Error>too many</Error>"
                return
            self._free.append(name)
        exchange.answered.pop("content-length", None)
        if self.names:
            exchange.answered["X-Fc-Instance-Id"] = name
            exchange.answered["X-Fc-Invocation-Duration"] = "60"
        if exchange.headers.get("X-Fc-Log-Type") == "Tail":
            exchange.answered["X-Fc-Log-Result"] = base64.b64encode(LOG.encode()).decode()


@contextmanager
def in_front_of(url: str, instances: Instances) -> Iterator[str]:
    """Serve `url` through these instances; yields the new URL."""
    with faulty(url, instances.answer, before=instances.ask) as through:
        yield through
