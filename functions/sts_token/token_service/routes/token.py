"""`/` and `/sts`: a token."""

from __future__ import annotations

from token_service.grant import grants
from token_service.http.messages import ANSWER_SECONDS, Request
from token_service.instance import Instance
from token_service.request_log import Record
from token_service.token.answer import token


def answer(request: Request, at: Instance, record: Record) -> dict[str, object]:
    """Request -> Caller -> Grant -> policy -> Credentials -> token."""
    end = at.end(ANSWER_SECONDS)
    grant = at.grant(request, record, grants.read_wishes(request))
    if at.settings.has_callbacks:
        from token_service.routes.callback_of import callback_of, callback_settings

        at.get(callback_settings)  # Wrong settings must fail before STS is called.
    credentials = at.credentials(grant, record, end)
    scope = None
    if at.settings.has_callbacks:
        callback = callback_of(grant, credentials.expires, at)
        scope = callback.scope() if callback else None
    return token(credentials, grant, at.settings, scope)
