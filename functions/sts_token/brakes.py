"""Two brakes that an operator pulls after an incident: DENIED_CALLERS and LOGINS_NOT_BEFORE.

They are applied to each request, after its login is verified and before any cache is asked, and
to each callback, whose seal says whose upload it is and when that caller's login was made.
"""

from __future__ import annotations

from callers import Caller, session_name
from errors import CallerDenied, ExpiredToken, InvalidToken
from settings import LoginSettings

_DENIED = "the operator has shut this caller out (DENIED_CALLERS)"


def apply(caller: Caller, settings: LoginSettings) -> None:
    """Let a caller pass, or raise.

    Raises CallerDenied; ExpiredToken for a login made before LOGINS_NOT_BEFORE, which a new
    sign-in mends; InvalidToken for one that does not say when it was made while that is set.
    """
    if caller.segment in settings.denied:
        raise CallerDenied(_DENIED)
    if not settings.not_before or caller.login is None:
        return
    if caller.login.issued is None:
        raise InvalidToken(
            "the login is not accepted: it has no number in its claim iat, and LOGINS_NOT_BEFORE "
            "is set"
        )
    if caller.login.issued < settings.not_before:
        raise ExpiredToken("the login was made before LOGINS_NOT_BEFORE; sign in again")


def apply_to_upload(caller: str, issued: int | None, settings: LoginSettings) -> None:
    """Let an upload pass by its seal: the caller's session name, and when the login was made (unix
    seconds; None where the seal does not say). Raises CallerDenied."""
    if caller in map(session_name, settings.denied):
        raise CallerDenied(_DENIED)
    if settings.not_before and (issued is None or issued < settings.not_before):
        raise CallerDenied("the upload was granted to a login made before LOGINS_NOT_BEFORE")
