"""Our strict evaluator of policies never allows more than RAM would."""

from __future__ import annotations

import json
import re
from itertools import product

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
    """When we sign a URL, we do not know who will use it, or from which address."""
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


def test_every_statement_is_looked_at() -> None:
    """Each statement counts, even after a statement about another action or object."""
    other = statement("Allow", GET, arn("my-bucket/uploads/*"))
    assert puts(policy(other, ALLOW))
    assert not puts(policy(ALLOW, other, statement("Deny", PUT, "*")))
    assert puts(
        policy(ALLOW, statement("Deny", PUT, arn("my-bucket/o:x/*"))), "my-bucket/uploads/*"
    )


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
    """We do not know whether RAM applies an Allow whose resource names one region or another
    service. Our evaluator ignores such an Allow, because it must never allow more than RAM."""
    assert not puts(policy(statement("Allow", PUT, resource)))
    assert not puts(policy(statement("Allow", PUT, resource)), "my-bucket/uploads/*")
    assert puts(policy(ALLOW, statement("Allow", PUT, resource)))


@pytest.mark.parametrize(
    ("broken", "names"),
    [
        ('{"Version": "1", "Statement": {}}', "Statement must"),
        ("[]", "Statement must"),
        (policy("Allow"), "Action, Condition, Effect, NotAction, Resource"),
        (policy({**ALLOW, "Effect": "allow"}), "Effect must"),
        (policy({**ALLOW, "NotResource": "x"}), "Action, Condition, Effect, NotAction, Resource"),
        (policy({**ALLOW, "NotAction": "x"}), "Action or NotAction"),
        (policy({**ALLOW, "Action": []}), "Action must"),
        (policy({**ALLOW, "Action": [1]}), "Action must"),
        (policy({**ALLOW, "Action": None}), "Action must"),
        (policy({"Effect": "Allow", "Action": PUT}), "Resource must"),
        (policy({**ALLOW, "Resource": [arn("a"), 1]}), "Resource must"),
        (policy({"Effect": "Deny", "Resource": "*"}), "Action or NotAction"),
        (policy(ALLOW, {"Effect": "Deny"}), "Action or NotAction"),
    ],
)
def test_a_policy_that_is_not_understood_is_an_error(broken: str, names: str) -> None:
    for ask in (check, puts):
        with pytest.raises(PolicyError) as caught:
            ask(broken)
        assert names in caught.value.message
        assert f"'{names}" not in caught.value.message


def words(alphabet: str, length: int) -> list[str]:
    """Return all texts that consist of these characters and are at most `length` long."""
    return ["".join(each) for n in range(length + 1) for each in product(alphabet, repeat=n)]


def fits(pattern: str, text: str) -> bool:
    """Return whether a pattern of RAM matches, by Python's own regular expressions."""
    parts = {"*": ".*", "?": "."}
    return re.fullmatch("".join(parts.get(c, re.escape(c)) for c in pattern), text) is not None


TEXTS = words("aX", 4)


def test_every_short_pattern_matches_what_it_says() -> None:
    for pattern in words("aX*?", 4):
        text = policy(statement("Allow", PUT, arn(pattern)))
        for key in TEXTS:
            assert puts(text, key) == fits(pattern, key), (pattern, key)


@pytest.mark.parametrize(
    ("pattern", "key", "is_it"),
    [
        ("*ab*ba*", "abba", True),
        ("*ab*ba*", "aba", False),
        ("*aab", "aaaab", True),
        ("a*a*a", "aa", False),
        ("a?c*?", "abcd", True),
        ("a?c*?", "abc", False),
        ("***", "", True),
        ("?", "", False),
        ("a/*", "a/b/c", True),
    ],
)
def test_only_the_last_star_is_tried_again_and_that_is_enough(
    pattern: str, key: str, is_it: bool
) -> None:
    assert puts(policy(statement("Allow", PUT, arn(pattern))), key) is is_it


def test_no_short_deny_of_anything_under_a_prefix_is_overlooked() -> None:
    """If a Deny may cover a key under the prefix, the Deny counts."""
    for pattern in words("aX*?", 3):
        text = policy(statement("Allow", PUT, "*"), statement("Deny", PUT, arn(pattern)))
        for prefix in words("aX", 2):
            allowed = puts(text, f"{prefix}*")
            meets = any(fits(pattern, key) for key in TEXTS if key.startswith(prefix))
            assert not (allowed and meets), (pattern, prefix)
            head = re.split(r"[*?]", pattern)[0]
            is_apart = not (head.startswith(prefix) or prefix.startswith(head))
            assert allowed == is_apart, (pattern, prefix)


