"""Content types and their file extensions."""

from __future__ import annotations

import re
from collections.abc import Mapping

from token_service.grant import content_types

EXTENSION = "[a-z0-9]{1,8}"
"""A pattern for an extension, without the dot."""
_OFFICE = "application/vnd.openxmlformats-officedocument"
_EXTENSIONS = {
    "image/jpeg": "jpg jpeg",
    "image/tiff": "tif tiff",
    "image/svg+xml": "svg",
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a mp4",
    "audio/ogg": "ogg oga opus",
    "audio/x-m4a": "m4a",
    "video/mp4": "mp4 m4v",
    "video/quicktime": "mov",
    "text/plain": "txt log",
    "text/html": "html htm",
    "text/javascript": "js mjs",
    "application/msword": "doc",
    "application/octet-stream": "bin",
    "application/vnd.ms-excel": "xls",
    f"{_OFFICE}.presentationml.presentation": "pptx",
    f"{_OFFICE}.spreadsheetml.sheet": "xlsx",
    f"{_OFFICE}.wordprocessingml.document": "docx",
}
"""Types whose extension is not the part after the slash. So image/png with "png" needs no entry."""


def of(content_type: str) -> tuple[str, ...]:
    """Return the extensions of an exact type, without dots; empty if none is known."""
    base = content_types.base(content_type)
    half = base.partition("/")[2]
    return tuple(_EXTENSIONS.get(base, half if re.fullmatch(EXTENSION, half) else "").split())


SHOWN: Mapping[str, str] = {
    extension: content_type
    for content_type in """
        image/jpeg image/png image/gif image/webp image/avif image/bmp image/heic
        audio/mpeg audio/x-m4a audio/wav audio/ogg audio/aac audio/flac
        video/mp4 video/webm video/quicktime
    """.split()
    for extension in of(content_type)
}
"""Extensions with their types, for files that run no code in a browser."""


def shown_as(name: str) -> str | None:
    """Return the type for showing an object of this name in a browser, or None if there is none."""
    return SHOWN.get(name.rpartition(".")[2].lower())
