"""Operations on one object, and DeleteMultipleObjects; multipart.py has multipart uploads."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from sandbox.oss import images
from sandbox.oss.addressing import BUCKET_NAME, check_key, invalid_object_name, object_url
from sandbox.oss.call import Call, Site, Target
from sandbox.oss.errors import (
    OssError,
    invalid_argument,
    malformed_xml,
    no_such_bucket,
    not_implemented,
)
from sandbox.oss.image_instructions import Instructions
from sandbox.oss.image_instructions import parse as parse_process
from sandbox.oss.overwrite import may_overwrite
from sandbox.oss.responses import document, empty, http_date, iso_date
from sandbox.oss.signatures import RESPONSE_OVERRIDES
from sandbox.oss.storage import ObjectInfo, OpenObject, Staged
from sandbox.oss.xml import key_writer, parse, text_of

OBJECT_ACLS = ("default", "private", "public-read", "public-read-write")
MAX_USER_METADATA = 8 * 1024
"""Maximum bytes of all x-oss-meta-* together (vendor documentation)."""
MAX_DELETED_KEYS = 1000  # of one DeleteMultipleObjects (vendor documentation)

STORED_HEADERS = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
)
COMPRESSED_TYPES = frozenset(
    {
        "application/javascript",
        "application/json",
        "application/rss+xml",
        "application/x-javascript",
        "text/cache-manifest",
        "text/css",
        "text/html",
        "text/json",
        "text/plain",
        "text/xml",
    }
)
MIN_COMPRESSED = 1024
"""Minimum bytes of an object that is compressed in an answer (vendor documentation)."""
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


class Stored(NamedTuple):
    """The answer to a finished upload, and the values that a callback for it may contain."""

    response: Response
    made: ObjectInfo
    content_md5: str = ""


def put_object(call: Call, site: Site, body: Staged) -> Stored:
    """PutObject."""
    made = _put(call, site, body)
    headers = {**checksums(made), "content-md5": body.content_md5}
    return Stored(empty(headers=headers), made, body.content_md5)


def post_object(call: Call, site: Site, body: Staged, fields: Mapping[str, str]) -> Stored:
    """PostObject. `fields` decide which kind of answer is sent.

    Two things are not verified on the real OSS (assumption 13): the status of a redirect, and
    whether OSS adds anything to the URL of a redirect.
    """
    made = _put(call, site, body)
    headers = {**checksums(made), "content-md5": body.content_md5}
    location = object_url(call.headers.get("host", ""), call.target, site.cnames)
    redirect = fields.get("success_action_redirect")
    status = fields.get("success_action_status")
    if redirect:
        response = empty(303, {**headers, "location": redirect})
    elif status == "201":
        content = [
            ("Bucket", call.bucket),
            ("Location", location),
            ("Key", call.key),
            ("ETag", headers["etag"]),
        ]
        response = document("PostResponse", content, 201, {**headers, "location": location})
    else:
        response = empty(200 if status == "200" else 204, headers)
    return Stored(response, made, body.content_md5)


def check_redirect(fields: Mapping[str, str]) -> None:
    """Refuse to redirect a browser to a URL that is not http or https. Raises InvalidArgument."""
    redirect = fields.get("success_action_redirect")
    if redirect and not re.fullmatch(r"https?://[\x21-\x7e]+", redirect):
        message = "success_action_redirect must be an http or https URL, percent-encoded."
        raise invalid_argument(message, "success_action_redirect", redirect)


def _put(call: Call, site: Site, body: Staged) -> ObjectInfo:
    return site.storage.put(
        call.bucket,
        call.key,
        body,
        headers=stored_headers(call.headers),
        acl=object_acl(call.headers),
        overwrite=may_overwrite(call, site),
    )


def append_object(call: Call, site: Site, body: Staged) -> Response:
    """AppendObject."""
    position = call.query.get("position", "")
    if not re.fullmatch("[0-9]{1,18}", position):
        raise invalid_argument("position must be a number of bytes.", "position", position)
    made = site.storage.append(
        call.bucket,
        call.key,
        body,
        position=int(position),
        headers=stored_headers(call.headers),
        acl=given_acl(call.headers),
        overwrite=may_overwrite(call, site),
    )
    return empty(headers={**checksums(made), "x-oss-next-append-position": str(made.size)})


def copy_object(call: Call, site: Site) -> Response:
    """CopyObject: the new object gets the source's headers. With x-oss-metadata-directive: REPLACE,
    the new object gets the request's headers instead."""
    directive = call.headers.get("x-oss-metadata-directive", "COPY").upper()
    if directive not in ("COPY", "REPLACE"):
        raise invalid_argument(
            "x-oss-metadata-directive must be COPY or REPLACE.",
            "x-oss-metadata-directive",
            directive,
        )
    with open_source(call, site) as source:
        staged = site.storage.stage(source.info.size)
        try:
            for chunk in source.chunks(0, source.info.size):
                staged.write(chunk)
            staged.finish()
            made = site.storage.put(
                call.bucket,
                call.key,
                staged,
                headers=source.info.headers
                if directive == "COPY"
                else stored_headers(call.headers),
                acl=object_acl(call.headers),
                overwrite=may_overwrite(call, site),
            )
        finally:
            staged.discard()
    content = [("ETag", f'"{made.etag}"'), ("LastModified", iso_date(made.modified))]
    return document("CopyObjectResult", content, headers=checksums(made))


