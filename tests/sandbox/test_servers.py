"""Tests how servers listen, and how they close connections. test_run.py tests their answers, ports
that are in use, and signals."""

from __future__ import annotations

import http.client
import logging
import resource
import socket
import threading
import time
from contextlib import closing
from email.utils import parsedate_to_datetime

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from sandbox.servers import Service, allow_connections, in_background, listen


def test_no_answer_waits_for_the_acknowledgement_of_its_head() -> None:
    """asyncio sets TCP_NODELAY only on sockets whose protocol is IPPROTO_TCP. Without TCP_NODELAY,
    each answer on a kept connection takes 40 ms."""
    with listen(0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.proto == socket.IPPROTO_TCP


def test_no_answer_is_dated_before_it_was_made() -> None:
    """The Date that uvicorn sets may be a second old. An uploaded object could then look newer than
    the answer to its upload."""

    async def now(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(str(int(time.time())))(scope, receive, send)

    service = Service(now, listen(0))
    with in_background([service]):
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
        with closing(connection):
            # The loop takes longer than a second, so the current second changes while it runs.
            for _ in range(24):
                connection.request("GET", "/")
                answer = connection.getresponse()
                [date] = answer.headers.get_all("Date") or []
                assert parsedate_to_datetime(date).timestamp() >= int(answer.read())
                time.sleep(0.05)


def test_a_client_that_leaves_in_mid_body_is_no_fault_of_ours(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ended = threading.Event()

    async def reads(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await Request(scope, receive).body()
        finally:
            ended.set()

    service = Service(reads, listen(0))
    with in_background([service]):
        with socket.create_connection(("127.0.0.1", service.port), timeout=10) as sock:
            sock.sendall(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")
        assert ended.wait(10)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_as_many_files_may_be_open_as_the_system_allows() -> None:
    """With the usual limit of 1,024 files, a few hundred silent connections stopped the sandbox
    (seen in `make chaos`)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        allow_connections()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
