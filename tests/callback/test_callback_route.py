"""`/callback`, from the token's Scope to the webhook's answer, with the sandbox's STS and OSS."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from oss_signer import OssSigner, about, decoded
from running_cloud import RunningCloud, Token, running_cloud
from scripted_sts import Move, ScriptedSts, answer, hang, scripted_sts, success
from signed_logins import login
from token_service.app import App
from token_service.callback import public_keys as oss_keys
from token_service.http import fc_event
from token_service.http.messages import Request, Response
from token_service.routes import callback as callback_route
from tried import examples

Env = dict[str, str]
EVENTS = Path(__file__).parents[1] / "events"
FUNCTION = Path(__file__).parents[2] / "functions" / "sts_token"
CALLBACK_URL = "https://app.example.com/oss/callback"
SECRET = "s" * 32
HOOK_SECRET = "h" * 32
BODY = b"hello"
ETAG = "5D41402ABC4B2A76B9719D911017C592"
KEY = "uploads/a.jpg"


@pytest.fixture(scope="module")
def key_server() -> Iterator[ScriptedSts]:
    with scripted_sts() as server:
        yield server


@pytest.fixture(scope="module")
def oss(key_server: ScriptedSts) -> OssSigner:
    signer = OssSigner(f"{key_server.url}/callback_pub_key.pem")
    key_server.moves[:] = [answer(200, signer.pem)]
    return signer


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, oss: OssSigner) -> Iterator[RunningCloud]:
    folder = tmp_path_factory.mktemp("cloud")
    with running_cloud(
        folder,
        CALLBACK_URL=CALLBACK_URL,
        CALLBACK_SECRET=SECRET,
        CALLBACK_PUBLIC_KEY_URL=oss.key_url,
    ) as running:
        token = Token.of(running.answer())
        token.oss2("v4").put_object(KEY, BODY, {"Content-Type": "image/jpeg"})
        yield running


def scope(cloud: RunningCloud, **wishes: str) -> dict[str, Any]:
    found: dict[str, Any] = cloud.answer(**wishes)["Scope"]
    return found


def call(cloud: RunningCloud, oss: OssSigner, **values: object) -> Request:
    """Return the request that OSS posts after the upload of KEY."""
    filled = {**about("sandbox-bucket", KEY, ETAG, len(BODY)), **values}
    return oss.call(scope(cloud), **filled)


def respond(cloud: RunningCloud, request: Request) -> tuple[int, dict[str, Any]]:
    response = cloud.app.respond(lambda: request)
    return response.status, json.loads(response.body)


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    found = [record.message for record in caplog.records if record.message.startswith("{")]
    return [json.loads(message) for message in found]


def test_a_token_carries_the_callback_in_its_scope(cloud: RunningCloud) -> None:
    found = scope(cloud)
    assert decoded(found["Callback"])["callbackUrl"] == CALLBACK_URL
    assert list(decoded(found["CallbackVar"])) == ["x:seal"]
    # A second token comes from the cache, and has the same callback.
    assert scope(cloud)["CallbackVar"] == found["CallbackVar"]


def test_a_verified_upload_is_answered_and_logged_as_one_line(
    cloud: RunningCloud, oss: OssSigner, caplog: pytest.LogCaptureFixture
) -> None:
    pixels = {"imageInfo.width": 640, "imageInfo.height": 480}
    request = call(cloud, oss, **pixels)
    caplog.clear()
    with caplog.at_level(logging.INFO, "sts_token"):
        status, answered = respond(cloud, request)
    assert (status, answered["Status"], answered["StatusCode"]) == (200, "OK", 200)
    expected = {
        "Caller": "anonymous",
        "Bucket": "sandbox-bucket",
        "Object": KEY,
        "Size": len(BODY),
        "ETag": ETAG,
        # The callback does not contain the content type, so the function asked OSS for it.
        "ContentType": "image/jpeg",
        "Width": 640,
        "Height": 480,
    }
    assert {name: answered[name] for name in expected} == expected
    (line,) = lines(caplog)
    assert line["caller"] == "anonymous"
    ids = {name: answered[name] for name in ("Id", "LegacyId")}
    assert line["upload"] == {**ids, **expected}
    assert (line["route"], line["status"]) == ("/callback", 200)
    assert "error" not in line


def test_the_golden_event_is_verified_and_then_held_against_oss(
    env: Env, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Everything is as in production, but the key in tests/events replaces OSS's key."""
    monkeypatch.setattr(oss_keys, "BUNDLED", (EVENTS / "callback_key.pem").read_text())
    lines = ("HTTP/1.1 200 X", "Content-Length: 5", f'ETag: "{ETAG}"', "Content-Type: i/j")
    head = "\r\n".join((*lines, "Last-Modified: Tue, 24 Nov 2026 10:00:00 GMT", "", ""))

    def move(sock: Any) -> bool:
        sock.sendall(head.encode())
        return False

    with scripted_sts(move) as server:
        env.update(
            CALLBACK_URL=CALLBACK_URL, CALLBACK_SECRET=SECRET, OSS_INTERNAL_ENDPOINT=server.url
        )
        with closing(App(env)) as made:
            event = (EVENTS / "callback.json").read_bytes()
            response = made.respond(lambda: fc_event.read(event))
        assert response.status == 200, (response.body, caplog.text)
        assert server.received[0][0].startswith(
            b"HEAD /my-bucket/uploads/alice/%E6%97%A5%20%26%20%E6%9C%AC.jpg HTTP/1.1\r\n"
        )
    answered = json.loads(response.body)
    assert (answered["Caller"], answered["ContentType"], answered["Width"]) == ("alice", "i/j", 640)


