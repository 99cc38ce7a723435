"""The answer of a URL is accepted only if it has status 200, is complete, and arrives in time."""

from __future__ import annotations

import time
from math import inf

import pytest

from scripted_sts import answer, hang, raw, scripted_sts
from token_service.http.connection import MAX_ANSWER_BYTES, ConnectionFault
from token_service.http.fetch import FETCH_SECONDS, fetch
from token_service.settings.addresses import url


def test_what_is_there_is_fetched_once_and_asked_for_without_compression() -> None:
    with scripted_sts(answer(200, b"keys")) as server:
        assert fetch(url(f"{server.url}/keys?a=b"), "application/json", inf) == b"keys"
    ((head, body),) = server.received
    line, *headers = head.decode().split("\r\n")
    assert (line, body) == ("GET /keys?a=b HTTP/1.1", b"")
    assert {"Accept: application/json", "Accept-Encoding: identity", "Connection: close"} <= set(
        headers
    )


@pytest.mark.parametrize("status", [201, 202, 203, 204, 206, 299, 300, 304, 400, 404, 500, 503])
def test_another_status_than_200_is_no_answer(status: int) -> None:
    """If the status is not 200, the answer may be half of a list, or a proxy may have changed it.
    Therefore the function must keep its list of keys, and not replace it by this answer."""
    with scripted_sts(answer(status, b"")) as server, pytest.raises(ValueError, match=str(status)):
        fetch(url(f"{server.url}/keys"), "*/*", inf)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(status: int) -> None:
    """A redirect could lead to an address that only the function can reach."""
    with scripted_sts(answer(200, b"keys")) as elsewhere:
        head = f"HTTP/1.1 {status} X\r\nLocation: {elsewhere.url}/keys\r\n"
        moved = raw(f"{head}Content-Length: 0\r\n\r\n".encode())
        with scripted_sts(moved) as server, pytest.raises(ValueError, match=str(status)):
            fetch(url(f"{server.url}/keys"), "*/*", inf)
    assert elsewhere.requests == []


@pytest.mark.parametrize(("bytes_", "most"), [(8, 8), (MAX_ANSWER_BYTES, None)])
def test_an_answer_may_be_so_long_and_not_a_byte_longer(bytes_: int, most: int | None) -> None:
    more = () if most is None else (most,)
    with scripted_sts(answer(200, b"x" * bytes_), answer(200, b"x" * (bytes_ + 1))) as server:
        assert len(fetch(url(f"{server.url}/keys"), "*/*", inf, *more)) == bytes_
        with pytest.raises(ConnectionFault):
            fetch(url(f"{server.url}/keys"), "*/*", inf, *more)


@pytest.mark.parametrize("seconds", [0.1, inf])
def test_silence_is_waited_for_no_longer_than_is_left(seconds: float) -> None:
    """A wait of 1.5 s leaves enough time for the rest of a request, which may take 4.5 s in all."""
    assert FETCH_SECONDS == 1.5
    began = time.monotonic()
    with scripted_sts(hang) as server, pytest.raises(ConnectionFault, match="in time"):
        fetch(url(f"{server.url}/keys"), "*/*", began + seconds)
    assert time.monotonic() >= began + min(seconds, FETCH_SECONDS)


def test_nothing_is_sent_after_the_end() -> None:
    with scripted_sts(answer(200, b"keys")) as server, pytest.raises(ConnectionFault):
        fetch(url(f"{server.url}/keys"), "*/*", time.monotonic())
    assert server.requests == []
