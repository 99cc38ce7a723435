"""What is known of a verified upload."""

from __future__ import annotations

from typing import NamedTuple

_MEMBERS = "Id LegacyId Caller Bucket Object Size ETag ContentType Width Height".split()


class Upload(NamedTuple):
    """A verified upload: size in bytes, etag without quotes, pixels where it is an image. `id` is
    the same for the same upload, however often it is reported: 64 hex digits that no uploader has a
    say in. `legacy_id` is how it was made before, for back ends that have stored such ones; the
    next version is without it."""

    id: str
    legacy_id: str
    caller: str
    bucket: str
    object_key: str
    size: int
    etag: str
    content_type: str
    width: int | None
    height: int | None

    def members(self) -> dict[str, object]:
        """For the answer, the hook and the log."""
        return dict(zip(_MEMBERS, self, strict=True))
