"""What is allowed and unwise: the log says it once, /health at each call."""

from __future__ import annotations

from collections.abc import Mapping

from token_service.errors import ServiceError
from token_service.grant import grants, permissions
from token_service.grant.policies import Policies
from token_service.login.callers import ANONYMOUS
from token_service.request_log import log
from token_service.settings.parsing import texts
from token_service.settings.reading import Settings
from token_service.settings.variables import ALLOWED_ORIGINS

UNBOUND = (
    "UPLOAD_MAX_BYTES and UPLOAD_CONTENT_TYPES do not bind tokens, OVERWRITE=no by a bucket's rule "
    "only, and a signed PUT may be of any size: leave token out of ENABLED_ROUTES"
)
LISTED = "POLICY_FILE lets list: whoever knows the URL sees everybody's uploads"
APPS = "ALLOWED_ORIGINS has an app's scheme, which any app can use: it identifies nobody"


def of(settings: Settings, policies: Policies, env: Mapping[str, str]) -> list[str]:
    """Return the warnings, a sentence each. Strangers read them: no value is in them."""
    found = []
    if not settings.auth.names_callers:
        found.append(
            "AUTH=anonymous: whoever knows the URL gets a token for everything under OBJECT_PREFIX"
        )
        if is_listed(settings, policies):
            found.append(LISTED)
        origins = texts(env.get(ALLOWED_ORIGINS.name, ""))
        if not all(origin.startswith(("https://", "http://", "*")) for origin in origins):
            found.append(APPS)
    elif not settings.caller_tokens_per_minute:
        found.append(
            "CALLER_TOKENS_PER_MINUTE=0: one caller can spend the STS calls of the whole account"
        )
    if settings.has_unbound_tokens:
        found.append(UNBOUND)
    if "all_policy" in settings.policy_choices:
        found.append("all_policy: tokens may do whatever the upload role may, in every folder")
    return found


def is_listed(settings: Settings, policies: Policies, with_details: bool = False) -> bool:
    """Whether, where callers have no names, the policy of one who wishes for none lets list the
    folder that all share, and read it `with_details`. What is not understood does not."""
    grant = grants.decide(ANONYMOUS, {}, settings)
    account, names = settings.role_arn.split(":")[3], f"{grant.prefix}*"
    try:
        policy = policies.render(grant)
        path = f"{grant.bucket}/{names}"
        if with_details and not permissions.allows(policy, "oss:GetObject", account, path):
            return False
        return permissions.allows(policy, "oss:ListObjects", account, grant.bucket, names)
    except ServiceError:
        return False


def write(settings: Settings, policies: Policies, env: Mapping[str, str]) -> None:
    """Write them into the log."""
    for text in of(settings, policies, env):
        log.warning("%s", text)
