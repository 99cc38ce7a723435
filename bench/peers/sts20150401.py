"""A token function with the vendor's newer SDK, alibabacloud-sts20150401, without a login."""

import json
import os

from alibabacloud_sts20150401.client import Client
from alibabacloud_sts20150401.models import AssumeRoleRequest
from alibabacloud_tea_openapi.models import Config

_POLICY = (
    '{"Version":"1","Statement":[{"Effect":"Allow","Action":["oss:PutObject","oss:ListParts",'
    '"oss:AbortMultipartUpload"],"Resource":["acs:oss:*:*:'
    f'{os.environ["BUCKET_NAME"]}/uploads/*"]}}]}}'
)
_client = Client(
    Config(
        access_key_id=os.environ["ALIBABA_CLOUD_ACCESS_KEY_ID"],
        access_key_secret=os.environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"],
        security_token=os.environ["ALIBABA_CLOUD_SECURITY_TOKEN"],
        endpoint=f"sts.{os.environ['OSS_REGION']}.aliyuncs.com",
        region_id=os.environ["OSS_REGION"],
    )
)


def handler(_event, _context):
    request = AssumeRoleRequest(
        role_arn=os.environ["ROLE_ARN"],
        role_session_name="anonymous",
        duration_seconds=900,
        policy=_POLICY,
    )
    credentials = _client.assume_role(request).body.credentials
    return {"body": json.dumps({"StatusCode": 200, **credentials.to_map()})}
