"""Request and Response: what the adapters (fc_event.py, wsgi.py) and app.py exchange.

Named tuples here and in the modules around: frozen as a frozen dataclass is, and a dozen classes
cost 1 ms of the cold start instead of 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

_NONE: Mapping[str, str] = MappingProxyType({})


class Request(NamedTuple):
    """One HTTP request, whatever platform it came from.

    Headers, query and body can carry a login, so repr leaves them out.
    """

    method: str
    """Upper case."""
    path: str
    """Percent-decoded, starts with "/"."""
    query: Mapping[str, str] = _NONE
    headers: Mapping[str, str] = _NONE
    """Names in lower case."""
    body: bytes = b""
    request_id: str = ""

    def __repr__(self) -> str:
        return f"Request({self.method} {self.path!r})"


class Response(NamedTuple):
    """One HTTP answer; `body` is text in ASCII, since JSON escapes the rest."""

    status: int
    headers: Mapping[str, str]
    body: str

    def __repr__(self) -> str:
        return f"Response({self.status})"
