"""Compares sandbox/ram.py with an evaluator that was written separately: both must make the same
decision about every access.

`make fuzz` tries a million pairs of policies and accesses. At the end, faults are planted in
sandbox/ram.py, and the comparison must find each of them.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain, islice
from random import Random
from typing import Any

import pytest
from hypothesis import Phase, find, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from naive_ram import as_text, listed
from sandbox import identities, ram
from sandbox.identities import Identity
from sandbox.ram import _OPERATORS, Access, Effect, Policy
from two_judges import Judges

PAIRS = 100

ACTIONS = ["oss:PutObject", "oss:PutObjectAcl", "oss:GetObject", "OSS:putobject", "sts:AssumeRole"]
ACTION_PATTERNS = st.sampled_from(
    [
        *ACTIONS,
        "*",
        "*:*",
        "oss:*",
        "o*:Get*",
        "oss:Put*",
        "oss:*OBJECT",
        "oss:?et*",
        "Oss:Put?bject*",
    ]
)
# With only a few letters, many random texts almost match a pattern. The letters include "/" (the
# wildcard "*" matches it too) and ":" (it separates fields). The letters also include upper and
# lower case, wildcards as plain letters, a line end, and letters with a meaning in regular
# expressions.
LETTERS = "ab/:A*?\n.[é"
RESOURCE_PATTERNS = st.one_of(
    st.builds("acs:oss:*:*:b/{}".format, st.text(LETTERS, max_size=4)),
    st.builds(
        "acs:{}:{}:{}{}".format,
        st.sampled_from(["oss:*", "oss:*", "*:*", "o?s:*", "ram:", "log:cn-*"]),
        st.sampled_from(["*", "1", "1*", "?", "2", ""]),
        st.sampled_from(["b", "b/", "*", "?", "x:b", "B"]),
        st.text(LETTERS, max_size=3),
    ),
    st.just("*"),
)
TEXTS = ["", "a", "A", "aa", "a/", "a/b", "*", "a*", "?", "a?", "*/", "ab", "é"]
NUMBERS = ["0", "-0", "1", "1.0", "01", "9", "10", "10.5", "-1", "-1.5", "0.1"]
DATES = [
    "2026-01-01T00:00:00Z",
    "2026-01-01T08:00:00+08:00",
    "2025-12-31T23:59:59Z",
    "2025-12-31T23:59:00-00:01",
    "0001-01-01T00:00:00+23:00",
    "9999-12-31T23:59:59-23:00",
]
BOOLEANS = ["true", "false", "True", "FALSE"]
ADDRESSES = ["10.0.0.0", "10.0.0.1", "10.0.1.0", "11.0.0.1", "0.0.0.1", "::", "2001:DB8::1"]
BLOCKS = [
    "10.0.0.0/8",
    "10.0.0.1/24",
    "10.0.0.0/32",
    "0.0.0.0/0",
    "::/0",
    "2001:db8::/32",
    "::/128",
]
# Values for the conditions of a policy, by the kind of the condition's operator.
WANTED: dict[str, list[Any]] = {
    "String": [*TEXTS, *NUMBERS[:3], *BOOLEANS, 1, True],
    "Numeric": [*NUMBERS, 0, 1, 10.5],
    "Date": DATES,
    "Bool": [*BOOLEANS, True, False],
    "IpAddress": [*ADDRESSES, *BLOCKS],
}
# Values that an access may have for each condition key. Some values have the wrong type for the
# key.
CONTEXT = {
    "oss:Prefix": [*TEXTS, *NUMBERS, "1e1", "+1", " 1", "true", "10.0.0.1"],
    "oss:Delimiter": TEXTS,
    "acs:UserAgent": TEXTS,
    "acs:CurrentTime": [*DATES, "never"],
    "acs:SecureTransport": [*BOOLEANS, ""],
    "acs:SourceIp": [*ADDRESSES, "unknown", "10.0.0.1:80"],
    "oss:ExistingObjectTag/k": [*TEXTS, *NUMBERS],
}
FITTING = {
    "Numeric": ["oss:Prefix", "oss:ExistingObjectTag/k"],
    "Date": ["acs:CurrentTime"],
    "Bool": ["acs:SecureTransport", "oss:Prefix"],
    "IpAddress": ["acs:SourceIp", "oss:Prefix"],
}


def few(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """One of `values`, or a list of one or two values."""
    return values | st.lists(values, min_size=1, max_size=2)


def condition(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Condition keys and values for a condition with the operator `name`."""
    kind = next(kind for kind in WANTED if kind in name)
    keys = st.sampled_from(FITTING.get(kind, sorted(CONTEXT)))
    return st.dictionaries(keys, few(st.sampled_from(WANTED[kind])), min_size=1, max_size=2)


