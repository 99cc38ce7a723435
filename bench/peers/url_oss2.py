"""Makes only a signed URL with oss2, the vendor's SDK. The objects of oss2 are made once, and are
kept between calls."""

import os

import oss2

_auth = oss2.StsAuth(
    os.environ["ALIBABA_CLOUD_ACCESS_KEY_ID"],
    os.environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"],
    os.environ["ALIBABA_CLOUD_SECURITY_TOKEN"],
    auth_version="v4",
)
_REGION = os.environ["OSS_REGION"]
_bucket = oss2.Bucket(
    _auth, f"https://oss-{_REGION}.aliyuncs.com", os.environ["BUCKET_NAME"], region=_REGION
)
_HEADERS = {"Content-Type": "image/jpeg"}


def handler(_event, _context):
    url = _bucket.sign_url(
        "PUT", "uploads/photos/2026/holiday.jpg", 900, headers=_HEADERS, slash_safe=True
    )
    return {"body": f'{{"StatusCode":200,"Url":"{url}"}}'}
