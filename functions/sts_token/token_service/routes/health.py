"""`/health`: whether the configuration is sound. Anybody may ask; nothing secret is said."""

from __future__ import annotations

import os
from importlib.util import cache_from_source

from token_service import __version__, faults, instance, warnings
from token_service.grant import grants, permissions
from token_service.login.callers import ANONYMOUS, named

MAX_WARNINGS = 10  # of one answer; ours to choose


def answer(request: object, at: instance.Instance, record: object) -> dict[str, object]:  # noqa: ARG001
    """Say OK, version, own host of OSS, byte code or none, 10 warnings or less; or ServiceError."""
    check(at)
    return {
        "StatusCode": 200,
        "Status": "OK",
        "Version": __version__,
        "OssHost": at.settings.oss_internal_endpoint.authority,
        "ByteCode": os.path.isfile(cache_from_source(instance.__file__)),
        "Warnings": warnings.of(at.settings, at.policies, at.env)[:MAX_WARNINGS],
    }


def check(at: instance.Instance) -> None:
    """Raise ServiceError for what is wrong with the environment, as far as STS is not asked. Of
    variables, all that is wrong at once: more than one are in `Faults` as well."""
    if found := faults.examine(at.env).faults:
        error, texts = found[0], [fault.message for fault in found]
        if len(found) > 1:
            error.message, error.members = "; ".join(texts), {"Faults": texts}
        raise error
    somebody = named("somebody") if at.settings.auth.names_callers else ANONYMOUS
    for name in at.settings.policy_choices:
        policy = at.policies.render(grants.decide(somebody, {"policy": name}, at.settings))
        permissions.check(policy)
