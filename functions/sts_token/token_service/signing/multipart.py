"""Grant -> a resumable upload: a seal that the client keeps, and the signed URLs of its requests
(vendor documentation, "InitiateMultipartUpload" and the four after it).

What has to be known at the next call is in the seal. The function's own key signs, each URL for the
sealed key, none to read an object. That OSS holds parts to a signed content-length, completions to
x-oss-forbid-overwrite and a callback is not verified on the real OSS (assumptions 49, 50 and 51).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from token_service.errors import ServiceError
from token_service.grant.grants import Grant
from token_service.grant.refusals import InvalidParameter, whole_wish
from token_service.grant.wish_names import MULTIPART_START, MULTIPART_STEP, OWN_VARIABLES
from token_service.settings.parsing import whole
from token_service.signing import sealing, upload_headers
from token_service.signing.limits import Limits

PART_BYTES = 5 * 1024 * 1024
"""Of every part but the last, in every upload; OSS takes 100 KiB to 5 GiB, and 10,000 parts. One
size for all: did it follow from the upload's, the many parts of one seal and the large ones of
another of the same object could be mixed, to more than either allows."""
MAX_PARTS = 100
"""Of one call: what is signed while a client waits."""
UPLOAD_SECONDS = 7 * 24 * 3600
"""The life of a seal, and of parts in a bucket of template.yml."""

_PUT, _LIST, _ABORT = "oss:PutObject", "oss:ListParts", "oss:AbortMultipartUpload"
ACTIONS = {"start": _PUT, "parts": _PUT, "list": _LIST, "complete": _PUT, "abort": _ABORT}
"""What is signed, and what each needs to be allowed."""


class UploadRefused(ServiceError):
    """Raised for an Upload that is altered, has ended, or is not of this caller, bucket, issuer and
    version, or of today's limits. One answer for all: it tells a stranger nothing."""

    status = 403
    code = "UploadRefused"


