"""Tests `make login`: the real function accepts the printed login, and other users of the machine
cannot see the secret."""

from __future__ import annotations

import json
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import jwt
import pytest

from operators_tool import run_tool
from ops.login import issue
from running_sandbox import make
from scripted_sts import ScriptedSts
from signed_logins import SECRET
from token_service.app import App
from token_service.errors import Misconfiguration
from token_service.http.messages import Request

Env = dict[str, str]
NEXT_SECRET = "the-next-secret-of-at-least-32-bytes"


def answer(env: Env, login: str) -> dict[str, Any]:
    """Send this login to a function with these variables. Return the answer."""
    request = Request("GET", "/", headers={"authorization": f"Bearer {login}"})
    with closing(App(env)) as app:
        document: dict[str, Any] = json.loads(app.respond(lambda: request).body)
    return document


def claims(login: str, secret: str = SECRET) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(login, secret, ["HS256"], options={"verify_aud": False})
    return found


# The command, run as users run it

WAYS: dict[str, Env] = {
    "the defaults": {},
    "a claim, an issuer and an audience of its own": {
        "JWT_USER_CLAIM": "user_id",
        "JWT_ISSUER": "https://login.example.com/",
        "JWT_AUDIENCE": "uploads, photos",
    },
    "spellings of an issuer, and other claims": {
        "JWT_ISSUER": "https://login.example.com, login.example.com",
        "JWT_REQUIRE": "azp=web|phone, email_verified=true",
    },
    "two secrets, while they are rotated": {"JWT_SECRET": f"{NEXT_SECRET}, {SECRET}"},
}


@pytest.mark.parametrize("way", WAYS)
def test_the_function_gives_a_token_for_the_login_that_make_prints(jwt_env: Env, way: str) -> None:
    env = {**jwt_env, **WAYS[way]}
    variables = {name: value for name, value in env.items() if name.startswith(("AUTH", "JWT_"))}
    command = make("-s", "login", "CALLER=alice", "SECONDS=120")
    done = run_tool("ops.login", *command, seconds=30, **variables)
    assert done.returncode == 0, done.stderr
    (login,) = done.stdout.splitlines()
    assert answer(env, login)["Scope"]["Prefix"] == "uploads/alice/"
    made = claims(login, env["JWT_SECRET"].partition(",")[0])
    assert made["exp"] - made["iat"] == 120
    # The output of the command does not show a secret.
    for secret in env["JWT_SECRET"].split(","):
        assert secret.strip() not in done.stdout + done.stderr


def test_it_says_whose_login_it_is_and_until_when(jwt_env: Env) -> None:
    told = run_tool(
        "ops.login", seconds=30, CALLER="alice", **{**jwt_env, **WAYS[list(WAYS)[1]]}
    ).stderr.splitlines()
    assert told[:3] == [
        "make login: caller 'alice', in the claim user_id",
        "make login: issuer https://login.example.com/",
        "make login: audience uploads, the first of 2 in JWT_AUDIENCE",
    ]
    assert told[3].startswith("make login: valid until 20")
    assert " UTC, 900 s. " in told[3]
    told = run_tool(
        "ops.login", seconds=30, CALLER="alice", **{**jwt_env, **WAYS[list(WAYS)[2]]}
    ).stderr.splitlines()
    assert told[1] == ("make login: issuer https://login.example.com, the first of 2 in JWT_ISSUER")
    assert told[3] == "make login: with the claims of JWT_REQUIRE: azp, email_verified"
    told = run_tool("ops.login", seconds=30, CALLER="alice", **jwt_env).stderr.splitlines()
    assert told[1:3] == [
        "make login: issuer none, because JWT_ISSUER is not set",
        "make login: audience none, because JWT_AUDIENCE is not set",
    ]


