"""Reads the settings for tools that need only some of the function's variables. Faults in other
variables are ignored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from token_service import faults
from token_service.settings.reading import Settings
from token_service.settings.values import Endpoint

_MAINLAND = ("cn-", "rg-china-mainland")
"""The beginnings of region ids in mainland China. Hong Kong's id begins with "cn-", too."""


def settings_of(env: Mapping[str, str], needed: Sequence[str], optional: Sequence[str]) -> Settings:
    """Read the settings only from these variables of `env`, and ignore all others.

    Raises Misconfiguration for the first variable that is wrong, or that is needed but missing.
    """
    asked = (*needed, *optional)
    examined = faults.examine({name: env[name] for name in asked if name in env})
    for fault in examined.faults:
        is_set = fault.variable in optional and env.get(fault.variable)
        if fault.variable in needed or is_set:
            raise fault
    return examined.settings


def is_public_in_mainland(endpoint: Endpoint, region: str) -> bool:
    """Whether OSS refuses data calls at this endpoint for accounts that began to use OSS on
    2025-03-20 or later."""
    is_mainland = region.startswith(_MAINLAND) and region != "cn-hongkong"
    return is_mainland and endpoint.host.endswith(".aliyuncs.com")
