"""`/callback`: OSS reports an upload. The report is verified, logged and sent to the webhook."""

from __future__ import annotations

import time

from token_service.callback import verify
from token_service.callback.public_keys import OssKeys
from token_service.callback.webhook import Webhook
from token_service.http.messages import Request
from token_service.instance import Instance
from token_service.login import brakes
from token_service.oss_client import oss_of
from token_service.request_log import Record
from token_service.routes.callback_of import callback_settings
from token_service.routes.refusals import NotFound
from token_service.settings.parsing import Reader
from token_service.settings.variables import CALLBACK_SECRET, UPLOAD_HOOK_SECRET

CALLBACK_SECONDS = 4.0
"""OSS waits 5 s, including a cold start and the network."""


def answer(request: Request, at: Instance, record: Record) -> dict[str, object]:
    """Answer with success only if the callback is verified, and OSS's own data agree with it."""
    end = at.end(CALLBACK_SECONDS)
    settings = at.get(callback_settings)
    if settings is None:
        raise NotFound("callbacks are not configured", "CALLBACK_URL is not set")
    callback = verify.verify(
        request,
        settings,
        Reader(at.env).read(CALLBACK_SECRET),
        at.get(_public_keys),
        now=time.time(),
        end=end,
    )
    record.caller = callback.caller
    head = at.get(oss_of).head(callback.object_key, at.access_key(), end)
    upload = verify.confirm(callback, head)
    # The app's own variables are left out, as they may hold an address or a phone number.
    record.upload = upload._replace(variables={}).members()
    if at.settings.auth.brakes is not None:
        # The object is stored, and the log names it. A denied caller's upload calls no webhook.
        brakes.apply_to_upload(callback.caller, callback.issued, at.settings.auth.brakes)
    webhook = at.get(_webhook)
    if webhook is None:
        return {"StatusCode": 200, "Status": "OK", **upload.members()}
    return webhook.deliver(upload, Reader(at.env).read(UPLOAD_HOOK_SECRET)[0], end)


def _public_keys(at: Instance) -> OssKeys:
    settings = at.get(callback_settings)
    return OssKeys(settings.public_key_url if settings else None)


def _webhook(at: Instance) -> Webhook | None:
    settings = at.get(callback_settings)
    return Webhook(settings.hook) if settings and settings.hook else None
