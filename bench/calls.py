"""Environments and events for the benchmarks.

Old and new versions must handle the events in the same way. Newer versions have limits by default.
The environments have variables that switch these limits off. An older version does not know these
variables, and ignores them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

import jwt

from ops import ROOT

BUCKET = "benchmark-bucket"
REGION = "cn-hangzhou"
DEPLOYED = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAI5tBenchmarkKey",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "benchmark-secret",
    # Temporary keys as in Function Compute, because their token is a large part of a signed URL.
    "ALIBABA_CLOUD_SECURITY_TOKEN": "CAIS" + "A+/=" * 225,
    "ROLE_ARN": "acs:ram::1234567890123456:role/upload",
    "BUCKET_NAME": BUCKET,
    "OSS_REGION": REGION,
}
OBJECT = "photos/2026/holiday.jpg"
CONTENT_TYPE = "image/jpeg"

CALLS = 20
"""Calls in each slice. The number is small, so the copies take turns every few milliseconds."""

JWT_SECRET = "benchmark-secret-of-32-bytes-and-more"
_GOLDEN = ROOT / "tests" / "events" / "get_token.json"


class Slice(NamedTuple):
    """A group of CALLS calls. They are measured together. The list of events is sent `repeat`
    times."""

    events: list[str]
    repeat: int


class Scenario(NamedTuple):
    """How the function identifies the callers of a series of calls (AUTH). `label` is appended to
    the names of the metrics of this series."""

    auth: str
    label: str


SCENARIOS = (Scenario("anonymous", ""), Scenario("jwt", ", with a login"))


def environment(scenario: Scenario, port: str) -> dict[str, str]:
    """The function's environment, without variables of this shell."""
    variables = {
        **DEPLOYED,
        "STS_ENDPOINT": f"http://127.0.0.1:{port}",
        "POLICY_FILE": "bucket_read_write_policy",
        # The value is over 900 s, because the stub's tokens of 900 s cannot be cached.
        "TOKEN_EXPIRE_TIME": "3600",
        "CALLER_TOKENS_PER_MINUTE": "0",
        "CALLER_URLS_PER_MINUTE": "0",
        "AUTH": scenario.auth,
    }
    if scenario.auth == "jwt":
        variables["JWT_SECRET"] = JWT_SECRET
    return variables


def cold_event(scenario: Scenario, now: float) -> str:
    """The first request of an instance, which asks for a token. `now` is in unix seconds."""
    return _event(scenario, now)


def slices(scenario: Scenario, count: int, now: float) -> dict[str, list[Slice]]:
    """Return `count` slices for each kind of warm calls, with logins of `now` (unix seconds)."""
    put = {"object": OBJECT, "content_type": CONTENT_TYPE}
    same = {
        "a token served again": _event(scenario, now),
        "a signed URL (PUT)": _event(scenario, now, "/signed-url", **put),
        "a signed URL (GET)": _event(scenario, now, "/signed-url", object=OBJECT, method="GET"),
    }
    starts = range(0, count * CALLS, CALLS)
    return {
        "a new token": [
            Slice([_new(scenario, now, start + i) for i in range(CALLS)], 1) for start in starts
        ],
        **{name: [Slice([event], CALLS)] * count for name, event in same.items()},
    }


def _new(scenario: Scenario, now: float, number: int) -> str:
    """The event for a token that is not in the cache. Each `number` gives another caller (with
    logins) or another object (without logins)."""
    if scenario.auth == "jwt":
        return _event(scenario, now, user=f"user-{number}")
    return _event(scenario, now, object=f"photos/{number}.jpg")


def _event(
    scenario: Scenario, now: float, path: str = "/", *, user: str = "alice", **query: str
) -> str:
    shown = login(user, int(now)) if scenario.auth == "jwt" else None
    return event(path, shown, query)


def event(path: str, shown: str | None, query: Mapping[str, str], *, post: bool = False) -> str:
    """The golden event with another path and query. `shown` is the login, or None."""
    asked = json.loads(_golden())
    asked["rawPath"] = asked["requestContext"]["http"]["path"] = path
    asked["requestContext"]["http"]["method"] = "POST" if post else "GET"
    asked["queryParameters"] = dict(query)
    if shown:
        asked["headers"]["Authorization"] = f"Bearer {shown}"
    return json.dumps(asked)


def login(user: str, now: int) -> str:
    """A login for an hour from `now` (unix seconds), signed with JWT_SECRET."""
    return jwt.encode({"sub": user, "iat": now, "exp": now + 3600}, JWT_SECRET, "HS256")


@cache
def _golden() -> str:
    return _GOLDEN.read_text(encoding="utf-8")
