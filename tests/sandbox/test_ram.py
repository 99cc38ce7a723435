"""RAM policies: their grammar, and their decision about an access."""

from __future__ import annotations

import functools
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.ram import _OPERATORS, Access, Effect, Policy, PolicyGrammarError, evaluate, matches

ACCOUNT = "1234567890123456"


def statement(**members: Any) -> dict[str, Any]:
    """A statement that allows everything in one bucket. `members` replace members of the statement;
    None removes a member."""
    default = {"Effect": "Allow", "Action": "oss:*", "Resource": "acs:oss:*:*:bkt/*"}
    return {name: value for name, value in {**default, **members}.items() if value is not None}


def policy(*statements: dict[str, Any]) -> Policy:
    return Policy.parse(json.dumps({"Version": "1", "Statement": list(statements)}))


def access(rest: str = "bkt/key", action: str = "oss:PutObject", **context: str) -> Access:
    return Access(
        action,
        f"acs:oss:*:{ACCOUNT}:{rest}",
        {name.replace("_", ":"): value for name, value in context.items()},
    )


# What a policy may be

SOUND_MEMBERS = json.dumps(statement())[1:]


def test_accepts_the_document_that_the_refused_ones_are_made_of() -> None:
    assert Policy.parse('{"Version":"1","Statement":[{MEMBERS]}'.replace("MEMBERS", SOUND_MEMBERS))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "1",
        "{}",
        "{",
        "[" * 100_000,
        '{"Version":"1","Statement":[]}',
        '{"Version":"1","Statement":{}}',
        '{"Version":"1","Statement":[[]]}',
        '{"Version":"1","Statement":[{}]}',
        '{"Version":"1","Version":"1","Statement":[{MEMBERS]}',
        '{"Version":"1","Statement":[{"Effect":"Deny",MEMBERS]}',
        '{"Version":"1","Statement":[{MEMBERS],"Id":"x"}',
        '{"Version":1,"Statement":[{MEMBERS]}',
        '{"Version":"2012-10-17","Statement":[{MEMBERS]}',
        '{"Statement":[{MEMBERS]}',
        '{"Version":"1","Statement":[{MEMBERS]} x',
        '{"Version":"1","Statement":[{"Condition":{"StringEquals":{"oss:Prefix":NaN}},MEMBERS]}',
        '\ufeff{"Version":"1","Statement":[{MEMBERS]}',
    ],
    ids=lambda text: text[:60],
)
def test_refuses_documents_that_are_no_policy(text: str) -> None:
    text = text.replace("MEMBERS", SOUND_MEMBERS)
    with pytest.raises(PolicyGrammarError):
        Policy.parse(text)


