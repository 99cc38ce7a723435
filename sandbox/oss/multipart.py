"""Multipart uploads: the operations that begin, fill, list, complete and abort them.

The EC of an error is from the vendor's page about this error, or from alibabacloud-oss-go-sdk-v2's
client_integration_test.go, which runs against the real OSS.
"""

from __future__ import annotations

import re

from starlette.responses import Response

from sandbox.oss.call import Call, Site
from sandbox.oss.errors import OssError, file_already_exists, invalid_argument, malformed_xml
from sandbox.oss.listing import group, max_keys
from sandbox.oss.objects import (
    Stored,
    checksums,
    given_acl,
    object_acl,
    open_source,
    stored_headers,
    wanted_range,
)
from sandbox.oss.overwrite import is_forbidden, may_overwrite
from sandbox.oss.responses import document, empty, iso_date
from sandbox.oss.storage import Part, Staged, Upload, invalid_part
from sandbox.oss.xml import key_writer, parse, text_of

MAX_PART_NUMBER = 10_000  # parts are numbered from 1 (vendor documentation)
MIN_PART_BYTES = 100 * 1024
"""Minimum size of every part except the last one (vendor documentation)."""
# Headers of an upload by a client that encrypts. The client needs them again to resume the upload
# (alibabacloud-oss-v2, ListPartsResult).
_CLIENT_ENCRYPTION = {
    f"x-oss-meta-client-side-encryption-{name}": f"ClientEncryption{element}"
    for name, element in {
        "key": "Key",
        "start": "Start",
        "cek-alg": "CekAlg",
        "wrap-alg": "WrapAlg",
        "data-size": "DataSize",
        "part-size": "PartSize",
    }.items()
}


def initiate(call: Call, site: Site) -> Response:
    """InitiateMultipartUpload: begin an upload.

    If the object exists and x-oss-forbid-overwrite forbids overwriting, this request is refused
    before any part is sent. The object that is completed later gets the headers of this request.
    Neither rule is verified on the real OSS (assumptions 61 and 62).
    """
    if is_forbidden(call.headers) and site.storage.find(call.bucket, call.key) is not None:
        raise file_already_exists()
    write = key_writer(call.query)
    upload = site.storage.create_upload(
        call.bucket,
        call.key,
        headers=stored_headers(call.headers),
        acl=object_acl(call.headers),
    )
    content = [
        *write.element(),
        ("Bucket", call.bucket),
        ("Key", write(call.key)),
        ("UploadId", upload.id),
    ]
    return document("InitiateMultipartUploadResult", content)


def upload_part(call: Call, site: Site, body: Staged) -> Response:
    """UploadPart."""
    part = _store_part(call, site, _part_number(call), body, "0042-00000104")
    headers = {"x-oss-hash-crc64ecma": str(body.crc64), "content-md5": body.content_md5}
    return empty(headers={"etag": f'"{part.etag}"', **headers})


def upload_part_copy(call: Call, site: Site) -> Response:
    """UploadPartCopy: make a part from an object, or from a range of its bytes."""
    number = _part_number(call)
    with open_source(call, site) as source:
        start, end = 0, source.info.size
        asked = call.headers.get("x-oss-copy-source-range")
        if asked is not None:
            found = wanted_range(asked, source.info.size)
            if found is None:
                raise invalid_argument(
                    "The range must be within the source.", "x-oss-copy-source-range", asked
                )
            start, end = found
        staged = site.storage.stage(end - start)
        try:
            for chunk in source.chunks(start, end):
                staged.write(chunk)
            staged.finish()
            part = _store_part(call, site, number, staged, "0042-00000311")
        finally:
            staged.discard()
    content = [("LastModified", iso_date(part.modified)), ("ETag", f'"{part.etag}"')]
    # The ETag is also in a header, because oss2 reads it there.
    headers = {"etag": f'"{part.etag}"', "x-oss-hash-crc64ecma": str(staged.crc64)}
    return document("CopyPartResult", content, headers=headers)


