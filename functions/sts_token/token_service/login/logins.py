"""Request -> the login (a JWT) that it carries, verified by PyJWT.

The algorithm follows from the configuration: HS256 with JWT_SECRET, and with a JWKS what the key
itself is for (jwks.py). A token's own `alg` can only agree or be refused. No message quotes it.
Verified logins are cached until they expire, or what verified them is no longer configured.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from token_service.http.messages import Request
from token_service.imports import stand_ins
from token_service.login.callers import Caller, Login, named
from token_service.login.jwt import Jwt
from token_service.settings.parsing import Reader
from token_service.settings.values import CLOCK_SKEW_SECONDS
from token_service.settings.variables import JWT_SECRET

if TYPE_CHECKING:
    from token_service.login.jwks import KeySet

MAX_LOGIN_CHARACTERS = 8192
"""A login travels in a header or a URL: servers on the way take no longer ones."""
MAX_CACHED = 200
"""Verified logins, 8 KB each at most; the one verified first is evicted first."""
# A claim that we do not use decides nothing: PyJWT refuses a `sub` or `jti` that is no text, which
# RFC 7519 (4.1.2, 4.1.7) leaves to who reads it, and a `nbf` or `iat` that is null.
_UNUSED = dict.fromkeys(("verify_sub", "verify_jti", "verify_nbf", "verify_iat"), False)
_CHECKS = {"leeway": CLOCK_SKEW_SECONDS, "options": {"require": ["exp"], **_UNUSED}}
# What PyJWT lets through, beside its own, where a login's numbers and nestings are hostile.
_LET_THROUGH = (RecursionError, OverflowError, TypeError, ValueError)


class _Verified(NamedTuple):
    """Whose login, from and until when (`iat`, `exp`), by what verified, and which key it names."""

    user_id: str
    caller: Caller
    issued: float | None
    expires: int
    by: object
    key_name: Any


class Logins:
    """Verifies logins. Thread-safe."""

    def __init__(self, settings: Jwt, env: Mapping[str, str]) -> None:
        """Load the keys of JWT_JWKS_FILE. Raises Misconfiguration."""
        self._settings, self._env = settings, env
        self._lock = threading.Lock()
        self._cache: dict[str, _Verified] = {}
        self._keys: KeySet | None = None
        has_keys = bool(settings.keys_file or settings.keys_url)
        # First: it decides what is loaded.
        self._jwt = _import_jwt(with_cryptography=has_keys)
        if has_keys:
            from token_service.login.jwks import KeySet

            self._keys = KeySet(settings)
        # JWT_SECRET as it was read last, and what it was read as.
        self._secrets: tuple[str | None, object, list[tuple[Any, str]]] = (None, (), [])

    def warm(self) -> None:
        """Fetch the keys of JWT_JWKS_URL before they are needed. Raises KeysUnreachable."""
        if self._keys is not None:
            self._keys.warm()

    def caller(self, request: Request) -> Caller:
        """Return who a request's login names. Raises what `verified` raises."""
        found = self.verified(request)
        left = found.expires - int(time.time())
        return found.caller._replace(login=Login(found.user_id, found.issued, left))

    def verified(self, request: Request) -> _Verified:
        """Return the login of a request, once it is verified. Raises MissingToken, InvalidToken,
        ExpiredToken; KeysUnreachable while there are no keys to verify with."""
        login = _login(request)
        found = self._cache.get(login)
        if found is None or not self._holds(found):
            found = self._verify(login)
            with self._lock:
                self._cache[login] = found
                if len(self._cache) > MAX_CACHED:
                    del self._cache[next(iter(self._cache))]
        return found

    def _holds(self, login: _Verified) -> bool:
        """Whether it would be verified again: in time, by a secret or key that is still there."""
        is_over = time.time() >= login.expires + CLOCK_SKEW_SECONDS
        return not is_over and self._candidates(login.key_name)[0] == login.by

    def _verify(self, login: str) -> _Verified:
        try:
            name = self._keys and self._keys.name(self._jwt.get_unverified_header(login))
            by, candidates = self._candidates(name)
            claims, key = self._decoded(login, iter(candidates))
            user_id, issued = self._told(claims)
        except (self._jwt.PyJWTError, *_LET_THROUGH) as error:
            from token_service.login import mistakes

            raise mistakes.of(error, self._jwt, self._settings, login, self._secrets[1]) from None
        if self._settings.required is not None:
            self._settings.required.check(claims)
        # Not the key that was found first: it may have been replaced, and come back.
        by = by if self._keys is None else key
        # PyJWT has made sure that exp is there, and a number or text of digits.
        return _Verified(user_id, named(user_id), issued, int(claims["exp"]), by, name)

    def _candidates(self, name: Any) -> tuple[object, Iterable[tuple[Any, str]]]:
        """By what a login may be verified: that itself, and each key with its one algorithm."""
        if self._keys is not None:
            return self._keys.candidates(name)
        text = self._env.get(JWT_SECRET.name)
        if text is None or text != self._secrets[0]:
            secrets = Reader(self._env).read(JWT_SECRET)
            self._secrets = text, secrets, [(secret, "HS256") for secret in secrets]
        return self._secrets[1:]

    def _decoded(self, login: str, candidates: Iterator[tuple[Any, str]]) -> tuple[Any, object]:
        key, alg = found = next(candidates)
        audience, iss = self._settings.audience or None, self._settings.issuer
        try:
            claims = self._jwt.decode(login, key, [alg], audience=audience, issuer=iss, **_CHECKS)
        except self._jwt.InvalidSignatureError:
            # While a secret or a key is rotated, the next one may have signed.
            with suppress(StopIteration):
                return self._decoded(login, candidates)
            raise
        # PyJWT lets an empty one pass. RFC 7519, 4.1.3: whoever does not find itself in an `aud`
        # that is present must reject, and without JWT_AUDIENCE we are nobody.
        if audience is None and "aud" in claims:
            raise self._jwt.InvalidAudienceError
        return claims, found

    def _told(self, claims: dict[str, Any]) -> tuple[str, float | None]:
        """The user's id, and `iat` where that is a number; neither it nor `nbf` is to come."""
        user_id, issued = claims.get(self._settings.user_claim), claims.get("iat")
        # An integer is its decimal text: 12 and "12" are one user. True, 1.0 and 1e3 are no id.
        if type(user_id) is int and 0 < user_id < 2**63:
            user_id = str(user_id)
        if not isinstance(user_id, str) or not user_id:
            raise self._jwt.MissingRequiredClaimError(self._settings.user_claim)
        issued = issued if type(issued) in (int, float) else None
        for seconds in (claims.get("nbf"), issued):
            if seconds is not None and int(seconds) > time.time() + CLOCK_SKEW_SECONDS:
                raise self._jwt.ImmatureSignatureError
        return user_id, issued


def _login(request: Request) -> str:
    """The login of the Authorization header, or of the query: the mobile SDKs send no headers."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    # Another scheme may be the platform's own: a trigger that wants signed requests.
    bearer = credentials.strip() if scheme.lower() == "bearer" else ""
    query = request.query.get("access_token", "")
    login = bearer or query
    if not login or query not in ("", login) or len(login) > MAX_LOGIN_CHARACTERS:
        from token_service.login import mistakes

        raise mistakes.of_request(login, query, MAX_LOGIN_CHARACTERS)
    return login


def _import_jwt(*, with_cryptography: bool) -> ModuleType:
    """Import PyJWT without what no login uses here, half of a cold start: for HS256 `cryptography`
    (without it PyJWT knows no algorithm but HMAC), and for a JWKS, whose keys come as numbers, its
    certificates and SSH keys."""
    x509, ssh = "cryptography.x509", "cryptography.hazmat.primitives.serialization.ssh"
    names = ("jwt.jwks_client", "typing_extensions", x509, ssh)
    unused: dict[str, Any] = {name: {"__getattr__": lambda _: None} for name in names}
    if not with_cryptography:
        unused["cryptography"] = None
    with stand_ins({} if "jwt" in sys.modules else unused):
        import jwt
    return jwt
