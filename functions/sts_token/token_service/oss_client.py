"""The requests that the function itself sends to OSS: HEAD of an object, and a listing.

The requests are signed in headers (V4) with the function's own credentials. No answer is trusted.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, unquote
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from token_service.errors import ServiceError
from token_service.http.connection import ConnectionFault, Exchange, KeptConnection, Reply
from token_service.settings.oss_hosts import bucket_address
from token_service.settings.values import AccessKey, Endpoint
from token_service.signing.signer import ALGORITHM, UNSIGNED_PAYLOAD, Signer, canonical_query

if TYPE_CHECKING:
    from token_service.instance import Instance

MAX_KEYS = 100
"""The maximum number of keys on a page. OSS itself would allow 1,000."""
MAX_PAGE_BYTES = 512 * 1024
"""A page with 100 keys of 1,023 bytes (3,069 if URL-encoded) is smaller than this limit."""
MAX_SIZE = 48_800_000_000_000
"""In bytes. OSS's largest object has 48.8 TB (vendor documentation)."""

_NOTHING_THERE = ("NoSuchKey", "SymlinkTargetNotExist", "InvalidTargetType")

_ETAG = '"?([A-Za-z0-9-]{1,128})"?'
_HTTP_DATE = "([A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT)"
_DATE = r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]{1,9})?Z"