def list_parts(call: Call, site: Site) -> Response:
    """ListParts."""
    write = key_writer(call.query)
    limit = max_keys(call.query, "max-parts", 1000)
    # oss2 sends an empty marker for the first page.
    marker = call.query.get("part-number-marker") or "0"
    if not re.fullmatch("[0-9]{1,9}", marker):
        raise invalid_argument("Must be a part's number.", "part-number-marker", marker)
    upload_id = call.query["uploadId"]
    parts = [
        part
        for part in site.storage.parts(call.bucket, call.key, upload_id)
        if part.number > int(marker)
    ]
    content: list[tuple[str, object]] = [
        *write.element(),
        ("Bucket", call.bucket),
        ("Key", write(call.key)),
        ("UploadId", upload_id),
        ("StorageClass", "Standard"),
        ("PartNumberMarker", marker),
        ("NextPartNumberMarker", parts[:limit][-1].number if parts else ""),
        ("MaxParts", limit),
        ("IsTruncated", "true" if len(parts) > limit else "false"),
    ]
    encryption = site.storage.upload(call.bucket, call.key, upload_id).headers
    for name, element_name in _CLIENT_ENCRYPTION.items():
        if name in encryption:
            content.append((element_name, encryption[name]))
    for part in parts[:limit]:
        element = [
            ("PartNumber", part.number),
            ("LastModified", iso_date(part.modified)),
            ("ETag", f'"{part.etag}"'),
            ("Size", part.size),
            # When alibabacloud-oss-v2 resumes an upload, it computes the object's CRC from the CRCs
            # of the stored parts (seen in 1.4.1).
            ("HashCrc64ecma", part.crc64),
        ]
        content.append(("Part", element))
    return document("ListPartsResult", content)


def complete(call: Call, site: Site, body: bytes) -> Stored:
    """CompleteMultipartUpload: make the object from the parts that the body lists.

    With the header x-oss-complete-all: yes, the object is made from all parts. Without any part the
    object is empty. alibabacloud-oss-go-sdk-v2 uploads an empty stream in this way
    (TestUploaderUploadFromTeeReader). The ETag of an empty object is not verified on the real OSS
    (assumption 64).
    """
    write = key_writer(call.query)
    upload_id = call.query["uploadId"]
    stored = site.storage.parts(call.bucket, call.key, upload_id)
    if call.headers.get("x-oss-complete-all", "").lower() == "yes":
        if body:
            # The misspelt word is OSS's own.
            message = "Should not speficy both complete all header and http body."
            raise invalid_argument(message, "x-oss-complete-all", "yes", "0042-00000216")
        chosen = stored
    else:
        chosen = _chosen(body, stored)
    for part in chosen[:-1]:
        if part.size < MIN_PART_BYTES:
            raise OssError(
                400,
                "EntityTooSmall",
                "Your proposed upload is smaller than the minimum allowed size.",
                "0042-00000213",
                details={
                    "MinSizeAllowed": str(MIN_PART_BYTES),
                    "ProposedSize": str(part.size),
                    "PartNumber": str(part.number),
                },
            )
    made = site.storage.complete_upload(
        call.bucket,
        call.key,
        upload_id,
        chosen,
        acl=given_acl(call.headers),
        overwrite=may_overwrite(call, site),
    )
    host = call.headers.get("host", "")
    content = [
        *write.element(),
        ("Location", f"http://{host}/{write(call.key)}"),
        ("Bucket", call.bucket),
        ("Key", write(call.key)),
        ("ETag", f'"{made.etag}"'),
    ]
    return Stored(document("CompleteMultipartUploadResult", content, headers=checksums(made)), made)


def abort(call: Call, site: Site) -> Response:
    """AbortMultipartUpload."""
    site.storage.abort_upload(call.bucket, call.key, call.query["uploadId"])
    return empty(204)


