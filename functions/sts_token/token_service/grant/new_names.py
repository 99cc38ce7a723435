"""Rules for OBJECT_PREFIX, and for the names of new objects. The rules for all object keys
(object_keys.py) apply as well."""

from __future__ import annotations

from urllib.parse import unquote

from token_service.grant import object_keys
from token_service.grant.object_keys import has_dots
from token_service.settings.parsing import Refused

# Invisible characters that Unicode does not count as format characters: fillers and blanks.
_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
# Visible format characters: signs of Arabic, Syriac and Kaithi.
_SEEN = frozenset(map(chr, (*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2)))
# Persian and the scripts of India need joiners, and some emoji contain them.
_JOINERS = frozenset("\u200c\u200d")


def prefix(value: str) -> str:
    """Read OBJECT_PREFIX: a folder of the bucket. Raises Refused."""
    wrong = object_keys.fault(value)
    if wrong or not value.endswith("/"):
        raise Refused(wrong or "must end with '/'")
    return value


def fault(name: str) -> str | None:
    """Return what is wrong with the name of a new object, or None.

    Only new objects are checked. Stored objects may have any name, and can be read, listed and
    reported. Characters that are invisible, or change the direction of text, are refused: fillers,
    and Unicode's format characters (category Cf) except visible ones. A joiner (U+200C, U+200D) is
    refused if only ASCII is next to it, because it joins nothing there. Segments "." and ".." are
    refused even if they are percent-encoded, once or repeatedly."""
    if any(map(_is_unseen, name)) or _joins_nothing(name):
        return "must not contain characters that are invisible or change the direction of text"
    if _has_encoded_dots(name):
        return "must not have '.' or '..' between slashes, percent-encoded or not"
    return None


def _is_unseen(character: str) -> bool:
    if character <= "\x7f" or character in _SEEN or character in _JOINERS:
        return False
    # This import is here because most names are ASCII, and do not need it.
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
    """Decode until nothing changes. Each round makes the name shorter, so the loop ends."""
    while (decoded := unquote(name)) != name:
        if has_dots(decoded):
            return True
        name = decoded
    return False
