"""Finds the buckets and keys that a URL may mean. If a URL has several meanings, its signature
decides which meaning is used.

Real OSS accepts only the bucket in the host's first label, or a domain that is bound to the bucket
(CNAME). On a laptop, host names with a bucket do not resolve, so the SDKs put the bucket first in
the path (path style).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from urllib.parse import quote, unquote_to_bytes

from sandbox.oss.call import Target
from sandbox.oss.errors import OssError, invalid_bucket_name

BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
"""A bucket's name has 3 to 63 characters: lower-case letters, digits, and hyphens that are neither
first nor last (vendor documentation)."""
MAX_KEY_BYTES = 1023  # of a key in UTF-8 (vendor documentation)


def readings(
    host: str,
    raw_path: bytes,
    is_bucket: Callable[[str], bool],
    default_bucket: str | None,
    cnames: Mapping[str, str],
) -> list[Target]:
    """Return the possible meanings ("readings") of the URL. A reading names a bucket and a key. The
    key may be empty, or both may be empty. The list has at least one reading, and the most likely
    reading is first.

    A host in `cnames` (name -> bucket) has only one reading: that bucket. A URL with this host
    never means the service or another bucket, even if its path begins with the name of another
    bucket.

    `raw_path` is as sent, not decoded. SDKs write "/" in a key either raw or as %2F, so the path is
    split at the first raw "/" and decoded once. Readings with an existing bucket come first.
    Readings whose bucket does not exist follow, because a request may create this bucket, or may
    get the answer NoSuchBucket. Raises OssError: InvalidBucketName if no reading names a bucket,
    InvalidObjectName if the key is not UTF-8.
    """
    whole = raw_path.removeprefix(b"/")
    bound = cnames.get(host_name(host))
    if bound is not None:
        return [Target(bound, _key(whole))]
    label = _bucket_label(host)
    first, _, rest = whole.partition(b"/")
    segment = first.decode("latin-1")
    found: list[tuple[str, bytes]] = []
    if label and is_bucket(label):
        found.append((label, whole))
    if BUCKET_NAME.fullmatch(segment) and is_bucket(segment):
        found.append((segment, rest))
    if default_bucket is not None:
        found.append((default_bucket, whole))
    if BUCKET_NAME.fullmatch(segment):
        found.append((segment, rest))
    if label:
        found.append((label, whole))
    # Different readings of the URL may give the same target. The dict removes repeated targets, and
    # keeps the order.
    targets = list(dict.fromkeys(Target(bucket, _key(key)) for bucket, key in found))
    if whole and not targets:
        raise invalid_bucket_name(segment)
    return targets if whole else [*targets, Target()]


def object_url(host: str, target: Target, cnames: Mapping[str, str]) -> str:
    """Return the URL of an object in the style of `host`: with or without the bucket in it."""
    in_host = target.bucket in (cnames.get(host_name(host)), _bucket_label(host))
    path = target.key if in_host else f"{target.bucket}/{target.key}"
    return f"http://{host}/{quote(path)}"


def host_name(host: str) -> str:
    """Return the name in a Host header: in lower case, without the port."""
    name = host.rpartition(":")[0] if re.search(r":[0-9]*$", host) else host
    return name.lower()


def check_key(key: str) -> None:
    """Refuse a text that cannot be an object's name (vendor documentation). Raises
    InvalidObjectName."""
    if not key or len(key.encode()) > MAX_KEY_BYTES or key[0] in "/\\":
        raise invalid_object_name()


def invalid_object_name() -> OssError:
    """Make the error for a name that no object can have."""
    message = "The specified object is not valid."
    return OssError(400, "InvalidObjectName", message, "0016-00000005")


def _bucket_label(host: str) -> str:
    name = host_name(host)
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        label, _, rest = name.partition(".")
        return label if rest and BUCKET_NAME.fullmatch(label) else ""
    return ""


def _key(raw: bytes) -> str:
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise invalid_object_name() from None
