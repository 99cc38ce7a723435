"""Tests that a reader who sees a symptom finds its cause on at most two pages of the docs, in both
languages.

Each test causes a failure, which shows a text to a person. Then it finds the row that quotes this
text in the table "By symptom" of docs/errors.md. The row links to a section of this page, or to
another page. The cause must be named in the linked text, or one link further.
"""

from __future__ import annotations

import ast
import errno
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import jwt
import oss2
import pytest
from pytest_mock import MockerFixture

import post_forms
from certificates import certificate, server_context
from faulty_proxy import Exchange, faulty
from ops import ROOT
from ops.doctor.checks import examine
from ops.errors_page import PAGES, load, load_words
from ops.report import table
from running_cloud import RunningCloud, Token, running_cloud
from running_function import running_function
from scripted_sts import answer, refusal, reset, scripted_sts
from smoke_test import smoke
from token_service.app import App
from token_service.http.messages import Request

SECRET = "j" * 32


class World(NamedTuple):
    """The cloud in which the tests cause failures."""

    cloud: RunningCloud
    mocker: MockerFixture
    folder: Path

    def asked(self, path: str = "/", *, login: str = "", **changes: str) -> str:
        """Return the answer that alice's app gets from a function with these variables."""
        query = {"access_token": login or self.cloud.login("alice")}
        if path != "/":
            query["object"] = "a.txt"
        request = Request("GET", path, query, {}, b"")
        with closing(App({**self.cloud.env, **changes})) as app:
            return app.respond(lambda: request).body

    def token(self) -> Token:
        return self.cloud.token(access_token=self.cloud.login("alice"))

    def put(self, bucket: oss2.Bucket, **headers: str) -> str:
        """Return the text that alice's app sees if an upload fails."""
        name = {key.replace("_", "-"): value for key, value in headers.items()}
        try:
            result = bucket.put_object("uploads/alice/a.txt", b"x" * 100, name)
        except oss2.exceptions.ServerError as error:
            return f"{error.status} {error.details or error.body}"
        return f"{result.status} {result.resp.read()!r}"


def wrong_role(world: World) -> str:
    return world.asked(ROLE_ARN="acs:ram::1234567890123456:role/nobody")


def untrusted_role(world: World) -> str:
    message = "You are not authorized to do this action. You should be authorized by RAM."
    with scripted_sts(*[refusal(403, "NoPermission", message)] * 4) as sts:
        return world.asked(STS_ENDPOINT=sts.url)


def ended_login(world: World) -> str:
    claims = {"sub": "alice", "exp": int(time.time()) - 3600}
    return world.asked(login=jwt.encode(claims, SECRET, "HS256"))


def closed_endpoint(world: World) -> str:
    with running_cloud(world.folder / "closed", is_public_closed=True) as cloud:
        token = cloud.token()
        public = cloud.env["OSS_ENDPOINT"].replace("files.localhost", "127.0.0.1")
        auth = oss2.StsAuth(
            token.access_key_id, token.access_key_secret, token.security_token, auth_version="v4"
        )
        return world.put(oss2.Bucket(auth, public, token.bucket, region=token.region))


def v1_client(world: World) -> str:
    return world.put(world.token().oss2("v1"))


def skewed_device(world: World) -> str:
    bucket = world.token().oss2("v4")
    ahead = datetime.now(timezone.utc) + timedelta(hours=1)
    world.mocker.patch("oss2.auth.datetime", SimpleNamespace(utcnow=lambda: ahead))
    return world.put(bucket)


def skewed_server(world: World) -> str:
    with running_function(world.folder / "skewed") as running:

        def an_hour_ahead(exchange: Exchange) -> None:
            ahead = time.gmtime(time.time() + 3600)
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", ahead)
            exchange.rewrite(lambda document: document.update(LastUpdated=stamp))

        with faulty(running.url, an_hour_ahead) as url:
            return smoke(url).text


def closed_route(world: World) -> str:
    return world.asked("/signed-url", ENABLED_ROUTES="token")


def missing_cors(_: World) -> str:
    """Return the message that a page gets from Chromium 156 if the function allows only another
    origin. The page gets no error code."""
    return (
        "TypeError: Failed to fetch. Access to fetch at 'https://token.example.com/' from origin "
        "'https://app.example.com' has been blocked by CORS policy: Response to preflight request "
        "doesn't pass access control check: No 'Access-Control-Allow-Origin' header is present on "
        "the requested resource."
    )


