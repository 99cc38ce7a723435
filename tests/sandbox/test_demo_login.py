"""The sandbox's own sign-in gives a login for any id. The function accepts this login."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse

from configuration import jwt_settings
from sandbox import demo_login
from sandbox.environment import sandbox_environment
from sandbox.servers import Service, in_background, listen
from token_service.http import cors
from token_service.http.messages import Request
from token_service.instance import Instance
from token_service.login.logins import Logins
from token_service.settings.reading import read_settings

SECRET = "demo-secret-of-more-than-32-bytes"
ORIGIN = "http://localhost:5173"


class Answer:
    """One answer's status, headers and JSON."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.body = answer.read()

    @property
    def json(self) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(self.body)
        return decoded


Ask = Callable[..., Answer]


def environment(**variables: str) -> dict[str, str]:
    variables["AUTH"] = "jwt"
    return sandbox_environment(
        variables,
        variables.keys(),
        key=("LTAI", "secret"),
        oss_port=1,
        sts_port=2,
        jwt_secret=SECRET,
    )


def user_of(login: str, **variables: str) -> str:
    """Return the user id that the function reads from the login."""
    env = environment(**variables)
    settings = jwt_settings(env)
    request = Request("GET", "/", query={"access_token": login})
    return Logins(settings, env).verified(request).user_id


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[..., Ask]]:
    """Serve the route in front of a function that answers "function". Returns a callable that
    asks."""
    with ExitStack() as stack:

        def start(secret: str | None = SECRET, **variables: str) -> Ask:
            env = environment(**variables)
            settings = read_settings(env)
            app = demo_login.create_app(
                PlainTextResponse("function"), settings, secret, cors.of(Instance(env))
            )
            service = Service(app, listen(0))
            stack.enter_context(in_background([service]))

            def ask(query: str = "", method: str = "GET", path: str = "", **headers: str) -> Answer:
                connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
                named = {name.replace("_", "-"): value for name, value in headers.items()}
                connection.request(method, (path or demo_login.PATH) + query, headers=named)
                answer = Answer(connection.getresponse())
                connection.close()
                return answer

            return ask

        yield start


@pytest.fixture(scope="module")
def ask(serve: Callable[..., Ask]) -> Ask:
    return serve()


@pytest.mark.parametrize(
    "user_id", ["alice", "a b+c", "\u7167/../\U0001f600", "~abc", "\0\r\n", "${x}*?", "x" * 2000]
)
def test_any_id_gets_a_login_that_the_function_takes_for_it(ask: Ask, user_id: str) -> None:
    answer = ask(f"?user={quote(user_id)}")
    assert (answer.status, list(answer.json)) == (200, ["access_token"])
    assert answer.headers["Cache-Control"] == "no-store"
    assert user_of(answer.json["access_token"]) == user_id


@given(st.text(st.characters(), min_size=1, max_size=50))
def test_no_id_is_changed_on_its_way(user_id: str) -> None:
    """The ids include lone surrogates, which a command line can hold, and letters that Unicode can
    write in two ways."""
    settings = jwt_settings(environment())
    assert user_of(demo_login.make_login(user_id, settings, SECRET)) == user_id


def test_a_login_ends_after_an_hour(ask: Ask) -> None:
    login = ask("?user=alice").json["access_token"]
    assert jwt.get_unverified_header(login)["alg"] == "HS256"
    claims = jwt.decode(login, SECRET, algorithms=["HS256"])
    assert set(claims) == {"sub", "exp", "iat"}
    assert abs(claims["exp"] - time.time() - 3600) < 60


def test_a_login_has_the_claims_that_the_function_wants(serve: Callable[..., Ask]) -> None:
    variables = {
        "JWT_ISSUER": "https://login.example.com, login.example.com",
        "JWT_AUDIENCE": "uploads, other",
        "JWT_USER_CLAIM": "uid",
        "JWT_REQUIRE": "azp=web|phone,email_verified=true",
    }
    login = serve(**variables)("?user=alice").json["access_token"]
    assert user_of(login, **variables) == "alice"
    assert "sub" not in jwt.decode(login, options={"verify_signature": False})


@pytest.mark.parametrize(
    "query",
    ["", "?", "?user", "?user=", "?User=alice", "?user=a&user=b", "?user=%ff", "?user=%ED%A0%80"],
)
def test_without_one_id_there_is_no_login(ask: Ask, query: str) -> None:
    answer = ask(query)
    assert answer.status == 400
    assert (answer.json["StatusCode"], answer.json["ErrorCode"]) == (400, "InvalidParameter.User")
    assert answer.json["ErrorMessage"].startswith("user: must be ")
    assert "access_token" not in answer.json


def test_with_keys_of_the_developers_own_there_is_no_login(serve: Callable[..., Ask]) -> None:
    answer = serve(None, JWT_SECRET="own-secret-of-more-than-32-bytes!")("?user=alice")
    assert (answer.status, answer.json["StatusCode"]) == (404, 404)
    assert "JWT_SECRET" in answer.json["ErrorMessage"]
    assert "own-secret" not in answer.json["ErrorMessage"]


@pytest.mark.parametrize("path", ["/", "/sts", "/sandbox", "/sandbox/logins", "/Sandbox/login"])
def test_everything_else_is_the_functions(ask: Ask, path: str) -> None:
    assert ask("?user=alice", path=path).body == b"function"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_another_method_is_405(ask: Ask, method: str) -> None:
    answer = ask("?user=alice", method)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")


def test_head_has_no_body(ask: Ask) -> None:
    answer = ask("?user=alice", "HEAD")
    assert (answer.status, answer.body) == (200, b"")


def test_a_page_on_another_port_may_read_the_login_and_the_error(ask: Ask) -> None:
    for query in ("?user=alice", ""):
        assert ask(query, Origin=ORIGIN).headers["Access-Control-Allow-Origin"] == "*"
    preflight = ask("", "OPTIONS", Origin=ORIGIN, Access_Control_Request_Method="GET")
    assert preflight.status == 200
    assert "GET" in preflight.headers["Access-Control-Allow-Methods"]


def test_pages_read_logins_by_the_functions_rule(serve: Callable[..., Ask]) -> None:
    ask = serve(ALLOWED_ORIGINS=ORIGIN)
    allowed, other = (
        ask("?user=alice", Origin=origin) for origin in (ORIGIN, "https://evil.example.com")
    )
    assert allowed.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Access-Control-Allow-Origin" not in other.headers
    refused = ask("", "OPTIONS", Origin="https://evil.example.com")
    assert (refused.status, refused.json["ErrorCode"]) == (403, "CorsRefused")
