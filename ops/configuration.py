"""Settings for tools that need only a part of the configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from token_service import faults
from token_service.settings.reading import Settings
from token_service.settings.values import Endpoint

_MAINLAND = ("cn-", "rg-china-mainland")
"""The beginning of the ids of its regions; the id of Hong Kong begins in the same way."""


def settings_of(env: Mapping[str, str], needed: Sequence[str], optional: Sequence[str]) -> Settings:
    """Read the settings only from these variables of `env`, whatever else is set or wrong.

    Raises Misconfiguration for the first one that is wrong, or is needed but missing.
    """
    asked = (*needed, *optional)
    examined = faults.examine({name: env[name] for name in asked if name in env})
    for fault in examined.faults:
        is_set = fault.variable in optional and env.get(fault.variable)
        if fault.variable in needed or is_set:
            raise fault
    return examined.settings


def is_public_in_mainland(endpoint: Endpoint, region: str) -> bool:
    """Whether OSS refuses data calls there to accounts that began to use OSS since 2025-03-20."""
    is_mainland = region.startswith(_MAINLAND) and region != "cn-hongkong"
    return is_mainland and endpoint.host.endswith(".aliyuncs.com")
