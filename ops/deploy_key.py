"""The rights of the key that runs `s deploy`. (The function itself has no key.)

`make doctor` and docs/deploy.md show the same list, and a test compares the two lists. We think
that this list is complete, which is not verified on the real cloud (assumption 85).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Right(NamedTuple):
    """A right that the key of a deploy needs: `actions` on `resources`. `reason` says why the key
    needs the right, and `source` says how we know that the key needs it.

    In `resources`, {function} and {domain} are names, and {role} is the ARN of the function role.
    """

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    reason: str
    source: str
    needs_domain: bool = False
    """Whether the right is needed only for s.domain.yaml."""


RIGHTS = (
    Right(
        ("fc:*",),
        ("acs:fc:*:*:functions/{function}", "acs:fc:*:*:functions/{function}/*"),
        "to read, write and remove the function, its trigger and its limit on instances",
        "requests of fc3 0.1.22; the vendor's list of RAM actions for the resource",
    ),
    Right(
        ("fc:GetTempBucketToken",),
        ("*",),
        "to upload the package through a bucket of the platform, not of the function",
        "a request of fc3 0.1.22; only the code of a vendor's component names the action",
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
        "s.domain.yaml creates the domain; the action accepts no narrower resource",
        'the vendor\'s page of CreateCustomDomain, which says "All Resource"',
        needs_domain=True,
    ),
    Right(
        ("fc:GetCustomDomain", "fc:UpdateCustomDomain", "fc:DeleteCustomDomain"),
        ("acs:fc:*:*:custom-domains/{domain}",),
        "a deploy with s.domain.yaml reads and changes the domain; `s remove` deletes it",
        "requests of fc3 0.1.22",
        needs_domain=True,
    ),
)


def needed(variables: Mapping[str, str]) -> list[Right]:
    """Return the rights that s.yaml needs with these variables.

    With DOMAIN_NAME, the rights for s.domain.yaml are included. The rights name the account and
    the region as *, since this code does not know them.
    """
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
    """Return the rights in one short line."""
    return "; ".join(
        f"{', '.join(right.actions)} on {', '.join(right.resources)}" for right in rights
    )
