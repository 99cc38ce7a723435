"""Used by routes that sign. Refuses what a token would not allow, and applies the rate limit."""

from __future__ import annotations

from token_service.grant import permissions
from token_service.grant.grants import Grant
from token_service.instance import Instance
from token_service.login.rate_limit import RateLimit
from token_service.settings.parsing import Reader
from token_service.signing import limits
from token_service.signing.limits import Limits


def require(action: str, grant: Grant, at: Instance, number: int = 1) -> None:
    """Refuse an action that a token of the grant does not allow, although the function's own key
    can do it. Count `number` signatures for the rate limit. Raises NotAllowed or RateLimited."""
    # The policy of the prefix is rendered once for each caller, not for each object.
    policy = at.policies.render(grant._replace(object_key=None))
    keys = grant.object_key or f"{grant.prefix}*"
    account = at.settings.role_arn.split(":")[3]
    permissions.require(policy, action, account, f"{grant.bucket}/{keys}")
    at.get(_urls_limit).take(grant.session_name, number)


def read_limits(at: Instance) -> Limits:
    """Read the operator's limits, for Instance.get."""
    return limits.read(Reader(at.env))


def _urls_limit(at: Instance) -> RateLimit:
    limit = at.settings.caller_urls_per_minute
    return RateLimit(limit, "signed URLs and forms", "CALLER_URLS_PER_MINUTE")