def throttled_sts(world: World) -> str:
    message = "Request was denied due to user flow control."
    with scripted_sts(*[refusal(429, "Throttling.User", message)] * 4) as sts:
        return world.asked(STS_ENDPOINT=sts.url)


def broken_webhook(world: World) -> str:
    with scripted_sts(*[reset] * 8) as hook:
        world.cloud.env.update(
            CALLBACK_URL=f"{world.cloud.url}/callback",
            CALLBACK_SECRET="s" * 32,
            UPLOAD_HOOK_URL=f"{hook.url}/uploaded",
            UPLOAD_HOOK_SECRET="h" * 32,
        )
        scope = json.loads(world.asked())["Scope"]
        return world.put(
            world.token().oss2("v4"),
            x_oss_callback=scope["Callback"],
            x_oss_callback_var=scope["CallbackVar"],
        )


def wrong_region(world: World) -> str:
    return world.put(replace(world.token(), region="cn-shanghai").oss2("v4"))


def too_large(world: World) -> str:
    form = json.loads(world.asked("/form", UPLOAD_MAX_BYTES="10"))
    endpoint = world.cloud.env["OSS_ENDPOINT"]
    return post_forms.send(endpoint, form["Fields"], b"x" * 100, bucket="sandbox-bucket").text


def unreachable_keys(world: World) -> str:
    return world.asked(JWT_SECRET="", JWT_JWKS_URL="https://127.0.0.1:9/jwks.json")


def domain_without_certificate(world: World) -> str:
    pem = certificate(world.folder, "other.example.com")
    with scripted_sts(answer(200, {}), tls=server_context(pem)) as server:
        return smoke(f"https://localhost:{server.port}").text


def misspelt_variable(world: World) -> str:
    shell = {"PATH": "/nowhere", "JWT_ISUER": "https://login.example.com"}
    return table(examine(shell, world.folder))


def full_disk(world: World) -> str:
    full = OSError(errno.ENOSPC, "No space left on device")
    bucket = world.token().oss2("v4")
    world.mocker.patch("os.fsync", side_effect=full)
    return world.put(bucket)


PLANTED: dict[Callable[[World], str], tuple[str, str]] = {
    wrong_role: ("ROLE_ARN", "EntityNotExist.Role"),
    untrusted_role: ("sts:AssumeRole", "NoPermission"),
    ended_login: ("`exp`", "ExpiredToken"),
    closed_endpoint: ("OSS_ENDPOINT", "PublicEndpointForbidden"),
    v1_client: ("auth_version='v4'", "SignatureV1Refused"),
    skewed_device: ("`LastUpdated`", "RequestTimeTooSkewed"),
    skewed_server: ("`date -u`", "FAIL"),
    closed_route: ("ENABLED_ROUTES", "RouteDisabled"),
    missing_cors: ("ALLOWED_ORIGINS", "CORS"),
    throttled_sts: ("fair-shares", "Throttling.User"),
    broken_webhook: ("UPLOAD_HOOK_URL", "CallbackFailed"),
    wrong_region: ("OSS_REGION", "InvalidArgument"),
    too_large: ("UPLOAD_MAX_BYTES", "EntityTooLarge"),
    unreachable_keys: ("JWT_JWKS_URL", "KeysUnreachable"),
    domain_without_certificate: ("CERT_FILE", "FAIL"),
    misspelt_variable: ("JWT_ISSUER", "JWT_ISUER"),
    full_disk: ("`df -h .`", "InternalError"),
}
"""Each failure has two texts. The first text is the cause, which the docs must name. The second
text must be in the message that a person sees."""


CODES = load().keys()
FOREIGN = {
    "a browser": (
        "NetworkError when attempting to fetch resource",
        "Failed to fetch",
        "Load failed",
        "\u2026 has been blocked by CORS policy",
    ),
    "ali-oss": ('XHR error (req "error")', "Please set the etag of expose-headers in OSS"),
    "Android": (
        "Unable to resolve host",
        "Failed to connect",
        "Trust anchor for certification path not found",
    ),
    "curl": ("SSL certificate problem",),
    "OSS (the vendor's page of 403)": (
        "The bucket you are attempting to access must be addressed using the specified endpoint",
    ),
    "STS (the vendor's page of AssumeRole)": (
        "You are not authorized to do this action. You should be authorized by RAM.",
        "No permission perform sts:AssumeRole on this Role.",
    ),
    "a line of smoke or doctor": ("FAIL clock", "FAIL connection", "FAIL names"),
    "a status in OSS's words": ("Error status : 502.", "Error status : 403."),
}
"""Messages that the table quotes. Our code does not contain any of them as a single text: other
programs write these messages, or our code joins them from parts."""


