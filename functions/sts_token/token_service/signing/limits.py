"""The operator's limits on signed URLs and forms."""

from __future__ import annotations

from typing import NamedTuple

from token_service.grant.refusals import whole_wish
from token_service.settings import variables as v
from token_service.settings.parsing import Reader, Refused, texts
from token_service.settings.values import MAX_OBJECT_BYTES, ROUTE_WORDS


class Limits(NamedTuple):
    """URLs and forms are valid for 1 to 604800 seconds. Size limits are 1 byte to 5 GiB; with
    `needs_size` a request must have `size`. `content_types` has full types, or one pattern like
    "image/*"; if it is empty, any type is allowed. `binds_content`: types or sizes are limited, so
    objects become downloads (upload_headers.py). `may_overwrite`: objects may be replaced."""

    url_seconds: int
    max_url_seconds: int
    max_bytes: int
    max_url_bytes: int
    needs_size: bool
    content_types: tuple[str, ...]
    binds_content: bool
    may_overwrite: bool

    def size(self, wish: str, least: int) -> int:
        """Read the wish `size`, in bytes. Raises InvalidParameter."""
        by = "UPLOAD_MAX_BYTES" if self.max_url_bytes < MAX_OBJECT_BYTES else ""
        return whole_wish("size", wish, "bytes", least, self.max_url_bytes, by)


def read(reader: Reader) -> Limits:
    """Read the variables of signed URLs and forms."""
    seconds = reader.read(v.URL_EXPIRE_TIME)
    content_types = reader.optional(v.UPLOAD_CONTENT_TYPES, ())
    is_size_bound = bool(reader.text(v.UPLOAD_MAX_BYTES))
    return Limits(
        url_seconds=seconds,
        max_url_seconds=reader.optional(v.URL_EXPIRE_TIME_MAX, seconds, least=seconds),
        max_bytes=reader.read(v.UPLOAD_MAX_BYTES),
        max_url_bytes=reader.optional(v.UPLOAD_MAX_BYTES, MAX_OBJECT_BYTES),
        needs_size=is_size_bound and "token" not in reader.optional(v.ENABLED_ROUTES, ROUTE_WORDS),
        content_types=content_types,
        binds_content=is_size_bound or bool(content_types),
        may_overwrite=reader.read(v.OVERWRITE) == "yes",
    )


def routes(value: str) -> tuple[str, ...]:
    """Read ENABLED_ROUTES, which has at least one of ROUTE_WORDS. Raises Refused."""
    found = texts(value)
    if not found or not set(found) <= set(ROUTE_WORDS):
        raise Refused(f"must be one or more of {', '.join(ROUTE_WORDS)}, separated by commas")
    return found
