"""Requests from pages of other origins: preflights, and headers that let a page read an answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from token_service import warnings
from token_service.app import App
from token_service.http import cors
from token_service.http.cors import CorsRefused
from token_service.http.messages import Request, Response
from token_service.settings.parsing import Refused
from tried import examples

ORIGIN = "https://app.example.com"
NO_APPS = (
    *("file", "data", "blob", "about", "javascript", "filesystem", "content", "ftp", "ws", "wss"),
    *("view-source", "chrome-extension", "moz-extension", "safari-web-extension", "extension"),
)

Env = dict[str, str]
Ask = Callable[..., tuple[Response, dict[str, Any]]]


@pytest.fixture
def ask(env: Env) -> Ask:
    """Send a request from a page to an App with some ALLOWED_ORIGINS."""

    def send(
        origins: str = ORIGIN, method: str = "GET", path: str = "/health", **headers: str
    ) -> tuple[Response, dict[str, Any]]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with closing(App({**env, "ALLOWED_ORIGINS": origins})) as app:
            response = app.respond(lambda: Request(method, path, {}, named))
        return response, json.loads(response.body or "{}")

    return send


def preflight(ask: Ask, origins: str = ORIGIN, **headers: str) -> tuple[Response, dict[str, Any]]:
    asked = {"origin": ORIGIN, "access_control_request_method": "POST", **headers}
    return ask(origins, "OPTIONS", "/", **asked)


def test_a_page_may_send_a_login_and_a_json_body(ask: Ask) -> None:
    response, answer = preflight(ask, access_control_request_headers="authorization, Content-Type")
    assert answer["StatusCode"] == response.status == 200
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert response.headers["Access-Control-Allow-Methods"] == "GET, POST, HEAD"
    assert response.headers["Access-Control-Allow-Headers"] == "authorization, content-type"
    assert int(response.headers["Access-Control-Max-Age"]) > 0
    assert response.headers["Vary"] == "Origin"


def test_a_preflight_that_names_no_method_is_for_a_get(ask: Ask) -> None:
    """A gateway may drop the header Access-Control-Request-Method. We then assume GET, which pages
    may send even without a preflight."""
    response, answer = ask(method="OPTIONS", path="/", origin=ORIGIN)
    assert (answer["StatusCode"], response.status) == (200, 200)
    assert response.headers["Access-Control-Allow-Methods"] == "GET, POST, HEAD"
    assert preflight(ask, access_control_request_method="")[1]["ErrorCode"] == "CorsRefused"


def test_a_page_reads_the_answer_the_servers_time_and_when_to_ask_again(ask: Ask) -> None:
    response, _ = ask(origin=ORIGIN)
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    exposed = response.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"Date", "Retry-After"} <= set(exposed)
    assert response.headers["Vary"] == "Origin"


def test_a_page_reads_errors_too(ask: Ask) -> None:
    for path in ("/nowhere", "/"):
        response, answer = ask(path=path, origin=ORIGIN)
        assert answer["StatusCode"] != 200
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN


def test_cookies_are_never_asked_for(ask: Ask) -> None:
    for origins in (ORIGIN, "*"):
        for response, _ in (preflight(ask, origins), ask(origins, origin=ORIGIN)):
            assert "Access-Control-Allow-Credentials" not in response.headers


def test_a_star_allows_every_origin_and_needs_no_vary(ask: Ask) -> None:
    response, _ = ask("*", origin="null")
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert "Vary" not in response.headers
    assert preflight(ask, "*")[1]["StatusCode"] == 200


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://app.example.com.evil.example",
        "https://xapp.example.com",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://APP.example.com",
        "https://app.example.com/",
        "null",
        "",
        "*",
    ],
)
def test_another_origin_is_refused(ask: Ask, origin: str) -> None:
    response, _ = ask(origin=origin)
    assert "Access-Control-Allow-Origin" not in response.headers
    assert response.headers["Vary"] == "Origin"
    response, answer = preflight(ask, origin=origin)
    assert answer["StatusCode"] == 403
    assert answer["ErrorCode"] == "CorsRefused"
    assert "ALLOWED_ORIGINS" in answer["ErrorMessage"]
    assert not any(name.startswith("Access-Control") for name in response.headers)


def test_without_configuration_no_page_is_allowed(ask: Ask) -> None:
    response, _ = ask("", origin=ORIGIN)
    assert "Access-Control-Allow-Origin" not in response.headers
    assert preflight(ask, "")[1]["StatusCode"] == 403


@pytest.mark.parametrize(
    ("headers", "names"),
    [
        ({"access_control_request_method": "DELETE"}, "method must be one of GET, POST, HEAD"),
        ({"access_control_request_method": ""}, "method"),
        ({"access_control_request_headers": "x-evil"}, "headers must be among authorization"),
        ({"access_control_request_headers": "authorization,cookie"}, "headers"),
    ],
)
def test_a_refused_preflight_names_what_failed(
    ask: Ask, headers: dict[str, str], names: str
) -> None:
    response, answer = preflight(ask, **headers)
    assert answer["StatusCode"] == 403
    assert names in answer["ErrorMessage"]
    assert "origin" not in answer["ErrorMessage"]
    # Without these headers, a browser does not send the request.
    assert "Access-Control-Allow-Methods" not in response.headers
    assert "Access-Control-Allow-Headers" not in response.headers


def test_a_preflight_that_fails_in_everything_names_everything(ask: Ask) -> None:
    _, answer = preflight(
        ask,
        origin="https://evil.example",
        access_control_request_method="PATCH",
        access_control_request_headers="cookie",
    )
    for word in ("origin", "method", "headers"):
        assert word in answer["ErrorMessage"]


def test_an_options_without_origin_is_answered(ask: Ask) -> None:
    """A load balancer or a person with curl may send an OPTIONS without Origin."""
    response, answer = ask(method="OPTIONS", path="/anything")
    assert answer == {"StatusCode": 200}
    assert "Access-Control-Allow-Origin" not in response.headers


# What ALLOWED_ORIGINS accepts

WEB_VIEWS = (
    "capacitor://localhost",
    "ionic://localhost",
    "tauri://localhost",
    "app://.",
    "app://obsidian.md",
    "wails://wails.localhost:34115",
    "com.example.app://MyApp",
    "vscode-webview://0gtk",
    "x+y.z-1://a_b",
)
NO_ORIGINS = (
    "app.example.com",
    "localhost:3000",
    "https://",
    "capacitor://",
    "capacitor:localhost",
    "https://app.example.com/",
    "https://app.example.com/path",
    "https://app.example.com?a",
    "https://app.example.com#a",
    "https://*.example.com",
    "*.example.com",
    "*://localhost",
    "https://user@app.example.com",
    "HTTPS://app.example.com",
    "Capacitor://localhost",
    "1app://localhost",
    "-app://localhost",
    "app_1://localhost",
    "äpp://localhost",
    "https://bücher.example",
    "https://app.example.com https://b.example.com",
    "https://app.example.com;https://b.example.com",
    "https://app.example.com\r\nX-Evil: 1",
    "capacitor://localhost\nAccess-Control-Allow-Credentials: true",
    "https://app.example.com:",
    "https://app.example.com:0",
    "https://app.example.com:08443",
    "https://app.example.com:65536",
    "https://app.example.com:٨٤٤٣",
    "https://[::1",
    "https://[::1]x",
)


def refusal_of(origins: str) -> tuple[str, tuple[str, ...]]:
    """Return the message, and the entries that are still used."""
    with pytest.raises(Refused) as caught:
        cors.origins(origins)
    return str(caught.value), caught.value.sound


def test_several_origins_are_allowed_each_once() -> None:
    given = f" {ORIGIN},http://localhost:3000 ,,http://[::1]:8080,{ORIGIN},*"
    assert cors.origins(given) == (ORIGIN, "http://localhost:3000", "http://[::1]:8080", "*")


@pytest.mark.parametrize("origin", WEB_VIEWS)
def test_an_apps_web_view_may_ask(ask: Ask, origin: str) -> None:
    """The answer repeats the origin exactly, because a browser compares it with the page's origin
    (finding F3)."""
    both = f"{ORIGIN},{origin}"
    for response, _ in (ask(both, origin=origin), preflight(ask, both, origin=origin)):
        assert response.headers["Access-Control-Allow-Origin"] == origin
    assert ask(both)[1]["Status"] == "OK"


@pytest.mark.parametrize("origin", NO_ORIGINS)
def test_what_no_browser_sends_is_left_out(origin: str) -> None:
    message, sound = refusal_of(f"{ORIGIN},{origin},capacitor://localhost")
    assert message.startswith("must be origins as browsers send them, like https://")
    assert message.endswith("entry 2 is left out: it is not an origin")
    assert sound == (ORIGIN, "capacitor://localhost")


@pytest.mark.parametrize(
    ("origin", "says"),
    [
        ("null", "any page can send null"),
        *((f"{scheme}://x", "no web site or app has its scheme") for scheme in NO_APPS),
        ("https://app.example.com:443", "browsers leave out port 443 for https"),
        ("http://app.example.com:80", "browsers leave out port 80 for http"),
        ("https://[::1]:443", "browsers leave out port 443 for https"),
        ("https://APP.example.com", "browsers send its host in lower case"),
    ],
)
def test_what_can_never_match_is_refused_by_name(origin: str, says: str) -> None:
    message, sound = refusal_of(origin)
    assert says in message
    assert sound == ()


def test_the_other_schemes_default_port_is_a_port_like_any_other() -> None:
    sound = ("http://app.example.com:443", "https://app.example.com:80", "app://localhost:443")
    assert cors.origins(",".join(sound)) == sound


def test_no_message_holds_what_an_entry_holds(env: Env, caplog: pytest.LogCaptureFixture) -> None:
    """An operator may put a secret into the wrong variable by mistake."""
    secret = "s3cret" * 6
    wrong = ",".join(
        (secret, f"https://{secret}/", f"{secret}-extension://x", f"https://X{secret}")
    )
    env = {**env, "ALLOWED_ORIGINS": wrong, "ALLOWED_HEADERS": f"{secret} x,sec-{secret}"}
    with closing(App(env)) as app:
        for path in ("/", "/health"):
            headers = {"origin": ORIGIN, "access-control-request-headers": "x-evil"}
            for method in ("GET", "OPTIONS"):
                assert secret not in str(app.respond(asked(method, path, headers))[:])
    assert len(caplog.messages) >= 2
    assert secret not in caplog.text


def test_of_many_wrong_entries_the_first_are_named() -> None:
    message, sound = refusal_of(",".join(["x"] * 999))
    assert message.count("entry ") == 5
    assert message.endswith("; and more")
    assert sound == ()


def asked(method: str, path: str, headers: Mapping[str, str]) -> Callable[[], Request]:
    return lambda: Request(method, path, {}, headers)


@pytest.mark.parametrize("wrong", ["capacitor://", "null", f"{ORIGIN}:443", "file:///", "a,b"])
def test_one_wrong_origin_never_takes_the_others_down(
    env: Env, wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    """In finding F3, one wrong origin gave all clients a 500, even for Android's plain GET."""
    with closing(App({**env, "ALLOWED_ORIGINS": f"{wrong},{ORIGIN}"})) as app:
        for path, status in (("/signed-url", 400), ("/health", 500)):
            for headers in ({}, {"origin": ORIGIN}, {"origin": wrong}):
                answer = app.respond(asked("GET", path, headers))
                assert json.loads(answer.body)["StatusCode"] == status
                allowed = answer.headers.get("Access-Control-Allow-Origin")
                assert allowed == (ORIGIN if headers == {"origin": ORIGIN} else None)
    named = [text for text in caplog.messages if "entry 1 is left out" in text]
    assert [text[:15] for text in named if not text.startswith("Misconf")] == ["ALLOWED_ORIGINS"]
    assert "ALLOWED_ORIGINS: must be origins as browsers send them" in answer.body
    assert "entry 1 is left out" in answer.body


