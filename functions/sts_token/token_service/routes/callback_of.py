"""What the routes that open an upload put along: the callback of the grant."""

from __future__ import annotations

from token_service.callback import parameters
from token_service.callback.parameters import CallbackParameters, CallbackSettings
from token_service.grant.grants import Grant
from token_service.instance import Instance
from token_service.settings.parsing import Reader
from token_service.settings.variables import CALLBACK_SECRET


def callback_of(grant: Grant, expires: int, at: Instance) -> CallbackParameters | None:
    """What goes with a grant until `expires` (unix seconds), None without CALLBACK_URL."""
    settings = at.get(callback_settings)
    if settings is None:
        return None
    secrets = Reader(at.env).read(CALLBACK_SECRET)
    return parameters.callback_parameters(grant, expires, settings, secrets)


def callback_settings(at: Instance) -> CallbackSettings | None:
    """Where OSS calls back, None without CALLBACK_URL; for Instance.get."""
    return parameters.read(Reader(at.env)) if at.settings.has_callbacks else None
