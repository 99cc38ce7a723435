"""The sandbox uses no real keys, names or addresses. With CLOUD=1 the sandbox answers only clients
that have the printed URL.

These tests repeat finding A1: `make run` in a shell that has a deployment's variables."""

from __future__ import annotations

import base64
import http.client
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import jwt
import oss2
import pytest
import requests

import javascript
from javascript import need
from running_cloud import Token
from running_sandbox import (
    ROOT,
    RUN,
    UNUSED_PORT,
    Sandbox,
    environment,
    finished,
    free_port,
    given,
    make,
    running,
    running_by_make,
    wait_for,
)
from sandbox.cloud import load_secrets
from sandbox.oss.signatures import (
    UNSIGNED_PAYLOAD,
    V4Scope,
    v4_canonical_request,
    v4_signature,
    v4_string_to_sign,
)
from scripted_sts import CREDENTIALS, ScriptedSts, scripted_sts, success

REAL_KEY = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAI5tREALKEYREALKEY",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "RealSecretRealSecretRealSec30",
}
SECRETS = {
    "JWT_SECRET": "real-login-secret-of-more-than-32-bytes",
    "CALLBACK_SECRET": "real-callback-secret-of-more-than-32-bytes",
    "MULTIPART_SECRET": "real-multipart-secret-of-more-than-32-bytes",
    "UPLOAD_HOOK_SECRET": "real-hook-secret-of-more-than-32-bytes",
}
SHELL = {
    **REAL_KEY,
    "ALIBABA_CLOUD_SECURITY_TOKEN": "CAISreal",
    "ROLE_ARN": "acs:ram::42:role/real-upload",
    "BUCKET_NAME": "real-bucket",
    "OSS_ENDPOINT": "https://oss-cn-hangzhou.aliyuncs.com",
    "OSS_INTERNAL_ENDPOINT": "https://oss-cn-hangzhou-internal.aliyuncs.com",
    "STS_ENDPOINT": "https://sts.cn-hangzhou.aliyuncs.com",
    "CALLBACK_URL": "https://token.real.example/callback",
    "UPLOAD_HOOK_URL": "https://api.real.example/uploaded",
    **SECRETS,
}
"""The variables of a shell after `set -a; . ./.env`. All values are invented."""
ORIGIN = {"Origin": "https://evil.example"}
OBJECT = "/signed-url?object=pwn.html&content_type=text/html"


# The sandbox, in such a shell


@pytest.fixture(scope="module", params=["anonymous", "jwt"])
def sandbox(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sandbox]:
    folder = tmp_path_factory.mktemp("real") / "state"
    more = {"AUTH": request.param, "POLICY_FILE": "bucket_read_write_policy"}
    with running_by_make(folder, 0, **more, **SHELL) as sandbox:
        yield sandbox


def access(sandbox: Sandbox) -> str:
    """The text that a page adds to the query of its requests: a login, or "" with AUTH=anonymous. A
    page can get a login for any user."""
    if "AUTH=anonymous" in sandbox.stdout:
        return ""
    asked = requests.get(f"{sandbox.token_url}sandbox/login?user=ceo", headers=ORIGIN, timeout=10)
    return f"&access_token={asked.json()['access_token']}"


def check_nothing_real(text: str) -> None:
    for name, value in SHELL.items():
        assert value not in text, name
        assert quote(value, safe="") not in text, name


