"""What the strict reading of a policy allows: never more than RAM would."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ops.policies_described import names
from sandbox.ram import Access, Effect, PolicyGrammarError
from token_service.errors import PolicyError
from token_service.grant.grants import Grant
from token_service.grant.permissions import NotAllowed, allows, check, require
from token_service.grant.policies import Policies
from two_judges import Judges

ACCOUNT = "1234567890123456"
BUCKET = "my-bucket"
PUT, GET = "oss:PutObject", "oss:GetObject"
NAMES = names()


def policy(*statements: object) -> str:
    return json.dumps({"Version": "1", "Statement": list(statements)})


def statement(effect: str, actions: object, resources: object, **more: object) -> dict[str, object]:
    return {"Effect": effect, "Action": actions, "Resource": resources, **more}


def arn(path: str) -> str:
    return f"acs:oss:*:*:{path}"


ALLOW = statement("Allow", [PUT], [arn("my-bucket/uploads/*")])


def puts(text: str, path: str = "my-bucket/uploads/a") -> bool:
    return allows(text, PUT, ACCOUNT, path)


@pytest.mark.parametrize(
    ("name", "may"),
    [
        ("bucket_read_policy", {GET}),
        ("bucket_write_policy", {PUT}),
        ("bucket_read_write_policy", {PUT, GET}),
        ("all_policy", {PUT, GET}),
    ],
)
def test_each_bundled_policy_allows_what_its_name_says(name: str, may: set[str]) -> None:
    text = Policies(NAMES).render(Grant(BUCKET, "uploads/alice/", None, name, 900, "alice"))
    for path in ("my-bucket/uploads/alice/a", "my-bucket/uploads/alice/*"):
        assert {a for a in (PUT, GET, "oss:DeleteBucket") if allows(text, a, ACCOUNT, path)} == (
            may if name != "all_policy" else {PUT, GET, "oss:DeleteBucket"}
        )


@pytest.mark.parametrize(
    "path", ["my-bucket/uploads2/a", "my-bucket/a", "other/uploads/a", "x:my-bucket/uploads/a"]
)
def test_nothing_is_allowed_beside_the_resource(path: str) -> None:
    assert not puts(policy(ALLOW), path)


def test_an_allow_with_a_condition_does_not_count() -> None:
    """Who will use the URL, and from where, is not known when it is signed."""
    condition = {"IpAddress": {"acs:SourceIp": "203.0.113.0/24"}}
    assert not puts(policy({**ALLOW, "Condition": condition}))


def test_a_deny_counts_whatever_its_condition() -> None:
    condition = {"Bool": {"acs:SecureTransport": "false"}}
    deny = statement("Deny", "oss:Put*", arn("*"), Condition=condition)
    assert not puts(policy(ALLOW, deny))
    assert not puts(policy(deny, ALLOW))


def test_a_deny_of_something_else_does_not_count() -> None:
    assert puts(policy(ALLOW, statement("Deny", GET, "*")))
    assert puts(policy(ALLOW, statement("Deny", PUT, arn("my-bucket/uploads/b"))))


def test_a_deny_of_all_but_some_actions_counts_for_the_others() -> None:
    deny = {"Effect": "Deny", "NotAction": [GET], "Resource": "*"}
    assert not puts(policy(ALLOW, deny))
    assert puts(policy(ALLOW, {**deny, "NotAction": ["oss:put*"]}))


@pytest.mark.parametrize(
    ("resource", "whole"),
    [
        ("my-bucket/uploads/*", True),
        ("my-bucket/*", True),
        ("*", True),
        ("my-bucket/uploads/?*", False),
        ("my-bucket/uploads/*.jpg", False),
        ("my-bucket/uploads/alice/*", False),
        ("my-bucket/uploads/", False),
    ],
)
def test_a_prefix_is_allowed_only_where_everything_under_it_is(resource: str, whole: bool) -> None:
    text = policy(statement("Allow", PUT, arn(resource)))
    assert puts(text, "my-bucket/uploads/*") == whole


@pytest.mark.parametrize(
    ("resource", "meets"),
    [
        ("my-bucket/uploads/secret/*", True),
        ("my-bucket/uploads/x", True),
        ("my-bucket/*.exe", True),
        ("?y-bucket/other/", True),
        ("my-bucket/other/*", False),
    ],
)
def test_a_deny_of_anything_under_a_prefix_refuses_the_prefix(resource: str, meets: bool) -> None:
    text = policy(ALLOW, statement("Deny", "*", arn(resource)))
    assert puts(text, "my-bucket/uploads/*") != meets


def test_another_accounts_bucket_of_the_name_is_not_ours() -> None:
    assert not puts(policy(statement("Allow", PUT, "acs:oss:*:999:my-bucket/uploads/*")))
    assert puts(policy(statement("Allow", PUT, f"acs:oss:*:{ACCOUNT}:my-bucket/uploads/*")))


@pytest.mark.parametrize(
    "resource",
    [
        "acs:oss:cn-hangzhou:*:my-bucket/uploads/*",
        "acs:oss::*:my-bucket/uploads/*",
        "acs:oss:cn-*:*:my-bucket/uploads/*",
        "acs:*:*:*:my-bucket/uploads/*",
        "acs:sts:*:*:my-bucket/uploads/*",
        "arn:oss:*:*:my-bucket/uploads/*",
        "*:oss:*:*:my-bucket/uploads/*",
        "acs:oss:*::my-bucket/uploads/*",
        "acs:oss:*:my-bucket/uploads/*",
    ],
)
def test_an_allow_of_one_region_or_of_another_service_does_not_count(resource: str) -> None:
    """Whether RAM would count it there is not known here: never laxer than RAM."""
    assert not puts(policy(statement("Allow", PUT, resource)))
    assert not puts(policy(statement("Allow", PUT, resource)), "my-bucket/uploads/*")
    assert puts(policy(ALLOW, statement("Allow", PUT, resource)))


@pytest.mark.parametrize(
    "broken",
    [
        '{"Version": "1", "Statement": {}}',
        "[]",
        policy("Allow"),
        policy({**ALLOW, "Effect": "allow"}),
        policy({**ALLOW, "NotResource": "x"}),
        policy({**ALLOW, "NotAction": "x"}),
        policy({**ALLOW, "Action": []}),
        policy({**ALLOW, "Action": [1]}),
        policy({"Effect": "Allow", "Action": PUT}),
        policy({"Effect": "Deny", "Resource": "*"}),
    ],
)
def test_a_policy_that_is_not_understood_is_an_error(broken: str) -> None:
    with pytest.raises(PolicyError):
        check(broken)
    with pytest.raises(PolicyError):
        puts(broken)


def test_a_refusal_is_403_and_names_the_action() -> None:
    with pytest.raises(NotAllowed, match="does not allow oss:GetObject") as caught:
        require(policy(ALLOW), GET, ACCOUNT, "my-bucket/uploads/a")
    assert (caught.value.status, caught.value.code) == (403, "NotAllowed")


def test_a_refusal_names_the_policies_that_would_allow_it() -> None:
    write, read, both = "bucket_write_policy", "bucket_read_policy", "bucket_read_write_policy"
    for action, others, not_named in ((GET, (read, both), write), (PUT, (write, both), read)):
        with pytest.raises(NotAllowed) as caught:
            require(policy(), action, ACCOUNT, "my-bucket/uploads/a")
        assert all(f"{name}" in caught.value.message for name in others)
        assert f"{not_named} " not in caught.value.message
        assert "POLICY_FILE" in caught.value.message


def test_what_is_required_is_asked_of_the_account_and_the_object() -> None:
    ours = policy(statement("Allow", PUT, f"acs:oss:*:{ACCOUNT}:my-bucket/uploads/a"))
    require(ours, PUT, ACCOUNT, "my-bucket/uploads/a")
    for account, path in (("999", "my-bucket/uploads/a"), (ACCOUNT, "my-bucket/uploads/b")):
        with pytest.raises(NotAllowed):
            require(ours, PUT, account, path)


def test_hostile_patterns_take_no_time() -> None:
    """A backtracking matcher would take years."""
    pattern = arn("my-bucket/" + "*a" * 500 + "b")
    assert not puts(policy(statement("Allow", PUT, pattern)), "my-bucket/" + "a" * 1000)


ACTIONS = st.sampled_from([PUT, GET, "oss:*", "OSS:put*", "*", "oss:?etObject", "oss:ListObjects"])
PATHS = st.text(st.sampled_from("ab/*?:"), max_size=6)
RESOURCES = st.one_of(
    st.just("*"),
    PATHS.map(lambda tail: arn(f"my-bucket/{tail}")),
    PATHS.map(lambda tail: f"acs:oss:*:{ACCOUNT}:my-bucket/a/{tail}"),
    st.sampled_from(["acs:oss:*:1*:my-*", "acs:*:*:*:*", "acs:oss:*:9:*", "acs:sts:*:*:*", "x"]),
)
CONDITIONS = st.sampled_from(
    [
        {"StringLike": {"oss:Prefix": "a*"}},
        {"StringNotEquals": {"oss:Prefix": "a"}},
        {"Bool": {"acs:SecureTransport": "true"}},
    ]
)


@st.composite
def statements(draw: st.DrawFn) -> dict[str, object]:
    name = draw(st.sampled_from(["Action", "Action", "Action", "NotAction"]))
    made: dict[str, object] = {
        "Effect": draw(st.sampled_from(["Allow", "Allow", "Deny"])),
        name: draw(ACTIONS | st.lists(ACTIONS, min_size=1, max_size=2)),
        "Resource": draw(RESOURCES | st.lists(RESOURCES, min_size=1, max_size=2)),
    }
    if draw(st.integers(0, 3)) == 0:
        made["Condition"] = draw(CONDITIONS)
    return made


CONTEXTS = st.dictionaries(
    st.sampled_from(["oss:Prefix", "acs:SecureTransport"]), st.sampled_from(["", "a", "true"])
)


@given(
    st.lists(statements(), min_size=1, max_size=3),
    st.sampled_from([PUT, GET]),
    st.text(st.sampled_from("ab/:"), max_size=4),
    st.text(st.sampled_from("ab/:"), max_size=3),
    CONTEXTS,
)
@example([ALLOW, statement("Allow", "*", "*")], PUT, "a/", "b", {})
def test_nothing_is_allowed_that_rams_evaluator_denies(
    made: list[object], action: str, prefix: str, tail: str, context: dict[str, str]
) -> None:
    """Of a key, and of every key of a prefix, whatever the conditions of its use will be."""
    text = policy(*made)
    try:
        judges = Judges(text)
    except PolicyGrammarError:
        assume(False)
    access = Access(action, f"acs:oss:*:{ACCOUNT}:my-bucket/a/{prefix}{tail}", context)
    judged = judges.evaluate(access)
    for path in (f"my-bucket/a/{prefix}{tail}", f"my-bucket/a/{prefix}*"):
        if allows(text, action, ACCOUNT, path):
            assert judged is Effect.ALLOW
