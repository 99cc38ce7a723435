"""An HTTP/1.1 server for a custom runtime, with keep-alive, limits and a thread per connection."""

from __future__ import annotations

import io
import re
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException, responses
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any
from urllib.parse import unquote

from token_service.http.messages import Response
from token_service.http.wsgi_event import MAX_BODY_BYTES

MAX_CONNECTIONS = 200  # Each connection has a thread.
"""At the limit, a new connection ends the connection idle for longest, or waits if none is idle."""
MAX_HEAD_BYTES = 64 * 1024
"""The limit for a request's first line and headers. The vendor documents 8 KB for the platform."""
IDLE_SECONDS, REQUEST_SECONDS = 1000.0, 10.0
"""The vendor asks for 15 idle minutes or more. A request may take 10 s (`timeout` in s.yaml)."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT)

Answer = Callable[[Any], Response]
"""Answers a WSGI environment. None stands for an invalid request. Never raises."""


def serve(port: int, answer: Answer, ready: Callable[[], object]) -> None:
    """Listen on all addresses, call `ready`, and serve until SIGTERM or SIGINT. Then answer the
    requests that arrived, and return. Call this in the main thread before other threads start."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    with _Server(("0.0.0.0", port), _Handler) as server:  # noqa: S104 - the platform asks for it
        server.answer, server.until = answer, {}
        ready()
        threading.Thread(target=server.serve_forever).start()
        signal.sigwait(_SIGNALS)
        # Set is_ending first. Then a full server closes its connections, and shutdown() ends soon.
        server.is_ending = True
        server.shutdown()
        server.service_actions()


class _Server(ThreadingTCPServer):
    allow_reuse_address, request_queue_size, is_ending = True, 1024, False
    answer: Answer
    # For each connection, the time at which the server stops waiting for the client.
    until: dict[Any, float]

    def service_actions(self) -> None:
        now, is_full = time.monotonic(), len(self.until) >= MAX_CONNECTIONS
        # copy() is atomic. list() is not: other threads may run while it builds the list.
        for connection, end in self.until.copy().items():
            is_idle = end > now + REQUEST_SECONDS
            if self.is_ending or end < now or (is_full and is_idle):
                _stop_reading(connection)
                is_full = is_full and not is_idle

    def get_request(self) -> tuple[Any, Any]:
        while len(self.until) >= MAX_CONNECTIONS:
            self.service_actions()
            time.sleep(0.01)
        connection, address = super().get_request()
        self.until[connection] = time.monotonic() + REQUEST_SECONDS
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.until.pop(request, None)


class _Lines(io.BufferedReader):
    room = 0

    def readline(self, size: int | None = -1) -> bytes:
        line = super().readline(size)
        self.room -= len(line)
        # Python's parser ends a line at a single CR or LF. Other parsers may not (RFC 9112, 2.2).
        if self.room < 0 or b"\r" in line[:-2] or (line and line[-2:] != b"\r\n"):
            raise HTTPException
        return line


class _Handler(BaseHTTPRequestHandler):
    protocol_version = default_request_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server
    # Before its first request a connection is not idle, so no other connection replaces it.
    patience = REQUEST_SECONDS

    def setup(self) -> None:
        super().setup()
        self.rfile: _Lines = _Lines(self.connection.makefile("rb", 0))

    def handle(self) -> None:
        with suppress(OSError):
            super().handle()

    def handle_one_request(self) -> None:
        # The connection moves to the end, so that the first entry has been idle for longest.
        del self.server.until[self.connection]
        self.server.until[self.connection] = time.monotonic() + self.patience
        self.patience = IDLE_SECONDS
        if self.server.is_ending:
            _stop_reading(self.connection)
        self.close_connection = not self.rfile.peek(1)
        if not self.close_connection:
            self.server.until[self.connection] = time.monotonic() + REQUEST_SECONDS
            self.rfile.room = MAX_HEAD_BYTES
            try:
                super().handle_one_request()
            except HTTPException:
                self.send_error(400)

    def do_GET(self) -> None:
        given, length = self.headers, ",".join(self.headers.get_all("Content-Length", ["0"]))
        # Refuse an unclear length, because a proxy may see two requests here (request smuggling).
        if given.defects or "Transfer-Encoding" in given or not re.fullmatch("[0-9]{1,9}", length):
            return self.send_error(400)
        body = self.rfile.read(min(int(length), MAX_BODY_BYTES + 1))
        left = int(length) - len(body)
        while left and (more := self.rfile.read(min(left, MAX_BODY_BYTES))):
            left -= len(more)
        path, _, query = self.path.partition("?")
        environ = {
            "REQUEST_METHOD": self.command,
            "PATH_INFO": unquote(path, "latin-1"),
            "QUERY_STRING": query,
            "CONTENT_LENGTH": length,
            "wsgi.input": io.BytesIO(body),
        }
        # Names with "_" are left out, because in WSGI they would look like names with "-".
        for name in {name.upper() for name in given if "_" not in name}:
            environ["HTTP_" + name.replace("-", "_")] = ",".join(given.get_all(name, []))
        self._send(self.server.answer(environ))

    do_HEAD = do_POST = do_OPTIONS = do_PUT = do_DELETE = do_PATCH = do_GET

    def send_error(self, *_: object) -> None:
        self.close_connection = True
        self._send(self.server.answer(None))

    def _send(self, response: Response) -> None:
        self.close_connection |= self.server.is_ending
        headers = {
            **response.headers,
            "Content-Length": len(response.body),
            "Connection": "close" if self.close_connection else "keep-alive",
        }
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        status = f"{response.status} {responses.get(response.status, 'Unknown')}"
        self.connection.settimeout(REQUEST_SECONDS)
        self.wfile.write(f"HTTP/1.1 {status}\r\n{lines}\r\n{response.body}".encode("latin-1"))
        self.connection.settimeout(None)

    def log_message(self, *_: object) -> None:
        """Log nothing, because request_log.py logs each request."""


def _stop_reading(connection: socket.socket) -> None:
    # Requests that have arrived are still read and answered. Then the connection ends.
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RD)
