"""Replaces answers of an application, to simulate a cloud that behaves differently."""

from __future__ import annotations

import json
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

Answer = Callable[[Request, bytes], Response | None]
"""Gets a request and its body. Returns another answer, or None to keep the application's."""


def answering(app: ASGIApp, other: Answer) -> ASGIApp:
    """Return `app` with one change: if `other` returns an answer to a request, this answer is sent
    instead of the answer of `app`."""

    async def changed(scope: Scope, receive: Receive, send: Send) -> None:
        body = await Request(scope, receive).body()
        response = other(Request(scope), body)
        if response is not None:
            await response(scope, receive, send)
            return
        left = [body]

        async def again() -> dict[str, object]:
            if left:
                return {"type": "http.request", "body": left.pop(), "more_body": False}
            return dict(await receive())

        await app(scope, again, send)

    return changed


def refused_by_oss(status: int, code: str, ec: str = "") -> Response:
    """An error in OSS's form."""
    xml = f"<Error><Code>{code}</Code><Message>No.</Message><EC>{ec}</EC></Error>"
    return Response(xml, status, {"x-oss-ec": ec} if ec else {}, "application/xml")


def function_answer(status: int, **members: object) -> Response:
    """An answer in the function's form."""
    return Response(json.dumps({"StatusCode": status, **members}), 200)
