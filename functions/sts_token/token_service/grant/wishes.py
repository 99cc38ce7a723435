"""Reads a caller's wishes from a body, and narrows a grant by them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl

from token_service.grant import new_names, object_keys, wish_names
from token_service.grant.grants import Grant
from token_service.grant.refusals import InvalidParameter, whole_wish
from token_service.http.messages import Request
from token_service.login.callers import Login
from token_service.settings.reading import Settings
from token_service.settings.values import MIN_SESSION_SECONDS

MAX_BODY_BYTES = 16 * 1024
"""The limit is far more than any set of wishes needs, and costs little memory."""


def joined(wishes: Mapping[str, str], request: Request, names: Sequence[str]) -> dict[str, str]:
    """Add the wishes of a POST's body to those of the query. Raises InvalidParameter for a wish
    that is repeated in the body, or differs between query and body, and for a name that
    wish_names.check refuses."""
    both = dict(wishes)
    pairs = _read_body(request) if request.method == "POST" else []
    for name in names:
        values = [_text(name, value) for key, value in pairs if key == name]
        if len(values) > 1:
            raise InvalidParameter(name, "must be given once")
        for text in values:
            if text is not None and both.setdefault(name, text) != text:
                raise InvalidParameter(name, "the query and the body must not differ")
    wish_names.check([*request.query, *(key for key, _ in pairs)], names)
    return both


def _read_body(request: Request) -> list[tuple[str, object]]:
    """Return the names and values of a body in order; a repeated name stays repeated."""
    if len(request.body) > MAX_BODY_BYTES:
        raise InvalidParameter("body", f"must be at most {MAX_BODY_BYTES} bytes")
    try:
        text = request.body.decode().strip()
    except UnicodeDecodeError:
        raise InvalidParameter("body", "must be UTF-8") from None
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_empty_form = content_type == "multipart/form-data" and re.fullmatch("--[^\r\n]+--", text)
    # These are the ways in which PHP, JavaScript and a form without fields write an empty body.
    if text in ("", "[]", "null") or is_empty_form:
        return []
    if text.startswith("{"):
        try:
            # Members are read as pairs, because a dict would keep only the last of equal names.
            members: list[tuple[str, object]] = json.loads(text, object_pairs_hook=list)
        except (ValueError, RecursionError):
            raise InvalidParameter("body", "must be a JSON object") from None
        return members
    if content_type == "application/x-www-form-urlencoded":
        return list(parse_qsl(text, keep_blank_values=True))
    raise InvalidParameter("body", "must be a JSON object, or a form (x-www-form-urlencoded)")


def _text(name: str, value: object) -> str | None:
    """Return a wish of a body as text; None for JSON's null, which counts as absent. Part numbers
    may be a list."""
    if name == "parts" and isinstance(value, list):
        return ",".join(str(one) if type(one) in (int, str) else "" for one in value)
    if isinstance(value, bool) or not isinstance(value, (str, int, type(None))):
        raise InvalidParameter(name, "must be text or a whole number")
    return None if value is None else str(value)


def narrowed(grant: Grant, wishes: Mapping[str, str], settings: Settings) -> Grant:
    """Narrow a grant by `object` (or `name` and `ext`), `policy` and `duration`. Raises
    InvalidParameter."""
    # Only signed URLs have the wish `method`.
    is_new = wishes.get("method", "PUT").upper() not in ("GET", "HEAD")
    policy = wishes.get("policy", grant.policy)
    if policy not in settings.policy_choices:
        choices = ", ".join(settings.policy_choices)
        raise InvalidParameter("policy", f"must be one of {choices}", "POLICY_CHOICES")
    return grant._replace(
        object_key=_object_key(grant.prefix, _name(wishes), is_new=is_new),
        policy=policy,
        seconds=_seconds(wishes.get("duration"), settings, grant.login),
    )


def _name(wishes: Mapping[str, str]) -> str | None:
    if "name" not in wishes and "ext" not in wishes:
        return wishes.get("object")
    from token_service.grant import auto_names

    return auto_names.wished(wishes)


def _object_key(prefix: str, name: str | None, *, is_new: bool) -> str | None:
    if name is None:
        return None
    # The name is also checked alone, because a leading slash is not detected after the prefix.
    fault = object_keys.fault(name) or object_keys.fault(prefix + name)
    if is_new and not fault:
        fault = new_names.fault(name)
    if fault or name.endswith("/"):
        raise InvalidParameter("object", fault or "must not end with '/'")
    return prefix + name


def _seconds(wish: str | None, settings: Settings, login: Login | None) -> int:
    """Return a token's life in seconds. A wish beyond the login's remaining time becomes this time,
    rounded down to a multiple of STS's shortest session (at least one). Finer steps would need more
    calls to STS. Cached credentials are never valid longer than the seconds of their request."""
    if wish is None:
        return settings.token_seconds
    least, longest = MIN_SESSION_SECONDS, settings.max_token_seconds
    seconds = whole_wish("duration", wish, "seconds", least, longest, "TOKEN_EXPIRE_TIME_MAX")
    if login is None or seconds <= login.seconds_left:
        return seconds
    return max(login.seconds_left // least, 1) * least
