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
# As in Function Compute, whose keys are temporary: much of a signed URL is the token.
TOKEN = "CAIS" + "A+/=" * 225
DEPLOYED = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": KEY,
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": SECRET,
    "ROLE_ARN": ROLE,
    "BUCKET_NAME": BUCKET,
    "OSS_REGION": REGION,
}
OBJECT = "photos/2026/holiday.jpg"
CONTENT_TYPE = "image/jpeg"
PARTS = 100
"""Of one call of /multipart."""
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
    return _tokens(_index(port), _event("/"))


def cached(port: str) -> "Callable[[], object]":
    """Ours: a token that is served again."""
    return _tokens(_index(port, TOKEN_EXPIRE_TIME="3600"), _event("/"))


def cached_jwt(port: str) -> "Callable[[], object]":
    """Ours with a login of each caller (AUTH=jwt), and a token that is served again."""
    secret = "benchmark-secret-of-32-bytes-and-more"
    handle = _index(port, AUTH="jwt", JWT_SECRET=secret, TOKEN_EXPIRE_TIME="3600")
    return _tokens(handle, _event("/", access_token=_login(secret)))


def _tokens(
    handle: "Callable[[bytes, object], dict[str, object]]", event: bytes
) -> "Callable[[], object]":
    def call() -> object:
        answer = handle(event, None)
        assert '"Code":"Success"' in str(answer["body"]), answer
        return answer

    return call


def _index(port: str, **variables: str) -> "Callable[[bytes, object], dict[str, object]]":
    """The production handler, with the environment of a deployment."""
    import os

    os.environ.update(
        {
            **DEPLOYED,
            "STS_ENDPOINT": f"http://127.0.0.1:{port}",
            "POLICY_FILE": "bucket_read_write_policy",
            "AUTH": "anonymous",
            **variables,
        }
    )
    _find_ours()
    import index

    return index.handler


def _find_ours() -> None:
    sys.path.insert(0, f"{_root()}/functions/sts_token")


def _root() -> str:
    # Not by pathlib: the clock runs, and the function does without.
    import os

    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _event(path: str, **query: str) -> bytes:
    """The golden event, for a path and a query."""
    import json

    with open(f"{_root()}/tests/events/get_token.json", "rb") as golden:
        event = json.load(golden)
    event["rawPath"] = event["requestContext"]["http"]["path"] = path
    event["queryParameters"] = query
    return json.dumps(event).encode()


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


def url_handler(port: str) -> "Callable[[], object]":
    """Ours: a signed URL from the production handler with a real event."""
    handle = _index(port, ALIBABA_CLOUD_SECURITY_TOKEN=TOKEN)
    event = _event("/signed-url", object=OBJECT, content_type=CONTENT_TYPE)

    def call() -> object:
        answer = handle(event, None)
        assert "x-oss-signature=" in str(answer["body"]), answer
        return answer

    return call


def url_parts(port: str) -> "Callable[[], object]":
    """Ours: the signed URLs of a call for many parts, from the production handler."""
    import json

    handle = _index(
        port,
        ALIBABA_CLOUD_SECURITY_TOKEN=TOKEN,
        MULTIPART_SECRET="a-secret-of-32-bytes-or-more-here",
    )

    def ask(**wishes: str) -> "dict[str, object]":
        event = json.loads(_event("/multipart", **wishes))
        event["requestContext"]["http"]["method"] = "POST"
        answer: dict[str, object] = json.loads(
            str(handle(json.dumps(event).encode(), None)["body"])
        )
        assert answer["StatusCode"] == 200, answer
        return answer

    begun = ask(object=OBJECT, size=str(PARTS * 5 * 1024 * 1024), content_type=CONTENT_TYPE)
    numbers = ",".join(map(str, range(1, PARTS + 1)))

    def call() -> object:
        return ask(
            Upload=str(begun["Upload"]), upload_id="0004B9894A22E5B1888A1E29F8236E2D", parts=numbers
        )

    return call


def url_ours(_: str) -> "Callable[[], object]":
    """Ours: from the wishes to a signed URL, without the handler around it."""
    _find_ours()
    from token_service.grant.grants import Grant
    from token_service.settings.parsing import Reader
    from token_service.settings.reading import read_settings
    from token_service.settings.values import AccessKey
    from token_service.signing import limits
    from token_service.signing import signed_urls as presign

    env = {"ROLE_ARN": ROLE, "BUCKET_NAME": BUCKET, "OSS_REGION": REGION, "AUTH": "anonymous"}
    settings, allowed = read_settings(env), limits.read(Reader(env))
    key = AccessKey(KEY, SECRET, TOKEN)
    grant = Grant(BUCKET, "uploads/", f"uploads/{OBJECT}", "bucket_write_policy", 900, "anonymous")
    wishes = {"object": OBJECT, "content_type": CONTENT_TYPE}

    def call() -> object:
        wish = presign.read_wish(wishes, allowed, key, None)
        return presign.signed_url(grant, wish, settings, key, time.time())["Url"]

    return call


def url_oss2(_: str) -> "Callable[[], object]":
    """oss2, the vendor's SDK, kept between calls."""
    import oss2

    auth = oss2.StsAuth(KEY, SECRET, TOKEN, auth_version="v4")
    bucket = oss2.Bucket(auth, f"https://oss-{REGION}.aliyuncs.com", BUCKET, region=REGION)
    headers = {"Content-Type": CONTENT_TYPE}

    def call() -> object:
        return bucket.sign_url("PUT", f"uploads/{OBJECT}", 900, headers=headers, slash_safe=True)

    return call


def url_oss_v2(_: str) -> "Callable[[], object]":
    """The vendor's newer SDK, alibabacloud-oss-v2, kept between calls."""
    from datetime import timedelta

    import alibabacloud_oss_v2 as oss

    config = oss.config.load_default()
    config.credentials_provider = oss.credentials.StaticCredentialsProvider(KEY, SECRET, TOKEN)
    config.region = REGION
    client = oss.Client(config)

    def call() -> object:
        request = oss.PutObjectRequest(
            bucket=BUCKET, key=f"uploads/{OBJECT}", content_type=CONTENT_TYPE
        )
        return client.presign(request, expires=timedelta(seconds=900)).url

    return call


CLIENTS = {
    "floor": floor,
    "handler": handler,
    "cached": cached,
    "cached_jwt": cached_jwt,
    "acs_client": acs_client,
    "tea": tea,
    "url_ours": url_ours,
    "url_handler": url_handler,
    "url_parts": url_parts,
    "url_oss2": url_oss2,
    "url_oss_v2": url_oss_v2,
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
