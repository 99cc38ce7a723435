"""Turns an error into a JSON answer and a log line. Makes the errors for an unknown path, a wrong
method and a closed route."""

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
    """Raised when no route has the request's path, or a variable of the route is not set."""

    status = 404
    code = "NotFound"


class MethodNotAllowed(ServiceError):
    """Raised when the route exists, but does not answer the request's method."""

    status = 405
    code = "MethodNotAllowed"


class RouteDisabled(ServiceError):
    """Raised when the operator has closed the route."""

    status = 403
    code = "RouteDisabled"


def no_route(
    request: Request, route: Route | None, paths: Iterable[str], at: Instance, record: Record
) -> ServiceError:
    """Make the error for an unknown path, a wrong method or a closed route. For a closed route the
    caller is identified, because only callers may read the hint."""
    if route is None:
        return NotFound(f"no such path; must be one of {', '.join(paths)}")
    methods = ", ".join(route.methods)
    if request.method not in route.methods:
        return MethodNotAllowed(f"must be one of {methods}", headers={"Allow": methods})
    with suppress(ServiceError):
        at.caller(request, record)
    return RouteDisabled("this route is closed", f"add {route.word} to ENABLED_ROUTES to open it")


def refusal(error: Exception, record: Record, at: Instance, *, is_callback: bool) -> ServiceError:
    """Put an error into the request's record, and into the log if the operator has to act. Return
    the error for the client. A hint says what the operator can change. With AUTH=jwt only callers
    who are logged in get the hint."""
    if not isinstance(error, ServiceError):
        # The message is not logged, as it may quote a secret or a stranger's input.
        *_, (frame, line) = walk_tb(error.__traceback__)
        log.error("unexpected %s at %s:%d", type(error).__name__, frame.f_code.co_name, line)
        record.error, record.status = ServiceError.code, ServiceError.status
        return ServiceError("unexpected error; the log says where")
    record.error, record.status = error.code, error.status
    record.sts_request_id = error.sts_request_id or record.sts_request_id
    told = f"{error.message}; {error.hint}" if error.hint else error.message
    if is_callback or error.status < 500:
        record.reason = told
    # With wrong settings it is unknown who may read the hint, so nobody gets it.
    if error.hint:
        with suppress(ServiceError):
            if record.caller or not at.settings.auth.names_callers:
                error.message = told
    if error.status >= 500:
        log.warning("%s: %s (docs/errors.md)", error.code, error.message)
    return error


def http_status(error: ServiceError, route: Route | None, env: Mapping[str, str]) -> int:
    """Return the HTTP status of an error. On routes for apps the status is 200, as the Android SDK
    reads only answers with 200. If HTTP_ERROR_STATUS is `real`, the status is the error's own. This
    variable is read even if other settings are wrong."""
    is_true = route and route.true_status
    return error.status if is_true or Reader(env).text(HTTP_ERROR_STATUS) == "real" else 200


def members(error: ServiceError) -> dict[str, object]:
    """Return the JSON members of an error, in the order in which the vendor's samples read them."""
    return {
        "StatusCode": error.status,
        "ErrorCode": error.code,
        "ErrorMessage": error.message,
        **error.members,
    }
