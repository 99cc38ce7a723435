"""Grant -> a resumable upload: a seal that the client keeps, and the signed URLs that start the
upload, send its parts, list them, complete and abort it (vendor documentation,
"InitiateMultipartUpload" and the four after it).

What has to be known at the next call is in the seal. The function's own key signs, each URL for the
sealed key, and none to read an object. That OSS holds a part to a signed content-length, and a
completion to x-oss-forbid-overwrite and a callback in its query, is not verified on the real OSS.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import quote

from token_service.encoding import compact_unicode
from token_service.errors import ServiceError
from token_service.grant.grants import Grant
from token_service.grant.refusals import InvalidParameter, whole_wish
from token_service.grant.wish_names import MULTIPART_START, MULTIPART_STEP
from token_service.settings.oss_hosts import bucket_address
from token_service.settings.parsing import whole
from token_service.settings.values import Endpoint
from token_service.signing import sealing, upload_headers
from token_service.signing.limits import Limits
from token_service.signing.signer import Signer

PART_BYTES = 5 * 1024 * 1024
"""Of every part but the last, in every upload; OSS takes 100 KiB to 5 GiB, and 10,000 parts. One
size for all: if it followed from the upload's, two seals of one object could be mixed, the many
parts of the one with the large parts of the other, to more than either allows."""
MAX_PARTS = 100
"""Of one call: what is signed while a client waits."""
UPLOAD_SECONDS = 7 * 24 * 3600
"""The life of a seal. In a bucket of template.yml OSS removes parts of that age."""

_PUT, _LIST, _ABORT = "oss:PutObject", "oss:ListParts", "oss:AbortMultipartUpload"
ACTIONS = {"start": _PUT, "parts": _PUT, "list": _LIST, "complete": _PUT, "abort": _ABORT}
"""What is signed, and what each needs to be allowed."""

_KIND, _VERSION = "multipart", "1"


class UploadRefused(ServiceError):
    """Raised for an Upload that is altered, has ended, or is not of this caller, bucket, issuer and
    version, or of today's limits. One answer for all: it tells a stranger nothing."""

    status = 403
    code = "UploadRefused"


