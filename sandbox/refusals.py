"""Refused actions, and the policies that refused them. Only the sandbox's user sees these refusals.
Clients do not see them."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.identities import Decision, Identity
from sandbox.ram import Access

ACL = "ACL"
"""The policy type in the refusal of an unsigned request. Only an ACL could have allowed such a
request."""


@dataclass(frozen=True)
class Refusal:
    """One refused action.

    `action` and `resource` mean the same as in ram.Access. `policy_type` is the policy type in
    identities.Decision, or "ACL". `reason` is the no_permission_type in identities.Decision.
    `policy` describes the policy in words. `prefix` is the prefix of a listing, and None for other
    actions.
    """

    action: str
    resource: str
    policy_type: str
    policy: str
    reason: str
    prefix: str | None = None

    def __str__(self) -> str:
        verb = "denied" if self.reason == "ExplicitDeny" else "not allowed"
        prefix = "" if self.prefix is None else f" with oss:Prefix={self.prefix}"
        return f"{self.action} on {self.resource}{prefix} is {verb} by {self.policy}"


def of(identity: Identity, access: Access, decision: Decision, policy_name: str = "") -> Refusal:
    """The refusal of a negative decision. `policy_name` names the session policy, if it is
    known."""
    return Refusal(
        access.action,
        access.resource,
        decision.policy_type,
        _whose(identity, decision, policy_name),
        decision.no_permission_type,
        access.context.get("oss:Prefix"),
    )


def of_nobody(action: str, resource: str) -> Refusal:
    """The refusal of an unsigned request."""
    whose = "the ACL of the bucket or the object (the request is not signed)"
    return Refusal(action, resource, ACL, whose, "ImplicitDeny")


def _whose(identity: Identity, decision: Decision, policy_name: str) -> str:
    if decision.policy_type == "SessionPolicy":
        return "the session policy of the token" + (f" ({policy_name})" if policy_name else "")
    kind, _, name = identity.arn.split(":", 4)[4].partition("/")
    if kind == "role":
        return f"the policies of the upload role ({name.partition('/')[0]})"
    return f"the policies of the function's key ({kind} {name})"
