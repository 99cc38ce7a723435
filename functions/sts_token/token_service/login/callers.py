"""Callers. Each way to log in has a module in this folder: jwt.py, anonymous.py.

Two user ids never get the same folder or session name. A user's names never change.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import NamedTuple


class Login(NamedTuple):
    """The contents of a verified login. `issued` is the claim `iat` in unix seconds; None if
    `iat` is not a number. `seconds_left` counts from the request; clock skew may make it < 0."""

    user_id: str
    issued: float | None
    seconds_left: int


class Caller(NamedTuple):
    """A verified identity. `segment` is the caller's own folder under the operator's prefix, None
    if all share one. `session_name` appears in audit logs (RoleSessionName: 2 to 64 characters of
    `[A-Za-z0-9.@_-]`, vendor documentation of AssumeRole). `login` is None with AUTH=anonymous."""

    segment: str | None
    session_name: str
    login: Login | None = None


ANONYMOUS = Caller(segment=None, session_name="anonymous")  # everybody, with AUTH=anonymous


def named(user_id: str) -> Caller:
    """Return the caller of a verified user id, which may be any text. An id of 1 to 64 characters
    of `[A-Za-z0-9_-]` is its own segment. Any other id becomes "~" and the lower-case base32 of the
    first 20 bytes of its SHA-256. A session name has "@" in place of "~", which STS does not allow.
    A session name needs two characters, so an id of one character gets a "." in front."""
    segment = user_id
    if not re.fullmatch("[A-Za-z0-9_-]{1,64}", user_id):
        # JSON can hold half a surrogate pair, which encode() refuses without "surrogatepass".
        digest = hashlib.sha256(user_id.encode("utf-8", "surrogatepass")).digest()
        segment = f"~{base64.b32encode(digest[:20]).decode().lower()}"
    return Caller(segment, session_name(segment))


def session_name(segment: str) -> str:
    """Return the session name of the caller whose folder has this name."""
    if segment[0] == "~":
        return f"@{segment[1:]}"
    return segment if len(segment) > 1 else f".{segment}"
