"""What an object key or prefix may be: one rule for settings, grants and policies."""

from __future__ import annotations

from urllib.parse import unquote

MAX_BYTES = 1023
"""OSS's limit on a key's length in UTF-8 (vendor documentation)."""

# "*" and "?" are wildcards in a RAM policy. "$" would open a policy variable; whether RAM has any
# is unverified, so it stays out of everything that a policy embeds. A set, not a pattern: to
# compile that takes 1 ms of a cold start.
_CONTROLS = (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)
_FORBIDDEN = frozenset("*?$").union(map(chr, _CONTROLS))
# Characters of no width that are no format characters of Unicode: fillers and blanks.
_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
# Format characters that are seen: signs of Arabic, Syriac and Kaithi.
_SEEN = frozenset(map(chr, (*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2)))
# Persian and the scripts of India are spelled with them, and families of emoji are made of them.
_JOINERS = frozenset("\u200c\u200d")


def fault(key: str) -> str | None:
    """Say what is wrong with an object key or prefix, or None.

    Accepted: 1 to 1,023 bytes of UTF-8; no leading "/" or "\\"; no "." or ".." segment, since
    HTTP clients and file systems fold those into another key; no empty segment inside; no
    control character; no "*", "?" or "$".
    """
    if not key:
        return "must not be empty"
    if not _FORBIDDEN.isdisjoint(key):
        return "must not hold '*', '?', '$' or control characters"
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


def new_name_fault(name: str) -> str | None:
    """Say what is wrong with the name of an object that is yet to be stored, or None.

    For what callers wish to write only: what is stored already stays readable, listed and reported
    whatever it is called. Refused are characters that are invisible or turn the direction of text
    (Unicode's format characters, category Cf, but for those that are seen; and fillers), a joiner
    (U+200C, U+200D) that has no character beyond ASCII beside it, where it joins nothing, and "."
    or ".." segments that are percent-encoded, however often.
    """
    if any(map(_is_unseen, name)) or _joins_nothing(name):
        return "must not hold invisible characters, or ones that turn the direction of text"
    if _has_encoded_dots(name):
        return "must not have '.' or '..' between slashes, in percent-encoding either"
    return None


def _is_unseen(character: str) -> bool:
    if character <= "\x7f" or character in _SEEN or character in _JOINERS:
        return False
    # Imported where it is needed: most names are of ASCII.
    from unicodedata import category

    return character in _FILLERS or category(character) == "Cf"


def _joins_nothing(name: str) -> bool:
    for place, character in enumerate(name):
        if character in _JOINERS:
            beside = name[max(place - 1, 0) : place] + name[place + 1 : place + 2]
            if not any(other > "\x7f" and other not in _JOINERS for other in beside):
                return True
    return False


def _has_encoded_dots(name: str) -> bool:
    """Each round makes it shorter, so there is an end to it."""
    while "%" in name:
        decoded = unquote(name)
        if decoded == name:
            return False
        if has_dots(decoded):
            return True
        name = decoded
    return False


def has_dots(key: str) -> bool:
    """Whether a segment is "." or "..": what follows a path would end up at another key."""
    return any(part in (".", "..") for part in key.replace("\\", "/").split("/"))
