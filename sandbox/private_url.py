"""Stands in front of the gateway where tokens are real (CLOUD=1): who does not know the printed URL
gets nothing, and no page gets anything.

Other users and processes of the machine reach 127.0.0.1 too, so every path begins with a random
segment. A page could learn it (from a log, say), so what a browser sends for a page is refused; and
a name that a stranger's page had bound to 127.0.0.1 is no Host here. What is refused never reaches
the function, and so no STS.
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
    """Make up a segment: 128 random bits, as 32 hexadecimal digits."""
    return secrets.token_hex(16)


def create_app(function: ASGIApp, segment: str) -> ASGIApp:
    """Serve `function` under /`segment`/, and refuse everything else with 403 or 404.

    `function` sees the path without the segment, so that it can log no more.
    """
    expected = segment.encode()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        refusal = _refusal(Headers(scope=scope))
        # As sent: no other spelling of the segment counts.
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
    """Whether there is one Host, and it is loopback by name or address."""
    hosts = headers.getlist("host")
    return len(hosts) == 1 and bool(_LOOPBACK.fullmatch(hosts[0]))


def _refusal(headers: Headers) -> JSONResponse | None:
    if not is_loopback_host(headers):
        return error(403, "ForbiddenHost", "Host must be localhost, 127.0.0.1 or [::1]")
    # A browser sends the second with every request, and "none" where a person typed the URL.
    sites = headers.getlist("sec-fetch-site")
    if "origin" in headers or not {"none", "same-origin"}.issuperset(sites):
        return error(
            403, "ForbiddenOrigin", "with CLOUD=1 no page may ask: leave out Origin, Sec-Fetch-Site"
        )
    return None


def error(status: int, code: str, message: str) -> JSONResponse:
    """An answer in the function's form that no cache keeps."""
    answer = {"StatusCode": status, "ErrorCode": code, "ErrorMessage": message}
    return JSONResponse(answer, status, {"Cache-Control": "no-store"})
