"""The public keys that verify logins, from a JWKS that is bundled or fetched.

Fetched keys are cached for an hour. If a login names an unknown key or has a wrong signature, the
keys are fetched earlier. There is at most one fetch a minute (every 5 s while there are no keys). A
failed fetch changes nothing, and is logged. key_entries.py says which keys of a JWKS are used.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import inf
from typing import Any

from token_service import TOP
from token_service.errors import Misconfiguration, ServiceError
from token_service.http.connection import ConnectionFault
from token_service.http.fetch import fetch
from token_service.login.jwt import Jwt
from token_service.login.key_entries import Keys, PublicKey, read
from token_service.login.refusals import InvalidToken
from token_service.request_log import log
from token_service.settings.addresses import Url

MAX_AGE_SECONDS = 3600.0  # then the keys are fetched again; our choice
MIN_INTERVAL_SECONDS = 60.0  # between two fetches, while there are keys; our choice
RETRY_SECONDS = 5.0  # between two fetches, while there are no keys; our choice
MAX_SAID = 20
"""The maximum number of unused entries of one JWKS that are logged one by one."""


class KeysUnreachable(ServiceError):
    """Raised while there are no keys to verify logins, because JWT_JWKS_URL does not answer."""

    status = 503
    code = "KeysUnreachable"


class KeySet:
    """The keys of JWT_JWKS_FILE or JWT_JWKS_URL. Thread-safe."""

    def __init__(self, settings: Jwt, clock: Callable[[], float] = time.time) -> None:
        """Read the file, if one is set. Raises Misconfiguration if the file has no usable key."""
        # monotonic() is not used, because it may stop while an instance is frozen.
        self._clock = clock
        self._url = settings.keys_url
        self._lock = threading.Lock()
        self._keys: Keys = {}
        # The entries of the last JWKS that were left out. They are not logged again.
        self._said: set[tuple[str | int, str]] = set()
        self._fetched = self._tried = -inf
        if settings.keys_file:
            self._take_file(settings.keys_file)

    def warm(self) -> None:
        """Fetch the keys before the first login. Raises KeysUnreachable."""
        if self._url is not None:
            self._refresh(self._url)

    @staticmethod
    def name(header: Mapping[str, Any]) -> tuple[str, str]:
        """Return `kid` and `alg` of a login's header, each "" if it is not text."""
        kid, alg = header.get("kid"), header.get("alg")
        return kid if isinstance(kid, str) else "", alg if isinstance(alg, str) else ""

    def find(self, name: tuple[str, str]) -> PublicKey:
        """Return the key with this name (kid and alg). The alg of a login only selects one of
        several keys with the same kid. A key verifies only its own algorithm. Raises InvalidToken
        if there is no such key, and KeysUnreachable while there are no keys at all."""
        if self._url is not None and (
            name not in self._keys or self._clock() - self._fetched > MAX_AGE_SECONDS
        ):
            self._refresh(self._url, name)
        keys = self._keys
        found = keys.get(name)
        if found is not None:
            return found
        if not name[0] and any(algorithm == name[1] for _, algorithm in keys):
            raise InvalidToken("the login is not accepted: it has no kid, and several keys match")
        for kid, algorithm in keys:
            if kid == name[0]:
                # This key has the login's kid, but another algorithm, so PyJWT refuses the login.
                return keys[kid, algorithm]
        raise InvalidToken("the login is not accepted: its key (kid) is unknown")

    def candidates(self, name: tuple[str, str]) -> tuple[PublicKey, Iterable[PublicKey]]:
        """Return the key with this name, and the keys to try: first this key, then the key that has
        this name after a new fetch. A kid may be missing, or be used again for another key. Raises
        the errors of `find`."""
        found = self.find(name)
        return found, (found,) if self._url is None else self._and_newer(self._url, found, name)

    def _and_newer(self, url: Url, found: PublicKey, name: tuple[str, str]) -> Iterator[PublicKey]:
        yield found
        self._refresh(url)
        yield self._keys.get(name, found)

    def _refresh(self, url: Url, name: tuple[str, str] | None = None) -> None:
        with self._lock:
            now = self._clock()
            # Another thread may have fetched the keys while this one waited.
            if now - self._fetched <= MAX_AGE_SECONDS and name in self._keys:
                return
            wait = MIN_INTERVAL_SECONDS if self._keys else RETRY_SECONDS
            fault = ""
            if not 0 <= now - self._tried < wait:
                self._tried = now
                try:
                    self._take(fetch(url, "application/json", inf), "JWT_JWKS_URL")
                    self._fetched = now
                except (ConnectionFault, ValueError) as error:
                    fault = f": {error}"
                    kept = "the old keys stay in use" if self._keys else "there are no keys yet"
                    log.warning("the keys of JWT_JWKS_URL cannot be fetched%s; %s", fault, kept)
            if not self._keys:
                raise KeysUnreachable(f"the keys of JWT_JWKS_URL cannot be fetched{fault}")

    def _take_file(self, path: str) -> None:
        try:
            # A relative path is relative to the folder of index.py, where the package has the file.
            with open(os.path.join(TOP, path), "rb") as file:
                self._take(file.read(), "JWT_JWKS_FILE")
        except OSError as error:
            fault = f"cannot be read ({error.strerror})"
            raise Misconfiguration("JWT_JWKS_FILE", fault) from None
        except ValueError as error:
            raise Misconfiguration("JWT_JWKS_FILE", str(error)) from None

    def _take(self, document: bytes, source: str) -> None:
        """Keep usable keys, and log other entries once. Raises ValueError if no key is usable."""
        keys, left_out = read(document)
        news = [one for one in left_out if (one.kid or one.place, one.reason) not in self._said]
        for one in news[:MAX_SAID]:
            log.warning("%s: %s", source, one)
        if len(news) > MAX_SAID:
            log.warning("%s: %d more entries are left out", source, len(news) - MAX_SAID)
        self._said = {(one.kid or one.place, one.reason) for one in left_out}
        if not keys:
            raise ValueError(
                "has no usable key. A usable key is for RS256 (2048 bits or more), ES256 or EdDSA. "
                "If use is given, it must be sig. If key_ops is given, it must include verify"
            )
        self._keys = keys
