"""What the settings are made of, and the cloud's own numbers that more than one room needs."""

from __future__ import annotations

from typing import NamedTuple

MIN_SESSION_SECONDS, MAX_SESSION_SECONDS = 900, 43200
"""STS's (vendor documentation of AssumeRole, DurationSeconds), where the role allows that much."""
MAX_SIGNATURE_SECONDS, MAX_OBJECT_BYTES = 604800, 5 * 1024**3
"""OSS's, of signature V4 and of an upload in one piece (vendor documentation)."""
ROUTE_WORDS = ("token", "signed-url", "form", "multipart", "uploads")
"""What ENABLED_ROUTES may say. OSS asks /callback and the operator /health: these stay open."""
CLOCK_SKEW_SECONDS = 30
"""How far the clocks of two machines may be apart. Ours to choose."""
DEFAULT_PORTS = {"https": 443, "http": 80}


class Endpoint(NamedTuple):
    """Where a service answers: scheme (https, or http where allowed), host and TCP port."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """The Host header: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


class AccessKey(NamedTuple):
    """The function's own credentials; `security_token` is there when they are temporary."""

    access_key_id: str
    access_key_secret: str
    security_token: str | None

    def __repr__(self) -> str:
        return "AccessKey(***)"


def is_plain(text: str) -> bool:
    """Whether it is printable ASCII without spaces: what the SDKs can put into a header, and all
    that a credential has."""
    return text.isascii() and text.isprintable() and " " not in text
