"""`/multipart`: a resumable upload by signed URLs, without credentials in the client."""

from __future__ import annotations

import time
from functools import partial

from token_service.grant import grants, wish_names
from token_service.http.messages import Request
from token_service.instance import Instance
from token_service.request_log import Record
from token_service.routes.callback_of import callback_of
from token_service.routes.refusals import NotFound
from token_service.routes.signing_rights import read_limits, require
from token_service.settings.parsing import Reader, texts
from token_service.settings.variables import JWT_ISSUER, MULTIPART_SECRET
from token_service.signing import multipart
from token_service.signing.multipart import Step
from token_service.signing.signer import Signer, lifetime


def answer(request: Request, at: Instance, record: Record) -> dict[str, object]:
    """Sign the start or a later step of an upload, with the function's own key."""
    wishes = grants.read_wishes(request, wish_names.MULTIPART)
    grant = at.grant(request, record, wishes)
    reader = Reader(at.env)
    if not reader.text(MULTIPART_SECRET):
        raise NotFound("multipart uploads are not configured: MULTIPART_SECRET is not set")
    secrets = reader.read(MULTIPART_SECRET)
    # A seal has only the first issuer, so an operator can add more issuers during an upload.
    issuer = (*texts(reader.text(JWT_ISSUER)), "")[0]
    key, limits, now = at.access_key(), at.get(read_limits), time.time()
    step = Step("start")
    if "Upload" in wishes:
        upload = multipart.unseal(wishes["Upload"], secrets, grant, limits, issuer, now)
        step = multipart.read_step(wishes, upload, at.settings.caller_urls_per_minute)
    else:
        upload = multipart.read_start(wishes, grant, limits, issuer, now)
    grant = grant._replace(object_key=upload.key)
    seconds = lifetime(wishes.get("expires"), limits, key, grant.login)
    seconds = min(seconds, upload.expires - int(now))
    require(multipart.ACTIONS[step.operation], grant, at, len(step.parts) or 1)
    signer = Signer.at(now, key, at.settings.region)
    sign = partial(signer.url, at.settings.oss_endpoint, upload.bucket, upload.key, seconds)
    callback = callback_of(grant, int(now) + seconds, at, wishes)
    signed = multipart.signed(step, upload, sign, limits, callback.query() if callback else {})
    if step.operation == "start":
        signed["Upload"] = multipart.seal(upload, secrets[0])
    return {
        "StatusCode": 200,
        **signed,
        "Expiration": signer.expiration(seconds),
        "Object": upload.key,
        "Size": upload.size,
        "PartSize": upload.part_size,
        "PartCount": upload.part_count,
        "UploadExpiration": signer.expiration(upload.expires - int(now)),
        "Scope": {"Bucket": grant.bucket, "Region": at.settings.region, "Policy": grant.policy},
    }
