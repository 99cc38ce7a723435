"""What goes wrong on the way to an answer: errors as JSON, as the log has them, and what no route
has."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from token_service.errors import ServiceError
from token_service.request_log import Record

if TYPE_CHECKING:
    from token_service.app import Route

log = logging.getLogger("sts_token")


class NotFound(ServiceError):
    """Raised when no route has the request's path."""

    status = 404
    code = "NotFound"


class MethodNotAllowed(ServiceError):
    """Raised when the route exists and does not answer the request's method."""

    status = 405
    code = "MethodNotAllowed"


class RouteDisabled(ServiceError):
    """Raised when the operator has closed the route; `word` is what would open it."""

    status = 403
    code = "RouteDisabled"

    def __init__(self, word: str) -> None:
        super().__init__(f"closed here; it answers where ENABLED_ROUTES has {word}")


def no_route(record: Record, route: Route | None, paths: Iterable[str]) -> ServiceError:
    """The error of a path that no route has, or of a method that its route does not answer."""
    if route is None:
        return NotFound(f"no such path; must be one of {', '.join(paths)}")
    record.route = route.path
    methods = ", ".join(route.methods)
    return MethodNotAllowed(f"must be one of {methods}", headers={"Allow": methods})


def refusal(error: Exception, record: Record, *, is_callback: bool) -> ServiceError:
    """Note an error in the request's record and, where it is the operator's, in the log; return
    what a client is told."""
    if not isinstance(error, ServiceError):
        # The type and the place only: a message may quote what a stranger sent, or a secret.
        log.error("unexpected %s at %s", type(error).__name__, _place(error))
        record.error = ServiceError.code
        return ServiceError("unexpected fault; the log says where")
    record.error = error.code
    record.sts_request_id = error.sts_request_id or record.sts_request_id
    if is_callback or error.status < 500:
        record.reason = error.message
    if error.status >= 500:
        log.warning("%s: %s", error.code, error.message)
    return error


def members(error: ServiceError) -> dict[str, object]:
    """The JSON of an error, in the order that the SDKs' readers show it."""
    return {
        "StatusCode": error.status,
        "ErrorCode": error.code,
        "ErrorMessage": error.message,
        **error.members,
    }


def _place(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}" if trace else "?"
