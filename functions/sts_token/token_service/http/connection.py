"""Kept-alive HTTP connections to one endpoint. A deadline bounds every wait.

http.client reads HTTP, and ssl verifies the server. This module adds a time limit for the exchange
and the name look-up, and a retry on a new connection if the kept connection is stale. urllib3 would
add 40 ms to a cold start, for a pool that is not needed here. HTTP_PROXY is not read.
"""

from __future__ import annotations

import http.client
import io
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from email.message import Message
from typing import Any, NamedTuple

from token_service.http.tls import Tls
from token_service.settings.values import Endpoint

MAX_IDLE, MAX_IDLE_SECONDS = 8, 20.0
"""How many idle connections are kept, and for how long. Servers may close them after that time."""
MAX_ANSWER_BYTES = 64 * 1024
"""The limit for an answer, which has to fit into memory. Answers of STS are far shorter."""


class ConnectionFault(Exception):
    """Raised when no complete answer came. The message says why, without quoting the request."""

    def __init__(self, error: Exception) -> None:
        from token_service.http.faults import reason

        super().__init__(reason(error))


class _StaleConnection(ConnectionFault):
    """The server closed the connection before any answer. A kept connection is then replaced."""


class Exchange(NamedTuple):
    """One request, and the limits of its answer. `deadline` is a time.monotonic() value, in
    seconds. `max_bytes` is the longest body that is read."""

    method: str
    path: str
    body: bytes
    headers: Mapping[str, str]
    deadline: float
    max_bytes: int = MAX_ANSWER_BYTES


class Reply(NamedTuple):
    """A server's answer: HTTP status, the whole body, and headers (case does not matter)."""

    status: int
    body: bytes
    headers: Message = Message()

    def __repr__(self) -> str:
        return f"Reply({self.status})"


class KeptConnection:
    """Sends requests to one endpoint. Thread-safe: requests at the same time use separate
    connections. At most MAX_IDLE connections are kept."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._tls = Tls() if endpoint.scheme == "https" else None
        self._lock = threading.Lock()
        # Each connection has the time of its last use. The oldest comes first.
        self._idle: list[tuple[_Connection, float]] = []

    def connect(self, deadline: float) -> None:
        """Open a connection in advance. `deadline` is that of Exchange. Raises ConnectionFault."""
        self._keep(self._open(deadline))

    def request(self, make: Callable[[], Exchange]) -> Reply:
        """Send a request from `make`, and read the whole answer. If the kept connection is stale,
        send a new one from `make`: no signature may be sent twice. Raises ConnectionFault."""
        kept = self._take()
        if kept is not None:
            with suppress(_StaleConnection):
                return self._exchanged(kept, make())
        exchange = make()
        return self._exchanged(self._open(exchange.deadline), exchange)

    def close(self) -> None:
        """Close the kept connections; the next request opens another."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection, _ in idle:
            connection.hang_up()

    def _exchanged(self, connection: _Connection, exchange: Exchange) -> Reply:
        try:
            reply, reusable = connection.exchange(exchange)
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.hang_up()
            # Close the idle connections too, because they may also have failed.
            self.close()
            is_stale = isinstance(error, ConnectionResetError | BrokenPipeError)
            raise (_StaleConnection if is_stale else ConnectionFault)(error) from None
        (self._keep if reusable else _Connection.hang_up)(connection)
        return reply

    def _open(self, deadline: float) -> _Connection:
        try:
            return _Connection(_dial(self._endpoint, self._tls, deadline), self._endpoint.authority)
        except OSError as error:
            raise ConnectionFault(error) from None

    def _take(self) -> _Connection | None:
        with self._lock:
            # time.monotonic() may stop while an instance is frozen, but time.time() does not.
            if self._idle and 0 <= time.time() - self._idle[-1][1] <= MAX_IDLE_SECONDS:
                return self._idle.pop()[0]
        # If the newest connection is too old, all others are too.
        self.close()
        return None

    def _keep(self, connection: _Connection) -> None:
        with self._lock:
            self._idle.append((connection, time.time()))
            oldest = self._idle.pop(0)[0] if len(self._idle) > MAX_IDLE else None
        if oldest is not None:
            oldest.hang_up()


class _Connection(io.RawIOBase):
    """An open connection. http.client reads the answers. Requests are written here, because
    HTTPConnection would spend 30 us on checking our own headers each time."""

    def __init__(self, sock: socket.socket, authority: str) -> None:
        super().__init__()
        self._sock = sock
        self._authority = authority
        self._deadline, self._room = 0.0, 0

    def exchange(self, exchange: Exchange) -> tuple[Reply, bool]:
        """Send and receive. The returned flag tells whether the connection can be used again."""
        method, path, body, headers, deadline, max_bytes = exchange
        # http.client has no limit for 1xx answers or a chunk of size -1: `_room` limits all bytes.
        self._deadline, self._room = deadline, max_bytes + MAX_ANSWER_BYTES
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self._authority}\r\n{lines}"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._sock.settimeout(_left(deadline))
        self._sock.sendall(head.encode("ascii") + body)
        response = http.client.HTTPResponse(self, method=method)  # type: ignore[arg-type]
        response.begin()
        # If there is a Content-Length, only read(None) detects that a body is too short.
        size = response.length or 0
        answer = b"" if size > max_bytes else response.read(None if size else max_bytes + 1)
        if max(size, len(answer)) > max_bytes:
            raise ValueError(f"its answer exceeds {max_bytes // 1024} KB")
        return Reply(response.status, answer, response.headers), not response.will_close

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Read. The timeout is the time that is left for the whole exchange."""
        self._sock.settimeout(_left(self._deadline))
        received = self._sock.recv_into(buffer)
        self._room -= received
        if self._room < 0:
            raise ValueError("its answer exceeds the limit for one answer")
        return received

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return a reader. HTTPResponse calls no other method of a socket."""
        return io.BufferedReader(self)

    def close(self) -> None:
        """Leave the socket open, because HTTPResponse calls this when it has read an answer."""

    def hang_up(self) -> None:
        """Close the socket."""
        self._sock.close()


def _dial(endpoint: Endpoint, tls: Tls | None, deadline: float) -> socket.socket:
    """Look up the name, connect to the first address that answers, and begin TLS."""
    found = _look_up(endpoint, deadline)
    while True:
        family, kind, protocol, _, address = found[0]
        sock = socket.socket(family, kind, protocol)
        context = tls.context if tls else None
        try:
            sock.settimeout(_left(deadline))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(_left(deadline))
            host = endpoint.host.encode()
            return context.wrap_socket(sock, server_hostname=host) if context else sock
        except OSError as error:
            sock.close()
            # If widened() is true, try the same address again, now with all trusted certificates.
            if not (tls and tls.widened(context, error)):
                del found[0]
            if not found:
                raise


def _look_up(endpoint: Endpoint, deadline: float) -> list[Any]:
    """Look the host up in a thread. getaddrinfo has no timeout, and may take 5 s or more."""
    found: list[Any] = []
    # With text instead of bytes, Python would load IDNA tables, which takes 3 ms of a cold start.
    host = endpoint.host.encode("ascii")

    def look_up() -> None:
        try:
            found.extend(socket.getaddrinfo(host, endpoint.port, 0, socket.SOCK_STREAM))
        except OSError as error:
            found.append(error)

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(_left(deadline))
    if not found:
        raise TimeoutError
    if isinstance(found[0], OSError):
        raise found[0]
    return found


def _left(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds
