"""Decides, without STS, whether a RAM policy allows an action that the function's own key signs.

The sandbox has its own evaluator. Tests compare the two evaluators, so they share no code. This
evaluator may refuse what RAM allows, but never allows what RAM refuses. It ignores an Allow with a
Condition, but it accepts the Condition that the bundled policies have for listing. A Deny counts
with any Condition. A prefix is allowed only if everything under it is allowed.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import NamedTuple

from token_service.encoding import compact
from token_service.errors import PolicyError, ServiceError

READERS = "bucket_read_policy or bucket_read_write_policy"
"""The bundled policies that allow reading and listing. _WRITERS names those that allow writing."""
_WRITERS = "bucket_write_policy or bucket_read_write_policy"
_MEMBERS = frozenset(("Effect", "Action", "NotAction", "Resource", "Condition"))


class NotAllowed(ServiceError):
    """Raised when the policy of a caller's grant does not allow the action of a URL or form."""

    status = 403
    code = "NotAllowed"


class _Statement(NamedTuple):
    allows: bool
    actions: tuple[str, ...]
    """The actions in lower case, since RAM ignores the case."""
    excludes_actions: bool
    """Whether `actions` come from NotAction."""
    resources: tuple[str, ...]
    condition: str
    """The Condition as JSON, or "" if there is none."""


def require(policy: str, action: str, account: str, resource: str) -> None:
    """Raise NotAllowed if a policy does not allow an action, or PolicyError as `allows` does.
    `resource` is bucket/key, or bucket/prefix* for everything under a prefix; keys themselves have
    no "*" (object_keys.py). `account` owns the bucket."""
    if not allows(policy, action, account, resource):
        others = READERS if action == "oss:GetObject" else _WRITERS
        raise NotAllowed(
            f"the policy of this grant does not allow {action} on the object. Set {others} "
            "as POLICY_FILE, or put it into POLICY_CHOICES and send its name as policy"
        )


def check(policy: str) -> None:
    """Raise PolicyError for a policy that `allows` does not understand."""
    _parsed(policy)


def allows(policy: str, action: str, account: str, resource: str, names: str = "") -> bool:
    """Whether a policy (JSON) allows an action on a resource (see `require`). For a listing, pass
    the bucket as `resource`, and the prefix with a "*" at its end as `names`. Then an Allow for
    only this prefix is enough, and the result is False if a Deny may concern any key under this
    prefix. Raises PolicyError for a policy that is not understood: it may hold a Deny."""
    allowed, conditions, denied = False, [""], resource
    if names:
        denied = f"{resource}/{names}"
        conditions += [compact({"StringLike": {"oss:Prefix": one}}) for one in (names, [names])]
    for statement in _parsed(policy):
        named = any(_matches(pattern, action.lower()) for pattern in statement.actions)
        if named == statement.excludes_actions:
            continue
        if not statement.allows:
            if any(_may_meet(pattern, denied) for pattern in statement.resources):
                return False
        elif statement.condition in conditions:
            allowed |= any(_covers(one, account, resource) for one in statement.resources)
    return allowed


@lru_cache(maxsize=256)
def _parsed(policy: str) -> tuple[_Statement, ...]:
    document = json.loads(policy)
    statements = document.get("Statement") if isinstance(document, dict) else None
    if not isinstance(statements, list):
        raise PolicyError("a policy's Statement must be a list")
    return tuple(map(_statement, statements))


def _statement(value: object) -> _Statement:
    if not isinstance(value, dict) or not _MEMBERS.issuperset(value):
        raise PolicyError(f"a policy's statement may have only {', '.join(sorted(_MEMBERS))}")
    if value.get("Effect") not in ("Allow", "Deny"):
        raise PolicyError("a policy's Effect must be Allow or Deny")
    if ("Action" in value) == ("NotAction" in value):
        raise PolicyError("a policy's statement must have either Action or NotAction")
    actions = _texts(value.get("Action", value.get("NotAction")), "Action")
    return _Statement(
        allows=value["Effect"] == "Allow",
        actions=tuple(action.lower() for action in actions),
        excludes_actions="NotAction" in value,
        resources=_texts(value.get("Resource"), "Resource"),
        condition=compact(value["Condition"]) if "Condition" in value else "",
    )


def _texts(value: object, name: str) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    texts = tuple(text for text in values if isinstance(text, str))
    if not texts or len(texts) != len(values):
        raise PolicyError(f"a policy's {name} must be a text or a list of texts")
    return texts


def _covers(pattern: str, account: str, resource: str) -> bool:
    """Whether the pattern of an Allow covers the whole of `resource`."""
    if pattern == "*":
        return True
    # Fields are compared one by one. As one text, "acs:oss:*:*:bucket/a*" would also match the key
    # "x:bucket/abc" of any other bucket.
    fields = pattern.split(":", 4)
    if len(fields) != 5 or fields[0] != "acs" or fields[1] != "oss" or fields[2] != "*":
        return False
    if not _matches(fields[3], account):
        return False
    if not resource.endswith("*"):
        return _matches(fields[4], resource)
    # A pattern that ends with a star and matches the prefix also matches everything under it.
    return fields[4].endswith("*") and _matches(fields[4], resource[:-1])


def _may_meet(pattern: str, resource: str) -> bool:
    """Whether a Deny of `pattern` may cover a part of `resource`. In case of doubt, return True."""
    fields = pattern.split(":", 4)
    if len(fields) != 5:
        return True
    if not resource.endswith("*"):
        return _matches(fields[4], resource)
    plain = fields[4].replace("?", "*").partition("*")[0]
    return plain.startswith(resource[:-1]) or resource[:-1].startswith(plain)


def _matches(pattern: str, text: str) -> bool:
    """Whether a text matches a pattern. "*" stands for any characters, also "/". "?" stands for one
    character. A pattern has no escapes and no variables. Only the last star is tried again. Earlier
    stars never need to be tried again. There are at most len(pattern) * len(text) steps."""
    at = place = resume = 0
    star = -1
    while at < len(text):
        wanted = pattern[place : place + 1]
        if wanted == "*":
            if place == len(pattern) - 1:
                return True
            star, resume = place, at
            place += 1
        elif wanted in ("?", text[at]):
            place += 1
            at += 1
        elif star >= 0:
            resume += 1
            place, at = star + 1, resume
        else:
            return False
    return not pattern[place:].strip("*")
