"""Errors on the way to an answer, as JSON and for the log, and the errors of paths and methods that
no route has."""

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
    """Raised when no route has the request's path, or a variable that it needs is not set."""

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
    """Make the error of an unknown path, of a method that the route does not answer, or of a closed
    route. There the caller is identified, because only callers read the hint."""
    if route is None:
        return NotFound(f"no such path; must be one of {', '.join(paths)}")
    methods = ", ".join(route.methods)
    if request.method not in route.methods:
        return MethodNotAllowed(f"must be one of {methods}", headers={"Allow": methods})
    with suppress(ServiceError):
        at.caller(request, record)
    return RouteDisabled("this route is closed", f"{route.word} in ENABLED_ROUTES would open it")


def refusal(error: Exception, record: Record, at: Instance, *, is_callback: bool) -> ServiceError:
    """Note an error in the request's record, and in the log if it is the operator's. Return what
    the client is told. A hint says what the operator can change. With AUTH=jwt only callers who are
    logged in read it."""
    if not isinstance(error, ServiceError):
        # Only the type and the place: a message may quote a secret, or what a stranger sent.
        *_, (frame, line) = walk_tb(error.__traceback__)
        log.error("unexpected %s at %s:%d", type(error).__name__, frame.f_code.co_name, line)
        record.error, record.status = ServiceError.code, ServiceError.status
        return ServiceError("unexpected error; the log says where")
    record.error, record.status = error.code, error.status
    record.sts_request_id = error.sts_request_id or record.sts_request_id
    told = f"{error.message}; {error.hint}" if error.hint else error.message
    if is_callback or error.status < 500:
        record.reason = told
    # With wrong settings nobody knows who may read the hint, so nobody may.
    if error.hint:
        with suppress(ServiceError):
            if record.caller or not at.settings.auth.names_callers:
                error.message = told
    if error.status >= 500:
        log.warning("%s: %s (docs/errors.md)", error.code, error.message)
    return error


def http_status(error: ServiceError, route: Route | None, env: Mapping[str, str]) -> int:
    """Return the HTTP status of an error. It is 200 on routes for apps, since the Android SDK reads
    no other answer, unless HTTP_ERROR_STATUS is real. Other settings may be wrong here."""
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
