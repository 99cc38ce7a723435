"""A token function that uses `AcsClient` as the vendor's examples do. It checks no login."""

import json
import os

from aliyunsdkcore.auth.credentials import StsTokenCredential
from aliyunsdkcore.client import AcsClient
from aliyunsdksts.request.v20150401.AssumeRoleRequest import AssumeRoleRequest

_POLICY = (
    '{"Version":"1","Statement":[{"Effect":"Allow","Action":["oss:PutObject","oss:ListParts",'
    '"oss:AbortMultipartUpload"],"Resource":["acs:oss:*:*:'
    f'{os.environ["BUCKET_NAME"]}/uploads/*"]}}]}}'
)
_REGION = os.environ["OSS_REGION"]
_client = AcsClient(
    region_id=_REGION,
    credential=StsTokenCredential(
        os.environ["ALIBABA_CLOUD_ACCESS_KEY_ID"],
        os.environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"],
        os.environ["ALIBABA_CLOUD_SECURITY_TOKEN"],
    ),
)


def handler(_event, _context):
    request = AssumeRoleRequest()
    request.set_protocol_type("https")
    request.set_endpoint(f"sts.{_REGION}.aliyuncs.com")
    request.set_accept_format("JSON")
    request.set_RoleArn(os.environ["ROLE_ARN"])
    request.set_RoleSessionName("anonymous")
    request.set_DurationSeconds(900)
    request.set_Policy(_POLICY)
    credentials = json.loads(_client.do_action_with_exception(request))["Credentials"]
    return {"body": json.dumps({"StatusCode": 200, **credentials})}
