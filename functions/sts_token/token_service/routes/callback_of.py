"""Makes the callback of a grant. The routes that allow an upload use it."""

from __future__ import annotations

from collections.abc import Mapping

from token_service.callback import parameters
from token_service.callback.parameters import CallbackParameters, CallbackSettings
from token_service.errors import NONE
from token_service.grant.grants import Grant
from token_service.grant.refusals import InvalidParameter
from token_service.grant.wish_names import OWN_VARIABLES
from token_service.instance import Instance
from token_service.settings.parsing import Reader
from token_service.settings.variables import CALLBACK_SECRET


def callback_of(
    grant: Grant, expires: int, at: Instance, wishes: Mapping[str, str] = NONE
) -> CallbackParameters | None:
    """Return the callback of a grant, valid until `expires` (unix seconds), or None if there is no
    CALLBACK_URL. Raises InvalidParameter if the app's own variables are malformed, too long, or
    sent without a callback."""
    settings, wish, own = at.get(callback_settings), wishes.get(OWN_VARIABLES, ""), ""
    if settings is None:
        if wish:
            raise InvalidParameter(OWN_VARIABLES, "callbacks are not configured", "CALLBACK_URL")
        return None
    if wish:
        from token_service.callback import variables

        own = variables.wished(wish)
    secrets = Reader(at.env).read(CALLBACK_SECRET)
    made = parameters.callback_parameters(grant, expires, settings, secrets, own)
    if own and len(made.form_fields()["callback"]) > parameters.MAX_BYTES:
        raise InvalidParameter(OWN_VARIABLES, "must be shorter, because the object name is long")
    return made


def callback_settings(at: Instance) -> CallbackSettings | None:
    """Read the settings of callbacks. Instance.get calls this. Return None without CALLBACK_URL."""
    return parameters.read(Reader(at.env)) if at.settings.has_callbacks else None
