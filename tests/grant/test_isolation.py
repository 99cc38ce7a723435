"""Rendered policies allow only the prefix. Two evaluators must agree."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

import signed_logins
from configuration import jwt_settings
from ops.policies_described import describe, offered
from sandbox.ram import Access, Effect
from token_service.callback.seals import Seal
from token_service.grant import grants, new_names
from token_service.grant import object_keys as keys
from token_service.grant.grants import Grant
from token_service.grant.policies import Policies
from token_service.http.messages import Request
from token_service.login import callers
from token_service.login.callers import Caller
from token_service.login.logins import Logins
from token_service.settings.parsing import Reader
from token_service.settings.reading import read_settings
from token_service.signing import limits, multipart
from token_service.signing.multipart import UploadRefused
from tried import examples
from two_judges import Judges

NAMES = offered()
POLICIES = Policies(NAMES)
BUCKET = "my-bucket"
ACTIONS = [
    "oss:PutObject",
    "oss:GetObject",
    "oss:ListParts",
    "oss:AbortMultipartUpload",
    "oss:DeleteObject",
    "oss:PutObjectAcl",
    "oss:GetObjectAcl",
    "oss:ListObjects",
    "oss:ListMultipartUploads",
    "oss:GetBucketInfo",
    "oss:ListBuckets",
    "sts:AssumeRole",
]
# Each operation needs exactly one action.
NEEDING = {
    "put, form upload": "oss:PutObject",
    "get, signed GET URL": "oss:GetObject",
    "resume (ListParts)": "oss:ListParts",
    "abort": "oss:AbortMultipartUpload",
    "delete": "oss:DeleteObject",
    "change the ACL": "oss:PutObjectAcl",
    "read the ACL": "oss:GetObjectAcl",
}
ALLOWED = {
    name: {action for does, action in NEEDING.items() if does in describe(name).allowed}
    for name in NAMES
}

# Texts of any characters. Characters that are special in JSON, wildcards, paths or comparisons are
# more frequent.
SEGMENTS = st.text(st.sampled_from("aA/.*?\"'\\${}%é\u0301:,[] ") | st.characters(), max_size=8)


def effect(grant: Grant, action: str, resource: str, **context: str) -> Effect:
    return Judges(POLICIES.render(grant)).evaluate(
        Access(action, f"acs:oss:*:1:{resource}", context)
    )


def granted(name: str, prefix: str, object_key: str | None = None) -> Grant:
    return Grant(BUCKET, prefix, object_key, name, 900, "anonymous")


@pytest.mark.tries("policies")
@examples(100)
@given(st.sampled_from(NAMES), SEGMENTS, SEGMENTS, st.sampled_from(ACTIONS))
def test_a_policy_opens_its_prefix_and_nothing_else(
    name: str, folder: str, key: str, action: str
) -> None:
    prefix = f"{folder}/"
    assume(keys.fault(prefix) is None)
    grant = granted(name, prefix)
    inside, outside = f"{prefix}{key}", f"{folder}{key}"
    allowed = action in ALLOWED[name]
    assert (effect(grant, action, f"{BUCKET}/{inside}") is Effect.ALLOW) == allowed
    assert effect(grant, action, f"other-bucket/{inside}") is not Effect.ALLOW
    assert effect(grant, action, f"x:{BUCKET}/{inside}") is not Effect.ALLOW
    if not outside.startswith(prefix):
        assert effect(grant, action, f"{BUCKET}/{outside}") is not Effect.ALLOW


@pytest.mark.tries("policies")
@examples(100)
@given(st.sampled_from(NAMES), SEGMENTS, SEGMENTS)
def test_a_policy_lists_under_its_prefix_only(name: str, folder: str, asked: str) -> None:
    prefix = f"{folder}/"
    assume(keys.fault(prefix) is None)
    for wish in (asked, prefix + asked, folder, ""):
        context = {"oss:Prefix": wish, "oss:Delimiter": ""}
        listed = effect(granted(name, prefix), "oss:ListObjects", BUCKET, **context)
        may = "list the folder" in describe(name).allowed and wish.startswith(prefix)
        assert (listed is Effect.ALLOW) == may
    without = effect(granted(name, prefix), "oss:ListObjects", BUCKET)
    assert without is not Effect.ALLOW


@pytest.mark.tries("names")
@examples(100)
@given(st.sampled_from(NAMES), SEGMENTS, SEGMENTS, st.sampled_from(ACTIONS))
def test_a_wish_for_one_object_opens_that_key_only(
    name: str, wished: str, other: str, action: str
) -> None:
    key = f"uploads/{wished}"
    assume(keys.fault(key) is None and other != wished)
    grant = granted(name, "uploads/", key)
    allowed = action in ALLOWED[name]
    assert (effect(grant, action, f"{BUCKET}/{key}") is Effect.ALLOW) == allowed
    assert effect(grant, action, f"{BUCKET}/uploads/{other}") is not Effect.ALLOW
    listing = {"oss:Prefix": key, "oss:Delimiter": ""}
    assert effect(grant, "oss:ListObjects", BUCKET, **listing) is not Effect.ALLOW


# Any two users

SETTINGS = read_settings(
    {
        "ROLE_ARN": "acs:ram::1:role/upload",
        "BUCKET_NAME": BUCKET,
        "OSS_REGION": "cn-hangzhou",
        "AUTH": "anonymous",
        "POLICY_FILE": NAMES[0],
        "POLICY_CHOICES": ",".join(NAMES[1:]),
    }
)
# These ids may have any characters, also lone surrogates, because JSON can have them.
ANY_ID = st.text(st.characters(), max_size=80)
IDS = st.one_of(
    ANY_ID,
    st.text(st.sampled_from("aAbB01_-"), max_size=66),
    st.text(st.sampled_from("aA/.*?\"'\\${}%@~\0\u00e9e\u0301\ud800\udc00"), max_size=8),
    st.sampled_from(["", "*", "?", "/", "..", "${user}", "%2e%2e", ".a", "@a", "~" + "a" * 32]),
    st.text(st.characters(), min_size=1, max_size=3).map(lambda text: (text * 10_000)[:10_000]),
)
# Changes of a user's id. An attacker might choose the changed id, to get the files of the user.
DISGUISES = (
    str.swapcase,
    str.strip,
    lambda user: unicodedata.normalize("NFC", user),
    lambda user: unicodedata.normalize("NFD", user),
    lambda user: unicodedata.normalize("NFKC", user),
    lambda user: quote(user, safe="", errors="surrogatepass"),
    lambda user: user[:-1],
    lambda user: f"{user}2",
    lambda user: f"{user}/",
    lambda user: f"{user}*",
    lambda user: f".{user}",
    lambda user: f"../{user}",
    lambda user: f"{user}/../{user}",
    lambda user: f"{user}\0",
    lambda user: callers.named(user).segment or "",
    lambda user: callers.named(user).session_name,
)
PAIRS = st.one_of(
    st.tuples(IDS, IDS),
    st.tuples(IDS, st.sampled_from(DISGUISES)).map(lambda drawn: (drawn[0], drawn[1](drawn[0]))),
)
few_hundred = examples(150)


def allowed_under(caller: Caller, prefix: str, key: str, **wishes: str) -> list[str]:
    """Return the actions that a caller's token allows. The function tries actions on names under
    `prefix`, and listings of `prefix`."""
    judges = Judges(POLICIES.render(grants.decide(caller, wishes, SETTINGS)))
    accesses = [
        Access(action, f"acs:oss:*:1:{BUCKET}/{prefix}{name}", {})
        for action in ACTIONS
        for name in ("", key)
    ]
    accesses += [
        Access(
            "oss:ListObjects", f"acs:oss:*:1:{BUCKET}", {"oss:Prefix": asked, "oss:Delimiter": d}
        )
        for asked in (prefix, prefix + key, prefix[:-1])
        for d in ("", "/")
    ]
    return [a.action for a in accesses if judges.evaluate(a) is Effect.ALLOW]


@pytest.mark.slow
@pytest.mark.tries("pairs of callers")
@few_hundred
@given(PAIRS, SEGMENTS)
@example(("\u00e9", "e\u0301"), "x")
@example(("alice", "Alice"), "x")
@example(("a", "aa"), "x")
@example(("", "/"), "x")
@example(("\ud83d\ude00", "\U0001f600"), "x")
@example(("x" * 10_000, "x" * 9_999), "x")
def test_no_two_users_reach_each_other(pair: tuple[str, str], key: str) -> None:
    assume(pair[0] != pair[1])
    one, other = map(callers.named, pair)
    assert one.session_name != other.session_name
    for here, there in ((one, other), (other, one)):
        own = grants.decide(here, {}, SETTINGS).prefix
        others = grants.decide(there, {}, SETTINGS).prefix
        assert not others.startswith(own)
        for name in NAMES:
            assert allowed_under(here, own, key, policy=name)
            assert not allowed_under(here, others, key, policy=name)
            if not (keys.fault(key) or new_names.fault(key) or key.endswith("/")):
                assert not allowed_under(here, others, key, policy=name, object=key)


# Ids that are integers in a login, and ids that look like them

INTEGERS = st.one_of(st.integers(1, 2**63 - 1), st.integers(1, 130))
LOOKALIKES = (
    lambda number: number + 1,
    lambda number: number * 10,
    lambda number: f"0{number}",
    lambda number: f"+{number}",
    lambda number: f"{number}.0",
    lambda number: f"{number}e0",
    lambda number: f" {number}",
    lambda number: f"{number}\n",
    lambda number: f"{number}/",
    lambda number: hex(number),
    lambda number: "".join(chr(0xFF10 + int(digit)) for digit in str(number)),
)
ENV = {
    "ROLE_ARN": "acs:ram::1:role/upload",
    "BUCKET_NAME": BUCKET,
    "OSS_REGION": "cn-hangzhou",
    "JWT_SECRET": signed_logins.SECRET,
    "JWT_USER_CLAIM": "uid",
}
LOGINS = Logins(jwt_settings(ENV), ENV)


def logged_in(user: object) -> Caller:
    """Return the caller of a login with this user id, which may have any JSON type."""
    text = signed_logins.login(uid=user)
    return LOGINS.caller(Request("GET", "/", {"access_token": text}))._replace(login=None)


@pytest.mark.slow
@pytest.mark.tries("pairs of callers")
@few_hundred
@given(INTEGERS, st.sampled_from(LOOKALIKES), SEGMENTS)
def test_no_integer_reaches_another_id_or_is_reached(
    number: int, lookalike: Callable[[int], object], key: str
) -> None:
    other = lookalike(number)
    assume(isinstance(other, str) or other < 2**63)  # type: ignore[operator]
    one, another = logged_in(number), logged_in(other)
    assert one.session_name != another.session_name
    for here, there in ((one, another), (another, one)):
        own, others = (grants.decide(caller, {}, SETTINGS).prefix for caller in (here, there))
        assert not others.startswith(own)
        for name in NAMES:
            assert allowed_under(here, own, key, policy=name)
            assert not allowed_under(here, others, key, policy=name)


@pytest.mark.tries("pairs of callers")
@few_hundred
@given(INTEGERS, SEGMENTS)
@example(1, "x")
@example(2**63 - 1, "x")
def test_an_integer_and_its_text_are_one_user_by_design(number: int, key: str) -> None:
    """A sign-in server must not give one user a number as id, and another user the same number as
    text."""
    one, twin = logged_in(number), logged_in(str(number))
    assert one == twin == callers.named(str(number))
    prefix = grants.decide(twin, {}, SETTINGS).prefix
    assert prefix == f"uploads/{number}/"
    assert allowed_under(one, prefix, key)


@few_hundred
@given(st.lists(INTEGERS, unique=True, max_size=20))
def test_as_many_integers_are_as_many_users(numbers: list[int]) -> None:
    everybody = list(map(logged_in, numbers))
    assert len({caller.segment for caller in everybody}) == len(numbers)
    assert len({caller.session_name for caller in everybody}) == len(numbers)


SECRET = b"s" * 32
LIMITS = limits.read(Reader({}))
SOUND_NAMES = st.lists(
    st.text("aA.%[] \u00e9\u0301", min_size=3, max_size=6), min_size=1, max_size=3
).map(lambda parts: "/".join(f"{part}x" for part in parts))


@pytest.mark.tries("pairs of callers")
@few_hundred
@given(PAIRS, SOUND_NAMES)
@example(("alice", "Alice"), "x")
@example(("a", "aa"), "x")
def test_no_user_goes_on_with_an_upload_of_another_or_reports_it(
    pair: tuple[str, str], name: str
) -> None:
    assume(pair[0] != pair[1])
    one, other = (grants.decide(c, {"object": name}, SETTINGS) for c in map(callers.named, pair))
    begun = multipart.read_start({"object": name, "size": "1"}, one, LIMITS, "", 0)
    sealed = multipart.seal(begun, SECRET)
    assert multipart.unseal(sealed, (SECRET,), one, LIMITS, "", 1) == begun
    with pytest.raises(UploadRefused):
        multipart.unseal(sealed, (SECRET,), other, LIMITS, "", 1)
    whole = one._replace(object_key=None)
    for grant in (one, whole):
        key = grant.object_key or grant.prefix
        report = Seal(grant.session_name, BUCKET, key, grant.object_key is None, 1)
        assert report.covers(BUCKET, f"{one.object_key}")
        assert not report.covers(BUCKET, f"{other.object_key}")


@few_hundred
@given(IDS)
def test_any_user_has_a_folder_and_a_name_that_the_cloud_takes(user: str) -> None:
    caller = callers.named(user)
    assert re.fullmatch("[A-Za-z0-9_-]{1,64}|~[a-z2-7]{32}", caller.segment or "")
    # RoleSessionName's grammar (vendor documentation of AssumeRole).
    assert re.fullmatch("[A-Za-z0-9.@_-]{2,64}", caller.session_name)
    assert keys.fault(grants.decide(caller, {}, SETTINGS).prefix) is None
    assert callers.named(user) == caller


@few_hundred
@given(st.lists(IDS, unique=True, max_size=20))
def test_many_users_have_as_many_folders_and_names(users: list[str]) -> None:
    everybody = [callers.named(user) for user in users]
    assert len({caller.segment for caller in everybody}) == len(users)
    assert len({caller.session_name for caller in everybody}) == len(users)
