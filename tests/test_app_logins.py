"""Tests the whole app with AUTH=jwt: which token a caller gets, with which limits, and how often
STS is called."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from certificates import certificate, server_context
from scripted_sts import (
    CREDENTIALS,
    Move,
    ScriptedSts,
    answer,
    hang,
    refusal,
    reset,
    scripted_sts,
    success,
)
from signed_logins import KEYS, RSA_KEY, SECRET, jwk, jwks, login
from token_service.app import App
from token_service.http import fc_event
from token_service.http.messages import Request
from token_service.login.jwks import KeySet

Env = dict[str, str]
Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def app(jwt_env: Env) -> Iterator[App]:
    with closing(App(jwt_env)) as app:
        yield app


@pytest.fixture
def ask(app: App, make_event: Callable[..., bytes]) -> Ask:
    """Send a request to the App as a user. If `user` is None, the request has no login."""

    def send(user: str | None = "alice", path: str = "/", **wishes: str) -> dict[str, Any]:
        query = wishes if user is None else {"access_token": login(sub=user), **wishes}
        event = make_event("GET", path, queryParameters=query)
        response = app.respond(lambda: fc_event.read(event))
        document: dict[str, Any] = json.loads(response.body)
        return document

    return send


def test_each_user_gets_a_folder_and_is_named_in_the_audit_trail(
    ask: Ask, server: ScriptedSts
) -> None:
    assert ask("alice")["Scope"]["Prefix"] == "uploads/alice/"
    assert ask("bob")["Scope"]["Prefix"] == "uploads/bob/"
    assert [r["RoleSessionName"] for r in server.requests] == ["alice", "bob"]
    for request, name in zip(server.requests, ("alice", "bob"), strict=True):
        (statement,) = json.loads(request["Policy"])["Statement"]
        assert statement["Resource"] == [f"acs:oss:*:*:my-bucket/uploads/{name}/*"]


def test_an_object_wish_is_relative_to_the_users_folder(ask: Ask, server: ScriptedSts) -> None:
    assert ask(object="a.jpg")["Scope"]["Object"] == "uploads/alice/a.jpg"
    (statement,) = json.loads(server.requests[0]["Policy"])["Statement"]
    assert statement["Resource"] == ["acs:oss:*:*:my-bucket/uploads/alice/a.jpg"]
    for name in ("../bob/a.jpg", "/uploads/bob/a.jpg", "*", "a/../../bob/a.jpg"):
        assert ask(object=name)["ErrorCode"] == "InvalidParameter.Object"


@pytest.mark.parametrize("path", ["/", "/sts"])
def test_nobody_gets_nothing(ask: Ask, server: ScriptedSts, path: str) -> None:
    refused = ask(None, path)
    assert (refused["StatusCode"], refused["ErrorCode"]) == (401, "MissingToken")
    refused = ask(None, path, access_token="a.b.c")
    assert (refused["StatusCode"], refused["ErrorCode"]) == (401, "InvalidToken")
    assert server.requests == []


def test_health_asks_for_no_login(ask: Ask) -> None:
    assert ask(None, "/health")["Status"] == "OK"


def test_health_says_that_the_secret_is_too_short(jwt_env: Env, ask: Ask) -> None:
    jwt_env["JWT_SECRET"] = f"{SECRET},short"
    error = ask(None, "/health")
    assert error["ErrorCode"] == "Misconfiguration"
    assert error["ErrorMessage"].startswith("JWT_SECRET: each secret must have at least 32 bytes")
    assert "short" not in error["ErrorMessage"].replace("shorter", "")


def test_a_duration_wish_stays_within_the_operators_bounds(jwt_env: Env, ask: Ask) -> None:
    jwt_env.update(TOKEN_EXPIRE_TIME="1800", TOKEN_EXPIRE_TIME_MAX="7200")
    for seconds in ("900", "1800", "7200"):
        assert ask(duration=seconds)["StatusCode"] == 200
    for seconds in ("899", "7201", "-900", "1e3", "900.0", "", "\uff19\uff10\uff10", "9" * 5000):
        error = ask(duration=seconds)
        assert error["ErrorCode"] == "InvalidParameter.Duration"
        assert "900 to 7200" in error["ErrorMessage"]


# The cost


def test_a_thousand_requests_of_one_caller_cost_one_call_of_sts(
    ask: Ask, server: ScriptedSts
) -> None:
    answers = [ask() for _ in range(1000)]
    assert len(server.requests) == 1
    assert {answer["AccessKeyId"] for answer in answers} == {answers[0]["AccessKeyId"]}


def test_no_caller_is_ever_served_anothers_token(ask: Ask, server: ScriptedSts) -> None:
    server.moves[:] = [success(AccessKeyId=f"STS.{number}") for number in range(3)]
    assert ask("alice")["AccessKeyId"] == "STS.0"
    assert ask("bob")["AccessKeyId"] == "STS.1"
    assert ask("alice", object="a")["AccessKeyId"] == "STS.2"
    assert ask("alice")["AccessKeyId"] == "STS.0"
    assert ask("bob")["AccessKeyId"] == "STS.1"


def test_a_kept_token_asks_for_a_login_all_the_same(ask: Ask, app: App) -> None:
    assert ask()["StatusCode"] == 200
    assert ask(None)["StatusCode"] == 401


def test_an_error_of_sts_is_not_kept(ask: Ask, server: ScriptedSts) -> None:
    server.moves[:] = [refusal(403, "NoPermission", "no"), success()]
    assert ask()["ErrorCode"] == "NoPermission"
    assert ask()["StatusCode"] == 200


def test_the_same_request_from_many_phones_at_once_is_one_call(
    ask: Ask, server: ScriptedSts
) -> None:
    answers: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda: answers.append(ask())) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer["StatusCode"] for answer in answers] == [200] * 16
    assert len(server.requests) == 1


def test_a_caller_who_wants_too_many_new_tokens_is_told_to_wait(
    jwt_env: Env, app: App, ask: Ask, server: ScriptedSts, make_event: Callable[..., bytes]
) -> None:
    jwt_env["CALLER_TOKENS_PER_MINUTE"] = "2"
    assert [ask(object=name)["StatusCode"] for name in "ab"] == [200, 200]
    error = ask(object="c")
    assert (error["StatusCode"], error["ErrorCode"]) == (429, "Throttling.Caller")
    assert len(server.requests) == 2
    # A token from the cache does not count towards the limit, and each caller has a separate limit.
    assert ask(object="a")["StatusCode"] == 200
    assert ask("bob", object="c")["StatusCode"] == 200
    query = {"access_token": login(), "object": "c"}
    response = app.respond(lambda: fc_event.read(make_event(queryParameters=query)))
    assert 1 <= int(response.headers["Retry-After"]) <= 60


# Keys by a URL, and the time of an answer


@pytest.fixture
def key_env(jwt_env: Env) -> Iterator[Env]:
    document = jwks(*(jwk(name, name) for name in KEYS)).encode()
    with scripted_sts(answer(200, document)) as provider:
        del jwt_env["JWT_SECRET"]
        jwt_env["JWT_JWKS_URL"] = f"{provider.url}/keys.json"
        yield jwt_env


def test_a_login_of_an_identity_provider_gets_a_token(
    key_env: Env, app: App, make_event: Callable[..., bytes]
) -> None:
    app.warm()
    for algorithm, key in KEYS.items():
        header = {"Authorization": f"Bearer {login(key, algorithm, kid=algorithm)}"}
        request = fc_event.read(make_event(headers=header))
        response = app.respond(partial(Request._replace, request))
        assert json.loads(response.body)["StatusCode"] == 200


def test_a_key_set_may_change_while_the_service_runs(
    jwt_env: Env,
    app: App,
    make_event: Callable[..., bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Rotate keys over TLS as a provider does. First the new key is added. Later the old key is
    removed. Between these two steps the provider fails."""
    now = [time.time()]
    monkeypatch.setattr(KeySet.__init__, "__defaults__", (lambda: now[0],))
    pem = certificate(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))

    def came_to(algorithm: str) -> tuple[int, int]:
        """Log in with a key of this algorithm. Return the status of the answer, and how many lines
        about JWT_JWKS_URL the log has so far."""
        text = login(KEYS[algorithm], algorithm, kid=algorithm, exp=int(time.time()) + 100_000)
        event = make_event(headers={"Authorization": f"Bearer {text}"})
        response = app.respond(lambda: fc_event.read(event))
        said = [record for record in caplog.records if "JWT_JWKS_URL" in record.getMessage()]
        return json.loads(response.body)["StatusCode"], len(said)

    def served(*algorithms: str, odd: bool = False) -> Move:
        more = [jwk("ES256", "EdDSA", use="enc")] if odd else []
        return answer(200, jwks(*(jwk(name, name) for name in algorithms), *more).encode())

    with scripted_sts(served("RS256"), tls=server_context(pem)) as provider:
        del jwt_env["JWT_SECRET"]
        jwt_env["JWT_JWKS_URL"] = f"https://localhost:{provider.port}/keys.json"
        assert came_to("RS256") == (200, 0)
        provider.moves[:] = [served("RS256", "ES256", odd=True)]
        assert came_to("ES256") == (401, 0)
        now[0] += 60
        assert came_to("ES256") == came_to("RS256") == (200, 1)
        for fault in (answer(503, b""), answer(200, b"<html>"), reset, served()):
            provider.moves[:] = [fault]
            before = came_to("RS256")[1]
            now[0] += 3601
            assert came_to("RS256") == came_to("ES256") == (200, before + 1)
        provider.moves[:] = [served("ES256")]
        now[0] += 60
        assert came_to("ES256")[0] == 200
        # The function has cached this login, but the key of the login no longer exists.
        assert came_to("RS256")[0] == 401


