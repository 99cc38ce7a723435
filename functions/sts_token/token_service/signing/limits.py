"""What the operator allows of signed URLs and forms."""

from __future__ import annotations

from typing import NamedTuple

from token_service.settings import variables as v
from token_service.settings.parsing import Reader


class Limits(NamedTuple):
    """How long URLs and forms live, in seconds, 1 to 604800; how large a form's file is, in bytes,
    1 to 5 GiB; and exact content types, or one pattern like "image/*": empty, any."""

    url_seconds: int
    max_url_seconds: int
    max_bytes: int
    content_types: tuple[str, ...]


def read(reader: Reader) -> Limits:
    """Read the variables of signed URLs and forms."""
    seconds = reader.read(v.URL_EXPIRE_TIME)
    return Limits(
        url_seconds=seconds,
        max_url_seconds=reader.optional(v.URL_EXPIRE_TIME_MAX, seconds, least=seconds),
        max_bytes=reader.read(v.UPLOAD_MAX_BYTES),
        content_types=reader.optional(v.UPLOAD_CONTENT_TYPES, ()),
    )
