"""Every error that a client can be answered with: one base class, one subclass a cause.

app.py turns them into JSON. Messages are shown to clients: no value of a variable, no secret.
"""

from __future__ import annotations


class ServiceError(Exception):
    """Base of all errors below.

    `status` is the body's StatusCode, `code` its ErrorCode, `message` its ErrorMessage.
    `headers` are added to the answer.
    """

    status = 500
    code = "InternalError"

    def __init__(self, message: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.headers = headers or {}


class InvalidEvent(ServiceError):
    """Raised when what arrived is no HTTP request of Function Compute (fc_event.py, wsgi.py)."""

    status = 400
    code = "InvalidEvent"


class InvalidParameter(ServiceError):
    """Raised when a wish of the caller is malformed, or not one that the operator allows."""

    status = 400

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(f"{parameter}: {message}")
        name = parameter.title().replace("_", "").replace("-", "")
        self.code = f"InvalidParameter.{name}"


class NotFound(ServiceError):
    """Raised when no route has the request's path."""

    status = 404
    code = "NotFound"


class MethodNotAllowed(ServiceError):
    """Raised when the route exists and does not answer the request's method."""

    status = 405
    code = "MethodNotAllowed"


class Misconfiguration(ServiceError):
    """Raised when an environment variable is missing or wrong: names it and what it accepts."""

    code = "Misconfiguration"

    def __init__(self, variable: str, message: str) -> None:
        super().__init__(f"{variable}: {message}")
        self.variable = variable


class PolicyError(ServiceError):
    """Raised when a policy template cannot be rendered for a grant into a policy STS would take."""

    code = "InvalidPolicy"


class NotAllowed(ServiceError):
    """Raised when the policy of a caller's grant does not allow what a URL or form would do."""

    status = 403
    code = "NotAllowed"


class StsRefused(ServiceError):
    """Raised when STS answered with an error of its own: its code and message are passed on.

    `request_id` is STS's, for the log.
    """

    def __init__(self, status: int, code: str, message: str, request_id: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.request_id = request_id


class StsUnreachable(ServiceError):
    """Raised when no answer came from STS in time, after the one retry."""

    status = 503
    code = "StsUnreachable"


class StsInvalidAnswer(ServiceError):
    """Raised when STS's answer is not what its API promises, so that nothing is passed on."""

    status = 503
    code = "StsInvalidAnswer"


class MissingToken(ServiceError):
    """Raised when a request carries no login, and logins are required (AUTH=jwt)."""

    status = 401
    code = "MissingToken"


class InvalidToken(ServiceError):
    """Raised for a login that cannot be verified; says what is wrong, never quotes it."""

    status = 401
    code = "InvalidToken"


class ExpiredToken(ServiceError):
    """Raised for a sound login whose time has passed: the app has to sign in again."""

    status = 401
    code = "ExpiredToken"


class KeysUnreachable(ServiceError):
    """Raised while there are no keys to verify logins with: JWT_JWKS_URL does not answer."""

    status = 503
    code = "KeysUnreachable"


class CorsRefused(ServiceError):
    """Raised for a preflight of what ALLOWED_ORIGINS does not let a browser send."""

    status = 403
    code = "CorsRefused"


class RateLimited(ServiceError):
    """Raised when a caller has had its share of this minute; `headers` say when to retry.

    `what` is what is counted, like "new tokens"; `variable` sets the limit, None: nothing does.
    """

    status = 429
    code = "Throttling.Caller"

    def __init__(self, what: str, per_minute: int, seconds: float, variable: str | None) -> None:
        wait = max(1, int(seconds + 0.999))
        by = f" ({variable})" if variable else ""
        super().__init__(
            f"at most {per_minute} {what} a minute{by}; try again in {wait} s",
            headers={"Retry-After": str(wait)},
        )


class CallerDenied(ServiceError):
    """Raised for a caller whom the operator has shut out (DENIED_CALLERS, LOGINS_NOT_BEFORE)."""

    status = 403
    code = "CallerDenied"


class CallbackRefused(ServiceError):
    """Raised for a callback that is not OSS's, or not of a grant of ours; says which check failed.

    Nothing of what was sent is quoted: the message goes to the log.
    """

    status = 403
    code = "CallbackRefused"


class HookFailed(ServiceError):
    """Raised when the operator's back end (UPLOAD_HOOK_URL) did not accept a verified upload."""

    status = 502
    code = "HookFailed"


class ListingRefused(ServiceError):
    """Raised for a listing where callers share a folder: each would see everybody's uploads."""

    status = 403
    code = "ListingRefused"


class OssRefused(ServiceError):
    """Raised when OSS answered the function with an error: its code and message are passed on.

    `oss_status` is OSS's HTTP status; `request_id` is OSS's, for the log.
    """

    def __init__(self, oss_status: int, code: str, message: str, request_id: str = "") -> None:
        super().__init__(message)
        self.status = 503 if oss_status >= 500 else 500
        self.oss_status = oss_status
        self.code = code
        self.request_id = request_id


class OssUnreachable(ServiceError):
    """Raised when no answer came from OSS in time."""

    status = 503
    code = "OssUnreachable"


class OssInvalidAnswer(ServiceError):
    """Raised when OSS's answer is not what its API promises, so that nothing is passed on."""

    status = 503
    code = "OssInvalidAnswer"
