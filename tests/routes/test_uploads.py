"""GET /uploads, with the sandbox's OSS, lists a caller's own objects, and never another caller's
objects."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from running_cloud import RunningCloud, Token, running_cloud
from scripted_sts import Move, answer, hang, reset, scripted_sts
from token_service.app import App
from token_service.grant.refusals import InvalidParameter
from token_service.http import messages
from token_service.http.messages import Request, Response
from token_service.login.callers import named
from token_service.oss_client import Object, OssClient, Page
from token_service.routes import uploads
from token_service.settings.reading import read_settings
from token_service.settings.values import AccessKey

SECRET = "j" * 32
NAMES = [f"{number:02}.jpg" for number in range(5)]


def login(user: str) -> str:
    return jwt.encode({"sub": user, "exp": int(time.time()) + 300}, SECRET, "HS256")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    folder = tmp_path_factory.mktemp("cloud")
    with running_cloud(folder, AUTH="jwt", JWT_SECRET=SECRET) as running:
        for user in ("alice", "alice2", "bob"):
            bucket = token(running, user).oss2("v4")
            for name in NAMES:
                key = f"uploads/{user}/{name}"
                bucket.put_object(key, name.encode(), {"Content-Type": f"image/{user}"})
        yield running


def token(cloud: RunningCloud, user: str) -> Token:
    """Return a token with the default policy, which only allows writing."""
    return cloud.token(access_token=login(user))


def listed(cloud: RunningCloud, user: str = "alice", **query: str) -> dict[str, Any]:
    return cloud.answer(path="/uploads", access_token=login(user), **query)


def keys_of(listing: dict[str, Any]) -> list[str]:
    assert listing["StatusCode"] == 200, listing
    return sorted(entry["Key"] for entry in listing["Uploads"])


def test_a_caller_who_may_only_write_sees_the_own_uploads(cloud: RunningCloud) -> None:
    listing = listed(cloud)
    assert keys_of(listing) == [f"uploads/alice/{name}" for name in NAMES]
    assert listing["Prefix"] == "uploads/alice/"
    assert "Marker" not in listing
    (entry,) = (entry for entry in listing["Uploads"] if entry["Key"].endswith("00.jpg"))
    assert entry["Size"] == len("00.jpg")
    assert len(entry["ETag"]) == 32
    assert time.strptime(entry["LastModified"], "%Y-%m-%dT%H:%M:%SZ")


def test_nobody_sees_anothers_uploads(cloud: RunningCloud) -> None:
    """A user whose name begins with another user's name is a different user."""
    for user in ("alice", "alice2", "bob"):
        assert keys_of(listed(cloud, user)) == [f"uploads/{user}/{name}" for name in NAMES]
    assert keys_of(listed(cloud, "ali")) == []
    assert keys_of(listed(cloud, "nobody")) == []


def test_a_caller_gets_so_many_listings_a_minute(
    cloud: RunningCloud, mocker: MockerFixture
) -> None:
    """Listings have a rate limit, because each listing makes requests to OSS with the function's
    own key: one request, or up to 21 with details."""
    assert uploads.LISTINGS_PER_MINUTE == 60
    mocker.patch.object(uploads, "LISTINGS_PER_MINUTE", 3)
    with closing(App(cloud.env)) as app:

        def code(user: str) -> object:
            request = Request("GET", "/uploads", {"access_token": login(user), "limit": "1"})
            return json.loads(app.respond(lambda: request).body).get("ErrorCode")

        assert [code("alice") for _ in range(4)] == [None, None, None, "Throttling.Caller"]
        assert code("bob") is None


def test_what_is_stored_under_a_name_that_no_new_object_may_have_is_listed(
    cloud: RunningCloud,
) -> None:
    """The rules of finding A19 apply only to the names of new objects. Objects that are stored
    already may have any name, so an app must show names with care."""
    names = ["photo\u202egpj.exe", "a\u200bb", "%2e%2e/bob/x"]
    keys = sorted(f"uploads/carol/{name}" for name in names)
    for key in keys:
        token(cloud, "carol").oss2("v4").put_object(key, b"")
    assert keys_of(listed(cloud, "carol")) == keys


@pytest.mark.parametrize("user", ["../bob", "bob/", "", "bob/../bob", "*", "bob\x00"])
def test_no_user_id_leads_into_anothers_folder(cloud: RunningCloud, user: str) -> None:
    listing = listed(cloud, user)
    assert not user or listing["Prefix"].startswith("uploads/~")
    assert listing.get("Uploads", []) == []


def test_pages_go_through_all_of_it(cloud: RunningCloud) -> None:
    found: list[str] = []
    query: dict[str, str] = {"limit": "2"}
    for _ in range(3):
        listing = listed(cloud, **query)
        assert len(listing["Uploads"]) <= 2
        found += keys_of(listing)
        query["marker"] = listing.get("Marker", "")
    assert found == [f"uploads/alice/{name}" for name in NAMES]
    assert query["marker"] == ""


def test_content_types_come_on_request(cloud: RunningCloud) -> None:
    for entry in listed(cloud)["Uploads"]:
        assert "ContentType" not in entry
    for entry in listed(cloud, details="1")["Uploads"]:
        assert entry["ContentType"] == "image/alice"