@pytest.mark.parametrize(
    "members",
    [
        {"Effect": "allow"},
        {"Effect": None},
        {"Effect": ["Allow"]},
        {"Action": None},
        {"NotAction": "oss:GetObject"},
        {"Action": []},
        {"Action": {}},
        {"Action": [1]},
        {"Action": ""},
        {"Action": "PutObject"},
        {"Action": "oss:Put Object"},
        {"Action": "oss:a:b"},
        {"Action": "oss:*\n"},
        {"Action": "oss:Put\u017fbject"},
        {"Resource": None},
        {"Resource": []},
        {"Resource": [["*"]]},
        {"Resource": ""},
        {"Resource": "bkt/*"},
        {"Resource": "acs:oss:*:*"},
        {"Resource": "acs:oss:*:*:"},
        {"Resource": "acs::*:*:bkt"},
        {"Resource": "arn:aws:s3:::bkt/*"},
        {"Resource": "*:oss:*:*:bkt"},
        {"Resource": "acs:oss:cn-hangzhou:*:bkt"},
        {"Resource": "acs:oss::*:bkt"},
        {"NotResource": "acs:oss:*:*:bkt"},
        {"Principal": "*"},
        {"Sid": "one"},
        {"Condition": {}},
        {"Condition": []},
        {"Condition": None, "condition": {"Bool": {"acs:SecureTransport": "true"}}},
        {"Condition": {"StringMatches": {"oss:Prefix": "a"}}},
        {"Condition": {"stringequals": {"oss:Prefix": "a"}}},
        {"Condition": {"StringEquals": {}}},
        {"Condition": {"StringEquals": {"oss:Prefixes": "a"}}},
        {"Condition": {"StringEquals": {"oss:prefix": "a"}}},
        {"Condition": {"StringEquals": {"oss:ExistingObjectTag/": "a"}}},
        {"Condition": {"StringEquals": {"oss:Prefix": []}}},
        {"Condition": {"StringEquals": {"oss:Prefix": None}}},
        {"Condition": {"StringEquals": {"oss:Prefix": [["a"]]}}},
        {"Condition": {"StringEquals": "oss:Prefix"}},
        {"Condition": {"Bool": {"acs:SecureTransport": "yes"}}},
        {"Condition": {"Bool": {"acs:SecureTransport": 1}}},
        {"Condition": {"NumericEquals": {"oss:Delimiter": "1e3"}}},
        {"Condition": {"NumericEquals": {"oss:Delimiter": "\u0663"}}},
        {"Condition": {"NumericEquals": {"oss:Delimiter": "9" * 31}}},
        {"Condition": {"DateLessThan": {"acs:CurrentTime": "2026-01-01"}}},
        {"Condition": {"DateLessThan": {"acs:CurrentTime": "2026-01-01T00:00:00"}}},
        {"Condition": {"DateLessThan": {"acs:CurrentTime": "2026-13-01T00:00:00Z"}}},
        {"Condition": {"IpAddress": {"acs:SourceIp": "10.0.0.0/33"}}},
        {"Condition": {"IpAddress": {"acs:SourceIp": "10.0.0"}}},
        {"Condition": {"IpAddress": {"acs:SourceIp": ["10.0.0.1", "localhost"]}}},
    ],
    ids=str,
)
def test_refuses_statements_that_are_not_known_in_full(members: dict[str, Any]) -> None:
    with pytest.raises(PolicyGrammarError):
        policy(statement(), statement(**members))


@pytest.mark.parametrize(
    "members",
    [
        {"Action": "*"},
        {"Action": ["oss:Get*", "sts:AssumeRole", "*:*"]},
        {"Resource": "*"},
        {"Resource": ["acs:oss:*:*:*", "acs:ram::1:role/x", "acs:*:*:*:*"]},
        {"Resource": "acs:oss:*:*:bkt/a:b"},
        {"Condition": {"StringLike": {"oss:ExistingObjectTag/k": ["a", 1, 1.5, True]}}},
    ],
    ids=str,
)
def test_accepts_all_documented_forms(members: dict[str, Any]) -> None:
    assert policy(statement(**members)).statements


json_like = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["Effect", "Action", "Bool", "oss:Prefix"]), inner)
    ),
    max_leaves=5,
)


@given(st.text())
def test_no_text_raises_anything_but_a_grammar_error(text: str) -> None:
    with pytest.raises(PolicyGrammarError):
        Policy.parse(text)


@given(
    st.dictionaries(
        st.sampled_from(["Effect", "Action", "NotAction", "Resource", "Condition"]),
        json_like | st.sampled_from(["Allow", "*", "oss:*", "acs:oss:*:*:b"]),
    ),
    st.sampled_from(sorted(_OPERATORS)),
    json_like,
)
def test_no_statement_raises_anything_but_a_grammar_error(
    members: dict[str, Any], operator: str, value: Any
) -> None:
    for condition in (value, {operator: value}, {operator: {"acs:SourceIp": value}}):
        for made in (members, {**statement(), **members}, statement(Condition=condition)):
            try:
                policy(made)
            except PolicyGrammarError:
                continue


# What a policy says


def test_allows_what_a_statement_allows_and_nothing_else() -> None:
    upload = policy(statement(Action="oss:PutObject", Resource="acs:oss:*:*:bkt/u/*"))
    assert upload.evaluate(access("bkt/u/x")) is Effect.ALLOW
    assert upload.evaluate(access("bkt/u/x", "oss:GetObject")) is Effect.IMPLICIT_DENY
    assert upload.evaluate(access("bkt/v/x")) is Effect.IMPLICIT_DENY
    assert upload.evaluate(access("other/u/x")) is Effect.IMPLICIT_DENY


