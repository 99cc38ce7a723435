"""If the clocks differ by 20 minutes, the answer reports this. After the clocks are set right,
everything works again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chaos_table import Tries
from function_under_fire import STS, Env, function
from running_oss import ACCOUNT, BUCKET, EVERYTHING, REGION, ROLE_ARN, Clock, policy
from sandbox import sts
from sandbox.identities import AccessKey, Identities, Role
from sandbox.oss import Storage, create_app
from sandbox.ram import Policy
from sandbox.servers import Service, in_background, listen
from scripted_sts import success
from signed_logins import RSA_KEY, SECRET, login
from token_service.app import App
from token_service.http.messages import Request

KEY = AccessKey(
    "LTAI5tFunction",
    "function-secret",
    f"acs:ram::{ACCOUNT}:user/function",
    (Policy.parse(policy({"Action": ["sts:*", "oss:*"], "Resource": "*"})),),
)


@dataclass(frozen=True)
class Skewed:
    """A function, and a cloud with another clock."""

    app: App
    clock: Clock

    def ask(self, route: str) -> dict[str, Any]:
        request = Request("GET", route, {"access_token": login()})
        found: dict[str, Any] = json.loads(self.app.respond(lambda: request).body)
        return found


@pytest.fixture
def skewed(tmp_path: Path) -> Iterator[Skewed]:
    clock = Clock()
    role = Role(ROLE_ARN, (KEY.arn,), (Policy.parse(EVERYTHING),))
    identities = Identities(ACCOUNT, b"seal key", [KEY], [role], clock)
    with closing(Storage(tmp_path, clock)) as storage:
        storage.create_bucket(BUCKET)
        oss = create_app(storage, identities, region=REGION, clock=clock)
        services = [
            Service(app, listen(0)) for app in (oss, sts.create_app(identities, clock=clock))
        ]
        env = {
            "ALIBABA_CLOUD_ACCESS_KEY_ID": KEY.access_key_id,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": KEY.access_key_secret,
            "ROLE_ARN": ROLE_ARN,
            "BUCKET_NAME": BUCKET,
            "OSS_REGION": REGION,
            "OSS_ENDPOINT": f"http://127.0.0.1:{services[0].port}",
            "STS_ENDPOINT": f"http://127.0.0.1:{services[1].port}",
            "AUTH": "jwt",
            "JWT_SECRET": SECRET,
        }
        with in_background(services), closing(App(env)) as app:
            yield Skewed(app, clock)


SKEW = 20 * 60
CLOCKS = {
    ("/", SKEW): "InvalidTimeStamp.Expired",
    ("/", -SKEW): "InvalidTimeStamp.Expired",
    ("/uploads", SKEW): "RequestTimeTooSkewed",
    ("/uploads", -SKEW): "RequestTimeTooSkewed",
}


@pytest.mark.parametrize(("route", "ahead"), CLOCKS)
def test_a_clock_that_is_20_minutes_off_is_told_by_the_clouds_own_code(
    skewed: Skewed, route: str, ahead: int, tries: Tries
) -> None:
    asked = "OSS" if route == "/uploads" else "STS"
    tries.name(f"function and {asked}", f"{asked}'s clock {ahead / 60:+.0f} minutes")
    skewed.clock.ahead = ahead
    try:
        found = tries.ask(lambda: skewed.ask(route))
    finally:
        skewed.clock.ahead = 0
    tries.note(f"{found['StatusCode']} {found['ErrorCode']}")
    assert (found["StatusCode"], found["ErrorCode"]) == (500, CLOCKS[route, ahead])
    assert KEY.access_key_secret not in str(found)
    found = tries.ask(lambda: skewed.ask(route))
    assert found["StatusCode"] == 200


def test_credentials_that_ended_20_minutes_ago_are_not_passed_on(env: Env, tries: Tries) -> None:
    tries.name("function and STS", "credentials that ended 20 minutes ago")
    ended = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - SKEW))
    with function(env, STS, success(Expiration=ended)) as at:
        found = json.loads(tries.ask(lambda: at.ask("/")).body)
    tries.note(f"{found['StatusCode']} {found['ErrorCode']}")
    assert (found["StatusCode"], found["ErrorCode"]) == (503, "StsInvalidAnswer")


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"exp": -SKEW}, "ExpiredToken"),
        ({"nbf": SKEW}, "InvalidToken"),
        ({"iat": SKEW}, "InvalidToken"),
    ],
    ids=str,
)
def test_a_login_of_a_clock_that_is_20_minutes_off_is_refused(
    env: Env, claims: dict[str, int], code: str, tries: Tries
) -> None:
    tries.name("client and function", f"a login whose {claims}")
    moved = {name: int(time.time()) + seconds for name, seconds in claims.items()}
    with function(env) as at:
        token = login(RSA_KEY, "RS256", "one", **moved)
        found = json.loads(tries.ask(lambda: at.ask("/", token=token)).body)
    tries.note(f"{found['StatusCode']} {found['ErrorCode']}")
    assert (found["StatusCode"], found["ErrorCode"]) == (401, code)
