"""Events of Function Compute 3.0: a golden one, and hostile ones."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest

from token_service.errors import InvalidEvent
from token_service.http import fc_event
from token_service.http.messages import Request, Response

MakeEvent = Callable[..., bytes]


def test_the_golden_event_is_read(make_event: MakeEvent) -> None:
    request = fc_event.read(make_event())
    assert (request.method, request.path) == ("GET", "/")
    assert request.headers["accept-encoding"] == "gzip"
    assert request.request_id == "1-6740c5a0-1b2c3d4e-5f6071829304"


def test_header_names_are_read_whatever_their_case(make_event: MakeEvent) -> None:
    request = fc_event.read(make_event(headers={"CONTENT-Type": "application/json"}))
    assert request.headers["content-type"] == "application/json"


def test_the_decoded_path_is_taken_not_the_raw_one(make_event: MakeEvent) -> None:
    event = json.loads(make_event(path="/sts"))
    event["rawPath"] = "/%73ts"
    assert fc_event.read(json.dumps(event)).path == "/sts"


def test_a_base64_body_is_decoded(make_event: MakeEvent) -> None:
    body = base64.b64encode(b"\xffbinary").decode()
    request = fc_event.read(make_event("POST", body=body, isBase64Encoded=True))
    assert request.body == b"\xffbinary"


def test_nulls_are_empty(make_event: MakeEvent) -> None:
    request = fc_event.read(make_event(headers=None, queryParameters=None, body=None))
    assert (dict(request.headers), dict(request.query), request.body) == ({}, {}, b"")


@pytest.mark.parametrize(
    "event",
    [
        None,
        7,
        b"",
        "",
        b"not JSON",
        b"\xff\xfe\x00",
        b"[]",
        b"null",
        b"{}",
        b"[" * 100_000,
        b'{"requestContext": []}',
        b'{"requestContext": {"http": "GET /"}}',
        b'{"requestContext": {"http": {"path": "/"}}}',
        b'{"requestContext": {"http": {"method": "GET"}}}',
        b'{"requestContext": {"http": {"method": "G\\nT", "path": "/"}}}',
        b'{"requestContext": {"http": {"method": "GET", "path": "x"}}}',
        b'{"requestContext": {"http": {"method": 1, "path": "/"}}}',
    ],
)
def test_what_is_not_an_http_event_is_refused(event: object) -> None:
    with pytest.raises(InvalidEvent) as caught:
        fc_event.read(event)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": ["a"]},
        {"headers": {"a": 1}},
        {"queryParameters": "a=b"},
        {"queryParameters": {"a": ["b"]}},
        {"body": {"a": 1}},
        {"body": "not base64!", "isBase64Encoded": True},
        # A lenient decoder would skip characters that are not base64, and return another body.
        {"body": "YQ==!", "isBase64Encoded": True},
        {"body": "YW\nJj", "isBase64Encoded": True},
        {"body": "Y\u00e9WJj", "isBase64Encoded": True},
        {"body": "\ud800"},
    ],
)
def test_wrong_types_are_refused(make_event: MakeEvent, changes: dict[str, object]) -> None:
    with pytest.raises(InvalidEvent):
        fc_event.read(make_event("POST", **changes))


def test_an_answer_has_all_four_members() -> None:
    answer = fc_event.write(Response(200, {"A": "b"}, "text"))
    assert answer == {
        "statusCode": 200,
        "headers": {"A": "b"},
        "body": "text",
        "isBase64Encoded": False,
    }


def test_a_login_in_the_query_or_a_header_is_not_in_the_repr() -> None:
    request = Request(
        "GET", "/", {"access_token": "s3cret"}, {"authorization": "Bearer s3cret"}, b"s3cret"
    )
    assert "s3cret" not in repr(request)
    assert "s3cret" not in repr(Response(200, {}, "s3cret"))
