"""Decides whether a request is allowed: by RAM policies, and by ACLs that open objects to
everybody.

sandbox/ram.py evaluates policies. Without an Allow or an open ACL a request is denied.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from sandbox import refusals
from sandbox.identities import Identity
from sandbox.oss.call import Call, Need, Site
from sandbox.oss.errors import OssError, access_denied
from sandbox.ram import Access

_BY_ACL = "You have no right to access this object because of bucket acl."
# The actions that each ACL allows everybody, with or without a signature (vendor documentation).
_OPEN_TO_ALL = {
    "public-read": {"oss:GetObject"},
    "public-read-write": {"oss:GetObject", "oss:PutObject"},
}


def authorize(call: Call, needs: Iterable[Need], site: Site) -> None:
    """Raise AccessDenied if an access of the call is not allowed.

    The object is looked up only to read its own ACL. If there is no object, the ACL of the bucket
    decides, as for an object without its own ACL. Therefore a refusal does not reveal whether an
    object exists.
    """
    for need in needs:
        refusal = _refusal(call, call.identity, need, site)
        if refusal is not None and not _is_open(need, site):
            raise refusal


def _refusal(call: Call, identity: Identity | None, need: Need, site: Site) -> OssError | None:
    resource = need.resource(site.identities.account_id)
    if identity is None:
        error = access_denied(_BY_ACL)
        error.refusal = refusals.of_nobody(need.action, resource)
        return error
    context = {
        "acs:AccessId": identity.access_key_id,
        "acs:CurrentTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(site.clock())),
        "acs:SecureTransport": "false",
        "acs:SourceIp": call.client,
        "acs:UserAgent": call.headers.get("user-agent", ""),
        **need.context,
    }
    access = Access(need.action, resource, context)
    decision = identity.decide(access)
    if decision.allowed:
        return None
    by_session = decision.policy_type == "SessionPolicy"
    # As in the real OSS, this tells an operator which policy refused the request.
    detail = {
        "PolicyType": decision.policy_type,
        "AuthAction": need.action,
        "NoPermissionType": decision.no_permission_type,
        "AuthPrincipalDisplayName": identity.arn,
    }
    message, ec = (
        ("Access denied by authorizer's policy.", "0003-00000301")
        if by_session
        else (_BY_ACL, "0003-00000001")
    )
    return OssError(
        403,
        "AccessDenied",
        message,
        ec,
        details={"AccessDeniedDetail": detail},
        refusal=refusals.of(identity, access, decision),
    )


def _is_open(need: Need, site: Site) -> bool:
    if not need.target.key:
        return False
    bucket = site.storage.bucket(need.target.bucket)
    found = site.storage.find(need.target.bucket, need.target.key)
    acl = found.acl if found is not None else "default"
    if acl == "default" and bucket is not None:
        acl = bucket.acl
    return need.action in _OPEN_TO_ALL.get(acl, ())
