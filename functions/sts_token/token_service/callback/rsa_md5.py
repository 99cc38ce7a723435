"""Reads RSA public keys in PEM, and verifies PKCS#1 v1.5 signatures over MD5, for OSS's callbacks.

This is plain Python, and a verification takes 30 us. Importing `cryptography` would take 40 ms, and
its newer releases refuse keys as short as OSS's (512 bits). All values here are public, so nothing
has to run in constant time.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import NamedTuple

MIN_BITS = 512
"""The length of OSS's own key."""
MAX_BITS = 4096  # our choice, because strangers can name keys, and longer keys cost more time
MAX_KEYS = 8
"""The maximum number of keys in one PEM text."""

# SubjectPublicKeyInfo (RFC 5280): the algorithm is rsaEncryption with NULL parameters.
_RSA_ENCRYPTION = bytes.fromhex("06092a864886f70d010101 0500")
# DigestInfo of MD5 (RFC 8017, section 9.2, note 1).
_MD5_PREFIX = bytes.fromhex("3020300c06082a864886f70d020505000410")
_SEQUENCE, _INTEGER, _BIT_STRING = 0x30, 0x02, 0x03
_PEM = r"-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]{1,2000})-----END PUBLIC KEY-----"


class PublicKey(NamedTuple):
    """An RSA public key: the modulus, 512 to 4,096 bits, and the exponent."""

    modulus: int
    exponent: int


def read_pem(text: str) -> tuple[PublicKey, ...]:
    """Read the 1 to 8 public keys of a PEM text (SubjectPublicKeyInfo). Raises ValueError."""
    blocks = re.findall(_PEM, text)
    if not 1 <= len(blocks) <= MAX_KEYS:
        raise ValueError(f"must hold 1 to {MAX_KEYS} public keys in PEM")
    return tuple(_read_block(block) for block in blocks)


def verifies_md5(key: PublicKey, signature: bytes, text: bytes) -> bool:
    """Whether `key` made `signature` for `text`, by RSASSA-PKCS1-v1_5 with MD5 (RFC 8017, 8.2.2).
    The whole encoded message is built and compared, because a parser of its padding could miss
    forged bytes."""
    return verifies(key, signature, _MD5_PREFIX + hashlib.md5(text, usedforsecurity=False).digest())


def verifies(key: PublicKey, signature: bytes, info: bytes) -> bool:
    """Verify like `verifies_md5`, but for any DigestInfo. Some test vectors use other digests."""
    size = (key.modulus.bit_length() + 7) // 8
    number = int.from_bytes(signature, "big")
    if len(signature) != size or number >= key.modulus:
        return False
    encoded = b"\x00\x01" + b"\xff" * (size - len(info) - 3) + b"\x00" + info
    return pow(number, key.exponent, key.modulus).to_bytes(size, "big") == encoded


def _read_block(block: str) -> PublicKey:
    try:
        der = base64.b64decode("".join(block.split()), validate=True)
    except binascii.Error:
        raise ValueError("a public key is not base64") from None
    algorithm, bits = _members(_whole(der, _SEQUENCE), (_SEQUENCE, _BIT_STRING))
    # The first byte of a BIT STRING counts its unused bits.
    if algorithm != _RSA_ENCRYPTION or bits[:1] != b"\x00":
        raise ValueError("a public key is not an RSA key")
    modulus, exponent = map(_positive, _members(_whole(bits[1:], _SEQUENCE), (_INTEGER, _INTEGER)))
    if not MIN_BITS <= modulus.bit_length() <= MAX_BITS or modulus % 2 == 0:
        raise ValueError(f"a public key must have {MIN_BITS} to {MAX_BITS} bits")
    # A large exponent would make a verification slow. With the exponent 1, every text would pass.
    if not 3 <= exponent < 2**32 or exponent % 2 == 0:
        raise ValueError("a public key's exponent must be odd, from 3 to 2^32")
    return PublicKey(modulus, exponent)


def _whole(der: bytes, tag: int) -> bytes:
    content, rest = _element(der, tag)
    if rest:
        raise ValueError("a public key has bytes after its end")
    return content


def _members(der: bytes, tags: tuple[int, int]) -> tuple[bytes, bytes]:
    first, rest = _element(der, tags[0])
    return first, _whole(rest, tags[1])


def _element(der: bytes, tag: int) -> tuple[bytes, bytes]:
    """Return the content of the first DER element of `der`, and the bytes after it."""
    if len(der) < 2 or der[0] != tag:
        raise ValueError("a public key is not a SubjectPublicKeyInfo")
    start, length = 2, der[1]
    if length >= 0x80:
        start += length - 0x80
        length = int.from_bytes(der[2:start], "big")
        if length < 0x80 or not der[2]:
            raise ValueError("a public key has a length that is not valid DER")
    content = der[start : start + length]
    if len(content) != length:
        raise ValueError("a public key is cut off")
    return content, der[start + length :]


def _positive(content: bytes) -> int:
    number = int.from_bytes(content, "big")
    # DER holds the bits of a number and its sign, in as few bytes as possible.
    if len(content) != number.bit_length() // 8 + 1:
        raise ValueError("a public key has a number that is not positive or not valid DER")
    return number
