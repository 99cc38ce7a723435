"""TLS with the same trust as ssl.create_default_context(). That function needs 25 ms of CPU for a
whole bundle (144 certificates), a quarter of a cold start. In a folder with hashed names
(SSL_CERT_DIR, or OpenSSL's own) OpenSSL looks up only the issuer, in 1 ms."""

from __future__ import annotations

import os
import ssl


class Tls:
    """`context` trusts only the CAs of a folder with hashed names, if there is one. If the folder
    lacks the CA of a server, `context` becomes the default context. Thread-safe."""

    def __init__(self) -> None:
        folder = ssl.get_default_verify_paths().capath
        names = os.listdir(folder) if folder and os.access(folder, os.R_OK) else ()
        self._has_more = any(name.endswith(".0") for name in names)
        self.context = ssl.create_default_context(capath=folder if self._has_more else None)

    def widened(self, failed: ssl.SSLContext | None, error: OSError) -> bool:
        """Whether to try again with `context`. The try with context `failed` raised `error`. The
        first time that a server is not trusted, `context` becomes the default context."""
        is_untrusted = isinstance(error, ssl.SSLCertVerificationError)
        if is_untrusted and self._has_more:
            self.context, self._has_more = ssl.create_default_context(), False
        return is_untrusted and self.context is not failed
