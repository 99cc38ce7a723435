"""OSS's public keys come from one host by https, from the bundled copy, or from the cache."""

from __future__ import annotations

import base64
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from pytest_mock import MockerFixture

from certificates import certificate, server_context
from oss_signer import PRODUCTION_KEY_URL, OssSigner
from scripted_sts import Move, ScriptedSts, answer, hang, raw, scripted_sts
from token_service.callback import public_keys as oss_keys
from token_service.callback.public_keys import HOST, OssKeys
from token_service.callback.seals import CallbackRefused
from token_service.settings.addresses import Url
from token_service.settings.values import Endpoint

# The sample of the vendor's documentation, which was signed with OSS's production key.
TEXT = b"/index.php?id=1&index=2\nbucket=yonghu-test"
SIGNATURE = base64.b64decode(
    "kKQeGTRccDKyHB3H9vF+xYMSrmhMZjzzl2/kdD1ktNVgbWEfYTQG0G2SU/RaHBovRCE8OkQDjC3uG33esH2txA=="
)
OWN = OssSigner()
OTHER = OssSigner()


def verify(
    keys: OssKeys,
    signer: OssSigner | None = None,
    *,
    url: str = PRODUCTION_KEY_URL,
    seconds: float = 5,
) -> None:
    """Verify a signature of `signer`, or the signature of the vendor's sample if there is no
    signer."""
    signature = SIGNATURE if signer is None else signer.sign(TEXT)
    keys.verify(url, signature, (b"another text", TEXT), time.monotonic() + seconds)


@pytest.fixture
def cdn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mocker: MockerFixture
) -> Iterator[ScriptedSts]:
    """A fake of the vendor's host with a trusted certificate. The names of other hosts cannot be
    resolved."""
    pem = certificate(tmp_path, HOST)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with scripted_sts(answer(200, OWN.pem), tls=server_context(pem)) as server:
        mocker.patch(
            "token_service.http.connection.socket.getaddrinfo", side_effect=resolver(server.port)
        )
        yield server


def resolver(port: int) -> Callable[..., Any]:
    def look_up(host: bytes, asked: int, *_: object) -> list[Any]:
        assert (host.decode(), asked) == (HOST, 443)
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))]

    return look_up


def test_the_bundled_key_needs_no_fetch(cdn: ScriptedSts) -> None:
    verify(OssKeys(None))
    assert cdn.connections == 0


def test_another_key_is_fetched_by_https_though_oss_names_http(cdn: ScriptedSts) -> None:
    keys = OssKeys(None)
    verify(keys, OWN)
    verify(keys, OWN)
    verify(keys)
    ((head, body),) = cdn.received
    assert head.startswith(b"GET /callback_pub_key_v1.pem HTTP/1.1\r\n")
    assert b"Accept: */*" in head.split(b"\r\n")
    assert body == b""


def test_one_of_several_keys_is_enough(cdn: ScriptedSts) -> None:
    cdn.moves[:] = [answer(200, OTHER.pem + OWN.pem)]
    verify(OssKeys(None), OWN)


def test_a_certificate_of_another_is_refused(
    cdn: ScriptedSts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate(tmp_path, "gosspublic.evil.example")))
    with pytest.raises(CallbackRefused):
        verify(OssKeys(None), OWN)
    assert cdn.received == []


