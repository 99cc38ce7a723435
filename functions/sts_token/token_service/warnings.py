"""Warnings of allowed but unwise settings: once in the log, and in each answer of /health."""

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
    "UPLOAD_MAX_BYTES and UPLOAD_CONTENT_TYPES do not limit tokens. For tokens, OVERWRITE=no needs "
    "a bucket rule. So leave token out of ENABLED_ROUTES. Until then a signed PUT may have any size"
)
LISTED = "POLICY_FILE allows listing, so anyone who knows the URL sees everybody's uploads"
APPS = "ALLOWED_ORIGINS has an app's scheme. Any app can use this scheme, so it identifies no app"


def of(settings: Settings, policies: Policies, env: Mapping[str, str]) -> list[str]:
    """Return the warnings. Anyone can read the warnings, so they never quote a variable's value."""
    found = []
    if not settings.auth.names_callers:
        found.append(
            "AUTH=anonymous: anyone who knows the URL gets a token for all of OBJECT_PREFIX"
        )
        if is_listed(settings, policies):
            found.append(LISTED)
        origins = texts(env.get(ALLOWED_ORIGINS.name, ""))
        if not all(origin.startswith(("https://", "http://", "*")) for origin in origins):
            found.append(APPS)
    elif not settings.caller_tokens_per_minute:
        found.append(
            "CALLER_TOKENS_PER_MINUTE=0: one caller can use up the STS calls of the whole account"
        )
    if settings.has_unbound_tokens:
        found.append(UNBOUND)
    if "all_policy" in settings.policy_choices:
        found.append("all_policy: tokens may do all that the upload role may do, in every folder")
    return found


def is_listed(settings: Settings, policies: Policies, with_details: bool = False) -> bool:
    """Whether the default policy lets an anonymous caller list the shared folder, and also read it
    if `with_details` is true. False for a policy that this code does not understand."""
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
    """Log the warnings."""
    for text in of(settings, policies, env):
        log.warning("%s", text)
