"""Settings for tools that look at a part of the configuration: the rest need not be there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from token_service import faults
from token_service.settings.reading import Settings
from token_service.settings.values import Endpoint

_MAINLAND = ("cn-", "rg-china-mainland")
"""How the ids of its regions begin; that of Hong Kong begins so too."""


def settings_of(env: Mapping[str, str], needed: Sequence[str], optional: Sequence[str]) -> Settings:
    """Read the settings from these variables of `env` alone, whatever else is set or wrong.

    Raises Misconfiguration for the first one that is wrong, or missing though needed.
    """
    asked = (*needed, *optional)
    examined = faults.examine({name: env[name] for name in asked if name in env})
    for fault in examined.faults:
        is_set = fault.variable in optional and env.get(fault.variable)
        if fault.variable in needed or is_set:
            raise fault
    return examined.settings


def is_public_in_mainland(endpoint: Endpoint, region: str) -> bool:
    """Whether OSS refuses data calls there to who began to use it on 2025-03-20 or later."""
    is_mainland = region.startswith(_MAINLAND) and region != "cn-hongkong"
    return is_mainland and endpoint.host.endswith(".aliyuncs.com")