WRONG_URLS = {
    "another host": "http://evil.example/callback_pub_key_v1.pem",
    "the host as a label": "http://gosspublic.alicdn.com.evil.example/callback_pub_key_v1.pem",
    "the host as a tail": "http://evilgosspublic.alicdn.com/callback_pub_key_v1.pem",
    "the host below another": "http://evil.gosspublic.alicdn.com/callback_pub_key_v1.pem",
    "the host as a user": "http://gosspublic.alicdn.com@evil.example/callback_pub_key_v1.pem",
    "the host as a user with a password": "https://gosspublic.alicdn.com:x@evil.example/key.pem",
    "a user": "https://user@gosspublic.alicdn.com/callback_pub_key_v1.pem",
    "a user behind a backslash": "http://evil.example\\@gosspublic.alicdn.com/key.pem",
    "a backslash": "http://gosspublic.alicdn.com\\.evil.example/key.pem",
    "the host as a path": "http://evil.example/gosspublic.alicdn.com/key.pem",
    "the host as a fragment": "http://evil.example#gosspublic.alicdn.com/key.pem",
    "a port": "http://gosspublic.alicdn.com:8080/callback_pub_key_v1.pem",
    "the scheme's own port": "https://gosspublic.alicdn.com:443/callback_pub_key_v1.pem",
    "no port": "https://gosspublic.alicdn.com:/callback_pub_key_v1.pem",
    "a dot at the end": "https://gosspublic.alicdn.com./callback_pub_key_v1.pem",
    "upper case": "https://GOSSPUBLIC.alicdn.com/callback_pub_key_v1.pem",
    "an upper case scheme": "HTTPS://gosspublic.alicdn.com/callback_pub_key_v1.pem",
    "another scheme": "ftp://gosspublic.alicdn.com/callback_pub_key_v1.pem",
    "a file": "file://gosspublic.alicdn.com/etc/passwd",
    "no scheme": "gosspublic.alicdn.com/callback_pub_key_v1.pem",
    "an empty scheme": "//gosspublic.alicdn.com/callback_pub_key_v1.pem",
    "loopback": "http://127.0.0.1/callback_pub_key_v1.pem",
    "the metadata service": "http://100.100.100.200/latest/meta-data/",
    "an IPv6 address": "http://[::1]/callback_pub_key_v1.pem",
    "half an IPv6 address": "http://[::1/callback_pub_key_v1.pem",
    "an address as a number": "http://2130706433/callback_pub_key_v1.pem",
    "look-alike letters": "https://gosspublic.alicdn.com\uff0fevil.example/key.pem",
    "a full-width dot": "https://gosspublic\uff0ealicdn.com/key.pem",
    "a line feed": "https://gosspublic.alicdn.com/key.pem\r\nHost: evil.example",
    "a tab": "https://gosspublic.ali\tcdn.com/key.pem",
    "a blank before": " https://gosspublic.alicdn.com/key.pem",
    "a query": "https://gosspublic.alicdn.com/key.pem?url=http://evil.example",
    "an empty query": "https://gosspublic.alicdn.com/key.pem?",
    "a fragment": "https://gosspublic.alicdn.com/key.pem#x",
    "an empty path": "https://gosspublic.alicdn.com",
    "an encoded path": "https://gosspublic.alicdn.com/%2e%2e/key.pem",
    "nothing": "",
}


@pytest.mark.parametrize("url", WRONG_URLS.values(), ids=WRONG_URLS)
def test_a_key_of_another_url_is_refused_and_nobody_is_asked(cdn: ScriptedSts, url: str) -> None:
    """The URL is refused even if OSS's production key signed the request."""
    for signer in (OWN, None):
        with pytest.raises(CallbackRefused, match="URL is not on gosspublic"):
            verify(OssKeys(None), signer, url=url)
    assert cdn.connections == 0


REDIRECT = b"HTTP/1.1 302 X\r\nLocation: https://evil.example/\r\nContent-Length: 0\r\n\r\n"
BAD_FETCHES: dict[str, Move] = {
    "redirect": raw(REDIRECT),
    "not found": answer(404, OWN.pem),
    "HTML": answer(200, b"<html>"),
    "not ASCII": answer(200, b"\xff"),
    "too large": answer(200, OWN.pem + b"\n" * oss_keys.MAX_PEM_BYTES),
    "endless": raw(b"HTTP/1.1 200 X\r\n\r\n" + OWN.pem + b"\n" * oss_keys.MAX_PEM_BYTES),
    "closed": raw(b""),
    "another key": answer(200, OTHER.pem),
}


