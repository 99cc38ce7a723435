"""Parsers of endpoints and URLs. Most deployments set no endpoint and use the region's own."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from token_service.settings.parsing import Refused
from token_service.settings.values import DEFAULT_PORTS, Endpoint

_HOST = r"(?!.*\.\.)[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[::1\]"
# Only numeric addresses match. "127.evil.example" and "10.0.0.1.evil.example" are host names.
_BYTE = r"\.(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
LOOPBACK = rf"localhost|127(?:{_BYTE}){{3}}|::1"
LOCAL_ADDRESS = rf"{LOOPBACK}|(?:10{_BYTE}|192\.168|172\.(?:1[6-9]|2\d|3[01]))(?:{_BYTE}){{2}}"
LOCAL = rf"{LOCAL_ADDRESS}|(?:[a-z0-9-]+\.)+localhost"
_ENDPOINT = "must be a host name or https://host[:port], without path or user"
_URL = "must be https://host[:port]/path, without user or fragment"


class Url(NamedTuple):
    """A URL that the function calls. `path` includes the query, exactly as it is sent."""

    endpoint: Endpoint
    path: str

    def __str__(self) -> str:
        return f"{self.endpoint}{self.path}"


def endpoint(value: str, plain_http: str = LOOPBACK) -> Endpoint:
    """Parse an https URL or a bare host name. Plain http is for loopback only. Raises Refused."""
    found = _parsed(value if "://" in value else f"https://{value}", _ENDPOINT, plain_http)
    if found.path not in ("", "/"):
        raise Refused(_ENDPOINT)
    return found.endpoint


def local_endpoint(value: str) -> Endpoint:
    """Like endpoint(), but accept plain http also on private addresses, and under localhost."""
    return endpoint(value, LOCAL)


def url(value: str) -> Url:
    """Parse an https URL. Plain http is accepted only on loopback. Raises Refused."""
    found = _parsed(value, _URL, LOOPBACK)
    if not re.fullmatch("/[!-~]*", found.path):  # The path becomes part of a request line.
        raise Refused(_URL)
    return found


def _parsed(value: str, accepts: str, plain_http: str) -> Url:
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise Refused(accepts) from None
    bare = parts.netloc.rpartition(":")[0] if port is not None else parts.netloc
    sound = parts.scheme in DEFAULT_PORTS and re.fullmatch(_HOST, bare)
    if not sound or parts.fragment or port == 0:
        raise Refused(accepts)
    host = (parts.hostname or "").lower()
    if parts.scheme == "http" and not re.fullmatch(plain_http, host):
        allowed = "loopback" if plain_http is LOOPBACK else "loopback and private"
        raise Refused(f"{accepts}; plain http is only for {allowed} addresses")
    found = Endpoint(parts.scheme, host, port or DEFAULT_PORTS[parts.scheme])
    return Url(found, f"{parts.path}?{parts.query}" if parts.query else parts.path)
