"""Makes resumable uploads. The client keeps a seal, and gets a signed URL for each request (vendor
documentation, "InitiateMultipartUpload" and the four operations after it).

The seal has all that the next call needs. The function signs each URL with its own key. A URL is
only for the object that the seal names, and never for reading. Three things are not verified on the
real OSS (assumptions 49, 50 and 51): that OSS checks a part's signed content-length, obeys
x-oss-forbid-overwrite at completion, and then calls back.
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
"""The size of every part in every upload; only the last part may be smaller. OSS accepts at most
10,000 parts, of 100 KiB to 5 GiB. All uploads have the same part size. If part sizes differed, a
client could combine two seals for one object: the number of parts from one seal, and the size of
each part from the other. The stored object could then be larger than either seal allows."""
MAX_PARTS = 100
"""The maximum number of parts in one call. A client waits while the parts are signed."""
UPLOAD_SECONDS = 7 * 24 * 3600
"""How long a seal is valid. Buckets of template.yml keep unfinished parts for the same time."""

_PUT, _LIST, _ABORT = "oss:PutObject", "oss:ListParts", "oss:AbortMultipartUpload"
ACTIONS = {"start": _PUT, "parts": _PUT, "list": _LIST, "complete": _PUT, "abort": _ABORT}
"""The operations that are signed, each with the action that a policy must allow."""


class UploadRefused(ServiceError):
    """Raised for an `Upload` that is altered or expired, is for another caller, bucket, issuer or
    version, or exceeds the current limits. The answer is always the same, so a stranger learns
    nothing."""

    status = 403
    code = "UploadRefused"


class Upload(NamedTuple):
    """The sealed values. `issuer` is the first of JWT_ISSUER, or ""; `caller` is the session name.
    `size` is the size of the object, and `part_size` is that of a full part (in bytes). OSS stores
    the object with `headers` (Content-Type, Content-Disposition). `expires` is in unix seconds."""

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
        """The number of parts; the first part is number 1."""
        return -(-self.size // self.part_size)


class Step(NamedTuple):
    """An operation of ACTIONS. `parts` are part numbers. A list continues after number `after`."""

    operation: str
    upload_id: str = ""
    parts: tuple[int, ...] = ()
    after: str = ""


Sign = Callable[[str, Mapping[str, str], Mapping[str, str]], str]
"""Signs a URL of the upload's object. Arguments: method, query, headers that must be sent."""


def read_start(
    wishes: Mapping[str, str], grant: Grant, limits: Limits, issuer: str, now: float
) -> Upload:
    """Check the wishes for a new upload. `grant` has the object's name and the policy. Raises
    InvalidParameter if a wish is missing, malformed or not allowed, or not for a new upload."""
    for name in sorted(wishes.keys() & MULTIPART_STEP):
        raise InvalidParameter(name, "needs Upload too; the answer to the first request has Upload")
    if grant.object_key is None:
        raise InvalidParameter("object", "must be the object's name; or send name=auto instead")
    if wishes.get("size", "0") == "0":
        raise InvalidParameter("size", "must be given, at least 1; for size 0 use /signed-url")
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
    """Return the seal of an upload, which the client keeps."""
    return sealing.seal(upload, "multipart", "1", secret)


def unseal(
    text: str, secrets: tuple[bytes, ...], grant: Grant, limits: Limits, issuer: str, now: float
) -> Upload:
    """Return the upload in the seal `text`. Raises UploadRefused if the seal is wrong, or if the
    upload is not this caller's, has expired, or is not allowed by today's limits."""
    opened = sealing.unseal(text, "multipart", "1", secrets)
    if opened is not None:
        upload = Upload(*opened)
        whose = (issuer, grant.session_name, grant.bucket, PART_BYTES)
        is_theirs = upload[:4] == whose and upload.key.startswith(grant.prefix)
        if is_theirs and now < upload.expires and _is_within(upload, limits):
            return upload
    raise UploadRefused("Upload: it is not yours, or it is no longer valid; start the upload again")


def read_step(wishes: Mapping[str, str], upload: Upload, per_minute: int) -> Step:
    """Check the wishes for a step of an upload; `per_minute` is CALLER_URLS_PER_MINUTE, where 0
    means no limit. Raises InvalidParameter."""
    for name in sorted(wishes.keys() & MULTIPART_START):
        raise InvalidParameter(name, "is allowed only at the start of an upload")
    upload_id, action = wishes.get("upload_id", ""), wishes.get("action")
    if OWN_VARIABLES in wishes and action != "complete":
        raise InvalidParameter(OWN_VARIABLES, "is for action=complete only")
    if not re.fullmatch("[A-Za-z0-9]{1,64}", upload_id):
        raise InvalidParameter("upload_id", "must be OSS's UploadId: 1 to 64 letters and digits")
    if action is None and "parts" in wishes:
        return Step("parts", upload_id, _numbers(wishes["parts"], upload.part_count, per_minute))
    if action not in ("list", "complete", "abort") or "parts" in wishes:
        raise InvalidParameter(
            "action", "must be 'list', 'complete' or 'abort'; leave it out if 'parts' is sent"
        )
    after = wishes.get("after", "")
    if after and action != "list":
        raise InvalidParameter("after", "is for action=list only")
    if after:
        whole_wish("after", after, "numbers of parts", 0, upload.part_count)
    return Step(action, upload_id, after=after)


def signed(
    step: Step, upload: Upload, sign: Sign, limits: Limits, callback: Mapping[str, str]
) -> dict[str, object]:
    """Sign the URLs of one step: a URL for each part, or one URL if the step has no parts.
    `callback` has the parameters with which OSS calls back once the upload is complete."""
    query, headers = {"uploadId": step.upload_id}, {}
    if step.operation == "parts":
        return {"Parts": [_part(number, query, upload, sign) for number in step.parts]}
    if step.operation == "start":
        query, headers = {"uploads": ""}, dict(upload.headers)
    elif step.operation == "complete":
        query.update(callback)
        # The type is set, because otherwise clients send a default type, which is not signed.
        headers["Content-Type"] = "application/xml"
        headers.update({} if limits.may_overwrite else upload_headers.FORBID_OVERWRITE)
    elif step.after:
        query["part-number-marker"] = step.after
    method = {"list": "GET", "abort": "DELETE"}.get(step.operation, "POST")
    return {"Url": sign(method, query, headers), "Method": method, "Headers": headers}


def _part(number: int, query: Mapping[str, str], upload: Upload, sign: Sign) -> dict[str, object]:
    size = min(PART_BYTES, upload.size - (number - 1) * PART_BYTES)
    # `Headers` is empty: HTTP clients set Content-Length themselves, and pages cannot set it.
    url = sign("PUT", {**query, "partNumber": str(number)}, {"Content-Length": str(size)})
    return {"Number": number, "Url": url, "Method": "PUT", "Headers": {}, "Size": size}


def _is_within(upload: Upload, limits: Limits) -> bool:
    """Whether today's limits would allow the upload. Overwriting is checked at completion."""
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
        text = f"must list at most {most}{why} part numbers from 1 to {count}, each only once"
        raise InvalidParameter("parts", text)
    return found
