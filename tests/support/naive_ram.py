"""A second, simple evaluator of RAM's policies, written from the vendor's documentation only.

sandbox/ram.py evaluates policies for the sandbox. The author of this module did not read
sandbox/ram.py. Each rule comes from the page that its comment names. Therefore an error stays
hidden only if both modules have it. If the two modules disagree, the documentation decides. Never
copy a rule from one module into the other.

The pages, at www.alibabacloud.com/help/en:
structure   ram/policy-structure-and-syntax
elements    ram/policy-elements
operators   ram/conditional-operator
evaluation  ram/policy-evaluation-process
addresses   ram/access-alibaba-cloud-resources-by-using-a-specific-ip-address-or-cidr-block
oss         oss/user-guide/ram-policy-overview

The following rules are on no page of the documentation, and are not verified on the real OSS:
- A condition is false if the request does not have its key, or if a value cannot be read as the
  operator's type. This is also true for negative operators like StringNotEquals.
- A resource is compared field by field. Each field may have wildcards, and its case matters.
- StringEqualsIgnoreCase also ignores the case of letters that are not ASCII.
- A number has digits. A number may have one point between two digits, and one minus before all
  digits.

This module does not check the syntax of a policy. sandbox/ram.py refuses what RAM refuses.
"""

from __future__ import annotations

import functools
import ipaddress
import json
import operator
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from fractions import Fraction
from typing import Any

ALLOW, EXPLICIT_DENY, IMPLICIT_DENY = "ALLOW", "EXPLICIT_DENY", "IMPLICIT_DENY"


def judge(
    policies: list[Any], action: str, resource: str, context: Mapping[str, str], session: Any = None
) -> str:
    """The decision about one access: ALLOW, EXPLICIT_DENY or IMPLICIT_DENY.

    policies: the policies of a role, as parsed JSON. session: the session policy of AssumeRole,
    or None. resource: `acs:oss:{region}:{owner}:{bucket}[/{key}]`.
    """
    # evaluation: "If Explicit Deny or Implicit Deny is returned, the evaluation ends. [...] If
    # Allow is returned, the evaluation continues", with the policies of the identity.
    if session is not None:
        decision = judge([session], action, resource, context)
        if decision != ALLOW:
            return decision
    effects = [
        statement["Effect"]
        for policy in policies
        for statement in policy["Statement"]
        if applies(statement, action, resource, context)
    ]
    # evaluation, structure: a Deny of any policy overrides every Allow. An access that no policy
    # allows is denied.
    if "Deny" in effects:
        return EXPLICIT_DENY
    return ALLOW if "Allow" in effects else IMPLICIT_DENY


def applies(statement: Any, action: str, resource: str, context: Mapping[str, str]) -> bool:
    # elements: NotAction covers "all operations except for those specified".
    if "NotAction" in statement:
        if any(same_action(pattern, action) for pattern in listed(statement["NotAction"])):
            return False
    elif not any(same_action(pattern, action) for pattern in listed(statement["Action"])):
        return False
    if not any(same_resource(pattern, resource) for pattern in listed(statement["Resource"])):
        return False
    # elements: "A condition block is met only if all of its conditions are met". A condition is
    # met "only if all the requirements for the keys are met".
    return all(
        key in context and holds(name, [as_text(value) for value in listed(values)], context[key])
        for name, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    )


def listed(value: Any) -> list[Any]:
    """structure: a single value means the same as a list with this value."""
    return value if isinstance(value, list) else [value]


def as_text(value: Any) -> str:
    """structure: values have quotation marks. A number or Boolean without quotation marks becomes a
    text."""
    return value if isinstance(value, str) else json.dumps(value)


@functools.lru_cache(1000)
def expression(pattern: str) -> re.Pattern[str]:
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(c) or re.escape(c) for c in pattern), re.DOTALL)


def like(pattern: str, text: str) -> bool:
    """structure, operators: `*` is any number of characters, also zero; `?` is one character."""
    return expression(pattern).fullmatch(text) is not None


def same_action(pattern: str, action: str) -> bool:
    """Page "elements": "in most cases, the value of the Action element is not case-sensitive"."""
    return like(pattern.lower(), action.lower())


def same_resource(pattern: str, resource: str) -> bool:
    """elements, oss: `acs:oss:{region}:{owner}:{bucket}/{key}`, or "*" for all resources."""
    if pattern == "*":
        return True
    # Only the last field, which has the key, may have a colon in it.
    return all(map(like, pattern.split(":", 4), resource.split(":", 4)))


def holds(name: str, wanted: list[str], actual: str) -> bool:
    # elements: "If the value in a request matches any of the values, the condition is met".
    # addresses: NotIpAddress with two values is true for an address "other than" both.
    test = TESTS[name.replace("Not", "")]
    try:
        return any(test(actual, value) for value in wanted) != ("Not" in name)
    except ValueError:
        return False


def number(text: str) -> Fraction:
    if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
        raise ValueError(text)
    return Fraction(text)


def date(text: str) -> datetime:
    """elements: ISO 8601, as in 2012-11-11T23:59:59Z. A pattern checks the text first, because
    strptime also accepts other forms."""
    if not re.fullmatch(r"[0-9-]{10}T[0-9:]{8}(Z|[+-]\d\d:\d\d)", text):
        raise ValueError(text)
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z")


def boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


def bits(address: str) -> str:
    """The version of an address (4 or 6), a colon, and the address as 32 or 128 binary digits."""
    read = ipaddress.ip_address(address)
    return f"{read.version}:{int(read):0{read.max_prefixlen}b}"


def in_block(address: str, block: str) -> bool:
    """Page "addresses": a block is one address, or a range like 192.0.2.0/24."""
    network, _, length = block.partition("/")
    digits = len("4:") + int(length) if length else None
    return bits(address)[:digits] == bits(network)[:digits]


def reading(read: Callable[[str], Any], compare: Callable[[Any, Any], bool]) -> Any:
    return lambda actual, wanted: compare(read(actual), read(wanted))


# The operators of conditions. An operator whose name begins with String compares texts: exactly,
# without case, or with wildcards. The name of every other operator begins with the type of the
# values that it compares.
TESTS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": operator.eq,
    "StringEqualsIgnoreCase": reading(str.lower, operator.eq),
    "StringLike": lambda actual, wanted: like(wanted, actual),
    "Bool": reading(boolean, operator.eq),
    "IpAddress": in_block,
    **{
        f"{kind}{comparison}": reading(read, compare)
        for kind, read in (("Numeric", number), ("Date", date))
        for comparison, compare in (
            ("Equals", operator.eq),
            ("LessThan", operator.lt),
            ("LessThanEquals", operator.le),
            ("GreaterThan", operator.gt),
            ("GreaterThanEquals", operator.ge),
        )
    },
}
