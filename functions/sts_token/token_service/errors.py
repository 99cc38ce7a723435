"""What a client can be answered with instead: each room has errors of its own, a token's are here.

Messages are shown to clients: no value of a variable, no secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

NONE: Mapping[str, Any] = MappingProxyType({})


class ServiceError(Exception):
    """Base of all errors. `status` is the body's StatusCode, `code` its ErrorCode, `message` its
    ErrorMessage, `hint` the rest of it, which not all may read (routes/refusals.py); `headers` are
    added to the answer, `members` to its JSON."""

    status = 500
    code = "InternalError"
    members: Mapping[str, object] = NONE
    sts_request_id = ""

    def __init__(self, message: str, hint: str = "", headers: Mapping[str, str] = NONE) -> None:
        super().__init__(message)
        self.message, self.hint, self.headers = message, hint, headers


class InvalidEvent(ServiceError):
    """Raised when what arrived is no HTTP request of Function Compute (fc_event.py, wsgi.py)."""

    status = 400
    code = "InvalidEvent"


class Misconfiguration(ServiceError):
    """Raised when an environment variable is missing or wrong: names it and what it accepts."""

    code = "Misconfiguration"

    def __init__(self, variable: str, message: str) -> None:
        super().__init__(f"{variable}: {message}")
        self.variable = variable


class PolicyError(ServiceError):
    """Raised when a policy template cannot be rendered for a grant into a policy STS would take."""

    code = "InvalidPolicy"
