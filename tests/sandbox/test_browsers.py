"""A person who opens the function's URL in a browser gets a text; every other client gets JSON."""

from __future__ import annotations

import http.client
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import requests

import javascript
import needs
from javascript import need
from running_sandbox import Sandbox, running
from sandbox import browsers, gateway
from sandbox.environment import PUBLIC_KEY_PATH
from sandbox.servers import Service, in_background, listen

CHROMIUM = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;"
    "q=0.8,application/signed-exchange;v=b3;q=0.7"
)
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
KEYS = '{"AccessKeySecret": "secret"}'
POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


@dataclass
class Site:
    """The gateway's port, and the paths that reached the function. The function returns keys."""

    port: int
    seen: list[str] = field(default_factory=list)

    def ask(
        self, path: str = "/", *accept: str, method: str = "GET", **headers: str
    ) -> tuple[int, http.client.HTTPMessage, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.putrequest(method, path, skip_host="host" in headers)
        for value in accept:
            connection.putheader("Accept", value)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, answer.headers, body


def serve(page: str | None) -> Iterator[Site]:
    site = Site(0)

    def handler(event: bytes, context: object) -> dict[str, object]:
        site.seen.append(json.loads(event)["rawPath"])
        headers = {"Content-Type": "application/json", "Vary": "Origin"}
        return {"statusCode": 200, "headers": headers, "body": KEYS, "isBase64Encoded": False}

    function = gateway.create_app(handler, lambda context: None, public_key=b"PEM")
    service = Service(browsers.create_app(function, page), listen(0))
    with in_background([service]):
        site.port = service.port
        yield site


@pytest.fixture
def site() -> Iterator[Site]:
    yield from serve("/app/")


@pytest.mark.parametrize(
    "accept",
    [
        [CHROMIUM],
        [FIREFOX],
        ["text/html"],
        ["*/*, text/html"],
        ["application/json, text/html;q=0.1"],
        ["text/html;level=1"],
        ["TEXT/HTML ; q=1"],
        ["application/json", "text/html"],
        ["text/html;q=x"],
        ["text/html;q=0, text/html"],
    ],
)
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/?access_token=x",
        "/sts",
        "//",
        "/signed-url?object=a",
        "/form",
        "/health",
        "/uploads/",
    ],
)
def test_who_asks_for_html_by_name_gets_a_line_and_no_key(
    site: Site, path: str, accept: list[str]
) -> None:
    status, headers, body = site.ask(path, *accept)
    assert (status, site.seen) == (200, [])
    assert "This address is for apps" in body
    assert "<a href='/app/'>" in body
    assert "<script" not in body
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Content-Security-Policy"] == POLICY
    assert headers["Vary"] == "Accept, Accept-Language"
    assert headers["Cache-Control"] == "no-store"
    # The URL may hold a login.
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "access_token" not in body


def test_a_browsers_head_is_answered_alike(site: Site) -> None:
    _, headers, _ = site.ask("/", FIREFOX)
    status, same, body = site.ask("/", FIREFOX, method="HEAD")
    assert (status, same["Content-Length"], body) == (200, headers["Content-Length"], "")
    assert site.seen == []


@pytest.mark.parametrize(
    "accept",
    [
        # Android's SDK, okhttp, Python's http.client.
        [],
        # iOS, curl, a page's fetch, requests.
        ["*/*"],
        # axios.
        ["application/json, text/plain, */*"],
        ["application/json"],
        # HttpURLConnection of Java 8 and 17.
        ["text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"],
        ["text/html, image/gif, image/jpeg, */*; q=0.2"],
        ["text/*"],
        ["text/html;q=0, */*"],
        ["text/html; q=0.0"],
        ["text/htmlx, text/xhtml, application/xhtml+xml"],
        ["text/plain;x=text/html"],
        [""],
    ],
)
def test_every_other_client_gets_json_as_ever(site: Site, accept: list[str]) -> None:
    status, headers, body = site.ask("/", *accept)
    assert (status, body, site.seen) == (200, KEYS, ["/"])
    assert headers["Vary"] == "Origin, Accept"


@pytest.mark.parametrize("method", ["POST", "PUT", "OPTIONS", "DELETE"])
def test_what_no_browser_opens_is_the_functions(site: Site, method: str) -> None:
    _, headers, body = site.ask("/", FIREFOX, method=method, Content_Length="0")
    assert (body, headers["Vary"]) == (KEYS, "Origin")


def test_the_key_of_callbacks_is_shown_to_a_browser_too(site: Site) -> None:
    assert site.ask(PUBLIC_KEY_PATH, FIREFOX)[2] == "PEM"


def test_a_strangers_name_is_refused_as_ever(site: Site) -> None:
    status, _, body = site.ask("/", FIREFOX, host="evil.example")
    assert status == 403
    assert "ForbiddenHost" in body


@pytest.mark.parametrize(
    ("languages", "is_chinese"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", True),
        ("zh-TW", True),
        ("de, zh;q=0.5", True),
        ("en-US,en;q=0.9,zh;q=0.8", False),
        ("en, zh", False),
        ("zh;q=0, de", False),
        ("de", False),
        ("*", False),
        (";;q=9,,", False),
    ],
)
def test_the_line_is_in_chinese_for_who_prefers_it(
    site: Site, languages: str, is_chinese: bool
) -> None:
    body = site.ask("/", FIREFOX, Accept_Language=languages)[2]
    assert ("此地址供应用程序调用" in body, '<html lang="zh-CN">' in body) == (is_chinese,) * 2
    assert "<a href='/app/'>" in body


def test_where_there_is_no_page_the_line_leads_nowhere() -> None:
    for site in serve(None):
        assert "<a" not in site.ask("/", FIREFOX)[2]


# The whole application of make run


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running(tmp_path_factory.mktemp("browsers") / "state") as sandbox:
        yield sandbox


@pytest.mark.slow
def test_in_chromium_the_token_url_shows_a_line_that_leads_to_the_page(sandbox: Sandbox) -> None:
    need("the token URL in Chromium", browser=True)
    shown = javascript.run("browser_click.mjs", {"url": sandbox.token_url})
    assert "This address is for apps" in shown["text"]
    assert "AccessKey" not in shown["text"]
    assert shown["errors"] == []
    assert shown["led"] == f"{sandbox.token_url}app/"


def test_requests_and_curl_get_a_token(sandbox: Sandbox) -> None:
    assert requests.get(sandbox.token_url, timeout=10).json()["StatusCode"] == 200
    needs.program("curl")
    command = ["curl", "-s", sandbox.token_url]
    said = subprocess.run(command, capture_output=True, check=True, timeout=20).stdout
    assert json.loads(said)["StatusCode"] == 200
