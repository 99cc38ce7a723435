"""Says what is wrong with a refused login, without quoting anything of the login."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from typing import Any

from token_service import base64url
from token_service.errors import ServiceError
from token_service.login.jwt import Jwt
from token_service.login.refusals import ExpiredToken, InvalidToken, MissingToken

_REASONS = {
    "ImmatureSignatureError": "it is not valid yet",
    "InvalidAudienceError": "it is for another audience",
    "InvalidIssuerError": "it is from another issuer",
}
_SIGNED = (
    "it must be a signed JWT (3 parts joined by dots), like most ID tokens. Some providers issue "
    "an access token as a JWT only if the app asks for an audience"
)
# What is wrong with a text that is not a JWT: the message of the first pattern that matches it.
_SHAPES = {
    r"undefined|null|NaN|None|\(null\)|\[object Object\]": "it is a word like undefined or null, "
    "because the app had no login when it asked",
    "(?i)bearer .*": "it has Bearer twice; send it as 'Authorization: Bearer <JWT>'",
    "[\"'].*": "it is in quotes; send it without them",
    ".*,.*": "it has a comma; send one login",
    r"[^.]*(\.[^.]*){4}": f"it is encrypted (a JWE); {_SIGNED}",
    r"(?![^.]*\.[^.]*\.[^.]*$).*": f"it is not a JWT, perhaps an opaque token; {_SIGNED}",
    ".*": "it is malformed",
}
# RFC 7518, 3.1; RFC 8037; RFC 8812; RFC 9864.
_ALGORITHMS = "none|[HREP]S(256|384|512)|ES256K|EdDSA|Ed25519|Ed448"


def of_request(login: str, query: str, most: int) -> ServiceError:
    """Make the error of a login that is missing, too long, or not the same in header and query."""
    differ = query not in ("", login)
    fault = "the header and access_token differ" if differ else f"it exceeds {most} characters"
    return InvalidToken(f"the login is not accepted: {fault}") if login else MissingToken()


def of(error: Exception, jwt: Any, settings: Jwt, login: str, secrets: Any) -> ServiceError:
    """Turn an error of PyJWT (`jwt`) into ours. `secrets` are the bytes of JWT_SECRET, if any."""
    if isinstance(error, jwt.ExpiredSignatureError):
        return ExpiredToken("the login has expired; sign in again")
    reason = _REASONS.get(type(error).__name__, "")
    if isinstance(error, jwt.MissingRequiredClaimError):
        reason = f"it lacks the claim {error.claim}"
        if error.claim == settings.user_claim:
            reason = f"its claim {error.claim} must be non-empty text or an integer, 1 to 2^63-1"
    elif isinstance(error, jwt.InvalidAlgorithmError):
        reason = _algorithm(jwt.get_unverified_header(login).get("alg"), settings)
    elif isinstance(error, jwt.InvalidSignatureError):
        reason = _signature(login, secrets)
    elif "(exp)" in str(error) or type(error) in (TypeError, ValueError, OverflowError):
        reason = "its claims exp and nbf must be numbers, in unix seconds"
    reason = reason or next(_SHAPES[one] for one in _SHAPES if re.fullmatch(one, login, re.DOTALL))
    is_open = isinstance(error, jwt.InvalidAudienceError) and not settings.audience
    hint = "it has an audience (aud), and JWT_AUDIENCE is not set" if is_open else ""
    return InvalidToken(f"the login is not accepted: {reason}", hint)


def _algorithm(given: object, settings: Jwt) -> str:
    accepted = "JWT_SECRET verifies HS256 only; other algorithms need public keys (JWT_JWKS_URL)"
    if settings.keys_file or settings.keys_url:
        accepted = "it must be RS256, ES256 or EdDSA, whichever the type of its key requires"
    is_known = isinstance(given, str) and re.fullmatch(_ALGORITHMS, given)
    named = f", {given}," if is_known else ""
    return f"its algorithm{named} is not accepted: {accepted}"


def _signature(login: str, secrets: Iterable[bytes]) -> str:
    """Detect a login that was signed with the base64-decoded bytes of a secret, as jjwt does. A
    secret that is not all base64 is not tried: it may decode to few bytes, easy to guess."""
    head, _, signature = login.rpartition(".")
    for secret in secrets:
        text = secret.decode("latin-1").translate({43: "-", 47: "_"}).rstrip("=")
        if re.fullmatch("[A-Za-z0-9_-]{32,}", text) and len(text) % 4 != 1:
            made = hmac.digest(base64url.decode(text), head.encode(), "sha256")
            if base64url.encode(made) == signature:
                return (
                    "it was signed with the base64-decoded bytes of JWT_SECRET; the sign-in must "
                    "sign with the text of JWT_SECRET itself"
                )
    return "its signature does not match"