def signature(url: str, method: str, headers: dict[str, str], bucket: str, secret: str) -> str:
    """The signature that the owner of `secret` would make for this URL in `bucket`, at the time in
    the URL."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    query.pop("x-oss-signature")
    scope = V4Scope(query["x-oss-date"][:8], "cn-hangzhou")
    key = parts.path.split("/", 2)[2]
    signed = {name.lower(): value for name, value in headers.items()}
    pairs = [(name, value, False) for name, value in query.items()]
    request = v4_canonical_request(method, f"/{bucket}/{key}", signed, pairs, [], UNSIGNED_PAYLOAD)
    return v4_signature(v4_string_to_sign(request, query["x-oss-date"], scope), secret, scope)


@pytest.mark.parametrize("wish", [OBJECT, "/signed-url?object=payroll.xlsx&method=GET"])
def test_no_signature_is_one_of_the_real_key(sandbox: Sandbox, wish: str) -> None:
    asked = requests.get(
        sandbox.token_url.rstrip("/") + wish + access(sandbox), headers=ORIGIN, timeout=10
    )
    # Every page may read the answer, because the answer contains nothing real.
    assert asked.headers["Access-Control-Allow-Origin"] == "*"
    check_nothing_real(asked.text)
    made = asked.json()
    url, method, headers = made["Url"], made["Method"], made["Headers"]
    found = dict(parse_qsl(urlsplit(url).query))
    key_id = found["x-oss-credential"].partition("/")[0]
    real_id, real_secret = REAL_KEY.values()
    for bucket in ("real-bucket", "sandbox-bucket"):
        for signer in (key_id, real_id):
            theirs = signature(url.replace(key_id, signer), method, headers, bucket, real_secret)
            assert theirs != found["x-oss-signature"]
    if "x-oss-security-token" not in found:
        # With the sandbox's own secret, signature() returns the signature that is in the URL.
        own = load_secrets(sandbox.folder)
        assert key_id == own.access_key_id
        ours = signature(url, method, headers, "sandbox-bucket", own.access_key_secret)
        assert ours == found["x-oss-signature"]


@pytest.mark.parametrize("path", ["/", "/sts", "/form", "/uploads", "/health", "/nowhere", OBJECT])
def test_no_answer_names_anything_real(sandbox: Sandbox, path: str) -> None:
    query = access(sandbox)
    url = sandbox.token_url.rstrip("/") + path + (query if "?" in path else f"?{query[1:]}")
    for asked in (requests.get(url, timeout=10), requests.post(url, timeout=10)):
        check_nothing_real(asked.text + str(asked.headers))


def test_what_is_ignored_is_said_in_one_line_without_values(sandbox: Sandbox) -> None:
    (line,) = [line for line in sandbox.stderr.splitlines() if "ignored in the environment" in line]
    assert sorted(word.strip(",") for word in line.split() if word.strip(",") in SHELL) == sorted(
        SHELL
    )
    assert "CLOUD=1" in line
    check_nothing_real(sandbox.stdout + sandbox.stderr)


def test_the_upload_lands_in_the_sandbox(sandbox: Sandbox) -> None:
    query = access(sandbox)
    token = Token.of(requests.get(f"{sandbox.token_url}?{query[1:]}", timeout=10).json())
    assert (token.bucket, token.endpoint) == ("sandbox-bucket", sandbox.endpoint)
    assert token.oss2("v4").put_object(f"{token.prefix}a", b"Hello").status == 200


def test_the_real_key_opens_nothing_there(sandbox: Sandbox) -> None:
    auth = oss2.AuthV4(*REAL_KEY.values())
    bucket = oss2.Bucket(auth, sandbox.endpoint, "sandbox-bucket", region="cn-hangzhou")
    with pytest.raises(oss2.exceptions.ServerError, match="InvalidAccessKeyId"):
        bucket.put_object("uploads/a", b"Hello")


def test_one_token_holds_nothing_real_either(tmp_path: Path) -> None:
    done = finished(make("token"), tmp_path / "state", **SHELL)
    assert json.loads(done.stdout)["StatusCode"] == 200
    assert (
        len([line for line in done.stderr.splitlines() if "ignored in the environment" in line])
        == 1
    )
    check_nothing_real(done.stdout + done.stderr)


def test_where_nothing_is_ignored_nothing_is_said(tmp_path: Path) -> None:
    done = finished(make("token"), tmp_path / "state", OBJECT_PREFIX="photos/")
    assert json.loads(done.stdout)["Scope"]["Prefix"] == "photos/"
    assert "ignored in the environment" not in done.stderr


def test_the_deployments_file_is_not_read(tmp_path: Path) -> None:
    """A checkout that was deployed has a .env in the folder of its Makefile."""
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    lines = [f"{name}={value}\n" for name, value in {**SHELL, "OBJECT_PREFIX": "real/"}.items()]
    (tmp_path / ".env").write_text("".join(lines))
    done = subprocess.run(
        make("token"),
        cwd=tmp_path,
        env={**environment(tmp_path / "state"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        timeout=20,
        check=True,
    )
    assert json.loads(done.stdout)["Scope"]["Prefix"] == "uploads/"
    assert "ignored in the environment" not in done.stderr
    check_nothing_real(done.stdout + done.stderr)


# Variables on make's command line


def test_logins_of_an_app_are_verified_with_a_key_on_the_command_line(tmp_path: Path) -> None:
    """Only logins that are signed with the given key are accepted. The environment's secret is
    ignored, and the demo sign-in is off."""
    own = "own-secret-of-more-than-32-bytes!"
    arguments = ("AUTH=jwt", f"JWT_SECRET={own}")
    with running_by_make(tmp_path / "state", 0, *arguments, **SHELL) as sandbox:
        assert sandbox.ask("/sandbox/login?user=alice")[0] == 404
        for secret, status in ((own, 200), (SECRETS["JWT_SECRET"], 401)):
            login = jwt.encode({"sub": "alice", "exp": 4e9}, secret)
            assert sandbox.answer(path=f"/?access_token={login}")["StatusCode"] == status
        assert "JWT_SECRET" not in sandbox.stderr


def test_callbacks_need_no_secret(tmp_path: Path) -> None:
    """The commands of docs/callbacks.md switch callbacks on, but set no secret. The sandbox then
    seals callbacks with its own secret, not with the environment's secret."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/callback"
    arguments = ("AUTH=jwt", f"CALLBACK_URL={url}")
    with running_by_make(tmp_path / "state", port, *arguments, **SHELL) as sandbox:
        scope = sandbox.answer(path=f"/?{access(sandbox)[1:]}")
        token, parts = Token.of(scope), scope["Scope"]
        headers = {"x-oss-callback": parts["Callback"], "x-oss-callback-var": parts["CallbackVar"]}
        stored = token.oss2("v4").put_object(f"{token.prefix}a", b"Hello", headers)
        assert json.loads(stored.resp.read())["Object"] == "uploads/ceo/a"
        assert url in base64.b64decode(parts["Callback"]).decode()
        check_nothing_real(sandbox.stdout + sandbox.stderr)


