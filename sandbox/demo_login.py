"""Simulates an app's sign-in (make run AUTH=jwt). GET /sandbox/login?user=ID returns ID's login.

The route is not part of the function: the sandbox answers its requests before they reach the
gateway. The function verifies these logins like all others.
"""

from __future__ import annotations

import time
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from token_service.errors import ServiceError
from token_service.grant.refusals import InvalidParameter
from token_service.http.cors import Cors
from token_service.http.messages import Request as FunctionRequest
from token_service.login.jwt import Jwt
from token_service.routes import refusals
from token_service.routes.refusals import MethodNotAllowed, NotFound
from token_service.settings.reading import Settings

PATH = "/sandbox/login"
LOGIN_SECONDS = 3600  # how long a login is valid (the sandbox's own choice)
MAX_LOGIN_CHARACTERS = 8192
"""The maximum length of a login that logins.py accepts. The number is repeated here, because
importing logins.py would load PyJWT even with AUTH=anonymous."""
_METHODS = "GET, HEAD, OPTIONS"


def make_login(
    user_id: str, settings: Jwt, secret: str | bytes, seconds: int = LOGIN_SECONDS
) -> str:
    """Sign a login (HS256) with the claims that the function requires, valid for `seconds`."""
    # The import is here so that AUTH=anonymous does not load PyJWT.
    import jwt

    now = int(time.time())
    required = settings.required.values if settings.required else {}
    claims: dict[str, object] = {
        **{name: values[0] for name, values in required.items()},
        settings.user_claim: user_id,
        "iat": now,
        "exp": now + seconds,
    }
    if settings.issuer:
        claims["iss"] = settings.issuer[0]
    if settings.audience:
        claims["aud"] = settings.audience[0]
    return jwt.encode(claims, secret, algorithm="HS256")


def create_app(function: ASGIApp, settings: Settings, secret: str | None, cors: Cors) -> ASGIApp:
    """Answer PATH, and pass all other requests to `function`.

    `secret` is None if the developer's own keys verify logins. In this case PATH answers 404, as it
    does with AUTH=anonymous. `cors` is the function's CORS rule. It also decides which pages may
    read the answers of PATH.
    """

    def answer(request: Request) -> dict[str, object]:
        if not isinstance(settings.auth, Jwt):
            raise NotFound("there is no sign-in with AUTH=anonymous; start `make run AUTH=jwt`")
        if secret is None:
            raise NotFound(
                "there are no demo logins, since the sandbox does not sign with your own keys "
                "(JWT_SECRET, JWT_JWKS_FILE or JWT_JWKS_URL is set)"
            )
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed(f"must be one of {_METHODS}", headers={"Allow": _METHODS})
        user_id = _user_id(request.scope["query_string"])
        login = make_login(user_id, settings.auth, secret)
        if len(login) > MAX_LOGIN_CHARACTERS:
            raise InvalidParameter("user", "is too long, so the function would refuse the login")
        return {"access_token": login}

    def respond(request: Request) -> JSONResponse:
        asked = FunctionRequest(request.method, PATH, headers=request.headers)
        headers = {"Cache-Control": "no-store", **cors.headers(asked)}
        try:
            if request.method == "OPTIONS":
                return JSONResponse(
                    {"StatusCode": 200}, headers={**headers, **cors.preflight(asked)}
                )
            return JSONResponse(answer(request), headers=headers)
        except ServiceError as error:
            body = refusals.members(error)
            return JSONResponse(body, error.status, {**headers, **error.headers})

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].rstrip("/") == PATH:
            await respond(Request(scope))(scope, receive, send)
        else:
            await function(scope, receive, send)

    return app


def _user_id(query: bytes) -> str:
    """Read `user`, which may be any text. Raises InvalidParameter."""
    try:
        pairs = parse_qsl(query.decode(), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise InvalidParameter("user", "must be percent-encoded UTF-8") from None
    given = [value for name, value in pairs if name == "user"]
    if len(given) != 1 or not given[0]:
        raise InvalidParameter("user", f"must be given exactly once, like {PATH}?user=alice")
    return given[0]
