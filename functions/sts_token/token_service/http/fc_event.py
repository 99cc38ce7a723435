"""Function Compute 3.0's HTTP trigger event <-> Request and Response (vendor documentation)."""

from __future__ import annotations

import base64
import json
from typing import Any

from token_service.errors import InvalidEvent
from token_service.http.messages import Request, Response


def read(event: object) -> Request:
    """Make a Request from an event (bytes or text with JSON). Raises InvalidEvent."""
    document = _document(event)
    http = _member(_member(document, "requestContext"), "http")
    method = http.get("method")
    path = http.get("path", document.get("rawPath"))
    if not isinstance(method, str) or not method.isascii() or not method.isalpha():
        raise InvalidEvent("requestContext.http.method must be an HTTP method")
    if not isinstance(path, str) or not path.startswith("/"):
        raise InvalidEvent("requestContext.http.path must be text that starts with '/'")
    request_id = document["requestContext"].get("requestId")
    return Request(
        method=method.upper(),
        path=path,
        query=_texts(document, "queryParameters"),
        headers={name.lower(): value for name, value in _texts(document, "headers").items()},
        body=_body(document),
        request_id=request_id if isinstance(request_id, str) else "",
    )


def write(response: Response) -> dict[str, object]:
    """Turn a Response into the dict that the platform expects, always with all four members."""
    return {
        "statusCode": response.status,
        "headers": dict(response.headers),
        "body": response.body,
        "isBase64Encoded": False,
    }


def _document(event: object) -> dict[str, Any]:
    try:
        # The event is decoded here, because json would first guess the encoding of bytes.
        text = event if isinstance(event, str) else event.decode()  # type: ignore[attr-defined]
        document = json.loads(text)
    except (ValueError, RecursionError, AttributeError):
        document = None
    if not isinstance(document, dict):
        raise InvalidEvent("the event must be the JSON object of an HTTP trigger event")
    return document


def _member(document: dict[str, Any], name: str) -> dict[str, Any]:
    value = document.get(name)
    if not isinstance(value, dict):
        raise InvalidEvent(f"{name} must be an object; check that the trigger is an HTTP trigger")
    return value


def _texts(document: dict[str, Any], name: str) -> dict[str, str]:
    """Return a map of text to text. An absent or null map becomes an empty map."""
    values = document.get(name) or {}
    if not isinstance(values, dict) or not {*map(type, values.values())} <= {str}:
        raise InvalidEvent(f"{name} must be an object of texts")
    return values


def _body(document: dict[str, Any]) -> bytes:
    body = document.get("body") or ""
    if not isinstance(body, str):
        raise InvalidEvent("body must be text")
    try:
        if document.get("isBase64Encoded"):
            return base64.b64decode(body, validate=True)
        return body.encode()
    # b64decode raises ValueError for text that is not ASCII, too.
    except ValueError:
        raise InvalidEvent("body must be UTF-8 text, or base64 if isBase64Encoded") from None
