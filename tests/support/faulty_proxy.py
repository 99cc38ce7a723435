"""A server in front of the real one, which makes one mistake that a check has to detect."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Exchange:
    """A request and its answer that pass through the proxy. A fault can change both."""

    method: str
    target: str
    headers: dict[str, str]
    status: int = 0
    answered: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def change(self, **members: Any) -> None:
        """Change members of the answer's JSON. None is written as null."""
        self.rewrite(lambda document: document.update(members))

    def rewrite(self, edit: Callable[[dict[str, Any]], object]) -> None:
        """Edit the answer's JSON if it is a token."""
        if not self.body or "AccessKeyId" not in (document := json.loads(self.body)):
            return
        edit(document)
        self.body = json.dumps(document).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing, because in these tests the client may close the connection early."""


Fault = Callable[[Exchange], None]


def sound(exchange: Exchange) -> None:
    """Change nothing."""


@contextmanager
def faulty(
    url: str,
    fault: Fault,
    *,
    before: Fault = sound,
    framed: bool = True,
    tls: ssl.SSLContext | None = None,
) -> Iterator[str]:
    """Serve `url` through a proxy, which calls `fault` with each answer. Yields the proxy's URL.

    `before` is called with each request.

    If `framed` is false, the answer has no Content-Length, and ends when the connection closes.
    """
    upstream = urlsplit(url)

    class Handler(BaseHTTPRequestHandler):
        # Send head and body in one packet. A second packet would be delayed, because
        # TCP waits for an acknowledgement of the first.
        wbufsize = 65536

        def log_message(self, format: str, *args: object) -> None:
            pass

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if self.raw_requestline and self.parse_request():
                self.answer()
            self.close_connection = True

        def answer(self) -> None:
            exchange = Exchange(self.command, self.path, dict(self.headers.items()))
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            before(exchange)
            connection = http.client.HTTPConnection(upstream.hostname or "", upstream.port)
            connection.request(exchange.method, exchange.target, body, exchange.headers)
            reply = connection.getresponse()
            exchange.status, exchange.answered = reply.status, dict(reply.getheaders())
            exchange.body = reply.read()
            connection.close()
            fault(exchange)
            self.send_response_only(exchange.status)
            for name, value in exchange.answered.items():
                if name.lower() != "content-length":
                    self.send_header(name, value)
            if framed:
                self.send_header("Content-Length", str(len(exchange.body)))
            self.end_headers()
            self.wfile.write(exchange.body)

    server = _Server(("127.0.0.1", 0), Handler)
    scheme, host = ("https", "localhost") if tls else ("http", "127.0.0.1")
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"{scheme}://{host}:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
