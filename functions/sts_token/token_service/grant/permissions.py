"""RAM policy -> may this be done? For what the function's own key signs, which no STS narrows.

Written twice on purpose: the sandbox's evaluator judges what this lets through, and a judge must
not share the accused's code. Stricter than RAM, and never laxer: an Allow counts only without a
Condition, or to list with that of the bundled policies; a Deny whatever its condition; and of a
prefix, everything under it has to be allowed.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import NamedTuple

from token_service.encoding import compact
from token_service.errors import PolicyError, ServiceError

READERS = "bucket_read_policy or bucket_read_write_policy"
"""The bundled policies that let read and list; those that let write are the others."""
_WRITERS = "bucket_write_policy or bucket_read_write_policy"
_MEMBERS = frozenset(("Effect", "Action", "NotAction", "Resource", "Condition"))


class NotAllowed(ServiceError):
    """Raised when the policy of a caller's grant does not allow what a URL or form would do."""

    status = 403
    code = "NotAllowed"


class _Statement(NamedTuple):
    allows: bool
    actions: tuple[str, ...]
    """In lower case: RAM does not tell them apart."""
    excludes_actions: bool
    """They are those of NotAction."""
    resources: tuple[str, ...]
    condition: str
    """As JSON, "" where there is none."""


def require(policy: str, action: str, account: str, resource: str) -> None:
    """Do nothing where a policy allows an action. Raises NotAllowed, and PolicyError as `allows`.
    `resource` is bucket/key, or bucket/prefix and "*" for everything under a prefix; keys hold no
    "*" of their own (object_keys.py). `account` owns the bucket."""
    if not allows(policy, action, account, resource):
        others = READERS if action == "oss:GetObject" else _WRITERS
        raise NotAllowed(
            f"the policy of this grant does not allow {action} on the object; {others} would "
            "(POLICY_FILE, or POLICY_CHOICES and the wish policy)"
        )


def check(policy: str) -> None:
    """Raise PolicyError for a policy of a shape that is not known here."""
    _parsed(policy)


def allows(policy: str, action: str, account: str, resource: str, names: str = "") -> bool:
    """Whether a policy (JSON) allows an action on a resource, as in `require`. To list, the
    resource is a bucket, and `names` a prefix and "*": an Allow may have them as its condition,
    and a Deny of anything under them counts. Raises PolicyError for a policy of a shape that is
    not known here: a rule that is not understood might be a Deny."""
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
        raise PolicyError(f"a policy's statement may have {', '.join(sorted(_MEMBERS))} only")
    if value.get("Effect") not in ("Allow", "Deny"):
        raise PolicyError("a policy's Effect must be Allow or Deny")
    if ("Action" in value) == ("NotAction" in value):
        raise PolicyError("a policy's statement must have one of Action and NotAction")
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
    """Whether an Allow's resource has all of ours in it."""
    if pattern == "*":
        return True
    # Field by field: as one text, "acs:oss:*:*:bucket/a*" would have the key "x:bucket/abc" of any
    # other bucket in it.
    fields = pattern.split(":", 4)
    if len(fields) != 5 or fields[0] != "acs" or fields[1] != "oss" or fields[2] != "*":
        return False
    if not _matches(fields[3], account):
        return False
    if not resource.endswith("*"):
        return _matches(fields[4], resource)
    # A pattern that matches the bare prefix by a star at its end goes on matching.
    return fields[4].endswith("*") and _matches(fields[4], resource[:-1])


def _may_meet(pattern: str, resource: str) -> bool:
    """Whether a Deny's resource may have any of ours in it; only what surely has not is let go."""
    fields = pattern.split(":", 4)
    if len(fields) != 5:
        return True
    if not resource.endswith("*"):
        return _matches(fields[4], resource)
    plain = fields[4].replace("?", "*").partition("*")[0]
    return plain.startswith(resource[:-1]) or resource[:-1].startswith(plain)


def _matches(pattern: str, text: str) -> bool:
    """Whether a text fits a pattern: "*" is any characters, "/" too, "?" is one. There is no escape
    and no variable. At most len(pattern) * len(text) steps: only the last star is tried again,
    since an earlier one could do no better."""
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
