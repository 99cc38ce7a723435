"""Caller and wishes -> a page of the caller's own uploads. OSS is the record: nothing is kept here.

The prefix is the caller's whatever is asked for. A marker only says where in it to go on.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import keys
from callers import Caller
from errors import InvalidParameter, ListingRefused
from grants import folder
from oss_requests import MAX_KEYS, Object, ObjectHead, OssClient, Page
from settings import AccessKey, Settings

DEFAULT_LIMIT = 20
MAX_DETAILED = 20
"""With details each object is one request more, and all of it has 5 s."""


class Listing(NamedTuple):
    """What is asked for: at most `limit` (1 to 100) objects under a prefix after a key."""

    prefix: str
    after: str
    limit: int
    details: bool


def decide(caller: Caller, query: Mapping[str, str], settings: Settings) -> Listing:
    """Read the wishes `limit`, `marker` and `details` of a query; other names are ignored.

    Raises InvalidParameter; ListingRefused where all callers share one folder (AUTH=anonymous):
    a caller who may only write would see, and could report as their own, everybody's uploads.
    """
    if caller.segment is None:
        raise ListingRefused("AUTH=anonymous: callers share a folder, so no one's own can be told")
    prefix = folder(caller, settings)
    details = _flag(query, "details")
    most = MAX_DETAILED if details else MAX_KEYS
    after = _opened(prefix, query.get("marker", ""))
    return Listing(prefix, after, _limit(query, most), details)


def read(listing: Listing, client: OssClient, key: AccessKey, end: float) -> dict[str, object]:
    """Return a page, newest first within it. Raises what OssClient raises.

    `end` is a time.monotonic() value, in seconds.
    """
    page = client.list_objects(listing.prefix, listing.after, listing.limit, key, end)
    newest = sorted(page.objects, key=lambda found: found.last_modified, reverse=True)
    # Consoles make an empty object of the folder's own name.
    shown = [found for found in newest if found.key != listing.prefix]

    def head(found: Object) -> ObjectHead | None:
        return client.head(found.key, key, end) if listing.details else None

    answer: dict[str, object] = {
        "StatusCode": 200,
        "Prefix": listing.prefix,
        "Uploads": [_entry(found, head) for found in shown],
    }
    if page.is_truncated and page.objects:
        answer["Marker"] = _marker(page, listing.prefix)
    return answer


def _entry(found: Object, head: Callable[[Object], ObjectHead | None]) -> dict[str, object]:
    entry: dict[str, object] = {
        "Key": found.key,
        "Size": found.size,
        "LastModified": found.last_modified,
        "ETag": found.etag,
    }
    # None also where it was deleted since it was listed.
    details = head(found)
    if details is not None:
        entry["ContentType"] = details.content_type
    return entry


def _marker(page: Page, prefix: str) -> str:
    """The last key in OSS's order, without the prefix: it cannot say another."""
    last = page.objects[-1].key.removeprefix(prefix)
    return base64.urlsafe_b64encode(last.encode("utf-8")).decode().rstrip("=")


def _opened(prefix: str, marker: str) -> str:
    """The key to go on after: under the prefix whatever the marker says."""
    try:
        if not re.fullmatch("[A-Za-z0-9_-]{0,1400}", marker):
            raise ValueError
        key = prefix + base64.urlsafe_b64decode(marker + "=" * (-len(marker) % 4)).decode()
        if len(key.encode()) > keys.MAX_BYTES:
            raise ValueError
    except ValueError:
        raise InvalidParameter("marker", "must be the Marker of the page before") from None
    return key


def _limit(query: Mapping[str, str], most: int) -> int:
    text = query.get("limit", str(DEFAULT_LIMIT))
    if not re.fullmatch("[0-9]{1,4}", text) or not 1 <= int(text) <= most:
        raise InvalidParameter(
            "limit", f"must be a whole number, 1 to {MAX_KEYS}, with details to {MAX_DETAILED}"
        )
    return int(text)


def _flag(query: Mapping[str, str], name: str) -> bool:
    text = query.get(name, "0")
    if text not in ("0", "1"):
        raise InvalidParameter(name, "must be 0 or 1")
    return text == "1"
