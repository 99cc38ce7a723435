"""Finds all faults of an environment at once. read_settings() stops at the first fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from token_service.callback import parameters
from token_service.errors import Misconfiguration
from token_service.settings import reading
from token_service.settings import variables as v
from token_service.settings.parsing import Reader, Variable
from token_service.settings.reading import Settings
from token_service.signing import limits

_SOUND = {
    v.ROLE_ARN.name: "acs:ram::1:role/sound",
    v.BUCKET_NAME.name: "sound",
    v.OSS_REGION.name: "cn-hangzhou",
    "FC_REGION": "cn-hangzhou",
    v.CALLBACK_URL.name: "https://sound.example/callback",
}
"""Valid values for variables that are missing or wrong. With these values, all other variables can
be read. For a secret or a key, any 32 characters are valid."""


class _Collector(Reader):
    """Keeps the first fault of each variable, and does not raise it."""

    def __init__(self, env: Mapping[str, str]) -> None:
        super().__init__(env)
        self.found: dict[str, Misconfiguration] = {}

    def read(self, variable: Variable) -> Any:
        try:
            return super().read(variable)
        except Misconfiguration as fault:
            self.found.setdefault(variable.name, fault)
            return variable.parse(_SOUND.get(variable.name) or variable.default or "s" * 32)

    def optional(self, variable: Variable, other: Any, least: int | None = None) -> Any:
        try:
            return super().optional(variable, other, least)
        except Misconfiguration as fault:
            self.found.setdefault(variable.name, fault)
            return other

    def fault(self, variable: Variable, message: str) -> None:
        # If a variable was replaced by a value of _SOUND, an endpoint may have been compared with
        # the value of _SOUND. The fault of the endpoint may then be false, so it is not kept.
        if "ENDPOINT" not in variable.name or self.found.keys().isdisjoint(_SOUND):
            self.found.setdefault(variable.name, Misconfiguration(variable.name, message))


class Examined(NamedTuple):
    """All faults, in the order of the catalogue. Their messages hold no values. In `settings`,
    valid values replace those that are missing or wrong."""

    faults: tuple[Misconfiguration, ...]
    settings: Settings


def examine(env: Mapping[str, str], *, with_credentials: bool = True) -> Examined:
    """Read everything. Never raises."""
    reader = _Collector(env)
    settings = reading.read(reader)
    limits.read(reader)
    for variable in (v.MULTIPART_SECRET, v.ALLOWED_ORIGINS, v.ALLOWED_HEADERS):
        reader.optional(variable, ())
    if settings.has_callbacks:
        parameters.read(reader)
    if with_credentials:
        reading.read_access_key(reader)
    order = {variable.name: place for place, variable in enumerate(v.VARIABLES)}
    found = sorted(reader.found.values(), key=lambda fault: order.get(fault.variable, 0))
    return Examined(tuple(found), settings)
