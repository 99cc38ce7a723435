"""Parses RAM policies, and decides whether they allow an access.

identities.py knows which policies apply to whom. oss/ knows which access an operation needs.

The function has its own evaluator, token_service/grant/permissions.py. The two evaluators are
separate on purpose: with shared code, both would have the same faults.
tests/grant/test_permissions.py compares them. A third, naive evaluator in the tests
(tests/support/naive_ram.py) checks this module.

Facts are from the vendor's documentation of RAM and OSS. If the documentation says nothing about a
point, the docstring says so. In a resource, this module treats upper and lower case as different.
This is not verified on the real RAM (assumption 6).
"""

from __future__ import annotations

import ipaddress
import json
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any

_CONDITION_KEYS = {
    "acs:AccessId",
    "acs:CurrentTime",
    "acs:SecureTransport",
    "acs:SourceIp",
    "acs:UserAgent",
    "oss:Delimiter",
    "oss:Prefix",
}
_TAG_KEYS = re.compile(r"oss:(Existing|Request)ObjectTag/.+", re.DOTALL)
_ACTION = re.compile(r"\*|[A-Za-z0-9*?-]+:[A-Za-z0-9*?]+")
_NUMBER = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?")
_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2})"
)


class PolicyGrammarError(ValueError):
    """Raised for a text that is not a policy, or that has parts which this evaluator does not know.
    The message names the fault."""


@dataclass(frozen=True)
class Access:
    """One action that a request wants to do on one resource.

    `action` is like "oss:PutObject". `resource` is like "acs:oss:*:1234567890123456:bucket/key"
    (the region field is "*"). `context` holds the known condition keys, like "oss:Prefix". A
    listing always sets the keys oss:Prefix and oss:Delimiter. The value is "" if the request has no
    such parameter.
    """

    action: str
    resource: str
    context: Mapping[str, str]


class Effect(Enum):
    """What the policies say about one access: allowed, denied by a statement, or denied because no
    statement allows it. Only ALLOW permits the access."""

    ALLOW = "Allow"
    EXPLICIT_DENY = "ExplicitDeny"
    IMPLICIT_DENY = "ImplicitDeny"


@dataclass(frozen=True)
class Policy:
    """A parsed policy document."""

    statements: tuple[_Statement, ...]

    @classmethod
    def parse(cls, text: str) -> Policy:
        """Parse a policy document. Raises PolicyGrammarError for everything that this module does
        not know.

        This check may be stricter than RAM. But if an unknown member, operator or condition key
        were ignored, a rule could silently do nothing. For the same reason, a policy is refused if
        it has a member twice, or if the region of an OSS resource is not "*". This check does not
        limit the policy's size.
        """
        try:
            document = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
        except PolicyGrammarError:
            raise
        except (ValueError, RecursionError) as error:
            raise PolicyGrammarError(f"not JSON: {error}") from None
        members = _members(document, "the policy", {"Version", "Statement"})
        if members.get("Version") != "1":
            raise PolicyGrammarError('Version must be "1"')
        statements = members.get("Statement")
        if not isinstance(statements, list) or not statements:
            raise PolicyGrammarError("Statement must be a list that is not empty")
        return cls(tuple(_statement(statement) for statement in statements))

    def evaluate(self, access: Access) -> Effect:
        """The decision of this policy alone. Deny overrides Allow. If no statement matches, the
        decision is IMPLICIT_DENY."""
        effects = {s.effect for s in self.statements if s.applies(access)}
        return _strongest(effects)


def evaluate(policies: Iterable[Policy], access: Access) -> Effect:
    """Combine policies of one kind. If any policy has a matching Deny, the decision is Deny.
    Otherwise, if any policy has a matching Allow, the decision is Allow. Otherwise it is
    IMPLICIT_DENY."""
    return _strongest({policy.evaluate(access) for policy in policies})


def _strongest(effects: set[Effect]) -> Effect:
    for effect in (Effect.EXPLICIT_DENY, Effect.ALLOW):
        if effect in effects:
            return effect
    return Effect.IMPLICIT_DENY


