"""Limits and wishes -> the headers that an upload is held to: signed in a URL, exact in a form.

A browser shows what it gets by its content type: a stored page or drawing can run scripts on the
bucket's domain. So where types or sizes are bound, an object is stored to be downloaded
(Content-Disposition: attachment), but for kinds that run nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from token_service.grant import content_types, extensions
from token_service.grant.refusals import InvalidParameter
from token_service.signing.limits import Limits

FORBID_OVERWRITE = {"x-oss-forbid-overwrite": "true"}
"""OSS stores nothing where there is an object (vendor documentation of PutObject)."""


def upload_headers(wishes: Mapping[str, str], limits: Limits) -> dict[str, str]:
    """Return the headers of an upload of one type, which must be sent exactly so: Content-Type,
    Content-Disposition and x-oss-forbid-overwrite, each where limits or wishes say so. Raises
    InvalidParameter."""
    found = content_types.exact(wishes.get("content_type"), limits.content_types)
    if found is None:
        return beside_type(wishes, (), limits)
    return {"Content-Type": found, **beside_type(wishes, (found,), limits)}


def beside_type(wishes: Mapping[str, str], types: Sequence[str], limits: Limits) -> dict[str, str]:
    """Return the same without Content-Type, for an upload of one of these exact types; none: any.
    Raises InvalidParameter for a `disposition` that they cannot have, or an `ext` of none."""
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
        "disposition", "must be attachment; inline is for image/* (not SVG), audio/* and video/*"
    )
