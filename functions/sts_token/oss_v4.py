"""OSS's signature V4: the canonical request, the signing key, the signature. Sends nothing.

Source: vendor documentation, and the signer of alibabacloud-oss-v2 1.4.1.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote

ALGORITHM = "OSS4-HMAC-SHA256"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"


def scope(date: str, region: str) -> str:
    """What a signature is good for: a day (yyyymmdd) and a region (like cn-hangzhou)."""
    return f"{date}/{region}/oss/aliyun_v4_request"


def signing_key(secret: str, date: str, region: str) -> bytes:
    """Derive the key of a day and a region from an AccessKey's secret."""
    key = f"aliyun_v4{secret}".encode()
    for part in (date, region, "oss", "aliyun_v4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def canonical_query(query: Mapping[str, str]) -> str:
    """Encode and sort query parameters; an empty value is spelt without "="."""
    pairs = sorted((quote(name, safe=""), quote(value, safe="")) for name, value in query.items())
    return "&".join(f"{name}={value}" if value else name for name, value in pairs)


def canonical_request(
    method: str,
    bucket: str,
    object_key: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    payload: str = UNSIGNED_PAYLOAD,
) -> str:
    """Return what is signed. `headers` (names in lower case) are all that are to be signed: every
    x-oss-*, Content-Type and Content-MD5 that is sent. The resource is /bucket/key whatever the
    URL's style."""
    signed = "".join(f"{name}:{headers[name].strip()}\n" for name in sorted(headers))
    path = quote(f"/{bucket}/{object_key}", safe="/")
    return "\n".join((method, path, canonical_query(query), signed, "", payload))


def signature(key: bytes, timestamp: str, scope: str, canonical: str) -> str:
    """Sign in hex; `key` is signing_key()'s, `timestamp` like 20231216T162057Z."""
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return hmac.digest(key, f"{ALGORITHM}\n{timestamp}\n{scope}\n{digest}".encode(), "sha256").hex()
