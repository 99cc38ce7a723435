"""Sends one HTTP request exactly as given, without other headers, redirects, retries or caches.

Other modules decide what to send, and judge the answers. HTTP_PROXY is not read.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from token_service.settings.values import Endpoint

GIVE_UP_SECONDS = 10.0
"""The time limit for a whole exchange. It is twice as long as an answer may take, so that a late
answer is still received and reported."""
LOOK_UP_SECONDS = 3.0  # time limit for looking up a name in DNS; our own choice
MAX_ANSWER_BYTES = 1024 * 1024  # the limit for one answer
UNRESOLVED = "the name cannot be resolved"
UNTRUSTED = "the certificate cannot be trusted"
"""Some messages of NoAnswer begin with these texts."""


class NoAnswer(Exception):
    """Raised when no complete answer came. The message says why, and does not quote the request."""


@dataclass(frozen=True)
class Address:
    """The address of the function. `base` is the path before its routes, without a final slash."""

    scheme: str
    host: str
    port: int
    base: str
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def authority(self) -> str:
        """The Host header. The port is left out if it is the scheme's default port."""
        return Endpoint(self.scheme, self.host, self.port).authority

    @property
    def is_loopback(self) -> bool:
        """Whether requests to this address stay on this machine."""
        return bool(
            re.fullmatch(r"(?:[a-z0-9-]+\.)*localhost|127(?:\.[0-9]{1,3}){3}|::1", self.host)
        )

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.base}/"


@dataclass(frozen=True)
class Call:
    """A request. `path` is a path of the function, like /health. The request may have a login."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)

    def target(self, address: Address) -> str:
        """Return the path and query for the request line."""
        path = quote(address.base + self.path, safe="/%$")
        query = urlencode(self.query, quote_via=quote)
        return f"{path}?{query}" if query else path


@dataclass(frozen=True)
class Reply:
    """An HTTP answer, unchanged. The body is not decompressed.

    `began` is the start in unix seconds, by this machine's clock. `seconds` is the time of the
    whole exchange, and `connect_seconds` is the time before the request was sent. `certificate_end`
    is the time when the server's certificate expires, in unix seconds.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    began: float
    seconds: float
    certificate_end: float | None = None
    connect_seconds: float = 0.0

    @property
    def ended(self) -> float:
        """The time when the answer was complete, in unix seconds."""
        return self.began + self.seconds

    def header(self, name: str) -> str | None:
        """Return the value of a header, or None if it is missing. Several values are joined with
        commas."""
        values = [value for n, value in self.headers if n.lower() == name.lower()]
        return ", ".join(values) if values else None


Send = Callable[[Call], Reply]


def send(address: Address, call: Call) -> Reply:
    """Send one request on a new connection. Raises NoAnswer."""
    began, start = time.time(), time.monotonic()
    expired = threading.Event()
    connection = _connection(address)
    try:
        connection.connect()
        connect_seconds = time.monotonic() - start
        sock = connection.sock

        def hang_up() -> None:
            expired.set()
            # The socket may already be closed, because its own timeout is GIVE_UP_SECONDS too.
            with contextlib.suppress(OSError):
                # SSLSocket's own shutdown would break the TLS state of the thread that reads.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

        # A socket's timeout applies to each read, so a slow answer could take for ever.
        timer = threading.Timer(GIVE_UP_SECONDS, hang_up)
        timer.daemon = True
        timer.start()
        try:
            certificate_end = _certificate_end(sock)
            response, body = _exchange(connection, address, call)
        finally:
            timer.cancel()
    except (OSError, http.client.HTTPException, ValueError) as error:
        late = expired.is_set() or isinstance(error, TimeoutError)
        raise NoAnswer(_late() if late else _reason(error)) from None
    finally:
        connection.close()
    return Reply(
        status=response.status,
        headers=tuple(response.getheaders()),
        body=body,
        began=began,
        seconds=time.monotonic() - start,
        certificate_end=certificate_end,
        connect_seconds=connect_seconds,
    )


def reach(address: Address) -> float | None:
    """Connect without sending anything. Return the time when the certificate expires. Raises
    NoAnswer."""
    connection = _connection(address)
    try:
        connection.connect()
        return _certificate_end(connection.sock)
    except OSError as error:
        raise NoAnswer(_late() if isinstance(error, TimeoutError) else _reason(error)) from None
    finally:
        connection.close()


def unresolved(host: str) -> str:
    """Return the reason why a name is not found, or "". Waits at most LOOK_UP_SECONDS."""
    said = [f"no answer from DNS within {LOOK_UP_SECONDS:g} s"]

    def look_up() -> None:
        # getaddrinfo has no timeout of its own.
        try:
            socket.getaddrinfo(host, None)
            said.append("")
        except (OSError, UnicodeError):
            said.append(UNRESOLVED)

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(LOOK_UP_SECONDS)
    return said[-1]


def _late() -> str:
    return f"no complete answer within {GIVE_UP_SECONDS:g} s; an Android app would wait for ever"


def _connection(address: Address) -> http.client.HTTPConnection:
    if address.scheme == "http":
        return http.client.HTTPConnection(address.host, address.port, timeout=GIVE_UP_SECONDS)
    return http.client.HTTPSConnection(
        address.host,
        address.port,
        timeout=GIVE_UP_SECONDS,
        context=ssl.create_default_context(),
    )


def _exchange(
    connection: http.client.HTTPConnection, address: Address, call: Call
) -> tuple[http.client.HTTPResponse, bytes]:
    # request() would add its own headers, so the request is written step by step.
    connection.putrequest(
        call.method, call.target(address), skip_host=True, skip_accept_encoding=True
    )
    connection.putheader("Host", address.authority)
    for name, value in call.headers.items():
        connection.putheader(name, value)
    if call.body or call.method == "POST":
        connection.putheader("Content-Length", str(len(call.body)))
    connection.endheaders(call.body or None)
    response = connection.getresponse()
    body = response.read(MAX_ANSWER_BYTES + 1)
    if len(body) > MAX_ANSWER_BYTES:
        raise ValueError("too large")
    if response.length:
        raise http.client.IncompleteRead(b"")
    return response, body


def _certificate_end(sock: object) -> float | None:
    if not isinstance(sock, ssl.SSLSocket):
        return None
    end = (sock.getpeercert() or {}).get("notAfter")
    return ssl.cert_time_to_seconds(end) if isinstance(end, str) else None


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{UNTRUSTED}: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return "the server does not speak TLS correctly"
    if isinstance(error, socket.gaierror):
        return UNRESOLVED
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(error, http.client.IncompleteRead):
        return "the answer was cut off"
    if isinstance(error, ConnectionError):
        return "the connection was closed without an answer"
    if isinstance(error, OSError):
        return f"the server cannot be reached ({error.strerror or type(error).__name__})"
    return f"the answer is not valid HTTP ({type(error).__name__})"
