"""Tests clients of an account whose public endpoint is closed. SDKs, curl and forms use the
bucket's own domain. If a client uses the public endpoint, the refusal tells the client why.
test_javascript_sdk.py tests ali-oss."""

from __future__ import annotations

import json
import logging
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest

from javascript import need, run
from localhost_names import localhost_names
from running_cloud import RunningCloud, Token, running_cloud
from scripted_sts import ScriptedSts, answer, scripted_sts
from sdk_clients import PART, Client, Refusal, client, refusal
from token_service.app import App
from token_service.http.messages import Request

SDKS = ("oss2 V4", "oss-v2")
LOGIN_SECRET = "j" * 32
STORED = {"Status": "stored"}
FOLDER = "uploads/alice/"
FORBIDDEN = Refusal(400, "PublicEndpointForbidden", "0048-00000401")
DATA: Mapping[str, Callable[[Client], object]] = {
    "put": lambda c: c.put(f"{FOLDER}a"),
    "append": lambda c: c.append(f"{FOLDER}a"),
    "get": lambda c: c.get(f"{FOLDER}a"),
    "begin": lambda c: c.begin(f"{FOLDER}a"),
    "put a part": lambda c: c.put_part(f"{FOLDER}a", "0"),
    "complete": lambda c: c.complete(f"{FOLDER}a", "0"),
    "abort": lambda c: c.abort(f"{FOLDER}a", "0"),
    "list": lambda c: c.list_v1(FOLDER),
    "list V2": lambda c: c.list_v2(FOLDER),
    "delete many": lambda c: c.delete_many([f"{FOLDER}a"]),
}


@dataclass(frozen=True)
class World:
    """The running function and sandbox, and the operator's back end."""

    cloud: RunningCloud
    hook: ScriptedSts

    def login(self) -> str:
        return jwt.encode({"sub": "alice", "exp": int(time.time()) + 300}, LOGIN_SECRET, "HS256")

    def ask(self, path: str = "/", **query: str) -> dict[str, Any]:
        """The function's answer to alice."""
        request = Request("GET", path, {"access_token": self.login(), **query})
        answered: dict[str, Any] = json.loads(self.cloud.app.respond(lambda: request).body)
        assert answered["StatusCode"] == 200, answered
        return answered

    def token(self) -> Token:
        return Token.of(self.ask())

    @property
    def public_endpoint(self) -> str:
        return f"http://127.0.0.1:{urlsplit(self.token().endpoint).port}"

    def stored(self) -> list[str]:
        """The keys of all objects in the bucket."""
        made = self.cloud.cloud
        found = made.storage.keys_from(made.bucket, b"", inclusive=True, prefix=b"", limit=100)
        return [info.key for info in found]

    def uploads(self) -> list[str]:
        """The keys that the function lists for alice."""
        return [entry["Key"] for entry in self.ask("/uploads")["Uploads"]]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with (
        localhost_names(),
        scripted_sts(answer(200, STORED)) as hook,
        running_cloud(
            tmp_path_factory.mktemp("cloud"),
            is_public_closed=True,
            AUTH="jwt",
            JWT_SECRET=LOGIN_SECRET,
            POLICY_FILE="bucket_read_write_policy",
        ) as cloud,
    ):
        # These variables are set here, because the function's URL was not known before the function
        # started.
        cloud.env.update(
            CALLBACK_URL=f"{cloud.url}/callback",
            CALLBACK_SECRET="s" * 32,
            UPLOAD_HOOK_URL=f"{hook.url}/uploaded",
            UPLOAD_HOOK_SECRET="h" * 32,
        )
        yield World(cloud, hook)


@pytest.fixture
def world(running: World) -> Iterator[World]:
    yield running
    running.cloud.cloud.storage.delete(running.cloud.cloud.bucket, running.stored())
    running.hook.received.clear()


