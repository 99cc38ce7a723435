"""TLS, name lookups and failures of the kept connection. test_assume_role.py tests the answers of
STS over this connection."""

from __future__ import annotations

import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from certificates import certificate, server_context
from faults import FAULTS
from scripted_sts import ScriptedSts, hang, scripted_sts, success
from token_service.http.connection import (
    MAX_IDLE,
    MAX_IDLE_SECONDS,
    ConnectionFault,
    Exchange,
    KeptConnection,
)
from token_service.settings.values import Endpoint


def posted(seconds: float) -> Exchange:
    return Exchange("POST", "/", b"a=1", {}, time.monotonic() + seconds)


def post(endpoint: Endpoint, *, seconds: float = 3) -> bytes:
    kept = KeptConnection(endpoint)
    try:
        return kept.request(lambda: posted(seconds)).body
    finally:
        kept.close()


def test_a_trusted_certificate_for_the_name_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = certificate(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with scripted_sts(success(), tls=server_context(pem)) as server:
        assert b"Credentials" in post(Endpoint("https", "localhost", server.port))


def test_an_unknown_certificate_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    pem = certificate(tmp_path, "localhost")
    with (
        scripted_sts(success(), tls=server_context(pem)) as server,
        pytest.raises(ConnectionFault, match="certificate cannot be trusted"),
    ):
        post(Endpoint("https", "localhost", server.port))
    assert server.requests == []


def test_a_trusted_certificate_for_another_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = certificate(tmp_path, "sts.evil.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with (
        scripted_sts(success(), tls=server_context(pem)) as server,
        pytest.raises(ConnectionFault) as caught,
    ):
        post(Endpoint("https", "localhost", server.port))
    assert server.requests == []
    # Callers read this message, so it must not name the host, which may be an internal one.
    assert str(caught.value) == "its certificate cannot be trusted (Hostname mismatch)"


def test_a_server_that_speaks_no_tls_gets_nothing() -> None:
    with scripted_sts(success()) as server, pytest.raises(ConnectionFault):
        post(Endpoint("https", "127.0.0.1", server.port), seconds=1)
    assert server.requests == []


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with scripted_sts(success()) as server:
        assert b"Credentials" in post(Endpoint("http", "127.0.0.1", server.port))


@pytest.mark.parametrize("name", [name for name in FAULTS if "endless" in name])
def test_an_answer_without_an_end_takes_no_memory(name: str) -> None:
    """An earlier version read a chunk of size -1 without limit, and so 3 GB in 4.5 s."""
    with scripted_sts(FAULTS[name].make(b"{}")) as server:
        tracemalloc.start()
        try:
            with pytest.raises(ConnectionFault):
                post(Endpoint("http", "127.0.0.1", server.port))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 4 * 1024**2


def test_a_name_that_does_not_exist_is_said_to() -> None:
    with pytest.raises(ConnectionFault, match="cannot be resolved"):
        post(Endpoint("http", "sts.invalid", 80))


def test_a_resolver_that_hangs_does_not_hold_us(mocker: MockerFixture) -> None:
    """The resolver is a fake, because this test cannot make a real one hang."""
    released = threading.Event()
    mocker.patch(
        "token_service.http.connection.socket.getaddrinfo",
        side_effect=lambda *_: released.wait(30) and [],
    )
    start = time.monotonic()
    with pytest.raises(ConnectionFault, match="no answer in time"):
        post(Endpoint("http", "sts.cn-hangzhou.aliyuncs.com", 80), seconds=0.3)
    released.set()
    assert time.monotonic() - start < 5


def at_once(kept: KeptConnection, server: ScriptedSts, count: int) -> None:
    """Send requests that STS answers only when all of them have arrived."""
    barrier = threading.Barrier(count)

    def meet(sock: socket.socket) -> bool:
        barrier.wait(20)
        return success()(sock)

    server.moves = [meet]
    with ThreadPoolExecutor(count) as threads:
        replies = list(threads.map(lambda _: kept.request(lambda: posted(20)), range(count)))
    assert [reply.status for reply in replies] == [200] * count
    server.moves = [success()]


@pytest.fixture
def kept(server: ScriptedSts) -> Iterator[KeptConnection]:
    kept = KeptConnection(Endpoint("http", "127.0.0.1", server.port))
    yield kept
    kept.close()


def test_connections_of_requests_at_once_are_kept(
    kept: KeptConnection, server: ScriptedSts
) -> None:
    for _ in range(3):
        at_once(kept, server, 5)
    assert server.connections == 5


def test_no_more_than_a_few_are_kept(kept: KeptConnection, server: ScriptedSts) -> None:
    at_once(kept, server, MAX_IDLE + 4)
    at_once(kept, server, MAX_IDLE + 4)
    assert server.connections == MAX_IDLE + 4 + 4


def test_the_one_that_was_used_last_is_used_first(
    kept: KeptConnection, server: ScriptedSts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request uses the connection that was used last, so the other connections stay idle. When
    one connection is found to be too old, all connections that are too old are closed."""
    at_once(kept, server, 3)
    later = time.time() + MAX_IDLE_SECONDS - 1
    monkeypatch.setattr("token_service.http.connection.time.time", lambda: later)
    kept.request(lambda: posted(5))
    assert server.connections == 3
    monkeypatch.setattr("token_service.http.connection.time.time", lambda: later + 2)
    kept.request(lambda: posted(5))
    assert server.connections == 3
    at_once(kept, server, 2)
    assert server.connections == 4


@pytest.mark.parametrize(
    ("seconds", "is_kept"), [(0, True), (MAX_IDLE_SECONDS - 1, True), (-1, False), (-3600, False)]
)
def test_a_connection_is_not_trusted_where_the_clock_was_set_back(
    kept: KeptConnection,
    server: ScriptedSts,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    is_kept: bool,
) -> None:
    """If the clock was set back, we do not know how long a connection was idle, so it is closed."""
    now = time.time()
    monkeypatch.setattr("token_service.http.connection.time.time", lambda: now)
    kept.request(lambda: posted(5))
    monkeypatch.setattr("token_service.http.connection.time.time", lambda: now + seconds)
    kept.request(lambda: posted(5))
    assert server.connections == (1 if is_kept else 2)


def test_what_befell_one_ends_the_others(kept: KeptConnection, server: ScriptedSts) -> None:
    """If one connection gets no answer, the idle connections probably get none either. If the idle
    connections were kept, the retry could use one of them."""
    at_once(kept, server, 3)
    server.moves = [hang, success()]
    with pytest.raises(ConnectionFault, match="no answer in time"):
        kept.request(lambda: posted(0.2))
    kept.request(lambda: posted(5))
    assert server.connections == 4


def test_no_descriptor_is_left(kept: KeptConnection, server: ScriptedSts) -> None:
    def sockets() -> int:
        links = Path("/proc/self/fd").iterdir()
        return sum("socket:" in str(link.readlink()) for link in links if link.is_symlink())

    before = sockets()
    at_once(kept, server, MAX_IDLE + 4)
    kept.close()
    # The sockets of the fake STS are also in this process, and its threads close them a little
    # later.
    while sockets() > before:
        time.sleep(0.01)


def test_threads_that_post_at_once_do_not_share_a_connection() -> None:
    answers: list[bytes] = []
    with scripted_sts(success()) as server:
        kept = KeptConnection(Endpoint("http", "127.0.0.1", server.port))

        def call() -> None:
            for _ in range(20):
                answers.append(kept.request(lambda: posted(5)).body)

        threads = [threading.Thread(target=call) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        kept.close()
    assert len(answers) == 160
    assert all(b"Credentials" in body for body in answers)
