"""Caller and wishes -> a page of the caller's own uploads. OSS lists uploads; we store no list.

The prefix is always the caller's own. A marker cannot change it, and only says where a page begins.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from token_service import base64url, warnings
from token_service.errors import ServiceError
from token_service.grant import object_keys, wish_names
from token_service.grant.grants import folder
from token_service.grant.permissions import READERS
from token_service.grant.refusals import InvalidParameter, whole_wish
from token_service.http.messages import ANSWER_SECONDS, Request
from token_service.instance import Instance
from token_service.login.callers import Caller
from token_service.login.rate_limit import RateLimit
from token_service.oss_client import MAX_KEYS, Object, ObjectHead, OssClient, Page, oss_of
from token_service.request_log import Record
from token_service.settings.reading import Settings
from token_service.settings.values import AccessKey

LISTINGS_PER_MINUTE = 60
"""The rate limit of one caller. A listing asks OSS once, or up to 21 times with details."""
DEFAULT_LIMIT = "20"
"""Objects on a page, if the caller sends no limit."""
MAX_DETAILED = 20
"""Objects on a page with details. Each object costs a request to OSS; all must end within 5 s."""


class ListingRefused(ServiceError):
    """Raised if all callers share a folder and the policy does not let everybody list it."""

    status = 403
    code = "ListingRefused"


class Listing(NamedTuple):
    """The requested page: at most `limit` (1 to 100) objects under a prefix, after a key."""

    prefix: str
    after: str
    limit: int
    details: bool


def answer(request: Request, at: Instance, record: Record) -> dict[str, object]:
    """List the caller's own folder, with the function's own key. In a shared folder
    (AUTH=anonymous) a caller who may only write would see everybody's uploads, and could report
    them as their own. So the folder is listed only if the policy lets everybody list it."""
    end = at.end(ANSWER_SECONDS)
    caller = at.caller(request, record)
    listing = decide(caller, request.query, at.settings)
    is_own = caller.segment is not None
    if not is_own and not warnings.is_listed(at.settings, at.policies, listing.details):
        raise ListingRefused(
            "with AUTH=anonymous all callers share one folder, so one caller's uploads cannot be "
            f"listed separately. To let everybody list the folder, set POLICY_FILE to {READERS}"
        )
    at.get(_listings_limit).take(caller.session_name)
    return read(listing, at.get(oss_of), at.access_key(), end)


def _listings_limit(_at: Instance) -> RateLimit:
    return RateLimit(LISTINGS_PER_MINUTE, "listings", None)


def decide(caller: Caller, query: Mapping[str, str], settings: Settings) -> Listing:
    """Read the wishes `limit`, `marker` and `details` of a query. Raises InvalidParameter."""
    wish_names.check(query, wish_names.UPLOADS)
    prefix = folder(caller, settings)
    details = query.get("details", "0")
    if details not in ("0", "1"):
        raise InvalidParameter("details", "must be 0 or 1")
    most = MAX_DETAILED if details == "1" else MAX_KEYS
    after = _opened(prefix, query.get("marker", ""))
    limit = whole_wish("limit", query.get("limit", DEFAULT_LIMIT), "numbers of objects", 1, most)
    return Listing(prefix, after, limit, details == "1")


def read(listing: Listing, client: OssClient, key: AccessKey, end: float) -> dict[str, object]:
    """Return a page, its newest object first. Raises the errors of OssClient. `end` is a
    time.monotonic() value, in seconds."""
    page = client.list_objects(listing.prefix, listing.after, listing.limit, key, end)
    newest = sorted(page.objects, key=lambda found: found.last_modified, reverse=True)
    # Consoles create an empty object with the folder's own name.
    shown = [found for found in newest if found.key != listing.prefix]
    answer: dict[str, object] = {
        "StatusCode": 200,
        "Prefix": listing.prefix,
        "Uploads": [
            _entry(found, client.head(found.key, key, end) if listing.details else None)
            for found in shown
        ],
    }
    if page.is_truncated and page.objects:
        answer["Marker"] = _marker(page, listing.prefix)
    return answer


def _entry(found: Object, details: ObjectHead | None) -> dict[str, object]:
    return {
        "Key": found.key,
        "Size": found.size,
        "LastModified": found.last_modified,
        "ETag": found.etag,
        # `details` is None also if the object was deleted after the listing.
        **({} if details is None else {"ContentType": details.content_type}),
    }


def _marker(page: Page, prefix: str) -> str:
    """Return the last key in OSS's order, relative to the prefix. It cannot name another folder."""
    last = page.objects[-1].key.removeprefix(prefix)
    return base64url.encode(last.encode("utf-8"))


def _opened(prefix: str, marker: str) -> str:
    """Return the key after which the page begins. Any valid marker gives a key under the prefix."""
    try:
        if not re.fullmatch("[A-Za-z0-9_-]{0,1400}", marker):
            raise ValueError
        key = prefix + base64url.decode(marker).decode()
        if len(key.encode()) > object_keys.MAX_BYTES:
            raise ValueError
    except ValueError:
        raise InvalidParameter("marker", "must be the Marker of the previous page") from None
    return key