def test_no_short_allow_of_a_part_opens_a_prefix() -> None:
    for pattern in words("aX*?", 3):
        text = policy(statement("Allow", PUT, arn(pattern)))
        for prefix in words("aX", 2):
            if puts(text, f"{prefix}*"):
                for key in (key for key in TEXTS if key.startswith(prefix)):
                    assert puts(text, key), (pattern, prefix, key)
                    assert fits(pattern, key), (pattern, prefix, key)


def test_a_key_may_have_colons_and_a_resource_all_of_its_fields() -> None:
    for key in ("my-bucket/uploads/a:b:c", "my-bucket/:"):
        assert puts(policy(statement("Allow", PUT, arn(key))), key)
        assert not puts(policy(statement("Allow", "*", "*"), statement("Deny", "*", arn(key))), key)
        assert not puts(policy(statement("Allow", PUT, arn(key))), key.replace(":", "x"))
    # A resource of OSS has the form acs:oss:*:*:my-bucket/*. The resources below lack fields, so
    # they are not valid. An Allow of such a resource allows nothing, but a Deny of it may deny
    # everything.
    for short in ("my-bucket/uploads/*", "acs:oss:*:my-bucket/uploads/*", "oss:*:*:my-bucket/*"):
        assert not puts(policy(statement("Allow", PUT, short)))
        assert not puts(policy(ALLOW, statement("Deny", PUT, short)))
        assert not puts(policy(ALLOW, statement("Deny", PUT, short)), "my-bucket/uploads/*")


LIST = "oss:ListObjects"


def lists(text: str, names: str = "uploads/*") -> bool:
    return allows(text, LIST, ACCOUNT, BUCKET, names)


@pytest.mark.parametrize("prefix", ["uploads/*", ["uploads/*"]])
def test_listing_may_have_the_prefix_as_its_condition(prefix: object) -> None:
    condition = {"StringLike": {"oss:Prefix": prefix}}
    text = policy(statement("Allow", LIST, arn(BUCKET), Condition=condition))
    assert lists(text)
    # The condition does not allow listing another prefix, or listing without a prefix.
    assert not lists(text, "uploads/alice/*")
    assert not allows(text, LIST, ACCOUNT, BUCKET)
    assert not allows(text, LIST, ACCOUNT, "other-bucket", "uploads/*")
    assert not puts(text)


@pytest.mark.parametrize(
    "condition",
    [
        {"StringLike": {"oss:Prefix": "uploads/"}},
        {"StringLike": {"oss:Prefix": ["uploads/*", "other/*"]}},
        {"StringLike": {"oss:prefix": "uploads/*"}},
        {"stringlike": {"oss:Prefix": "uploads/*"}},
        {"StringEquals": {"oss:Prefix": "uploads/*"}},
        {"StringLike": {"oss:Prefix": "uploads/*", "oss:Delimiter": "/"}},
        {},
        None,
    ],
)
def test_listing_under_another_condition_does_not_count(condition: object) -> None:
    assert not lists(policy(statement("Allow", LIST, arn(BUCKET), Condition=condition)))


def test_listing_without_a_condition_is_allowed_and_a_deny_under_the_prefix_counts() -> None:
    allow = statement("Allow", LIST, arn(BUCKET))
    assert lists(policy(allow))
    for denied in ("my-bucket/uploads/secret/*", "my-bucket/*", "my-bucket/uploads/a"):
        assert not lists(policy(allow, statement("Deny", LIST, arn(denied)))), denied
    for denied in ("my-bucket/other/*", "other-bucket/uploads/*"):
        assert lists(policy(allow, statement("Deny", LIST, arn(denied)))), denied
    assert not lists(policy(allow, statement("Deny", LIST, "*")))


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
    """A matcher with backtracking would take years for this pattern."""
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
    """If we say that a policy allows an action, RAM's evaluator must allow it too. This holds for
    one key and for all keys of a prefix, whatever values the condition keys have."""
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
