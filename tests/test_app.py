"""Tests routes, methods and answers, as the SDKs need them. The STS is a script."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from scripted_sts import (
    CREDENTIALS,
    Move,
    ScriptedSts,
    answer,
    drip,
    hang,
    raw,
    refusal,
    reset,
    success,
    then_close,
)
from token_service import __version__
from token_service.app import App
from token_service.http import fc_event
from token_service.http.messages import ANSWER_SECONDS, Response
from token_service.token.assume_role import WARM_SECONDS

Env = dict[str, str]
MakeEvent = Callable[..., bytes]
Ask = Callable[..., Response]


@pytest.fixture
def ask(env: Env, server: ScriptedSts, make_event: MakeEvent) -> Iterator[Ask]:
    """Return a function that sends an event to a new App with the scripted STS. `settings` change
    the environment of the App."""
    with ExitStack() as stack:

        def send(
            method: str = "GET", path: str = "/", settings: Env | None = None, **event: object
        ) -> Response:
            app = App({**env, "STS_ENDPOINT": server.url, **(settings or {})})
            stack.enter_context(closing(app))
            return app.respond(lambda: fc_event.read(make_event(method, path, **event)))

        yield send


def body(response: Response) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(response.body)
    return document


def test_a_token_has_what_each_client_reads(ask: Ask) -> None:
    """The token has all members that the Android, iOS and JavaScript SDKs read (source: their
    code)."""
    response = ask()
    token = body(response)
    assert response.status == 200
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-store"
    assert token["StatusCode"] == 200
    assert token["Code"] == "Success"
    assert {name: token[name] for name in CREDENTIALS} == CREDENTIALS
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", token["LastUpdated"])
    assert token["Scope"] == {
        "Bucket": "my-bucket",
        "Region": "cn-hangzhou",
        "Endpoint": "https://oss-cn-hangzhou.aliyuncs.com",
        "Cname": False,
        "Prefix": "uploads/",
        "Policy": "bucket_write_policy",
    }


def test_no_member_at_the_top_is_an_option_of_ali_oss(ask: Ask) -> None:
    """A member like Bucket, Region or Endpoint at the top level breaks ali-oss 6.23."""
    assert set(body(ask())) == {
        "StatusCode",
        "AccessKeyId",
        "AccessKeySecret",
        "SecurityToken",
        "Expiration",
        "Code",
        "LastUpdated",
        "Scope",
    }


@pytest.mark.parametrize("path", ["/", "/sts", "/sts/", "//"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_token_is_answered_on_its_paths(ask: Ask, method: str, path: str) -> None:
    assert body(ask(method, path))["StatusCode"] == 200


def test_any_other_query_is_ignored(ask: Ask) -> None:
    assert body(ask(queryParameters={"_": "1", "cache": "no"}))["StatusCode"] == 200


def test_head_is_get_without_the_body(ask: Ask) -> None:
    get, head = ask(), ask("HEAD")
    assert (head.status, head.headers, head.body) == (get.status, get.headers, "")


@pytest.mark.parametrize("path", ["/", "/sts/", "/health", "/nothing/here"])
def test_options_succeeds_on_any_path_and_asks_no_sts(
    ask: Ask, server: ScriptedSts, path: str
) -> None:
    response = ask("OPTIONS", path)
    assert response.status == 200
    assert body(response) == {"StatusCode": 200}
    assert server.requests == []


@pytest.mark.parametrize("path", ["/nothing", "/st", "/sts/x", "/health/../sts", "/%73ts"])
def test_an_unknown_path_is_404_in_json(ask: Ask, path: str) -> None:
    response = ask("GET", path)
    assert response.status == 200
    assert body(response)["StatusCode"] == 404
    assert body(response)["ErrorCode"] == "NotFound"
    assert "/sts" in body(response)["ErrorMessage"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE"])
def test_another_method_is_405(ask: Ask, method: str) -> None:
    response = ask(method)
    assert body(response)["StatusCode"] == 405
    assert response.headers["Allow"] == "GET, POST, HEAD, OPTIONS"


def test_errors_have_a_real_status_where_the_operator_asks(ask: Ask) -> None:
    """This is only an option, because Android loses the body of an answer if its status is not
    200."""
    assert ask("GET", "/nothing", {"HTTP_ERROR_STATUS": " real\n"}).status == 404


def test_an_error_has_no_credential_and_no_success(ask: Ask) -> None:
    error = body(ask(queryParameters={"policy": "all_policy"}))
    assert error == {
        "StatusCode": 400,
        "ErrorCode": "InvalidParameter.Policy",
        "ErrorMessage": "policy: must be one of bucket_write_policy (POLICY_CHOICES)",
    }


def test_wishes_narrow_what_is_sent_to_sts(ask: Ask, server: ScriptedSts) -> None:
    settings = {"TOKEN_EXPIRE_TIME": "3600", "POLICY_CHOICES": "bucket_read_policy"}
    wishes = {"policy": "bucket_read_policy", "object": "a.jpg", "duration": "900"}
    token = body(ask("POST", "/", settings, body=json.dumps(wishes)))
    sent = server.requests[0]
    assert sent["DurationSeconds"] == "900"
    (statement,) = json.loads(sent["Policy"])["Statement"]
    assert statement["Action"] == ["oss:GetObject"]
    assert statement["Resource"] == ["acs:oss:*:*:my-bucket/uploads/a.jpg"]
    assert token["Scope"]["Object"] == "uploads/a.jpg"


def test_the_security_token_of_the_function_is_sent_and_read_anew(
    env: Env, server: ScriptedSts, make_event: MakeEvent
) -> None:
    """The role's credentials may change while an instance runs."""
    env.update(STS_ENDPOINT=server.url, ALIBABA_CLOUD_SECURITY_TOKEN="CAIS-first")
    with closing(App(env)) as app:
        app.respond(lambda: fc_event.read(make_event()))
        env["ALIBABA_CLOUD_SECURITY_TOKEN"] = "CAIS-second"
        # This request has another wish, so it does not get the first token from the cache.
        other = make_event(queryParameters={"object": "other"})
        app.respond(lambda: fc_event.read(other))
    assert [r["SecurityToken"] for r in server.requests] == ["CAIS-first", "CAIS-second"]


