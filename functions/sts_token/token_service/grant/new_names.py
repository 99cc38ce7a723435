"""What an operator may name OBJECT_PREFIX, and a caller an object that is yet to be stored: beside
what any key may be (object_keys.py)."""

from __future__ import annotations

from urllib.parse import unquote

from token_service.grant import object_keys
from token_service.grant.object_keys import has_dots
from token_service.settings.parsing import Refused

# Characters of no width that are no format characters of Unicode: fillers and blanks.
_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
# Format characters that are seen: signs of Arabic, Syriac and Kaithi.
_SEEN = frozenset(map(chr, (*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2)))
# Persian and the scripts of India are spelled with them, and families of emoji are made of them.
_JOINERS = frozenset("\u200c\u200d")


def prefix(value: str) -> str:
    """Read OBJECT_PREFIX: a folder of the bucket. Raises Refused."""
    wrong = object_keys.fault(value)
    if wrong or not value.endswith("/"):
        raise Refused(wrong or "must end with '/'")
    return value


def fault(name: str) -> str | None:
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
    while (decoded := unquote(name)) != name:
        if has_dots(decoded):
            return True
        name = decoded
    return False
