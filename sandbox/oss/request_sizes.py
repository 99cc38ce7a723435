"""How large a request may be."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.oss.errors import OssError, invalid_argument

MAX_OBJECT_BYTES = 5 * 1024**3
"""Bytes of one request: 5 GB (vendor documentation of PutObject and PostObject)."""


def check_length(headers: Mapping[str, str]) -> None:
    """Raise MissingContentLength or EntityTooLarge by what an upload's head says."""
    length = headers.get("content-length")
    if length is None and "transfer-encoding" not in headers:
        message = "You must provide the Content-Length HTTP header."
        raise OssError(411, "MissingContentLength", message)
    if length is not None and int(length) > MAX_OBJECT_BYTES:
        raise too_large(MAX_OBJECT_BYTES)


def check_size(headers: Mapping[str, str], size: int) -> None:
    """Raise InvalidArgument where chunks brought another number of bytes than a Content-Length
    beside them says, which may be signed.

    ali-oss sends both (object.test.js, "should add object with readstream"), and they agree. Not
    verified on the real OSS (assumption 55): what it makes of two that differ.
    """
    length = headers.get("content-length")
    if length is not None and int(length) != size:
        message = "Content-Length must be the body's, also where Transfer-Encoding comes along."
        raise invalid_argument(message, "Content-Length", length)


def too_large(limit: int, ec: str = "") -> OssError:
    """Make the refusal of more than `limit` bytes."""
    message = "Your proposed upload exceeds the maximum allowed size."
    return OssError(400, "EntityTooLarge", message, ec, details={"MaxSizeAllowed": str(limit)})