def test_the_deployments_env_file_is_read_as_s_reads_it(jwt_env: Env, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"CALLER=alice\nJWT_SECRET='{SECRET}#1' # mine\nJWT_ISSUER=me\n")
    command = (sys.executable, "-m", "ops.login")
    shell = ("sh", "-c", 'cd "$FOLDER" && exec "$@"', "sh", *command)
    done = run_tool("ops.login", *shell, seconds=30, FOLDER=str(tmp_path), JWT_ISSUER="you")
    assert done.returncode == 0, done.stderr
    assert ".env is read: 2 variables; the environment wins over it" in done.stderr
    env = {**jwt_env, "JWT_SECRET": f"{SECRET}#1", "JWT_ISSUER": "you"}
    assert answer(env, done.stdout.strip())["StatusCode"] == 200


def test_no_argument_of_a_process_has_the_secret(tmp_path: Path) -> None:
    """`ps` shows the arguments of each process to every user, also those of the shell that runs the
    recipe."""
    python = tmp_path / "python"
    seen = tmp_path / "seen"
    cat = f"cat /proc/$$/cmdline /proc/$PPID/cmdline > {seen}"
    python.write_text(f'#!/bin/sh\n{cat}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    command = [*make("-s", "login", "CALLER=alice"), f"BIN={tmp_path}"]
    done = run_tool("ops.login", *command, seconds=30, JWT_SECRET=SECRET)
    assert done.returncode == 0, done.stderr
    if Path("/proc/self/cmdline").exists():
        assert b"ops.login" in seen.read_bytes()
        assert SECRET.encode() not in seen.read_bytes()


@pytest.mark.parametrize("sign", ["=", "::="])
def test_a_secret_on_makes_command_line_is_refused_and_not_repeated(sign: str) -> None:
    command = make("-s", "login", "CALLER=alice", f"JWT_SECRET{sign}{SECRET}")
    done = run_tool("ops.login", *command, seconds=30)
    assert (done.returncode, done.stdout) == (2, "")
    assert "JWT_SECRET: must not be on make's command line" in done.stderr
    assert "Put the secret into .env or the environment" in done.stderr
    assert SECRET not in done.stderr


def test_what_only_looks_like_that_is_taken(jwt_env: Env) -> None:
    """MAKEFLAGS contains the variables of make's command line, separated by blanks. If a value
    contains a blank, make writes a backslash before this blank."""
    flags = r"s -- CALLER=a\ JWT_SECRET=b MY_JWT_SECRET=c"
    assert issue({**jwt_env, "CALLER": "alice", "MAKEFLAGS": flags}).caller == "alice"
    flags = r"s -- CALLER=a\ b JWT_SECRET=c"
    with pytest.raises(Misconfiguration, match="command line"):
        issue({**jwt_env, "CALLER": "alice", "MAKEFLAGS": flags})


# The caller of a login


@pytest.mark.parametrize(
    ("caller", "folder"),
    [
        ("Alice_7-b", "Alice_7-b"),
        ("张三", "~"),
        ("a@example.com", "~"),
        ('"}, "sub": "bob', "~"),
        ("../bob", "~"),
        ("$(id)", "~"),
    ],
)
def test_any_text_may_be_a_users_id(
    jwt_env: Env, server: ScriptedSts, caller: str, folder: str
) -> None:
    made = issue({**jwt_env, "CALLER": caller})
    assert claims(made.login)["sub"] == caller
    assert answer(jwt_env, made.login)["Scope"]["Prefix"].startswith(f"uploads/{folder}")
    assert server.requests


@pytest.mark.parametrize(("given", "seconds"), [("", 900), ("60", 60), ("3600", 3600)])
def test_it_ends_by_itself(jwt_env: Env, given: str, seconds: int) -> None:
    before = int(time.time())
    found = claims(issue({**jwt_env, "CALLER": "alice", "SECONDS": given}).login)
    assert found["exp"] - found["iat"] == seconds
    assert before <= found["iat"] <= int(time.time())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"CALLER": ""}, ["CALLER: not set", "CALLER=alice"]),
        ({"CALLER": " "}, ["CALLER: not set"]),
        ({"CALLER": "x" * 6200}, ["CALLER: ", "exceeds 8192 characters"]),
        ({"SECONDS": "59"}, ["SECONDS: ", "60 to 3600"]),
        ({"SECONDS": "3601"}, ["SECONDS: ", "60 to 3600"]),
        ({"SECONDS": "an hour"}, ["SECONDS: ", "a whole number of seconds"]),
        ({"JWT_SECRET": ""}, ["JWT_SECRET: not set", "JWT_JWKS_URL"]),
        ({"JWT_SECRET": "short"}, ["JWT_SECRET: ", "at least 32 bytes"]),
        ({"JWT_SECRET": f"{SECRET},short"}, ["JWT_SECRET: ", "at least 32 bytes"]),
        ({"JWT_SECRET": "-----BEGIN PUBLIC KEY-----"}, ["JWT_SECRET: ", "not a public key"]),
        ({"JWT_JWKS_URL": "https://a.example/keys"}, ["JWT_SECRET: set together with JWT_JWKS_"]),
        (
            {"JWT_SECRET": "", "JWT_JWKS_URL": "https://a.example/keys"},
            ["JWT_JWKS_URL: ", "Sign in as your app does", "LOGIN=…"],
        ),
        ({"JWT_SECRET": "", "JWT_JWKS_FILE": "keys.json"}, ["JWT_JWKS_FILE: ", "LOGIN=…"]),
        ({"AUTH": "anonymous"}, ["AUTH: anonymous: there are no logins", "AUTH=jwt"]),
        ({"AUTH": "none"}, ["AUTH: must be one of jwt, anonymous"]),
        (
            {"LOGINS_NOT_BEFORE": "4000000000"},
            ["LOGINS_NOT_BEFORE: must be a time in the past"],
        ),
        ({"DENIED_CALLERS": "a b"}, ["DENIED_CALLERS: "]),
        # The claims exp, nbf and iat are times, so they cannot name the caller.
        (
            {"JWT_USER_CLAIM": "exp", "CALLER": "9999999999"},
            ["JWT_USER_CLAIM: must be a claim other than exp, nbf, iat"],
        ),
        ({"JWT_USER_CLAIM": "iss", "JWT_ISSUER": "me"}, ["JWT_USER_CLAIM: is iss, ", "like sub"]),
        ({"JWT_USER_CLAIM": "aud"}, ["the function would refuse this login", "audience"]),
    ],
)
def test_what_is_wrong_is_said_with_what_is_accepted(
    jwt_env: Env, changes: Env, says: list[str]
) -> None:
    with pytest.raises(Misconfiguration) as caught:
        issue({**jwt_env, "CALLER": "alice", **changes})
    for words in says:
        assert words in caught.value.message
    assert "\n" not in caught.value.message
    assert SECRET not in caught.value.message


