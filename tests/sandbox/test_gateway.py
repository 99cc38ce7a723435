"""The gateway turns an HTTP request into the same event as Function Compute 3.0."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox import gateway
from sandbox.environment import PUBLIC_KEY_PATH
from sandbox.servers import Service, in_background, listen
from token_service.http import fc_event


class Function:
    """A handler that records its events and returns a given answer."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.initialized = 0
        self.answer: Any = {
            "statusCode": 200,
            "headers": {"Content-Type": "text/plain", "X-Own": "1", "Date": "never"},
            "body": "seen",
            "isBase64Encoded": False,
        }

    def initialize(self, context: object) -> None:
        assert not self.events, "before the first request"
        self.initialized += 1

    def handler(self, event: bytes, context: object) -> dict[str, object]:
        self.events.append(json.loads(event))
        fc_event.read(event)
        if isinstance(self.answer, Exception):
            raise self.answer
        answer: dict[str, object] = self.answer
        return answer


@pytest.fixture
def function() -> Function:
    return Function()


@pytest.fixture
def connection(function: Function) -> Iterator[http.client.HTTPConnection]:
    service = Service(gateway.create_app(function.handler, function.initialize), listen(0))
    with in_background([service]):
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
        yield connection
        connection.close()


def send(
    connection: http.client.HTTPConnection,
    method: str = "GET",
    url: str = "/",
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> http.client.HTTPResponse:
    connection.request(method, url, body, headers or {})
    response = connection.getresponse()
    response.data = response.read()  # type: ignore[attr-defined]
    return response


def test_an_event_has_the_platforms_shape(
    function: Function, connection: http.client.HTTPConnection
) -> None:
    send(connection, "GET", "/a%20b/?x=1&x=2&y=&z=%E7%85%A7", headers={"user-agent": "UA"})
    (event,) = function.events
    assert event["version"] == "v1"
    assert event["rawPath"] == "/a%20b/"
    assert event["queryParameters"] == {"x": "1,2", "y": "", "z": "\u7167"}
    assert (event["body"], event["isBase64Encoded"]) == ("", False)
    assert event["headers"]["User-Agent"] == "UA"
    context = event["requestContext"]
    assert context["http"] == {
        "method": "GET",
        "path": "/a b/",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": "UA",
    }
    assert set(context) >= {"accountId", "domainName", "domainPrefix", "requestId", "time"}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_every_method_reaches_the_function(
    function: Function, connection: http.client.HTTPConnection, method: str
) -> None:
    assert send(connection, method).data == b"seen"  # type: ignore[attr-defined]
    assert function.events[0]["requestContext"]["http"]["method"] == method


def test_a_text_body_is_text_and_a_binary_one_base64(
    function: Function, connection: http.client.HTTPConnection
) -> None:
    send(connection, "POST", body="\u7167".encode())
    send(connection, "POST", body=b"\xff\x00")
    text, binary = function.events
    assert (text["body"], text["isBase64Encoded"]) == ("\u7167", False)
    assert (binary["body"], binary["isBase64Encoded"]) == (
        base64.b64encode(b"\xff\x00").decode(),
        True,
    )


def test_a_body_over_32_mb_does_not_reach_the_function(
    function: Function, connection: http.client.HTTPConnection
) -> None:
    response = send(connection, "POST", body=b"x" * (gateway.MAX_BODY_BYTES + 1))
    assert response.status == 413
    assert function.events == []


def test_headers_of_the_platform_are_kept_from_the_function_and_the_client(
    function: Function, connection: http.client.HTTPConnection
) -> None:
    response = send(connection, headers={"x-fc-request-id": "forged"})
    assert not [n for n in function.events[0]["headers"] if n.lower().startswith("x-fc-")]
    assert response.headers["x-own"] == "1"
    assert response.headers["date"] != "never"
    assert response.headers["x-fc-request-id"] != "forged"


def test_the_function_is_initialized_once(
    function: Function, connection: http.client.HTTPConnection
) -> None:
    assert function.initialized == 0
    for _ in range(3):
        send(connection)
    assert function.initialized == 1


@pytest.mark.parametrize(
    "answer",
    [
        RuntimeError("boom"),
        {},
        {"statusCode": "200", "headers": {}, "body": "", "isBase64Encoded": False},
        {"statusCode": 200, "headers": [], "body": "", "isBase64Encoded": False},
        {"statusCode": 200, "headers": {}, "body": {}, "isBase64Encoded": False},
    ],
)
def test_a_handler_that_breaks_the_contract_is_a_platform_error(
    function: Function, connection: http.client.HTTPConnection, answer: object
) -> None:
    function.answer = answer
    assert send(connection).status == 502


def test_a_base64_answer_is_decoded(
    function: Function, connection: http.client.HTTPConnection
) -> None:
    function.answer = {
        "statusCode": 201,
        "headers": {},
        "body": base64.b64encode(b"\xff").decode(),
        "isBase64Encoded": True,
    }
    response = send(connection)
    assert (response.status, response.data) == (201, b"\xff")  # type: ignore[attr-defined]


def test_the_key_of_callbacks_is_served_and_hides_nothing_else(function: Function) -> None:
    app = gateway.create_app(function.handler, function.initialize, public_key=b"PEM")
    service = Service(app, listen(0))
    with in_background([service]):
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
        key = send(connection, url=PUBLIC_KEY_PATH)
        assert (key.status, key.data) == (200, b"PEM")  # type: ignore[attr-defined]
        assert function.events == []
        for method, url in (("POST", PUBLIC_KEY_PATH), ("GET", "/sandbox/"), ("GET", "/")):
            assert send(connection, method, url).data == b"seen"  # type: ignore[attr-defined]
        connection.close()


def test_without_a_key_the_function_has_every_path(
    function: Function, connection: http.client.HTTPConnection
) -> None:
    assert send(connection, url=PUBLIC_KEY_PATH).data == b"seen"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "host", ["attacker.example", "127.0.0.1.attacker.example:7080", "a.localhost"]
)
def test_a_name_that_a_page_had_bound_to_this_machine_gets_nothing(
    function: Function, connection: http.client.HTTPConnection, host: str
) -> None:
    """With DNS rebinding, a stranger's page would have the same origin as the gateway."""
    refused = send(connection, headers={"Host": host})
    assert refused.status == 403
    assert function.events == []


@pytest.mark.parametrize(
    "host", ["localhost:7080", "10.0.2.2:7080", "[::1]:7080", "LOCALHOST", "127.0.0.1"]
)
def test_an_address_and_localhost_are_this_machine(
    function: Function, connection: http.client.HTTPConnection, host: str
) -> None:
    assert send(connection, headers={"Host": host}).status == 200
