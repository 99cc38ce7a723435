"""The errors of logins and rate limits. This module is loaded when an error is raised."""

from __future__ import annotations

from token_service.errors import ServiceError


class MissingToken(ServiceError):
    """Raised when a request carries no login, and logins are required (AUTH=jwt)."""

    status = 401
    code = "MissingToken"

    def __init__(self) -> None:
        super().__init__(
            "no login; send it as 'Authorization: Bearer <JWT>' or as access_token in the query"
        )


class InvalidToken(ServiceError):
    """Raised for a login that cannot be verified. Its message never quotes the login."""

    status = 401
    code = "InvalidToken"


class ExpiredToken(ServiceError):
    """Raised for a valid login that has expired, so the app has to sign in again."""

    status = 401
    code = "ExpiredToken"


class RateLimited(ServiceError):
    """Raised when a caller is over its rate limit; `headers` say when to retry. `what` names
    what is counted, like "new tokens". `variable` is the variable that sets the limit, if any."""

    status = 429
    code = "Throttling.Caller"

    def __init__(self, what: str, per_minute: int, seconds: float, variable: str | None) -> None:
        wait = max(1, int(seconds + 0.999))
        by = f" ({variable})" if variable else ""
        super().__init__(
            f"at most {per_minute} {what} a minute{by}; try again in {wait} s",
            headers={"Retry-After": str(wait)},
        )
