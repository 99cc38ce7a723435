"""What goes wrong on the way to an answer: errors as JSON, as the log has them, and what no route
has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from traceback import walk_tb
from typing import TYPE_CHECKING

from token_service.errors import ServiceError
from token_service.http.messages import Request
from token_service.instance import Instance
from token_service.request_log import Record, log
from token_service.settings.parsing import Reader
from token_service.settings.variables import HTTP_ERROR_STATUS

if TYPE_CHECKING:
    from token_service.app import Route


class NotFound(ServiceError):
    """Raised when no route has the request's path, or what it needs is not set."""

    status = 404
    code = "NotFound"


class MethodNotAllowed(ServiceError):
    """Raised when the route exists and does not answer the request's method."""

    status = 405
    code = "MethodNotAllowed"


class RouteDisabled(ServiceError):
    """Raised when the operator has closed the route."""

    status = 403
    code = "RouteDisabled"


def no_route(
    request: Request, route: Route | None, paths: Iterable[str], at: Instance, record: Record
) -> ServiceError:
    """The error of a path that no route has, of a method that its route does not answer, or of a
    closed route: who asks is found out, for the hint."""
    if route is None:
        return NotFound(f"no such path; must be one of {', '.join(paths)}")
    methods = ", ".join(route.methods)
    if request.method not in route.methods:
        return MethodNotAllowed(f"must be one of {methods}", headers={"Allow": methods})
    with suppress(ServiceError):
        at.caller(request, record)
    return RouteDisabled("closed here", f"it answers where ENABLED_ROUTES has {route.word}")


def refusal(error: Exception, record: Record, at: Instance, *, is_callback: bool) -> ServiceError:
    """Note an error in the request's record and, where it is the operator's, in the log; return
    what a client is told. A hint names what the operator would change: with AUTH=jwt only who is
    logged in reads it."""
    if not isinstance(error, ServiceError):
        # The type and the place only: a message may quote what a stranger sent, or a secret.
        *_, (frame, line) = walk_tb(error.__traceback__)
        log.error("unexpected %s at %s:%d", type(error).__name__, frame.f_code.co_name, line)
        record.error, record.status = ServiceError.code, ServiceError.status
        return ServiceError("unexpected fault; the log says where")
    record.error, record.status = error.code, error.status
    record.sts_request_id = error.sts_request_id or record.sts_request_id
    told = f"{error.message}; {error.hint}" if error.hint else error.message
    if is_callback or error.status < 500:
        record.reason = told
    # Where the settings are wrong, nobody knows who may read it: nobody does.
    if error.hint:
        with suppress(ServiceError):
            if record.caller or not at.settings.auth.names_callers:
                error.message = told
    if error.status >= 500:
        log.warning("%s: %s (docs/errors.md)", error.code, error.message)
    return error


def http_status(error: ServiceError, route: Route | None, env: Mapping[str, str]) -> int:
    """The HTTP status of an error: 200 where the Android SDK may ask, which reads no other answer,
    unless HTTP_ERROR_STATUS says otherwise, as it stands there: wrong settings are answered too."""
    is_true = route and route.true_status
    return error.status if is_true or Reader(env).text(HTTP_ERROR_STATUS) == "real" else 200


def members(error: ServiceError) -> dict[str, object]:
    """The JSON of an error, in the order that the SDKs' readers show it."""
    return {
        "StatusCode": error.status,
        "ErrorCode": error.code,
        "ErrorMessage": error.message,
        **error.members,
    }
