"""Decides what a caller may do now: the Grant. A wish can only narrow the grant (wishes.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from token_service.http.messages import Request
from token_service.login.callers import Caller, Login
from token_service.settings.reading import Settings

TOKEN_WISHES = ("policy", "object", "duration")  # what a caller may ask for at `/`
LOGIN = "access_token"  # the query parameter that may carry a login (RFC 6750)


class Grant(NamedTuple):
    """A policy for a prefix of a bucket or for one object key. `seconds` is 900 to 43,200."""

    bucket: str
    prefix: str
    object_key: str | None
    policy: str
    seconds: int
    session_name: str
    login: Login | None = None


def read_wishes(request: Request, names: Sequence[str] = TOKEN_WISHES) -> dict[str, str]:
    """Collect the wishes of the query and of a JSON or form body. Raises InvalidParameter for a
    body of another format, and for a wish that is repeated, misspelt or of another route, or that
    has different values in query and body."""
    found = {name: request.query[name] for name in names if name in request.query}
    if request.method != "POST" and len(found) + (LOGIN in request.query) == len(request.query):
        return found
    from token_service.grant import wishes

    return wishes.joined(found, request, names)


def folder(caller: Caller, settings: Settings) -> str:
    """Return the caller's prefix: their own folder, or the folder that all share (anonymous)."""
    return settings.prefix if caller.segment is None else f"{settings.prefix}{caller.segment}/"


def decide(caller: Caller, wishes: Mapping[str, str], settings: Settings) -> Grant:
    """Make the grant of this caller: what the settings allow, reduced by the wishes. Raises
    InvalidParameter for a wish that is malformed or not allowed."""
    prefix, name = folder(caller, settings), caller.session_name
    seconds, policy = settings.token_seconds, settings.policy
    grant = Grant(settings.bucket, prefix, None, policy, seconds, name, caller.login)
    if not wishes:
        return grant
    from token_service.grant.wishes import narrowed

    return narrowed(grant, wishes, settings)
