"""The error of a wish that cannot be granted, and the check of whole numbers."""

from __future__ import annotations

from token_service.errors import ServiceError
from token_service.settings.parsing import whole


class InvalidParameter(ServiceError):
    """Raised when a wish of the caller is malformed, or the operator does not allow it."""

    status = 400

    def __init__(self, parameter: str, message: str, by: str = "") -> None:
        """`by` names the variable that sets the limit, if there is one."""
        super().__init__(f"{parameter}: {message}{by and f' ({by})'}")
        name = parameter.title().replace("_", "").replace("-", "")
        self.code = f"InvalidParameter.{name}"


def whole_wish(parameter: str, text: str, unit: str, least: int, most: int, by: str = "") -> int:
    """Read a whole number from `least` to `most`, both included. Raises InvalidParameter."""
    value = whole(text, least, most)
    if value is None:
        raise InvalidParameter(parameter, f"must be whole {unit}, {least} to {most}", by)
    return value