def test_deny_wins_whatever_the_order() -> None:
    allow, deny = statement(), statement(Effect="Deny", Resource="acs:oss:*:*:bkt/secret/*")
    for both in (policy(allow, deny), policy(deny, allow)):
        assert both.evaluate(access("bkt/secret/x")) is Effect.EXPLICIT_DENY
        assert both.evaluate(access("bkt/x")) is Effect.ALLOW


def test_deny_wins_across_policies() -> None:
    allow, deny = policy(statement()), policy(statement(Effect="Deny"))
    silent = policy(statement(Resource="acs:oss:*:*:other/*"))
    assert evaluate([allow, deny], access()) is Effect.EXPLICIT_DENY
    assert evaluate([deny, allow], access()) is Effect.EXPLICIT_DENY
    assert evaluate([silent, allow], access()) is Effect.ALLOW
    assert evaluate([silent], access()) is Effect.IMPLICIT_DENY
    assert evaluate([], access()) is Effect.IMPLICIT_DENY


def test_not_action_means_every_other_action() -> None:
    made = policy(statement(Action=None, NotAction=["oss:Delete*", "oss:GetObject"]))
    assert made.evaluate(access(action="oss:PutObject")) is Effect.ALLOW
    assert made.evaluate(access(action="oss:DeleteObject")) is Effect.IMPLICIT_DENY
    assert made.evaluate(access(action="oss:getobject")) is Effect.IMPLICIT_DENY


def test_actions_ignore_case_and_resources_do_not() -> None:
    made = policy(statement(Action="OSS:putOBJECT", Resource="acs:oss:*:*:bkt/A*"))
    assert made.evaluate(access("bkt/Ab")) is Effect.ALLOW
    assert made.evaluate(access("bkt/ab")) is Effect.IMPLICIT_DENY


def test_a_pattern_never_reaches_over_a_colon_into_another_bucket() -> None:
    made = policy(statement(Resource="acs:oss:*:*:bkt/a*"))
    assert made.evaluate(access("other/x:bkt/abc")) is Effect.IMPLICIT_DENY
    assert made.evaluate(access("x:bkt/abc")) is Effect.IMPLICIT_DENY
    assert made.evaluate(access("bkt/a:b:c")) is Effect.ALLOW


def test_an_account_in_a_resource_has_to_be_the_owner() -> None:
    assert policy(statement(Resource=f"acs:oss:*:{ACCOUNT}:*")).evaluate(access()) is Effect.ALLOW
    other = policy(statement(Resource="acs:oss:*:9999:*"))
    assert other.evaluate(access()) is Effect.IMPLICIT_DENY


def test_a_malformed_resource_of_an_access_matches_nothing() -> None:
    everything = policy(statement(Action="*", Resource="*"))
    assert everything.evaluate(Access("oss:PutObject", "bkt/key", {})) is Effect.IMPLICIT_DENY


@pytest.mark.parametrize(
    ("pattern", "key", "effect"),
    [
        ("u/bob/*", "u/bob/", Effect.ALLOW),
        ("u/bob/*", "u/bob/a/b", Effect.ALLOW),
        ("u/bob/*", "u/bob", Effect.IMPLICIT_DENY),
        ("u/bob/*", "u/bob2/x", Effect.IMPLICIT_DENY),
        ("u/bob/*", "u/bob/../eve/x", Effect.ALLOW),  # OSS and RAM read ".." as plain text
        ("u/1*", "u/10/x", Effect.ALLOW),  # the danger of a prefix without its "/"
        ("u/*/*", "u/bob/x", Effect.ALLOW),  # the danger of a user named "*"
        ("u/b*/*", "u/bob/x", Effect.ALLOW),
        ("u/b?b/*", "u/bob/x", Effect.ALLOW),
        ("u/b?b/*", "u/bb/x", Effect.IMPLICIT_DENY),
        ("u//*", "u/bob/x", Effect.IMPLICIT_DENY),
        ("u/bob/*", "u/bob/eve/x", Effect.ALLOW),
        ("u/\u00e9/*", "u/e\u0301/x", Effect.IMPLICIT_DENY),
        ("u/${acs:UserId}/*", "u/bob/x", Effect.IMPLICIT_DENY),
        ("u/${acs:UserId}/*", "u/${acs:UserId}/x", Effect.ALLOW),
        ("u/[a-z]/*", "u/b/x", Effect.IMPLICIT_DENY),
        ("u/\\*/x", "u/*/x", Effect.IMPLICIT_DENY),
    ],
)
def test_what_a_prefix_opens(pattern: str, key: str, effect: Effect) -> None:
    made = policy(statement(Resource=f"acs:oss:*:*:bkt/{pattern}"))
    assert made.evaluate(access(f"bkt/{key}")) is effect


