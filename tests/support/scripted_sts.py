"""An STS whose answers a test writes byte by byte, to make faults that a real STS never has."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from socket_server import socket_server

Move = Callable[[socket.socket], bool]
"""Answers one request on a connection; returns whether the connection stays open."""

CREDENTIALS = {
    "AccessKeyId": "STS.NUgYrLnoC37mZZCNnAbez",
    "AccessKeySecret": "CVwjCkNzTMupZ8NbTCxCBRq3K16jtcWFTJAyBEv2",
    "SecurityToken": "CAISrAJ1q6Ft5B2yfSjIr5bSEsj4g7BihPWGWHz",
    "Expiration": "2036-01-01T00:00:00Z",
}


def success(**changes: object) -> Move:
    """A successful answer. `changes` replace fields of its Credentials."""
    return answer(200, {"RequestId": "R", "Credentials": {**CREDENTIALS, **changes}})


def refusal(status: int, code: str, message: str) -> Move:
    return answer(status, {"RequestId": "R", "HostId": "h", "Code": code, "Message": message})


def answer(status: int, body: object, *, close: bool = False) -> Move:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection = "close" if close else "keep-alive"
    head = f"HTTP/1.1 {status} X\r\nConnection: {connection}\r\nContent-Length: {len(text)}\r\n\r\n"
    return raw(head.encode() + text, goes_on=not close)


def raw(data: bytes, *, goes_on: bool = False) -> Move:
    def move(sock: socket.socket) -> bool:
        sock.sendall(data)
        return goes_on

    return move


def reset(sock: socket.socket) -> bool:
    """Close with RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def hang(sock: socket.socket) -> bool:
    """Never answer; wait until the client has closed the connection."""
    sock.settimeout(30)
    sock.recv(1)
    return False


def drip(data: bytes) -> Move:
    """Answer a byte at a time. Each read returns soon, but the whole answer takes very long."""

    def move(sock: socket.socket) -> bool:
        for byte in data:
            sock.sendall(bytes([byte]))
            time.sleep(0.2)
        return False

    return move


def then_close(move: Move) -> Move:
    """Answer as if the connection stayed open, but then close it."""

    def both(sock: socket.socket) -> bool:
        move(sock)
        return False

    return both


@dataclass
class ScriptedSts:
    """Answers each request with the next of `moves`. The last move is repeated."""

    port: int
    moves: list[Move]
    requests: list[dict[str, str]] = field(default_factory=list)
    received: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Head and body of each request, as they were received."""
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _next(self) -> Move:
        return self.moves.pop(0) if len(self.moves) > 1 else self.moves[0]

    def _serve(self, sock: socket.socket) -> None:
        self.connections += 1
        with sock, suppress(OSError):
            while (received := _read_request(sock)) is not None:
                self.received.append(received)
                self.requests.append(dict(parse_qsl(received[1].decode())))
                if not self._next()(sock):
                    return


def _read_request(sock: socket.socket) -> tuple[bytes, bytes] | None:
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length")
    )
    while len(body) < length:
        body += sock.recv(65536)
    return head, body


@contextmanager
def scripted_sts(*moves: Move, tls: ssl.SSLContext | None = None) -> Iterator[ScriptedSts]:
    """Serve the moves on a free port of 127.0.0.1."""
    server = ScriptedSts(0, list(moves))

    def shake_and_serve(sock: socket.socket) -> None:
        with suppress(OSError):
            server._serve(tls.wrap_socket(sock, server_side=True) if tls else sock)

    with socket_server(shake_and_serve) as server.port:
        yield server
