"""Signs requests to an HTTP trigger of `authType: function` with ACS3-HMAC-SHA256.

The vendor documents the format ("request structure and signature", V3). Another page has the rules
for triggers ("configure signature authentication for HTTP triggers"). Only the headers x-acs-date
and x-acs-security-token are signed. Only a request with a temporary key has x-acs-security-token.
The body's hash is empty.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from urllib.parse import quote

from ops.smoke import wire
from ops.smoke.wire import Address, Call, Reply, Send
from token_service.settings.values import AccessKey

ALGORITHM = "ACS3-HMAC-SHA256"


def sender(address: Address, key: AccessKey) -> Send:
    """Return a function that sends a call signed with `key`. The function raises NoAnswer."""

    def signed(call: Call) -> Reply:
        path = call.target(address).partition("?")[0]
        headers = trigger_headers(call.method, path, call.query, key, time.time())
        headers = {**call.headers, **headers}
        return wire.send(address, Call(call.method, call.path, call.query, headers, call.body))

    return signed


def trigger_headers(
    method: str, path: str, query: Mapping[str, str], key: AccessKey, now: float
) -> dict[str, str]:
    """Return the headers that sign a request. `path` is the path as sent, `query` is decoded, and
    `now` is unix time."""
    headers = {"x-acs-date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))}
    if key.security_token:
        headers["x-acs-security-token"] = key.security_token
    return {**headers, "Authorization": authorization(method, path, query, headers, "", key)}


def authorization(
    method: str,
    path: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    payload_sha256: str,
    key: AccessKey,
) -> str:
    """Return the Authorization header. All `headers` are signed; their names are in lower case."""
    names = sorted(headers)
    pairs = (f"{_encoded(name)}={_encoded(value)}" for name, value in sorted(query.items()))
    canonical = "\n".join(
        (
            method,
            # The vendor's samples replace $ in this way.
            path.replace("$", "%24"),
            "&".join(pairs),
            "".join(f"{name}:{headers[name].strip()}\n" for name in names),
            ";".join(names),
            payload_sha256,
        )
    )
    to_sign = f"{ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(key.access_key_secret.encode(), to_sign.encode(), "sha256").hex()
    return (
        f"{ALGORITHM} Credential={key.access_key_id},SignedHeaders={';'.join(names)},"
        f"Signature={signature}"
    )


def _encoded(text: str) -> str:
    return quote(text, safe="")