def curl(*arguments: str) -> tuple[int, str]:
    """Run the real curl, which resolves names below localhost by itself."""
    options = ("--silent", "--show-error", "--max-time", "20", "--write-out", "%{http_code}")
    done = subprocess.run(
        ["curl", *options, *arguments],  # noqa: S607
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return int(done.stdout[-3:]), done.stdout[:-3]


# By the bucket's own domain


def test_all_that_clients_get_leads_to_the_domain(world: World) -> None:
    token = world.token()
    assert urlsplit(token.endpoint).hostname == "files.localhost"
    urls = [
        world.ask("/signed-url", object="a", method="PUT")["Url"],
        world.ask("/signed-url", object="a", method="GET")["Url"],
        world.ask("/form")["Url"],
    ]
    for url in urls:
        assert f"http://{urlsplit(url).netloc}" == token.endpoint
        # A URL with the bucket's own domain does not have the bucket in its path.
        assert token.bucket not in urlsplit(url).path


@pytest.mark.parametrize("sdk", SDKS)
def test_an_sdk_uploads_and_downloads_by_the_domain(world: World, sdk: str, tmp_path: Path) -> None:
    alice = client(sdk, world.token())
    alice.put(f"{FOLDER}a ü+", b"Hello")
    assert alice.get(f"{FOLDER}a ü+") == b"Hello"
    file = tmp_path / "large"
    file.write_bytes(bytes(3 * PART))
    alice.resume(f"{FOLDER}large", file, lambda sent: None)
    assert alice.list_v2(FOLDER) == [f"{FOLDER}a ü+", f"{FOLDER}large"]
    assert sorted(world.uploads()) == [f"{FOLDER}a ü+", f"{FOLDER}large"]


@pytest.mark.parametrize("sdk", SDKS)
def test_the_token_opens_no_more_by_the_domain(world: World, sdk: str) -> None:
    alice = client(sdk, world.token())
    for key in ("uploads/bob/a", "a", f"{alice.bucket}/{FOLDER}a"):
        refused = refusal(alice.put, key)
        assert refused is not None
        assert (refused.status, refused.code) == (403, "AccessDenied")


def test_curl_uploads_and_downloads_by_signed_urls(world: World) -> None:
    put = world.ask("/signed-url", object="a.txt", content_type="text/plain")
    assert curl("--upload-file", __file__, "-H", "Content-Type: text/plain", put["Url"])[0] == 200
    get = world.ask("/signed-url", object="a.txt", method="GET")
    assert curl(get["Url"]) == (200, Path(__file__).read_text(encoding="utf-8"))
    assert world.uploads() == [f"{FOLDER}a.txt"]


def test_curl_posts_a_form(world: World, tmp_path: Path) -> None:
    assert curl(*form_arguments(world, tmp_path))[0] == 200
    assert world.uploads() == [f"{FOLDER}hello.txt"]


def form_arguments(world: World, folder: Path, url: str = "") -> list[str]:
    form = world.ask("/form")
    (folder / "hello.txt").write_text("Hello")
    fields = [f"{name}={value}" for name, value in form["Fields"].items()]
    strings = [part for field in fields for part in ("--form-string", field)]
    return [*strings, "--form", f"file=@{folder / 'hello.txt'}", url or form["Url"]]


@pytest.mark.slow
def test_a_page_posts_a_form(world: World) -> None:
    need("the browser's form upload", browser=True)
    form = world.ask("/form")
    file = {"name": "hello.txt", "type": "text/plain", "text": "Hello"}
    public = f"{world.public_endpoint}/{world.token().bucket}"
    posts = [{"url": url, "fields": form["Fields"], "file": file} for url in (form["Url"], public)]
    stored, refused = run("browser_form.mjs", {"posts": posts})["outcomes"]
    assert stored["status"] == 200
    assert refused["status"] == 400
    assert "<Code>PublicEndpointForbidden</Code>" in refused["text"]
    assert world.uploads() == [f"{FOLDER}hello.txt"]


def test_a_callback_comes_and_the_function_looks_at_the_object(world: World) -> None:
    """The function asks OSS about the object through the internal endpoint. The public endpoint
    would refuse this request."""
    answered = world.ask()
    scope = answered["Scope"]
    token = Token.of(answered)
    headers = {"x-oss-callback": scope["Callback"], "x-oss-callback-var": scope["CallbackVar"]}
    put = token.oss2("v4").put_object(f"{FOLDER}a", b"Hello", headers)
    assert json.loads(put.resp.read()) == STORED
    assert len(world.hook.received) == 1


def test_the_function_is_told_the_reason_where_it_asks_by_the_public_endpoint(
    world: World,
) -> None:
    env = {**world.cloud.env, "OSS_INTERNAL_ENDPOINT": world.public_endpoint}
    with closing(App(env)) as app:
        query = {"access_token": world.login()}
        answered = json.loads(app.respond(lambda: Request("GET", "/uploads", query)).body)
    assert answered["ErrorCode"] == "PublicEndpointForbidden"


# By the public endpoint


@pytest.mark.parametrize("call", DATA)
@pytest.mark.parametrize("sdk", SDKS)
def test_an_sdk_is_told_the_reason_and_asks_once(
    world: World, sdk: str, call: str, caplog: pytest.LogCaptureFixture
) -> None:
    token = replace(world.token(), endpoint=world.public_endpoint, is_cname=False)
    alice = client(sdk, token)
    with caplog.at_level(logging.INFO, "sandbox.oss"):
        assert refusal(DATA[call], alice) == FORBIDDEN
    asked = [record for record in caplog.records if record.name == "sandbox.oss"]
    assert len(asked) == 1
    assert world.stored() == []


def test_curl_is_told_the_reason(world: World, tmp_path: Path) -> None:
    signed = urlsplit(world.ask("/signed-url", object="a.txt")["Url"])
    path = f"{world.token().bucket}{signed.path}?{signed.query}"
    requests = [
        ["--upload-file", __file__, f"{world.public_endpoint}/{path}"],
        form_arguments(world, tmp_path, f"{world.public_endpoint}/{world.token().bucket}/"),
    ]
    for arguments in requests:
        status, text = curl(*arguments)
        assert (status, "<Code>PublicEndpointForbidden</Code>" in text) == (400, True)
    assert world.stored() == []