class Upload(NamedTuple):
    """What is sealed: whose upload (the first of JWT_ISSUER or "", the session's name), where
    to, how many bytes in all and in each part but the last, with which headers (Content-Type,
    Content-Disposition) OSS is to store it; `expires` is in unix seconds."""

    issuer: str
    caller: str
    bucket: str
    part_size: int
    key: str
    size: int
    headers: Mapping[str, str]
    expires: int

    @property
    def part_count(self) -> int:
        """How many parts there are; the first has number 1."""
        return -(-self.size // self.part_size)


class Step(NamedTuple):
    """An operation of ACTIONS; for "parts" their numbers, for "list" the number to go on after."""

    operation: str
    upload_id: str = ""
    parts: tuple[int, ...] = ()
    after: str = ""


Sign = Callable[[str, Mapping[str, str], Mapping[str, str]], str]
"""Makes a URL of the sealed object: of a method, a query, and what headers must be sent."""


def read_start(
    wishes: Mapping[str, str], grant: Grant, limits: Limits, issuer: str, now: float
) -> Upload:
    """Check the wishes for a new upload; its name and `policy` are the grant's. Raises
    InvalidParameter for one that is missing, malformed, not of a start or would widen."""
    for name in sorted(wishes.keys() & MULTIPART_STEP):
        raise InvalidParameter(name, "goes with the Upload that the start has answered")
    if grant.object_key is None:
        raise InvalidParameter("object", "must be given, or name=auto: an upload is of one object")
    if wishes.get("size", "0") == "0":
        raise InvalidParameter("size", "must be given, 1 or more; /signed-url puts empty objects")
    return Upload(
        issuer=issuer,
        caller=grant.session_name,
        bucket=grant.bucket,
        part_size=PART_BYTES,
        key=grant.object_key,
        size=limits.size(wishes["size"], 1),
        headers=upload_headers.upload_headers(wishes, limits),
        expires=int(now) + UPLOAD_SECONDS,
    )


def seal(upload: Upload, secret: bytes) -> str:
    """Return the upload as the client keeps it."""
    return sealing.seal(upload, "multipart", "1", secret)


def unseal(
    text: str, secrets: tuple[bytes, ...], grant: Grant, limits: Limits, issuer: str, now: float
) -> Upload:
    """Return what was sealed for this caller, where it could be started today as well. Raises
    UploadRefused."""
    opened = sealing.unseal(text, "multipart", "1", secrets)
    if opened is not None:
        upload = Upload(*opened)
        whose = (issuer, grant.session_name, grant.bucket, PART_BYTES)
        is_theirs = upload[:4] == whose and upload.key.startswith(grant.prefix)
        if is_theirs and now < upload.expires and _is_within(upload, limits):
            return upload
    raise UploadRefused("Upload: not one of yours that is still good; start the upload anew")


def read_step(wishes: Mapping[str, str], upload: Upload, per_minute: int) -> Step:
    """Check the wishes for an upload that has begun; `per_minute` is CALLER_URLS_PER_MINUTE, 0: no
    limit. Raises InvalidParameter."""
    for name in sorted(wishes.keys() & MULTIPART_START):
        raise InvalidParameter(name, "is for the start; Upload says it already")
    upload_id, action = wishes.get("upload_id", ""), wishes.get("action")
    if OWN_VARIABLES in wishes and action != "complete":
        raise InvalidParameter(OWN_VARIABLES, "is for action=complete only")
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
    step: Step, upload: Upload, sign: Sign, limits: Limits, callback: Mapping[str, str]
) -> dict[str, object]:
    """Sign what a step is for: the URLs of parts, or one request. `callback` are the parameters by
    which OSS calls back once the upload is complete."""
    query, headers = {"uploadId": step.upload_id}, {}
    if step.operation == "parts":
        return {"Parts": [_part(number, query, upload, sign) for number in step.parts]}
    if step.operation == "start":
        query, headers = {"uploads": ""}, dict(upload.headers)
    elif step.operation == "complete":
        query.update(callback)
        # Named, since what clients send with a text by themselves would not be what is signed.
        headers["Content-Type"] = "application/xml"
        headers.update({} if limits.may_overwrite else upload_headers.FORBID_OVERWRITE)
    elif step.after:
        query["part-number-marker"] = step.after
    method = {"list": "GET", "abort": "DELETE"}.get(step.operation, "POST")
    return {"Url": sign(method, query, headers), "Method": method, "Headers": headers}


def _part(number: int, query: Mapping[str, str], upload: Upload, sign: Sign) -> dict[str, object]:
    size = min(PART_BYTES, upload.size - (number - 1) * PART_BYTES)
    # Not in Headers: what sends a body says its length by itself, and lets no page do so.
    url = sign("PUT", {**query, "partNumber": str(number)}, {"Content-Length": str(size)})
    return {"Number": number, "Url": url, "Method": "PUT", "Headers": {}, "Size": size}


def _is_within(upload: Upload, limits: Limits) -> bool:
    """Whether it could be started today as it was; of overwriting its end is told anew."""
    sealed, forbid = upload.headers, upload_headers.FORBID_OVERWRITE
    names = {"content_type": "Content-Type", "disposition": "Content-Disposition"}
    wishes = {wish: sealed[name] for wish, name in names.items() if name in sealed}
    try:
        today = upload_headers.upload_headers(wishes, limits)
    except InvalidParameter:
        return False
    return {**sealed, **forbid} == {**today, **forbid} and upload.size <= limits.max_url_bytes


def _numbers(text: str, count: int, per_minute: int) -> tuple[int, ...]:
    numbers = [whole(part.strip(), 1, count) for part in text.split(",")]
    most = min(MAX_PARTS, per_minute or MAX_PARTS)
    found = tuple(dict.fromkeys(number for number in numbers if number is not None))
    if len(found) != len(numbers) or len(found) > most:
        why = "" if most == MAX_PARTS else " (CALLER_URLS_PER_MINUTE)"
        text = f"must be 1 to {most}{why} numbers of parts, 1 to {count}, each once"
        raise InvalidParameter("parts", text)
    return found
