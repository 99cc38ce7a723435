"""OSS's signatures V1 and V4: the text that is signed, and its signature.

No decisions are made here. Both signatures cover /bucket/key for every style of URL. Headers and
query are decoded. Header names are in lower case. Header values are latin-1 text, so their bytes
are the bytes that were sent. The sources are the vendor's documentation, and the signers of oss2
2.19.1 and alibabacloud-oss-v2 1.4.1.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from urllib.parse import quote

V4_ALGORITHM = "OSS4-HMAC-SHA256"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
BLANKS = " \t"
"""The blanks around a header's value. The signature does not cover them (RFC 9110, 5.5). Python's
strip() would also remove latin-1 blanks, which are stored as a part of the value. If strip() were
used, the stored content type or disposition would have blanks that the signed value lacks."""

RESPONSE_OVERRIDES = frozenset(
    f"response-{name}"
    for name in (
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-type",
        "expires",
    )
)
OPERATION_SUBRESOURCES = frozenset(
    """
    accessPoint accessPointPolicy acl append asyncFetch bucketArchiveDirectRead bucketInfo
    cloudboxes cname comp cors delete encryption endTime group httpsConfig inventory inventoryId
    lifecycle link live location logging metaQuery objectInfo objectMeta overwriteConfig partNumber
    policy position publicAccessBlock qos qosInfo qosRequester redundancyTransition referer
    regionList replication replicationLocation replicationProgress requestPayment requesterQosInfo
    resourceGroup resourcePool resourcePoolBuckets resourcePoolInfo responseHeader restore rtc
    startTime stat status style styleName symlink tagging transferAcceleration uploadId uploads
    versionId versioning versions vod website worm wormExtend wormId x-oss-access-point-name
    x-oss-async-process x-oss-redundancy-transition-taskid x-oss-target-redundancy-type
    x-oss-write-get-object-response
    """.split()
)
"""Query parameters that choose the operation, or the object of an operation."""

V1_SUBRESOURCES = (
    OPERATION_SUBRESOURCES
    | RESPONSE_OVERRIDES
    | frozenset(
        """
        callback callback-var continuation-token security-token sequential withHashContext
        x-oss-ac-forward-allow x-oss-ac-source-ip x-oss-ac-subnet-mask x-oss-ac-vpc-id
        x-oss-enable-md5 x-oss-enable-sha1 x-oss-enable-sha256 x-oss-hash-ctx x-oss-md5-ctx
        x-oss-process x-oss-request-payer x-oss-traffic-limit
        """.split()
    )
)
"""The query parameters that V1 signs. V1 signs no other query parameters.

The names are from the source code of two SDKs: oss2 (oss2.auth), and aliyun-oss-go-sdk (conn.go),
which ossutil 1 uses. alibabacloud-oss-v2 also signs overwriteConfig.
"""


def v1_string_to_sign(
    method: str,
    resource: str,
    headers: Mapping[str, str],
    query: Mapping[str, str],
    date: str,
) -> bytes:
    """Return V1's string to sign; `date` is the x-oss-date or Date header, or a URL's Expires.

    `resource` is "/", "/bucket/" or "/bucket/key", decoded.
    """
    lines = [method, headers.get("content-md5", ""), headers.get("content-type", ""), date]
    own = sorted(name for name in headers if name.startswith("x-oss-"))
    lines += [f"{name}:{headers[name].strip(BLANKS)}" for name in own]
    signed = sorted(V1_SUBRESOURCES & query.keys())
    tail = "&".join(f"{name}={query[name]}" if query[name] else name for name in signed)
    full = f"{resource}?{tail}" if tail else resource
    return "\n".join(lines).encode("latin-1", "replace") + b"\n" + full.encode()


def v1_signature(string_to_sign: bytes, secret: str) -> str:
    """Return the signature in base64 (HMAC-SHA1)."""
    return base64.b64encode(hmac.digest(secret.encode(), string_to_sign, "sha1")).decode()


@dataclass(frozen=True)
class V4Scope:
    """The scope of a V4 signature: a day (yyyymmdd) and a region (like cn-hangzhou)."""

    date: str
    region: str

    def __str__(self) -> str:
        return f"{self.date}/{self.region}/oss/aliyun_v4_request"


def v4_canonical_request(
    method: str,
    resource: str,
    headers: Mapping[str, str],
    query: Iterable[tuple[str, str, bool]],
    additional: Iterable[str],
    payload: str,
) -> bytes:
    """Return V4's canonical request.

    Each item of `query` is a name, a value, and True if an empty value is written as "name=". The
    documentation writes "name", but ali-oss signs "name=" for some parameters. `additional` are the
    names of signed headers in addition to x-oss-*, Content-Type and Content-MD5, in lower case.
    Raises KeyError if one of these headers is missing.
    """
    names = sorted(set(additional))
    pairs = sorted((_encoded(name), _encoded(value), equals) for name, value, equals in query)
    line = "&".join(f"{n}={v}" if v or equals else n for n, v, equals in pairs)
    own = {name for name in headers if name.startswith("x-oss-")}
    own |= {"content-type", "content-md5"} & headers.keys()
    signed = "".join(f"{name}:{headers[name].strip(BLANKS)}\n" for name in sorted(own | set(names)))
    path = quote(resource, safe="/")
    text = "\n".join((method, path, line, signed, ";".join(names), payload))
    return text.encode("latin-1", "replace")


def v4_string_to_sign(canonical_request: bytes, timestamp: str, scope: V4Scope) -> str:
    """Return V4's string to sign. `timestamp` is a time like 20231216T162057Z, or the text of the
    Date header."""
    digest = hashlib.sha256(canonical_request).hexdigest()
    return f"{V4_ALGORITHM}\n{timestamp}\n{scope}\n{digest}"


def v4_signature(string_to_sign: str, secret: str, scope: V4Scope) -> str:
    """Return the signature in hex. The signing key is derived from the secret for `scope`."""
    chain = (scope.date, scope.region, "oss", "aliyun_v4_request")
    key = reduce(
        lambda key, part: hmac.digest(key, part.encode(), "sha256"),
        chain,
        b"aliyun_v4" + secret.encode(),
    )
    return hmac.digest(key, string_to_sign.encode(), "sha256").hex()


def _encoded(text: str) -> str:
    # quote() does not encode letters, digits and "_.-~". These are the unreserved characters of RFC
    # 3986.
    return quote(text, safe="")
