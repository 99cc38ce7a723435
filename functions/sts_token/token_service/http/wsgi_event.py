"""A WSGI environment of Function Compute 2.0 -> Request. PATH_INFO is percent-decoded (PEP 3333).
`fc.context` and `fc.request_uri` occur in the vendor's samples."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from token_service.errors import InvalidEvent
from token_service.http.messages import Request

MAX_BODY_BYTES = 64 * 1024
"""The longest body that is read. Each route has a smaller limit, and refuses a longer body."""


def read(environ: object) -> Request:
    """Make a Request from a WSGI environment. Raises InvalidEvent."""
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
    """Decode UTF-8 bytes, which PEP 3333 carries as Latin-1. Other text stays as it is."""
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text


def _query(environ: dict[str, Any]) -> dict[str, str]:
    """Decode the query. Values of a repeated name are joined with commas, as in FC 3.0."""
    text = environ.get("QUERY_STRING")
    if text is None:
        # Some versions of the runtime may not set QUERY_STRING.
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
    """Read at most MAX_BODY_BYTES, and one byte more, which shows that a body is too long."""
    length = environ.get("CONTENT_LENGTH") or "0"
    if not isinstance(length, str) or not (length.isascii() and length.isdigit()):
        raise InvalidEvent("CONTENT_LENGTH must be a whole number of bytes")
    # The length is limited, since int() raises an error for a very long text.
    wanted = min(int(length), MAX_BODY_BYTES + 1) if len(length) < 12 else MAX_BODY_BYTES + 1
    if not wanted:
        return b""
    try:
        body = environ["wsgi.input"].read(wanted)
    except Exception:  # noqa: BLE001 - any failure of the stream is a fault of the request
        raise InvalidEvent("the body cannot be read") from None
    if not isinstance(body, bytes) or len(body) != wanted:
        raise InvalidEvent("the body must have as many bytes as CONTENT_LENGTH says")
    return body
