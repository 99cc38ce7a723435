"""Fetches a document from a URL, such as public keys."""

from __future__ import annotations

import time

from token_service.http.connection import MAX_ANSWER_BYTES, Exchange, KeptConnection
from token_service.settings.addresses import Url

FETCH_SECONDS = 1.5
"""The limit for one fetch. The remaining time of the request is for a later call to STS or OSS."""


def fetch(url: Url, accept: str, end: float, max_bytes: int = MAX_ANSWER_BYTES) -> bytes:
    """Fetch once over verified TLS, without redirects, within 1.5 s and before `end`
    (time.monotonic()). Raises ConnectionFault, or ValueError if the status is not 200."""
    deadline = min(end, time.monotonic() + FETCH_SECONDS)
    # Without Accept-Encoding a server may use any encoding (RFC 9110, section 12.5.3).
    headers = {"Accept": accept, "Accept-Encoding": "identity", "Connection": "close"}
    connection = KeptConnection(url.endpoint)
    try:
        reply = connection.request(
            lambda: Exchange("GET", url.path, b"", headers, deadline, max_bytes)
        )
    finally:
        connection.close()
    if reply.status != 200:
        raise ValueError(f"HTTP {reply.status}")
    return reply.body
