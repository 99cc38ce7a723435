"""Protects the gateway if tokens are real (CLOUD=1). Only clients that know the printed URL get an
answer, and web pages get none.

Other users and processes of the machine can reach 127.0.0.1 too, so every path begins with a random
segment. A web page could learn this segment (for example from a log). So a request is refused if a
page made the browser send it. A stranger could let a domain name point to 127.0.0.1, so requests
with a Host that is not loopback are refused too. A refused request never reaches the function or
STS.
"""

from __future__ import annotations

import hmac
import re
import secrets

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_LOOPBACK = re.compile(
    r"(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]{1,5})?", re.ASCII | re.IGNORECASE
)


def make_segment() -> str:
    """Make a random segment: 128 bits, as 32 hexadecimal digits."""
    return secrets.token_hex(16)


def create_app(function: ASGIApp, segment: str) -> ASGIApp:
    """Serve `function` under /`segment`/, and refuse everything else with 403 or 404.

    `function` sees the path without the segment, so it cannot log the segment.
    """
    expected = segment.encode()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        refusal = _refusal(Headers(scope=scope))
        # The raw path is compared, so no other spelling of the segment is accepted.
        before, _, after = scope["raw_path"].partition(b"/")
        first, _, rest = after.partition(b"/")
        if refusal is None and (before or not hmac.compare_digest(first, expected)):
            refusal = error(404, "NotFound", "nothing is served here")
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        path = scope["path"].removeprefix(f"/{segment}") or "/"
        await function({**scope, "path": path, "raw_path": b"/" + rest}, receive, send)

    return app


def is_loopback_host(headers: Headers) -> bool:
    """Whether there is exactly one Host header, and it is a loopback name or address."""
    hosts = headers.getlist("host")
    return len(hosts) == 1 and bool(_LOOPBACK.fullmatch(hosts[0]))


def _refusal(headers: Headers) -> JSONResponse | None:
    if not is_loopback_host(headers):
        return error(403, "ForbiddenHost", "Host must be localhost, 127.0.0.1 or [::1]")
    # A browser sends Sec-Fetch-Site with every request. Sec-Fetch-Site is "none" if a person typed
    # the URL.
    sites = headers.getlist("sec-fetch-site")
    if "origin" in headers or not {"none", "same-origin"}.issuperset(sites):
        return error(
            403,
            "ForbiddenOrigin",
            "with CLOUD=1 no web page may call the function; leave out Origin and Sec-Fetch-Site",
        )
    return None


def error(status: int, code: str, message: str) -> JSONResponse:
    """An error answer in the same format as the errors of the function. No cache may store it."""
    answer = {"StatusCode": status, "ErrorCode": code, "ErrorMessage": message}
    return JSONResponse(answer, status, {"Cache-Control": "no-store"})
