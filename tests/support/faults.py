"""Makes moves for ScriptedSts. Each move is a fault of a server or of the network in one answer."""

from __future__ import annotations

import gzip
import socket
import time
from collections.abc import Callable
from typing import NamedTuple

from scripted_sts import Move, answer, drip, hang, raw, reset

Make = Callable[[bytes], Move]
"""Makes a move from the body of a valid answer."""
ENDLESS = b"x" * 65536


class Fault(NamedTuple):
    """A fault. `is_whole`: the answer is valid HTTP, but its content is wrong. `waits`: the
    client gets no complete answer until its time limit ends."""

    make: Make
    is_whole: bool = False
    waits: bool = False


def head(*lines: str, status: str = "200 OK") -> bytes:
    """The head of an answer."""
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode()


def whole(body: bytes, *lines: str, status: str = "200 OK") -> bytes:
    """An answer with its true length."""
    return head(f"Content-Length: {len(body)}", *lines, status=status) + body


def then(first: Move, second: Move) -> Move:
    """Do `first`, then `second`. The result of `first` is ignored, so the result of `second` says
    whether the connection stays open."""

    def move(sock: socket.socket) -> bool:
        first(sock)
        return second(sock)

    return move


def later(seconds: float, move: Move) -> Move:
    """The move, after some seconds."""

    def wait(sock: socket.socket) -> bool:
        time.sleep(seconds)
        return move(sock)

    return wait


def endless(first: bytes, again: bytes = ENDLESS) -> Move:
    """Send until the other side closes the connection."""

    def move(sock: socket.socket) -> bool:
        sock.sendall(first)
        while True:
            sock.sendall(again)

    return move


def half(body: bytes) -> bytes:
    """A valid head for the whole body, and then only half of the body."""
    return whole(body)[: -len(body) // 2]


def of_length(length: str, *, is_kept: bool = False) -> Make:
    """A valid body, after a head with a wrong Content-Length."""
    return lambda body: raw(head(f"Content-Length: {length}") + body, goes_on=is_kept)


def chunked(size: bytes, last: bytes = b"") -> Make:
    """A chunk that announces this size."""
    start = head("Transfer-Encoding: chunked") + size + b"\r\n"
    return lambda body: raw(start + body + last)


FAULTS: dict[str, Fault] = {
    "silence": Fault(lambda _: hang, waits=True),
    "half a head, then silence": Fault(lambda _: then(raw(b"HTTP/1.1 20"), hang), waits=True),
    "half a body, then silence": Fault(lambda body: then(raw(half(body)), hang), waits=True),
    "drip": Fault(lambda body: drip(whole(body, f"X-Padding: {'x' * 200}")), waits=True),
    "an answer after 10 s": Fault(lambda body: later(10, raw(whole(body))), waits=True),
    "reset": Fault(lambda _: reset),
    "closed without a word": Fault(lambda _: raw(b"")),
    # If the connection ends within the head of an answer, http.client treats the head as complete,
    # and reads an empty body.
    "half a head": Fault(lambda _: raw(b"HTTP/1.1 200 OK\r\nContent-Le"), is_whole=True),
    "half a body": Fault(lambda body: raw(half(body))),
    "half a body, then reset": Fault(lambda body: then(raw(half(body)), reset)),
    "half a chunk": Fault(chunked(b"ffff")),
    "no last chunk": Fault(lambda body: chunked(f"{len(body):x}".encode())(body)),
    "a chunk of no size": Fault(chunked(b"none")),
    "a chunk of size -1, endless": Fault(
        lambda _: endless(head("Transfer-Encoding: chunked") + b"-1\r\n")
    ),
    "not HTTP": Fault(lambda _: raw(b"SSH-2.0-OpenSSH_9.2\r\n")),
    "100 Continue, endless": Fault(lambda _: endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 999)),
    "headers, endless": Fault(lambda _: endless(b"HTTP/1.1 200 OK\r\n", b"X-Padding: x\r\n" * 99)),
    "one header, endless": Fault(lambda _: endless(b"HTTP/1.1 200 OK\r\nX-Padding: ")),
    "a body, endless": Fault(lambda _: endless(head("Connection: close"))),
    "a body of 10 GB, announced": Fault(of_length("9999999999")),
    "a body of 1 MB": Fault(lambda _: raw(whole(b" " * 1024**2))),
    "Content-Length too large": Fault(lambda body: of_length(str(len(body) + 9))(body)),
    "Content-Length too small": Fault(
        lambda body: of_length(str(len(body) // 2), is_kept=True)(body), is_whole=True
    ),
    "HTML": Fault(lambda _: answer(200, b"<html>Welcome to the hotel</html>"), is_whole=True),
    "HTML with 502": Fault(lambda _: answer(502, b"<html>Bad Gateway</html>"), is_whole=True),
    "nothing, with 200": Fault(lambda _: answer(200, b""), is_whole=True),
    "JSON of another shape": Fault(lambda _: answer(200, ["a", {"b": None}]), is_whole=True),
    "JSON, 30,000 deep": Fault(lambda _: answer(200, b"[" * 30000), is_whole=True),
    "XML of another shape": Fault(lambda _: answer(200, b"<a><b/></a>"), is_whole=True),
    "not UTF-8": Fault(lambda _: answer(200, b"\xff\xfe\0{"), is_whole=True),
    "gzip that nobody asked for": Fault(
        lambda body: raw(whole(gzip.compress(body), "Content-Encoding: gzip"), goes_on=True),
        is_whole=True,
    ),
    "bad gzip": Fault(
        lambda _: raw(whole(b"\x1f\x8b\x08\0bad", "Content-Encoding: gzip"), goes_on=True),
        is_whole=True,
    ),
    "a redirect": Fault(
        lambda _: raw(
            whole(b"", "Location: http://169.254.169.254/", status="302 Found"), goes_on=True
        ),
        is_whole=True,
    ),
}
