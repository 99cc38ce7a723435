"""How large a request may be."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.oss.errors import OssError, invalid_argument

MAX_OBJECT_BYTES = 5 * 1024**3
"""Bytes of one request: 5 GB (vendor documentation of PutObject and PostObject)."""


def check_length(headers: Mapping[str, str]) -> None:
    """Raise MissingContentLength or EntityTooLarge by what an upload's head says, InvalidArgument
    where it says two things: a signed Content-Length would not be the body's.

    Unverified is that OSS refuses that too (assumption 55). RFC 9112 (6.1) lets a server do so;
    nginx does it since 1.21.1.
    """
    length = headers.get("content-length")
    if length is not None and "transfer-encoding" in headers:
        message = "Content-Length and Transfer-Encoding must not come together."
        raise invalid_argument(message, "Transfer-Encoding")
    if length is None and "transfer-encoding" not in headers:
        message = "You must provide the Content-Length HTTP header."
        raise OssError(411, "MissingContentLength", message)
    if length is not None and int(length) > MAX_OBJECT_BYTES:
        raise too_large(MAX_OBJECT_BYTES)


def too_large(limit: int, ec: str = "") -> OssError:
    """Make the refusal of more than `limit` bytes."""
    message = "Your proposed upload exceeds the maximum allowed size."
    return OssError(400, "EntityTooLarge", message, ec, details={"MaxSizeAllowed": str(limit)})
