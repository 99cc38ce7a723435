"""Sends signed requests to OSS. This module sends each URL unchanged. An SDK would change a hostile
URL."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Mapping
from email.utils import formatdate
from typing import NamedTuple
from urllib.parse import unquote_plus, urlsplit

from running_cloud import Token
from sandbox.oss.signatures import (
    UNSIGNED_PAYLOAD,
    V4_ALGORITHM,
    V4Scope,
    v1_signature,
    v1_string_to_sign,
    v4_canonical_request,
    v4_signature,
    v4_string_to_sign,
)

VERSIONS = ("v1", "v4")


class Answer(NamedTuple):
    """OSS's answer; `code` is "" for a success."""

    status: int
    code: str
    body: bytes


def send(
    token: Token,
    version: str,
    method: str,
    path: str,
    query: str = "",
    *,
    signed_for: str = "",
    host: str = "",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Answer:
    """Send `path` and `query` unchanged, with a signature for the key `signed_for`.

    `path` has no bucket in it, and may be percent-encoded or not. Without a key, the request is for
    the bucket itself. If `host` is given, it names the bucket, and the path does not.
    """
    named = {"x-oss-security-token": token.security_token}
    named.update({name.lower(): value for name, value in (headers or {}).items()})
    pairs = [part.partition("=") for part in query.split("&") if part]
    decoded = [(unquote_plus(n), unquote_plus(v), bool(equals)) for n, equals, v in pairs]
    sign = {"v1": _sign_v1, "v4": _sign_v4}[version]
    sign(token, method, f"/{token.bucket}/{signed_for}", named, decoded)
    connection = http.client.HTTPConnection(urlsplit(token.endpoint).netloc, timeout=10)
    try:
        url = f"/{path}" if host else f"/{token.bucket}/{path}"
        if host:
            named["host"] = host
        url += f"?{query}" if query else ""
        connection.request(method, url, body, named)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    code = re.search(b"<Code>(.*?)</Code>", content)
    return Answer(answer.status, code[1].decode() if code else "", content)


Pairs = list[tuple[str, str, bool]]


def _sign_v1(
    token: Token, method: str, resource: str, headers: dict[str, str], query: Pairs
) -> None:
    headers["date"] = formatdate(usegmt=True)
    first = {name: value for name, value, _ in reversed(query)}
    text = v1_string_to_sign(method, resource, headers, first, headers["date"])
    signature = v1_signature(text, token.access_key_secret)
    headers["authorization"] = f"OSS {token.access_key_id}:{signature}"


def _sign_v4(
    token: Token, method: str, resource: str, headers: dict[str, str], query: Pairs
) -> None:
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    headers.update({"x-oss-date": moment, "x-oss-content-sha256": UNSIGNED_PAYLOAD})
    scope = V4Scope(moment[:8], token.region)
    text = v4_canonical_request(method, resource, headers, query, [], UNSIGNED_PAYLOAD)
    signature = v4_signature(v4_string_to_sign(text, moment, scope), token.access_key_secret, scope)
    credential = f"{token.access_key_id}/{scope}"
    headers["authorization"] = f"{V4_ALGORITHM} Credential={credential},Signature={signature}"
