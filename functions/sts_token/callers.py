"""Request -> Caller: who is asking. What a caller may do is decided in grants.py."""

from __future__ import annotations

from typing import NamedTuple

from errors import Misconfiguration
from messages import Request
from settings import Settings


class Caller(NamedTuple):
    """A verified identity.

    `segment` is the caller's own folder under the operator's prefix, None where all share one.
    `session_name` names the caller in the audit trail (RoleSessionName: 2 to 64 of
    `[A-Za-z0-9.@_-]`, vendor documentation of AssumeRole).
    """

    segment: str | None
    session_name: str


ANONYMOUS = Caller(segment=None, session_name="anonymous")


def identify(_request: Request, settings: Settings) -> Caller:
    """Say who sent the request.

    With AUTH=anonymous everybody is the same caller. Raises Misconfiguration for AUTH=jwt,
    which this version cannot verify yet: nobody is let in unverified.
    """
    if settings.auth == "anonymous":
        return ANONYMOUS
    raise Misconfiguration("AUTH", "jwt is not supported yet; must be anonymous")
