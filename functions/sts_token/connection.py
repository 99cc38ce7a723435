"""One kept-alive HTTP connection to one endpoint, every wait bounded by a deadline.

Knows nothing of STS. http.client speaks HTTP, ssl verifies; what is added here is what neither
does: a limit on the whole exchange rather than on each read, a limit on the name look-up, and
telling a kept connection that went stale from a server that fails.

Not urllib3: it costs 40 ms of cold start for a pool that an instance which serves one request at
a time cannot use. HTTP_PROXY is not read: a function in the cloud has none.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from email.message import Message
from typing import Any, NamedTuple

from settings import Endpoint

MAX_IDLE_SECONDS = 20.0
"""An idle connection may be dropped on the way without a word, and an instance is frozen between
requests; an exchange over such a connection would only end by its time-out."""

MAX_ANSWER_BYTES = 64 * 1024


class ConnectionFault(Exception):
    """Raised when no whole answer came; the message says why and holds nothing that was sent."""


class StaleConnection(ConnectionFault):
    """Raised when a kept connection turned out to be closed: worth one more try at once."""


class Reply(NamedTuple):
    """What the server answered: HTTP status, the whole body, and headers by any spelling."""

    status: int
    body: bytes
    headers: Message = Message()

    def __repr__(self) -> str:
        return f"Reply({self.status})"


class KeptConnection:
    """Requests to one endpoint. Thread-safe: threads that ask at once open connections of their
    own, and one of them is kept."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._tls = ssl.create_default_context() if endpoint.scheme == "https" else None
        self._lock = threading.Lock()
        self._idle: _Connection | None = None
        self._idle_since = 0.0

    def connect(self, deadline: float) -> None:
        """Open the connection before it is needed. Raises ConnectionFault.

        `deadline` is a time.monotonic() value, in seconds, here and below.
        """
        self._keep(self._open(deadline))

    def request(
        self,
        method: str,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        deadline: float,
        *,
        fresh: bool,
        max_bytes: int = MAX_ANSWER_BYTES,
    ) -> Reply:
        """Send and read the whole answer, over the kept connection unless `fresh`.

        Raises StaleConnection when the kept connection was closed before any answer,
        ConnectionFault for everything else that goes wrong on the way.
        """
        kept = None if fresh else self._take()
        connection = kept or self._open(deadline)
        try:
            reply, reusable = connection.exchange(method, path, body, headers, deadline, max_bytes)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as error:
            connection.close()
            if kept is not None:
                raise StaleConnection(_reason(error)) from None
            raise ConnectionFault(_reason(error)) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            raise ConnectionFault(_reason(error)) from None
        if reusable:
            self._keep(connection)
        else:
            connection.close()
        return reply

    def request_again_if_stale(
        self,
        method: str,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        deadline: float,
        *,
        max_bytes: int = MAX_ANSWER_BYTES,
    ) -> Reply:
        """The same for what may be sent twice as it is. Raises ConnectionFault."""
        try:
            return self.request(
                method, path, body, headers, deadline, fresh=False, max_bytes=max_bytes
            )
        except StaleConnection:
            return self.request(
                method, path, body, headers, deadline, fresh=True, max_bytes=max_bytes
            )

    def close(self) -> None:
        """Close the kept connection; the next request opens another."""
        with self._lock:
            connection, self._idle = self._idle, None
        if connection is not None:
            connection.close()

    def _open(self, deadline: float) -> _Connection:
        try:
            return _Connection(_dial(self._endpoint, self._tls, deadline), self._endpoint.authority)
        except OSError as error:
            raise ConnectionFault(_reason(error)) from None

    def _take(self) -> _Connection | None:
        with self._lock:
            connection, self._idle = self._idle, None
            idle = time.time() - self._idle_since
        # Not the monotonic clock: it may stand still while an instance is frozen.
        if connection is not None and not 0 <= idle <= MAX_IDLE_SECONDS:
            connection.close()
            return None
        return connection

    def _keep(self, connection: _Connection) -> None:
        with self._lock:
            surplus, self._idle = self._idle, connection
            self._idle_since = time.time()
        if surplus is not None:
            surplus.close()


class _Connection:
    """An open connection. http.client reads the answers; a request is a line and a few headers
    of our own making, which HTTPConnection would validate anew for 30 us each time."""

    def __init__(self, sock: socket.socket, authority: str) -> None:
        self._sock = sock
        self._authority = authority
        self._deadline = 0.0

    def exchange(
        self,
        method: str,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        deadline: float,
        max_bytes: int,
    ) -> tuple[Reply, bool]:
        """Send and receive; the flag tells whether the connection can be used again."""
        self._deadline = deadline
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self._authority}\r\n{lines}"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._sock.settimeout(_left(deadline))
        self._sock.sendall(head.encode("ascii") + body)
        response = http.client.HTTPResponse(self, method=method)  # type: ignore[arg-type]
        response.begin()
        if (response.length or 0) > max_bytes:
            raise ValueError("the answer is too large")
        # With a Content-Length only an unbounded read notices a body that ends before it.
        answer = response.read(max_bytes + 1 if response.length is None else None)
        if len(answer) > max_bytes:
            raise ValueError("the answer is too large")
        return Reply(response.status, answer, response.headers), not response.will_close

    def recv_into(self, buffer: Any) -> int:
        """Each read waits only as long as is left of the whole exchange."""
        self._sock.settimeout(_left(self._deadline))
        return self._sock.recv_into(buffer)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """The one thing that HTTPResponse wants of a socket."""
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        self._sock.close()


class _Reader(io.RawIOBase):
    """The raw half of the file that http.client reads an answer from."""

    def __init__(self, connection: _Connection) -> None:
        super().__init__()
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._connection.recv_into(buffer)


def _dial(endpoint: Endpoint, tls: ssl.SSLContext | None, deadline: float) -> socket.socket:
    """Look the name up, connect to the first address that answers, and shake hands."""
    fault: OSError = TimeoutError()
    for family, kind, protocol, _, address in _look_up(endpoint, deadline):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(_left(deadline))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(_left(deadline))
            return tls.wrap_socket(sock, server_hostname=endpoint.host.encode()) if tls else sock
        except OSError as error:
            sock.close()
            fault = error
    raise fault


def _look_up(endpoint: Endpoint, deadline: float) -> list[Any]:
    """getaddrinfo has no time-out of its own, and a dead resolver takes 5 s and more."""
    found: list[Any] = []

    # As bytes: for text Python loads its IDNA tables, 3 ms of a cold start, for an ASCII name.
    host = endpoint.host.encode("ascii")

    def look_up() -> None:
        try:
            found.append(socket.getaddrinfo(host, endpoint.port, 0, socket.SOCK_STREAM))
        except OSError as error:
            found.append(error)

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(_left(deadline))
    if not found:
        raise TimeoutError
    if isinstance(found[0], OSError):
        raise found[0]
    addresses: list[Any] = found[0]
    return addresses


def _left(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate cannot be trusted ({error.verify_message})"
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    if isinstance(error, ConnectionRefusedError):
        return "it refused the connection"
    if isinstance(error, http.client.IncompleteRead):
        return "its answer ended half-way"
    if isinstance(error, ConnectionError):
        return "it closed the connection"
    return f"its answer was not understood ({type(error).__name__})"
