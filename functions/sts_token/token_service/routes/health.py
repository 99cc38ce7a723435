"""`/health`: whether the configuration is sound. Anybody may ask; nothing secret is said."""

from __future__ import annotations

from collections.abc import Sequence

from token_service import __version__, faults, warnings
from token_service.errors import Misconfiguration
from token_service.grant import grants, permissions
from token_service.http.messages import Request
from token_service.instance import Instance
from token_service.login.callers import ANONYMOUS, named
from token_service.request_log import Record

MAX_WARNINGS = 10


class Misconfigurations(Misconfiguration):
    """Raised for all that is wrong with the environment; more than one are in `Faults` as well."""

    def __init__(self, faults: Sequence[Misconfiguration]) -> None:
        super().__init__(faults[0].variable, "")
        self.message = "; ".join(fault.message for fault in faults)
        if len(faults) > 1:
            self.members = {"Faults": [fault.message for fault in faults]}


def answer(request: Request, at: Instance, record: Record) -> dict[str, object]:  # noqa: ARG001
    """Say OK, version, the function's own host of OSS, at most 10 warnings. Raises ServiceError."""
    check(at)
    return {
        "StatusCode": 200,
        "Status": "OK",
        "Version": __version__,
        "OssHost": at.settings.oss_internal_endpoint.authority,
        "Warnings": warnings.of(at.settings)[:MAX_WARNINGS],
    }


def check(at: Instance) -> None:
    """Raise ServiceError for what is wrong with the environment, as far as STS is not asked. Of
    variables, all that is wrong at once."""
    found = faults.examine(at.env).faults
    if found:
        raise Misconfigurations(found)
    somebody = named("somebody") if at.settings.auth.names_callers else ANONYMOUS
    for name in at.settings.policy_choices:
        policy = at.policies.render(grants.decide(somebody, {"policy": name}, at.settings))
        permissions.check(policy)
