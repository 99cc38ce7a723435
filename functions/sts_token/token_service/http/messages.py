"""Request and Response: what the adapters (fc_event.py, wsgi_event.py) and app.py exchange."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from token_service.errors import NONE

ANSWER_SECONDS = 4.5
"""Every answer comes within 5 s, because Android's SDK waits for a token without a timeout."""


class Request(NamedTuple):
    """One HTTP request of any platform. The method is upper case, the path is decoded, and header
    names are lower case. repr leaves out headers, query and body, as they can carry a login."""

    method: str
    path: str
    query: Mapping[str, str] = NONE
    headers: Mapping[str, str] = NONE
    body: bytes = b""
    request_id: str = ""

    def __repr__(self) -> str:
        return f"Request({self.method} {self.path!r})"


class Response(NamedTuple):
    """One HTTP answer. `body` is ASCII text, since JSON escapes all other characters."""

    status: int
    headers: Mapping[str, str]
    body: str

    def __repr__(self) -> str:
        return f"Response({self.status})"
