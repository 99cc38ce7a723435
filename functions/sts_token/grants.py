"""Caller and wishes -> Grant: what this caller may do now. A wish can only narrow.

Which RAM policy a grant becomes is policies.py's matter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import parse_qsl

import keys
from callers import Caller, Login
from errors import InvalidParameter
from messages import Request
from settings import MIN_SECONDS, Settings

MAX_BODY_BYTES = 16 * 1024
"""Far above any set of wishes, far below what would cost memory."""

_WISHES = ("policy", "object", "duration")
_READING = ("GET", "HEAD")


class Grant(NamedTuple):
    """One bucket and one prefix, or one object key under it; a policy's name; seconds to live.

    `login` is the caller's, None without logins.
    """

    bucket: str
    prefix: str
    object_key: str | None
    policy: str
    seconds: int
    session_name: str
    login: Login | None = None


def read_wishes(request: Request, names: Sequence[str] = _WISHES) -> dict[str, str]:
    """Collect the wishes of the query and of a JSON or form body; names not asked for are ignored.

    Raises InvalidParameter for a body that is neither; for a wish that is there twice in the body,
    in two spellings of its name, or in the query and the body with two values.
    """
    wishes = {name: request.query[name] for name in names if name in request.query}
    pairs = _read_body(request) if request.method == "POST" else []
    for name in names:
        values = [_text(name, value) for key, value in pairs if key == name]
        if len(values) > 1:
            raise InvalidParameter(name, "must be given once")
        for text in values:
            if text is not None and wishes.setdefault(name, text) != text:
                raise InvalidParameter(name, "the query and the body must not differ")
    if wishes:
        _check_spellings(wishes, names, [*request.query, *(key for key, _ in pairs)])
    return wishes


def folder(caller: Caller, settings: Settings) -> str:
    """Return the prefix of a caller: their own folder, or the one that all share (anonymous)."""
    return settings.prefix if caller.segment is None else f"{settings.prefix}{caller.segment}/"


def decide(caller: Caller, wishes: Mapping[str, str], settings: Settings) -> Grant:
    """Narrow what the operator configured to this caller and these wishes.

    Raises InvalidParameter for a wish that is malformed or would widen.
    """
    prefix = folder(caller, settings)
    # Only a signed URL has a method.
    is_new = wishes.get("method", "PUT").upper() not in _READING
    return Grant(
        bucket=settings.bucket,
        prefix=prefix,
        object_key=_object_key(prefix, wishes.get("object"), is_new=is_new),
        policy=_policy(wishes.get("policy", settings.policy), settings),
        seconds=_seconds(wishes.get("duration"), settings, caller.login),
        session_name=caller.session_name,
        login=caller.login,
    )


def _read_body(request: Request) -> list[tuple[str, object]]:
    """The names and values of a body in their order, a repeated name as often as it is there."""
    if len(request.body) > MAX_BODY_BYTES:
        raise InvalidParameter("body", f"must be at most {MAX_BODY_BYTES} bytes")
    try:
        text = request.body.decode().strip()
    except UnicodeDecodeError:
        raise InvalidParameter("body", "must be UTF-8") from None
    if not text:
        return []
    if text.startswith("{"):
        return _json_members(text)
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == "application/x-www-form-urlencoded":
        return list(parse_qsl(text, keep_blank_values=True))
    raise InvalidParameter("body", "must be a JSON object, or a form (x-www-form-urlencoded)")


def _json_members(text: str) -> list[tuple[str, object]]:
    try:
        # As pairs: of a member that is there twice, a dict would keep the last.
        members: list[tuple[str, object]] = json.loads(text, object_pairs_hook=list)
    except (ValueError, RecursionError):
        raise InvalidParameter("body", "must be a JSON object") from None
    return members


def _text(name: str, value: object) -> str | None:
    """A wish of a body as text, None for JSON's null, which is no wish."""
    if isinstance(value, bool) or not isinstance(value, (str, int, type(None))):
        raise InvalidParameter(name, "must be text or a whole number")
    return None if value is None else str(value)


def _check_spellings(wishes: Mapping[str, str], names: Sequence[str], given: Sequence[str]) -> None:
    """Refuse a wish whose name is there in another spelling too: another reader takes that one."""
    known = {_folded(name): name for name in names}
    for spelling in given:
        name = known.get(_folded(spelling), spelling)
        if name != spelling and name in wishes:
            raise InvalidParameter(name, "must be given once, not in another spelling too")


def _folded(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def _object_key(prefix: str, name: str | None, *, is_new: bool) -> str | None:
    if name is None:
        return None
    # The name alone as well: joined to the prefix, its leading slash would be an inner one.
    fault = keys.fault(name) or keys.fault(prefix + name)
    if is_new and not fault:
        fault = keys.new_name_fault(name)
    if fault or name.endswith("/"):
        raise InvalidParameter("object", fault or "must not end with '/'")
    return prefix + name


def _policy(name: str, settings: Settings) -> str:
    if name not in settings.policy_choices:
        raise InvalidParameter("policy", f"must be one of {', '.join(settings.policy_choices)}")
    return name


def _seconds(wish: str | None, settings: Settings, login: Login | None) -> int:
    """How long a token lives. By a wish it does not outlive its login, as far as STS can do that.

    Only whole multiples of STS's shortest session: each other number would be a call of STS, and
    credentials that are kept for one never end later than a cut to that number allows.
    """
    if wish is None:
        return settings.token_seconds
    # Bounded digits: int() of a very long text is an error of its own.
    longest = settings.max_token_seconds
    if not re.fullmatch("[0-9]{1,6}", wish) or not MIN_SECONDS <= int(wish) <= longest:
        raise InvalidParameter("duration", f"must be whole seconds, {MIN_SECONDS} to {longest}")
    if login is None or int(wish) <= login.seconds_left:
        return int(wish)
    return max(login.seconds_left // MIN_SECONDS, 1) * MIN_SECONDS