def test_what_is_wrong_is_one_line_on_stderr() -> None:
    done = run_tool("ops.login", seconds=30, CALLER="alice", JWT_SECRET="s3cret")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("make login: JWT_SECRET: ")
    assert len(done.stderr.splitlines()) == 1
    assert "s3cret" not in done.stderr


def test_other_variables_may_be_wrong_or_missing() -> None:
    """An operator who deployed in the console may not have the function's other variables on this
    machine."""
    env = {"JWT_SECRET": SECRET, "CALLER": "alice", "BUCKET_NAME": "X", "ROLE_ARN": "x"}
    assert issue(env).caller == "alice"


def test_a_caller_who_is_shut_out_is_a_warning(jwt_env: Env) -> None:
    """A warning is enough, because the operator may want to test that the function refuses this
    caller."""
    env = {**jwt_env, "DENIED_CALLERS": "bob,alice"}
    done = run_tool("ops.login", seconds=30, CALLER="alice", **env)
    assert done.returncode == 0
    assert done.stderr.splitlines()[-1] == (
        "make login: WARNING: the function will refuse this login: the operator has shut this "
        "caller out (DENIED_CALLERS)"
    )
    assert answer(env, done.stdout.strip())["ErrorCode"] == "CallerDenied"
    assert issue({**env, "CALLER": "carol"}).denied == ""


def test_no_line_shows_the_secret_wherever_it_was_put(jwt_env: Env) -> None:
    env = {**jwt_env, "JWT_ISSUER": SECRET, "CALLER": SECRET}
    done = run_tool("ops.login", seconds=30, **env)
    assert done.returncode == 0
    assert SECRET not in done.stderr
