"""Each request has one log line: these tests check its content, and that it holds no secret."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import datetime
from typing import Any

import pytest

from scripted_sts import CREDENTIALS, ScriptedSts, refusal, scripted_sts, success
from signed_logins import SECRET, login
from token_service.app import App
from token_service.http import fc_event

Env = dict[str, str]
Lines = Callable[[], list[dict[str, Any]]]
Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def jwt_env(env: Env) -> Env:
    return {**env, "AUTH": "jwt", "JWT_SECRET": SECRET}


@pytest.fixture
def ask(make_event: Callable[..., bytes]) -> Iterator[Ask]:
    """Return a function that sends an event to an App. The argument `server` is the App's STS."""
    with ExitStack() as stack:
        apps: dict[int, App] = {}

        def send(
            server: ScriptedSts, env: Env, method: str = "GET", path: str = "/", **event: Any
        ) -> dict[str, Any]:
            if server.port not in apps:
                app = App({**env, "STS_ENDPOINT": server.url})
                apps[server.port] = stack.enter_context(closing(app))
            app = apps[server.port]
            response = app.respond(lambda: fc_event.read(make_event(method, path, **event)))
            answer: dict[str, Any] = json.loads(response.body or "{}")
            return answer

        yield send


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """Return a function that reads the log lines of requests."""
    caplog.set_level(logging.INFO, logger="sts_token")

    def read() -> list[dict[str, Any]]:
        return [json.loads(r.message) for r in caplog.records if r.message.startswith("{")]

    return read


def test_a_token_is_one_line(ask: Ask, lines: Lines, jwt_env: Env) -> None:
    with scripted_sts(success()) as server:
        ask(server, jwt_env, headers={"Authorization": f"Bearer {login()}"})
    (line,) = lines()
    assert line.pop("stsMs") >= 0
    assert line.pop("totalMs") >= 0
    assert line.pop("requestId")
    assert line == {
        "route": "/",
        "status": 200,
        "caller": "alice",
        "policy": "bucket_write_policy",
        "cache": "miss",
        "stsRequestId": "R",
    }


def test_a_token_that_is_served_again_says_so_in_the_line_and_not_in_the_answer(
    ask: Ask, lines: Lines, jwt_env: Env
) -> None:
    with scripted_sts(success()) as server:
        for _ in range(2):
            answer = ask(server, jwt_env, queryParameters={"access_token": login()})
    miss, hit = lines()
    assert (miss["cache"], hit["cache"]) == ("miss", "hit")
    assert hit["stsMs"] == 0
    assert "hit" not in json.dumps(answer)
    assert "Cache" not in answer


def test_a_hashed_caller_is_named_by_the_segment(ask: Ask, lines: Lines, jwt_env: Env) -> None:
    with scripted_sts(success()) as server:
        answer = ask(server, jwt_env, queryParameters={"access_token": login(sub="a@b.c\n")})
    (line,) = lines()
    assert line["caller"].startswith("~")
    assert answer["Scope"]["Prefix"] == f"uploads/{line['caller']}/"


def test_what_sts_refused_is_named(ask: Ask, lines: Lines, jwt_env: Env) -> None:
    with scripted_sts(refusal(403, "NoPermission", "no")) as server:
        ask(server, jwt_env, queryParameters={"access_token": login()})
    (line,) = lines()
    assert (line["status"], line["error"], line["stsRequestId"]) == (500, "NoPermission", "R")
    assert "cache" not in line


@pytest.mark.parametrize(
    ("path", "query", "status", "error"),
    [
        ("/", {}, 401, "MissingToken"),
        ("/", {"access_token": "x.y.z"}, 401, "InvalidToken"),
        ("/nowhere-SECRET", {}, 404, "NotFound"),
        ("/health", {}, 200, None),
    ],
)
def test_every_request_is_one_line(
    ask: Ask,
    lines: Lines,
    jwt_env: Env,
    path: str,
    query: dict[str, str],
    status: int,
    error: str | None,
) -> None:
    with scripted_sts(success()) as server:
        ask(server, jwt_env, path=path, queryParameters=query)
    (line,) = lines()
    assert (line["status"], line.get("error")) == (status, error)
    assert "SECRET" not in json.dumps(line)


def test_what_is_no_event_is_one_line(lines: Lines, jwt_env: Env) -> None:
    with closing(App(jwt_env)) as app:
        app.respond(lambda: fc_event.read(b"{}"))
    (line,) = lines()
    assert (line["status"], line["error"]) == (400, "InvalidEvent")


def test_a_misspelt_name_is_told_once_and_not_before_the_first_answer(
    caplog: pytest.LogCaptureFixture, env: Env, make_event: Callable[..., bytes]
) -> None:
    def told() -> list[str]:
        return [text for text in caplog.messages if "JWT_ISUER" in text]

    event = make_event(path="/health")
    with closing(App({**env, "JWT_ISUER": "not-to-be-logged"})) as app:
        app.respond(lambda: fc_event.read(event))
        assert told() == []
        for _ in range(3):
            app.respond(lambda: fc_event.read(event))
    assert told() == ["JWT_ISUER is not a variable of the function; did you mean JWT_ISSUER?"]
    assert "not-to-be-logged" not in caplog.text


def test_nothing_secret_is_in_any_line(
    ask: Ask, caplog: pytest.LogCaptureFixture, jwt_env: Env
) -> None:
    caplog.set_level(logging.DEBUG)
    text = login()
    expired = login(exp=1)
    with scripted_sts(success()) as server:
        for carried in (text, text[:-3], expired, f"{text},{expired}"):
            ask(server, jwt_env, queryParameters={"access_token": carried})
            ask(server, jwt_env, "POST", headers={"Authorization": f"Bearer {carried}"}, body="{")
    secrets = [*list(CREDENTIALS.values())[:3], *text.split("."), *expired.split("."), SECRET]
    secrets += [v for name, v in jwt_env.items() if name.startswith("ALIBABA_CLOUD")]
    assert len(caplog.records) == 8
    for secret in secrets:
        assert secret not in caplog.text


def test_each_line_has_the_time_and_the_fields_of_a_line_that_logging_makes(
    ask: Ask, env: Env, caplog: pytest.LogCaptureFixture
) -> None:
    """The function makes a log record by copying an earlier record. If the copying had a mistake,
    the new record could keep the time and the fields of the earlier record."""
    caplog.set_level(logging.INFO, logger="sts_token")
    began = time.time()
    with scripted_sts(success()) as server:
        ask(server, env)
        ask(server, env)
    first, second = (r for r in caplog.records if r.message.startswith("{"))
    made = logging.getLogger("sts_token").makeRecord("sts_token", 20, "", 0, "", (), None)
    for record in (first, second):
        assert vars(made).keys() <= vars(record).keys()
        assert (record.name, record.levelname) == ("sts_token", "INFO")
        shown = logging.Formatter("%(asctime)s").format(record)
        at = datetime.strptime(shown, "%Y-%m-%d %H:%M:%S,%f").timestamp()
        assert began - 0.001 <= at <= time.time()
    assert first.created < second.created
    assert first.message != second.message
