"""Grant -> a resumable upload: a seal that the client keeps, and the signed URLs that start the
upload, send its parts, list them, complete and abort it.

The function keeps nothing and asks nobody: what it has to know at the next call is in the seal. The
requests are the vendor's ("InitiateMultipartUpload" and the four after it); its own key signs them,
each for the sealed key and none of them to read an object. That OSS holds a part to a signed
content-length, and a completion to x-oss-forbid-overwrite and to a callback in its query, is not
verified on the real OSS.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

from token_service.encoding import compact_unicode
from token_service.errors import ServiceError
from token_service.grant import content_types
from token_service.grant.grants import Grant
from token_service.grant.refusals import InvalidParameter, whole_wish
from token_service.settings.oss_hosts import bucket_address
from token_service.settings.parsing import whole
from token_service.settings.values import MAX_OBJECT_BYTES, Endpoint
from token_service.signing import sealing
from token_service.signing.limits import Limits
from token_service.signing.signer import Signer

PART_BYTES = 5 * 1024 * 1024
"""Of every part but the last, in every upload. OSS takes 100 KiB to 5 GiB, and 10,000 parts.

One size for all: if it went by the upload's, parts of two seals of one object could be mixed, the
many of the one with the large ones of the other, to a total that no seal allows."""
MAX_PARTS = 100
"""Of one call: what is signed while a client waits."""
UPLOAD_SECONDS = 7 * 24 * 3600
"""The life of a seal. OSS removes parts of that age where template.yml made the bucket."""
MAX_UPLOAD_ID = 64

_PUT = "oss:PutObject"
ACTIONS = {
    "start": _PUT,
    "parts": _PUT,
    "list": "oss:ListParts",
    "complete": _PUT,
    "abort": "oss:AbortMultipartUpload",
}
"""What is signed, and what each needs to be allowed."""

_START = ("object", "size", "content_type")
_LATER = ("upload_id", "parts", "action", "after")
WISHES = ("policy", "expires", *_START, "Upload", *_LATER)

_KIND, _VERSION = "multipart", "1"


class UploadRefused(ServiceError):
    """Raised for an Upload that is altered, has ended, or is not of this caller, bucket, issuer and
    version, or above today's limits. One answer for all: it tells a stranger nothing."""

    status = 403
    code = "UploadRefused"

    def __init__(self) -> None:
        super().__init__("Upload: not one of yours that is still good; start the upload anew")


