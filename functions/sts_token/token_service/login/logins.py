"""Verifies the login (a JWT) that a request carries, with PyJWT.

With JWT_SECRET the algorithm is HS256. With a JWKS, the key decides the algorithm (key_entries.py).
A login with another `alg` is refused. No message quotes a login. Verified logins are cached
until they expire, or until their secret or key is removed.
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
"""A login is sent in a header or a URL, and servers on the way refuse longer headers and URLs."""
MAX_CACHED = 200
"""The maximum number of cached logins (at most 8 KB each). The oldest is evicted first."""
# An unused claim must not make a login fail. By default PyJWT refuses a null `nbf` or `iat`, and a
# `sub` or `jti` that is not text. RFC 7519 (4.1.2, 4.1.7) leaves the last two to the application.
_UNUSED = dict.fromkeys(("verify_sub", "verify_jti", "verify_nbf", "verify_iat"), False)
_CHECKS = {"leeway": CLOCK_SKEW_SECONDS, "options": {"require": ["exp"], **_UNUSED}}
# PyJWT also raises these errors of Python, for hostile numbers and deep nesting.
_LET_THROUGH = (RecursionError, OverflowError, TypeError, ValueError)


class _Verified(NamedTuple):
    """A verified login. `by`: the key or secrets that verified it. `key_name`: its kid and alg."""

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
        # This must be the first import of PyJWT, because it decides which modules PyJWT loads.
        self._jwt = _import_jwt(with_cryptography=has_keys)
        if has_keys:
            from token_service.login.jwks import KeySet

            self._keys = KeySet(settings)
        # JWT_SECRET as it was read last, and the secrets in it.
        self._secrets: tuple[str | None, object, list[tuple[Any, str]]] = (None, (), [])

    def warm(self) -> None:
        """Fetch the keys of JWT_JWKS_URL before they are needed. Raises KeysUnreachable."""
        if self._keys is not None:
            self._keys.warm()

    def caller(self, request: Request) -> Caller:
        """Return the caller that a request's login names. Raises the errors of `verified`."""
        found = self.verified(request)
        left = found.expires - int(time.time())
        return found.caller._replace(login=Login(found.user_id, found.issued, left))

    def verified(self, request: Request) -> _Verified:
        """Return the verified login of a request. Raises MissingToken, InvalidToken, ExpiredToken;
        KeysUnreachable while there are no keys."""
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
        """Whether a cached login has not expired, and its secret or key is still in use."""
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
        # Keep the key that verified the login. The first key that was tried may be an old key.
        by = by if self._keys is None else key
        # PyJWT has checked that exp is present and is a number or a text of digits.
        return _Verified(user_id, named(user_id), issued, int(claims["exp"]), by, name)

    def _candidates(self, name: Any) -> tuple[object, Iterable[tuple[Any, str]]]:
        """Return the key or secrets (for `by`), and the pairs of key and algorithm to try."""
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
            # During a rotation, another secret or key may have signed the login: try the next.
            with suppress(StopIteration):
                return self._decoded(login, candidates)
            raise
        # By RFC 7519, 4.1.3, we must reject a login whose `aud` does not name us, also an empty
        # `aud`, which PyJWT accepts. Without JWT_AUDIENCE no `aud` can name us: reject each `aud`.
        if audience is None and "aud" in claims:
            raise self._jwt.InvalidAudienceError
        return claims, found

    def _told(self, claims: dict[str, Any]) -> tuple[str, float | None]:
        """Return the user id, and `iat` if it is a number. Raise for a future `iat` or `nbf`."""
        user_id, issued = claims.get(self._settings.user_claim), claims.get("iat")
        # An integer is read as decimal text, so 12 and "12" are one user. True and 1.0 are not ids.
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
    """Return the login from the Authorization header or the query, where mobile SDKs send it."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    # If the trigger checks signatures, this header has the platform's scheme, which we ignore.
    bearer = credentials.strip() if scheme.lower() == "bearer" else ""
    query = request.query.get("access_token", "")
    login = bearer or query
    if not login or query not in ("", login) or len(login) > MAX_LOGIN_CHARACTERS:
        from token_service.login import mistakes

        raise mistakes.of_request(login, query, MAX_LOGIN_CHARACTERS)
    return login


def _import_jwt(*, with_cryptography: bool) -> ModuleType:
    """Import PyJWT without unused modules, because these would take half of a cold start. HS256
    does not need `cryptography`; without it PyJWT knows only HMAC. A JWKS has keys as numbers, so
    it needs no code for certificates and SSH keys."""
    x509, ssh = "cryptography.x509", "cryptography.hazmat.primitives.serialization.ssh"
    names = ("jwt.jwks_client", "typing_extensions", x509, ssh)
    unused: dict[str, Any] = {name: {"__getattr__": lambda _: None} for name in names}
    if not with_cryptography:
        unused["cryptography"] = None
    with stand_ins({} if "jwt" in sys.modules else unused):
        import jwt
    return jwt