def list_uploads(call: Call, site: Site) -> Response:
    """ListMultipartUploads: list uploads by key and upload id, grouped by a delimiter."""
    write = key_writer(call.query, lists=True)
    limit = max_keys(call.query, "max-uploads", 1000)
    prefix, delimiter = call.query.get("prefix", ""), call.query.get("delimiter", "")
    after = (call.query.get("key-marker", ""), call.query.get("upload-id-marker", ""))
    uploads: list[Upload] = []
    prefixes: list[str] = []
    last = ("", "")
    truncated = False
    for upload in site.storage.uploads(call.bucket, prefix):
        common = group(upload.key, prefix, delimiter)
        if not _is_after(common or upload.key, "" if common else upload.id, after):
            continue
        if common and common in prefixes[-1:]:
            continue
        if len(uploads) + len(prefixes) == limit:
            truncated = True
            break
        if common:
            prefixes.append(common)
        else:
            uploads.append(upload)
        last = (common or upload.key, "" if common else upload.id)
    content: list[tuple[str, object]] = [
        ("Bucket", call.bucket),
        *write.element(),
        ("KeyMarker", write(after[0])),
        ("UploadIdMarker", after[1]),
        # The last page has these markers too (alibabacloud-oss-python-sdk-v2,
        # tests/integration/test_client.py).
        ("NextKeyMarker", write(last[0])),
        ("NextUploadIdMarker", last[1]),
        ("Prefix", write(prefix)),
        ("Delimiter", write(delimiter)),
        ("MaxUploads", limit),
        ("IsTruncated", "true" if truncated else "false"),
    ]
    for upload in uploads:
        element = [
            ("Key", write(upload.key)),
            ("UploadId", upload.id),
            ("StorageClass", "Standard"),
            ("Initiated", iso_date(upload.initiated)),
        ]
        content.append(("Upload", element))
    content += [("CommonPrefixes", [("Prefix", write(common))]) for common in prefixes]
    return document("ListMultipartUploadsResult", content)


def _is_after(key: str, upload_id: str, marker: tuple[str, str]) -> bool:
    """Whether an upload comes after `marker`. The marker is a pair of a key and an upload id. If
    the marker has no upload id, all uploads of its key come before it (vendor documentation)."""
    if key == marker[0]:
        return bool(marker[1]) and upload_id > marker[1]
    return key.encode() > marker[0].encode()


def _part_number(call: Call) -> int:
    text = call.query["partNumber"]
    if not re.fullmatch("[0-9]{1,5}", text) or not 1 <= int(text) <= MAX_PART_NUMBER:
        message = f"Part number must be an integer between 1 and {MAX_PART_NUMBER}, inclusive."
        raise invalid_argument(message, "PartNumber", text, "0017-00000220")
    return int(text)


def _store_part(call: Call, site: Site, number: int, body: Staged, missing: str) -> Part:
    """Store a part; `missing` is the EC if the upload does not exist."""
    try:
        return site.storage.put_part(call.bucket, call.key, call.query["uploadId"], number, body)
    except OssError as error:
        if error.code == "NoSuchUpload":
            error.ec = missing
        raise


def _chosen(body: bytes, stored: list[Part]) -> list[Part]:
    by_number = {part.number: part for part in stored}
    chosen: list[Part] = []
    for element in parse(body, "CompleteMultipartUpload").findall("Part"):
        number, etag = text_of(element, "PartNumber"), text_of(element, "ETag")
        if not re.fullmatch("[0-9]{1,5}", number.strip()):
            raise malformed_xml("PartNumber must be a number")
        part = by_number.get(int(number))
        if part is None or part.etag != etag.strip().strip('"').upper():
            raise invalid_part()
        if chosen and part.number <= chosen[-1].number:
            message = "The list of parts was not in ascending order. "
            raise OssError(
                400,
                "InvalidPartOrder",
                message + "Parts list must be specified in order by part number.",
                "0042-00000209",
            )
        chosen.append(part)
    return chosen