def test_an_emulators_address_is_taken_from_the_command_line(tmp_path: Path) -> None:
    endpoint = f"http://10.0.2.2:{UNUSED_PORT + 1}"
    done = finished(make("token", f"OSS_ENDPOINT={endpoint}"), tmp_path / "state")
    assert json.loads(done.stdout)["Scope"]["Endpoint"] == endpoint


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name in SHELL if name.startswith("ALIBABA") or name.endswith("ENDPOINT")]
)
def test_a_real_key_or_endpoint_is_refused_at_the_start(tmp_path: Path, name: str) -> None:
    for command in ("run", "token"):
        done = finished(make(command, f"{name}={SHELL[name]}"), tmp_path / "state")
        assert done.returncode != 0
        line = done.stderr.splitlines()[0]
        assert line.startswith(f"make {command}: {name}: ")
        assert line.endswith(". With CLOUD=1 your value is used")
        check_nothing_real(done.stdout + done.stderr)


def test_a_command_line_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    command = (*given(RUN, "JWT_SECRET"), "--make", str(2**30))
    done = finished(command, tmp_path / "state", **SECRETS)
    (line,) = done.stderr.splitlines()
    assert line.startswith(
        "make run: cannot read make's own command line, which may set JWT_SECRET: "
    )
    assert done.returncode == 1


# CLOUD=1


@pytest.fixture
def real_sts() -> Iterator[ScriptedSts]:
    """A fake STS that records all requests, and answers each with success."""
    with scripted_sts() as server:
        server.moves[:] = [success()] * 100
        yield server


@pytest.fixture
def in_cloud(tmp_path: Path, real_sts: ScriptedSts) -> Iterator[Sandbox]:
    """A sandbox with CLOUD=1. The environment has all variables that normally open a sandbox
    to web pages."""
    more = {"ALLOWED_ORIGINS": "*", "AUTH": "anonymous", "STS_ENDPOINT": real_sts.url}
    with running_by_make(tmp_path / "state", 0, "CLOUD=1", **{**SHELL, **more}) as sandbox:
        yield sandbox


def ask(sandbox: Sandbox, path: str, method: str = "GET", **headers: str) -> tuple[int, str, Any]:
    """Send a request. Return the status, all headers as one text, and the JSON of the body. The
    JSON is None if there is no body."""
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=10)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=named)
        reply = connection.getresponse()
        body = reply.read()
        return reply.status, str(reply.headers).lower(), json.loads(body) if body else None
    finally:
        connection.close()


def test_who_has_the_printed_url_gets_a_token(in_cloud: Sandbox, real_sts: ScriptedSts) -> None:
    """The URL is printed exactly once, and the function does not log it."""
    assert in_cloud.answer()["AccessKeyId"] == CREDENTIALS["AccessKeyId"]
    assert in_cloud.answer(path="/health")["StatusCode"] == 200
    assert in_cloud.answer(path="/nowhere")["StatusCode"] == 404
    assert len(real_sts.requests) == 1
    segment = urlsplit(in_cloud.token_url).path.strip("/")
    assert len(segment) == 32
    assert in_cloud.stdout.count(segment) == 1
    wait_for(lambda: in_cloud.stderr.count(" function GET /") == 3)
    assert segment not in in_cloud.stderr
    assert " function GET / 200 (" in in_cloud.stderr
    assert "ALLOWED_ORIGINS is ignored" in in_cloud.stderr
    for value in (*SECRETS.values(), REAL_KEY["ALIBABA_CLOUD_ACCESS_KEY_SECRET"]):
        assert value not in in_cloud.stdout + in_cloud.stderr


