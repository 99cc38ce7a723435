"""Request -> Caller: who is asking. What a caller may do is decided in grants.py.

How a login is verified lies in logins.py. Here a verified user id becomes a folder's name and a
session's name. Both maps are injective and never change: a user's uploads stay where they are.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple

from messages import Request

if TYPE_CHECKING:
    from logins import Logins


class Login(NamedTuple):
    """What a verified login says: whose it is, when it was made and how long it is good for.

    `issued` is its `iat` in unix seconds, None where it has no number there. `seconds_left` was
    counted when the request came, and can be below 0 by the clock skew that is allowed.
    """

    user_id: str
    issued: float | None
    seconds_left: int


class Caller(NamedTuple):
    """A verified identity.

    `segment` is the caller's own folder under the operator's prefix, None where all share one.
    `session_name` names the caller in the audit trail (RoleSessionName: 2 to 64 of
    `[A-Za-z0-9.@_-]`, vendor documentation of AssumeRole).
    """

    segment: str | None
    session_name: str
    login: Login | None = None
    """The login that says so; None without logins."""


ANONYMOUS = Caller(segment=None, session_name="anonymous")


def identify(request: Request, logins: Logins | None) -> Caller:
    """Say who sent the request.

    Without logins (AUTH=anonymous) everybody is the same caller. Raises MissingToken,
    InvalidToken, ExpiredToken, KeysUnreachable.
    """
    if logins is None:
        return ANONYMOUS
    login = logins.verified(request)
    return named(login.user_id)._replace(login=login)


def named(user_id: str) -> Caller:
    """Return the caller of a verified user id, which may be any text.

    An id of 1 to 64 of `[A-Za-z0-9_-]` is its own segment; any other becomes "~" and the lower-case
    base32 of the first 20 bytes of its SHA-256. In the session's name, which has no "~", "@" takes
    its place, and "." stands before an id of one character, which would be too short.
    """
    segment = user_id
    if not re.fullmatch("[A-Za-z0-9_-]{1,64}", user_id):
        # surrogatepass: JSON can spell half a surrogate pair, which has no UTF-8.
        digest = hashlib.sha256(user_id.encode("utf-8", "surrogatepass")).digest()
        segment = f"~{base64.b32encode(digest[:20]).decode().lower()}"
    return Caller(segment, session_name(segment))


def session_name(segment: str) -> str:
    """Return the name of the sessions of the caller who has this segment."""
    if segment[0] == "~":
        return f"@{segment[1:]}"
    return segment if len(segment) > 1 else f".{segment}"