@dataclass(frozen=True)
class _Statement:
    effect: Effect
    actions: tuple[str, ...]  # in lower case, since RAM ignores the case of actions
    excludes_actions: bool  # NotAction
    resources: tuple[tuple[str, ...], ...]  # each is split into five fields
    conditions: tuple[_Condition, ...]

    def applies(self, access: Access) -> bool:
        named = any(matches(pattern, access.action.lower()) for pattern in self.actions)
        # The fields are compared one by one. If they were compared as one string,
        # "acs:oss:*:*:bkt/a*" would match the key "x:bkt/abc" in any other bucket.
        fields = access.resource.split(":", 4)
        return (
            named != self.excludes_actions
            and any(_fields_match(resource, fields) for resource in self.resources)
            and all(condition.holds(access.context) for condition in self.conditions)
        )


def _fields_match(pattern: tuple[str, ...], fields: list[str]) -> bool:
    return len(fields) == 5 and all(map(matches, pattern, fields))


@dataclass(frozen=True)
class _Condition:
    """One operator and one key. With a positive operator, at least one of the policy's values must
    match. With a negative operator, none of the values may match.

    The rule for negative operators follows from a sample of the vendor. The sample has a Deny with
    NotIpAddress and two networks, and it denies everybody outside of both networks.

    The condition is false if the access does not have the key, or if the key's value cannot be read
    as the operator's type. This also holds for negative operators. It is not verified on the real
    RAM that a negative operator is false in these cases (assumption 8). An Allow with a false
    condition gives no right, so the sandbox's rule is the stricter one for an Allow.
    """

    operator: str
    key: str
    values: tuple[Any, ...]

    def holds(self, context: Mapping[str, str]) -> bool:
        actual_text = context.get(self.key)
        if actual_text is None:
            return False
        kind = _OPERATORS[self.operator]
        try:
            actual = kind.read(actual_text)
        except ValueError:
            return False
        return any(kind.fits(actual, value) for value in self.values) != kind.negative


@dataclass(frozen=True)
class _Operator:
    read: Callable[[str], Any]  # reads a value of the access or the policy; raises ValueError
    fits: Callable[[Any, Any], bool]  # the access's value, the policy's value
    negative: bool = False
    read_wanted: Callable[[str], Any] | None = None  # for a policy's value of another kind


def matches(pattern: str, text: str) -> bool:
    """Whether `text` matches `pattern`. "*" matches any characters, including "/". "?" matches any
    single character.

    No other character is special, and there is no escape. RAM documents no variables, so "${...}"
    is literal. This is not verified on the real RAM (assumption 7).

    The comparison takes at most len(pattern) * len(text) steps. After a mismatch, only the last
    star is tried again, with one character more. Earlier stars never need to be tried again.
    """
    at = place = 0
    star, resume = -1, 0
    while at < len(text):
        if place < len(pattern) and pattern[place] == "*":
            star, resume = place, at
            place += 1
        elif place < len(pattern) and pattern[place] in ("?", text[at]):
            place += 1
            at += 1
        elif star >= 0:
            resume += 1
            place, at = star + 1, resume
        else:
            return False
    return not pattern[place:].strip("*")


def _number(text: str) -> Decimal:
    if not _NUMBER.fullmatch(text):
        raise ValueError("a number may have only digits, one point and a minus sign in front")
    return Decimal(text)


def _date(text: str) -> float:
    if not _DATE.fullmatch(text):
        raise ValueError("a date must look like 2012-11-11T23:59:59Z or 2012-11-11T23:59:59+08:00")
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _bool(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("must be true or false")
    return text.lower() == "true"


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text, strict=False)


def _inside(actual: Any, wanted: Any) -> bool:
    return actual in wanted


def _like(actual: str, wanted: str) -> bool:
    return matches(wanted, actual)


