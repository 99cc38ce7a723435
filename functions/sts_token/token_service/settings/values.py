"""Types of the settings, and limits of the cloud that several rooms use."""

from __future__ import annotations

from typing import NamedTuple

MIN_SESSION_SECONDS, MAX_SESSION_SECONDS = 900, 43200
"""STS's limits (vendor documentation of AssumeRole, DurationSeconds); a role may allow less."""
MAX_SIGNATURE_SECONDS, MAX_OBJECT_BYTES = 604800, 5 * 1024**3
"""OSS's limits on a V4 signature and on an upload in one request (vendor documentation)."""
ROUTE_WORDS = ("token", "signed-url", "form", "multipart", "uploads")
"""The words of ENABLED_ROUTES. /callback (for OSS) and /health (for the operator) stay open."""
CLOCK_SKEW_SECONDS = 30
"""Allowed clock skew between two machines. Our own choice."""
DEFAULT_PORTS = {"https": 443, "http": 80}  # RFC 9110, section 4.2


class Endpoint(NamedTuple):
    """Where a service answers: scheme (https, or http where allowed), host and TCP port."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """The Host header, with the port unless it is the scheme's default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


class AccessKey(NamedTuple):
    """The function's own credentials; `security_token` is set if they are temporary."""

    access_key_id: str
    access_key_secret: str
    security_token: str | None

    def __repr__(self) -> str:
        return "AccessKey(***)"


def is_plain(text: str) -> bool:
    """Whether a text is printable ASCII without spaces, as all credentials are. The SDKs put
    credentials into headers."""
    return text.isascii() and text.isprintable() and " " not in text
