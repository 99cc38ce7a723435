"""Real tokens (CLOUD=1) are only for clients that know the printed URL, and never for a page
(finding A1)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raw_http import Answer, ask
from sandbox import gateway, private_url
from sandbox.environment import PUBLIC_KEY_PATH
from sandbox.servers import Service, in_background, listen

SEGMENT = "0123456789abcdef0123456789abcdef"
HERE = f"/{SEGMENT}"


@dataclass(frozen=True)
class Site:
    """The gateway behind a private URL, and the events that reached the handler."""

    port: int
    events: list[dict[str, Any]]

    def ask(self, path: str, *lines: str, method: str = "GET", host: str | None = None) -> Answer:
        """Send a request byte for byte. `lines` are its headers."""
        self.events.clear()
        named = [f"Host: {self.host if host is None else host}", *lines]
        return ask(self.port, method, path, *named)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    events: list[dict[str, Any]] = []

    def handler(event: bytes, context: object) -> dict[str, object]:
        events.append(json.loads(event))
        # With this header, every page may read the answer.
        headers = {"Access-Control-Allow-Origin": "*"}
        return {"statusCode": 200, "headers": headers, "body": "token", "isBase64Encoded": False}

    function = gateway.create_app(handler, lambda context: None)
    service = Service(private_url.create_app(function, SEGMENT), listen(0))
    with in_background([service]):
        yield Site(service.port, events)


def check_refused(site: Site, answer: Answer, status: int, code: str) -> None:
    """Check that the refusal is JSON that no page can read, and that the handler got no event."""
    assert (answer.status, answer.json["StatusCode"]) == (status, status)
    assert answer.json["ErrorCode"] == code
    assert answer.json["ErrorMessage"]
    assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
    assert answer.headers["Cache-Control"] == "no-store"
    assert SEGMENT.encode() not in answer.body
    assert site.events == []


def test_a_segment_is_128_random_bits() -> None:
    segments = {private_url.make_segment() for _ in range(100)}
    assert len(segments) == 100
    assert all(re.fullmatch("[0-9a-f]{32}", segment) for segment in segments)


@pytest.mark.parametrize(
    ("asked", "raw_path", "path"),
    [
        (HERE, "/", "/"),
        (f"{HERE}/", "/", "/"),
        (f"{HERE}?x=1", "/", "/"),
        (f"{HERE}/signed-url?object=a", "/signed-url", "/signed-url"),
        (f"{HERE}/a%20b/%2F/", "/a%20b/%2F/", "/a b///"),
    ],
)
def test_the_function_sees_the_path_without_the_segment(
    site: Site, asked: str, raw_path: str, path: str
) -> None:
    assert site.ask(asked).body == b"token"
    (event,) = site.events
    assert (event["rawPath"], event["requestContext"]["http"]["path"]) == (raw_path, path)
    assert SEGMENT not in json.dumps(event)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
def test_every_method_gets_there(site: Site, method: str) -> None:
    assert site.ask(f"{HERE}/", method=method).status == 200
    assert len(site.events) == 1


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/sts",
        "/health",
        "/signed-url?object=a",
        "/sandbox/login?user=alice",
        PUBLIC_KEY_PATH,
        f"/{SEGMENT[:-1]}",
        f"/{SEGMENT}0/",
        f"/{SEGMENT.upper()}/",
        f"//{SEGMENT}/",
        f"/x/{SEGMENT}/",
        f"/%30{SEGMENT[1:]}/",
        f"/?{SEGMENT}",
        "*",
        SEGMENT,
        f"{SEGMENT}/",
        f"x{HERE}/",
        f"http://127.0.0.1{HERE}/",
    ],
)
def test_without_the_segment_there_is_nothing(site: Site, path: str, method: str) -> None:
    check_refused(site, site.ask(path, method=method), 404, "NotFound")


def test_all_that_is_nothing_looks_alike(site: Site) -> None:
    """The answers to all wrong paths are equal. Therefore they do not reveal whether a guess is
    almost right, or which service answers."""
    guesses = ["/", "/sts", "/health", f"/{SEGMENT[:-1]}", "/robots.txt"]
    assert len({site.ask(path).body for path in guesses}) == 1


@given(st.text("0123456789abcdef/%.", max_size=40))
def test_no_guess_gets_through(site: Site, path: str) -> None:
    assert site.ask(f"/{path}").status == 404
    assert site.events == []


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:7080",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "a.localhost",
        "localhost.",
        "10.0.2.2:7080",
        "192.168.1.5",
        "0.0.0.0:7080",
        "[::]",
        "[::ffff:127.0.0.1]",
        "::1",
        "127.1",
        "2130706433",
        "127.0.0.1:7080:7081",
        "user@127.0.0.1",
        "127.0.0.1, evil.example",
        "",
    ],
)
def test_under_another_name_nobody_is_answered(site: Site, host: str) -> None:
    """With DNS rebinding, a page with this name would have the same origin as the gateway."""
    for path in (f"{HERE}/", "/"):
        check_refused(site, site.ask(path, host=host), 403, "ForbiddenHost")


def test_two_hosts_are_no_request(site: Site) -> None:
    assert site.ask(f"{HERE}/", "Host: evil.example").status == 400
    assert site.events == []


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:7080", "127.0.0.1", "127.8.9.10:1", "[::1]:7080", "[::1]"]
)
def test_under_a_loopback_name_it_answers(site: Site, host: str) -> None:
    assert site.ask(f"{HERE}/", host=host).status == 200


@pytest.mark.parametrize(
    "lines",
    [
        ["Origin: https://evil.example"],
        ["Origin: null"],
        ["Origin:"],
        ["origin: http://127.0.0.1"],
        ["Sec-Fetch-Site: cross-site"],
        ["Sec-Fetch-Site: same-site"],
        ["Sec-Fetch-Site: Same-Origin"],
        ["Sec-Fetch-Site:"],
        ["Sec-Fetch-Site: none", "Sec-Fetch-Site: cross-site"],
        ["Sec-Fetch-Site: same-origin", "Origin: https://evil.example"],
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_no_page_is_answered_even_if_it_knows_the_url(
    site: Site, lines: list[str], method: str
) -> None:
    for path in (f"{HERE}/", "/"):
        check_refused(site, site.ask(path, *lines, method=method), 403, "ForbiddenOrigin")


@pytest.mark.parametrize("value", ["none", "same-origin"])
def test_a_person_who_types_the_url_is_answered(site: Site, value: str) -> None:
    assert site.ask(f"{HERE}/", f"Sec-Fetch-Site: {value}").body == b"token"