@pytest.mark.parametrize(
    "name",
    [
        "ROLE_ARN",
        "BUCKET_NAME",
        "OSS_REGION",
        "ALIBABA_CLOUD_ACCESS_KEY_ID",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
    ],
)
@pytest.mark.parametrize("path", ["/", "/health"])
def test_a_missing_variable_is_named(ask: Ask, path: str, name: str) -> None:
    error = body(ask("GET", path, {name: ""}))
    assert (error["StatusCode"], error["ErrorCode"]) == (500, "Misconfiguration")
    assert error["ErrorMessage"].startswith(f"{name}: not set")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AUTH", "none"),
        ("HTTP_ERROR_STATUS", "maybe"),
        ("POLICY_FILE", "nothing_like_it"),
        ("POLICY_CHOICES", "bucket_read_policy,nothing_like_it"),
    ],
)
def test_a_wrong_variable_is_named_at_health_too(ask: Ask, name: str, value: str) -> None:
    for path in ("/", "/health"):
        error = body(ask("GET", path, {name: value}))
        assert error["ErrorCode"] == "Misconfiguration"
        assert error["ErrorMessage"].startswith(f"{name}: ")


@pytest.mark.parametrize("text", ["{{ bukket }}", "no JSON"])
def test_health_renders_each_policy_and_tells_no_path(ask: Ask, tmp_path: Path, text: str) -> None:
    template = tmp_path / "own.json.j2"
    template.write_text(text)
    error = body(ask("GET", "/health", {"POLICY_CHOICES": str(template)}))
    assert error["ErrorCode"] == "InvalidPolicy"
    assert "own.json.j2" in error["ErrorMessage"]
    assert str(tmp_path) not in json.dumps(error)


@pytest.mark.parametrize("url", ["not a URL", "https://token.example.com/elsewhere?a=b#c"])
def test_a_wrong_callback_url_is_refused_before_sts_is_asked(
    ask: Ask, server: ScriptedSts, url: str
) -> None:
    error = body(ask("GET", "/", {"CALLBACK_URL": url, "CALLBACK_SECRET": "x" * 44}))
    assert error["ErrorMessage"].startswith("CALLBACK_URL: ")
    assert server.requests == []


def test_health_says_nothing_secret_and_asks_no_sts(ask: Ask, server: ScriptedSts) -> None:
    health = body(ask("GET", "/health"))
    assert health.keys() == {
        *("StatusCode", "Status", "Version", "OssHost", "ByteCode", "Warnings")
    }
    assert (health["StatusCode"], health["Status"], health["Version"]) == (200, "OK", __version__)
    assert [warning.partition(":")[0] for warning in health["Warnings"]] == ["AUTH=anonymous"]
    assert "bucket" not in str(health["Warnings"]).lower()
    assert server.requests == []


