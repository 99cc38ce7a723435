"""The base of all errors that clients see, and the errors of a token. Other rooms define more.

Clients see the messages, so they hold no value of a variable and no secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

NONE: Mapping[str, Any] = MappingProxyType({})


class ServiceError(Exception):
    """Base of all errors. `status`, `code` and `message` become StatusCode, ErrorCode and
    ErrorMessage. `hint` is added to the message for clients who may read it (routes/refusals.py).
    `headers` are added to the answer, and `members` to its JSON."""

    status = 500
    code = "InternalError"
    members: Mapping[str, object] = NONE
    sts_request_id = ""

    def __init__(self, message: str, hint: str = "", headers: Mapping[str, str] = NONE) -> None:
        super().__init__(message)
        self.message, self.hint, self.headers = message, hint, headers


class InvalidEvent(ServiceError):
    """Raised when an event is not an HTTP request of Function Compute (fc_event.py, wsgi.py)."""

    status = 400
    code = "InvalidEvent"


class Misconfiguration(ServiceError):
    """Raised if a variable is missing or wrong. The message names it and says what is valid."""

    code = "Misconfiguration"

    def __init__(self, variable: str, message: str) -> None:
        super().__init__(f"{variable}: {message}")
        self.variable = variable


class PolicyError(ServiceError):
    """Raised when a policy template and a grant do not make a valid policy."""

    code = "InvalidPolicy"
