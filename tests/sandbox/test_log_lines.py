"""The log lines of `make run` have one form for all servers. Hostile requests cannot break it."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.log_lines import (
    MAX_PATH,
    Formatter,
    RequestLine,
    asked,
    is_coloured,
    path_of,
    set_up,
)
from token_service.request_log import Record
from token_service.request_log import log as function_log

PUT = RequestLine("PUT", "/bkt/a.jpg", 403, "AccessDenied", why="a policy")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def record(name: str, message: object, level: int = logging.INFO) -> logging.LogRecord:
    made = logging.LogRecord(name, level, __file__, 1, message, (), None)
    made.created = 0
    return made


def line_of(name: str, message: object, *, coloured: bool = False) -> str:
    """The line of a record, without its time."""
    line = Formatter(coloured).format(record(name, message))
    moment, _, rest = line.partition(" ")
    assert re.fullmatch("[0-9]{2}:[0-9]{2}:[0-9]{2}", moment)
    return rest


@pytest.fixture
def function_line() -> Iterator[list[str]]:
    """Collect the lines that the sandbox makes from the log records of the function."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(Formatter(False).format(record).partition(" ")[2])

    handler, level = Keep(), function_log.level
    function_log.addHandler(handler)
    function_log.setLevel(logging.INFO)
    yield lines
    function_log.removeHandler(handler)
    function_log.setLevel(level)


def test_oss_and_sts_have_lines_of_one_shape() -> None:
    assert line_of("sandbox.oss", PUT) == "OSS      PUT /bkt/a.jpg 403 AccessDenied: a policy"
    line = RequestLine("POST", "/", 400, "InvalidVersion")
    assert line_of("sandbox.sts", line) == "STS      POST / 400 InvalidVersion"


def test_what_the_function_logs_as_json_has_it_too(function_line: list[str]) -> None:
    token = asked.set(("GET", "/uploads"))
    told = Record()
    told.request_id, told.route, told.status = "an-id", "/uploads", 200
    told.caller, told.cache, told.sts_ms = "alice", "miss", 12.34
    told.write()
    told = Record()
    told.route, told.status = "/uploads", 403
    told.error, told.reason = "RouteDisabled", "this route is closed"
    told.write()
    asked.reset(token)
    good, bad = function_line
    said = r"function GET /uploads 200 \(alice, cache miss, STS 12\.3 ms, [0-9.]+ ms\)"
    assert re.fullmatch(said, good)
    assert re.fullmatch(
        r"function GET /uploads 403 RouteDisabled \([0-9.]+ ms\): this route is closed", bad
    )


def test_a_route_is_named_where_the_path_does_not(function_line: list[str]) -> None:
    token = asked.set(("POST", "/api/callback"))
    told = Record()
    told.route, told.status = "/callback", 200
    told.write()
    asked.reset(token)
    assert "function POST /api/callback 200 (route /callback, " in function_line[0]


def test_without_http_there_is_the_route_alone(function_line: list[str]) -> None:
    told = Record()
    told.route, told.status = "/", 200
    told.write()
    assert function_line[0].startswith("function / 200 (")


@pytest.mark.parametrize("message", ["{", "[]", "{}", '{"status": 200}', "null", "token_service 1"])
def test_what_is_no_record_of_a_request_is_said_as_it_is(message: str) -> None:
    assert line_of("sts_token", message) == f"function {message}"


def test_what_is_said_at_the_start_has_no_time() -> None:
    assert Formatter(False).format(record("sandbox", "it begins")) == "sandbox: it begins"


@pytest.mark.parametrize(
    ("status", "colour"), [(200, 32), (203, 32), (304, 36), (404, 33), (500, 31)]
)
def test_the_status_has_a_colour_by_its_class(status: int, colour: int) -> None:
    line = line_of("sandbox.oss", RequestLine("GET", "/a", status), coloured=True)
    assert line == f"OSS      GET /a \x1b[{colour}m{status}\x1b[0m"


def test_the_functions_status_has_a_colour_as_well() -> None:
    text = json.dumps({"status": 429, "totalMs": 1.0, "route": "/", "error": "Throttling"})
    assert "\x1b[33m429 Throttling\x1b[0m" in line_of("sts_token", text, coloured=True)


@pytest.mark.parametrize(
    ("stream", "env", "colour"),
    [
        (Terminal(), {"TERM": "xterm"}, True),
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": ""}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {"TERM": "xterm"}, False),
    ],
)
def test_colours_are_for_a_terminal_that_wants_them(
    stream: io.StringIO, env: dict[str, str], colour: bool
) -> None:
    assert is_coloured(stream, env) is colour


# Hostile text


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (b"/a%0A12:00:00%20OSS%20GET%20/b%20200", "/a%0A12:00:00%20OSS%20GET%20/b%20200"),
        (b"/%1B%5B2J%1B]0;owned%07", "/%1B[2J%1B]0;owned%07"),
        (b"/a\x1b[31m", "/a%1B[31m"),
        (b"/%C2%9B31m", "/%C2%9B31m"),
        (b"/%E2%80%AEgpj.exe", "/%E2%80%AEgpj.exe"),
        (b"/%E2%80%A8x", "/%E2%80%A8x"),
        (b"/%FF%fe", "/%FF%FE"),
        (b"/uploads%2F%E7%85%A7%E7%89%87.jpg", "/uploads/照片.jpg"),
        (b"/form?access_token=secret", "/form…"),
        (b"/form%3Faccess_token=secret", "/form…"),
        (b"/" + b"a" * 60_000, "/" + "a" * (MAX_PATH - 1) + "…"),
    ],
)
def test_a_path_is_no_order_to_the_terminal(path: bytes, shown: str) -> None:
    assert path_of(path) == shown


@given(st.binary(max_size=200), st.text(max_size=200))
def test_a_request_is_one_line_of_printable_text(path: bytes, text: str) -> None:
    line = RequestLine(text, path_of(path), 403, text, [text], text)
    assert str(line).isprintable()


def test_a_message_of_several_lines_is_one_record() -> None:
    text = line_of("uvicorn.error", "first\n12:00:00 OSS GET /a 200\r\x1b[2J")
    assert text == "uvicorn.error first\n  12:00:00 OSS GET /a 200\n  %1B[2J"


def test_a_traceback_is_there_and_is_no_order_either() -> None:
    try:
        raise RuntimeError("\x1b[2J")
    except RuntimeError:
        failed = record("sandbox.oss", "an operation failed", logging.ERROR)
        failed.exc_info = sys.exc_info()
    text = Formatter(False).format(failed)
    assert "RuntimeError: %1B[2J" in text
    assert all(line.isprintable() for line in text.splitlines())


def test_lines_go_where_they_are_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    stream = Terminal()
    set_up(stream, {})
    logging.getLogger("sandbox.oss").info(PUT)
    logging.getLogger("sandbox.sts").info(RequestLine("GET", "/", 200))
    logging.getLogger("uvicorn").info("not this")
    assert "\x1b[33m403 AccessDenied\x1b[0m: a policy\n" in stream.getvalue()
    assert len(stream.getvalue().splitlines()) == 2
