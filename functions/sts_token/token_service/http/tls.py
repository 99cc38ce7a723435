"""TLS that trusts what ssl.create_default_context() trusts, and reads what it needs of that.

Of a bundle OpenSSL reads all certificates at once: 25 ms CPU for 144 of them, a quarter of a cold
start. In a folder of hashed names (SSL_CERT_DIR, or OpenSSL's own) it looks the issuer up: 1 ms.
"""

from __future__ import annotations

import os
import ssl
from contextlib import suppress


class Tls:
    """`context` verifies by the folder alone, where there is one with hashed names, until that is
    not enough; then as the default does. Thread-safe."""

    def __init__(self) -> None:
        folder = _hashed()
        self._is_whole = folder is None
        # Of its own accord it loads the rest, the bundle, only where it is given no folder.
        self.context = ssl.create_default_context(capath=folder)

    def widened(self, failed: ssl.SSLContext) -> bool:
        """Whether `context` may trust what `failed`, an earlier value of it, did not: where that
        was the folder alone, it is the default from now on."""
        if not self._is_whole:
            self.context, self._is_whole = ssl.create_default_context(), True
        return self.context is not failed


def _hashed() -> str | None:
    folder = ssl.get_default_verify_paths().capath
    with suppress(OSError):
        if folder and any(name.endswith(".0") for name in os.listdir(folder)):
            return folder
    return None