def marker(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize("text", ["../bob/", "uploads/bob/", "/", "\x00", "\U0010ffff", "zz", "0"])
def test_a_tampered_marker_does_not_lead_out_of_the_prefix(cloud: RunningCloud, text: str) -> None:
    """By changing a marker, a caller can only skip some of his own objects."""
    found = keys_of(listed(cloud, marker=marker(text)))
    assert set(found) <= {f"uploads/alice/{name}" for name in NAMES}


@pytest.mark.parametrize("user", ["bob", "alice2", "zoe"])
def test_anothers_marker_does_not_lead_to_the_other(cloud: RunningCloud, user: str) -> None:
    theirs = listed(cloud, "alice", limit="2")["Marker"]
    assert all(key.startswith(f"uploads/{user}/") for key in keys_of(listed(cloud, user)))
    found = keys_of(listed(cloud, user, marker=theirs))
    assert all(key.startswith(f"uploads/{user}/") for key in found)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"limit": "\u0661"}, "limit"),
        ({"limit": "9" * 5000}, "limit"),
        ({"limit": "21", "details": "1"}, "limit"),
        ({"details": "yes"}, "details"),
        ({"marker": "%"}, "marker"),
        ({"marker": "a"}, "marker"),
        ({"marker": "_w"}, "marker"),
        ({"marker": "A" * 5000}, "marker"),
        ({"marker": marker("a" * 1010)}, "marker"),
    ],
)
def test_a_wrong_wish_is_named(cloud: RunningCloud, query: dict[str, str], name: str) -> None:
    error = listed(cloud, **query)
    assert (error["StatusCode"], error["ErrorCode"]) == (400, f"InvalidParameter.{name.title()}")
    assert error["ErrorMessage"].startswith(f"{name}: ")


def test_no_login_no_listing(cloud: RunningCloud) -> None:
    assert cloud.answer(path="/uploads")["ErrorCode"] == "MissingToken"
    assert cloud.answer(path="/uploads", access_token="x.y.z")["ErrorCode"] == "InvalidToken"


def test_a_listing_is_read_only(cloud: RunningCloud) -> None:
    assert cloud.answer("POST", "/uploads", access_token=login("a"))["StatusCode"] == 405


def over(env: dict[str, str], move: Move) -> Response:
    """Return the answer of GET /uploads. `move` is what the server in place of OSS does."""
    with scripted_sts(move) as server:
        oss = {"OSS_INTERNAL_ENDPOINT": server.url}
        request = Request("GET", "/uploads", {"access_token": login("alice")})
        with closing(App({**env, **oss, "AUTH": "jwt", "JWT_SECRET": SECRET})) as made:
            return made.respond(lambda: request)


@pytest.mark.parametrize(
    ("move", "code"),
    [
        (reset, "OssUnreachable"),
        (answer(200, b"<html>"), "OssInvalidAnswer"),
        (
            answer(403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"),
            "AccessDenied",
        ),
    ],
)
def test_a_fault_of_oss_is_a_json_error(env: dict[str, str], move: Move, code: str) -> None:
    assert json.loads(over(env, move).body)["ErrorCode"] == code


def test_an_oss_that_hangs_is_an_error_when_the_time_is_up(
    env: dict[str, str], mocker: MockerFixture
) -> None:
    """The time limit is less than 5 s. The test makes it even shorter, to be quick."""
    assert messages.ANSWER_SECONDS < 5
    mocker.patch("token_service.routes.uploads.ANSWER_SECONDS", 0.5)
    began = time.monotonic()
    assert json.loads(over(env, hang).body)["ErrorCode"] == "OssUnreachable"
    assert time.monotonic() - began < 4


def test_the_newest_come_first_within_a_page_and_a_folders_own_object_does_not(
    mocker: MockerFixture,
) -> None:
    """The client for OSS is a fake, because a test cannot choose the times that a real OSS
    returns."""
    objects = (
        Object("u/a/", 0, "E", "2026-11-24T12:00:00Z"),
        Object("u/a/1", 1, "E", "2026-11-24T10:00:00Z"),
        Object("u/a/2", 1, "E", "2026-11-24T11:00:00Z"),
    )
    client = mocker.Mock(spec=OssClient)
    client.list_objects.return_value = Page(objects, is_truncated=True)
    listing = uploads.Listing("u/a/", "u/a/", 3, details=False)
    answered = uploads.read(listing, client, AccessKey("a", "b", None), 0)
    shown = answered["Uploads"]
    assert isinstance(shown, list)
    assert [entry["Key"] for entry in shown] == ["u/a/2", "u/a/1"]
    # In OSS's order, u/a/2 is the last key, so the marker is made from it. The answer shows u/a/1
    # last.
    assert answered["Marker"] == marker("2")
    client.head.assert_not_called()


ENV = {
    "ROLE_ARN": "acs:ram::1:role/upload",
    "BUCKET_NAME": "my-bucket",
    "OSS_REGION": "cn-hangzhou",
    "AUTH": "anonymous",
}
SETTINGS = read_settings(ENV)


@given(
    st.dictionaries(st.sampled_from(["marker", "limit", "details", "prefix"]), st.text()),
    st.text() | st.text(st.characters(codec="utf-8"), max_size=30).map(marker),
    st.text(min_size=1),
)
def test_whatever_is_asked_for_stays_under_the_prefix(
    query: dict[str, str], asked: str, user: str
) -> None:
    caller = named(user)
    try:
        listing = uploads.decide(caller, {**query, "marker": asked}, SETTINGS)
    except InvalidParameter:
        return
    assert listing.prefix == f"uploads/{caller.segment}/"
    assert listing.after.startswith(listing.prefix)
    assert 1 <= listing.limit <= 100