def listing(**context: str) -> Access:
    return access("bkt", "oss:ListObjects", **context)


def test_listing_under_a_prefix_is_all_that_its_condition_allows() -> None:
    made = policy(
        statement(
            Action="oss:ListObjects",
            Resource="acs:oss:*:*:bkt",
            Condition={"StringLike": {"oss:Prefix": ["u/bob/*"]}},
        )
    )
    assert made.evaluate(listing(oss_Prefix="u/bob/")) is Effect.ALLOW
    assert made.evaluate(listing(oss_Prefix="u/bob/a")) is Effect.ALLOW
    assert made.evaluate(listing(oss_Prefix="u/eve/")) is Effect.IMPLICIT_DENY
    assert made.evaluate(listing(oss_Prefix="u/")) is Effect.IMPLICIT_DENY
    assert made.evaluate(listing(oss_Prefix="")) is Effect.IMPLICIT_DENY
    assert made.evaluate(listing()) is Effect.IMPLICIT_DENY


def test_listing_without_a_condition_shows_everybodys_names() -> None:
    resources = ["acs:oss:*:*:bkt", "acs:oss:*:*:bkt/u/bob/*"]
    made = policy(statement(Action=["oss:ListObjects", "oss:GetObject"], Resource=resources))
    assert made.evaluate(listing(oss_Prefix="u/eve/")) is Effect.ALLOW


