"""A wish that cannot be granted."""

from __future__ import annotations

from token_service.errors import ServiceError


class InvalidParameter(ServiceError):
    """Raised when a wish of the caller is malformed, or not one that the operator allows."""

    status = 400

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(f"{parameter}: {message}")
        name = parameter.title().replace("_", "").replace("-", "")
        self.code = f"InvalidParameter.{name}"
