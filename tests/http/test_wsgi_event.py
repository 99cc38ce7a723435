"""Tests the WSGI entry points for FC 2.0 with a golden event, with hostile events, and with real
HTTP requests through wsgiref's validator."""

from __future__ import annotations

import http.client
import io
import json
import os
from types import SimpleNamespace
from typing import Any
from wsgiref.validate import validator

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

import index
import wsgi
from token_service.app import App
from token_service.errors import InvalidEvent
from token_service.http import wsgi_event
from tried import examples
from wsgi_server import wsgi_server

pytestmark = pytest.mark.usefixtures("deployed")


def environ(method: str = "GET", path: str = "/", /, **changes: object) -> dict[str, Any]:
    """Return an environ as the runtime passes it, with these changes."""
    made: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "HTTP_HOST": "1234567890123456.cn-hangzhou.fc.aliyuncs.com",
        "HTTP_ACCEPT_ENCODING": "gzip",
        "wsgi.input": io.BytesIO(),
        "fc.context": SimpleNamespace(request_id="1-6740c5a0-1b2c3d4e-5f6071829304"),
        "fc.request_uri": "/2016-08-15/proxy/service/function" + path,
    }
    made.update(changes)
    return made


def posted(body: bytes, **changes: object) -> dict[str, Any]:
    return environ(
        "POST",
        **{"CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body), **changes},
    )


def called(made: object) -> tuple[int, dict[str, str], bytes]:
    """Call the handler as a server does, and check the rules that all answers follow."""
    started: list[tuple[str, list[tuple[str, str]]]] = []
    blocks = wsgi.handler(made, lambda status, headers: started.append((status, headers)))
    assert len(started) == 1
    status, pairs = started[0]
    headers = dict(pairs)
    assert len(headers) == len(pairs)
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert headers["Cache-Control"] == "no-store"
    assert not {name.lower() for name in headers} & {"content-length", "date", "connection"}
    return int(status.split(" ")[0]), headers, b"".join(blocks)


def answered(made: object) -> dict[str, Any]:
    status, _, body = called(made)
    assert status == 200
    document: dict[str, Any] = json.loads(body)
    if document["StatusCode"] != 200:
        assert set(document) == {"StatusCode", "ErrorCode", "ErrorMessage"}
        assert document["ErrorCode"]
        assert document["ErrorMessage"]
    return document


def test_a_golden_request_gets_a_token() -> None:
    assert answered(environ())["Code"] == "Success"


def test_a_golden_request_is_read() -> None:
    request = wsgi_event.read(environ("GET", "/sts", QUERY_STRING="policy=a%20b&empty="))
    assert (request.method, request.path) == ("GET", "/sts")
    assert dict(request.query) == {"policy": "a b", "empty": ""}
    assert request.headers["accept-encoding"] == "gzip"
    assert request.request_id == "1-6740c5a0-1b2c3d4e-5f6071829304"


def test_both_entry_points_share_one_app_and_its_cache() -> None:
    first = answered(environ())
    event = {"requestContext": {"http": {"method": "GET", "path": "/"}}}
    second = json.loads(str(index.handler(json.dumps(event), None)["body"]))
    assert first["SecurityToken"] == second["SecurityToken"]
    assert answered(environ())["SecurityToken"] == first["SecurityToken"]


def test_the_content_type_and_length_are_headers_too() -> None:
    request = wsgi_event.read(posted(b"{}", CONTENT_TYPE="application/json"))
    assert request.headers["content-type"] == "application/json"
    assert request.headers["content-length"] == "2"
    assert request.body == b"{}"


def test_an_empty_path_is_the_root() -> None:
    assert wsgi_event.read(environ(PATH_INFO="")).path == "/"


def test_bytes_that_are_carried_as_latin_1_are_read_as_utf_8() -> None:
    assert wsgi_event.read(environ("GET", "/caf\u00c3\u00a9")).path == "/caf\u00e9"
    assert wsgi_event.read(environ("GET", "/\u00ff")).path == "/\u00ff"
    assert wsgi_event.read(environ("GET", "/\u4e2d")).path == "/\u4e2d"


def test_a_runtime_without_query_string_is_read_by_its_request_uri() -> None:
    made = environ(**{"fc.request_uri": "/x/?object=a.jpg"})
    del made["QUERY_STRING"]
    assert dict(wsgi_event.read(made).query) == {"object": "a.jpg"}


def test_a_repeated_parameter_is_joined_and_so_refused() -> None:
    """As in FC 3.0, the values are joined, so a second `policy` or `object` cannot replace the
    first."""
    query = "policy=bucket_write_policy&policy=all_policy"
    assert answered(environ(QUERY_STRING=query))["ErrorCode"] == "InvalidParameter.Policy"


def test_a_wish_in_the_body_is_read() -> None:
    body = b'{"object": "a.jpg"}'
    assert answered(posted(body))["Scope"]["Object"] == "uploads/a.jpg"


def test_a_real_error_status_has_its_phrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_ERROR_STATUS", "real")
    lines: list[str] = []
    wsgi.handler(environ("GET", "/nope"), lambda status, headers: lines.append(status))
    assert lines == ["404 Not Found"]


def test_initialize_never_fails_the_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    wsgi.initialize(None)
    monkeypatch.delenv("ROLE_ARN")
    app = App(os.environ)
    monkeypatch.setattr(index, "_app", app)
    wsgi.initialize(None)
    assert answered(environ())["ErrorCode"] == "Misconfiguration"


class Endless(io.RawIOBase):
    """A body that never ends. `asked` counts the bytes that were requested."""

    asked = 0

    def read(self, size: int = -1) -> bytes:
        assert size >= 0, "an unbounded read"
        self.asked += size
        return b"x" * size


@pytest.mark.parametrize("length", ["100000", "99999999999", "9" * 5000])
def test_a_large_body_is_refused_and_never_read_whole(length: str) -> None:
    stream = Endless()
    made = environ("POST", **{"CONTENT_LENGTH": length, "wsgi.input": stream})
    assert answered(made)["ErrorCode"] == "InvalidParameter.Body"
    assert stream.asked == wsgi_event.MAX_BODY_BYTES + 1


@pytest.mark.parametrize("missing", ["CONTENT_LENGTH", "wsgi.input"])
def test_without_a_length_or_a_body_nothing_is_read(missing: str) -> None:
    made = environ("POST", CONTENT_LENGTH="0")
    del made[missing]
    assert answered(made)["Code"] == "Success"


class Broken:
    """A stream whose client has disconnected."""

    def read(self, size: int) -> bytes:
        raise ConnectionResetError


@pytest.mark.parametrize(
    "made",
    [
        None,
        7,
        [],
        {},
        {1: 2},
        environ(REQUEST_METHOD=None),
        environ(REQUEST_METHOD="G T"),
        environ(PATH_INFO="x"),
        environ(PATH_INFO=7),
        environ(QUERY_STRING=b"a=b"),
        environ(HTTP_X=7),
        dict([*environ().items(), (7, "x")]),
        environ("POST", CONTENT_LENGTH="-1"),
        environ("POST", CONTENT_LENGTH="1e3"),
        environ("POST", CONTENT_LENGTH=3),
        environ("POST", CONTENT_LENGTH="\u0663"),
        environ("POST", **{"CONTENT_LENGTH": "3", "wsgi.input": io.BytesIO(b"ab")}),
        environ("POST", **{"CONTENT_LENGTH": "3", "wsgi.input": io.StringIO("abc")}),
        environ("POST", **{"CONTENT_LENGTH": "3", "wsgi.input": Broken()}),
        environ("POST", **{"CONTENT_LENGTH": "3", "wsgi.input": None}),
    ],
)
def test_what_is_not_a_wsgi_request_is_refused(made: object) -> None:
    with pytest.raises(InvalidEvent) as caught:
        wsgi_event.read(made)
    assert caught.value.status == 400
    for stream in [made.get("wsgi.input")] if isinstance(made, dict) else []:
        if isinstance(stream, (io.BytesIO, io.StringIO)):
            stream.seek(0)
    assert answered(made)["ErrorCode"] == "InvalidEvent"


# A real server. A validator checks that both the server and our code follow WSGI


@pytest.mark.parametrize(
    ("method", "target", "body", "code"),
    [
        ("GET", "/", b"", "Success"),
        ("GET", "/sts/?_=1&object=a%2Fb.jpg", b"", "Success"),
        ("POST", "/", b'{"duration": 900}', "Success"),
        ("GET", "/caf%C3%A9", b"", "NotFound"),
        ("DELETE", "/", b"", "MethodNotAllowed"),
        ("POST", "/", b"x" * 30_000, "InvalidParameter.Body"),
        ("OPTIONS", "/", b"", ""),
        ("HEAD", "/", b"", ""),
    ],
)
def test_it_keeps_to_wsgi_over_real_http(method: str, target: str, body: bytes, code: str) -> None:
    # If the validator finds a fault, it raises an error, and the server answers 500.
    with wsgi_server(validator(wsgi.handler)) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request(method, target, body)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    if method == "HEAD":
        assert content == b""
    else:
        document = json.loads(content)
        assert document.get("Code", document.get("ErrorCode", "")) == code


# Hostile


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = st.sampled_from(
    "REQUEST_METHOD PATH_INFO QUERY_STRING CONTENT_LENGTH CONTENT_TYPE "
    "HTTP_AUTHORIZATION HTTP_ORIGIN wsgi.input fc.context fc.request_uri".split()
)
QUICK = examples(30, 1_000, suppress_health_check=[HealthCheck.function_scoped_fixture])


@QUICK
@given(JSON | st.dictionaries(NAMES | st.text() | st.integers(), JSON, max_size=5))
def test_any_environment_is_answered(made: object) -> None:
    _, _, body = called(made)
    assert body == b"" or json.loads(body)


@QUICK
@given(
    changes=st.dictionaries(NAMES | st.text(max_size=12).map("HTTP_{}".format), JSON, max_size=4)
)
def test_any_change_to_a_request_is_answered(changes: dict[str, object]) -> None:
    _, _, body = called({**posted(b"{}"), **changes})
    assert body == b"" or json.loads(body)


@QUICK
@given(
    method=st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "PUT"]) | st.text(max_size=8),
    path=st.sampled_from(["/", "/sts/", "/health"]) | st.text(max_size=20).map("/{}".format),
    query=st.text() | st.dictionaries(st.text(), st.text()).map(str),
    body=st.binary(max_size=200) | JSON.map(repr).map(str.encode),
    declared=st.integers(-2, 300) | st.text(max_size=4),
)
def test_any_http_request_is_answered(
    method: str, path: str, query: str, body: bytes, declared: object
) -> None:
    made = environ(
        method,
        path,
        **{
            "QUERY_STRING": query,
            "CONTENT_LENGTH": str(declared),
            "wsgi.input": io.BytesIO(body),
        },
    )
    status, _, content = called(made)
    # /health and /callback may have another status than 200, because phones do not call them.
    assert status == 200 or path.rstrip("/").endswith(("/health", "/callback"))
    assert content == b"" or json.loads(content)