def test_a_refusal_of_sts_is_answered_with_its_code_and_message(
    ask: Ask, server: ScriptedSts
) -> None:
    """An error has the members that the SDKs read (source: their code)."""
    server.moves[:] = [
        refusal(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
    ]
    response = ask()
    assert response.status == 200
    assert body(response) == {
        "StatusCode": 500,
        "ErrorCode": "InvalidAccessKeyId.NotFound",
        "ErrorMessage": "Specified access key is not found.",
    }


FAULTS = {
    "reset": (reset, 503),
    "silence": (hang, 503),
    "drip": (drip(b"HTTP/1.1 200 OK\r\n" * 50), 503),
    "500": (answer(500, b"no"), 503),
    "throttling": (refusal(400, "Throttling.User", "slow down"), 429),
    "HTML": (answer(200, b"<html>"), 503),
    "half an answer": (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"), 503),
    "nulls": (success(AccessKeyId=None), 503),
    "gone stale, then refused": (then_close(refusal(403, "NoPermission", "no")), 500),
}


def test_the_first_answer_comes_within_five_seconds_of_the_initializers_start(
    env: Env, make_event: MakeEvent
) -> None:
    """On a cold start, a phone waits for the initializer and then for the answer. This STS accepts
    connections, but does not answer."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"https://127.0.0.1:{mute.getsockname()[1]}"
        with closing(App({**env, "STS_ENDPOINT": url})) as app:
            began = time.monotonic()
            app.warm()
            first = app.respond(lambda: fc_event.read(make_event()))
            assert time.monotonic() - began < 5
    assert body(first)["ErrorCode"] == "StsUnreachable"


def test_what_the_initializer_took_is_not_taken_twice(env: Env) -> None:
    """The time that the initializer took is subtracted from the time limit of the first request
    only. The second request has the full time."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"https://127.0.0.1:{mute.getsockname()[1]}"
        with closing(App({**env, "STS_ENDPOINT": url})) as app:
            app.warm()
            first = app.end(ANSWER_SECONDS)
            assert first <= time.monotonic() + ANSWER_SECONDS - WARM_SECONDS
            second_began = time.monotonic()
            assert app.end(ANSWER_SECONDS) >= second_began + ANSWER_SECONDS
            # The third request also has the full time.
            third_began = time.monotonic()
            assert app.end(ANSWER_SECONDS) >= third_began + ANSWER_SECONDS


def test_a_download_is_signed_by_a_session_that_lives_as_long_as_it_may(
    ask: Ask, server: ScriptedSts
) -> None:
    """A URL expires with the session that signs it, and one session signs all downloads of a
    caller. Therefore the session lasts as long as the operator allows, even if tokens expire
    earlier."""
    settings = {
        "POLICY_FILE": "bucket_read_policy",
        "TOKEN_EXPIRE_TIME": "900",
        "TOKEN_EXPIRE_TIME_MAX": "3600",
    }
    wishes = {"object": "a.jpg", "method": "GET"}
    signed = body(ask("GET", "/signed-url", settings, queryParameters=wishes))
    assert signed["StatusCode"] == 200
    body(ask("GET", "/", settings))
    assert [asked["DurationSeconds"] for asked in server.requests] == ["3600", "900"]


def ends_in(seconds: int) -> Move:
    """Return an answer of STS with credentials that expire in `seconds`, whatever lifetime was
    requested."""
    moment = time.gmtime(time.time() + seconds)
    return success(Expiration=time.strftime("%Y-%m-%dT%H:%M:%SZ", moment))


def test_a_download_is_signed_for_no_longer_than_its_session_lives(
    ask: Ask, server: ScriptedSts
) -> None:
    server.moves[:] = [ends_in(400), ends_in(5000), ends_in(-60)]
    readers = {"POLICY_FILE": "bucket_read_policy"}
    wishes = {"object": "a.jpg", "method": "GET"}
    cut, whole, ended = (
        body(ask("GET", "/signed-url", readers, queryParameters=wishes)) for _ in range(3)
    )
    seconds = [int(re.findall("x-oss-expires=([0-9]+)", url["Url"])[0]) for url in (cut, whole)]
    assert 1 <= seconds[0] <= 400
    assert seconds[1] == 900
    # Here the clock of STS is behind ours, or the answer of STS is wrong. A URL that has already
    # expired would be useless.
    assert (ended["StatusCode"], ended["ErrorCode"]) == (503, "StsInvalidAnswer")


@pytest.mark.parametrize(("fault", "status"), FAULTS.values(), ids=FAULTS.keys())
def test_whatever_sts_does_the_answer_is_json_within_five_seconds(
    ask: Ask, server: ScriptedSts, fault: Move, status: int
) -> None:
    """The time is limited, because Android has no read timeout, and stops all uploads while it
    waits for a token."""
    server.moves[:] = [fault]
    start = time.monotonic()
    response = ask()
    assert time.monotonic() - start < 5
    assert response.status == 200
    error = body(response)
    assert error["StatusCode"] == status
    assert error["ErrorCode"]
    assert error["ErrorMessage"]
    assert set(error) == {"StatusCode", "ErrorCode", "ErrorMessage"}


def test_an_unexpected_fault_is_a_bare_500_and_the_log_names_the_place_only(
    ask: Ask, mocker: MockerFixture, caplog: pytest.LogCaptureFixture
) -> None:
    """The fault is a fake, because we know no request that causes a real unexpected fault."""
    mocker.patch("token_service.routes.token.token", side_effect=RuntimeError("quotes a s3cret"))
    error = body(ask())
    assert (error["StatusCode"], error["ErrorCode"]) == (500, "InternalError")
    assert "s3cret" not in error["ErrorMessage"]
    assert "RuntimeError" in caplog.text
    assert "s3cret" not in caplog.text


def test_anonymous_mode_and_all_policy_are_warned_about(
    ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    ask("GET", "/", {"POLICY_FILE": "all_policy"})
    assert "AUTH=anonymous: anyone who knows the URL" in caplog.text
    assert "all_policy: tokens may do all that the upload role may" in caplog.text


def test_warming_up_reports_what_is_wrong_and_goes_on(
    env: Env, caplog: pytest.LogCaptureFixture
) -> None:
    del env["ROLE_ARN"]
    App(env).warm()
    assert "Misconfiguration: ROLE_ARN: not set" in caplog.text
