"""A token function with only the standard library: a login by HS256, and AssumeRole."""

import base64
import hashlib
import hmac
import http.client
import json
import os
import time
import uuid
from urllib.parse import quote

_connection = http.client.HTTPSConnection(f"sts.{os.environ['OSS_REGION']}.aliyuncs.com", timeout=5)


def handler(event, _context):
    request = json.loads(event)
    try:
        user = verify(request["headers"]["Authorization"].removeprefix("Bearer "))
    except (KeyError, ValueError) as error:
        return _answer({"StatusCode": 401, "ErrorCode": "BadLogin", "ErrorMessage": str(error)})
    return _answer({"StatusCode": 200, **assume_role(user)})


def verify(login):
    signed, _, signature = login.rpartition(".")
    header, claims = (json.loads(_decoded(part)) for part in signed.split("."))
    wanted = hmac.digest(os.environ["JWT_SECRET"].encode(), signed.encode(), "sha256")
    if header["alg"] != "HS256" or not hmac.compare_digest(wanted, _decoded(signature)):
        raise ValueError("the login is not signed with our secret")
    if claims["exp"] < time.time():
        raise ValueError("the login has ended")
    return claims["sub"]


def assume_role(user):
    objects = f"acs:oss:*:*:{os.environ['BUCKET_NAME']}/uploads/{user}/*"
    action = ["oss:PutObject", "oss:ListParts", "oss:AbortMultipartUpload"]
    statement = {"Effect": "Allow", "Action": action, "Resource": [objects]}
    parameters = {
        "Action": "AssumeRole", "Version": "2015-04-01", "Format": "JSON",
        "RoleArn": os.environ["ROLE_ARN"], "RoleSessionName": user, "DurationSeconds": "900",
        "Policy": json.dumps({"Version": "1", "Statement": [statement]}, separators=(",", ":")),
        "AccessKeyId": os.environ["ALIBABA_CLOUD_ACCESS_KEY_ID"],
        "SecurityToken": os.environ["ALIBABA_CLOUD_SECURITY_TOKEN"],
        "SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0",
        "SignatureNonce": uuid.uuid4().hex,
        "Timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }  # fmt: skip
    form = "&".join(f"{name}={quote(value, '~')}" for name, value in sorted(parameters.items()))
    key = f"{os.environ['ALIBABA_CLOUD_ACCESS_KEY_SECRET']}&".encode()
    digest = hmac.digest(key, f"POST&%2F&{quote(form, '~')}".encode(), hashlib.sha1)
    body = f"{form}&Signature={quote(base64.b64encode(digest), '~')}"
    _connection.request("POST", "/", body, {"Content-Type": "application/x-www-form-urlencoded"})
    return json.loads(_connection.getresponse().read())["Credentials"]


def _decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _answer(document):
    headers = {"Content-Type": "application/json"}
    return {"statusCode": 200, "headers": headers, "body": json.dumps(document)}