def test_everybody_else_is_refused_before_sts_is_asked(
    in_cloud: Sandbox, real_sts: ScriptedSts
) -> None:
    known = urlsplit(in_cloud.token_url).path
    refused = [
        (404, ask(in_cloud, "/")),
        (404, ask(in_cloud, "/sts")),
        (404, ask(in_cloud, OBJECT)),
        (404, ask(in_cloud, "/sandbox/login?user=ceo")),
        (404, ask(in_cloud, "/app/")),
        (404, ask(in_cloud, f"/{'0' * 32}/")),
        (403, ask(in_cloud, known, Origin="https://evil.example")),
        (403, ask(in_cloud, known, Origin=f"http://127.0.0.1:{in_cloud.port}")),
        (403, ask(in_cloud, known, "OPTIONS", Origin="https://evil.example")),
        (403, ask(in_cloud, known, Sec_Fetch_Site="cross-site")),
        (403, ask(in_cloud, known, Sec_Fetch_Site="same-site")),
        (403, ask(in_cloud, known, Host="evil.example")),
        (403, ask(in_cloud, known, Host="10.0.2.2:7080")),
    ]
    for status, (found, headers, body) in refused:
        assert (found, body["StatusCode"]) == (status, status)
        assert "access-control" not in headers
    assert real_sts.requests == []
    assert " function GET" not in in_cloud.stderr


def test_there_is_no_demo_sign_in(in_cloud: Sandbox) -> None:
    # The function itself answers.
    assert in_cloud.answer(path="/sandbox/login?user=ceo")["StatusCode"] == 404


def test_there_is_no_page(in_cloud: Sandbox) -> None:
    for path in ("/app/", "/app/config.json"):
        assert in_cloud.answer(path=path)["StatusCode"] == 404


def test_each_run_has_another_url(tmp_path: Path) -> None:
    urls = set()
    for _ in range(2):
        with running(tmp_path / "state", CLOUD="1", **SHELL) as sandbox:
            urls.add(urlsplit(sandbox.token_url).path)
    assert len(urls) == 2


def test_one_token_of_the_real_sts_is_still_printed(tmp_path: Path, real_sts: ScriptedSts) -> None:
    more = {**SHELL, "STS_ENDPOINT": real_sts.url, "AUTH": "anonymous"}
    done = finished(make("token", "CLOUD=1"), tmp_path / "state", **more)
    assert json.loads(done.stdout)["AccessKeyId"] == CREDENTIALS["AccessKeyId"]
    assert len(real_sts.requests) == 1


# Strangers' pages in a real browser


@pytest.mark.slow
def test_in_chromium_a_page_reads_nothing_real_of_the_sandbox(tmp_path: Path) -> None:
    need("a stranger's page in Chromium", browser=True)
    with running_by_make(tmp_path / "state", 0, **SHELL) as sandbox:
        done = javascript.run("browser_theft.mjs", {"url": sandbox.token_url.rstrip("/") + OBJECT})
    check_nothing_real(json.dumps(done))
    own = load_secrets(sandbox.folder).access_key_id
    # A page at 127.0.0.1 or localhost can read the answers of the sandbox, and a page at
    # evil.example cannot.
    for name in ("127.0.0.1", "localhost"):
        assert own in done["pages"][name]["get"]
    assert own not in json.dumps(done["pages"]["evil.example"])


@pytest.mark.slow
def test_in_chromium_no_page_reads_a_real_token(in_cloud: Sandbox, real_sts: ScriptedSts) -> None:
    """The test includes a page that knows the URL, and a page whose name resolves to this
    machine."""
    need("a stranger's page in Chromium", browser=True)
    done = javascript.run("browser_theft.mjs", {"url": in_cloud.token_url})
    # Here a person types the URL into the browser, so the request comes from no page. The
    # browser still shows no token.
    assert "This address is for apps" in done["typed"]["text"]
    assert CREDENTIALS["AccessKeyId"] not in done["typed"]["text"]
    assert real_sts.requests == []
    assert in_cloud.answer()["AccessKeyId"] == CREDENTIALS["AccessKeyId"]
    assert sorted(done["pages"]) == ["127.0.0.1", "evil.example", "localhost"]
    for name, got in done["pages"].items():
        assert len(got) == 7, name
        assert CREDENTIALS["AccessKeyId"] not in json.dumps(got)
    assert "ForbiddenHost" in done["pages"]["evil.example"]["get"]
