"""`/signed-url`: a URL for one method on one object."""

from __future__ import annotations

import time

from token_service.grant import grants, wish_names
from token_service.http.messages import ANSWER_SECONDS, Request
from token_service.instance import Instance
from token_service.request_log import Record
from token_service.routes.callback_of import callback_of
from token_service.routes.signing_rights import read_limits, require
from token_service.settings.values import AccessKey
from token_service.signing import signed_urls
from token_service.token.refusals import StsInvalidAnswer


def answer(request: Request, at: Instance, record: Record) -> dict[str, object]:
    """Sign an upload with the function's own key, and a download with the caller's session."""
    end = at.end(ANSWER_SECONDS)
    wishes = grants.read_wishes(request, wish_names.SIGNED_URL)
    grant = at.grant(request, record, wishes)
    key = at.access_key()
    wish = signed_urls.read_wish(wishes, at.get(read_limits), key, grant.login)
    require(signed_urls.ACTIONS[wish.method], grant, at)
    now = time.time()
    more_query = {}
    if wish.method == "PUT":
        callback = callback_of(grant, int(now) + wish.seconds, at, wishes)
        more_query = callback.query() if callback else {}
    else:
        # OSS follows a symbolic link with the signer's rights. With our own key, a link could
        # lead to another caller's object. The caller's credentials cannot read such an object. Any
        # stored object may be a link, so the caller's credentials sign every download.
        whole = grant._replace(object_key=None, seconds=at.settings.max_token_seconds)
        credentials = at.credentials(whole, record, end)
        key = AccessKey(*credentials[:3])
        seconds = credentials.expires - int(now)
        if seconds < 1:
            raise StsInvalidAnswer("the session has ended already, or this clock is wrong")
        # The URL is valid only until its session ends, which may be before the wished time.
        wish = wish._replace(seconds=min(wish.seconds, seconds))
    return signed_urls.signed_url(grant, wish, at.settings, key, now, more_query)
