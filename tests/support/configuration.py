"""Reads the settings from an environment as the function does, for tests of several modules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from token_service.callback import parameters
from token_service.callback.parameters import CallbackSettings
from token_service.login.jwt import Jwt
from token_service.login.logins import Logins
from token_service.settings.parsing import Reader
from token_service.settings.reading import Settings, read_settings
from token_service.signing import limits
from token_service.signing.limits import Limits

SOUND = {
    "ROLE_ARN": "acs:ram::1:role/upload",
    "BUCKET_NAME": "my-bucket",
    "OSS_REGION": "cn-hangzhou",
}
"""The minimal variables of a deployment, without the variables that verify logins."""


class Configuration(NamedTuple):
    """The settings of all rooms."""

    settings: Settings
    limits: Limits
    callback: CallbackSettings | None


def configuration(env: Mapping[str, str]) -> Configuration:
    """Read the settings as the routes do. Raises Misconfiguration for the first fault."""
    settings = read_settings(env)
    reader = Reader(env)
    callback = parameters.read(reader) if settings.has_callbacks else None
    return Configuration(settings, limits.read(reader), callback)


def jwt_settings(env: Mapping[str, str]) -> Jwt:
    """The settings of AUTH=jwt."""
    auth = read_settings(env).auth
    assert isinstance(auth, Jwt)
    return auth


def logins_of(**variables: str) -> Logins:
    """The verifier that a deployment with these variables has. Raises Misconfiguration."""
    env = {**SOUND, **variables}
    return Logins(jwt_settings(env), env)
