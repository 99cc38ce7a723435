"""Names of folders and sessions, which are made from user ids. test_isolation.py tests that
policies separate users."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from token_service.grant import object_keys as keys
from token_service.http.messages import Request
from token_service.login import callers
from token_service.login.anonymous import Anonymous
from token_service.login.callers import ANONYMOUS, named


@pytest.mark.parametrize("user_id", ["alice", "A-b_9", "7", "x" * 64, "-", "_"])
def test_a_safe_id_is_its_own_segment(user_id: str) -> None:
    assert named(user_id).segment == user_id


@pytest.mark.parametrize(
    "user_id",
    ["", "a b", "a.b", "a@b", "x" * 65, "é", "~a", "..", "*", "a/b", "a\n", "a" * 10_000, "\ud800"],
)
def test_any_other_id_is_hashed(user_id: str) -> None:
    digest = hashlib.sha256(user_id.encode("utf-8", "surrogatepass")).digest()[:20]
    segment = "~" + base64.b32encode(digest).decode().lower()
    assert named(user_id).segment == segment


def test_the_map_never_changes() -> None:
    """A user's stored uploads stay in the folder with this name, so these expected values must
    never be edited."""
    assert named("alice@example.com").segment == "~76gzqgp4byjl6djerexelgd6esncrxhi"
    assert named("用户").segment == "~buhbvbvtvj4hocnqamu7zuzlloxqg3eh"
    assert named("").segment == "~4oymiquy7qobjgx36tejs35zeqt24qpe"


def test_the_map_to_the_names_of_sessions_never_changes() -> None:
    """Session names must not change, because they are in the audit log and in DENIED_CALLERS."""
    for user_id, name in {
        "alice": "alice",
        "ab": "ab",
        "a": ".a",
        "x" * 64: "x" * 64,
        "alice@example.com": "@76gzqgp4byjl6djerexelgd6esncrxhi",
    }.items():
        assert named(user_id).session_name == name


@given(st.text())
def test_a_segment_is_always_one_plain_folder(user_id: str) -> None:
    segment = named(user_id).segment or ""
    assert keys.fault(f"{segment}/") is None
    assert "/" not in segment
    assert re.fullmatch("[A-Za-z0-9_~-]{1,64}", segment)


@given(st.text())
def test_a_session_name_is_what_sts_accepts(user_id: str) -> None:
    """STS accepts 2 to 64 characters of [A-Za-z0-9.@_-] (vendor documentation of AssumeRole)."""
    assert re.fullmatch("[A-Za-z0-9.@_-]{2,64}", named(user_id).session_name)


@pytest.mark.parametrize("user_id", ["a", ".a", "@a", "~a", "é", "a.b"])
def test_no_other_id_has_the_session_of(user_id: str) -> None:
    sessions = [named(other).session_name for other in ("a", ".a", "@a", "~a", "é", "a.b", "aa")]
    assert sessions.count(named(user_id).session_name) == 1


def test_an_id_that_looks_like_a_hash_does_not_get_its_folder() -> None:
    victim = named("alice@example.com").segment or ""
    assert named(victim).segment != victim
    assert named(victim[1:]).segment == victim[1:]
    assert victim[1:] != victim


def test_without_logins_everybody_is_the_same_caller() -> None:
    assert Anonymous().caller(Request("GET", "/", {"access_token": "x"})) is ANONYMOUS
    assert callers.ANONYMOUS.segment is None
