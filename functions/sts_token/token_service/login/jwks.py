"""The public keys that logins are signed with: a JWKS, bundled or fetched.

Fetched keys are kept for an hour, then fetched again; at an unknown `kid` too, but at most once a
minute (every 5 s while there are none). A fetch that fails changes nothing.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from math import inf
from typing import Any, NamedTuple

from token_service import TOP
from token_service.errors import Misconfiguration, ServiceError
from token_service.http.connection import ConnectionFault
from token_service.http.fetch import fetch
from token_service.login.jwt import Jwt
from token_service.login.refusals import InvalidToken
from token_service.settings.addresses import Url

MAX_AGE_SECONDS = 3600.0
MIN_INTERVAL_SECONDS = 60.0
RETRY_SECONDS = 5.0
MAX_KEYS = 100

Key = Any  # a public key object of the cryptography package

# What a key is for follows from its kind, so no login can choose: an RSA key never verifies HMAC.
_ALGORITHMS = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
_MIN_RSA_BITS = 2048


class KeysUnreachable(ServiceError):
    """Raised while there are no keys to verify logins with: JWT_JWKS_URL does not answer."""

    status = 503
    code = "KeysUnreachable"


class PublicKey(NamedTuple):
    """A key and the one algorithm that it verifies."""

    key: Key
    algorithm: str


class KeySet:
    """The keys of JWT_JWKS_FILE or JWT_JWKS_URL. Thread-safe."""

    def __init__(self, settings: Jwt, clock: Callable[[], float] = time.time) -> None:
        """Read the file. Raises Misconfiguration if there is no usable key in it."""
        # Not monotonic(): that clock may stand still while an instance is frozen.
        self._clock = clock
        self._url = settings.keys_url
        self._lock = threading.Lock()
        self._keys: dict[str, PublicKey] = {}
        self._fetched = self._tried = -inf
        if settings.keys_file:
            self._keys = _read_file(settings.keys_file)

    def warm(self) -> None:
        """Fetch before the first login. Raises KeysUnreachable."""
        if self._url is not None:
            self._refresh(self._url, "")

    def find(self, kid: object) -> PublicKey:
        """Return the key of that id; without an id, the only key there is. Raises InvalidToken for
        an id that is unknown, KeysUnreachable while there are no keys."""
        name = kid if isinstance(kid, str) else ""
        too_old = self._clock() - self._fetched > MAX_AGE_SECONDS
        if self._url is not None and (too_old or self._lookup(name) is None):
            self._refresh(self._url, name)
        found = self._lookup(name)
        if found is None:
            raise InvalidToken("the login is not accepted: its key (kid) is unknown")
        return found

    def _lookup(self, name: str) -> PublicKey | None:
        keys = self._keys
        return next(iter(keys.values())) if not name and len(keys) == 1 else keys.get(name)

    def _refresh(self, url: Url, name: str) -> None:
        with self._lock:
            now = self._clock()
            # Another thread may have done it while this one waited.
            fresh = now - self._fetched <= MAX_AGE_SECONDS
            if fresh and name and self._lookup(name) is not None:
                return
            wait = MIN_INTERVAL_SECONDS if self._keys else RETRY_SECONDS
            fault = ""
            if not 0 <= now - self._tried < wait:
                self._tried = now
                try:
                    self._keys = _parsed(fetch(url, "application/json", inf).decode())
                    self._fetched = now
                except (ConnectionFault, ValueError) as error:
                    fault = f": {error}"
            if not self._keys:
                raise KeysUnreachable(f"the keys of JWT_JWKS_URL cannot be fetched{fault}")


def _read_file(path: str) -> dict[str, PublicKey]:
    try:
        # A bare name lies beside the entry points, which is where a package has it.
        with open(os.path.join(TOP, path), encoding="utf-8") as file:
            return _parsed(file.read())
    except (OSError, ValueError) as error:
        fault = f"cannot be read ({error.strerror})" if isinstance(error, OSError) else str(error)
        raise Misconfiguration("JWT_JWKS_FILE", fault) from None


def _parsed(text: str) -> dict[str, PublicKey]:
    """Read a JWKS; what is no signing key that we know is left out. Raises ValueError."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or len(entries) > MAX_KEYS:
        raise ValueError(f'must be a JWKS: {{"keys": [...]}} with at most {MAX_KEYS} keys')
    keys: dict[str, PublicKey] = {}
    for entry in entries:
        found = _public_key(entry) if isinstance(entry, dict) else None
        if found is None:
            continue
        kid = str(entry.get("kid", ""))
        if kid in keys:
            # The later one would silently take the place of the other.
            raise ValueError("must have a kid of its own for each key")
        keys[kid] = found
    if not keys:
        raise ValueError(
            "has no key for RS256 (2048 bits or more), ES256 or EdDSA whose use is sig, "
            "and whose key_ops, where it has them, hold verify"
        )
    return keys


def _public_key(entry: dict[str, Any]) -> PublicKey | None:
    from jwt import PyJWK, PyJWTError

    kind = entry.get("kty")
    curve = None if kind == "RSA" else entry.get("crv")
    # As text: a stranger's list could not be looked up.
    algorithm = _ALGORITHMS.get((str(kind), None if curve is None else str(curve)))
    if (
        algorithm is None
        or entry.get("alg", algorithm) != algorithm
        or entry.get("use", "sig") != "sig"
        or not _may_verify(entry.get("key_ops"))
        or "d" in entry
    ):
        return None
    try:
        key = PyJWK(entry, algorithm).key
    except (PyJWTError, ValueError, TypeError):
        return None
    if kind == "RSA" and key.key_size < _MIN_RSA_BITS:
        return None
    return PublicKey(key, algorithm)


def _may_verify(key_ops: object) -> bool:
    """RFC 7517, 4.3: a list of what a key is for; without one it may be for anything."""
    return key_ops is None or (isinstance(key_ops, list) and "verify" in key_ops)
