"""Runs the back ends of docs/integrate/login-backend.md unchanged. The real function verifies the
logins that they make."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface

from documented_code import blocks
from integration import INTEGRATE, PACKAGES, post, run_in, serving, write_files
from javascript import need
from running_cloud import RunningCloud, running_cloud

PAGE = "login-backend.md"
SECRET = "only-for-tests-0123456789abcdefghi"
PASSWORD = "correct horse"
VARIABLES = {"JWT_SECRET": SECRET, "SESSION_SECRET": "s" * 32, "ALICE_PASSWORD": PASSWORD}
COMMANDS = {
    "flask": [sys.executable, "-m", "flask", "--app", "login_backend", "run", "--port", "{port}"],
    "express": ["node", "login-backend.mjs"],
}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    with running_cloud(tmp_path_factory.mktemp("c"), AUTH="jwt", JWT_SECRET=SECRET) as running:
        yield running


@pytest.fixture(scope="module", params=COMMANDS)
def back_end(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The URL of the back end."""
    folder = prepared(tmp_path_factory.mktemp("back-end"), request.param)
    with serving(folder, COMMANDS[request.param], **VARIABLES) as url:
        yield url


def prepared(folder: Path, way: str) -> Path:
    if way == "express":
        need(f"docs/integrate/{PAGE} with Express", browser=False, folder=PACKAGES)
        (folder / "node_modules").symlink_to(PACKAGES / "node_modules")
    named = write_files(folder, "python", PAGE) + write_files(folder, "js", PAGE)
    assert named == ["login_backend.py", "login-backend.mjs"]
    return folder


def test_who_signs_in_gets_a_login_that_opens_their_own_folder(
    back_end: str, cloud: RunningCloud
) -> None:
    status, _, headers = post(f"{back_end}/sign-in", {"user": "alice", "password": PASSWORD})
    assert status == 200
    cookie = headers["Set-Cookie"]
    assert {"HttpOnly", "Secure"} <= set(cookie.split("; "))
    assert "samesite=lax" in cookie.lower()
    status, answer, _ = post(f"{back_end}/upload-login", Cookie=cookie.partition(";")[0])
    assert (status, answer["seconds"]) == (200, 900)
    token = cloud.answer(access_token=answer["login"])
    assert token["Scope"]["Prefix"] == "uploads/alice/"


@pytest.mark.parametrize(
    "sent", [{"user": "alice", "password": "guess"}, {"user": "bob", "password": PASSWORD}, {}]
)
def test_who_does_not_know_the_password_gets_no_session(back_end: str, sent: object) -> None:
    status, answer, headers = post(f"{back_end}/sign-in", sent)
    assert (status, answer) == (401, {"error": "wrong name or password"})
    assert "Set-Cookie" not in headers


@pytest.mark.parametrize("cookie", ["", "session=eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9."])
def test_who_has_no_session_gets_no_login(back_end: str, cookie: str) -> None:
    status, answer, _ = post(f"{back_end}/upload-login", {"user": "alice"}, Cookie=cookie)
    assert (status, answer) == (401, {"error": "sign in first"})


def test_a_session_of_a_user_who_is_gone_gets_no_login(back_end: str) -> None:
    """A user who was blocked after an incident may still have the cookie of the session."""
    signed = SecureCookieSessionInterface().get_signing_serializer(flask_app())
    now = int(time.time())
    claims = {"sub": "bob", "aud": "session", "iat": now, "exp": now + 900}
    for cookie in [
        signed.dumps({"user": "bob"}) if signed else "",
        jwt.encode(claims, VARIABLES["SESSION_SECRET"], algorithm="HS256"),
    ]:
        status, answer, _ = post(f"{back_end}/upload-login", Cookie=f"session={cookie}")
        assert (status, answer) == (401, {"error": "sign in first"})


def test_a_login_is_no_session(tmp_path: Path) -> None:
    """If a login were accepted as a session, a login of 15 minutes could renew itself. In this
    test, logins and sessions have the same secret."""
    folder, now = prepared(tmp_path, "express"), int(time.time())
    login = jwt.encode({"sub": "alice", "iat": now, "exp": now + 900}, SECRET, algorithm="HS256")
    variables = {**VARIABLES, "SESSION_SECRET": SECRET}
    with serving(folder, COMMANDS["express"], **variables) as url:
        status, answer, _ = post(f"{url}/upload-login", Cookie=f"session={login}")
    assert (status, answer) == (401, {"error": "sign in first"})


def flask_app() -> Flask:
    """Return a Flask app that signs sessions with the same key as the back end."""
    app = Flask(__name__)
    app.secret_key = VARIABLES["SESSION_SECRET"]
    return app


@pytest.mark.parametrize("language", ["python", "js"])
def test_the_shortest_prints_a_login(language: str, cloud: RunningCloud, tmp_path: Path) -> None:
    if language == "js":
        prepared(tmp_path, "express")
    code = next(code for code in blocks(language, INTEGRATE / PAGE) if code[0] not in "#/")
    (tmp_path / "short.mjs").write_text(code)
    command = ["node", "short.mjs"] if language == "js" else [sys.executable, "short.mjs"]
    done = run_in(tmp_path, command, JWT_SECRET=SECRET)
    assert done.returncode == 0, done.stderr
    answer = cloud.answer(access_token=done.stdout.strip())
    assert answer["Scope"]["Prefix"] == "uploads/alice/"


def test_what_the_page_says_of_refusals_is_what_the_function_says(cloud: RunningCloud) -> None:
    text = (INTEGRATE / PAGE).read_text().partition("## Three failures")[2]
    logins = {
        "InvalidToken": cloud.login("alice")[:-4] + "AAAA",
        "ExpiredToken": expired(),
    }
    for code, login in logins.items():
        answer = cloud.answer(access_token=login)
        assert answer["ErrorCode"] == code
        slanted = re.findall(rf"^\| `{code}`, \*(\w+)\*", text, re.M)
        assert not slanted or slanted[0] in answer["ErrorMessage"]


def expired() -> str:
    return jwt.encode({"sub": "alice", "exp": 1_700_000_000}, SECRET, algorithm="HS256")
