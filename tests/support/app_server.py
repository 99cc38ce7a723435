"""An app's own server that receives OSS's callbacks. It checks nothing, keeps each callback, and
answers as a script says."""

from __future__ import annotations

import base64
import hashlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from scripted_sts import Move, answer
from socket_server import socket_server

# The bytes before the MD5 in a signature by PKCS#1 v1.5 (RFC 8017, section 9.2).
MD5_PREFIX = bytes.fromhex("3020300c06082a864886f70d020505000410")


@dataclass(frozen=True)
class Received:
    """One callback that the server received. `target` is the request target as OSS sent it. The
    names of `headers` are in lower case."""

    target: str
    headers: dict[str, str]
    body: bytes

    def is_signed_by(self, public_key_pem: bytes) -> bool:
        """Verify the signature as the vendor documents it, using only pow()."""
        key = serialization.load_pem_public_key(public_key_pem)
        assert isinstance(key, RSAPublicKey)
        numbers = key.public_numbers()
        path, question, query = self.target.partition("?")
        text = unquote_to_bytes(path) + (question + query).encode() + b"\n" + self.body
        signature = base64.b64decode(self.headers["authorization"], validate=True)
        size = key.key_size // 8
        opened = pow(int.from_bytes(signature, "big"), numbers.e, numbers.n).to_bytes(size, "big")
        digest = MD5_PREFIX + hashlib.md5(text, usedforsecurity=False).digest()
        return opened == b"\0\1" + b"\xff" * (size - len(digest) - 3) + b"\0" + digest


@dataclass
class AppServer:
    """Answers the first request by the first of `moves`, the next request by the second one, and so
    on. The last move is repeated."""

    port: int
    moves: list[Move]
    received: list[Received] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/callback"

    def _serve(self, sock: socket.socket) -> None:
        with sock, suppress(OSError):
            received = _read(sock)
            if received is None:
                return
            self.received.append(received)
            move = self.moves.pop(0) if len(self.moves) > 1 else self.moves[0]
            move(sock)


def _read(sock: socket.socket) -> Received | None:
    with sock.makefile("rb") as file:
        line = file.readline().decode()
        if not line:
            return None
        method, target, version = line.split()
        assert (method, version) == ("POST", "HTTP/1.1")
        headers = {}
        while line := file.readline().decode().strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return Received(target, headers, file.read(int(headers["content-length"])))


@contextmanager
def app_server(*moves: Move) -> Iterator[AppServer]:
    """Run a server on a free port of 127.0.0.1. It answers the first callback with the first of
    `moves`, and so on. Without moves, each callback succeeds."""
    server = AppServer(0, list(moves) or [answer(200, {"Status": "OK"})])
    with socket_server(server._serve) as server.port:
        yield server