_COMPARISONS = {
    "LessThan": operator.lt,
    "LessThanEquals": operator.le,
    "GreaterThan": operator.gt,
    "GreaterThanEquals": operator.ge,
}
_OPERATORS = {
    "StringEquals": _Operator(str, operator.eq),
    "StringNotEquals": _Operator(str, operator.eq, negative=True),
    "StringEqualsIgnoreCase": _Operator(str.lower, operator.eq),
    "StringNotEqualsIgnoreCase": _Operator(str.lower, operator.eq, negative=True),
    "StringLike": _Operator(str, _like),
    "StringNotLike": _Operator(str, _like, negative=True),
    "Bool": _Operator(_bool, operator.eq),
    "IpAddress": _Operator(ipaddress.ip_address, _inside, read_wanted=_network),
    "NotIpAddress": _Operator(ipaddress.ip_address, _inside, True, _network),
}
for _kind, _read in (("Numeric", _number), ("Date", _date)):
    _OPERATORS[f"{_kind}Equals"] = _Operator(_read, operator.eq)
    _OPERATORS[f"{_kind}NotEquals"] = _Operator(_read, operator.eq, negative=True)
    for _name, _fits in _COMPARISONS.items():
        _OPERATORS[f"{_kind}{_name}"] = _Operator(_read, _fits)


def _statement(value: object) -> _Statement:
    known = {"Effect", "Action", "NotAction", "Resource", "Condition"}
    members = _members(value, "a statement", known)
    if members.get("Effect") not in ("Allow", "Deny"):
        raise PolicyGrammarError("Effect must be Allow or Deny")
    if ("Action" in members) == ("NotAction" in members):
        raise PolicyGrammarError("a statement must have either Action or NotAction")
    name = "Action" if "Action" in members else "NotAction"
    actions = _texts(members[name], name)
    for action in actions:
        if not _ACTION.fullmatch(action):
            raise PolicyGrammarError(f"{name} must be of the form service:Action")
    if "Resource" not in members:
        raise PolicyGrammarError("a statement must have a Resource")
    resources = _texts(members["Resource"], "Resource")
    return _Statement(
        Effect.ALLOW if members["Effect"] == "Allow" else Effect.EXPLICIT_DENY,
        tuple(action.lower() for action in actions),
        name == "NotAction",
        tuple(_resource(text) for text in resources),
        _conditions(members["Condition"]) if "Condition" in members else (),
    )


def _resource(text: str) -> tuple[str, ...]:
    if text == "*":
        return ("*",) * 5
    fields = text.split(":", 4)
    if len(fields) != 5 or fields[0] != "acs" or not fields[1] or not fields[4]:
        raise PolicyGrammarError("Resource must be * or acs:service:region:account:resource")
    if fields[1] == "oss" and fields[2] != "*":
        raise PolicyGrammarError("the region of an OSS resource must be *")
    return tuple(fields)


def _conditions(value: object) -> tuple[_Condition, ...]:
    conditions = []
    for name, keys in _members(value, "Condition", _OPERATORS).items():
        for key, values in _members(keys, name).items():
            if key not in _CONDITION_KEYS and not _TAG_KEYS.fullmatch(key):
                raise PolicyGrammarError("unknown condition key")
            read = _OPERATORS[name].read_wanted or _OPERATORS[name].read
            try:
                wanted = tuple(read(text) for text in _scalars(values, name))
            except ValueError as error:
                raise PolicyGrammarError(f"{name}: {error}") from None
            conditions.append(_Condition(name, key, wanted))
    return tuple(conditions)


def _members(value: object, what: str, known: Iterable[str] | None = None) -> dict[str, object]:
    if not isinstance(value, dict) or not value:
        raise PolicyGrammarError(f"{what} must be an object that is not empty")
    if known is not None and not value.keys() <= set(known):
        raise PolicyGrammarError(f"{what} has an unknown member")
    return value


def _texts(value: object, what: str) -> list[str]:
    values = value if isinstance(value, list) else [value]
    texts = [text for text in values if isinstance(text, str)]
    if not texts or len(texts) != len(values):
        raise PolicyGrammarError(f"{what} must be a string or a list of strings")
    return texts


def _scalars(value: object, what: str) -> list[str]:
    """Condition values: strings, numbers and booleans (vendor documentation of the grammar)."""
    values = value if isinstance(value, list) else [value]
    texts = []
    for one in values:
        if not isinstance(one, (str, int, float)):
            raise PolicyGrammarError(f"a value of {what} must be a string, number or boolean")
        texts.append(one if isinstance(one, str) else json.dumps(one))
    if not texts:
        raise PolicyGrammarError(f"{what} must have a value")
    return texts


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise PolicyGrammarError("a member is given twice")
    return members


def _no_constant(name: str) -> object:
    raise PolicyGrammarError(f"{name} is not JSON")