@st.composite
def statements(draw: st.DrawFn) -> dict[str, Any]:
    made = {
        "Effect": draw(st.sampled_from(["Allow", "Allow", "Deny"])),
        draw(st.sampled_from(["Action", "Action", "NotAction"])): draw(few(ACTION_PATTERNS)),
        "Resource": draw(few(RESOURCE_PATTERNS)),
    }
    if draw(st.booleans()):
        names = draw(st.lists(st.sampled_from(sorted(_OPERATORS)), min_size=1, max_size=2))
        made["Condition"] = {name: draw(condition(name)) for name in names}
    return made


POLICIES = st.lists(statements(), min_size=1, max_size=3)


def near(text: str, rng: Random) -> str:
    """Make a text that a pattern matches or almost matches."""
    text = "".join(rng.choice(LETTERS) * rng.randrange(3) if c == "*" else c for c in text)
    text = "".join(rng.choice(LETTERS) if c == "?" else c for c in text)
    if rng.random() < 0.7:
        return text
    at, letter = rng.randrange(len(text) + 1), rng.choice(LETTERS)
    return rng.choice(
        [
            text.swapcase(),
            text[:at] + text[at + 1 :],
            text[:at] + letter + text[at:],
            text[:at] + letter + text[at + 1 :],
        ]
    )


def accesses(statements: list[Any], rng: Random) -> Iterator[Access]:
    """Make random accesses (an action on a resource, with a context). Each access is made from one
    of the statements, with small changes. So the statement matches the access, or almost matches
    it."""
    while True:
        statement = rng.choice(statements)
        name = "Action" if "Action" in statement else "NotAction"
        action = near(rng.choice(listed(statement[name])), rng)
        resource = near(rng.choice(listed(statement["Resource"])), rng)
        context = {key: rng.choice(held) for key, held in CONTEXT.items() if rng.random() < 0.5}
        for keys in statement.get("Condition", {}).values():
            for key, wanted in keys.items():
                beside = near(as_text(rng.choice(listed(wanted))), rng)
                context[key] = rng.choice([beside, rng.choice(CONTEXT[key])])
                if rng.random() < 0.05:
                    del context[key]
        yield Access(
            action if ":" in action and rng.random() < 0.7 else rng.choice(ACTIONS),
            resource if resource.count(":") >= 4 else f"acs:oss:*:1:b/{resource}",
            context,
        )


ROLES = st.lists(POLICIES, min_size=1, max_size=2)
SEEDS = st.integers(0, 2**32)


def disagreements(role: list[Any], session: Any, seed: int) -> Iterator[tuple[Access, Any]]:
    """Try a hundred accesses with actions, resources and values like those in the policies. Yields
    the accesses about which the evaluators disagree."""
    texts = [json.dumps({"Version": "1", "Statement": made}) for made in [*role, session]]
    judges = Judges(*texts[:-1], session=texts[-1] if session else None)
    beside = accesses([*chain(*role), *(session or [])], Random(seed))  # noqa: S311 - no secret
    for access in islice(beside, PAIRS):
        verdicts = judges.verdicts(access)
        if verdicts[0] is not verdicts[1]:
            yield access, verdicts


