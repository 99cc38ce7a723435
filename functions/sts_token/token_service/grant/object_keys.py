"""Decides which object keys and prefixes settings, grants and policies accept."""

from __future__ import annotations

MAX_BYTES = 1023
"""OSS's limit on a key's length in UTF-8 (vendor documentation)."""

# "*" and "?" are wildcards in a RAM policy. "$" could begin a policy variable. It is
# not verified on the real RAM that RAM has no variables (assumption 7). _FORBIDDEN is a set,
# because compiling a pattern would take 1 ms of a cold start.
_CONTROLS = (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)
_FORBIDDEN = frozenset("*?$").union(map(chr, _CONTROLS))


def fault(key: str) -> str | None:
    """Return what is wrong with an object key or prefix, or None. A key has 1 to 1,023 bytes of
    UTF-8, and must not start with "/" or "\\". It has no empty segment, control character, "*", "?"
    or "$", and no "." or ".." segment, which clients and file systems resolve to another key."""
    if not key:
        return "must not be empty"
    if not _FORBIDDEN.isdisjoint(key):
        return "must not contain '*', '?', '$' or control characters"
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        return "must be valid Unicode, without lone surrogates"
    if size > MAX_BYTES:
        return f"must be at most {MAX_BYTES} bytes of UTF-8"
    if key[0] in "/\\":
        return "must not start with '/' or '\\'"
    if has_dots(key):
        return "must not have '.' or '..' between slashes"
    if "//" in key:
        return "must not have two slashes in a row"
    return None


def has_dots(key: str) -> bool:
    """Whether a segment is "." or "..", which clients would resolve to another key."""
    return any(part in (".", "..") for part in key.replace("\\", "/").split("/"))