def get_object(call: Call, site: Site, link: ObjectInfo | None = None) -> Response:
    """GetObject and HeadObject. HeadObject answers without the bytes. If the request has
    x-oss-process, the object is processed as an image.

    `link` is the symbolic link that led to the object, or None.
    """
    if "x-oss-process" in call.query:
        return _process_image(call, site, parse_process(call.query["x-oss-process"]), link)
    if call.method == "HEAD":
        return _download(call, site.storage.get(call.bucket, call.key), None, link)
    opened = site.storage.open(call.bucket, call.key)
    try:
        return _download(call, opened.info, opened, link)
    except BaseException:
        opened.close()
        raise


def get_object_meta(call: Call, site: Site) -> Response:
    """GetObjectMeta: return only size, ETag and time."""
    info = site.storage.get(call.bucket, call.key)
    headers = {
        "etag": f'"{info.etag}"',
        "content-length": str(info.size),
        "last-modified": http_date(info.modified),
        "x-oss-hash-crc64ecma": str(info.crc64),
    }
    return empty(headers=headers)


def delete_object(call: Call, site: Site) -> Response:
    """DeleteObject: answer 204, even if the object did not exist."""
    site.storage.delete(call.bucket, [call.key])
    return empty(204)


def deleted_keys(body: bytes) -> list[str]:
    """Read DeleteMultipleObjects's keys. Raises MalformedXML, InvalidObjectName."""
    keys = [text_of(element, "Key") for element in parse(body, "Delete").findall("Object")]
    if not 1 <= len(keys) <= MAX_DELETED_KEYS:
        raise malformed_xml(f"from 1 to {MAX_DELETED_KEYS} Object elements are accepted")
    for key in keys:
        check_key(key)
    return keys


def delete_objects(call: Call, site: Site, body: bytes) -> Response:
    """DeleteMultipleObjects: answer with the deleted keys, or with an empty list (Quiet)."""
    keys = deleted_keys(body)
    write = key_writer(call.query, lists=True)
    quiet = parse(body, "Delete").findtext("Quiet", "false").strip().lower() == "true"
    site.storage.delete(call.bucket, keys)
    deleted = [] if quiet else [("Deleted", [("Key", write(key))]) for key in keys]
    return document("DeleteResult", [*write.element(), *deleted])


def get_object_acl(call: Call, site: Site) -> Response:
    """GetObjectAcl."""
    info = site.storage.get(call.bucket, call.key)
    account = site.identities.account_id
    content = [
        ("Owner", [("ID", account), ("DisplayName", account)]),
        ("AccessControlList", [("Grant", info.acl)]),
    ]
    return document("AccessControlPolicy", content)