@examples(50, 1_000)
@given(
    scheme=st.from_regex(r"[a-zA-Z0-9+.:-]{1,9}|https?|capacitor|.*-extension", fullmatch=True),
    host=st.from_regex(r"[a-zA-Z0-9._:\[\]@/*-]{0,12}", fullmatch=True),
    port=st.sampled_from(["", ":443", ":80", ":8100", ":0", ":99999"]),
)
def test_what_is_accepted_is_what_a_browser_makes_of_it(scheme: str, host: str, port: str) -> None:
    """An accepted origin consists of a scheme, a host and a port, and a browser does not change
    them (URL Standard)."""
    given_ = f"{scheme}://{host}{port}"
    try:
        (origin,) = cors.origins(given_)
    except (Refused, ValueError):
        return
    parts = urlsplit(origin)
    assert origin == given_.strip() == f"{parts.scheme}://{parts.netloc}"
    assert parts.hostname
    assert parts.username is None
    assert parts.scheme not in NO_APPS
    assert parts.port is None or (parts.scheme, parts.port) not in {("https", 443), ("http", 80)}
    assert (
        cors.Cors((origin,)).headers(asked("GET", "/", {"origin": origin})())[
            "Access-Control-Allow-Origin"
        ]
        == origin
    )


@given(st.dictionaries(st.sampled_from(["origin", "access-control-request-headers"]), st.text()))
def test_only_an_exact_origin_is_ever_echoed(headers: dict[str, str]) -> None:
    sound = (ORIGIN, *WEB_VIEWS)
    made = cors.Cors(sound)
    request = Request("OPTIONS", "/", {}, headers)
    allowed = made.headers(request).get("Access-Control-Allow-Origin")
    assert allowed in (None, *sound)
    if "origin" in headers and headers["origin"] not in sound:
        with pytest.raises(CorsRefused):
            made.preflight(request)


