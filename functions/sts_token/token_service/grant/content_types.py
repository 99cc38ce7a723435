"""Checks the content types of uploads by URL or form. UPLOAD_CONTENT_TYPES lists the allowed types.
A wish can allow fewer types, but not more.

RAM policies cannot check content types, so these limits do not apply to tokens.
"""

from __future__ import annotations

import re

from token_service.grant.refusals import InvalidParameter
from token_service.settings.parsing import Refused, texts

TYPE_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
"""A pattern for each half of a content type (RFC 6838)."""
_MEDIA = ("image", "audio", "video")
# A type may have parameters, as in "text/plain; charset=utf-8".
_EXACT = rf"{TYPE_NAME}/{TYPE_NAME}(?:; ?[A-Za-z0-9-]+=[A-Za-z0-9._-]+){{0,4}}"


def types(value: str) -> tuple[str, ...]:
    """Read UPLOAD_CONTENT_TYPES: exact types, or one pattern. Several patterns are not possible,
    because the conditions of a form have no "or" for patterns. Raises Refused."""
    found = texts(value)
    are_exact = all(re.fullmatch(f"{TYPE_NAME}/{TYPE_NAME}", one) for one in found)
    if not are_exact and not (len(found) == 1 and re.fullmatch(rf"{TYPE_NAME}/\*", found[0])):
        raise Refused(
            "must be content types like image/jpeg, separated by commas, or one like image/*"
        )
    return found


def exact(wish: str | None, allowed: tuple[str, ...]) -> str | None:
    """Return the type that a signed PUT must have. Return None if all types are allowed and there
    is no wish. Raises InvalidParameter for a wish that is malformed, not allowed, or missing
    although it is needed."""
    found = narrowed(wish, allowed)
    if len(found) > 1:
        raise _refusal(allowed)
    return found[0] if found else None


def narrowed(wish: str | None, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Return the exact types that a form allows (empty: any type). Raises InvalidParameter as
    `exact` does. If `allowed` has a pattern, a wish is needed, because the condition "starts-with"
    would accept "image/png,text/html", and browsers use the last of these types."""
    if wish is None and not any(map(is_pattern, allowed)):
        return allowed
    if wish is not None and re.fullmatch(_EXACT, wish) and _is_allowed(wish, allowed):
        return (wish,)
    raise _refusal(allowed)


def is_pattern(content_type: str) -> bool:
    """Whether a content type is a pattern like image/*."""
    return content_type.endswith("/*")


def is_media(content_type: str) -> bool:
    """Whether this is a type of images, audio or video that browsers do not read as XML. SVG and
    other types that end with +xml can run scripts (WHATWG MIME Sniffing, "XML MIME type")."""
    kind, _, name = base(content_type).partition("/")
    return kind in _MEDIA and not name.endswith("+xml")


def base(content_type: str) -> str:
    """Return a content type without its parameters, in lower case, as browsers compare it."""
    return content_type.partition(";")[0].strip().lower()


def _is_allowed(wish: str, allowed: tuple[str, ...]) -> bool:
    return not allowed or any(
        wish == one or (is_pattern(one) and wish.startswith(one[:-1]) and _is_meant(wish, one))
        for one in allowed
    )


def _is_meant(wish: str, pattern: str) -> bool:
    """Whether a pattern includes this type. SVG is not included in image/*, and must be named."""
    return pattern[:-2].lower() not in _MEDIA or is_media(wish)


def _refusal(allowed: tuple[str, ...]) -> InvalidParameter:
    if not allowed:
        return InvalidParameter("content_type", "must be a content type like image/jpeg")
    accepts = f"one of {', '.join(allowed)}"
    if is_pattern(allowed[0]):
        accepts = f"one exact type that begins with {allowed[0][:-1]} and is not SVG"
    return InvalidParameter("content_type", f"must be {accepts}", "UPLOAD_CONTENT_TYPES")
