"""The operator's back end: what it receives, how it verifies a request, and which effect its answer
has.

The back end here is the code of docs/callbacks.md.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from documented_code import python_with, run
from scripted_sts import Move, answer, drip, hang, raw, reset, scripted_sts, then_close
from token_service.callback import webhook
from token_service.callback.verify import Upload
from token_service.callback.webhook import HookFailed, Webhook
from token_service.encoding import compact
from token_service.settings.addresses import Url
from token_service.settings.values import Endpoint

SECRET = b"h" * 32
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.just("Id") | st.text(), inner),
    max_leaves=8,
)
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
def hook_at(port: int) -> Iterator[Webhook]:
    made = Webhook(Url(Endpoint("http", "127.0.0.1", port), "/uploaded?from=oss"))
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
    assert {"Content-Type: application/json", "Accept: application/json"} <= set(rest)
    assert headers["idempotency-key"] == UPLOAD.id == json.loads(body)["Id"]
    # Existing back ends verify requests in this way, because docs/callbacks.md describes it.
    assert abs(time.time() - int(headers["x-upload-time"])) < 300
    signed = headers["x-upload-time"].encode() + b"." + body
    expected = "sha256=" + hmac.new(SECRET, signed, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(headers["x-upload-signature"], expected)


def test_the_signature_covers_time_and_body() -> None:
    made = {
        webhook.signature(moment, body, secret)
        for moment in ("1795511728", "1795511729")
        for body in (b"{}", b"{ }")
        for secret in (SECRET, b"o" * 32)
    }
    assert len(made) == 8


BACK_END = run(python_with("callbacks.md", "def verified("))
BODY = json.dumps(UPLOAD.members()).encode()
Headers = CaseInsensitiveDict[str]


def signed_headers(body: bytes = BODY, secret: bytes = SECRET, ago: float = 0) -> Headers:
    moment = str(int(time.time() - ago))
    return CaseInsensitiveDict(
        {
            "X-Upload-Time": moment,
            "X-Upload-Signature": f"sha256={webhook.signature(moment, body, secret)}",
            "Idempotency-Key": UPLOAD.id,
        }
    )


def changed(**headers: str | None) -> Headers:
    """Return the headers of a valid request with these changes. The value None removes a header."""
    made = {**signed_headers(), **{name.replace("_", "-"): v for name, v in headers.items()}}
    return CaseInsensitiveDict({name: v for name, v in made.items() if v is not None})


def uploaded(headers: Headers, body: bytes, answers: dict[str, Any] | None = None) -> int:
    """Return the HTTP status of the documented back end. `answers` is its table."""
    table = {} if answers is None else answers
    status, answered = BACK_END["uploaded"](headers, body, (b"o" * 32, SECRET), table)
    assert (status == 200) == (table != {} and answered in table.values())
    return int(status)


def test_the_documented_back_end_takes_what_the_function_sends() -> None:
    with scripted_sts(answer(200, {})) as server, hook_at(server.port) as made:
        made.deliver(UPLOAD, SECRET, time.monotonic() + 3)
        ((head, body),) = server.received
    lines = (line.partition(": ") for line in head.decode().split("\r\n")[1:])
    headers = CaseInsensitiveDict({name: value for name, _, value in lines})
    answers: dict[str, Any] = {}
    assert uploaded(headers, body, answers) == 200
    assert uploaded(headers, body, answers) == 200
    assert list(answers) == [UPLOAD.id]


def test_a_replayed_body_with_another_idempotency_key_is_no_new_upload() -> None:
    """The signature does not cover the header Idempotency-Key, so anybody who has seen a request
    can change this header (finding A17)."""
    answers: dict[str, Any] = {}
    assert uploaded(signed_headers(), BODY, answers) == 200
    for key in ("0c" * 32, UPLOAD.id.upper(), f"{UPLOAD.id} ", "", None):
        assert uploaded(changed(Idempotency_Key=key), BODY, answers) == 403
    assert list(answers) == [UPLOAD.id]


FINDING: dict[str, dict[str, str | None]] = {
    "no time": {"X_Upload_Time": None},
    "no signature": {"X_Upload_Signature": None},
    "a time that is no number": {"X_Upload_Time": "yesterday"},
    "a signature that is not ASCII": {"X_Upload_Signature": "sha256=\u00e9"},
    "a time that has no UTF-8": {"X_Upload_Time": "\ud800"},
}
MALFORMED: dict[str, dict[str, str | None]] = {
    **FINDING,
    "nothing": dict.fromkeys(("X_Upload_Time", "X_Upload_Signature", "Idempotency_Key")),
    "a time of 5,000 digits": {"X_Upload_Time": "9" * 5000},
    "a time in other digits": {"X_Upload_Time": "\u0661\u0662"},
    "a time with a sign": {"X_Upload_Time": "-1"},
    "an empty time": {"X_Upload_Time": ""},
    "a signature that has no UTF-8": {"X_Upload_Signature": "\udfff"},
    "an empty signature": {"X_Upload_Signature": ""},
    "a kind without a signature": {"X_Upload_Signature": "sha256="},
}


@pytest.mark.parametrize("headers", MALFORMED.values(), ids=MALFORMED)
def test_the_documented_back_end_answers_403_to_what_is_malformed(
    headers: dict[str, str | None],
) -> None:
    """Finding A17 lists five malformed requests that raised KeyError, ValueError, TypeError or
    UnicodeEncodeError."""
    assert uploaded(changed(**headers), BODY) == 403


def test_the_documented_back_end_answers_403_to_what_is_not_signed_now() -> None:
    for headers in (
        signed_headers(secret=b"x" * 32),
        signed_headers(ago=302),
        signed_headers(ago=-400),
        signed_headers(b"{}"),
        changed(X_Upload_Signature=signed_headers()["X-Upload-Signature"][len("sha256=") :]),
    ):
        assert uploaded(headers, BODY) == 403


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"7",
        b"null",
        b'"Id"',
        b"{}",
        b'{"Id": null}',
        b'{"Id": []}',
        b"[" * 99999,
    ],
)
def test_what_is_signed_and_no_upload_is_403_too(body: bytes) -> None:
    assert uploaded(signed_headers(body), body) == 403


ANY_TEXT = st.text(st.characters(), max_size=20)


@given(
    moment=st.none() | ANY_TEXT | st.integers().map(str),
    sent=st.none() | ANY_TEXT | ANY_TEXT.map("sha256={}".format),
    key=st.none() | ANY_TEXT | st.just(UPLOAD.id),
    body=st.binary() | st.just(BODY),
)
def test_whatever_a_stranger_sends_is_403(
    moment: str | None, sent: str | None, key: str | None, body: bytes
) -> None:
    """An exception would make a framework answer 500 (finding A17)."""
    given_headers = {"X-Upload-Time": moment, "X-Upload-Signature": sent, "Idempotency-Key": key}
    headers = {name: value for name, value in given_headers.items() if value is not None}
    assert uploaded(CaseInsensitiveDict(headers), body) == 403


@given(st.binary() | JSON.map(lambda document: json.dumps(document).encode()))
def test_whatever_is_signed_is_answered(body: bytes) -> None:
    assert uploaded(signed_headers(body), body) in (200, 403)


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
    for status in (201, 299):
        assert deliver(answer(status, {"Status": "Created"})) == {"Status": "Created"}
    for status in (300, 303):
        with pytest.raises(HookFailed, match=f"HTTP {status}"):
            deliver(answer(status, {"Status": "Created"}))


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
    "1 MB": (answer(200, b'{"a": "' + b"x" * (1 << 20) + b'"}'), "exceeds 64 KB"),
    "1 MB without a length": (
        raw(b'HTTP/1.1 200 X\r\n\r\n{"a": "' + b"x" * (1 << 20) + b'"}'),
        "exceeds 64 KB",
    ),
    "a reset": (reset, "closed the connection"),
    "half an answer": (raw(b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n{}"), "cut off"),
    "no HTTP": (raw(b"SSH-2.0-x\r\n"), "not understood"),
}


@pytest.mark.parametrize(("move", "message"), FAILURES.values(), ids=FAILURES)
def test_every_other_answer_fails_cleanly(move: Move, message: str) -> None:
    with pytest.raises(HookFailed, match=message) as caught:
        deliver(move)
    assert (caught.value.status, caught.value.code) == (502, "HookFailed")
    assert caught.value.message.startswith("UPLOAD_HOOK_URL")


def test_an_answer_that_is_sound_and_deep_is_passed_on_or_refused() -> None:
    """This answer has 9,000 levels of JSON. Python 3.10 and 3.13 differ in how many levels they can
    read, so the answer may be passed on or refused."""
    with suppress(HookFailed):
        assert list(deliver(answer(200, b'{"a":' * 9000 + b"1" + b"}" * 9000))) == ["a"]


def test_an_answer_that_can_be_read_and_not_be_written_again_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`compact` is replaced by a fake, because versions of Python differ in how many levels of JSON
    they can write."""

    def shallow(document: Any) -> str:
        if document == {"a": [1]}:
            raise RecursionError
        return compact(document)

    monkeypatch.setattr(webhook, "compact", shallow)
    with pytest.raises(HookFailed, match="JSON object"):
        deliver(answer(200, {"a": [1]}))
    assert deliver(answer(200, {"a": 1})) == {"a": 1}


@pytest.mark.parametrize("move", [hang, drip(b"HTTP/1.1 200 X\r\n" * 50)], ids=["hang", "drip"])
def test_a_hook_that_does_not_end_is_given_up(move: Move) -> None:
    began = time.monotonic()
    with pytest.raises(HookFailed, match="no answer in time"):
        deliver(move, seconds=0.5)
    assert time.monotonic() - began < 5


def test_nobody_at_the_hook_is_said_so() -> None:
    with hook_at(9) as made, pytest.raises(HookFailed, match="refused the connection"):
        made.deliver(UPLOAD, SECRET, time.monotonic() + 3)
