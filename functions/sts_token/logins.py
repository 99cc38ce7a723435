"""Request -> the id of the user whose login (a JWT) it carries, verified by PyJWT.

The algorithm follows from the configuration: HS256 with JWT_SECRET, and with a JWKS what the key
itself is for (jwks.py). A token's own `alg` can only agree or be refused. No message quotes a
login, and none reaches a log.

A login that was verified is known again until it expires, as long as what verified it is still
configured: an app asks often, and a signature takes longer to verify than a kept token to answer.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Mapping
from types import ModuleType
from typing import Any, NamedTuple

from callers import Login
from errors import ExpiredToken, InvalidToken, MissingToken
from jwks import Key, KeySet, PublicKey
from messages import Request
from settings import CLOCK_SKEW_SECONDS, LoginSettings, read_jwt_secrets

MAX_LOGIN_CHARACTERS = 8192
"""A login travels in a header or a URL: servers on the way take no longer ones."""
# What PyJWT lets through, beside its own, where a login's numbers and nestings are hostile.
_LET_THROUGH = (RecursionError, OverflowError, TypeError, ValueError)
_REASONS = {
    "ImmatureSignatureError": "it is not valid yet",
    "InvalidAlgorithmError": "its algorithm is not the configured one",
    "InvalidAudienceError": "it is for another audience",
    "InvalidIssuedAtError": "it was issued in the future",
    "InvalidIssuerError": "it is from another issuer",
    "InvalidSignatureError": "its signature does not match",
    "InvalidSubjectError": "its subject is not text",
}


MAX_KNOWN = 200
"""Logins that are known again, 8 KB each at most; the one verified first goes first."""


class _Known(NamedTuple):
    """A verified login: whose, from when (`iat`) and until when (`exp`, both in unix seconds), and
    by what it was verified."""

    user_id: str
    issued: float | None
    expires: int
    by: tuple[bytes, ...] | PublicKey
    kid: object


class Logins:
    """Verifies logins. Thread-safe."""

    def __init__(self, settings: LoginSettings, env: Mapping[str, str]) -> None:
        """Load the keys of JWT_JWKS_FILE. Raises Misconfiguration."""
        self._settings = settings
        self._env = env
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}
        self._keys = KeySet(settings) if settings.keys_file or settings.keys_url else None
        self._jwt = _import_jwt(with_cryptography=self._keys is not None)

    def warm(self) -> None:
        """Fetch the keys of JWT_JWKS_URL before they are needed. Raises KeysUnreachable."""
        if self._keys is not None:
            self._keys.warm()

    def verified(self, request: Request) -> Login:
        """Return the login of a request, once it is verified.

        Raises MissingToken, InvalidToken, ExpiredToken; KeysUnreachable while there are no keys
        to verify with.
        """
        login = _login(request)
        known = self._known.get(login)
        if known is None or not self._holds(known):
            known = self._verified(login)
            with self._lock:
                self._known[login] = known
                if len(self._known) > MAX_KNOWN:
                    del self._known[next(iter(self._known))]
        return Login(known.user_id, known.issued, known.expires - int(time.time()))

    def _holds(self, known: _Known) -> bool:
        """Whether it would be verified again: in time, by a secret or key that is still there."""
        if time.time() >= known.expires + CLOCK_SKEW_SECONDS:
            return False
        if self._keys is not None:
            return self._keys.find(known.kid) is known.by
        return read_jwt_secrets(self._env) == known.by

    def _verified(self, login: str) -> _Known:
        try:
            claims, by, kid = self._claims(login)
        except self._jwt.ExpiredSignatureError:
            raise ExpiredToken("the login has expired; sign in again") from None
        except (self._jwt.PyJWTError, *_LET_THROUGH) as error:
            raise InvalidToken(f"the login is not accepted: {self._reason(error)}") from None
        user_id = claims.get(self._settings.user_claim)
        if not isinstance(user_id, str) or not user_id:
            raise InvalidToken(
                f"the login is not accepted: its claim {self._settings.user_claim} "
                "must be text that is not empty"
            )
        # PyJWT has made sure that there is one, and that it is a number.
        return _Known(user_id, _number(claims.get("iat")), int(claims["exp"]), by, kid)

    def _reason(self, error: Exception) -> str:
        if isinstance(error, self._jwt.MissingRequiredClaimError):
            return f"it lacks the claim {error.claim}"
        if isinstance(error, self._jwt.InvalidAudienceError) and not self._settings.audience:
            return "it has an audience (aud), and JWT_AUDIENCE names none"
        return _REASONS.get(type(error).__name__, "it is malformed")

    def _claims(self, login: str) -> tuple[dict[str, Any], tuple[bytes, ...] | PublicKey, object]:
        """Verify; return the claims, and by what and which `kid` they were verified."""
        if self._keys is not None:
            kid = self._jwt.get_unverified_header(login).get("kid")
            key = self._keys.find(kid)
            return self._decoded(login, key.key, key.algorithm), key, kid
        secrets = read_jwt_secrets(self._env)
        for secret in secrets[:-1]:
            try:
                return self._decoded(login, secret, "HS256"), secrets, None
            except self._jwt.InvalidSignatureError:
                continue
        return self._decoded(login, secrets[-1], "HS256"), secrets, None

    def _decoded(self, login: str, key: Key | bytes, algorithm: str) -> dict[str, Any]:
        settings = self._settings
        claims: dict[str, Any] = self._jwt.decode(
            login,
            key,
            algorithms=[algorithm],
            audience=settings.audience or None,
            issuer=settings.issuer,
            leeway=CLOCK_SKEW_SECONDS,
            options={"require": ["exp"]},
        )
        # PyJWT lets an empty one pass. RFC 7519, 4.1.3: whoever does not find itself in an `aud`
        # that is present must reject, and without JWT_AUDIENCE we are nobody.
        if not settings.audience and "aud" in claims:
            raise self._jwt.InvalidAudienceError
        return claims


def _number(value: object) -> float | None:
    """A claim's number; None for what is none: PyJWT takes text of digits too."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return value if isinstance(value, float) and math.isfinite(value) else None


def _login(request: Request) -> str:
    """The login of the Authorization header, or of the query: the mobile SDKs send no headers."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    # Another scheme may be the platform's own: a trigger that wants signed requests.
    bearer = credentials.strip() if scheme.lower() == "bearer" else ""
    query = request.query.get("access_token", "")
    if bearer and query and bearer != query:
        raise InvalidToken("the login is not accepted: the header and access_token differ")
    login = bearer or query
    if not login:
        raise MissingToken(
            "no login; send it as 'Authorization: Bearer <JWT>' or as access_token in the query"
        )
    if len(login) > MAX_LOGIN_CHARACTERS:
        raise InvalidToken(
            f"the login is not accepted: it exceeds {MAX_LOGIN_CHARACTERS} characters"
        )
    return login


def _import_jwt(*, with_cryptography: bool) -> ModuleType:
    """Import PyJWT; for HS256 without what only the other algorithms use.

    `cryptography` and the JWKS client are 40 of PyJWT's 50 ms, in a cold start that needs neither.
    Without them PyJWT knows no algorithm but HMAC.
    """
    hidden: dict[str, Any] = {}
    if not with_cryptography and "jwt" not in sys.modules:
        client = ModuleType("jwt.jwks_client")
        client.PyJWKClient = None  # type: ignore[attr-defined]
        hidden["jwt.jwks_client"] = client
        if "cryptography" not in sys.modules:
            hidden["cryptography"] = None
    sys.modules.update(hidden)
    try:
        import jwt
    finally:
        for name in hidden:
            del sys.modules[name]
    return jwt