def test_the_prefix_of_a_gateway_may_be_there_or_not(cloud: RunningCloud, oss: OssSigner) -> None:
    request = call(cloud, oss)
    for path in ("/oss/callback", "/callback", "/callback/"):
        assert respond(cloud, request._replace(path=path))[0] == 200


def test_a_callback_carries_no_login(cloud: RunningCloud, oss: OssSigner) -> None:
    """The Authorization header of a callback has OSS's signature."""
    jwt = App({**cloud.env, "AUTH": "jwt", "JWT_SECRET": "j" * 32})
    with closing(jwt):
        request = call(cloud, oss)
        assert jwt.respond(lambda: request).status == 200


def test_a_narrowed_tokens_callback_is_of_that_object_only(
    cloud: RunningCloud, oss: OssSigner
) -> None:
    narrowed = scope(cloud, object="b.jpg")
    values = about("sandbox-bucket", KEY, ETAG, len(BODY))
    status, error = respond(cloud, oss.call(narrowed, **values))
    assert (status, error["ErrorMessage"]) == (403, "the object is not the one that was granted")


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "another object": ({"object": "private/a.jpg"}, "the object is not the one that was granted"),
    "another bucket": ({"bucket": "another-bucket"}, "the object is not the one that was granted"),
    "an object that was never uploaded": ({"object": "uploads/b"}, "OSS has no such object"),
    "another size": (
        {"size": 6},
        "the object in OSS has another size or etag than the callback says",
    ),
    "another etag": (
        {"etag": "0" * 32},
        "the object in OSS has another size or etag than the callback says",
    ),
    "a malformed size": ({"size": "s3cret"}, "the field size is malformed"),
}


