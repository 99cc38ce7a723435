"""Turns an error of STS into our error, with STS's own code and message but without secrets."""

from __future__ import annotations

import re

from token_service.errors import ServiceError
from token_service.http.connection import ConnectionFault
from token_service.settings.values import AccessKey
from token_service.token.assume_role import request_id


class StsRefused(ServiceError):
    """Raised when STS answered with an error. STS's code and message are passed on. `request_id`
    is STS's own id of the request, for the log."""

    def __init__(self, status: int, code: str, message: str, request_id: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.sts_request_id = request_id


class StsUnreachable(ServiceError):
    """Raised when no answer came from STS in time, after the one retry."""

    status = 503
    code = "StsUnreachable"

    @classmethod
    def of(cls, fault: ConnectionFault) -> StsUnreachable:
        """Make it from a failure of the connection."""
        return cls(f"STS cannot be reached: {fault}")


class StsInvalidAnswer(ServiceError):
    """Raised when STS's answer does not follow STS's API. No part of the answer is passed on."""

    status = 503
    code = "StsInvalidAnswer"


def refusal(status: int, answer: object, key: AccessKey) -> ServiceError:
    """Make the error for an answer that has an HTTP status other than 200, or no JSON object.
    `key` is the access key that signed the request."""
    if not isinstance(answer, dict):
        return StsInvalidAnswer(f"STS answered HTTP {status} without JSON")
    code, message = answer.get("Code"), answer.get("Message")
    if (
        not isinstance(code, str)
        or not re.fullmatch("[A-Za-z0-9._-]{1,128}", code)
        or not isinstance(message, str)
    ):
        return StsInvalidAnswer(f"STS answered HTTP {status} without a Code and a Message")
    ours = 429 if code.startswith("Throttling") else 503 if status >= 500 else 500
    text = _without_secrets(message, key) or code
    return StsRefused(ours, code, text, request_id(answer))


def _without_secrets(message: str, key: AccessKey) -> str:
    """Remove secrets. SignatureDoesNotMatch quotes the string to sign, with our security token."""
    message = message.partition("server string to sign is")[0].strip()[:1000]
    for secret in (key.access_key_secret, key.security_token, key.access_key_id):
        # A text of fewer than 8 characters could be part of a word. STS's secrets are longer.
        if secret and len(secret) >= 8:
            message = message.replace(secret, "***")
    return message
