"""`/health`: whether the configuration is valid. Anyone may ask; the answer has no secrets."""

from __future__ import annotations

import os
from importlib.util import cache_from_source

from token_service import __version__, faults, instance, warnings
from token_service.grant import grants, permissions
from token_service.login.callers import ANONYMOUS, named

MAX_WARNINGS = 10  # in one answer; our own choice


def answer(request: object, at: instance.Instance, record: object) -> dict[str, object]:  # noqa: ARG001
    """Answer OK, the version, OSS's host, whether there is byte code, and at most 10 warnings."""
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
    """Raise ServiceError if the environment has faults that can be found without calling STS. The
    message names all faults of variables. If there are several, `Faults` lists them as well."""
    if found := faults.examine(at.env).faults:
        error, texts = found[0], [fault.message for fault in found]
        if len(found) > 1:
            error.message, error.members = "; ".join(texts), {"Faults": texts}
        raise error
    somebody = named("somebody") if at.settings.auth.names_callers else ANONYMOUS
    for name in at.settings.policy_choices:
        policy = at.policies.render(grants.decide(somebody, {"policy": name}, at.settings))
        permissions.check(policy)