# ALLOWED_HEADERS


def test_a_page_may_send_what_its_monitoring_adds(env: Env) -> None:
    """Monitoring tools add headers to the requests of a page (finding F8)."""
    env = {**env, "ALLOWED_ORIGINS": ORIGIN, "ALLOWED_HEADERS": "Baggage, sentry-trace,baggage"}
    headers = {
        "origin": ORIGIN,
        "access-control-request-method": "GET",
        "access-control-request-headers": "authorization,baggage,sentry-trace",
    }
    with closing(App(env)) as app:
        response = app.respond(asked("OPTIONS", "/", headers))
        assert json.loads(response.body) == {"StatusCode": 200}
        named = "authorization, content-type, baggage, sentry-trace"
        assert response.headers["Access-Control-Allow-Headers"] == named
        headers["access-control-request-headers"] = "traceparent"
        refused = app.respond(asked("OPTIONS", "/", headers))
    assert f"headers must be among {named}; ALLOWED_HEADERS can allow more" in refused.body
    assert not any(name.startswith("Access-Control-Allow-H") for name in refused.headers)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        *((name, "it is not a valid name") for name in ("*", "x-*", "x y", "x:y", "x\r\ny: z")),
        *((name, "it is not a valid name") for name in ("é", "x(y", '"x"', "a=b", "\x00")),
        *(
            (name, "it is not a valid name")
            for name in ("cookie", "Cookie", "HOST", "origin", "sec-a")
        ),
        *((name, "it is not a valid name") for name in ("Sec-Fetch-Site", "proxy-authorization")),
    ],
)
def test_a_wrong_header_is_left_out(
    env: Env, name: str, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    env = {**env, "ALLOWED_ORIGINS": ORIGIN, "ALLOWED_HEADERS": f"baggage,{name},sentry-trace"}
    headers = {"origin": ORIGIN, "access-control-request-headers": "baggage,sentry-trace"}
    with closing(App(env)) as app:
        allowed = app.respond(asked("OPTIONS", "/", headers)).headers
        health = app.respond(asked("GET", "/health", {}))
    assert allowed["Access-Control-Allow-Headers"].endswith(", content-type, baggage, sentry-trace")
    assert health.status == 500
    assert "ALLOWED_HEADERS: must be names of headers" in health.body
    assert f"entry 2 is left out: {says}" in health.body
    assert sum(text.startswith("ALLOWED_HEADERS: ") for text in caplog.messages) == 1


def test_headers_are_bounded() -> None:
    names = [f"x-{number}" for number in range(20)]
    assert cors.header_names(",".join([*names, "X-0"])) == tuple(names)
    with pytest.raises(Refused, match="entry 21 is left out: more than 20") as caught:
        cors.header_names(",".join([*names, "x-20"]))
    assert caught.value.sound == tuple(names)


@given(st.text())
def test_no_name_of_a_header_carries_another_header(text: str) -> None:
    try:
        names = cors.header_names(text)
    except Refused as refused:
        names = refused.sound
    assert len(names) <= cors.MAX_HEADERS
    for name in names:
        assert re.fullmatch(r"[!-~]+", name)
        assert not set(name) & set('*(),/:;<=>?@[\\]{}"')
        assert not name.startswith(("sec-", "proxy-"))


# Where other settings are wrong


def test_a_page_reads_what_is_wrong_with_the_settings(env: Env) -> None:
    env = {**env, "ALLOWED_ORIGINS": ORIGIN, "ROLE_ARN": ""}
    headers = {"origin": ORIGIN, "access-control-request-method": "GET"}
    with closing(App(env)) as app:
        assert app.respond(asked("OPTIONS", "/", headers)).status == 200
        answer = app.respond(asked("GET", "/", headers))
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert json.loads(answer.body)["ErrorCode"] == "Misconfiguration"
        refused = json.loads(app.respond(asked("OPTIONS", "/", {"origin": "null"})).body)
    assert refused["ErrorCode"] == "CorsRefused"
    assert "ALLOWED_ORIGINS" not in refused["ErrorMessage"]


# Whom an origin identifies


@pytest.mark.parametrize(
    ("auth", "origins", "is_warned_of"),
    [
        ("anonymous", "https://a.example,capacitor://localhost", True),
        ("anonymous", "httpx://localhost", True),
        ("anonymous", " https://a.example , http://localhost:3000,*,", False),
        ("anonymous", "", False),
        ("jwt", "capacitor://localhost", False),
    ],
)
def test_with_anonymous_callers_an_apps_scheme_is_warned_of(
    env: Env, auth: str, origins: str, is_warned_of: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """All Capacitor apps have the same origin, so the origin does not identify an app. If callers
    must log in, no warning is needed, because the login identifies the caller."""
    env = {**env, "AUTH": auth, "JWT_SECRET": "s" * 32, "ALLOWED_ORIGINS": origins}
    with closing(App(env)) as app:
        told = json.loads(app.respond(asked("GET", "/health", {})).body)["Warnings"]
    assert (warnings.APPS in told) == (warnings.APPS in caplog.messages) == is_warned_of
