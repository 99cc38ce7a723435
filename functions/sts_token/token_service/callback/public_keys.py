"""The public keys that verify OSS's callbacks, and where they may come from.

OSS names the URL of its key in each callback. This URL cannot be trusted before the signature is
verified, so keys are fetched only from the vendor's one host, by https. A copy of the vendor's key
is bundled and tried first. If no known key fits, the URL is fetched, at most once a minute (every
5 s if the URL gave no keys). All fetches are at least 5 s apart. A failed fetch changes nothing.
"""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from typing import NamedTuple

from token_service.callback.rsa_md5 import PublicKey, read_pem, verifies_md5
from token_service.callback.seals import CallbackRefused
from token_service.http.connection import ConnectionFault
from token_service.http.fetch import fetch
from token_service.settings.addresses import Url
from token_service.settings.values import Endpoint

HOST = "gosspublic.alicdn.com"  # where OSS publishes its keys (vendor documentation)
BUNDLED = """\
-----BEGIN PUBLIC KEY-----
MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKs/JBGzwUB2aVht4crBx3oIPBLNsjGs
C0fTXv+nvlmklvkcolvpvXLTjaxUHR3W9LXxQ2EHXAJfCB+6H2YF1k8CAwEAAQ==
-----END PUBLIC KEY-----
"""
"""OSS's key, which verifies the sample of the vendor's documentation. It is not verified on the
real OSS that OSS signs with this key (assumption 19). If a callback names another key, that key is
fetched."""

MIN_INTERVAL_SECONDS = 60.0  # between two fetches of a URL that has given keys; our choice
RETRY_SECONDS = 5.0  # between two fetches of a URL without keys, or of any URLs; our choice
MAX_URLS = 8
"""The size of the cache. URLs without keys are evicted first, then the least recently used."""
MAX_PEM_BYTES = 16 * 1024  # of one answer; our choice. A key of 4,096 bits takes 800 bytes

_PATH = r"/[A-Za-z0-9._/-]{1,200}"


class _Fetched(NamedTuple):
    keys: tuple[PublicKey, ...]
    # Unix seconds of the last try to fetch the keys.
    tried: float


class OssKeys:
    """Verifies signatures of OSS. Thread-safe."""

    def __init__(self, own_url: Url | None) -> None:
        """With `own_url` (of a sandbox), keys come only from this URL."""
        self._own_url = own_url
        self._bundled = () if own_url else read_pem(BUNDLED)
        self._lock, self._fetching = threading.Lock(), threading.Lock()
        self._fetched: OrderedDict[Url, _Fetched] = OrderedDict()
        # The last fetch from any URL. So a client that names many URLs does not cause many fetches.
        self._tried = 0.0

    def verify(self, key_url: str, signature: bytes, texts: tuple[bytes, ...], end: float) -> None:
        """Accept a signature if a key of `key_url` made it for one of the texts. `key_url` is as
        OSS sent it. If a fetch is needed, it ends before `end`, a time.monotonic() value. Raises
        CallbackRefused."""
        url = self._accepted(key_url)
        if _any_verifies((*self._known(url), *self._bundled), signature, texts):
            return
        # Requests that arrive during a fetch wait for it, and use its keys too.
        if self._fetching.acquire(timeout=max(0.0, end - time.monotonic())):
            try:
                if self._may_fetch(url):
                    self._fetch(url, end)
            finally:
                self._fetching.release()
        if _any_verifies(self._known(url), signature, texts):
            return
        if not self._known(url):
            raise CallbackRefused("the signature matches no known key; a new key cannot be fetched")
        raise CallbackRefused("the signature does not match")

    def _accepted(self, key_url: str) -> Url:
        """Return the URL to fetch. This URL is https, even if OSS names an http URL."""
        if self._own_url is not None:
            if key_url != str(self._own_url):
                raise CallbackRefused("the public key's URL is not CALLBACK_PUBLIC_KEY_URL")
            return self._own_url
        # The whole URL must match: a user name, a port, a capital letter or a final dot is refused.
        form = re.fullmatch(rf"https?://{re.escape(HOST)}({_PATH})", key_url)
        if form is None:
            raise CallbackRefused(f"the public key's URL is not on {HOST}")
        return Url(Endpoint("https", HOST, 443), form[1])

    def _known(self, url: Url) -> tuple[PublicKey, ...]:
        with self._lock:
            found = self._fetched.get(url)
            return found.keys if found else ()

    def _may_fetch(self, url: Url) -> bool:
        """Whether to fetch now. True is recorded as a fetch."""
        # monotonic() is not used, because it may stop while an instance is frozen.
        now = time.time()
        with self._lock:
            found = self._fetched.pop(url, _Fetched((), 0.0))
            wait = MIN_INTERVAL_SECONDS if found.keys else RETRY_SECONDS
            may = not 0 <= now - found.tried < wait and not 0 <= now - self._tried < RETRY_SECONDS
            if may:
                self._tried = now
            self._fetched[url] = _Fetched(found.keys, now if may else found.tried)
            while len(self._fetched) > MAX_URLS:
                # Evict an entry without keys if there is one, so that useful entries stay.
                others = {k: entry for k, entry in self._fetched.items() if k != url}
                empty = (known for known, entry in others.items() if not entry.keys)
                del self._fetched[next(empty, next(iter(others)))]
        return may

    def _fetch(self, url: Url, end: float) -> None:
        """Fetch once; a failure changes nothing."""
        try:
            keys = read_pem(fetch(url, "*/*", end, MAX_PEM_BYTES).decode("ascii"))
        except (ConnectionFault, ValueError):
            return
        with self._lock:
            found = self._fetched.get(url)
            if found is not None:
                self._fetched[url] = found._replace(keys=keys)


def _any_verifies(keys: tuple[PublicKey, ...], signature: bytes, texts: tuple[bytes, ...]) -> bool:
    return any(verifies_md5(key, signature, text) for key in keys for text in texts)
