"""TLS that trusts what ssl.create_default_context() trusts. That reads all of a bundle, 25 ms CPU
for 144 certificates: a quarter of a cold start. In a folder of hashed names (SSL_CERT_DIR, or
OpenSSL's own) the issuer alone is looked up: 1 ms."""

from __future__ import annotations

import os
import ssl


class Tls:
    """`context` verifies by the folder alone, where there is one with hashed names, until that is
    not enough; then as the default does. Thread-safe."""

    def __init__(self) -> None:
        folder = ssl.get_default_verify_paths().capath
        names = os.listdir(folder) if folder and os.access(folder, os.R_OK) else ()
        self._has_more = any(name.endswith(".0") for name in names)
        self.context = ssl.create_default_context(capath=folder if self._has_more else None)

    def widened(self, failed: ssl.SSLContext | None, error: OSError) -> bool:
        """Whether `context` may trust what `failed`, an earlier value of it, did not for this
        `error`: where that was the folder alone, it is the default from now on."""
        is_untrusted = isinstance(error, ssl.SSLCertVerificationError)
        if is_untrusted and self._has_more:
            self.context, self._has_more = ssl.create_default_context(), False
        return is_untrusted and self.context is not failed