@pytest.mark.parametrize("move", BAD_FETCHES.values(), ids=BAD_FETCHES)
def test_a_fetch_that_fails_accepts_nothing_new_and_loses_nothing(
    cdn: ScriptedSts, move: Move
) -> None:
    cdn.moves[:] = [move]
    keys = OssKeys(None)
    with pytest.raises(CallbackRefused):
        verify(keys, OWN)
    # The keys that were already known still work.
    verify(keys)


def test_who_calls_while_the_key_is_fetched_has_it_too(cdn: ScriptedSts) -> None:
    keys, under_way, goes_on = OssKeys(None), Event(), Event()
    answered = cdn.moves[0]

    def slow(sock: socket.socket) -> bool:
        under_way.set()
        assert goes_on.wait(5)
        return answered(sock)

    cdn.moves[:] = [slow]
    with ThreadPoolExecutor() as threads:
        first = threads.submit(verify, keys, OWN)
        assert under_way.wait(5)
        others = [threads.submit(verify, keys, OWN) for _ in range(3)]
        with pytest.raises(CallbackRefused):
            verify(keys, OWN, seconds=0.05)
        goes_on.set()
        for one in (first, *others):
            one.result(5)
    assert len(cdn.received) == 1


def test_a_fetch_that_hangs_ends_with_the_time_of_the_request(cdn: ScriptedSts) -> None:
    cdn.moves[:] = [hang]
    began = time.monotonic()
    with pytest.raises(CallbackRefused):
        verify(OssKeys(None), OWN, seconds=0.2)
    assert time.monotonic() - began < 5


@pytest.fixture
def clock(mocker: MockerFixture) -> list[float]:
    now = [time.time()]
    mocker.patch("token_service.callback.public_keys.time.time", side_effect=lambda: now[0])
    return now


def test_a_replaced_key_is_found_and_the_last_good_one_stays_until_then(
    cdn: ScriptedSts, clock: list[float]
) -> None:
    keys = OssKeys(None)
    verify(keys, OWN)
    cdn.moves[:] = [answer(500, b"")]
    clock[0] += 61
    with pytest.raises(CallbackRefused):
        verify(keys, OTHER)
    verify(keys, OWN)
    cdn.moves[:] = [answer(200, OTHER.pem)]
    clock[0] += 61
    verify(keys, OTHER)
    with pytest.raises(CallbackRefused):
        verify(keys, OWN)


def test_signatures_that_do_not_match_fetch_once_a_minute_at_most(
    cdn: ScriptedSts, clock: list[float]
) -> None:
    keys = OssKeys(None)
    for _ in range(20):
        with pytest.raises(CallbackRefused, match="the signature does not match"):
            verify(keys, OTHER)
        clock[0] += 1
    assert len(cdn.received) == 1


def test_while_there_is_no_key_a_fetch_is_tried_every_five_seconds(
    cdn: ScriptedSts, clock: list[float]
) -> None:
    cdn.moves[:] = [answer(500, b"")]
    keys = OssKeys(None)
    for _ in range(9):
        with pytest.raises(CallbackRefused, match="matches no known key"):
            verify(keys, OWN)
        clock[0] += 1
    assert len(cdn.received) == 2


def test_a_key_that_is_there_is_fetched_again_after_a_minute_and_no_sooner(
    cdn: ScriptedSts, clock: list[float]
) -> None:
    keys = OssKeys(None)
    verify(keys, OWN)
    began = clock[0]
    # In the last case the clock is set back, and a fetch is still allowed.
    for later, fetches in ((0, 1), (0.5, 1), (59.5, 1), (60, 2), (119.5, 2), (120, 3), (-3600, 4)):
        clock[0] = began + later
        with pytest.raises(CallbackRefused):
            verify(keys, OTHER)
        assert len(cdn.received) == fetches, later


