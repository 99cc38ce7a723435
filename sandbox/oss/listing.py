"""ListObjects (V1) and ListObjectsV2: keys in the order of their bytes, grouped by a delimiter."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.responses import Response

from sandbox.oss.call import Call, Site
from sandbox.oss.errors import invalid_argument
from sandbox.oss.responses import document, iso_date
from sandbox.oss.storage import ObjectInfo, Storage, successor
from sandbox.oss.xml import KeyWriter, key_writer

DEFAULT_KEYS = 100  # entries of a page if max-keys is not given (vendor documentation)
MAX_KEYS = 1000  # maximum entries of a page (vendor documentation)


@dataclass(frozen=True)
class _Page:
    objects: list[ObjectInfo]
    prefixes: list[str]
    # The last key or common prefix of this page, if there are more pages.
    next: str | None


def list_objects(call: Call, site: Site) -> Response:
    """ListObjects: return one page. It begins after `marker`."""
    write = key_writer(call.query, lists=True)
    limit = max_keys(call.query, "max-keys")
    marker = call.query.get("marker", "")
    page = _page(site.storage, call, marker, limit)
    content: list[tuple[str, object]] = [
        ("Name", call.bucket),
        ("Prefix", write(call.query.get("prefix", ""))),
        ("Marker", write(marker)),
        ("MaxKeys", limit),
        ("Delimiter", write(call.query.get("delimiter", ""))),
        *write.element(),
        ("IsTruncated", "false" if page.next is None else "true"),
    ]
    if page.next is not None:
        content.append(("NextMarker", write(page.next)))
    return _answer(content, page, write, owner=site.identities.account_id)


def list_objects_v2(call: Call, site: Site) -> Response:
    """ListObjectsV2: return one page. The page begins at an opaque continuation token, or after
    `start-after`."""
    write = key_writer(call.query, lists=True)
    limit = max_keys(call.query, "max-keys")
    # oss2 sends an empty token for the first page.
    token = call.query.get("continuation-token", "")
    start_after = call.query.get("start-after", "")
    page = _page(site.storage, call, _opened(token) if token else start_after, limit)
    content: list[tuple[str, object]] = [
        ("Name", call.bucket),
        ("Prefix", write(call.query.get("prefix", ""))),
        ("StartAfter", write(start_after)),
        ("MaxKeys", limit),
        ("Delimiter", write(call.query.get("delimiter", ""))),
        *write.element(),
        ("IsTruncated", "false" if page.next is None else "true"),
        ("KeyCount", len(page.objects) + len(page.prefixes)),
    ]
    if token:
        content.append(("ContinuationToken", token))
    if page.next is not None:
        content.append(("NextContinuationToken", _sealed(page.next)))
    wants_owner = call.query.get("fetch-owner") == "true"
    return _answer(content, page, write, owner=site.identities.account_id if wants_owner else None)


def max_keys(query: Mapping[str, str], name: str, default: int = DEFAULT_KEYS) -> int:
    """Read the wanted number of entries, 1 to 1,000. Raises InvalidArgument."""
    text = query.get(name) or str(default)
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= MAX_KEYS:
        raise invalid_argument(f"Argument {name} must be from 1 to {MAX_KEYS}.", name, text)
    return int(text)


def group(key: str, prefix: str, delimiter: str) -> str:
    """Return the common prefix that replaces `key` in the listing, or "" if the key itself is
    listed."""
    place = key.find(delimiter, len(prefix)) if delimiter else -1
    return "" if place < 0 else key[: place + len(delimiter)]


def _page(storage: Storage, call: Call, after: str, limit: int) -> _Page:
    prefix, delimiter = call.query.get("prefix", ""), call.query.get("delimiter", "")
    objects: list[ObjectInfo] = []
    prefixes: list[str] = []
    last = ""
    start, inclusive = after.encode(), not after
    # The marker may be a common prefix. Earlier pages have then listed all keys with this prefix.
    if after and group(after, prefix, delimiter) == after and after.startswith(prefix):
        start, inclusive = _past(after)
    while True:
        room = limit - len(objects) - len(prefixes)
        found = storage.keys_from(
            call.bucket, start, inclusive=inclusive, prefix=prefix.encode(), limit=room + 1
        )
        for info in found:
            if len(objects) + len(prefixes) == limit:
                return _Page(objects, prefixes, last)
            common = group(info.key, prefix, delimiter)
            if common:
                prefixes.append(common)
                last = common
                start, inclusive = _past(common)
                # The next keys in `found` may have the same common prefix. The prefix must not be
                # listed again, so the next search begins after all keys with this prefix.
                break
            objects.append(info)
            last = info.key
        else:
            return _Page(objects, prefixes, None)


def _past(prefix: str) -> tuple[bytes, bool]:
    """Return the first possible key after all keys that begin with `prefix`. The prefix is valid
    UTF-8."""
    after = successor(prefix.encode())
    # The last byte of UTF-8 is never 0xFF, so successor() always finds a key.
    return (after or b"", True)


def _answer(
    content: list[tuple[str, object]], page: _Page, write: KeyWriter, owner: str | None
) -> Response:
    for info in page.objects:
        element: list[tuple[str, object]] = [
            ("Key", write(info.key)),
            ("LastModified", iso_date(info.modified)),
            ("ETag", f'"{info.etag}"'),
            ("Type", info.type),
            ("Size", info.size),
            ("StorageClass", "Standard"),
        ]
        if owner is not None:
            element.append(("Owner", [("ID", owner), ("DisplayName", owner)]))
        content.append(("Contents", element))
    content += [("CommonPrefixes", [("Prefix", write(prefix))]) for prefix in page.prefixes]
    return document("ListBucketResult", content)


def _sealed(place: str) -> str:
    return base64.urlsafe_b64encode(place.encode()).decode()


def _opened(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        raise invalid_argument(
            "The continuation token is not from an earlier page.", "continuation-token", token
        ) from None
