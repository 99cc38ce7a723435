"""Tests each route with an OSS_ENDPOINT that is a domain bound to the bucket, on the sandbox's OSS.

The tests do not resolve the name of the domain. They send a client's request to the sandbox, with
the domain in the Host header.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import oss2
import pytest

from post_forms import BOUNDARY, multipart
from running_cloud import RunningCloud, running_cloud
from signed_logins import SECRET, login
from token_service.http.messages import Request

DOMAIN = "https://files.example.com"
BUCKET = "sandbox-bucket"
READ_WRITE = "bucket_read_write_policy"


@dataclass(frozen=True)
class World:
    """A cloud whose bucket has a domain."""

    cloud: RunningCloud
    port: int
    endpoint: str

    def ask(self, path: str = "/", **wishes: str) -> dict[str, Any]:
        """The function's answer to alice."""
        query = {"access_token": login(SECRET, sub="alice"), **wishes}
        response = self.cloud.app.respond(lambda: Request("GET", path, query))
        answer: dict[str, Any] = json.loads(response.body)
        assert answer["StatusCode"] == 200, answer
        return answer

    def send(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> tuple[int, bytes]:
        """Send a client's request for this URL to OSS."""
        parts = urlsplit(url)
        assert f"{parts.scheme}://{parts.netloc}" == self.endpoint
        assert BUCKET not in parts.path
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            target = f"{parts.path}?{parts.query}" if parts.query else parts.path
            connection.request(method, target, body, {"Host": parts.netloc, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@pytest.fixture(scope="module", params=["of a deployment", "of the sandbox"])
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """The domain of a deployment or of the sandbox. In a deployment, the function itself uses OSS's
    internal endpoint. In the sandbox, the function uses the domain, too."""
    folder: Path = tmp_path_factory.mktemp("cloud")
    real = socket.getaddrinfo

    def resolved(host: Any, *args: Any, **more: Any) -> Any:
        return real("127.0.0.1" if host == b"files.localhost" else host, *args, **more)

    with (
        pytest.MonkeyPatch.context() as patch,
        running_cloud(folder, AUTH="jwt", JWT_SECRET=SECRET, POLICY_FILE=READ_WRITE) as cloud,
    ):
        patch.setattr(socket, "getaddrinfo", resolved)
        port = urlsplit(cloud.env["OSS_ENDPOINT"]).port
        assert port is not None
        endpoint = DOMAIN
        if request.param == "of the sandbox":
            endpoint = f"http://files.localhost:{port}"
            del cloud.env["OSS_INTERNAL_ENDPOINT"]
        cloud.env.update(
            OSS_ENDPOINT=endpoint,
            CALLBACK_URL=f"{cloud.url}/callback",
            CALLBACK_SECRET="s" * 32,
            FC_REGION="cn-hangzhou",
        )
        yield World(cloud, port, endpoint)


def test_a_token_says_so_and_is_good_there(world: World) -> None:
    token = world.ask()
    scope = token["Scope"]
    assert (scope["Endpoint"], scope["Cname"]) == (world.endpoint, True)
    auth = oss2.StsAuth(
        token["AccessKeyId"], token["AccessKeySecret"], token["SecurityToken"], auth_version="v4"
    )
    bucket = oss2.Bucket(
        auth, scope["Endpoint"], scope["Bucket"], is_cname=scope["Cname"], region=scope["Region"]
    )
    url = bucket.sign_url("PUT", "uploads/alice/by token.txt", 60, slash_safe=True)
    assert world.send("PUT", url, body=b"by token")[0] == 200


def test_a_signed_url_leads_there_and_back(world: World) -> None:
    name = "\u7167\u7247 1+1.jpg"
    made = world.ask("/signed-url", object=name, content_type="image/jpeg")
    status, _ = world.send("PUT", made["Url"], made["Headers"], b"picture")
    assert status == 200
    for method, body in (("GET", b"picture"), ("HEAD", b"")):
        made = world.ask("/signed-url", object=name, method=method)
        answer = world.send(method, made["Url"])
        assert answer == (200, body), (made, answer)


def test_a_signature_is_for_its_bucket_and_key_only(world: World) -> None:
    url = world.ask("/signed-url", object="one.txt")["Url"]
    assert world.send("PUT", url.replace("one.txt", "two.txt"))[0] == 403


def test_a_form_is_posted_there(world: World) -> None:
    form = world.ask("/form", object="form.txt")
    assert form["Url"] == f"{world.endpoint}/"
    assert form["host"] == world.endpoint
    parts = [(f'name="{name}"', text.encode()) for name, text in form["Fields"].items()]
    parts.append(('name="file"; filename="x"', b"by form"))
    content_type = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    status, answer = world.send("POST", form["Url"], content_type, multipart(parts))
    assert status == 200, answer


def test_oss_calls_back_and_the_function_looks_at_the_object(world: World) -> None:
    made = world.ask("/signed-url", object="called.txt", content_type="text/plain")
    status, answer = world.send("PUT", made["Url"], made["Headers"], b"called")
    assert status == 200
    said = json.loads(answer)
    assert (said["Status"], said["Object"], said["Size"]) == ("OK", "uploads/alice/called.txt", 6)


def test_uploads_are_listed(world: World) -> None:
    made = world.ask("/signed-url", object="listed.txt", content_type="text/plain")
    assert world.send("PUT", made["Url"], made["Headers"], b"listed")[0] == 200
    listing = world.ask("/uploads", details="1")
    types = {entry["Key"]: entry["ContentType"] for entry in listing["Uploads"]}
    assert types["uploads/alice/listed.txt"] == "text/plain"


def test_health_says_which_host_the_function_takes(world: World) -> None:
    is_elsewhere = world.endpoint == DOMAIN
    host = f"127.0.0.1:{world.port}" if is_elsewhere else urlsplit(world.endpoint).netloc
    assert world.ask("/health")["OssHost"] == host
