"""One client in one fresh process: `python bench/client.py NAME PORT CALLS`.

Prints JSON: cold milliseconds (imports and first token), then each warm call's milliseconds, CPU
milliseconds a call, and the peak of resident memory in MB. Nothing but `time` and `sys` is
imported before the clock starts, so that each client pays for what it needs.
"""

import sys
import time

START = time.perf_counter()

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "LTAI5tBenchmarkKey"
SECRET = "benchmark-secret"
ROLE = "acs:ram::1234567890123456:role/upload"
REGION = "cn-hangzhou"
BUCKET = "benchmark-bucket"
# What bucket_read_write_policy renders to: the peers get it ready-made.
POLICY = (
    '{"Version":"1","Statement":[{"Effect":"Allow","Action":["oss:PutObject","oss:ListParts",'
    '"oss:AbortMultipartUpload","oss:GetObject"],"Resource":["acs:oss:*:*:benchmark-bucket/'
    'uploads/*"]},{"Effect":"Allow","Action":["oss:ListObjects"],"Resource":["acs:oss:*:*:'
    'benchmark-bucket"],"Condition":{"StringLike":{"oss:Prefix":["uploads/*"]}}}]}'
)


def floor(port: str) -> "Callable[[], object]":
    """The least that can be done: http.client, hmac and json."""
    import base64
    import hashlib
    import hmac
    import http.client
    import json
    import uuid
    from urllib.parse import quote

    connection = http.client.HTTPConnection("127.0.0.1", int(port))

    def call() -> object:
        parameters = {
            "Action": "AssumeRole",
            "Version": "2015-04-01",
            "Format": "JSON",
            "RoleArn": ROLE,
            "RoleSessionName": "anonymous",
            "DurationSeconds": "900",
            "Policy": POLICY,
            "AccessKeyId": KEY,
            "SignatureMethod": "HMAC-SHA1",
            "SignatureVersion": "1.0",
            "SignatureNonce": uuid.uuid4().hex,
            "Timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        form = "&".join(f"{quote(k, '~')}={quote(v, '~')}" for k, v in sorted(parameters.items()))
        to_sign = f"POST&%2F&{quote(form, '~')}"
        digest = hmac.digest(f"{SECRET}&".encode(), to_sign.encode(), hashlib.sha1)
        body = f"{form}&Signature={quote(base64.b64encode(digest), '~')}"
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", "/", body, headers)
        return json.loads(connection.getresponse().read())["Credentials"]

    return call


def handler(port: str) -> "Callable[[], object]":
    """Ours: the production handler with a real event; everything is rendered and checked.

    The stub's credentials are too short-lived to be served again: each call is one of STS's.
    """
    return _ours(port, {"AUTH": "anonymous"})


def cached(port: str) -> "Callable[[], object]":
    """Ours with a login of each caller (AUTH=jwt), and a token that is served again."""
    secret = "benchmark-secret-of-32-bytes-and-more"
    variables = {"AUTH": "jwt", "JWT_SECRET": secret, "TOKEN_EXPIRE_TIME": "3600"}
    return _ours(port, variables, {"Authorization": f"Bearer {_login(secret)}"})


def _ours(
    port: str, variables: "dict[str, str]", headers: "dict[str, str] | None" = None
) -> "Callable[[], object]":
    import json
    import os
    from pathlib import Path

    os.environ.update(
        variables,
        ALIBABA_CLOUD_ACCESS_KEY_ID=KEY,
        ALIBABA_CLOUD_ACCESS_KEY_SECRET=SECRET,
        ROLE_ARN=ROLE,
        BUCKET_NAME=BUCKET,
        OSS_REGION=REGION,
        STS_ENDPOINT=f"http://127.0.0.1:{port}",
        POLICY_FILE="bucket_read_write_policy",
    )
    root = Path(__file__).resolve().parents[1]
    sys.path.insert(0, str(root / "functions" / "sts_token"))
    document = json.loads((root / "tests" / "events" / "get_token.json").read_bytes())
    document["headers"].update(headers or {})
    event = json.dumps(document).encode()

    import index

    def call() -> object:
        answer = index.handler(event, None)
        assert '"Code":"Success"' in str(answer["body"]), answer
        return answer

    return call


def _login(secret: str) -> str:
    """A JWT by hand: its maker's imports are not the function's cold start."""
    import hmac
    import json
    from base64 import urlsafe_b64encode

    def encoded(part: bytes) -> str:
        return urlsafe_b64encode(part).decode().rstrip("=")

    parts = {"alg": "HS256"}, {"sub": "alice", "exp": int(time.time()) + 3600}
    signed = ".".join(encoded(json.dumps(part).encode()) for part in parts)
    return f"{signed}.{encoded(hmac.digest(secret.encode(), signed.encode(), 'sha256'))}"


def acs_client(port: str) -> "Callable[[], object]":
    """The vendor's AcsClient, kept between calls."""
    import json

    from aliyunsdkcore.client import AcsClient
    from aliyunsdksts.request.v20150401.AssumeRoleRequest import AssumeRoleRequest

    client = AcsClient(KEY, SECRET, REGION)

    def call() -> object:
        request = AssumeRoleRequest()
        request.set_endpoint(f"http://127.0.0.1:{port}")
        request.set_accept_format("JSON")
        request.set_RoleArn(ROLE)
        request.set_RoleSessionName("anonymous")
        request.set_DurationSeconds(900)
        request.set_Policy(POLICY)
        return json.loads(client.do_action_with_exception(request))["Credentials"]

    return call


def tea(port: str) -> "Callable[[], object]":
    """The vendor's newer SDK, alibabacloud-sts20150401, kept between calls."""
    from alibabacloud_sts20150401.client import Client
    from alibabacloud_sts20150401.models import AssumeRoleRequest
    from alibabacloud_tea_openapi.models import Config

    config = Config(
        access_key_id=KEY,
        access_key_secret=SECRET,
        endpoint=f"127.0.0.1:{port}",
        protocol="http",
        region_id=REGION,
    )
    client = Client(config)

    def call() -> object:
        request = AssumeRoleRequest(
            role_arn=ROLE, role_session_name="anonymous", duration_seconds=900, policy=POLICY
        )
        return client.assume_role(request).body.credentials.access_key_id

    return call


CLIENTS = {
    "handler": handler,
    "cached": cached,
    "floor": floor,
    "acs_client": acs_client,
    "tea": tea,
}


def measure(name: str, port: str, calls: int) -> dict[str, object]:
    """Cold, then `calls` warm calls. The first call of the process is the cold one."""
    call = CLIENTS[name](port)
    call()
    cold = time.perf_counter() - START
    times = []
    cpu = time.process_time()
    for _ in range(calls):
        begin = time.perf_counter()
        call()
        times.append((time.perf_counter() - begin) * 1000)
    cpu = time.process_time() - cpu
    return {
        "cold_ms": cold * 1000,
        "warm_ms": times,
        "cpu_ms": cpu * 1000 / calls if calls else 0.0,
        "peak_mb": _peak_mb(),
    }


def _peak_mb() -> float:
    """Peak resident memory; getrusage would count what the parent process had at the fork."""
    from pathlib import Path

    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmHWM in /proc/self/status")


if __name__ == "__main__":
    RESULT = measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    import json

    print(json.dumps(RESULT))
