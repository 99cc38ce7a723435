"""Routes that the operator has closed."""

from __future__ import annotations

import json
import time
from contextlib import closing
from typing import Any

import pytest

from signed_logins import SECRET, login
from token_service.app import CALLBACK, ROUTES, App, Route
from token_service.http.messages import Request, Response
from token_service.settings.values import ROUTE_WORDS

Env = dict[str, str]

CLOSABLE = [route for route in ROUTES if route.word]


def respond(env: Env, request: Request) -> Response:
    with closing(App(env)) as app:
        return app.respond(lambda: request)


def answer(env: Env, request: Request) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(respond(env, request).body)
    return found


@pytest.fixture
def jwt(env: Env) -> Env:
    """The variables of a function that needs logins. If a request has no login, an enabled route
    answers MissingToken."""
    return {**env, "AUTH": "jwt", "JWT_SECRET": "s" * 32, "ALLOWED_ORIGINS": "https://a.example"}


@pytest.mark.parametrize("route", CLOSABLE, ids=lambda route: route.path)
@pytest.mark.parametrize("word", ROUTE_WORDS)
def test_a_route_answers_where_its_word_is_there(jwt: Env, route: Route, word: str) -> None:
    found = answer({**jwt, "ENABLED_ROUTES": word}, Request(route.methods[0], route.path))
    assert found["ErrorCode"] == ("MissingToken" if word == route.word else "RouteDisabled")
    if word != route.word:
        assert found["StatusCode"] == 403


@pytest.mark.parametrize("route", CLOSABLE, ids=lambda route: route.path)
@pytest.mark.parametrize("value", ["", "  ", ",".join(ROUTE_WORDS)])
def test_by_default_all_routes_answer(jwt: Env, route: Route, value: str) -> None:
    found = answer({**jwt, "ENABLED_ROUTES": value}, Request(route.methods[0], route.path))
    assert found["ErrorCode"] == "MissingToken"


def test_every_route_that_a_client_asks_can_be_closed() -> None:
    assert {route.word for route in CLOSABLE} <= set(ROUTE_WORDS)
    assert {route.path for route in ROUTES if not route.word} == {CALLBACK.path, "/health"}


def test_what_oss_and_the_operator_ask_stays_open(env: Env) -> None:
    closed = {**env, "ENABLED_ROUTES": "uploads"}
    assert answer(closed, Request("GET", "/health"))["Status"] == "OK"
    assert "CALLBACK_URL" in answer(closed, Request("POST", "/callback"))["ErrorMessage"]
    assert answer(closed, Request("GET", "/"))["ErrorCode"] == "RouteDisabled"


def test_a_page_gets_to_read_that_a_route_is_closed(jwt: Env) -> None:
    closed = {**jwt, "ENABLED_ROUTES": "uploads"}
    headers = {"origin": "https://a.example", "access-control-request-method": "POST"}
    preflight = respond(closed, Request("OPTIONS", "/form", headers=headers))
    assert preflight.status == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == "https://a.example"
    refused = respond(closed, Request("POST", "/form", headers={"origin": "https://a.example"}))
    assert refused.headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert json.loads(refused.body)["ErrorCode"] == "RouteDisabled"


@pytest.mark.parametrize("route", CLOSABLE, ids=lambda route: route.path)
def test_what_would_open_a_route_is_told_to_who_is_logged_in(jwt: Env, route: Route) -> None:
    """A stranger must not learn how this deployment is configured (issue 14)."""
    closed = {**jwt, "ENABLED_ROUTES": "form" if route.word != "form" else "token"}
    opens = f"this route is closed; add {route.word} to ENABLED_ROUTES to open it"
    method = route.methods[0]
    for given, message in (
        ({"access_token": login(sub="alice")}, opens),
        ({}, "this route is closed"),
        ({"access_token": "x.y.z"}, "this route is closed"),
        ({"access_token": login(sub="alice", exp=int(time.time()) - 3600)}, "this route is closed"),
    ):
        found = answer({**closed, "JWT_SECRET": SECRET}, Request(method, route.path, given))
        assert (found["ErrorCode"], found["ErrorMessage"]) == ("RouteDisabled", message)
    everybody = answer({**closed, "AUTH": "anonymous"}, Request(method, route.path))
    assert everybody["ErrorMessage"] == opens


def test_a_closed_route_looks_at_no_wish(jwt: Env) -> None:
    """A closed route does not read the wishes of a request. If the settings have a fault, the
    answer reports this fault, even if the route is closed."""
    closed = {**jwt, "ENABLED_ROUTES": "uploads"}
    bad = Request("POST", "/signed-url", {"access_token": "x"}, body=b"\xff")
    assert answer(closed, bad)["ErrorCode"] == "RouteDisabled"
    for wrong in ({"ENABLED_ROUTES": ","}, {"BUCKET_NAME": ""}):
        found = answer({**closed, **wrong}, Request("GET", "/form"))
        assert found["ErrorCode"] == "Misconfiguration"
