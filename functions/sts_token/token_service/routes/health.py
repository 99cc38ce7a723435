"""`/health`: whether the configuration is sound. Anybody may ask; nothing secret is said."""

from __future__ import annotations

from token_service import __version__, faults, warnings
from token_service.grant import grants, permissions
from token_service.http.messages import Request
from token_service.instance import Instance
from token_service.login.callers import ANONYMOUS, named
from token_service.request_log import Record

MAX_WARNINGS = 10


def answer(request: Request, at: Instance, record: Record) -> dict[str, object]:  # noqa: ARG001
    """Say OK, version, the function's own host of OSS, at most 10 warnings. Raises ServiceError."""
    check(at)
    return {
        "StatusCode": 200,
        "Status": "OK",
        "Version": __version__,
        "OssHost": at.settings.oss_internal_endpoint.authority,
        "Warnings": warnings.of(at.settings, at.policies)[:MAX_WARNINGS],
    }


def check(at: Instance) -> None:
    """Raise ServiceError for what is wrong with the environment, as far as STS is not asked. Of
    variables, all that is wrong at once: more than one are in `Faults` as well."""
    found = faults.examine(at.env).faults
    if found:
        error, texts = found[0], [fault.message for fault in found]
        if len(found) > 1:
            error.message, error.members = "; ".join(texts), {"Faults": texts}
        raise error
    somebody = named("somebody") if at.settings.auth.names_callers else ANONYMOUS
    for name in at.settings.policy_choices:
        policy = at.policies.render(grants.decide(somebody, {"policy": name}, at.settings))
        permissions.check(policy)