class Upload(NamedTuple):
    """What is sealed: whose upload (JWT_ISSUER or "", the session's name), where to, how many bytes
    in all and in each part but the last, of which type; `expires` is in unix seconds."""

    issuer: str
    caller: str
    bucket: str
    key: str
    size: int
    part_size: int
    content_type: str | None
    expires: int

    @property
    def part_count(self) -> int:
        """How many parts there are; the first has number 1."""
        return -(-self.size // self.part_size)

    def size_of(self, number: int) -> int:
        """Bytes of a part: the last one has the rest."""
        return min(self.part_size, self.size - (number - 1) * self.part_size)


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


class Step(NamedTuple):
    """What of an upload is asked for: an operation of ACTIONS; numbers of parts; and for "list" the
    number after which to go on."""

    operation: str
    upload_id: str = ""
    parts: tuple[int, ...] = ()
    after: str = ""


def read_start(
    wishes: Mapping[str, str], grant: Grant, limits: Limits, issuer: str, now: float
) -> Upload:
    """Check the wishes for a new upload; `object` and `policy` are the grant's. Raises
    InvalidParameter for one that is missing, malformed, not of a start or would widen."""
    for name in _LATER:
        if name in wishes:
            raise InvalidParameter(name, "goes with Upload, which the start has answered")
    if grant.object_key is None:
        raise InvalidParameter("object", "must be given: an upload is of one object")
    if "size" not in wishes:
        raise InvalidParameter("size", "must be given: the bytes of the whole object")
    if wishes["size"] == "0":
        raise InvalidParameter("size", "must be 1 or more; /signed-url is for an empty object")
    return Upload(
        issuer=issuer,
        caller=grant.session_name,
        bucket=grant.bucket,
        key=grant.object_key,
        size=whole_wish("size", wishes["size"], "bytes", 1, _max_bytes(limits)),
        part_size=PART_BYTES,
        content_type=content_types.exact(wishes.get("content_type"), limits.content_types),
        expires=int(now) + UPLOAD_SECONDS,
    )


def seal(upload: Upload, secret: bytes) -> str:
    """Return the upload as the client keeps it."""
    return sealing.seal(compact_unicode(upload).encode(), _KIND, _VERSION, secret)


def unseal(
    text: str, secrets: tuple[bytes, ...], grant: Grant, limits: Limits, issuer: str, now: float
) -> Upload:
    """Return what was sealed for this caller, if it is good still and within the limits as they are
    today. Raises UploadRefused."""
    opened = sealing.unseal(text, _KIND, _VERSION, secrets)
    if opened is None:
        raise UploadRefused
    upload = Upload(*json.loads(opened))
    whose = (issuer, grant.session_name, grant.bucket, PART_BYTES)
    if (upload.issuer, upload.caller, upload.bucket, upload.part_size) != whose:
        raise UploadRefused
    if now >= upload.expires or not upload.key.startswith(grant.prefix):
        raise UploadRefused
    if upload.size > _max_bytes(limits):
        raise UploadRefused
    return upload


def read_step(wishes: Mapping[str, str], upload: Upload, per_minute: int) -> Step:
    """Check the wishes for an upload that has begun; `per_minute` is CALLER_URLS_PER_MINUTE, 0: no
    limit. Raises InvalidParameter."""
    for name in _START:
        if name in wishes:
            raise InvalidParameter(name, "is for the start; Upload says it already")
    upload_id = wishes.get("upload_id", "")
    if not (upload_id.isascii() and upload_id.isalnum() and len(upload_id) <= MAX_UPLOAD_ID):
        raise InvalidParameter(
            "upload_id",
            f"must be the UploadId of OSS's answer, 1 to {MAX_UPLOAD_ID} of A-Z a-z 0-9",
        )
    action = wishes.get("action")
    if (action is None) != ("parts" in wishes):
        raise InvalidParameter("action", "must be given, or parts, and not both")
    if action is None:
        return Step("parts", upload_id, _numbers(wishes["parts"], upload.part_count, per_minute))
    if action not in ("list", "complete", "abort"):
        raise InvalidParameter("action", "must be one of list, complete, abort")
    after = wishes.get("after", "")
    if after:
        if action != "list":
            raise InvalidParameter("after", "is for action=list only")
        whole_wish("after", after, "numbers of parts", 0, upload.part_count)
    return Step(action, upload_id, after=after)


def started(urls: Urls) -> dict[str, object]:
    """Sign what begins the upload; the client sends it, and OSS answers the UploadId."""
    upload = urls.upload
    headers = _start_headers(upload)
    return {
        "PartSize": upload.part_size,
        "PartCount": upload.part_count,
        "Size": upload.size,
        **_request("POST", {"uploads": ""}, headers, urls),
    }


def continued(step: Step, urls: Urls, callback: Mapping[str, str]) -> dict[str, object]:
    """Sign what a step is for: URLs of parts, or one that lists, completes or aborts. `callback`
    are the parameters by which OSS calls back once the upload is complete."""
    query = {"uploadId": step.upload_id}
    if step.operation == "parts":
        return {"Parts": [_part(number, query, urls) for number in step.parts]}
    if step.operation == "complete":
        # Named, since what clients send with a text by themselves would not be what is signed.
        headers = {"Content-Type": "application/xml"}
        return _request("POST", {**query, **callback}, headers, urls)
    if step.after:
        query["part-number-marker"] = step.after
    return _request("GET" if step.operation == "list" else "DELETE", query, {}, urls)


def _part(number: int, query: Mapping[str, str], urls: Urls) -> dict[str, object]:
    size = urls.upload.size_of(number)
    query = {**query, "partNumber": str(number)}
    # Not in Headers: what sends a body says its length by itself, and lets no page do so.
    url = urls.signed("PUT", query, {"Content-Length": str(size)})
    return {"Number": number, "Url": url, "Method": "PUT", "Headers": {}, "Size": size}


def _request(
    method: str, query: Mapping[str, str], headers: Mapping[str, str], urls: Urls
) -> dict[str, object]:
    return {"Url": urls.signed(method, query, headers), "Method": method, "Headers": headers}


def _start_headers(upload: Upload) -> dict[str, str]:
    return {} if upload.content_type is None else {"Content-Type": upload.content_type}


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


def _max_bytes(limits: Limits) -> int:
    return min(limits.max_bytes, MAX_OBJECT_BYTES)