class Upload(NamedTuple):
    """What is sealed: whose upload (JWT_ISSUER or "", the session's name), where to, how many bytes
    in all and in each part but the last, of which type and disposition, None where that is open;
    `expires` is in unix seconds."""

    issuer: str
    caller: str
    bucket: str
    key: str
    size: int
    part_size: int
    content_type: str | None
    disposition: str | None
    expires: int

    @property
    def part_count(self) -> int:
        """How many parts there are; the first has number 1."""
        return -(-self.size // self.part_size)


class Step(NamedTuple):
    """What of an upload is asked for: an operation of ACTIONS; numbers of parts; and for "list" the
    number after which to go on."""

    operation: str
    upload_id: str = ""
    parts: tuple[int, ...] = ()
    after: str = ""


class Urls(NamedTuple):
    """Signs the requests of one upload, at one moment, for `seconds`."""

    signer: Signer
    endpoint: Endpoint
    upload: Upload
    seconds: int

    def signed(self, method: str, query: Mapping[str, str], headers: Mapping[str, str]) -> str:
        """Return the URL of a request that has to be sent with exactly these headers."""
        bucket, key = self.upload.bucket, self.upload.key
        address, path = bucket_address(self.endpoint, bucket)
        signed = self.signer.presigned(method, f"/{bucket}/{key}", self.seconds, query, headers)
        return f"{address}{path}{quote(key)}?{signed}"


def read_start(
    wishes: Mapping[str, str], grant: Grant, limits: Limits, issuer: str, now: float
) -> Upload:
    """Check the wishes for a new upload; its name and `policy` are the grant's. Raises
    InvalidParameter for one that is missing, malformed, not of a start or would widen."""
    _refuse(wishes, MULTIPART_STEP, "goes with the Upload that the start has answered")
    if grant.object_key is None:
        raise InvalidParameter("object", "must be given, or name=auto: an upload is of one object")
    if wishes.get("size", "0") == "0":
        raise InvalidParameter("size", "must be given, 1 or more; /signed-url puts empty objects")
    headers = upload_headers.upload_headers(wishes, limits)
    return Upload(
        issuer=issuer,
        caller=grant.session_name,
        bucket=grant.bucket,
        key=grant.object_key,
        size=whole_wish("size", wishes["size"], "bytes", 1, limits.max_url_bytes),
        part_size=PART_BYTES,
        content_type=headers.get("Content-Type"),
        disposition=headers.get("Content-Disposition"),
        expires=int(now) + UPLOAD_SECONDS,
    )


def seal(upload: Upload, secret: bytes) -> str:
    """Return the upload as the client keeps it."""
    return sealing.seal(compact_unicode(upload).encode(), _KIND, _VERSION, secret)


def unseal(
    text: str, secrets: tuple[bytes, ...], grant: Grant, limits: Limits, issuer: str, now: float
) -> Upload:
    """Return what was sealed for this caller, where it could be started today as well. Raises
    UploadRefused."""
    opened = sealing.unseal(text, _KIND, _VERSION, secrets)
    if opened is not None:
        upload = Upload(*json.loads(opened))
        whose = (issuer, grant.session_name, grant.bucket)
        is_theirs = upload[:3] == whose and upload.key.startswith(grant.prefix)
        if is_theirs and now < upload.expires and _is_within(upload, limits):
            return upload
    raise UploadRefused("Upload: not one of yours that is still good; start the upload anew")


def read_step(wishes: Mapping[str, str], upload: Upload, per_minute: int) -> Step:
    """Check the wishes for an upload that has begun; `per_minute` is CALLER_URLS_PER_MINUTE, 0: no
    limit. Raises InvalidParameter."""
    _refuse(wishes, MULTIPART_START, "is for the start; Upload says it already")
    upload_id, action = wishes.get("upload_id", ""), wishes.get("action")
    if not re.fullmatch("[A-Za-z0-9]{1,64}", upload_id):
        raise InvalidParameter("upload_id", "must be OSS's UploadId, 1 to 64 of A-Z, a-z and 0-9")
    if action is None and "parts" in wishes:
        return Step("parts", upload_id, _numbers(wishes["parts"], upload.part_count, per_minute))
    if action not in ("list", "complete", "abort") or "parts" in wishes:
        raise InvalidParameter("action", "must be list, complete or abort; or parts must be given")
    after = wishes.get("after", "")
    if after and action != "list":
        raise InvalidParameter("after", "is for action=list only")
    if after:
        whole_wish("after", after, "numbers of parts", 0, upload.part_count)
    return Step(action, upload_id, after=after)


def signed(
    step: Step, urls: Urls, limits: Limits, callback: Mapping[str, str]
) -> dict[str, object]:
    """Sign what a step is for: the URLs of parts, or one request. `callback` are the parameters by
    which OSS calls back once the upload is complete."""
    query, headers = {"uploadId": step.upload_id}, {}
    if step.operation == "parts":
        return {"Parts": [_part(number, query, urls) for number in step.parts]}
    if step.operation == "start":
        query, headers = {"uploads": ""}, _headers(urls.upload, limits)
    elif step.operation == "complete":
        query.update(callback)
        # Named, since what clients send with a text by themselves would not be what is signed.
        headers["Content-Type"] = "application/xml"
        headers.update({} if limits.may_overwrite else upload_headers.FORBID_OVERWRITE)
    elif step.after:
        query["part-number-marker"] = step.after
    method = {"list": "GET", "abort": "DELETE"}.get(step.operation, "POST")
    return {"Url": urls.signed(method, query, headers), "Method": method, "Headers": headers}


def _part(number: int, query: Mapping[str, str], urls: Urls) -> dict[str, object]:
    size = min(PART_BYTES, urls.upload.size - (number - 1) * PART_BYTES)
    query = {**query, "partNumber": str(number)}
    # Not in Headers: what sends a body says its length by itself, and lets no page do so.
    url = urls.signed("PUT", query, {"Content-Length": str(size)})
    return {"Number": number, "Url": url, "Method": "PUT", "Headers": {}, "Size": size}


def _headers(upload: Upload, limits: Limits) -> dict[str, str]:
    """Those of the start. Raises InvalidParameter for a type or disposition not allowed today."""
    wishes = {"content_type": upload.content_type, "disposition": upload.disposition}
    given = {name: value for name, value in wishes.items() if value is not None}
    return upload_headers.upload_headers(given, limits)


def _is_within(upload: Upload, limits: Limits) -> bool:
    try:
        headers = _headers(upload, limits)
    except InvalidParameter:
        return False
    sealed = (upload.content_type, upload.disposition, upload.part_size)
    today = (headers.get("Content-Type"), headers.get("Content-Disposition"), PART_BYTES)
    return sealed == today and upload.size <= limits.max_url_bytes


def _refuse(wishes: Mapping[str, str], names: Iterable[str], why: str) -> None:
    for name in names:
        if name in wishes:
            raise InvalidParameter(name, why)


def _numbers(text: str, count: int, per_minute: int) -> tuple[int, ...]:
    numbers = [whole(part.strip(), 1, count) for part in text.split(",")]
    most = min(MAX_PARTS, per_minute or MAX_PARTS)
    found = tuple(dict.fromkeys(number for number in numbers if number is not None))
    if len(found) != len(numbers) or len(found) > most:
        limit = "" if most == MAX_PARTS else " (CALLER_URLS_PER_MINUTE)"
        raise InvalidParameter(
            "parts", f"must be 1 to {most}{limit} numbers of parts, 1 to {count}, each once"
        )
    return found