# Two tests use this profile, with a hundred accesses for each example. In `make fuzz` the two tests
# try a million pairs.
half = profile(max_examples=max(150, profile().max_examples // 2))


@pytest.mark.slow
@half
@given(ROLES, SEEDS)
def test_both_evaluators_say_the_same_of_a_role(role: list[Any], seed: int) -> None:
    """If the evaluators disagree, the message has both verdicts: first the sandbox's, then the
    naive evaluator's."""
    for access, verdicts in disagreements(role, None, seed):
        pytest.fail(f"{access}: {verdicts}")


@pytest.mark.slow
@half
@given(ROLES, POLICIES, SEEDS)
def test_both_evaluators_say_the_same_of_a_session(
    role: list[Any], session: Any, seed: int
) -> None:
    for access, verdicts in disagreements(role, session, seed):
        pytest.fail(f"{access}: {verdicts}")


# Faults that are planted in the sandbox's evaluator


def like(flags: int = 0, star: str = ".*", tail: str = "") -> Callable[[str, str], bool]:
    """Make a variant of ram.matches() that uses a regular expression. The parameters choose the
    fault of this variant."""

    def matches(pattern: str, text: str) -> bool:
        parts = {"*": star, "?": "."}
        made = "".join(parts.get(letter, re.escape(letter)) for letter in pattern)
        return re.fullmatch(made + tail, text, re.DOTALL | flags) is not None

    return matches


def as_one_text(pattern: tuple[str, ...], fields: list[str]) -> bool:
    return ram.matches(":".join(pattern), ":".join(fields))


def but_for_the_account(pattern: tuple[str, ...], fields: list[str]) -> bool:
    return all(ram.matches(pattern[at], fields[at]) for at in (0, 1, 2, 4))


def first_policy_only(policies: Iterable[Policy], access: Access) -> Effect:
    return next(iter(policies)).evaluate(access)


def allow_first(effects: set[Effect]) -> Effect:
    return min(effects, key=list(Effect).index, default=Effect.IMPLICIT_DENY)


def any_allow(policies: Iterable[Policy], access: Access) -> Effect:
    return allow_first({policy.evaluate(access) for policy in policies})


STATEMENT, CONDITION = ram._Statement, ram._Condition
APPLIES, HOLDS, DECIDE = STATEMENT.applies, CONDITION.holds, Identity.decide


def one_condition_is_enough(self: Any, access: Access) -> bool:
    bare = replace(self, conditions=())
    return APPLIES(bare, access) and (
        not self.conditions or any(condition.holds(access.context) for condition in self.conditions)
    )


def one_value_is_enough(self: Any, context: dict[str, str]) -> bool:
    return any(HOLDS(replace(self, values=(value,)), context) for value in self.values)


def a_missing_key_holds(self: Any, context: dict[str, str]) -> bool:
    missing = self.key not in context and _OPERATORS[self.operator].negative
    return missing or HOLDS(self, context)


FAULTS: dict[str, tuple[object, str, object]] = {
    "a star does not cross /": (ram, "matches", like(star="[^/]*")),
    "a star is at least one letter": (ram, "matches", like(star=".+")),
    "a star does not cross a line's end": (ram, "matches", like(star="[^\n]*")),
    "a pattern only has to begin the text": (ram, "matches", like(tail=".*")),
    "no pattern tells cases apart": (ram, "matches", like(re.IGNORECASE)),
    "fields are one text": (ram, "_fields_match", as_one_text),
    "an account does not count": (ram, "_fields_match", but_for_the_account),
    "Allow goes before Deny": (ram, "_strongest", allow_first),
    "a Deny in another policy does not count": (identities, "evaluate", any_allow),
    "the first policy of a role is all": (identities, "evaluate", first_policy_only),
    "actions tell cases apart": (
        STATEMENT,
        "applies",
        lambda self, access: APPLIES(self, access) and access.action == access.action.lower(),
    ),
    "NotAction is Action": (
        STATEMENT,
        "applies",
        lambda self, access: APPLIES(replace(self, excludes_actions=False), access),
    ),
    "one condition is enough": (STATEMENT, "applies", one_condition_is_enough),
    "conditions do not count": (
        STATEMENT,
        "applies",
        lambda self, access: APPLIES(replace(self, conditions=()), access),
    ),
    "of the values only the first counts": (
        CONDITION,
        "holds",
        lambda self, context: HOLDS(replace(self, values=self.values[:1]), context),
    ),
    "a value that differs from one is none of them": (CONDITION, "holds", one_value_is_enough),
    "a missing key is as good as another value": (CONDITION, "holds", a_missing_key_holds),
    "a session policy does not bind": (
        Identity,
        "decide",
        lambda self, access: DECIDE(replace(self, session_policy=None), access),
    ),
    "a session policy is all": (
        Identity,
        "decide",
        lambda self, access: DECIDE(
            replace(self, policies=None if self.session_policy else self.policies), access
        ),
    ),
}


OPERATORS_FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "it ignores case": (
        "StringLike",
        {"fits": lambda actual, wanted: like(re.IGNORECASE)(wanted, actual)},
    ),
    "it has wildcards": ("StringEquals", {"fits": ram._like}),
    "it tells cases apart": ("StringEqualsIgnoreCase", {"read": str}),
    "it is StringLike": ("StringNotLike", {"negative": False}),
    "numbers are texts": ("NumericLessThan", {"read": str}),
    "at most is less": ("NumericLessThanEquals", {"fits": operator.lt}),
    "dates are texts": ("DateGreaterThan", {"read": str}),
    "not false is true": ("Bool", {"read": lambda text: text.lower() != "false"}),
    "a block is its first address": (
        "IpAddress",
        {"fits": lambda actual, wanted: actual == wanted.network_address},
    ),
    "a client may be a block": (
        "NotIpAddress",
        {"read": ram._network, "fits": lambda actual, wanted: actual == wanted},
    ),
}


def find_disagreement(roles: Any, sessions: Any) -> None:
    """Search for an access that one evaluator allows and the other denies. The search tries 1,000
    examples with a hundred accesses each. Each run tries the same examples. Raises NoSuchExample if
    the evaluators always agree."""
    find(
        st.tuples(roles, sessions, SEEDS),
        lambda case: any(disagreements(*case)),
        settings=profile(max_examples=1000, database=None, phases=[Phase.generate]),
        random=Random(0),  # noqa: S311 - no secret
    )


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_evaluator_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*FAULTS[fault])
    find_disagreement(ROLES, st.none() | POLICIES)


@pytest.mark.parametrize("fault", OPERATORS_FAULTS)
def test_a_fault_in_an_operator_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The policies of this test use only the operator in which a fault was planted. If the
    policies used all operators, the search would need a few hundred examples."""
    name, members = OPERATORS_FAULTS[fault]
    monkeypatch.setitem(_OPERATORS, name, replace(_OPERATORS[name], **members))
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    roles = condition(name).map(lambda keys: [[{**statement, "Condition": {name: keys}}]])
    find_disagreement(roles, st.none())
