"""No secret is in a log of any level, on standard output, on standard error, or in an answer to
strangers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scripted_sts import CREDENTIALS, Move, answer, refusal, scripted_sts, success

Env = dict[str, str]
MakeEvent = Callable[..., bytes]
FUNCTION = Path(__file__).parents[1] / "functions" / "sts_token"

# This program switches on all output that Python and the SDK can write.
LOUD = f"""
import http.client, json, logging, sys
logging.basicConfig(level=1, stream=sys.stderr)
http.client.HTTPConnection.debuglevel = 1
sys.path.insert(0, {str(FUNCTION)!r})
import index
index.initialize(None)
for line in sys.stdin:
    answer = index.handler(line, None)
    body = json.loads(answer["body"])
    sys.stdout.write(str(body["StatusCode"]) + "\\n")
    # Only a token may contain secrets.
    shown = answer["body"] if body["StatusCode"] != 200 else ""
    sys.stderr.write(f"{{shown}} {{index._app!r}} {{index._app._made!r}}\\n")
"""

QUOTED = (
    "Specified signature is not matched with our calculation. server string to sign is:"
    "POST&%2F&SecurityToken%3DCAIS-own"
)


@pytest.mark.parametrize(
    ("move", "status"),
    [
        (success(), "200"),
        (refusal(400, "SignatureDoesNotMatch", QUOTED), "500"),
        (refusal(403, "NoPermission", "LTAI5tFunctionKeyId may not, CAIS-own"), "500"),
        (answer(500, b"CAIS-own function-access-key-secret"), "503"),
        (success(Expiration="soon"), "503"),
        (answer(200, b"not JSON: CAIS-own"), "503"),
    ],
    ids=["success", "signature", "permission", "500", "unsound", "not JSON"],
)
def test_no_secret_is_logged_at_any_level_not_even_with_debug_sdk(
    env: Env, make_event: MakeEvent, move: Move, status: str
) -> None:
    """With DEBUG=sdk, the client of the SDK would print signatures and key ids."""
    env["ALIBABA_CLOUD_SECURITY_TOKEN"] = "CAIS-own"
    with scripted_sts(move) as server:
        done = subprocess.run(
            [sys.executable, "-c", LOUD],
            input=make_event() + b"\n",
            env={**os.environ, **env, "STS_ENDPOINT": server.url, "DEBUG": "sdk"},
            capture_output=True,
            check=False,
        )
        signatures = [request["Signature"] for request in server.requests]
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    assert done.stdout.decode().strip() == status
    assert signatures
    assert "AUTH=anonymous" in said, "logging must be switched on"
    secrets = [env[name] for name in env if name.startswith("ALIBABA_CLOUD_")]
    for secret in (*secrets, *signatures, *list(CREDENTIALS.values())[:3]):
        assert secret not in said


def test_a_login_in_the_query_is_not_logged(env: Env, make_event: MakeEvent) -> None:
    """The function accepts a login in the query, but never shows it in an answer or a log."""
    event = make_event(queryParameters={"access_token": "l0gin", "policy": "nope"})
    done = subprocess.run(
        [sys.executable, "-c", LOUD],
        input=event + b"\n",
        env={**os.environ, **env},
        capture_output=True,
        check=False,
    )
    assert done.stdout.decode().strip() == "400"
    assert b"l0gin" not in done.stdout + done.stderr