def test_a_key_that_verifies_is_not_fetched_again(cdn: ScriptedSts, clock: list[float]) -> None:
    keys = OssKeys(None)
    verify(keys, OWN)
    clock[0] += 3600
    verify(keys, OWN)
    assert len(cdn.received) == 1


def test_a_request_without_time_does_not_wait_for_the_fetch_of_another(
    mocker: MockerFixture,
) -> None:
    keys = OssKeys(None)
    fetching = mocker.patch.object(keys, "_fetching")
    fetching.acquire.return_value = False
    with pytest.raises(CallbackRefused):
        verify(keys, OWN, seconds=-1)
    fetching.acquire.assert_called_once_with(timeout=0.0)


def test_no_two_urls_are_fetched_within_five_seconds(cdn: ScriptedSts, clock: list[float]) -> None:
    cdn.moves[:] = [answer(404, b"")]
    keys = OssKeys(None)
    began = clock[0]
    for number, (later, fetches) in enumerate(((0, 1), (0, 1), (0.5, 1), (4.5, 1), (5, 2))):
        clock[0] = began + later
        with pytest.raises(CallbackRefused):
            verify(keys, OTHER, url=f"https://{HOST}/key{number}.pem")
        assert len(cdn.received) == fetches, later


def test_keys_of_few_urls_are_kept(cdn: ScriptedSts, clock: list[float]) -> None:
    keys = OssKeys(None)
    for number in range(oss_keys.MAX_URLS + 3):
        verify(keys, OWN, url=f"https://{HOST}/key{number}.pem")
        clock[0] += 5
    assert len(keys._fetched) == oss_keys.MAX_URLS


def test_many_urls_cause_no_more_fetches_than_one_and_drive_no_good_key_out(
    cdn: ScriptedSts, clock: list[float]
) -> None:
    """A client with a token has a valid seal, so its callbacks are not refused at once. Each of
    these callbacks may give a different URL for OSS's public key."""
    cdn.moves[:] = [answer(200, OWN.pem), answer(404, b"")]
    keys = OssKeys(None)
    verify(keys, OWN)
    for number in range(100):
        with pytest.raises(CallbackRefused):
            verify(keys, OTHER, url=f"https://{HOST}/key{number}.pem")
        clock[0] += 0.1
    assert len(cdn.received) <= 4
    verify(keys, OWN)


def test_with_a_url_of_its_own_a_sandbox_accepts_its_own_key_and_no_other(
    cdn: ScriptedSts, mocker: MockerFixture
) -> None:
    mocker.stopall()
    with scripted_sts(answer(200, OWN.pem)) as sandbox:
        url = Url(Endpoint("http", "127.0.0.1", sandbox.port), "/callback_pub_key.pem")
        keys = OssKeys(url)
        verify(keys, OWN, url=str(url))
        with pytest.raises(CallbackRefused, match="does not match"):
            verify(keys, url=str(url))
        for other in (PRODUCTION_KEY_URL, f"{url}?", f"{url}#x", str(url).upper(), ""):
            with pytest.raises(CallbackRefused, match="not CALLBACK_PUBLIC_KEY_URL"):
                verify(keys, url=other)
            with pytest.raises(CallbackRefused, match="not CALLBACK_PUBLIC_KEY_URL"):
                verify(keys, OWN, url=other)
        assert len(sandbox.received) == 1


def test_plain_http_is_never_spoken_to_the_vendors_host(mocker: MockerFixture) -> None:
    """A server that answers without TLS does not even receive the path of the request."""
    with scripted_sts(answer(200, OWN.pem)) as server:
        mocker.patch(
            "token_service.http.connection.socket.getaddrinfo", side_effect=resolver(server.port)
        )
        with pytest.raises(CallbackRefused):
            verify(OssKeys(None), OWN, seconds=0.3)
    assert server.requests == []