def put_object_acl(call: Call, site: Site) -> Response:
    """PutObjectAcl: the ACL is in the x-oss-object-acl header."""
    acl = call.headers.get("x-oss-object-acl", "")
    site.storage.set_object_acl(call.bucket, call.key, _checked_acl(acl))
    return empty()


def check_body(headers: Mapping[str, str], content_md5: str) -> None:
    """Compare the body with the Content-MD5 header, if there is one. Raises InvalidDigest.

    `content_md5` is the body's MD5 in base64.
    """
    claimed = headers.get("content-md5")
    if claimed is not None and not hmac.compare_digest(
        claimed.strip().encode(), content_md5.encode()
    ):
        raise OssError(
            400,
            "InvalidDigest",
            "The Content-MD5 you specified was invalid.",
            details={"Content-MD5": claimed},
        )


def md5_of(body: bytes) -> str:
    """Return a small body's MD5 in base64."""
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def header_value(name: str, value: str) -> str:
    """Return the text as a header value. Header values are latin-1 text here, so the result
    has one character for each byte of the text in UTF-8. Raises InvalidArgument."""
    if re.search(r"[\x00-\x1f\x7f]", value):
        raise invalid_argument("A header must not hold control characters.", name)
    return value.strip(" ").encode().decode("latin-1")


