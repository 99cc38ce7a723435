"""Routes, and the one place where errors become answers.

Strings the floor together: Request -> Caller -> Grant -> policy -> Credentials -> token. What an
HTTP event looks like is not known here.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import NamedTuple

import callers
import grants
import tokens
from errors import MethodNotAllowed, Misconfiguration, NotFound, ServiceError
from messages import Request, Response
from policies import Policies
from settings import Settings, read_access_key, read_settings, real_error_status
from sts import RoleRequest, StsClient

log = logging.getLogger("sts_token")

_encode = json.JSONEncoder(separators=(",", ":")).encode
_METHODS = "GET, POST, HEAD, OPTIONS"
_HEADERS = {
    "Content-Type": "application/json; charset=utf-8",
    # iOS keeps a shared URL cache.
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


class _Parts(NamedTuple):
    """What is made once of the environment and used by every request."""

    settings: Settings
    policies: Policies
    sts: StsClient


class App:
    """The token service over one environment. Thread-safe; never raises from `respond`."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._made: _Parts | None = None

    def respond(self, read: Callable[[], Request]) -> Response:
        """Read a request and answer it; whatever goes wrong becomes a JSON error."""
        method = ""
        headers: Mapping[str, str] = {}
        try:
            request = read()
            method = request.method
            answer, status = self._route(request), 200
        except ServiceError as error:
            answer, status, headers = _error(error), error.status, error.headers
        except Exception as error:  # noqa: BLE001 - the last resort: a client gets JSON, always
            # The type and the place only: a message may quote what a stranger sent, or a secret.
            log.error("unexpected %s at %s", type(error).__name__, _place(error))
            answer, status = _error(ServiceError("unexpected fault; the log says where")), 500
        return Response(
            status=status if status == 200 or self._real_error_status() else 200,
            headers={**_HEADERS, **headers},
            body="" if method == "HEAD" else _encode(answer),
        )

    def warm(self) -> None:
        """Make what a first request needs; what fails is logged, and answered at each request."""
        try:
            parts = self._parts()
            parts.sts.warm()
        except ServiceError as error:
            log.warning("%s: %s", error.code, error.message)

    def close(self) -> None:
        """Close the connection to STS; for whoever makes more than one App in a process."""
        if self._made is not None:
            self._made.sts.close()

    def _route(self, request: Request) -> dict[str, object]:
        # A preflight carries no login, and must succeed for the request after it to be sent.
        if request.method == "OPTIONS":
            return {"StatusCode": 200}
        path = request.path.rstrip("/") or "/"
        routes = {"/": self._token, "/sts": self._token, "/health": self._health}
        route = routes.get(path)
        if route is None:
            raise NotFound(f"no such path; must be one of {', '.join(routes)}")
        if request.method not in ("GET", "POST", "HEAD"):
            raise MethodNotAllowed(f"must be one of {_METHODS}", headers={"Allow": _METHODS})
        return route(request)

    def _token(self, request: Request) -> dict[str, object]:
        parts = self._parts()
        settings = parts.settings
        caller = callers.identify(request, settings)
        grant = grants.decide(caller, grants.read_wishes(request), settings)
        policy = parts.policies.render(grant)
        role_request = RoleRequest(settings.role_arn, grant.session_name, policy, grant.seconds)
        credentials = parts.sts.assume_role(role_request, read_access_key(self._env))
        return tokens.token(credentials, grant, settings)

    def _health(self, request: Request) -> dict[str, object]:
        """Everything that can be checked without calling STS: anybody may call this route."""
        parts = self._parts()
        read_access_key(self._env)
        caller = callers.identify(request, parts.settings)
        for name in parts.settings.policy_choices:
            parts.policies.render(grants.decide(caller, {"policy": name}, parts.settings))
        return {"StatusCode": 200, "Status": "OK"}

    def _parts(self) -> _Parts:
        """Made at the first use, and again after a failure: nothing half-made is kept."""
        if self._made is None:
            real_error_status(self._env)
            settings = read_settings(self._env)
            self._made = _Parts(
                settings,
                Policies(settings.policy_choices),
                StsClient(settings.sts_endpoint, settings.region),
            )
            _warn_about(settings)
        return self._made

    def _real_error_status(self) -> bool:
        try:
            return real_error_status(self._env)
        except Misconfiguration:
            return False


def _error(error: ServiceError) -> dict[str, object]:
    return {"StatusCode": error.status, "ErrorCode": error.code, "ErrorMessage": error.message}


def _place(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}" if trace else "?"


def _warn_about(settings: Settings) -> None:
    if settings.auth == "anonymous":
        log.warning(
            "AUTH=anonymous: whoever knows the URL gets a token for everything under %s of %s",
            settings.prefix,
            settings.bucket,
        )
    if "all_policy" in settings.policy_choices:
        log.warning("all_policy: tokens may do whatever the upload role may, in every folder")
