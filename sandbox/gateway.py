"""Simulates Function Compute's HTTP trigger: HTTP -> event -> handler -> HTTP.

The gateway runs the production handler, and passes it an event as the platform does. The form of
the event and the limits follow the vendor's documentation (HTTP trigger, FC 3.0).
"""

from __future__ import annotations

import base64
import ipaddress
import json
import logging
import re
import threading
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox.environment import PUBLIC_KEY_PATH
from sandbox.log_lines import asked, path_of
from token_service.app import App
from token_service.http import fc_event

MAX_BODY_BYTES = 32 * 1024 * 1024  # size of a request (limit of the platform, vendor documentation)
# The platform sets these headers itself, and drops them from the handler's answer.
_RESERVED_HEADERS = {"connection", "content-length", "date", "keep-alive", "server"}

log = logging.getLogger("sandbox.gateway")

Handler = Callable[[bytes, object], dict[str, object]]


@dataclass(frozen=True)
class Context:
    """The object that the built-in Python runtime passes together with the event."""

    request_id: str


def create_app(
    handler: Handler, initialize: Callable[[object], None], *, public_key: bytes | None = None
) -> ASGIApp:
    """Serve `handler` on every path and method; `initialize` runs before its first request.

    The gateway itself answers one path, with the `public_key` (PEM) of the sandbox's callbacks. The
    real OSS serves its public key from its own host.
    """
    cold = [True]
    lock = threading.Lock()

    def invoke(event: dict[str, object], context: Context) -> dict[str, object]:
        with lock:
            if cold:
                cold.clear()
                initialize(context)
        return handler(json.dumps(event).encode(), context)

    async def answer(request: Request) -> Response:
        refusal = refusal_of_host(request)
        if refusal is not None:
            return refusal
        is_key = request.method in ("GET", "HEAD") and request.scope["path"] == PUBLIC_KEY_PATH
        if is_key and public_key is not None:
            return Response(public_key, media_type="application/x-pem-file")
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                return _platform_error(413, "RequestEntityTooLarge", "the body exceeds 32 MB")
        request_id = str(uuid.uuid4())
        event = build_event(request, bytes(body), request_id)
        asked.set((request.method, path_of(_raw_path(request))))
        try:
            response = _response(await run_in_threadpool(invoke, event, Context(request_id)))
        except Exception:
            # As on the platform, an exception in the handler becomes an error answer.
            log.exception("the handler failed")
            return _platform_error(502, "InvocationError", "the handler failed; see the log")
        response.headers["x-fc-request-id"] = request_id
        return response

    # There is no router, since a router would answer HEAD and unknown methods by itself.
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = await answer(Request(scope, receive))
        await response(scope, receive, send)

    return app


def of_app(app: App, *, public_key: bytes | None = None) -> ASGIApp:
    """Serve an App of this process in the same way as `create_app` serves the handler."""

    def handler(event: bytes, context: object) -> dict[str, object]:  # noqa: ARG001
        return fc_event.write(app.respond(lambda: fc_event.read(event)))

    return create_app(handler, lambda _: app.warm(), public_key=public_key)


def refusal_of_host(request: Request) -> Response | None:
    """Refuse a request whose Host is a name other than localhost. Return None if the request may go
    on."""
    if _is_this_machine(request.headers.get("host", "")):
        return None
    message = "the host name must be localhost or an IP address; the gateway refuses other names"
    return _platform_error(403, "ForbiddenHost", message)


def _is_this_machine(host: str) -> bool:
    """Whether a Host header is localhost, an IP address or empty. A stranger's page could bind any
    other name to 127.0.0.1 and so share our origin (DNS rebinding). With CLOUD=1 private_url.py
    accepts fewer hosts."""
    name = host.rpartition(":")[0] if re.search(r":[0-9]*$", host) else host
    if name.lower() == "localhost" or not name:
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def build_event(request: Request, body: bytes, request_id: str) -> dict[str, object]:
    """Build the event of a request: rawPath is as sent, requestContext.http.path is decoded."""
    now = datetime.now(timezone.utc)
    headers = _joined((name.title(), value) for name, value in request.headers.items())
    headers = {n: v for n, v in headers.items() if not n.lower().startswith("x-fc-")}
    host = request.headers.get("host", "")
    text, is_base64 = _body(body)
    return {
        "version": "v1",
        "rawPath": _raw_path(request).decode("latin-1"),
        "headers": headers,
        "queryParameters": _joined(parse_qsl(request.url.query, keep_blank_values=True)),
        "body": text,
        "isBase64Encoded": is_base64,
        "requestContext": {
            "accountId": "1234567890123456",
            "domainName": host,
            "domainPrefix": host.partition(".")[0],
            "http": {
                "method": request.method,
                "path": request.scope["path"],
                "protocol": f"HTTP/{request.scope['http_version']}",
                "sourceIp": request.client.host if request.client else "",
                "userAgent": request.headers.get("user-agent", ""),
            },
            "requestId": request_id,
            "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "timeEpoch": str(int(now.timestamp() * 1000)),
        },
    }


def _raw_path(request: Request) -> bytes:
    raw_path: bytes = request.scope.get("raw_path") or request.url.path.encode()
    return raw_path


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The platform joins repeated names with commas."""
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _body(body: bytes) -> tuple[str, bool]:
    try:
        return body.decode(), False
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), True


def _response(answer: dict[str, object]) -> Response:
    """Build the response from the handler's answer. Raises an error for an answer that the platform
    would refuse."""
    status, headers, body = answer["statusCode"], answer["headers"], answer["body"]
    if not isinstance(status, int) or not isinstance(headers, dict) or not isinstance(body, str):
        raise TypeError("statusCode must be a number, headers must be an object, body must be text")
    content = base64.b64decode(body) if answer["isBase64Encoded"] else body.encode()
    kept = {n: v for n, v in headers.items() if n.lower() not in _RESERVED_HEADERS}
    return Response(content, status, kept)


def _platform_error(status: int, code: str, message: str) -> Response:
    return JSONResponse({"ErrorCode": code, "ErrorMessage": message}, status)
