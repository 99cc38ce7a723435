"""Faults between the function and its services. The answer follows the interface, comes within 5 s,
and reveals no internals. No descriptor or thread is leaked."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from certificates import certificate, server_context
from chaos_table import Tries
from faults import FAULTS, Fault, later
from function_under_fire import LINKS, OSS_KEY, STS, Code, Env, Function, Link, function, members
from running_sandbox import wait_for
from scripted_sts import answer
from socket_server import socket_server

BY_LINK = pytest.mark.parametrize("link", LINKS, ids=lambda link: link.name)


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """After each test, assert that no more file descriptors and threads are open than before the
    test."""

    def open_now() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    before = open_now()
    yield
    wait_for(lambda: all(now <= was for now, was in zip(open_now(), before, strict=True)))


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let keys be fetched again at once after a failure, so that the tests do not have to wait."""
    for module in ("login.jwks", "callback.public_keys"):
        monkeypatch.setattr(f"token_service.{module}.RETRY_SECONDS", 0)


def check(at: Function, link: Link, expected: Code, tries: Tries) -> None:
    """Send a request to the link's route. Assert that the answer is `expected` and has no
    secret."""
    response = tries.ask(lambda: at.ask(link.route))
    found = members(response)
    tries.note(f"{found['StatusCode']} {found.get('ErrorCode', 'OK')}")
    assert (found["StatusCode"], found.get("ErrorCode", "")) == expected, found
    # OSS gets the true HTTP status (/callback), but phones always get 200.
    assert response.status == (expected[0] if link.route == "/callback" else 200)
    if expected[0] != 200:
        assert found["ErrorMessage"]
        assert [inner for inner in at.inner if inner in response.body] == []


def check_sound(at: Function, link: Link, tries: Tries) -> None:
    """Assert that the function answers normally after the fault, without a restart."""
    response = tries.ask(lambda: at.ask(link.route))
    assert response.status == 200, response.body
    assert members(response).get("StatusCode", 200) == 200, response.body


def expected_of(link: Link, fault: Fault) -> Code:
    return link.wrong if fault.is_whole else link.none


def try_fault(
    env: Env, link: Link, name: str, tries: Tries, caplog: pytest.LogCaptureFixture
) -> None:
    tries.name(f"function and {link.name}", name)
    fault = FAULTS[name]
    with function(env, link, fault.make(link.body)) as at, caplog.at_level(logging.DEBUG):
        check(at, link, expected_of(link, fault), tries)
        at.servers[link.server].moves[:] = [answer(200, link.body)]
        check_sound(at, link, tries)
    secrets = [secret for secret in at.inner[:7] if secret in caplog.text]
    assert secrets == []


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if not fault.waits])
@BY_LINK
def test_a_fault_is_answered_by_the_contract_and_is_over_with_its_cause(
    env: Env, link: Link, name: str, tries: Tries, caplog: pytest.LogCaptureFixture
) -> None:
    try_fault(env, link, name, tries, caplog)


@pytest.mark.chaos
@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.waits])
@BY_LINK
def test_a_fault_that_lasts_is_answered_in_time(
    env: Env, link: Link, name: str, tries: Tries, caplog: pytest.LogCaptureFixture
) -> None:
    try_fault(env, link, name, tries, caplog)


# The fault hits only one attempt, and the request is retried


@pytest.mark.parametrize("name", ["reset", "half a body", "not HTTP", "headers, endless"])
def test_sts_is_asked_again_after_a_passing_fault(env: Env, name: str, tries: Tries) -> None:
    tries.name("function and STS", f"{name}, once")
    with function(env, STS, FAULTS[name].make(STS.body), answer(200, STS.body)) as at:
        check(at, STS, (200, ""), tries)


@pytest.mark.chaos
@BY_LINK
def test_a_slow_answer_is_an_answer(env: Env, link: Link, tries: Tries) -> None:
    tries.name(f"function and {link.name}", "an answer after 1 s")
    with function(env, link, later(1, answer(200, link.body))) as at:
        response = tries.ask(lambda: at.ask(link.route))
        tries.note("200 OK")
    assert response.status == 200
    assert members(response).get("StatusCode", 200) == 200


# TLS


