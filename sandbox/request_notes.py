"""The results of a page's own requests. The page reads these results from
`GET /sandbox/refusals?session=…`.

A page sends a random session id with its requests, in SESSION_HEADER. Requests without
SESSION_HEADER are not kept. A note holds time, server, method, path, status, code, the refused
action, and the policy that refused it. Headers, queries and bodies are never kept, so no
credentials are kept.
"""

from __future__ import annotations

import ipaddress
import json
import re
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.log_lines import MAX_PATH, decoded, safe
from sandbox.oss.errors import OssError
from sandbox.private_url import is_loopback_host
from token_service.grant.refusals import InvalidParameter
from token_service.routes import refusals
from token_service.routes.refusals import MethodNotAllowed

PATH = "/sandbox/refusals"
SESSION_HEADER = "x-sandbox-session"
FROM_NETWORK = "sandbox.from_network"
"""True in the ASGI scope if the request came through a listener for the network (lan.py)."""
MAX_SESSIONS = 64  # at most this many sessions are kept (the sandbox's own limit)
MAX_REQUESTS = 100
"""Maximum number of requests in one session. Above this limit the oldest request is evicted. Above
MAX_SESSIONS the session that was used least recently is evicted."""
_MAX_BODY = 64 * 1024
_SESSION = re.compile("[0-9a-f]{32}")

Note = dict[str, object]


class RequestNotes:
    """The kept requests, by session. An instance may be used from one event loop only."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._sessions: OrderedDict[str, deque[Note]] = OrderedDict()

    def of(self, session: str) -> list[Note]:
        """The notes of a session, newest last; none for an unknown session."""
        return list(self._sessions.get(session, ()))

    def add(self, session: str, **note: object) -> None:
        """Keep a note about a request. `note` has the members that _noted() returns. Empty members
        are left out."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._clock()))
        kept = self._sessions.setdefault(session, deque(maxlen=MAX_REQUESTS))
        kept.append({"Time": moment, **{name: value for name, value in note.items() if value}})
        self._sessions.move_to_end(session)
        while len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)

    def watched(self, app: ASGIApp, server: str) -> ASGIApp:
        """Return an application that serves `app`, and that notes the result of each request with a
        session id. Only requests from this machine can begin a session. Otherwise a stranger in the
        network (LAN=1) could evict the page's session."""

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            session = _session(scope)
            if session is None or (scope.get(FROM_NETWORK) and session not in self._sessions):
                await app(scope, receive, send)
                return
            status = 0
            body = bytearray()
            state: dict[str, object] = {}

            async def send_noted(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                elif message["type"] == "http.response.body":
                    if len(body) <= _MAX_BODY:
                        body.extend(message.get("body", b"")[: _MAX_BODY + 1])
                    # Add the note before the last part of the answer is sent. After that part, the
                    # client may ask for the note at once.
                    if not message.get("more_body", False):
                        error = state.get("error")
                        self.add(session, **_noted(scope, server, status, bytes(body), error))
                await send(message)

            await app({**scope, "state": state}, receive, send_noted)

        return watched


def create_app(app: ASGIApp, notes: RequestNotes) -> ASGIApp:
    """Answer a request for PATH if it comes from this machine. Pass all other requests to `app`,
    and note the result of each request with a session id."""
    watched = notes.watched(app, "function")

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == PATH and is_from_here(scope):
            await _answer(scope, notes)(scope, receive, send)
        else:
            await watched(scope, receive, send)

    return serve


def is_from_here(scope: Scope) -> bool:
    """Whether a request comes from this machine, and its Host names this machine. A request with
    this Host does not come from a stranger's page (DNS rebinding)."""
    peer, _ = scope.get("client") or ("", 0)
    try:
        is_peer = ipaddress.ip_address(peer).is_loopback
    except ValueError:
        return False
    return is_peer and is_loopback_host(Headers(scope=scope))


def _session(scope: Scope) -> str | None:
    given = Headers(scope=scope).getlist(SESSION_HEADER)
    return given[0] if len(given) == 1 and _SESSION.fullmatch(given[0]) else None


def _answer(scope: Scope, notes: RequestNotes) -> Response:
    # There is no CORS header, so no page of another origin may read this answer.
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    error: InvalidParameter | MethodNotAllowed
    if scope["method"] not in ("GET", "HEAD"):
        error = MethodNotAllowed("must be GET or HEAD", headers={"Allow": "GET, HEAD"})
    else:
        query = scope["query_string"].decode("latin-1")
        given = [value for name, value in parse_qsl(query, True) if name == "session"]
        if len(given) == 1 and _SESSION.fullmatch(given[0]):
            return JSONResponse({"Requests": notes.of(given[0])}, headers=headers)
        error = InvalidParameter(
            "session", "must be given exactly once, as 32 lower-case hexadecimal digits"
        )
    return JSONResponse(refusals.members(error), error.status, {**headers, **error.headers})


def _noted(scope: Scope, server: str, status: int, body: bytes, error: object) -> Note:
    note: Note = {
        "Server": server,
        "Method": scope["method"][:16],
        "Path": decoded(scope.get("raw_path") or b"/"),
        "Status": status,
    }
    if isinstance(error, OssError):
        note["Code"] = error.code
        if error.refusal is not None:
            note["Refusal"] = {
                "Action": error.refusal.action,
                "Resource": safe(error.refusal.resource.partition("?")[0])[:MAX_PATH],
                "PolicyType": error.refusal.policy_type,
                "Policy": error.refusal.policy,
                "Reason": error.refusal.reason,
            }
    elif server == "function":
        said = _json(body)
        # The status is read from the body, because the HTTP status of an error may be 200
        # (HTTP_ERROR_STATUS=ok).
        if isinstance(said.get("StatusCode"), int):
            note["Status"] = said["StatusCode"]
        code = said.get("ErrorCode")
        if isinstance(code, str):
            note["Code"] = code[:MAX_PATH]
    return note


def _json(body: bytes) -> Mapping[str, object]:
    if len(body) > _MAX_BODY:
        return {}
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
