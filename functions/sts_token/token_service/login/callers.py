"""Callers. Each way to log in is a module of this folder: jwt.py, anonymous.py.

The maps from user ids to folders and to session names are injective, and never change.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import NamedTuple


class Login(NamedTuple):
    """The contents of a verified login. `issued` is its `iat` in unix seconds, None if that is no
    number. `seconds_left` counts from the request, and may be below 0 by the allowed clock skew."""

    user_id: str
    issued: float | None
    seconds_left: int


class Caller(NamedTuple):
    """A verified identity. `segment` is the caller's own folder under the operator's prefix, None
    if all share one. `session_name` appears in audit logs (RoleSessionName: 2 to 64 of
    `[A-Za-z0-9.@_-]`, vendor documentation of AssumeRole). `login` is None without logins."""

    segment: str | None
    session_name: str
    login: Login | None = None


ANONYMOUS = Caller(segment=None, session_name="anonymous")  # everybody, with AUTH=anonymous


def named(user_id: str) -> Caller:
    """Return the caller of a verified user id, which may be any text. An id of 1 to 64 of
    `[A-Za-z0-9_-]` is its own segment. Any other id becomes "~" and the lower-case base32 of the
    first 20 bytes of its SHA-256. Session names allow no "~", so they have "@" instead. They need
    two characters, so an id of one gets a "." in front."""
    segment = user_id
    if not re.fullmatch("[A-Za-z0-9_-]{1,64}", user_id):
        # surrogatepass: JSON can hold half a surrogate pair, which UTF-8 cannot.
        digest = hashlib.sha256(user_id.encode("utf-8", "surrogatepass")).digest()
        segment = f"~{base64.b32encode(digest[:20]).decode().lower()}"
    return Caller(segment, session_name(segment))


def session_name(segment: str) -> str:
    """Return the session name of the caller with this segment."""
    if segment[0] == "~":
        return f"@{segment[1:]}"
    return segment if len(segment) > 1 else f".{segment}"