def test_keys_and_sts_that_do_not_answer_are_told_within_five_seconds(
    jwt_env: Env, app: App, make_event: Callable[..., bytes], server: ScriptedSts
) -> None:
    """The function waits for keys and for STS. The sum of these waits must be limited, because the
    Android SDK waits for the function without a timeout."""
    server.moves[:] = [hang]
    with scripted_sts(hang) as provider:
        del jwt_env["JWT_SECRET"]
        jwt_env["JWT_JWKS_URL"] = f"{provider.url}/keys.json"
        query = {"access_token": login(RSA_KEY, "RS256", kid="RS256")}
        began = time.monotonic()
        response = app.respond(lambda: fc_event.read(make_event(queryParameters=query)))
        assert time.monotonic() - began < 5
    assert json.loads(response.body)["ErrorCode"] == "KeysUnreachable"


def test_warming_up_without_the_key_server_does_not_fail_the_instance(
    jwt_env: Env, app: App, ask: Ask, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    del jwt_env["JWT_SECRET"]
    jwt_env["JWT_JWKS_URL"] = "http://127.0.0.1:9/keys.json"
    app.warm()
    assert "KeysUnreachable" in caplog.text
    assert ask(None, "/health")["StatusCode"] == 200


# Whose key signs a URL


def credential(answer: dict[str, Any]) -> str:
    """Return the id of the access key that signed a URL."""
    assert answer["StatusCode"] == 200, answer
    (found,) = parse_qs(urlsplit(str(answer["Url"])).query)["x-oss-credential"]
    return found.partition("/")[0]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("policy", "choices"),
    [
        ("bucket_read_write_policy", ""),
        ("bucket_read_policy", ""),
        ("bucket_read_policy", "bucket_write_policy"),
        ("all_policy", ""),
    ],
)
def test_downloads_are_signed_with_the_callers_own_session_so_that_a_link_leads_nowhere(
    jwt_env: Env, ask: Ask, server: ScriptedSts, method: str, policy: str, choices: str
) -> None:
    """Finding A2. OSS follows a symbolic link with the rights of the signer (vendor documentation
    of PutSymlink). Alice may have made a link to bob's object. The function's own key could read
    that object, but alice's session cannot."""
    jwt_env.update(POLICY_FILE=policy, POLICY_CHOICES=choices)
    signed = ask("alice", "/signed-url", object="link", method=method)
    assert credential(signed) == CREDENTIALS["AccessKeyId"]
    (statement, *_) = json.loads(server.requests[0]["Policy"])["Statement"]
    if policy != "all_policy":
        assert statement["Resource"] == ["acs:oss:*:*:my-bucket/uploads/alice/*"]
    # One session serves all objects of the caller.
    assert credential(ask("alice", "/signed-url", object="other", method=method)).startswith("STS.")
    assert len(server.requests) == 1


