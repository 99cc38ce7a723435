"""Derives the RAM rights that the two roles need from policies, routes and options.

Tests compare the result with template.yml's roles and the table of docs/permissions.md. `make
doctor` prints it. If a new route is added, or the function calls OSS in a new way, _ROWS needs a
new row. The upload role's rights follow from the policy templates, and from the routes that assume
the role.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sandbox.ram import matches
from token_service.grant import permissions
from token_service.grant.grants import Grant
from token_service.grant.policies import Policies
from token_service.signing import forms, multipart, signed_urls

_PUT, _GET, _LIST = forms.ACTION, signed_urls.ACTIONS["GET"], "oss:ListObjects"


class Options(NamedTuple):
    """The needed rights depend on policies, on routes, and on these facts.

    `prefix` is OBJECT_PREFIX. `upload_role` is the ARN of the upload role. `log_store` is the ARN
    of the logstore, or "" without logs. `names_callers` is true if AUTH gives each caller a name.
    `has_multipart` is true if MULTIPART_SECRET is set.
    """

    bucket: str
    prefix: str
    upload_role: str
    log_store: str = ""
    has_callbacks: bool = True
    names_callers: bool = True
    has_multipart: bool = True


class Statement(NamedTuple):
    """One right: an action on a resource, and the reasons why it is needed.

    `condition` is a RAM policy's Condition as JSON with sorted keys, or "". `reasons` are short
    phrases, or names of the policies that need the right.
    """

    action: str
    resource: str
    condition: str
    reasons: tuple[str, ...]


class Rights(NamedTuple):
    """The rights that the function role and the upload role need.

    `unbounded` are policies with wildcards or NotAction, from which no rights can be derived. A
    token with such a policy may do everything that the operator allows the upload role to do.
    """

    function_role: tuple[Statement, ...]
    upload_role: tuple[Statement, ...]
    unbounded: tuple[str, ...]


def rights(policies: Sequence[str], routes: Sequence[str], options: Options) -> Rights:
    """Derive the rights for policies (as in POLICY_CHOICES) and routes (paths, as in app.ROUTES).

    Raises ValueError for a route that has no row in _ROWS. Raises Misconfiguration or PolicyError
    for a policy that does not load or render, or that the function does not understand.
    """
    unknown = set(routes) - known_routes()
    if unknown:
        raise ValueError(f"_ROWS in ops/rights.py has no row for {', '.join(sorted(unknown))}")
    templates = Policies(policies)
    # This grant is for the operator's whole prefix, which includes the folder of every caller.
    whole = Grant(options.bucket, options.prefix, None, policies[0], 900, "anybody")
    statements = {
        name: _allowing(templates.render(whole._replace(policy=name))) for name in policies
    }
    # Callers without names (AUTH=anonymous) share one folder. They may list it only if the default
    # policy lets everybody list it.
    shared = {policies[0]: statements[policies[0]]}
    lists = options.names_callers or _may(shared, _LIST)
    facts = _Facts(
        can_write=_may(statements, _PUT),
        can_read=_may(statements, _GET),
        lists=lists,
        lists_details=lists and (options.names_callers or _may(shared, _GET)),
        options=options,
    )
    statements = _used(statements, routes, facts)
    unbounded = tuple(name for name, found in statements.items() if not _is_bounded(found))
    return Rights(
        function_role=_merged(_of_function(routes, facts)),
        upload_role=_merged(_of_tokens(statements, unbounded)),
        unbounded=unbounded,
    )


def known_routes() -> frozenset[str]:
    """Return the routes that have a row in _ROWS, or need no rights."""
    return frozenset(route for row in _ROWS for route in row.routes) | _WITHOUT_RIGHTS


def said(statements: Sequence[Statement], options: Options) -> str:
    """Describe statements in a few words, grouped by resource."""
    objects, bucket = _objects(options), _bucket(options)
    known = {
        options.upload_role: "on the upload role",
        objects.resource: f"on {options.prefix}*",
        bucket.resource: f"with oss:Prefix {options.prefix}*",
    }
    actions: dict[str, list[str]] = {}
    for one in statements:
        place = known.get(one.resource, f"on {one.resource}")
        if one.resource == bucket.resource and one.condition != bucket.condition:
            place = f"on {one.resource}"
        actions.setdefault(place, []).append(one.action)
    return "; ".join(f"{', '.join(found)} {place}" for place, found in actions.items())


class _Facts(NamedTuple):
    can_write: bool
    can_read: bool
    lists: bool
    lists_details: bool
    options: Options


class _Place(NamedTuple):
    resource: str
    condition: str = ""


class _Row(NamedTuple):
    """A right of the function role. If `applies` returns true, `routes` need `action` on the
    resource that `place` returns."""

    routes: tuple[str, ...]
    action: str
    place: Callable[[Options], _Place]
    reason: str
    applies: Callable[[_Facts], bool]


def _objects(options: Options) -> _Place:
    return _Place(f"acs:oss:*:*:{options.bucket}/{options.prefix}*")


def _bucket(options: Options) -> _Place:
    # Listing is an action on the whole bucket, so only the condition limits it to the folder.
    condition = {"StringLike": {"oss:Prefix": [f"{options.prefix}*"]}}
    return _Place(f"acs:oss:*:*:{options.bucket}", _encoded(condition))


def _upload_role(options: Options) -> _Place:
    return _Place(options.upload_role)


def _encoded(condition: object) -> str:
    return json.dumps(condition, sort_keys=True, ensure_ascii=False)


_ROWS = (
    _Row(("/", "/sts"), "sts:AssumeRole", _upload_role, "tokens", lambda _: True),
    _Row(
        ("/signed-url",),
        "sts:AssumeRole",
        _upload_role,
        "signed URLs for reading, which the caller's own session signs",
        lambda facts: facts.can_read,
    ),
    _Row(
        ("/signed-url",),
        signed_urls.ACTIONS["PUT"],
        _objects,
        "signed URLs for uploads: the function role signs them",
        lambda facts: facts.can_write,
    ),
    _Row(
        ("/form",),
        forms.ACTION,
        _objects,
        "forms: the function role signs them",
        lambda facts: facts.can_write,
    ),
    *(
        _Row(
            ("/multipart",),
            action,
            _objects,
            "resumable uploads: the function role signs them",
            lambda facts: facts.can_write and facts.options.has_multipart,
        )
        for action in dict.fromkeys(multipart.ACTIONS.values())
    ),
    _Row(
        ("/callback",),
        _GET,
        _objects,
        "a callback is compared with its object",
        lambda facts: facts.options.has_callbacks,
    ),
    _Row(
        ("/uploads",),
        _LIST,
        _bucket,
        "GET /uploads lists a caller's own uploads",
        lambda facts: facts.lists,
    ),
    _Row(
        ("/uploads",),
        _GET,
        _objects,
        "GET /uploads?details=1",
        lambda facts: facts.lists_details,
    ),
)
_WITHOUT_RIGHTS = frozenset({"/health"})
_TOKENS = {"/", "/sts"}


def _of_function(routes: Sequence[str], facts: _Facts) -> Iterator[Statement]:
    for row in _ROWS:
        if set(row.routes) & set(routes) and row.applies(facts):
            yield Statement(row.action, *row.place(facts.options), (row.reason,))
    if facts.options.log_store:
        reason = "logs: Function Compute writes them as the function role"
        yield Statement("log:PostLogStoreLogs", facts.options.log_store, "", (reason,))


def _used(
    statements: Mapping[str, list[dict[str, Any]]], routes: Sequence[str], facts: _Facts
) -> dict[str, list[dict[str, Any]]]:
    """Return the rights in `statements` that the upload role needs. Tokens need all of them. Signed
    URLs need only the rights for reading. Other routes need no rights of this role."""
    if _TOKENS & set(routes):
        return dict(statements)
    if "/signed-url" not in routes or not facts.can_read:
        return {}
    found = {
        name: [
            {**one, "Action": _GET} if _is_bounded([one]) else one
            for one in of_policy
            if _may({name: [one]}, _GET)
        ]
        for name, of_policy in statements.items()
    }
    return {name: reading for name, reading in found.items() if reading}


def _of_tokens(
    statements: Mapping[str, list[dict[str, Any]]], unbounded: Sequence[str]
) -> Iterator[Statement]:
    for name, found in statements.items():
        if name in unbounded:
            continue
        for statement in found:
            condition = statement.get("Condition")
            for resource in _listed(statement["Resource"]):
                for action in _listed(statement["Action"]):
                    yield Statement(
                        action, resource, _encoded(condition) if condition else "", (name,)
                    )


def _merged(statements: Iterator[Statement]) -> tuple[Statement, ...]:
    """Return each right once, with all its reasons."""
    reasons: dict[tuple[str, str, str], dict[str, None]] = {}
    for one in statements:
        reasons.setdefault(one[:3], {}).update(dict.fromkeys(one.reasons))
    return tuple(Statement(*right, tuple(found)) for right, found in reasons.items())


def _allowing(policy: str) -> list[dict[str, Any]]:
    """Return the Allow statements. The policy's Deny statements are left out, because the role
    itself does not have to repeat them."""
    permissions.check(policy)
    return [one for one in json.loads(policy)["Statement"] if one["Effect"] == "Allow"]


def _is_bounded(statements: Sequence[Mapping[str, Any]]) -> bool:
    """Whether all actions are listed by name."""
    return not any(
        set("*?") & set(action)
        for statement in statements
        for action in _listed(statement.get("Action", "*"))
    )


def _may(policies: Mapping[str, Sequence[Mapping[str, Any]]], action: str) -> bool:
    """Whether a statement might allow an action. If this is False, no statement allows the action.
    If this is True, a condition or NotAction may still exclude the action."""
    return any(
        "NotAction" in statement
        or any(matches(one.lower(), action.lower()) for one in _listed(statement["Action"]))
        for found in policies.values()
        for statement in found
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