def stored_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that are stored with an object.

    Raises InvalidArgument for too much metadata.
    """
    kept = {name: headers[name] for name in STORED_HEADERS if name in headers}
    meta = {name: value for name, value in headers.items() if name.startswith("x-oss-meta-")}
    if sum(len(name) + len(value) for name, value in meta.items()) > MAX_USER_METADATA:
        raise invalid_argument(f"User metadata exceeds {MAX_USER_METADATA} bytes.", "x-oss-meta-*")
    return {"content-type": "application/octet-stream", **kept, **meta}


def given_acl(headers: Mapping[str, str]) -> str | None:
    """Return the ACL that a request gives, or None. Raises InvalidArgument."""
    acl = headers.get("x-oss-object-acl")
    return None if acl is None else _checked_acl(acl)


def object_acl(headers: Mapping[str, str]) -> str:
    """Return the ACL that a new object gets. Raises InvalidArgument."""
    return given_acl(headers) or "default"


def checksums(info: ObjectInfo) -> dict[str, str]:
    """Return the headers with which a client checks the stored bytes."""
    return {"etag": f'"{info.etag}"', "x-oss-hash-crc64ecma": str(info.crc64)}


def copy_source(headers: Mapping[str, str]) -> Target:
    """Read x-oss-copy-source: /bucket/key, percent-encoded. The first slash may be missing.

    The query is split off before decoding, because a key may hold "?". Raises InvalidArgument, or
    NotImplemented for a version.
    """
    text = headers["x-oss-copy-source"]
    path, question, _ = text.partition("?")
    bucket, slash, key = path.removeprefix("/").partition("/")
    if question or not slash or not BUCKET_NAME.fullmatch(bucket):
        raise invalid_argument(
            "The copy source must be /bucket/key, percent-encoded; versions are not implemented.",
            "x-oss-copy-source",
            text,
        )
    try:
        decoded = unquote_to_bytes(key.encode("latin-1")).decode()
    except UnicodeDecodeError:
        raise invalid_object_name() from None
    check_key(decoded)
    return Target(bucket, decoded)


def open_source(call: Call, site: Site) -> OpenObject:
    """Open the object that x-oss-copy-source names, if it meets the request's conditions.

    Raises NoSuchBucket, NoSuchKey, PreconditionFailed, NotModified.
    """
    source = copy_source(call.headers)
    if site.storage.bucket(source.bucket) is None:
        raise no_such_bucket(source.bucket)
    opened = site.storage.open(source.bucket, source.key)
    try:
        if opened.info.type == "Symlink":
            raise not_implemented("copying a symbolic link")
        _check_conditions(call.headers, opened.info, "x-oss-copy-source-")
    except OssError:
        opened.close()
        raise
    return opened


def wanted_range(text: str, size: int, *, clip: bool = False) -> tuple[int, int] | None:
    """Return the start and the end (excluded) of a range of bytes, or None if it is invalid.

    A range that goes beyond the end of an object of `size` bytes is invalid. If `clip` is true,
    such a range is cut to the part inside the object. A range without such a part is invalid.
    """
    match = _RANGE.fullmatch(text.strip())
    if not match or not any(match.groups()):
        return None
    first, last = match.groups()
    if first:
        start, end = int(first), int(last) + 1 if last else size
    else:
        start, end = size - int(last), size
    if clip:
        start, end = max(start, 0), min(end, size)
    return (start, end) if 0 <= start < end <= size else None


def _asked_range(call: Call, size: int) -> tuple[int, int] | None:
    """Return the range of the answer, or None if the answer is the whole object.

    If x-oss-range-behavior is standard, an invalid range is refused. Otherwise an invalid range is
    ignored. Only the first range of a list counts (help.aliyun.com/document_detail/39571). Raises
    InvalidRange, NotImplemented.
    """
    if "x-oss-multi-range-behavior" in call.headers:
        raise not_implemented("x-oss-multi-range-behavior")
    if "range" not in call.headers:
        return None
    standard = call.headers.get("x-oss-range-behavior") == "standard"
    found = wanted_range(call.headers["range"].partition(",")[0], size, clip=standard)
    if found is None and standard:
        raise OssError(
            416,
            "InvalidRange",
            "The requested range cannot be satisfied.",
            headers={"content-range": f"bytes */{size}"},
        )
    return found


def _described(info: ObjectInfo, link: ObjectInfo | None) -> ObjectInfo:
    """Return the information about an object that was read through `link`.

    Size, ETag, Content-MD5 and storage class are those of the object, not of the link. The time is
    the later of two times: the object's time and the link's time. All other values are from the
    link (HeadObject, help.aliyun.com/document_detail/31984). The CRC is the object's CRC too, since
    SDKs compare the CRC with the received bytes. It is not verified that the real OSS sends the
    object's CRC (assumption 42).
    """
    if link is None:
        return info
    modified = max(link.modified, info.modified)
    return replace(info, type=link.type, headers=link.headers, modified=modified)


def _content_md5(info: ObjectInfo) -> dict[str, str]:
    """Return the Content-MD5 header. Only objects from a single upload have this header
    (go-sdk-v2's integration tests).

    An answer with a range also has this header, with the MD5 of the whole object. It is not
    verified that the real OSS sends this header with a range (assumption 43).
    """
    if info.type != "Normal":
        return {}
    return {"content-md5": base64.b64encode(bytes.fromhex(info.etag)).decode()}


def _download(
    call: Call, stored: ObjectInfo, opened: OpenObject | None, link: ObjectInfo | None
) -> Response:
    info = _described(stored, link)
    _check_conditions(call.headers, info, "")
    headers = {
        **info.headers,
        **checksums(info),
        **_content_md5(stored),
        "accept-ranges": "bytes",
        "last-modified": http_date(info.modified),
        "x-oss-object-type": info.type,
        "x-oss-storage-class": "Standard",
    }
    if info.type == "Appendable":
        headers["x-oss-next-append-position"] = str(info.size)
    headers.update(_overrides(call))
    start, end, status = 0, info.size, 200
    found = _asked_range(call, info.size)
    if found is not None:
        start, end = found
        status = 206
        headers["content-range"] = f"bytes {start}-{end - 1}/{info.size}"
    compressed = found is None and _is_compressed(call, headers, info.size)
    if compressed:
        del headers["etag"], headers["accept-ranges"]
        headers.update({"content-encoding": "gzip", "vary": "Accept-Encoding"})
    else:
        headers["content-length"] = str(end - start)
    if opened is None:
        answer = empty(status, headers)
        if compressed:
            del answer.headers["content-length"]
        return answer
    chunks = opened.chunks(start, end)
    return _Download(opened, _gzipped(chunks) if compressed else chunks, status, headers)


def _is_compressed(call: Call, headers: Mapping[str, str], size: int) -> bool:
    """Whether OSS compresses the answer. OSS compresses a text of 1 KiB or more, if the client
    accepts gzip (faq-detail/39645).

    Three things are not verified on the real OSS. A range is never compressed (assumption 43). An
    object with a Content-Encoding is never compressed, and compression depends on the Content-Type
    that the answer has (assumption 44).
    """
    kind = headers["content-type"].partition(";")[0].strip().lower()
    return (
        size >= MIN_COMPRESSED
        and kind in COMPRESSED_TYPES
        and "content-encoding" not in headers
        and _takes_gzip(call.headers.get("accept-encoding", ""))
    )


def _takes_gzip(accepted: str) -> bool:
    for coding in accepted.lower().replace(" ", "").split(","):
        name, _, weight = coding.partition(";")
        if name == "gzip":
            return re.fullmatch(r"q=0(\.0*)?", weight) is None
    return False


def _gzipped(chunks: Iterator[bytes]) -> Iterator[bytes]:
    gzip = zlib.compressobj(wbits=zlib.MAX_WBITS + 16)
    for chunk in chunks:
        yield gzip.compress(chunk)
    yield gzip.flush()


def _overrides(call: Call) -> dict[str, str]:
    headers = {}
    for name in RESPONSE_OVERRIDES & call.query.keys():
        headers[name.removeprefix("response-")] = header_value(name, call.query[name])
    return headers


def _process_image(
    call: Call, site: Site, instructions: Instructions, link: ObjectInfo | None
) -> Response:
    """Answer with a processed image. The answer always has the whole image, since Range is ignored.

    The answer has the ETag of the stored object (vendor documentation). The answer does not have
    the object's CRC and encoding, because they do not fit the processed image. SDKs would check the
    CRC.
    """
    with site.storage.open(call.bucket, call.key) as opened:
        info = _described(opened.info, link)
        _check_conditions(call.headers, info, "")
        overrides = _overrides(call)
        images.check_size(info.size)
        source = b"".join(opened.chunks(0, info.size))
    made = images.process(source, instructions)
    headers = {
        **info.headers,
        "etag": f'"{info.etag}"',
        "last-modified": http_date(info.modified),
        "content-type": made.content_type,
        **overrides,
        "content-length": str(len(made.body)),
    }
    headers.pop("content-encoding", None)
    return empty(200, headers) if call.method == "HEAD" else Response(made.body, 200, headers)


class _Download(StreamingResponse):
    """An answer with an object's bytes. The answer closes the object even if the client disconnects
    before the first byte."""

    def __init__(
        self,
        opened: OpenObject,
        chunks: Iterator[bytes],
        status: int,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(chunks, status, headers)
        self._opened = opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._opened.close()


def _check_conditions(headers: Mapping[str, str], info: ObjectInfo, prefix: str) -> None:
    def given(name: str) -> str | None:
        return headers.get(f"{prefix}{name}")

    matches, none_matches = given("if-match"), given("if-none-match")
    since, unmodified_since = given("if-modified-since"), given("if-unmodified-since")
    if matches is not None and matches.strip('"') != info.etag:
        raise _precondition_failed("If-Match")
    if unmodified_since is not None and _is_newer(info, unmodified_since) is True:
        raise _precondition_failed("If-Unmodified-Since")
    if none_matches is not None and none_matches.strip('"') == info.etag:
        raise _not_modified(info)
    if since is not None and _is_newer(info, since) is False:
        raise _not_modified(info)


def _is_newer(info: ObjectInfo, text: str) -> bool | None:
    """Whether the object changed after the date in `text`; None if `text` is not a date."""
    try:
        return int(info.modified) > parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None


def _precondition_failed(condition: str) -> OssError:
    message = "At least one of the pre-conditions you specified did not hold."
    return OssError(412, "PreconditionFailed", message, details={"Condition": condition})


def _not_modified(info: ObjectInfo) -> OssError:
    headers = {"etag": f'"{info.etag}"', "last-modified": http_date(info.modified)}
    return OssError(304, "NotModified", "The object has not changed.", headers=headers)


def _checked_acl(acl: str) -> str:
    if acl not in OBJECT_ACLS:
        message = f"no such object access control exists; use one of {', '.join(OBJECT_ACLS)}"
        raise invalid_argument(message, "x-oss-object-acl", acl)
    return acl
