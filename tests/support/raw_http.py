"""Sends requests byte for byte, also requests that no usual client sends."""

from __future__ import annotations

import http.client
import json
import socket
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """Status, headers and body as they were received."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(self.body)
        return decoded


def ask(port: int, method: str, path: str, *lines: str, encoding: str = "utf-8") -> Answer:
    """Send a head to 127.0.0.1:`port`. `lines` are its headers and must include Host."""
    head = "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "Connection: close", "", ""])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(head.encode(encoding, "surrogateescape"))
        reply = http.client.HTTPResponse(sock, method=method)
        reply.begin()
        return Answer(reply.status, reply.headers, reply.read())
