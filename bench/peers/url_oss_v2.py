"""Makes only a signed URL with alibabacloud-oss-v2, the vendor's newer SDK. All calls use the same
client of the SDK."""

import os
from datetime import timedelta

import alibabacloud_oss_v2 as oss

_config = oss.config.load_default()
_config.credentials_provider = oss.credentials.StaticCredentialsProvider(
    os.environ["ALIBABA_CLOUD_ACCESS_KEY_ID"],
    os.environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"],
    os.environ["ALIBABA_CLOUD_SECURITY_TOKEN"],
)
_config.region = os.environ["OSS_REGION"]
_client = oss.Client(_config)


def handler(_event, _context):
    request = oss.PutObjectRequest(
        bucket=os.environ["BUCKET_NAME"],
        key="uploads/photos/2026/holiday.jpg",
        content_type="image/jpeg",
    )
    url = _client.presign(request, expires=timedelta(seconds=900)).url
    return {"body": f'{{"StatusCode":200,"Url":"{url}"}}'}