@pytest.fixture
def world(tmp_path: Path, mocker: MockerFixture) -> Iterator[World]:
    with running_cloud(tmp_path / "state", AUTH="jwt", JWT_SECRET=SECRET) as cloud:
        yield World(cloud, mocker, tmp_path)


def matches(quoted: str, seen: str) -> bool:
    """Return whether the quoted text is in the text that was seen. A … matches any text."""
    parts = [re.escape(part) for part in re.split(" *\u2026 *", quoted) if part]
    return bool(parts) and re.search(".*".join(parts), re.sub(r"\s+", " ", seen)) is not None


def is_telling(quote: str) -> bool:
    """Return whether a person can find a row by this quote. A command like `curl` or `make smoke`
    is not a symptom."""
    return quote in CODES or (" " in quote and not quote.startswith(("make ", "GET ")))


def rows_for(seen: str, language: str) -> list[str]:
    """Return the table's rows that quote a part of the text `seen`. The part is an error code, or
    has at least two words."""
    text = PAGES[language].read_text("utf-8")
    rows = [row for row in text.splitlines() if row.startswith("| ") and "](" in row]
    found = []
    for row in rows:
        quotes = re.findall("`([^`]+)`", row.split(" | ")[0])
        if any(matches(quote, seen) for quote in quotes if is_telling(quote)):
            found.append(row)
    return found


def places(text: str, page: Path) -> Iterator[tuple[Path, str]]:
    """Yield for each link in a text: its page, and the text of its section."""
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match("[a-z]+:", link):
            continue
        name, _, at = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if target.suffix == ".md":
            whole = target.read_text("utf-8")
            yield target, section(whole, at) if at else whole


def section(text: str, at: str) -> str:
    """Return the text under the heading that an anchor names, up to the next heading of the same
    level."""
    for found in re.finditer("^(#+) (.+)$", text, re.MULTILINE):
        if re.sub(r"[^\w -]", "", found[2].lower()).replace(" ", "-") == at:
            rest = text[found.end() :]
            return re.split(rf"^#{{1,{len(found[1])}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]
    raise AssertionError(f"no heading for #{at}")


def pages_to(cause: str, seen: str, language: str) -> int:
    """Return how many pages a person must read to find the cause, or 9 if no page names it."""
    first = PAGES[language]
    for row in rows_for(seen, language):
        led = list(places(row, first))
        if any(page == first and cause in text for page, text in led):
            return 1
        further = [place for page, text in led if page == first for place in places(text, page)]
        if any(cause in text for _, text in [*led, *further]):
            return 2
    return 9


@pytest.mark.parametrize("language", PAGES)
@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_symptom_leads_to_its_cause(
    plant: Callable[[World], str], language: str, world: World
) -> None:
    cause, word = PLANTED[plant]
    seen = plant(world)
    assert word in seen
    assert pages_to(cause, seen, language) <= 2, f"{seen}\n{rows_for(seen, language)}"


def test_what_nobody_has_seen_leads_nowhere() -> None:
    for language in PAGES:
        assert rows_for("The moon is full.", language) == []
        assert pages_to("ROLE_ARN", "The moon is full.", language) == 9
        assert pages_to("no such cause", "The specified Role not exists.", language) == 9


def said() -> str:
    """Return all texts in our own code, one on each line, with single spaces."""
    texts = []
    for folder in ("functions/sts_token/token_service", "sandbox", "ops"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    texts.append(re.sub(r"\s+", " ", node.value))
    return "\n".join(texts)


def test_what_the_table_quotes_is_what_somebody_says() -> None:
    """If a message of our code changes, this test fails until the table quotes the new words."""
    ours, others = said(), {text for texts in FOREIGN.values() for text in texts}
    quotes = {
        quote
        for row in load_words()["symptoms"]
        for quote in re.findall("`([^`]+)`", row["en"]["seen"])
        if is_telling(quote) and quote not in CODES
    }
    assert others <= quotes
    for quote in quotes - others:
        parts = [part for part in re.split(" *\u2026 *", quote) if part]
        assert all(part in ours for part in parts), quote
