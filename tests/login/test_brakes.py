"""DENIED_CALLERS and LOGINS_NOT_BEFORE apply to every way in."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configuration import jwt_settings
from scripted_sts import ScriptedSts
from signed_logins import SECRET, login
from token_service.app import App
from token_service.errors import Misconfiguration
from token_service.http import fc_event
from token_service.instance import _parts
from token_service.login import brakes, callers
from token_service.login.brakes import MAX_DENIED_CALLERS, Brakes, CallerDenied
from token_service.login.callers import Caller, Login
from token_service.login.jwt import Jwt
from token_service.login.refusals import ExpiredToken, InvalidToken
from token_service.settings.parsing import Refused
from token_service.settings.reading import read_settings

Env = dict[str, str]
Ask = Callable[..., dict[str, Any]]

NOW = int(time.time())
ROUTES = ["/", "/sts", "/signed-url", "/form", "/uploads"]
WISHES = {"object": "a.jpg"}


@pytest.fixture
def ask(make_event: Callable[..., bytes]) -> Ask:
    def send(app: App, path: str = "/", **claims: Any) -> dict[str, Any]:
        query = {**WISHES, "access_token": login(**claims)} if path != "/uploads" else {}
        query = {**query, "access_token": login(**claims)}
        event = make_event("GET", path, queryParameters=query)
        document: dict[str, Any] = json.loads(app.respond(lambda: fc_event.read(event)).body)
        return document

    return send


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("user", ["alice", "a", "\u7167\u7247"])
def test_a_denied_caller_gets_nothing_on_any_route(
    jwt_env: Env, ask: Ask, server: ScriptedSts, path: str, user: str
) -> None:
    """DENIED_CALLERS lists callers by the names that the log shows. This also works for a user id
    of one character, and for a user id whose name in the log is a hash."""
    jwt_env["DENIED_CALLERS"] = f"bob, {callers.named(user).segment}"
    with closing(App(jwt_env)) as app:
        refused = ask(app, path, sub=user)
        assert (refused["StatusCode"], refused["ErrorCode"]) == (403, "CallerDenied")
        assert "DENIED_CALLERS" in refused["ErrorMessage"]
        assert server.requests == []
        assert ask(app, "/", sub="carol")["StatusCode"] == 200


def test_who_is_denied_stands_in_the_log(
    jwt_env: Env, ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    jwt_env["DENIED_CALLERS"] = "alice"
    with closing(App(jwt_env)) as app, caplog.at_level(logging.INFO, "sts_token"):
        ask(app)
    line = json.loads(caplog.records[-1].message)
    assert (line["caller"], line["error"]) == ("alice", "CallerDenied")


@pytest.mark.parametrize("path", ROUTES)
def test_a_login_made_before_the_brake_gets_nothing_on_any_route(
    jwt_env: Env, ask: Ask, server: ScriptedSts, path: str
) -> None:
    jwt_env["LOGINS_NOT_BEFORE"] = str(NOW)
    with closing(App(jwt_env)) as app:
        refused = ask(app, path, iat=NOW - 1)
        assert (refused["StatusCode"], refused["ErrorCode"]) == (401, "ExpiredToken")
        assert "sign in again" in refused["ErrorMessage"]
        assert server.requests == []
        assert ask(app, "/", iat=NOW)["StatusCode"] == 200


@pytest.mark.parametrize("iat", [None, "1700000000", True, False])
def test_a_login_that_does_not_say_when_it_was_made_is_refused_while_the_brake_is_set(
    jwt_env: Env, ask: Ask, iat: object
) -> None:
    jwt_env["LOGINS_NOT_BEFORE"] = str(NOW - 1000)
    with closing(App(jwt_env)) as app:
        refused = ask(app, iat=iat)
        assert refused["ErrorCode"] == "InvalidToken"
        assert "LOGINS_NOT_BEFORE" in refused["ErrorMessage"]
    del jwt_env["LOGINS_NOT_BEFORE"]
    with closing(App(jwt_env)) as app:
        assert ask(app, iat=None)["StatusCode"] == 200


def test_a_kept_token_and_a_known_login_are_braked_too(
    jwt_env: Env, ask: Ask, server: ScriptedSts
) -> None:
    """A caller is denied even if the caches of tokens and logins have an entry for this caller. In
    this test, both caches have an entry before the caller is denied."""
    with closing(App(jwt_env)) as app:
        assert ask(app, iat=NOW - 10)["StatusCode"] == 200
        settings = app.settings
        assert isinstance(settings.auth, Jwt)
        braked = settings.auth._replace(brakes=Brakes(NOW, frozenset()))
        app._made[_parts] = app.get(_parts)._replace(settings=settings._replace(auth=braked))
        assert ask(app, iat=NOW - 10)["ErrorCode"] == "ExpiredToken"
    assert len(server.requests) == 1


ISSUED = st.none() | st.floats(allow_nan=False) | st.integers()
BRAKES = Brakes(NOW, frozenset(("alice", "b", "~" + "a" * 32)))


@given(segment=st.text(min_size=1), issued=ISSUED)
def test_who_passes_is_not_denied_and_signed_in_since(segment: str, issued: float | None) -> None:
    caller = callers.named(segment)._replace(login=Login(segment, issued, 60))
    passes = caller.segment not in BRAKES.denied and issued is not None and issued >= NOW
    try:
        brakes.apply(caller, BRAKES)
    except (CallerDenied, ExpiredToken, InvalidToken):
        assert not passes
    else:
        assert passes


@pytest.mark.parametrize("segment", ["alice", "b", "~" + "a" * 32])
def test_a_callback_knows_a_denied_caller_by_the_sessions_name(segment: str) -> None:
    with pytest.raises(CallerDenied, match="DENIED_CALLERS"):
        brakes.apply_to_upload(callers.session_name(segment), NOW, BRAKES)
    brakes.apply_to_upload("carol", NOW, BRAKES)


@pytest.mark.parametrize("issued", [None, 0, 1_700_000_000])
def test_a_callback_of_a_login_made_before_the_brake_is_denied(issued: int | None) -> None:
    with pytest.raises(CallerDenied, match="LOGINS_NOT_BEFORE"):
        brakes.apply_to_upload("carol", issued, BRAKES)
    brakes.apply_to_upload("carol", issued, BRAKES._replace(not_before=0))


def test_the_anonymous_caller_has_no_segment_to_deny() -> None:
    assert Caller(None, "anonymous", None) == callers.ANONYMOUS


# What an operator may set


def test_a_brake_alone_leaves_the_other_off(jwt_env: Env) -> None:
    one = jwt_settings({**jwt_env, "DENIED_CALLERS": "alice"})
    assert one.brakes == Brakes(0, frozenset({"alice"}))
    other = jwt_settings({**jwt_env, "LOGINS_NOT_BEFORE": "1700000000"})
    assert other.brakes == Brakes(1_700_000_000, frozenset())
    assert jwt_settings(jwt_env).brakes is None


@pytest.mark.parametrize("name", ["DENIED_CALLERS", "LOGINS_NOT_BEFORE"])
def test_a_brake_where_nobody_has_a_name_is_a_fault(env: Env, name: str) -> None:
    """With AUTH=anonymous, these variables would seem to work, but have no effect."""
    with pytest.raises(Misconfiguration, match=f"{name}: must be empty .*AUTH=anonymous"):
        read_settings({**env, "JWT_SECRET": SECRET, name: "1700000000"})


def test_a_time_has_ten_digits_and_has_passed_but_for_the_clock_skew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("token_service.login.brakes.time.time", lambda: 1_800_000_000.5)
    assert brakes.since("1000000000") == 1_000_000_000
    assert brakes.since("1800000030") == 1_800_000_030
    for text in ("999999999", "1800000031", "1800000000000", "20260101", "soon", "-1", ""):
        with pytest.raises(Refused, match="10 digits"):
            brakes.since(text)


def test_a_denied_caller_may_be_named_by_the_segment_or_by_the_session() -> None:
    hashed = "a" * 30 + "27"
    assert brakes.denied(f"alice, ~{hashed},@{hashed} ,.b,-") == (
        "alice",
        f"~{hashed}",
        f"~{hashed}",
        "b",
        "-",
    )


@pytest.mark.parametrize("text", ["a b", "é", "x" * 65, "~" + "a" * 31, "~" + "1" * 32, ".ab", "@"])
def test_what_names_no_caller_is_a_fault(text: str) -> None:
    with pytest.raises(Refused, match="separated by commas"):
        brakes.denied(f"alice,{text}")


def test_so_many_callers_may_be_denied_and_no_more() -> None:
    names = [f"user{number}" for number in range(MAX_DENIED_CALLERS + 1)]
    assert brakes.denied(",".join(names[:-1])) == tuple(names[:-1])
    with pytest.raises(Refused, match=f"at most {MAX_DENIED_CALLERS}"):
        brakes.denied(",".join(names))
