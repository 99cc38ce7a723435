"""The operator's back end: what it gets, how it verifies that, and what its answer decides."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

import hook
from callbacks import Upload
from errors import HookFailed
from hook import Hook
from scripted_sts import Move, answer, drip, hang, raw, reset, scripted_sts, then_close
from settings import Endpoint, Url

SECRET = b"h" * 32
UPLOAD = Upload(
    id="0a" * 32,
    legacy_id="0b" * 32,
    caller="alice",
    bucket="my-bucket",
    object_key="uploads/alice/\u65e5\n.jpg",
    size=5,
    etag="5D41",
    content_type="image/jpeg",
    width=640,
    height=480,
)


@contextmanager
def hook_at(port: int) -> Iterator[Hook]:
    made = Hook(Url(Endpoint("http", "127.0.0.1", port), "/uploaded?from=oss"))
    try:
        yield made
    finally:
        made.close()


def deliver(move: Move, *, seconds: float = 3) -> dict[str, object]:
    with scripted_sts(move) as server, hook_at(server.port) as made:
        return made.deliver(UPLOAD, SECRET, time.monotonic() + seconds)


def test_an_upload_is_posted_as_json_and_signed() -> None:
    with scripted_sts(answer(200, {"Status": "OK", "Id": 7})) as server, hook_at(server.port) as it:
        answered = it.deliver(UPLOAD, SECRET, time.monotonic() + 3)
        ((head, body),) = server.received
    assert answered == {"Status": "OK", "Id": 7}
    line, *rest = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (text.partition(": ") for text in rest)}
    assert line == "POST /uploaded?from=oss HTTP/1.1"
    assert json.loads(body) == UPLOAD.members()
    assert headers["content-type"] == "application/json"
    assert headers["idempotency-key"] == UPLOAD.id == json.loads(body)["Id"]
    # As docs/callbacks.md tells back ends to do it.
    assert abs(time.time() - int(headers["x-upload-time"])) < 300
    signed = headers["x-upload-time"].encode() + b"." + body
    expected = "sha256=" + hmac.new(SECRET, signed, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(headers["x-upload-signature"], expected)


def test_the_signature_covers_time_and_body() -> None:
    made = {
        hook.signature(moment, body, secret)
        for moment in ("1795511728", "1795511729")
        for body in (b"{}", b"{ }")
        for secret in (SECRET, b"o" * 32)
    }
    assert len(made) == 8


def test_the_same_upload_delivered_twice_is_the_same_but_for_its_time() -> None:
    with scripted_sts(answer(200, {})) as server, hook_at(server.port) as made:
        for _ in range(2):
            made.deliver(UPLOAD, SECRET, time.monotonic() + 3)
        (head, body), (head_again, body_again) = server.received
        assert server.connections == 1
    assert body == body_again
    key = f"Idempotency-Key: {UPLOAD.id}".encode()
    assert key in head
    assert key in head_again


def test_a_kept_connection_that_went_stale_is_no_failure() -> None:
    with scripted_sts(then_close(answer(200, {}))) as server, hook_at(server.port) as made:
        for _ in range(3):
            assert made.deliver(UPLOAD, SECRET, time.monotonic() + 3) == {}
        assert len(server.received) == 3


def test_any_2xx_accepts() -> None:
    assert deliver(answer(201, {"Status": "Created"})) == {"Status": "Created"}


REDIRECT = b"HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"
FAILURES: dict[str, tuple[Move, str]] = {
    "403": (answer(403, {"Status": "OK"}), "answered HTTP 403"),
    "500": (answer(500, {"Status": "OK"}), "answered HTTP 500"),
    "a redirect": (raw(REDIRECT), "answered HTTP 307"),
    "204": (raw(b"HTTP/1.1 204 X\r\n\r\n"), "JSON object"),
    "HTML": (answer(200, b"<html>OK</html>"), "JSON object"),
    "an array": (answer(200, []), "JSON object"),
    "a text": (answer(200, "OK"), "JSON object"),
    "not a number": (answer(200, b'{"a": NaN}'), "JSON object"),
    "not UTF-8": (answer(200, b'{"a": "\xff"}'), "JSON object"),
    "a deep nest": (answer(200, b'{"a":' * 10_000), "JSON object"),
    "1 MB": (answer(200, b'{"a": "' + b"x" * (1 << 20) + b'"}'), "not understood"),
    "1 MB without a length": (
        raw(b'HTTP/1.1 200 X\r\n\r\n{"a": "' + b"x" * (1 << 20) + b'"}'),
        "not understood",
    ),
    "a reset": (reset, "closed the connection"),
    "half an answer": (raw(b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n{}"), "half-way"),
    "no HTTP": (raw(b"SSH-2.0-x\r\n"), "not understood"),
}


@pytest.mark.parametrize(("move", "message"), FAILURES.values(), ids=FAILURES)
def test_every_other_answer_fails_cleanly(move: Move, message: str) -> None:
    with pytest.raises(HookFailed, match=message) as caught:
        deliver(move)
    assert (caught.value.status, caught.value.code) == (502, "HookFailed")
    assert caught.value.message.startswith("UPLOAD_HOOK_URL")


def test_an_answer_that_is_sound_and_deep_is_passed_on_or_refused() -> None:
    """How deep json goes differs between Python 3.10 and 3.13."""
    with suppress(HookFailed):
        assert list(deliver(answer(200, b'{"a":' * 9000 + b"1" + b"}" * 9000))) == ["a"]


@pytest.mark.parametrize("move", [hang, drip(b"HTTP/1.1 200 X\r\n" * 50)], ids=["hang", "drip"])
def test_a_hook_that_does_not_end_is_given_up(move: Move) -> None:
    began = time.monotonic()
    with pytest.raises(HookFailed, match="no answer in time"):
        deliver(move, seconds=0.5)
    assert time.monotonic() - began < 5


def test_nobody_at_the_hook_is_said_so() -> None:
    with hook_at(9) as made, pytest.raises(HookFailed, match="refused the connection"):
        made.deliver(UPLOAD, SECRET, time.monotonic() + 3)
