"""What pages of other origins may do: preflights, and what lets a page read an answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from token_service.app import App
from token_service.errors import Misconfiguration
from token_service.http.cors import Cors, CorsRefused
from token_service.http.messages import Request, Response
from token_service.settings.reading import read_settings

ORIGIN = "https://app.example.com"
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
    # Without these a browser sends neither the method nor the headers.
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
    """What a load balancer or a person with curl sends."""
    response, answer = ask(method="OPTIONS", path="/anything")
    assert answer == {"StatusCode": 200}
    assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize(
    "origins",
    [
        "app.example.com",
        "https://app.example.com/",
        "https://app.example.com/path",
        "https://*.example.com",
        "https://user@app.example.com",
        "https://APP.example.com",
        "ftp://app.example.com",
        "null",
        "https://app.example.com https://b.example.com",
        "https://app.example.com\r\nX-Evil: 1",
    ],
)
def test_origins_that_no_browser_sends_are_a_misconfiguration(env: Env, origins: str) -> None:
    with pytest.raises(Misconfiguration, match="ALLOWED_ORIGINS: must be origins as browsers"):
        read_settings({**env, "ALLOWED_ORIGINS": origins})


def test_several_origins_are_allowed(env: Env) -> None:
    given = f" {ORIGIN},http://localhost:3000 ,,http://[::1]:8080"
    settings = read_settings({**env, "ALLOWED_ORIGINS": given})
    assert settings.allowed_origins == (ORIGIN, "http://localhost:3000", "http://[::1]:8080")


@given(st.dictionaries(st.sampled_from(["origin", "access-control-request-headers"]), st.text()))
def test_only_an_exact_origin_is_ever_echoed(headers: dict[str, str]) -> None:
    cors = Cors((ORIGIN,))
    request = Request("OPTIONS", "/", {}, headers)
    allowed = cors.headers(request).get("Access-Control-Allow-Origin")
    assert allowed in (None, ORIGIN)
    if "origin" in headers and headers["origin"] != ORIGIN:
        with pytest.raises(CorsRefused):
            cors.preflight(request)
