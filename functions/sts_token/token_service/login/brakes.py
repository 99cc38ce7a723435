"""The two variables for an emergency stop after an incident: DENIED_CALLERS, LOGINS_NOT_BEFORE.

They apply to each request, after its login is verified and before any cache is used. They also
apply to each callback: the seal says who uploaded, and when the uploader's login was made.
"""

from __future__ import annotations

import re
import time
from typing import NamedTuple

from token_service.errors import ServiceError
from token_service.login.callers import Caller, session_name
from token_service.login.refusals import ExpiredToken, InvalidToken
from token_service.settings import variables as v
from token_service.settings.parsing import Reader, Refused, texts, whole
from token_service.settings.values import CLOCK_SKEW_SECONDS

MAX_DENIED_CALLERS = 50
"""Function Compute allows 4 KB for all variables together (vendor documentation)."""

# A caller's segment (callers.py), or a session name from the log line of a callback.
_CALLER = r"[A-Za-z0-9_-]{1,64}|[~@][a-z2-7]{32}|\.[A-Za-z0-9_-]"
_DENIED = "the operator has shut this caller out (DENIED_CALLERS)"


class CallerDenied(ServiceError):
    """Raised for a caller whom the operator has shut out (DENIED_CALLERS, LOGINS_NOT_BEFORE)."""

    status = 403
    code = "CallerDenied"


class Brakes(NamedTuple):
    """`not_before` is in unix seconds, 0 if it is not set. `denied` has segments (callers.py)."""

    not_before: int
    denied: frozenset[str]


def read_brakes(reader: Reader) -> Brakes:
    """Read DENIED_CALLERS and LOGINS_NOT_BEFORE."""
    not_before = reader.optional(v.LOGINS_NOT_BEFORE, 0)
    shut_out = reader.optional(v.DENIED_CALLERS, None)
    return Brakes(not_before, frozenset(shut_out or ()))


def since(value: str) -> int:
    """Read LOGINS_NOT_BEFORE. Raises Refused for a time in the future or in milliseconds, which
    would stop every login, and for a date of 8 digits, which would stop no login."""
    seconds = whole(value, 1_000_000_000, int(time.time()) + CLOCK_SKEW_SECONDS)
    if seconds is None:
        raise Refused(
            "must be a time in the past, in unix seconds (10 digits, as `date +%s` prints; not "
            "milliseconds)"
        )
    return seconds


def denied(value: str) -> tuple[str, ...]:
    """Read DENIED_CALLERS, a list of segments (callers.py). Raises Refused."""
    found = texts(value)
    if len(found) > MAX_DENIED_CALLERS:
        raise Refused(f"must be at most {MAX_DENIED_CALLERS} callers")
    if not all(re.fullmatch(_CALLER, caller) for caller in found):
        raise Refused(
            "must be callers as the log names them, separated by commas. A name is 1 to 64 "
            "characters (A-Z, a-z, 0-9, '_', '-'); or it is '.' and then one of these characters; "
            "or it begins with '~' or '@', and then has 32 characters (a-z, 2-7)"
        )
    return tuple(caller.replace("@", "~").removeprefix(".") for caller in found)


def apply(caller: Caller, brakes: Brakes) -> None:
    """Let a caller pass, or raise CallerDenied. With LOGINS_NOT_BEFORE, raise ExpiredToken for an
    older login (the app signs in again), and InvalidToken if `iat` is not a number."""
    if caller.segment in brakes.denied:
        raise CallerDenied(_DENIED)
    if not brakes.not_before or caller.login is None:
        return
    if caller.login.issued is None:
        raise InvalidToken(
            "the login is not accepted: its claim iat is missing or not a number, but "
            "LOGINS_NOT_BEFORE needs it"
        )
    if caller.login.issued < brakes.not_before:
        raise ExpiredToken("the login was made before LOGINS_NOT_BEFORE; sign in again")


def apply_to_upload(caller: str, issued: int | None, brakes: Brakes) -> None:
    """Raise CallerDenied if the caller of an upload is shut out. `caller` is the session name in
    the seal. `issued` is when the login was made (unix seconds; None if the seal does not say)."""
    if caller in map(session_name, brakes.denied):
        raise CallerDenied(_DENIED)
    if brakes.not_before and (issued is None or issued < brakes.not_before):
        raise CallerDenied("the upload was granted to a login made before LOGINS_NOT_BEFORE")
