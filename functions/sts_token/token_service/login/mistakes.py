"""What is wrong with a login that is refused, in words that name the mistake and quote nothing."""

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
    "a signed JWT is taken, 3 parts joined by dots, as an ID token mostly is; some providers make "
    "the access token one only where the app asks for an audience"
)
# How texts look that are no JWT, the first that fits.
_SHAPES = {
    r"undefined|null|NaN|None|\(null\)|\[object Object\]": "it is a word like undefined or null: "
    "the app had no login when it asked",
    "(?i)bearer .*": "Bearer is there twice; send it as 'Authorization: Bearer <JWT>'",
    "[\"'].*": "it stands in quotes; send it without",
    ".*,.*": "a comma is in it; one login is taken",
    r"[^.]*(\.[^.]*){4}": f"it is encrypted (a JWE); {_SIGNED}",
    r"(?![^.]*\.[^.]*\.[^.]*$).*": f"it is no JWT, an opaque token perhaps; {_SIGNED}",
    ".*": "it is malformed",
}
# RFC 7518, 3.1; RFC 8037; RFC 8812; RFC 9864.
_ALGORITHMS = "none|[HREP]S(256|384|512)|ES256K|EdDSA|Ed25519|Ed448"


def of_request(login: str, query: str, most: int) -> ServiceError:
    """Why a login is not looked at: there is none, or another in the query, or it is too long."""
    differ = query not in ("", login)
    fault = "the header and access_token differ" if differ else f"it exceeds {most} characters"
    return InvalidToken(f"the login is not accepted: {fault}") if login else MissingToken()


def of(error: Exception, jwt: Any, settings: Jwt, login: str, secrets: Any) -> ServiceError:
    """Make ours of what PyJWT (`jwt`) raised; `secrets` are the bytes of JWT_SECRET, if any."""
    if isinstance(error, jwt.ExpiredSignatureError):
        return ExpiredToken("the login has expired; sign in again")
    reason = _REASONS.get(type(error).__name__, "")
    if isinstance(error, jwt.MissingRequiredClaimError):
        reason = f"it lacks the claim {error.claim}"
        if error.claim == settings.user_claim:
            reason = f"its claim {error.claim} must be text, not empty, or an integer, 1 to 2^63-1"
    elif isinstance(error, jwt.InvalidAlgorithmError):
        reason = _algorithm(jwt.get_unverified_header(login).get("alg"), settings)
    elif isinstance(error, jwt.InvalidSignatureError):
        reason = _signature(login, secrets)
    elif "(exp)" in str(error) or type(error) in (TypeError, ValueError, OverflowError):
        reason = "its claims exp and nbf must be numbers, in unix seconds"
    reason = reason or next(_SHAPES[one] for one in _SHAPES if re.fullmatch(one, login, re.DOTALL))
    is_open = isinstance(error, jwt.InvalidAudienceError) and not settings.audience
    hint = "it has an audience (aud), and JWT_AUDIENCE names none" if is_open else ""
    return InvalidToken(f"the login is not accepted: {reason}", hint)


def _algorithm(given: object, settings: Jwt) -> str:
    accepted = "HS256, by JWT_SECRET; others need public keys (JWT_JWKS_URL)"
    if settings.keys_file or settings.keys_url:
        accepted = "RS256, ES256 or EdDSA, as its key says"
    is_known = isinstance(given, str) and re.fullmatch(_ALGORITHMS, given)
    named = f", {given}," if is_known else ""
    return f"its algorithm{named} is not the configured one; accepted is {accepted}"


def _signature(login: str, secrets: Iterable[bytes]) -> str:
    """Say so where what a secret is in base64 has signed, as jjwt takes it. Only who has the secret
    learns of it: all of it must be base64, so that what it decodes to cannot be guessed either."""
    head, _, signature = login.rpartition(".")
    for secret in secrets:
        text = secret.decode("latin-1").translate({43: "-", 47: "_"}).rstrip("=")
        if re.fullmatch("[A-Za-z0-9_-]{32,}", text) and len(text) % 4 != 1:
            made = hmac.digest(base64url.decode(text), head.encode(), "sha256")
            if base64url.encode(made) == signature:
                return (
                    "its signature does not match the text of JWT_SECRET, but the bytes that this "
                    "is in base64; the sign-in has to sign with the text as it is"
                )
    return "its signature does not match"
