"""TLS, names and dead ends of the kept connection; what STS says over it is test_sts.py's."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from certificates import certificate, server_context
from scripted_sts import scripted_sts, success
from token_service.http.connection import ConnectionFault, Exchange, KeptConnection
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
        pytest.raises(ConnectionFault, match="certificate cannot be trusted"),
    ):
        post(Endpoint("https", "localhost", server.port))
    assert server.requests == []


def test_a_server_that_speaks_no_tls_gets_nothing() -> None:
    with scripted_sts(success()) as server, pytest.raises(ConnectionFault):
        post(Endpoint("https", "127.0.0.1", server.port), seconds=1)
    assert server.requests == []


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with scripted_sts(success()) as server:
        assert b"Credentials" in post(Endpoint("http", "127.0.0.1", server.port))


def test_a_name_that_does_not_exist_is_said_to() -> None:
    with pytest.raises(ConnectionFault, match="cannot be resolved"):
        post(Endpoint("http", "sts.invalid", 80))


def test_a_resolver_that_hangs_does_not_hold_us(mocker: MockerFixture) -> None:
    """A fake, since no real resolver can be made to hang here."""
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
