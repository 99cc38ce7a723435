"""The terminal output of `make run`: one line for each request, in one form for all servers.

The function logs JSON, as it does when deployed. This module turns the function's JSON into a line.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TextIO
from urllib.parse import quote, unquote_to_bytes

MAX_PATH = 1100
"""Maximum characters of a path that are shown. A path that consists of a bucket and an object key
is always shorter than this."""

# The lines at the start are plain messages without a time.
_AT_START = "sandbox"
_SERVERS = {
    "sts_token": "function",
    "sandbox.gateway": "gateway",
    "sandbox.oss": "OSS",
    "sandbox.page": "page",
    "sandbox.sts": "STS",
}
_WIDTH = max(map(len, _SERVERS.values()))
_COLOURS = {2: "32", 3: "36", 4: "33", 5: "31"}

asked: ContextVar[tuple[str, str]] = ContextVar("asked")
"""Method and path (see path_of) of the request that the handler is answering."""


@dataclass(frozen=True)
class RequestLine:
    """One request. `path` is in the form that path_of() returns. The line shows `facts` in
    brackets, and `why` at its end."""

    method: str
    path: str
    status: int
    code: str = ""
    facts: Sequence[str] = ()
    why: str = ""

    def __str__(self) -> str:
        return self.text(lambda _, text: text)

    def text(self, painted: Callable[[int, str], str]) -> str:
        """Return the line without the time and the name of the server. `painted` adds a colour to
        the status and the code."""
        outcome = f"{self.status} {self.code}".rstrip()
        facts = f" ({', '.join(self.facts)})" if self.facts else ""
        said = " ".join(filter(None, (self.method, self.path)))
        why = f": {self.why}" if self.why else ""
        return f"{safe(said)} {painted(self.status, safe(outcome))}{safe(facts + why)}"


def path_of(raw_path: bytes) -> str:
    """A path as the log line shows it: the result of decoded(), with spaces percent-encoded."""
    return _escaped(decoded(raw_path), keep="")


def decoded(raw_path: bytes) -> str:
    """A path, decoded and shortened. Characters stay encoded if they could move the cursor, end the
    line, or change the order of the text.

    The part after a "?" is left out, even if the "?" was encoded, because a client may have meant a
    query that holds a secret.
    """
    whole = unquote_to_bytes(raw_path).decode("utf-8", "surrogateescape")
    text = whole.partition("?")[0][:MAX_PATH]
    return safe(text if text == whole else f"{text}…")


def safe(text: str) -> str:
    """A text without line breaks and without control sequences for a terminal."""
    return _escaped(text, keep=" ")


def _escaped(text: str, keep: str) -> str:
    return "".join(
        c if c in keep or (c.isprintable() and c != " ") else quote(c, errors="surrogateescape")
        for c in text
    )


def set_up(stream: TextIO = sys.stderr, env: Mapping[str, str] = os.environ) -> None:
    """Write all log records to `stream` as lines."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Formatter(is_coloured(stream, env)))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    for name in ("sandbox.oss", "sandbox.sts"):
        # OSS and STS log one line for each request, as the function does.
        logging.getLogger(name).setLevel(logging.INFO)


def is_coloured(stream: TextIO, env: Mapping[str, str]) -> bool:
    """Whether a stream is a terminal with colours, and NO_COLOR is not set."""
    return stream.isatty() and not env.get("NO_COLOR") and env.get("TERM") != "dumb"


class Formatter(logging.Formatter):
    """Formats records as lines: time, server, and message."""

    def __init__(self, is_coloured: bool) -> None:
        super().__init__("%(message)s")
        self._painted = _painted if is_coloured else lambda _, text: text

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as one line, or as several lines if it has a traceback."""
        line = record.msg if isinstance(record.msg, RequestLine) else _of_function(record)
        if line is None:
            # Each line of the text is made safe, and all but the first are indented. So text from a
            # stranger cannot look like another record.
            text = "\n  ".join(map(safe, super().format(record).splitlines()))
        else:
            text = line.text(self._painted)
        if record.name == _AT_START:
            return f"{record.name}: {text}"
        moment = time.strftime("%H:%M:%S", time.localtime(record.created))
        return f"{moment} {_SERVERS.get(record.name, record.name):<{_WIDTH}} {text}"


def _painted(status: int, text: str) -> str:
    colour = _COLOURS.get(status // 100)
    return f"\x1b[{colour}m{text}\x1b[0m" if colour else text


def _of_function(record: logging.LogRecord) -> RequestLine | None:
    """The line of a record that the function wrote for a request (token_service/request_log.py)."""
    if record.name != "sts_token" or record.levelno != logging.INFO:
        return None
    try:
        told = json.loads(record.getMessage())
        status, milliseconds = told["status"], told["totalMs"]
    except (ValueError, TypeError, KeyError):
        return None
    route = told.get("route", "")
    method, path = asked.get(("", route or "-"))
    sts_milliseconds = told.get("stsMs")
    facts = [
        f"route {route}" if route not in ("", method, path.rstrip("/") or "/") else "",
        told.get("caller", ""),
        f"cache {told['cache']}" if "cache" in told else "",
        f"STS {sts_milliseconds} ms" if sts_milliseconds else "",
        f"{milliseconds} ms",
    ]
    return RequestLine(
        method,
        path,
        status,
        told.get("error", ""),
        [fact for fact in facts if fact],
        told.get("reason", ""),
    )
