"""Tests the wishes of a caller: a wish can make a grant narrower, but never wider."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from token_service.grant import grants
from token_service.grant.refusals import InvalidParameter
from token_service.grant.wishes import MAX_BODY_BYTES
from token_service.http.messages import Request
from token_service.login import callers
from token_service.login.callers import ANONYMOUS, Caller, Login
from token_service.settings.reading import Settings, read_settings

Env = dict[str, str]
ALICE = Caller(segment="alice", session_name="alice")


@pytest.fixture
def settings(env: Env) -> Settings:
    return read_settings(
        {**env, "POLICY_CHOICES": "bucket_read_policy", "TOKEN_EXPIRE_TIME": "3600"}
    )


def post(body: bytes, content_type: str = "", **query: str) -> Request:
    return Request("POST", "/", query, {"content-type": content_type}, body)


FORM = "application/x-www-form-urlencoded"


def test_without_wishes_the_grant_is_what_the_operator_configured(settings: Settings) -> None:
    grant = grants.decide(ANONYMOUS, {}, settings)
    assert (grant.bucket, grant.prefix, grant.object_key) == ("my-bucket", "uploads/", None)
    assert (grant.policy, grant.seconds) == ("bucket_write_policy", 3600)
    assert grant.session_name == "anonymous"


def test_a_callers_prefix_is_a_folder_of_their_own(settings: Settings) -> None:
    assert grants.decide(ALICE, {}, settings).prefix == "uploads/alice/"


def test_an_object_wish_narrows_to_one_key_under_the_prefix(settings: Settings) -> None:
    grant = grants.decide(ALICE, {"object": "a/b.jpg"}, settings)
    assert grant.object_key == "uploads/alice/a/b.jpg"


@pytest.mark.parametrize(
    "name", ["", "/etc", "\\x", "../bob/x", "a/../../bob/x", "a/..", "*", "b?b", "a/", "x" * 1023]
)
def test_an_object_wish_cannot_leave_the_prefix(settings: Settings, name: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        grants.decide(ALICE, {"object": name}, settings)
    assert (caught.value.status, caught.value.code) == (400, "InvalidParameter.Object")


def test_a_policy_wish_is_one_of_the_choices(settings: Settings) -> None:
    grant = grants.decide(ALICE, {"policy": "bucket_read_policy"}, settings)
    assert grant.policy == "bucket_read_policy"
    for name in ("all_policy", "", "../all_policy", "bucket_read_policy,all_policy"):
        with pytest.raises(InvalidParameter, match="bucket_write_policy, bucket_read_policy"):
            grants.decide(ALICE, {"policy": name}, settings)


def test_a_policy_that_is_no_choice_is_refused_with_what_could_allow_it(settings: Settings) -> None:
    with pytest.raises(InvalidParameter) as caught:
        grants.decide(ALICE, {"policy": "all_policy"}, settings)
    assert caught.value.code == "InvalidParameter.Policy"
    assert caught.value.message.startswith("policy: ")
    assert caught.value.message.endswith("bucket_write_policy, bucket_read_policy (POLICY_CHOICES)")


def test_a_name_may_be_made_here(settings: Settings) -> None:
    for wishes in (
        {"name": "auto"},
        {"name": "auto", "ext": "jpg"},
        {"name": "auto", "method": "PUT"},
    ):
        key = grants.decide(ALICE, wishes, settings).object_key
        assert re.fullmatch(r"uploads/alice/[0-9/]{11}[a-z2-7]{26}(\.jpg)?", key or "")
        assert str(key).endswith(".jpg") is ("ext" in wishes)
    for wishes, code in (
        ({"name": "mine.jpg"}, "Name"),
        ({"ext": "jpg"}, "Ext"),
        ({"object": "a", "ext": "jpg"}, "Ext"),
        ({"object": "a", "name": "auto"}, "Name"),
    ):
        with pytest.raises(InvalidParameter) as caught:
            grants.decide(ALICE, wishes, settings)
        assert caught.value.code == f"InvalidParameter.{code}"


@pytest.mark.parametrize(
    ("name", "says"),
    [("a/", "must not end with '/'"), ("/a", "start"), ("\u202ea", "invisible"), ("*", "'*'")],
)
def test_a_refused_name_says_why(settings: Settings, name: str, says: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        grants.decide(ALICE, {"object": name}, settings)
    assert caught.value.message.startswith("object: must not")
    assert says in caught.value.message
    assert caught.value.code == "InvalidParameter.Object"


def test_a_duration_wish_only_shortens(settings: Settings) -> None:
    assert grants.decide(ALICE, {"duration": "900"}, settings).seconds == 900
    for wish in ("899", "3601", "43200", "-900", "1e3", "", "9" * 5000):
        with pytest.raises(InvalidParameter) as caught:
            grants.decide(ALICE, {"duration": wish}, settings)
        assert caught.value.code == "InvalidParameter.Duration"
        assert caught.value.message.startswith("duration: ")
        assert "seconds, 900 to 3600 (TOKEN_EXPIRE_TIME_MAX)" in caught.value.message
    login = Login("alice", None, 1000)
    signed_in = ALICE._replace(login=login)
    for wish, seconds in (("1000", 1000), ("1001", 900), ("999", 999), ("3600", 900)):
        assert grants.decide(signed_in, {"duration": wish}, settings).seconds == seconds


def test_wishes_come_from_the_query() -> None:
    request = Request("GET", "/", {"policy": "p", "object": "o", "duration": "900", "x": "y"})
    assert grants.read_wishes(request) == {"policy": "p", "object": "o", "duration": "900"}


@pytest.mark.parametrize(
    "request_",
    [
        post(b'{"policy": "p", "duration": 900, "object": null, "x": []}', "application/json"),
        post(b' {"policy": "p", "duration": 900}', "text/plain"),
        post(b"policy=p&duration=900&x=y", FORM),
        post(b"policy=p", f"{FORM}; charset=utf-8", duration="900"),
        post(b'{"policy": "p", "duration": 900}', FORM, policy="p"),
    ],
)
def test_wishes_come_from_a_json_or_form_body(request_: Request) -> None:
    assert grants.read_wishes(request_) == {"policy": "p", "duration": "900"}


def test_a_body_may_have_16_kb_and_not_a_byte_more() -> None:
    assert MAX_BODY_BYTES == 16 * 1024
    wishes = b'{"policy": "p"}'
    assert grants.read_wishes(post(wishes.ljust(MAX_BODY_BYTES))) == {"policy": "p"}
    with pytest.raises(InvalidParameter) as caught:
        grants.read_wishes(post(wishes.ljust(MAX_BODY_BYTES + 1)))
    assert caught.value.code == "InvalidParameter.Body"
    assert str(MAX_BODY_BYTES) in caught.value.message


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE"])
@pytest.mark.parametrize("query", [{}, {"policy": "p"}, {"policy": "p", "app": "1"}])
def test_only_a_post_has_wishes_in_its_body(method: str, query: dict[str, str]) -> None:
    """SDKs and gateways drop or refuse the body of a GET, so clients cannot send wishes in it."""
    for body in (b'{"object": "o"}', b"\xff", b"x" * (MAX_BODY_BYTES + 1)):
        found = grants.read_wishes(
            Request(method, "/", query, {"content-type": "text/plain"}, body)
        )
        assert found == {name: value for name, value in query.items() if name == "policy"}


MULTIPART = "multipart/form-data; boundary=----b7 1"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", ""),
        (b"{}", "application/json"),
        # PHP sends an empty array like this, and JavaScript sends `null` if there is no value.
        (b"[]", "application/json"),
        (b"null", "application/json"),
        (b" []\r\n", "text/plain"),
        (b"", MULTIPART),
        (b"------b7 1--\r\n", MULTIPART),
        (b"\r\n------b7 1--", MULTIPART.title()),
    ],
)
def test_a_body_without_a_wish_is_an_empty_one(body: bytes, content_type: str) -> None:
    assert grants.read_wishes(post(body, content_type, policy="p")) == {"policy": "p"}


PART = b'------b7 1\r\nContent-Disposition: form-data; name="policy"\r\n\r\np\r\n------b7 1--\r\n'


@pytest.mark.parametrize(
    "request_",
    [
        post(b"policy=p", "text/plain"),
        post(b"<a/>", "application/xml"),
        post(b"[1]", "application/json"),
        post(b"[{}]", "application/json"),
        post(b"[]null", "application/json"),
        post(b"false", "application/json"),
        post(b"0", "application/json"),
        post(b'""', "application/json"),
        post(PART, MULTIPART),
        post(b"------b7 1", MULTIPART),
        post(b"----", MULTIPART),
        post(b"------b7 1--", "text/plain"),
        post(b"{", "application/json"),
        post(b"\xff\xff", FORM),
        post(b'{"a":' * 9000, "application/json"),
        post(b"a=" + b"x" * MAX_BODY_BYTES, FORM),
    ],
)
def test_another_body_is_refused(request_: Request) -> None:
    with pytest.raises(InvalidParameter) as caught:
        grants.read_wishes(request_)
    assert caught.value.code == "InvalidParameter.Body"
    assert caught.value.message.startswith("body: must ")


@pytest.mark.parametrize(
    "request_",
    [
        post(b"policy=a", FORM, policy="b"),
        post(b"policy=a&policy=b", FORM),
        post(b'{"policy": ["a"]}'),
        post(b'{"policy": true}'),
        post(b'{"policy": 1.5}'),
        post(b'{"policy": {"a": "b"}}'),
        # A repeated wish (finding A19). A dict would keep only the last value of this wish.
        post(b'{"policy": "a", "policy": "b"}'),
        post(b'{"policy": "a", "policy": "a"}'),
        post(b'{"policy": "a", "x": {}, "\\u0070olicy": "b"}'),
        post(b'{"policy": null, "policy": "a"}'),
        post(b'{"policy": 9, "policy": "9"}'),
        post(b"policy=a&policy=a", FORM),
        post(b"policy=a&%70olicy=b", FORM),
        post(b"policy=a&x=y&policy=", FORM),
        # Two spellings of one name. The function may read one value, and a proxy the other value.
        post(b'{"policy": "a", "Policy": "b"}'),
        post(b'{"POLICY": "a", "policy": "a"}'),
        post(b"policy=a&policy_=b", FORM),
        post(b'{"Policy": "b"}', policy="a"),
        post(b'{"policy": "a"}', **{"po-licy": "b"}),
        Request("GET", "/", {"policy": "a", "Policy": "b"}),
    ],
)
def test_a_wish_must_say_one_thing(request_: Request) -> None:
    with pytest.raises(InvalidParameter) as caught:
        grants.read_wishes(request_)
    assert caught.value.code == "InvalidParameter.Policy"
    assert re.match("policy: (?!None)[a-z]+ ", caught.value.message)


def test_the_same_wish_in_the_query_and_the_body_is_one_wish() -> None:
    """A client that uses one URL for all its requests sends the wish in the query and in the body,
    with the same value."""
    request = post(b'{"object": "a", "duration": 900, "policy": null}', object="a", duration="900")
    assert grants.read_wishes(request) == {"object": "a", "duration": "900"}


def test_numbers_of_parts_may_be_a_list_and_nothing_else_may() -> None:
    body = post(b'{"parts": [1, "2", 3]}')
    assert grants.read_wishes(body, ("parts",)) == {"parts": "1,2,3"}
    # An entry that is not a number becomes empty text, which is refused later.
    odd = post(b'{"parts": [1, true, null, 1.5, [2], "x"]}')
    assert grants.read_wishes(odd, ("parts",)) == {"parts": "1,,,,,x"}
    assert grants.read_wishes(post(b'{"parts": []}'), ("parts",)) == {"parts": ""}
    with pytest.raises(InvalidParameter) as caught:
        grants.read_wishes(post(b'{"object": ["a"]}'))
    assert caught.value.message.startswith("object: must be ")


def test_what_is_no_wish_here_may_be_there_as_often_as_it_likes() -> None:
    for request in (
        post(b'{"x": 1, "x": 2, "_": "a"}'),
        post(b"x=1&x=2&X=a&timestamp=b", FORM),
    ):
        assert grants.read_wishes(request) == {}


def test_each_routes_wishes_are_looked_after() -> None:
    names = ("content_type", "x-oss-process")
    for body in (
        b'{"content_type": "image/png", "Content-Type": "text/html"}',
        b'{"content_type": "image/png", "contentType": "text/html"}',
        b'{"content_type": "image/png", "content_type": "text/html"}',
    ):
        with pytest.raises(InvalidParameter, match="content_type: must be given once"):
            grants.read_wishes(post(body), names)


PAIRS = st.lists(
    st.tuples(st.sampled_from(["object", "Object", "policy", "x"]), st.sampled_from(["a", "b"])),
    max_size=4,
)


@given(PAIRS, PAIRS.map(dict))
def test_a_wish_is_what_every_reader_would_take_it_for(
    pairs: list[tuple[str, str]], query: dict[str, str]
) -> None:
    """If a name is repeated, another parser may use its first or its last value, and may also
    accept other spellings of the name. A wish is accepted only if all its values are the same
    (finding A19)."""
    members = ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in pairs)
    try:
        wishes = grants.read_wishes(post(f"{{{members}}}".encode(), **query))
    except InvalidParameter:
        return
    for name in ("object", "policy"):
        said = {v for key, v in [*pairs, *query.items()] if key.lower() == name}
        if name in wishes:
            assert said == {wishes[name]}
        else:
            assert name not in dict(pairs)
            assert name not in query


UNSEEN = [
    "photo\u202egpj.exe",
    "a\u2066b",
    "a\u200bb.jpg",
    "invoice\u200d.pdf",
    "\ufeffa.jpg",
    "%2e%2e/bob/x",
    "a/%2E%2e/%2e./b",
]


@pytest.mark.parametrize("name", UNSEEN)
def test_a_new_object_has_a_name_that_reads_as_what_it_is(settings: Settings, name: str) -> None:
    """test_object_keys.py tests the rules for names (finding A19)."""
    for wishes in ({"object": name}, {"object": name, "method": "PUT"}):
        with pytest.raises(InvalidParameter) as caught:
            grants.decide(ALICE, wishes, settings)
        assert caught.value.code == "InvalidParameter.Object"
        assert name not in caught.value.message


@pytest.mark.parametrize("method", ["GET", "HEAD", "get"])
@pytest.mark.parametrize("name", UNSEEN)
def test_what_is_stored_already_stays_readable(settings: Settings, name: str, method: str) -> None:
    grant = grants.decide(ALICE, {"object": name, "method": method}, settings)
    assert grant.object_key == f"uploads/alice/{name}"
    # A name that begins with ../ is still refused, because it leads out of the prefix.
    with pytest.raises(InvalidParameter):
        grants.decide(ALICE, {"object": f"../{name}", "method": method}, settings)


@given(st.binary(max_size=300) | st.text().map(lambda text: json.dumps({"object": text}).encode()))
def test_any_body_is_wishes_or_a_clear_error(body: bytes) -> None:
    for content_type in ("", FORM):
        try:
            wishes = grants.read_wishes(post(body, content_type))
        except InvalidParameter:
            continue
        assert all(isinstance(value, str) for value in wishes.values())


@given(left=st.integers(-30, 100_000), wish=st.integers(900, 43_200))
def test_no_wish_outlives_its_login_by_more_than_the_shortest_session(left: int, wish: int) -> None:
    """A shortened lifetime is a multiple of 900 s, because each different lifetime needs its own
    call to STS (finding A9)."""
    env = {
        "ROLE_ARN": "acs:ram::1:role/upload",
        "BUCKET_NAME": "my-bucket",
        "OSS_REGION": "cn-hangzhou",
        "AUTH": "jwt",
        "JWT_SECRET": "s" * 32,
        "TOKEN_EXPIRE_TIME_MAX": "43200",
    }
    settings = read_settings(env)
    caller = callers.named("alice")._replace(login=Login("alice", None, left))
    seconds = grants.decide(caller, {"duration": str(wish)}, settings).seconds
    assert 900 <= seconds <= wish
    assert seconds <= max(left, 900)
    assert seconds == wish or seconds % 900 == 0
    # If the caller asks for no duration, a token is valid for TOKEN_EXPIRE_TIME, which is 900 s
    # here. A login that expires sooner does not shorten this time.
    assert grants.decide(caller, {}, settings).seconds == 900