@pytest.mark.parametrize("policy", ["bucket_write_policy", "bucket_read_write_policy"])
def test_uploads_are_signed_by_our_own_key_and_ask_no_sts(
    jwt_env: Env, ask: Ask, server: ScriptedSts, policy: str
) -> None:
    jwt_env["POLICY_FILE"] = policy
    signed = ask("alice", "/signed-url", object="a")
    assert credential(signed) == jwt_env["ALIBABA_CLOUD_ACCESS_KEY_ID"]
    assert server.requests == []


def test_a_download_lives_no_longer_than_the_credentials_that_signed_it(
    jwt_env: Env, ask: Ask, server: ScriptedSts
) -> None:
    jwt_env.update(POLICY_FILE="bucket_read_write_policy", URL_EXPIRE_TIME_MAX="604800")
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 700))
    server.moves[:] = [success(Expiration=soon)]
    wishes = {"object": "a", "method": "GET"}
    for more in ({}, {"expires": "604800"}):
        assert ask("alice", "/signed-url", **wishes, **more)["Expiration"] <= soon


def test_a_login_that_ends_in_the_far_future_is_a_login(ask: Ask) -> None:
    """The time in `exp` is too large for a float."""
    for path in ("/", "/signed-url", "/form"):
        event = {"access_token": login(exp=10**400), "object": "a"}
        assert ask(None, path, **event)["StatusCode"] == 200


def test_a_session_that_has_ended_signs_no_download(
    jwt_env: Env, ask: Ask, server: ScriptedSts
) -> None:
    """STS's clock may be behind ours, so a new session may seem to have ended. A URL that has
    already expired would be useless."""
    jwt_env["POLICY_FILE"] = "bucket_read_policy"
    ended = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 300))
    server.moves[:] = [success(Expiration=ended)]
    answer = ask("alice", "/signed-url", object="a", method="GET")
    assert (answer["StatusCode"], answer["ErrorCode"]) == (503, "StsInvalidAnswer")


def test_a_download_is_not_bound_by_the_functions_temporary_key(
    jwt_env: Env, ask: Ask, server: ScriptedSts
) -> None:
    """A download is signed with a session, not with the function's own key, and the function knows
    when the session expires."""
    jwt_env.update(POLICY_FILE="bucket_read_write_policy", URL_EXPIRE_TIME="43200")
    jwt_env["ALIBABA_CLOUD_SECURITY_TOKEN"] = "CAIS"
    lives = {
        method: ask("alice", "/signed-url", object="a", method=method)["Url"]
        for method in ("GET", "PUT")
    }
    assert "x-oss-expires=43200&" in lives["GET"]
    assert "x-oss-expires=3600&" in lives["PUT"]