TLS = {
    "expired": ("localhost", -0.5, "trusted"),
    "of an own CA that is not trusted": ("localhost", 1, "other"),
    "self-signed": ("localhost", 1, ""),
    "of another name": ("evil.example", 1, "trusted"),
    "sound": ("localhost", 1, "trusted"),
}
"""For each certificate: its host name, the days until it expires, and the authority that signed
it."""


@pytest.mark.parametrize("name", TLS)
@BY_LINK
def test_a_certificate_that_is_not_sound_gets_no_request(
    env: Env, link: Link, name: str, tries: Tries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries.name(f"function and {link.name}", f"TLS certificate {name}")
    host, days, issuer = TLS[name]
    authorities = {made: certificate(tmp_path, made) for made in {"trusted", issuer} - {""}}
    monkeypatch.setenv("SSL_CERT_FILE", str(authorities["trusted"]))
    context = server_context(certificate(tmp_path, host, days, authorities.get(issuer)))
    with function(env, link, answer(200, link.body), tls=context, host="localhost") as at:
        if name == "sound":
            check_sound(at, link, tries)
            tries.note("200 OK")
        else:
            check(at, link, link.none, tries)
            assert at.servers[link.server].requests == []


@BY_LINK
def test_a_server_without_tls_gets_no_request(env: Env, link: Link, tries: Tries) -> None:
    tries.name(f"function and {link.name}", "plain HTTP where TLS is awaited")

    def refuse(sock: socket.socket) -> None:
        with sock:
            sock.recv(65536)
            sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with socket_server(refuse) as port:
        address = f"https://127.0.0.1:{port}"
        with function(env, link, address=lambda _: address) as at:
            check(at, link, link.none, tries)


@pytest.mark.chaos
@BY_LINK
def test_a_handshake_that_hangs_is_given_up(env: Env, link: Link, tries: Tries) -> None:
    tries.name(f"function and {link.name}", "TLS handshake that hangs")

    def swallow(sock: socket.socket) -> None:
        with sock, suppress(OSError):
            while sock.recv(65536):
                pass

    with socket_server(swallow) as port:
        address = f"https://localhost:{port}"
        with function(env, link, address=lambda _: address) as at:
            check(at, link, link.none, tries)


# Ports and names


@BY_LINK
def test_a_port_that_nobody_listens_on_is_an_error(env: Env, link: Link, tries: Tries) -> None:
    tries.name(f"function and {link.name}", "connection refused")
    with function(env, link, address=lambda _: "http://127.0.0.1:9") as at:
        check(at, link, link.none, tries)


@pytest.mark.parametrize("link", LINKS[:-1], ids=lambda link: link.name)
def test_a_name_that_does_not_exist_is_an_error(env: Env, link: Link, tries: Tries) -> None:
    tries.name(f"function and {link.name}", "DNS: no such name")
    with function(env, link, address=lambda _: nowhere(link)) as at:
        check(at, link, link.none, tries)


def fail(*_: object) -> None:
    raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


@BY_LINK
def test_a_resolver_that_fails_is_an_error(
    env: Env, link: Link, tries: Tries, mocker: MockerFixture
) -> None:
    tries.name(f"function and {link.name}", "DNS: a resolver that fails")
    with function(env, link, address=lambda _: nowhere(link)) as at:
        resolving(mocker, fail)
        check(at, link, link.none, tries)


@pytest.mark.chaos
@BY_LINK
def test_a_resolver_that_hangs_is_given_up(
    env: Env, link: Link, tries: Tries, mocker: MockerFixture
) -> None:
    tries.name(f"function and {link.name}", "DNS: a resolver that hangs")
    released = threading.Event()
    with function(env, link, address=lambda _: nowhere(link)) as at:
        resolving(mocker, lambda *_: released.wait(30) and [])
        check(at, link, link.none, tries)
        released.set()


def nowhere(link: Link) -> str:
    """Return a URL with a host name that has no address. For OSS's key, return no URL, because the
    key always comes from the vendor's host."""
    return "" if link is OSS_KEY else "https://nowhere.invalid"


def resolving(mocker: MockerFixture, look_up: Callable[..., object]) -> None:
    """Replace the lookup of host names by `look_up`. IP addresses are looked up as usual."""
    real = socket.getaddrinfo
    mocker.patch(
        "token_service.http.connection.socket.getaddrinfo",
        side_effect=lambda host, *more: (
            real(host, *more) if host.startswith(b"127.") else look_up(host, *more)
        ),
    )