@pytest.mark.parametrize(("values", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_has_a_real_status_and_its_reason_in_the_log(
    cloud: RunningCloud,
    oss: OssSigner,
    caplog: pytest.LogCaptureFixture,
    values: dict[str, object],
    reason: str,
) -> None:
    """By default, errors for apps have status 200. But OSS treats 200 as success, so an error in
    answer to a callback always has its true HTTP status."""
    request = call(cloud, oss, **values)
    caplog.clear()
    with caplog.at_level(logging.INFO, "sts_token"):
        status, error = respond(cloud, request)
    assert (status, error["StatusCode"], error["ErrorCode"]) == (403, 403, "CallbackRefused")
    assert error["ErrorMessage"] == reason
    (line,) = lines(caplog)
    assert (line["status"], line["error"], line["reason"]) == (403, "CallbackRefused", reason)
    assert "upload" not in line


def test_no_secret_and_nothing_of_a_stranger_is_logged(
    cloud: RunningCloud, oss: OssSigner, caplog: pytest.LogCaptureFixture
) -> None:
    request = call(cloud, oss)
    signature = request.headers["authorization"]
    seal = decoded(scope(cloud)["CallbackVar"])["x:seal"]
    with caplog.at_level(1):
        respond(cloud, request)
        respond(cloud, request._replace(body=request.body + b"&stranger=said"))
        forged = {**request.headers, "authorization": "c3RyYW5nZXI="}
        respond(cloud, request._replace(headers=forged))
    assert len(lines(caplog)) >= 3
    for text in (SECRET, signature, seal, "stranger", "c3RyYW5nZXI="):
        assert text not in caplog.text


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_only_post_is_answered(cloud: RunningCloud, method: str) -> None:
    response = cloud.app.respond(lambda: Request(method, "/callback"))
    assert (response.status, response.headers["Allow"]) == (405, "POST")


def test_without_callback_url_there_are_no_callbacks(env: Env) -> None:
    with closing(App(env)) as made:
        response = made.respond(lambda: Request("POST", "/callback"))
        elsewhere = made.respond(lambda: Request("POST", "/oss/callback"))
    assert (response.status, json.loads(response.body)["ErrorCode"]) == (404, "NotFound")
    assert json.loads(elsewhere.body)["ErrorCode"] == "NotFound"


def test_a_wrong_setting_fails_the_callback(env: Env) -> None:
    with closing(App({**env, "CALLBACK_URL": CALLBACK_URL, "CALLBACK_SECRET": "short"})) as made:
        response = made.respond(lambda: Request("POST", "/callback"))
    assert response.status == 500
    assert json.loads(response.body)["ErrorMessage"].startswith("CALLBACK_SECRET: ")
    assert "short" not in response.body


def test_secrets_are_rotated_in_a_living_instance(cloud: RunningCloud, oss: OssSigner) -> None:
    """The new secret comes first. The old secret stays until the last token that was made with it
    has expired."""
    env = dict(cloud.env)
    request = call(cloud, oss)
    with closing(App(env)) as made:
        for secrets, status in (
            (SECRET, 200),
            (f"{'n' * 32},{SECRET}", 200),
            ("n" * 32, 403),
        ):
            env["CALLBACK_SECRET"] = secrets
            assert made.respond(lambda: request).status == status


def test_a_refusal_of_oss_to_the_function_fails_the_callback_with_its_code(
    cloud: RunningCloud, oss: OssSigner
) -> None:
    values = {"ALIBABA_CLOUD_ACCESS_KEY_SECRET": "wrong"}
    request = call(cloud, oss)
    with closing(App({**cloud.env, **values})) as made:
        response = made.respond(lambda: request)
    assert (response.status, json.loads(response.body)["ErrorCode"]) == (
        500,
        "SignatureDoesNotMatch",
    )


def with_hook(cloud: RunningCloud, request: Request, move: Move) -> tuple[Response, ScriptedSts]:
    with scripted_sts(move) as server:
        hook = {"UPLOAD_HOOK_URL": f"{server.url}/up", "UPLOAD_HOOK_SECRET": HOOK_SECRET}
        with closing(App({**cloud.env, **hook})) as made:
            return made.respond(lambda: request), server


def test_the_hooks_answer_is_what_oss_tells_the_client(cloud: RunningCloud, oss: OssSigner) -> None:
    told = {"photo": 7, "name": "\u65e5\u672c"}
    response, server = with_hook(cloud, call(cloud, oss), answer(201, told))
    assert response.status == 200
    assert json.loads(response.body) == told
    assert response.body.isascii()
    ((_, body),) = server.received
    assert json.loads(body)["Object"] == KEY


def test_a_hook_that_refuses_fails_the_callback_and_the_upload_is_logged(
    cloud: RunningCloud, oss: OssSigner, caplog: pytest.LogCaptureFixture
) -> None:
    request = call(cloud, oss)
    caplog.clear()
    with caplog.at_level(logging.INFO, "sts_token"):
        response, _ = with_hook(cloud, request, answer(403, {"Status": "OK"}))
    assert response.status == 502
    assert json.loads(response.body)["ErrorCode"] == "HookFailed"
    (line,) = lines(caplog)
    assert (line["error"], line["reason"]) == ("HookFailed", "UPLOAD_HOOK_URL answered HTTP 403")
    assert line["upload"]["Object"] == KEY


def test_a_hook_hears_nothing_of_what_is_not_verified(cloud: RunningCloud, oss: OssSigner) -> None:
    for request in (
        call(cloud, oss, size=6),
        replace(oss, key=OssSigner().key).call(
            scope(cloud), **about("sandbox-bucket", KEY, ETAG, len(BODY))
        ),
    ):
        response, server = with_hook(cloud, request, answer(200, {}))
        assert response.status == 403
        assert server.received == []


def test_a_hook_that_hangs_fails_the_callback_before_oss_gives_up(
    cloud: RunningCloud, oss: OssSigner, mocker: MockerFixture
) -> None:
    """OSS waits 5 s for the function. Here the function's own limit is only 0.8 s, so that the test
    is quick."""
    assert callback_route.CALLBACK_SECONDS < 5
    mocker.patch("token_service.routes.callback.CALLBACK_SECONDS", 0.8)
    began = time.monotonic()
    response, _ = with_hook(cloud, call(cloud, oss), hang)
    assert time.monotonic() - began < 4
    assert (response.status, json.loads(response.body)["ErrorCode"]) == (502, "HookFailed")


def test_an_upload_reported_twice_has_one_idempotency_key(
    cloud: RunningCloud, oss: OssSigner
) -> None:
    """The function does not store uploads, so the back end recognizes a repeat by the Id."""
    request = call(cloud, oss)
    first, second = (with_hook(cloud, request, answer(200, {}))[1] for _ in range(2))
    ((_, body),), ((_, again),) = first.received, second.received
    assert json.loads(body)["Id"] == json.loads(again)["Id"]


def test_one_stored_object_has_one_idempotency_key_whatever_its_uploader_says(
    cloud: RunningCloud, oss: OssSigner
) -> None:
    """OSS's key signs five callbacks about one object, each with another request id (finding
    A13)."""
    heads: list[bytes] = []
    for number in range(5):
        request = call(cloud, oss, reqId=f"X{number}")
        response, hook = with_hook(cloud, request, answer(200, {}))
        assert response.status == 200
        heads += [head for head, _ in hook.received]
    keys = {line for head in heads for line in head.split(b"\r\n") if b"Idempotency-Key" in line}
    assert (len(heads), len(keys)) == (5, 1)


def with_more(cloud: RunningCloud, oss: OssSigner, more: str) -> Request:
    """Return the callback of a client that added `more` at the end of our body."""
    return oss.post("/oss/callback", call(cloud, oss).body.decode() + more)


def test_own_variables_are_answered_and_handed_on_and_not_logged(
    cloud: RunningCloud, oss: OssSigner, caplog: pytest.LogCaptureFixture
) -> None:
    """Variables may contain, for example, a telephone number, and other people may read the log."""
    request = with_more(cloud, oss, "&phone=555-0100")
    caplog.clear()
    with caplog.at_level(1):
        status, answered = respond(cloud, request)
        _, server = with_hook(cloud, request, answer(200, {}))
    assert (status, answered["Variables"]) == (200, {"phone": "555-0100"})
    ((_, body),) = server.received
    assert json.loads(body)["Variables"] == {"phone": "555-0100"}
    assert lines(caplog)[0]["upload"]["Object"] == KEY
    for text in ("555-0100", "Variables", "phone"):
        assert text not in caplog.text


def test_the_log_names_a_wrong_field_and_not_its_value(
    cloud: RunningCloud, oss: OssSigner, caplog: pytest.LogCaptureFixture
) -> None:
    request = with_more(cloud, oss, "&order=7&Caller=555-0100")
    caplog.clear()
    with caplog.at_level(1):
        assert respond(cloud, request)[0] == 403
    (line,) = lines(caplog)
    assert line["reason"].startswith("own variable 2, Caller: that name is reserved")
    assert "555-0100" not in caplog.text


LAZY = """
    callback.parameters callback.public_keys callback.rsa_md5 callback.seals callback.variables
    callback.verify callback.webhook oss_client routes.uploads signing.signer
""".split()
COLD = f"""
import json, sys
sys.path.insert(0, {str(FUNCTION)!r})
import index
index.initialize(None)
index.handler(sys.stdin.read(), None)
print(json.dumps([name for name in {LAZY!r} if "token_service." + name in sys.modules]))
"""


@pytest.mark.parametrize(
    ("callbacks", "loaded"),
    [({}, []), ({"CALLBACK_URL": CALLBACK_URL}, ["callback.parameters", "callback.seals"])],
)
def test_the_cold_start_of_a_token_loads_only_what_it_needs(
    env: Env, callbacks: Env, loaded: list[str]
) -> None:
    with scripted_sts(success()) as sts:
        done = subprocess.run(
            [sys.executable, "-c", COLD],
            input=(EVENTS / "get_token.json").read_bytes(),
            env={**os.environ, **env, "STS_ENDPOINT": sts.url, "CALLBACK_SECRET": SECRET}
            | callbacks,
            capture_output=True,
            check=True,
        )
        assert len(sts.requests) == 1
    assert json.loads(done.stdout) == loaded


TEXT = st.text(max_size=30)


@pytest.mark.tries("callbacks")
@examples(100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(max_size=300),
    headers=st.dictionaries(
        st.sampled_from(["Content-Type", "Authorization", "X-Oss-Pub-Key-Url", "Origin"]),
        st.sampled_from(["application/x-www-form-urlencoded", "aHR0cDovL2E="]) | TEXT,
    ),
    path=st.sampled_from(["/callback", "/oss/callback", "/callback/"]),
    query=st.dictionaries(TEXT, TEXT, max_size=1),
)
def test_any_callback_is_refused_in_json(
    cloud: RunningCloud, body: bytes, headers: dict[str, str], path: str, query: dict[str, str]
) -> None:
    request = Request("POST", path, query, {n.lower(): v for n, v in headers.items()}, body)
    status, error = respond(cloud, request)
    assert (status, error["ErrorCode"]) == (403, "CallbackRefused")


# The brakes


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"DENIED_CALLERS": "alice"}, "DENIED_CALLERS"),
        ({"LOGINS_NOT_BEFORE": "50 s ago"}, "LOGINS_NOT_BEFORE"),
    ],
)
def test_an_upload_of_a_denied_caller_is_reported_as_denied(
    tmp_path: Path,
    oss: OssSigner,
    caplog: pytest.LogCaptureFixture,
    variables: dict[str, str],
    says: str,
) -> None:
    """A caller is denied while an upload is in progress. The log shows the upload, and the webhook
    is not called."""
    with (
        scripted_sts(answer(200, {})) as hook,
        running_cloud(
            tmp_path,
            AUTH="jwt",
            CALLBACK_URL=CALLBACK_URL,
            CALLBACK_SECRET=SECRET,
            CALLBACK_PUBLIC_KEY_URL=oss.key_url,
            UPLOAD_HOOK_URL=f"{hook.url}/hook",
            UPLOAD_HOOK_SECRET=HOOK_SECRET,
        ) as cloud,
    ):
        now = int(time.time())
        variables = {n: value.replace("50 s ago", str(now - 50)) for n, value in variables.items()}
        signed_in = login(cloud.env["JWT_SECRET"], iat=now - 100)
        given = cloud.answer(access_token=signed_in)
        Token.of(given).oss2("v4").put_object("uploads/alice/a", BODY)
        request = oss.call(
            given["Scope"], **about("sandbox-bucket", "uploads/alice/a", ETAG, len(BODY))
        )
        assert respond(cloud, request)[0] == 200
        told = len(hook.requests)
        with closing(App({**cloud.env, **variables})) as app, caplog.at_level(logging.INFO):
            response = app.respond(lambda: request)
        assert (response.status, json.loads(response.body)["ErrorCode"]) == (403, "CallerDenied")
        line = lines(caplog)[-1]
        assert (line["caller"], line["error"]) == ("alice", "CallerDenied")
        assert says in line["reason"]
        assert line["upload"]["Object"] == "uploads/alice/a"
        assert (told, len(hook.requests)) == (1, 1)
