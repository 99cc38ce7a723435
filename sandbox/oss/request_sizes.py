"""Limits of a request's size."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.oss.errors import OssError, invalid_argument

MAX_OBJECT_BYTES = 5 * 1024**3
"""Maximum bytes of one request: 5 GB (vendor documentation of PutObject and PostObject)."""


def check_length(headers: Mapping[str, str]) -> None:
    """Raise MissingContentLength or EntityTooLarge from an upload's head."""
    length = headers.get("content-length")
    if length is None and "transfer-encoding" not in headers:
        message = "You must provide the Content-Length HTTP header."
        raise OssError(411, "MissingContentLength", message)
    if length is not None and int(length) > MAX_OBJECT_BYTES:
        raise too_large(MAX_OBJECT_BYTES)


def check_size(headers: Mapping[str, str], size: int) -> None:
    """Raise InvalidArgument if the size of a chunked body differs from its Content-Length.

    ali-oss sends chunks and a correct Content-Length (object.test.js, "should add object with
    readstream"). The Content-Length may be signed. It is not verified how the real OSS treats two
    sizes that differ (assumption 55).
    """
    length = headers.get("content-length")
    if length is not None and int(length) != size:
        message = "Content-Length must be the size of the body, even with Transfer-Encoding."
        raise invalid_argument(message, "Content-Length", length)


def too_large(limit: int, ec: str = "") -> OssError:
    """Make the error for an upload of more than `limit` bytes."""
    message = "Your proposed upload exceeds the maximum allowed size."
    return OssError(400, "EntityTooLarge", message, ec, details={"MaxSizeAllowed": str(limit)})
