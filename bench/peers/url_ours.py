"""Makes one signed URL with the package's own modules. The SDKs are compared with this program."""

import os
import time

from token_service.grant.grants import Grant
from token_service.settings.parsing import Reader
from token_service.settings.reading import read_settings
from token_service.settings.values import AccessKey
from token_service.signing import limits, signed_urls

_BUCKET = os.environ["BUCKET_NAME"]
_environment = {**os.environ, "AUTH": "anonymous"}
_settings, _limits = read_settings(_environment), limits.read(Reader(_environment))
_key = AccessKey(
    os.environ["ALIBABA_CLOUD_ACCESS_KEY_ID"],
    os.environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"],
    os.environ["ALIBABA_CLOUD_SECURITY_TOKEN"],
)
_OBJECT = "photos/2026/holiday.jpg"
_grant = Grant(_BUCKET, "uploads/", f"uploads/{_OBJECT}", "bucket_write_policy", 900, "anonymous")
_WISHES = {"object": _OBJECT, "content_type": "image/jpeg"}


def handler(_event, _context):
    wish = signed_urls.read_wish(_WISHES, _limits, _key, None)
    url = signed_urls.signed_url(_grant, wish, _settings, _key, time.time())["Url"]
    return {"body": f'{{"StatusCode":200,"Url":"{url}"}}'}
