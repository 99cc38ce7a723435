"""Encodes data as DER. Also makes encodings with a fault: every kind of fault at each element.

The kinds of faults come from the comments of Wycheproof's RSA vectors (tests/vectors/README.md).
The code is our own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

NULL = b"\x05\x00"


class Element(NamedTuple):
    """A tag and its content: bytes or other elements."""

    tag: int
    inside: bytes | list[Element]


def der(tag: int, content: bytes) -> bytes:
    """Encode an element as DER does, with its length in as few bytes as possible."""
    return _said(tag, len(content), content)


def faulty(element: Element) -> Iterator[tuple[str, bytes]]:
    """Yield the name of each fault, and the encoding with this fault only. All elements around the
    fault have the right lengths."""
    sound = encoded(element)
    for place in _places(element):
        for name, fault in _FAULTS.items():
            found = encoded(element, place, fault)
            # Some faults change nothing. For example, one fault replaces an element by NULL.
            # If the element is NULL already, this changes nothing.
            if found != sound:
                yield f"{name}, at {'/'.join(map(str, place)) or 'the top'}", found


Place = tuple[int, ...]
Fault = Callable[[int, bytes], bytes]


def encoded(element: Element, place: Place | None = None, fault: Fault = der) -> bytes:
    """Encode an element, but encode the element at `place` with `fault`. A place is the path to an
    element: for each level, the number of the child to go to."""
    inside = element.inside
    if isinstance(inside, list):
        content = b"".join(
            encoded(child, place[1:] if place and place[0] == number else None, fault)
            for number, child in enumerate(inside)
        )
    else:
        content = inside
    return (fault if place == () else der)(element.tag, content)


def _places(element: Element) -> Iterator[Place]:
    yield ()
    if isinstance(element.inside, list):
        for number, child in enumerate(element.inside):
            yield from ((number, *place) for place in _places(child))


def _said(tag: int, size: int, content: bytes) -> bytes:
    """An element with `size` in its length field. The content may have another length."""
    if size < 0x80:
        return bytes([tag, size]) + content
    return _length(tag, _minimal(size), content)


def _length(tag: int, length: bytes, content: bytes) -> bytes:
    return bytes([tag, 0x80 | len(length)]) + length + content


def _minimal(size: int) -> bytes:
    return size.to_bytes((size.bit_length() + 7) // 8 or 1, "big")


def _overflowing(size: int) -> Fault:
    """A length that is too large. A parser that reads only its last `size` bytes gets the right
    length."""
    return lambda tag, content: _length(tag, b"\x01" + len(content).to_bytes(size, "big"), content)


_FAULTS: dict[str, Fault] = {
    "the length in its long form": lambda t, c: _length(t, _minimal(len(c)), c),
    "a 0 before the length": lambda t, c: _length(t, b"\x00" + _minimal(len(c)), c),
    "the length one more": lambda t, c: _said(t, len(c) + 1, c),
    "the length one less": lambda t, c: _said(t, max(len(c) - 1, 0), c),
    "a length that overflows 32 bits": _overflowing(4),
    "a length that overflows 64 bits": _overflowing(8),
    "the length 2^31 - 1": lambda t, c: _length(t, b"\x7f\xff\xff\xff", c),
    "the length 2^31": lambda t, c: _length(t, b"\x80\x00\x00\x00", c),
    "the length 2^64 - 1": lambda t, c: _length(t, b"\xff" * 8, c),
    "the length 255": lambda t, c: _length(t, b"\xff", c),
    "a length that has an end": lambda t, c: bytes([t, 0x80]) + c + b"\x00\x00",
    "a length that has no end": lambda t, c: bytes([t, 0x80]) + c,
    "a length that is cut off": lambda t, c: bytes([t, 0x82]),
    "nothing": lambda t, c: b"",
    "the tag alone": lambda t, c: bytes([t]),
    "no content": lambda t, c: der(t, b""),
    "zeros in it, at the end": lambda t, c: der(t, c + b"\x00\x00"),
    "zeros in it, at the start": lambda t, c: der(t, b"\x00\x00" + c),
    "zeros after it": lambda t, c: der(t, c) + b"\x00\x00",
    "zeros before it": lambda t, c: b"\x00\x00" + der(t, c),
    "a NULL in it": lambda t, c: der(t, c + NULL),
    "a NULL after it": lambda t, c: der(t, c) + NULL,
    "a NULL in its place": lambda t, c: NULL,
    "an unknown element in it": lambda t, c: der(t, c + b"\x49\x77"),
    "an unknown element after it": lambda t, c: der(t, c) + b"\xaa\xbb\xcd\x00\x00",
    "an unknown element before it": lambda t, c: b"\x25\x00\x05\x00" + der(t, c),
    "an empty sequence in it": lambda t, c: der(t, c + b"\x30\x00"),
    "an empty sequence before its content": lambda t, c: der(t, b"\x30\x00" + c),
    "garbage of a high tag in it": lambda t, c: der(t, c + b"\xbf\x7f\x00"),
    "another tag": lambda t, c: der(t ^ 0x01, c),
    "a tag of an application": lambda t, c: der(t | 0x40, c),
    "a tag of a context": lambda t, c: der(t | 0x80, c),
    "composed": lambda t, c: der(t ^ 0x20, der(t, c)),
    "a sequence around it": lambda t, c: der(0x30, der(t, c)),
    "itself twice": lambda t, c: der(t, c) * 2,
    "the first byte changed": lambda t, c: der(t, bytes([c[0] ^ 2]) + c[1:]) if c else b"\xff",
    "the last byte changed": lambda t, c: der(t, c[:-1] + bytes([c[-1] ^ 128])) if c else b"\xff",
    "the first byte left out": lambda t, c: der(t, c[1:]),
    "the last byte left out": lambda t, c: der(t, c[:-1]),
}