class OssRefused(ServiceError):
    """Raised when OSS answered with an error. The code and message of OSS are passed on."""

    def __init__(self, oss_status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = 503 if oss_status >= 500 else 500
        self.code = code


class OssUnreachable(ServiceError):
    """Raised when no answer came from OSS in time."""

    status = 503
    code = "OssUnreachable"


class OssInvalidAnswer(ServiceError):
    """Raised when OSS's answer does not follow OSS's API. No part of the answer is passed on."""

    status = 503
    code = "OssInvalidAnswer"


class ObjectHead(NamedTuple):
    """OSS's data of one object. `size` is in bytes, and `etag` has no quotes. `last_modified` is
    OSS's header, a date like `Tue, 24 Nov 2026 10:00:00 GMT`."""

    size: int
    etag: str
    content_type: str
    last_modified: str


class Object(NamedTuple):
    """One object of a listing. `size` is in bytes. `last_modified` is UTC, in the form
    `YYYY-MM-DDTHH:MM:SSZ`."""

    key: str
    size: int
    etag: str
    last_modified: str


class Page(NamedTuple):
    """Objects in the order of their keys, and whether more follow."""

    objects: tuple[Object, ...]
    is_truncated: bool


class OssClient:
    """Asks OSS about one bucket. Thread-safe. `end` is a time.monotonic() value, in seconds. Every
    method raises OssRefused (with OSS's code and message), OssUnreachable or OssInvalidAnswer."""

    def __init__(self, endpoint: Endpoint, bucket: str, region: str) -> None:
        address, self._base = bucket_address(endpoint, bucket)
        self._connection = KeptConnection(address)
        self._bucket = bucket
        self._region = region

    def head(self, object_key: str, access_key: AccessKey, end: float) -> ObjectHead | None:
        """HeadObject (needs oss:GetObject). Returns None if there is no such object, or if it is a
        symbolic link. OSS follows a link with the function's own permissions. That could reveal
        another user's object."""
        reply = self._request("HEAD", object_key, {}, access_key, end)
        if reply.headers.get("x-oss-object-type") == "Symlink":
            return None
        if reply.status != 200:
            error = _refusal(reply, access_key)
            if isinstance(error, OssRefused) and error.code in _NOTHING_THERE:
                return None
            raise error
        return ObjectHead(
            size=_size(reply.headers.get("content-length", "")),
            etag=_sound("ETag", _ETAG, reply.headers.get("etag", "")),
            content_type=reply.headers.get("content-type", ""),
            last_modified=_sound(
                "Last-Modified", _HTTP_DATE, reply.headers.get("last-modified", "")
            ),
        )

    def list_objects(
        self, prefix: str, after: str, limit: int, access_key: AccessKey, end: float
    ) -> Page:
        """ListObjectsV2 (needs oss:ListObjects). Returns at most `limit` (1 to 100) objects of a
        prefix, in the order of their keys. The first key is greater than `after`."""
        query = {
            "list-type": "2",
            "prefix": prefix,
            "start-after": after,
            "max-keys": str(limit),
            # Without it XML cannot represent every key.
            "encoding-type": "url",
        }
        reply = self._request("GET", "", query, access_key, end)
        if reply.status != 200:
            raise _refusal(reply, access_key)
        return _page(reply.body, prefix, limit)

    def close(self) -> None:
        """Close the kept connection."""
        self._connection.close()

    def _request(
        self,
        method: str,
        object_key: str,
        query: Mapping[str, str],
        access_key: AccessKey,
        end: float,
    ) -> Reply:
        line = canonical_query(query)
        path = self._base + quote(object_key)
        target = f"{path}?{line}" if line else path
        signer = Signer.at(time.time(), access_key, self._region)
        headers = {"x-oss-content-sha256": UNSIGNED_PAYLOAD, "x-oss-date": signer.timestamp}
        if access_key.security_token is not None:
            headers["x-oss-security-token"] = access_key.security_token
        resource = f"/{self._bucket}/{object_key}"
        signature = signer.request_signature(method, resource, line, headers)
        credential = f"Credential={signer.credential},Signature={signature}"
        headers["Authorization"] = f"{ALGORITHM} {credential}"
        try:
            return self._connection.request(
                lambda: Exchange(method, target, b"", headers, end, MAX_PAGE_BYTES)
            )
        except ConnectionFault as fault:
            raise OssUnreachable(f"OSS cannot be reached: {fault}") from None


def oss_of(at: Instance) -> OssClient:
    """Make the function's own OSS client; for Instance.get."""
    settings = at.settings
    return OssClient(settings.oss_internal_endpoint, settings.bucket, settings.region)


def _page(body: bytes, prefix: str, limit: int) -> Page:
    root = _parsed(body)
    if root is None or root.tag != "ListBucketResult":
        raise OssInvalidAnswer("OSS's answer is not a listing")
    objects = []
    for found in root.findall("Contents"):
        key = unquote(_text(found, "Key"), errors="replace")
        # We check the prefix too, because callers must not see keys outside their prefix.
        if not key.startswith(prefix):
            raise OssInvalidAnswer("OSS's listing has a key outside the prefix")
        objects.append(
            Object(
                key,
                _size(_text(found, "Size")),
                _sound("ETag", _ETAG, _text(found, "ETag")),
                _sound("LastModified", _DATE, _text(found, "LastModified")) + "Z",
            )
        )
    if len(objects) > limit or _text(root, "EncodingType") != "url":
        raise OssInvalidAnswer("OSS's listing does not match the request")
    return Page(tuple(objects), _text(root, "IsTruncated") == "true")


def _refusal(reply: Reply, access_key: AccessKey) -> Exception:
    root = _parsed(reply.body or _err_header(reply))
    code = "" if root is None else _text(root, "Code")
    if root is None or not re.fullmatch("[A-Za-z0-9._-]{1,128}", code):
        return OssInvalidAnswer(f"OSS answered HTTP {reply.status} without an error code")
    message = _text(root, "Message")[:300]
    for secret in (access_key.security_token, access_key.access_key_id):
        if secret:
            message = message.replace(secret, "***")
    if code == "AccessDenied":
        message += " The function's own credentials need oss:GetObject and oss:ListObjects."
    return OssRefused(reply.status, code, message.strip() or code)


def _err_header(reply: Reply) -> bytes:
    """Return the XML of a HEAD request's error, which is in a header because there is no body."""
    try:
        return base64.b64decode(reply.headers.get("x-oss-err", ""), validate=True)
    except ValueError:
        return b""


def _parsed(body: bytes) -> Element | None:
    """Parse XML and drop namespaces. Return None if the XML is malformed or may have a DOCTYPE."""
    try:
        text = body.decode()
        # Refuse every DOCTYPE, because its entities could expand or load files. OSS sends none.
        if "<!" in text:
            return None
        root = ElementTree.fromstring(text)  # noqa: S314 - see above
    except (ElementTree.ParseError, ValueError):
        return None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def _text(element: Element, name: str) -> str:
    return (element.findtext(name) or "").strip()


def _size(text: str) -> int:
    size = int(_sound("size", "([0-9]{1,14})", text))
    if size > MAX_SIZE:
        raise OssInvalidAnswer("OSS's answer has no valid size")
    return size


def _sound(name: str, pattern: str, text: str) -> str:
    """Return the pattern's group if the whole text matches."""
    form = re.fullmatch(pattern, text)
    if form is None:
        raise OssInvalidAnswer(f"OSS's answer has no valid {name}")
    return form[1]
