"""`/form`: an upload from a browser or a mini program."""

from __future__ import annotations

import time

from token_service.grant import grants, wish_names
from token_service.http.messages import Request
from token_service.instance import Instance
from token_service.request_log import Record
from token_service.routes.callback_of import callback_of
from token_service.routes.signing_rights import read_limits, require
from token_service.signing import forms


def answer(request: Request, at: Instance, record: Record) -> dict[str, object]:
    """Sign a form with the function's own key."""
    wishes = grants.read_wishes(request, wish_names.FORM)
    grant = at.grant(request, record, wishes)
    key = at.access_key()
    wish = forms.read_wish(wishes, at.get(read_limits), key, grant.login)
    require(forms.ACTION, grant, at)
    now = time.time()
    callback = callback_of(grant, int(now) + wish.seconds, at, wishes)
    more_fields = callback.form_fields() if callback else {}
    return forms.signed_form(grant, wish, at.settings, key, now, more_fields)