@pytest.mark.parametrize(
    ("operator", "wanted", "actual", "holds"),
    [
        ("StringEquals", "a", "a", True),
        ("StringEquals", "a", "A", False),
        ("StringEquals", "a*", "ab", False),
        ("StringEquals", ["", "a"], "", True),
        ("StringEquals", True, "true", True),
        ("StringEquals", 1, "1", True),
        ("StringNotEquals", "a", "b", True),
        ("StringNotEquals", ["a", "b"], "b", False),
        ("StringEqualsIgnoreCase", "aB", "Ab", True),
        ("StringNotEqualsIgnoreCase", "aB", "Ab", False),
        ("StringNotEqualsIgnoreCase", "aB", "c", True),
        ("StringLike", "a?c/*", "abc/d/e", True),
        ("StringLike", "a*", "ba", False),
        ("StringNotLike", ["a*", "b*"], "c", True),
        ("StringNotLike", ["a*", "b*"], "bc", False),
        ("NumericEquals", "1.0", "1", True),
        ("NumericEquals", 10, "10", True),
        ("NumericEquals", "1", "one", False),
        ("NumericNotEquals", "1", "2", True),
        ("NumericNotEquals", "1", "1.00", False),
        ("NumericNotEquals", "1", "one", False),
        ("NumericLessThan", "10", "9", True),
        ("NumericLessThan", "10", "10", False),
        ("NumericLessThanEquals", "10", "10", True),
        ("NumericLessThanEquals", "10", "11", False),
        ("NumericGreaterThan", "-1.5", "-1", True),
        ("NumericGreaterThan", "2", "10", True),
        ("NumericGreaterThan", "10", "10", False),
        ("NumericGreaterThanEquals", "10", "10", True),
        ("NumericGreaterThanEquals", "10", "9", False),
        ("DateEquals", "2026-01-01T08:00:00+08:00", "2026-01-01T00:00:00Z", True),
        ("DateNotEquals", "2026-01-01T08:00:00+08:00", "2026-01-01T00:00:00Z", False),
        ("DateLessThan", "2026-01-01T08:00:00+08:00", "2025-12-31T23:59:59Z", True),
        ("DateLessThan", "2026-01-01T08:00:00+08:00", "2026-01-01T00:00:00Z", False),
        ("DateLessThanEquals", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", True),
        ("DateGreaterThan", "0001-01-01T00:00:00+23:00", "2026-01-01T00:00:00Z", True),
        ("DateGreaterThan", "2026-01-01T00:00:00Z", "never", False),
        ("DateGreaterThanEquals", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", True),
        ("DateGreaterThanEquals", "2026-01-01T00:00:00Z", "2025-01-01T00:00:00Z", False),
        ("Bool", "true", "true", True),
        ("Bool", True, "True", True),
        ("Bool", "false", "true", False),
        ("Bool", "false", "", False),
        ("IpAddress", "10.0.0.0/8", "10.1.2.3", True),
        ("IpAddress", "10.1.2.3", "10.1.2.3", True),
        ("IpAddress", ["10.1.2.3", "192.0.2.0/24"], "192.0.2.9", True),
        ("IpAddress", "10.0.0.0/8", "11.0.0.1", False),
        ("IpAddress", "2001:db8::/32", "2001:db8::1", True),
        ("IpAddress", "::/0", "10.0.0.1", False),
        ("IpAddress", "10.0.0.0/8", "unknown", False),
        ("IpAddress", "10.0.0.0/8", "10.0.0.0/9", False),
        ("NotIpAddress", "10.0.0.0/8", "11.0.0.1", True),
        ("NotIpAddress", ["10.0.0.0/8", "11.0.0.0/8"], "11.0.0.1", False),
        ("NotIpAddress", "10.0.0.0/8", "unknown", False),
        ("NotIpAddress", "10.0.0.0/8", "11.0.0.0/9", False),
    ],
)
def test_what_conditions_mean(operator: str, wanted: Any, actual: str, holds: bool) -> None:
    made = policy(statement(Condition={operator: {"oss:Prefix": wanted}}))
    expected = Effect.ALLOW if holds else Effect.IMPLICIT_DENY
    assert made.evaluate(access(oss_Prefix=actual)) is expected


@pytest.mark.parametrize("operator", sorted(_OPERATORS))
def test_a_missing_key_makes_every_condition_false(operator: str) -> None:
    wanted = {"Numeric": "1", "Date": "2026-01-01T00:00:00Z", "Bool": "true", "String": "x"}
    value = next((v for kind, v in wanted.items() if operator.startswith(kind)), "10.0.0.1")
    made = policy(statement(Condition={operator: {"acs:UserAgent": value}}))
    assert made.evaluate(access(oss_Prefix="y")) is Effect.IMPLICIT_DENY


def test_all_operators_and_keys_have_to_hold() -> None:
    condition = {
        "StringEquals": {"oss:Prefix": ["a", "b"], "oss:Delimiter": "/"},
        "Bool": {"acs:SecureTransport": "true"},
    }
    made = policy(statement(Condition=condition))
    good = {"oss_Prefix": "b", "oss_Delimiter": "/", "acs_SecureTransport": "true"}
    assert made.evaluate(access(**good)) is Effect.ALLOW
    for name in good:
        assert made.evaluate(access(**{**good, name: "x"})) is Effect.IMPLICIT_DENY


def test_a_deny_with_a_condition_denies_only_where_it_holds() -> None:
    networks = ["192.0.2.0/24", "203.0.113.2"]
    made = policy(
        statement(),
        statement(Effect="Deny", Condition={"NotIpAddress": {"acs:SourceIp": networks}}),
    )
    assert made.evaluate(access(acs_SourceIp="203.0.113.2")) is Effect.ALLOW
    assert made.evaluate(access(acs_SourceIp="198.51.100.1")) is Effect.EXPLICIT_DENY


# Wildcards


@given(st.text("ab*?", max_size=8), st.text("ab*", max_size=10))
def test_wildcards_agree_with_a_plain_definition(pattern: str, text: str) -> None:
    @functools.cache
    def plain(at: int, place: int) -> bool:
        if at == len(pattern):
            return place == len(text)
        if pattern[at] == "*":
            return any(plain(at + 1, rest) for rest in range(place, len(text) + 1))
        return place < len(text) and pattern[at] in ("?", text[place]) and plain(at + 1, place + 1)

    assert matches(pattern, text) is plain(0, 0)


@pytest.mark.parametrize(
    "pattern", ["*a" * 1000 + "b", "*" * 2000 + "b", "*" + "a" * 1000 + "b", "*?" * 500 + "*b"]
)
def test_hostile_patterns_end_soon(pattern: str) -> None:
    started = time.process_time()
    assert not matches(pattern, "a" * 1023)
    assert time.process_time() - started < 1
