"""A WSGI environment of Function Compute 2.0's HTTP functions -> Request (PEP 3333 and the vendor's
samples: `fc.context`, `fc.request_uri`; PATH_INFO is percent-decoded)."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from token_service.errors import InvalidEvent
from token_service.http.messages import Request

MAX_BODY_BYTES = 64 * 1024
"""More is not read: it is more than any route accepts, and each refuses by a limit of its own."""


def read(environ: object) -> Request:
    """Make a Request of a WSGI environment. Raises InvalidEvent."""
    if not isinstance(environ, dict):
        raise InvalidEvent("the environment must be the dict of a WSGI request")
    method = environ.get("REQUEST_METHOD")
    path = environ.get("PATH_INFO") or "/"
    if not isinstance(method, str) or not method.isascii() or not method.isalpha():
        raise InvalidEvent("REQUEST_METHOD must be an HTTP method")
    if not isinstance(path, str) or not path.startswith("/"):
        raise InvalidEvent("PATH_INFO must be text that starts with '/'")
    request_id = getattr(environ.get("fc.context"), "request_id", "")
    return Request(
        method=method.upper(),
        path=_utf8(path),
        query=_query(environ),
        headers=_headers(environ),
        body=_body(environ),
        request_id=request_id if isinstance(request_id, str) else "",
    )


def _utf8(text: str) -> str:
    """Undo PEP 3333's way of carrying bytes as Latin-1; what is none of that is left alone."""
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text


def _query(environ: dict[str, Any]) -> dict[str, str]:
    """The decoded query; values of a repeated name are joined by commas, as FC 3.0 does it."""
    text = environ.get("QUERY_STRING")
    if text is None:
        # Whether every version of the runtime sets QUERY_STRING is not known.
        uri = environ.get("fc.request_uri", "")
        text = uri.partition("?")[2] if isinstance(uri, str) else ""
    if not isinstance(text, str):
        raise InvalidEvent("QUERY_STRING must be text")
    values: dict[str, list[str]] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        values.setdefault(name, []).append(value)
    return {name: ",".join(found) for name, found in values.items()}


def _headers(environ: dict[str, Any]) -> dict[str, str]:
    headers = {}
    for name, value in environ.items():
        if not isinstance(name, str):
            raise InvalidEvent("the environment's names must be text")
        if name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            header = name
        elif name.startswith("HTTP_"):
            header = name[len("HTTP_") :]
        else:
            continue
        if not isinstance(value, str):
            raise InvalidEvent(f"{name} must be text")
        headers[header.replace("_", "-").lower()] = value
    return headers


def _body(environ: dict[str, Any]) -> bytes:
    """At most MAX_BODY_BYTES and one, which tells that there is more."""
    length = environ.get("CONTENT_LENGTH") or "0"
    if not isinstance(length, str) or not (length.isascii() and length.isdigit()):
        raise InvalidEvent("CONTENT_LENGTH must be a whole number of bytes")
    # Bounded digits: int() of a very long text is an error of its own.
    wanted = min(int(length), MAX_BODY_BYTES + 1) if len(length) < 12 else MAX_BODY_BYTES + 1
    if not wanted:
        return b""
    try:
        body = environ["wsgi.input"].read(wanted)
    except Exception:  # noqa: BLE001 - whatever the stream is, its failure is the request's
        raise InvalidEvent("the body cannot be read") from None
    if not isinstance(body, bytes) or len(body) != wanted:
        raise InvalidEvent("the body must be the bytes that CONTENT_LENGTH announces")
    return body
