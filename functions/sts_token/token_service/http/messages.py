"""Request and Response: what the adapters (fc_event.py, wsgi_event.py) and app.py exchange."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from token_service.errors import NONE

ANSWER_SECONDS = 4.5
"""For a whole answer. Android waits for ever and delays its uploads, so we answer within 5 s."""


class Request(NamedTuple):
    """One HTTP request of any platform: the method in upper case, the path decoded, header names in
    lower case. repr leaves out headers, query and body, since they can carry a login."""

    method: str
    path: str
    query: Mapping[str, str] = NONE
    headers: Mapping[str, str] = NONE
    body: bytes = b""
    request_id: str = ""

    def __repr__(self) -> str:
        return f"Request({self.method} {self.path!r})"


class Response(NamedTuple):
    """One HTTP answer; `body` is ASCII text, since JSON escapes all other characters."""

    status: int
    headers: Mapping[str, str]
    body: str

    def __repr__(self) -> str:
        return f"Response({self.status})"
