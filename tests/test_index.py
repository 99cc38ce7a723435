"""The entry points with hostile events: they never raise an exception, and always answer JSON."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

import index
from token_service.app import ROUTES, App
from token_service.grant import wish_names
from tried import examples

pytestmark = pytest.mark.usefixtures("deployed")

MakeEvent = Callable[..., bytes]


def check(answer: dict[str, Any], *, head: bool = False, path: str = "/") -> dict[str, Any]:
    """Check the rules that every answer must follow. Return the body."""
    assert set(answer) == {"statusCode", "headers", "body", "isBase64Encoded"}
    # /health and /callback have their true status, because phones do not call them.
    has_true_status = path.rstrip("/").endswith(("/health", "/callback"))
    assert answer["statusCode"] == 200 or has_true_status
    assert answer["isBase64Encoded"] is False
    assert answer["headers"]["Content-Type"] == "application/json; charset=utf-8"
    if head:
        assert answer["body"] == ""
        return {}
    document: dict[str, Any] = json.loads(answer["body"])
    if document["StatusCode"] != 200:
        assert set(document) == {"StatusCode", "ErrorCode", "ErrorMessage"}
        assert document["ErrorCode"]
        assert document["ErrorMessage"]
    return document


def test_a_golden_event_gets_a_token(make_event: MakeEvent) -> None:
    assert check(index.handler(make_event(), None))["Code"] == "Success"


def test_initialize_never_fails_the_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    index.initialize(None)
    for name in ("ROLE_ARN", "BUCKET_NAME"):
        monkeypatch.delenv(name)
    app = App(os.environ)
    monkeypatch.setattr(index, "_app", app)
    index.initialize(None)


def test_an_instance_recovers_when_its_configuration_does(
    make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = os.environ["ROLE_ARN"]
    monkeypatch.setenv("ROLE_ARN", "nonsense")
    assert check(index.handler(make_event(), None))["ErrorCode"] == "Misconfiguration"
    monkeypatch.setenv("ROLE_ARN", role)
    assert check(index.handler(make_event(), None))["StatusCode"] == 200


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\x00" * (32 << 20),
        b"[" * (32 << 20),
        b'{"a":' * (6 << 20),
        b"1" * (32 << 20),
        b'"' + b"\\u0000" * (5 << 20) + b'"',
    ],
    ids=["zeros", "arrays", "objects", "digits", "escapes"],
)
def test_32_mb_of_rubbish_is_answered(rubbish: bytes) -> None:
    assert check(index.handler(rubbish, None))["ErrorCode"] == "InvalidEvent"


def test_a_32_mb_body_is_refused(make_event: MakeEvent) -> None:
    body = base64.b64encode(b"\xff" * (24 << 20)).decode()
    event = make_event("POST", "/", body=body, isBase64Encoded=True)
    assert check(index.handler(event, None))["ErrorCode"] == "InvalidParameter.Body"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=12,
)
QUICK = examples(200, 60_000, suppress_health_check=[HealthCheck.function_scoped_fixture])
# Every name of every wish, and access_token.
WORDS = sorted({"access_token", *(name for names in wish_names.ROUTES.values() for name in names)})
PATHS = [*(route.path for route in ROUTES), "/sts/", "/oss/callback", "/healthz"]


@pytest.mark.tries("events")
@QUICK
@given(st.none() | st.integers() | st.text() | st.binary() | JSON | JSON.map(json.dumps))
def test_any_event_is_answered(event: object) -> None:
    check(index.handler(event, None))


WISHES = st.dictionaries(
    st.sampled_from(WORDS) | st.text(max_size=8),
    st.sampled_from(["PUT", "GET", "auto", "1", "900", "image/png", "a.jpg", "list"]) | st.text(),
    max_size=6,
)


@pytest.mark.tries("events")
@QUICK
@given(
    method=st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "PUT"]) | st.text(max_size=8),
    path=st.sampled_from(PATHS) | st.text(max_size=20).map("/{}".format),
    headers=JSON | st.dictionaries(st.text(max_size=15), st.text(max_size=15)),
    query=JSON | WISHES,
    body=JSON
    | st.text()
    | WISHES.map(json.dumps)
    | st.binary().map(lambda b: base64.b64encode(b).decode()),
    is_base64=st.booleans() | JSON,
)
def test_any_http_event_is_answered(
    make_event: MakeEvent,
    method: str,
    path: str,
    headers: object,
    query: object,
    body: object,
    is_base64: object,
) -> None:
    event = make_event(
        method,
        path,
        headers=headers,
        queryParameters=query,
        body=body,
        isBase64Encoded=is_base64,
    )
    answer = index.handler(event, None)
    check(answer, head=answer["body"] == "" and method.upper() == "HEAD", path=path)
