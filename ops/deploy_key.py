"""The rights of the key that runs `s deploy`, which is not the function's: it has none.

One list for doctor's line and for docs/deploy.md, which a test compares with it. That no more is
needed is not verified on the real cloud (assumption 85).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Right(NamedTuple):
    """Actions on resources, why the key needs them, and where that is known from.

    In `resources`, {function} and {domain} are names, {role} the function role's ARN.
    """

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    reason: str
    source: str
    needs_domain: bool = False
    """Only where s.domain.yaml is deployed."""


RIGHTS = (
    Right(
        ("fc:*",),
        ("acs:fc:*:*:functions/{function}", "acs:fc:*:*:functions/{function}/*"),
        "the function, its trigger and its cap, which are read, written and removed",
        "requests of fc3 0.1.22; the vendor's list of RAM actions for the resource",
    ),
    Right(
        ("fc:GetTempBucketToken",),
        ("*",),
        "the package goes through a bucket of the platform, which is no function's resource",
        "a request of fc3 0.1.22; the action's name stands in a component of the vendor's only",
    ),
    Right(
        ("ram:PassRole",),
        ("{role}",),
        "the function runs as this role",
        "the vendor's page of policies for Function Compute",
    ),
    Right(
        ("fc:CreateCustomDomain",),
        ("*",),
        "s.domain.yaml makes the domain, which no narrower resource stands for",
        "the vendor's page of CreateCustomDomain: All Resource",
        needs_domain=True,
    ),
    Right(
        ("fc:GetCustomDomain", "fc:UpdateCustomDomain", "fc:DeleteCustomDomain"),
        ("acs:fc:*:*:custom-domains/{domain}",),
        "s.domain.yaml compares the domain and changes it; s remove deletes it",
        "requests of fc3 0.1.22",
        needs_domain=True,
    ),
)


def needed(variables: Mapping[str, str]) -> list[Right]:
    """The rights for these variables of s.yaml, and of s.domain.yaml with DOMAIN_NAME; the account
    and the region, which nothing here knows, are *."""
    function = variables.get("FUNCTION_NAME") or "sts-token"
    names = {
        "function": function,
        "domain": variables.get("DOMAIN_NAME", ""),
        "role": variables.get("FUNCTION_ROLE_ARN") or f"acs:ram::*:role/{function}-function",
    }
    return [
        right._replace(resources=tuple(one.format_map(names) for one in right.resources))
        for right in RIGHTS
        if names["domain"] or not right.needs_domain
    ]


def said(rights: list[Right]) -> str:
    """In a few words, for one line."""
    return "; ".join(
        f"{', '.join(right.actions)} on {', '.join(right.resources)}" for right in rights
    )
