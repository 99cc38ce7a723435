"""Makes the headers that an upload must have, from limits and wishes. URLs and forms sign them.

A browser shows a file by its content type, so a stored HTML page or SVG can run scripts on the
bucket's domain. Therefore, if types or sizes are limited, an object is stored as a download
(Content-Disposition: attachment). A wish may ask for `inline` if the type cannot run scripts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from token_service.grant import content_types, extensions
from token_service.grant.refusals import InvalidParameter
from token_service.signing.limits import Limits

FORBID_OVERWRITE = {"x-oss-forbid-overwrite": "true"}
"""With this header OSS does not replace an existing object (vendor documentation of PutObject)."""


def upload_headers(wishes: Mapping[str, str], limits: Limits) -> dict[str, str]:
    """Return the headers that an upload of one type must send unchanged. The headers are
    Content-Type, Content-Disposition and x-oss-forbid-overwrite, each only if limits or wishes need
    it. Raises InvalidParameter."""
    found = content_types.exact(wishes.get("content_type"), limits.content_types)
    if found is None:
        return beside_type(wishes, (), limits)
    return {"Content-Type": found, **beside_type(wishes, (found,), limits)}


def beside_type(wishes: Mapping[str, str], types: Sequence[str], limits: Limits) -> dict[str, str]:
    """Return the headers of `upload_headers` except Content-Type, for an upload of one of `types`
    (empty: any type). Raises InvalidParameter for a `disposition` or `ext` that does not fit the
    types."""
    headers = {}
    disposition = wishes.get("disposition", "attachment" if limits.binds_content else None)
    if disposition is not None:
        headers["Content-Disposition"] = _checked(disposition, types)
    if limits.content_types and "ext" in wishes:
        known = [extension for one in types for extension in extensions.of(one)]
        if wishes["ext"] not in known:
            accepts = " or ".join([*known, "left out"])
            raise InvalidParameter("ext", f"must be {accepts}", "UPLOAD_CONTENT_TYPES")
    return headers if limits.may_overwrite else {**headers, **FORBID_OVERWRITE}


def _checked(disposition: str, types: Sequence[str]) -> str:
    if disposition == "attachment":
        return disposition
    if disposition == "inline" and types and all(map(content_types.is_media, types)):
        return disposition
    raise InvalidParameter(
        "disposition", "must be attachment, or inline for image/* (not SVG), audio/* and video/*"
    )
