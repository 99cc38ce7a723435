"""Signatures of callbacks (RSASSA-PKCS1-v1_5): Wycheproof's vectors, and the same faults with MD5.

OSS signs with MD5, for which Wycheproof has no vectors. Some tests therefore call the same code
with SHA-256 in place of MD5, and check Wycheproof's vectors for SHA-256 (tests/vectors/README.md).
Other tests sign with MD5 and a key of our own, and make the faults of Wycheproof's vectors.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterator

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import MD5, SHA1, SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from der_faults import Element, encoded, faulty
from oss_signer import PRODUCTION_KEY_URL, OssSigner
from token_service import base64url
from token_service.callback import public_keys
from token_service.callback.public_keys import OssKeys
from token_service.callback.rsa_md5 import PublicKey, read_pem, verifies, verifies_md5
from token_service.callback.seals import CallbackRefused
from token_service.http.connection import ConnectionFault
from vectors import login_vectors, signature_vectors

# RFC 8017, 9.2, note 1: the part of a DigestInfo before the digest.
SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
SHA1_INFO = bytes.fromhex("3021300906052b0e03021a05000414")
MD5_INFO = bytes.fromhex("3020300c06082a864886f70d020505000410")

TEXT = b"/callback\nbucket=my-bucket"
DIGEST = hashlib.md5(TEXT, usedforsecurity=False).digest()
SIGNER = OssSigner()
PRIVATE = SIGNER.key.private_numbers()
MODULUS = PRIVATE.public_numbers.n
SIZE = 128
SOUND_INFO = MD5_INFO + DIGEST


def test_what_wycheproof_calls_invalid_is_refused() -> None:
    """The vectors that Wycheproof calls "acceptable" are refused, too: their DigestInfo has no
    NULL."""
    found = {}
    for vector in signature_vectors():
        (key,) = read_pem(vector.pem)
        info = SHA256_INFO + hashlib.sha256(vector.message).digest()
        found[vector.number] = verifies(key, vector.signature, info)
    valid = {vector.number for vector in signature_vectors() if vector.result == "valid"}
    assert {number for number, is_taken in found.items() if is_taken} == valid
    assert (len(found), len(valid)) == (53, 9)


def test_what_wycheproof_calls_an_invalid_jws_is_refused() -> None:
    """Only the JWS vectors have signatures with faults in the DigestInfo, the part that names the
    hash function. So this test uses them."""
    vectors = [
        vector
        for vector in login_vectors("json_web_signature")
        if vector.keys[0].get("alg") == "RS256" and vector.text.count(".") == 2
    ]
    taken = set()
    for vector in vectors:
        (jwk,) = vector.keys
        n, e = (int.from_bytes(base64url.decode(jwk[name]), "big") for name in "ne")
        text, _, signature = vector.text.rpartition(".")
        info = SHA256_INFO + hashlib.sha256(text.encode()).digest()
        if verifies(PublicKey(n, e), base64url.decode(signature), info):
            taken.add(vector.number)
    assert taken == {vector.number for vector in vectors if vector.is_valid}
    assert (len(vectors), len(taken)) == (228, 8)


def signed(block: bytes) -> bytes:
    """Return a signature that decrypts to `block`, which may have any content."""
    number, p, q = int.from_bytes(block, "big"), PRIVATE.p, PRIVATE.q
    # Computing modulo each prime (RFC 8017, 5.2.1) is four times as fast as modulo the key.
    of_q = pow(number, PRIVATE.dmq1, q)
    of_p = (pow(number, PRIVATE.dmp1, p) - of_q) * PRIVATE.iqmp % p
    return (of_q + of_p * q).to_bytes(SIZE, "big")


def padded(info: bytes, ff: int | None = None) -> bytes:
    """Return the padded block that is signed (RFC 8017, 9.2). `ff` is the number of padding bytes.
    Zeros fill the end of the block."""
    count = SIZE - len(info) - 3 if ff is None else ff
    return (b"\x00\x01" + b"\xff" * count + b"\x00" + info).ljust(SIZE, b"\x00")


def infos() -> Iterator[tuple[str, bytes]]:
    """Return malformed DigestInfos."""
    tree = Element(
        0x30,
        [
            Element(0x30, [Element(0x06, bytes.fromhex("2a864886f70d0205")), Element(0x05, b"")]),
            Element(0x04, DIGEST),
        ],
    )
    assert encoded(tree) == SOUND_INFO
    yield from faulty(tree)
    yield "no DigestInfo, as SSL 3.0 had it", DIGEST
    yield "no digest", MD5_INFO
    yield "the text itself", MD5_INFO[:-1] + bytes([len(TEXT)]) + TEXT
    yield "a digest of zeros", MD5_INFO + bytes(16)
    yield "another text's digest", MD5_INFO + hashlib.md5(b"x", usedforsecurity=False).digest()
    yield "SHA-1", SHA1_INFO + hashlib.sha1(TEXT, usedforsecurity=False).digest()
    yield "SHA-256", SHA256_INFO + hashlib.sha256(TEXT).digest()
    yield "SHA-256's name", SHA256_INFO[:-1] + b"\x10" + DIGEST
    yield "MD2", SOUND_INFO.replace(bytes.fromhex("0205"), bytes.fromhex("0202"), 1)
    yield "MD4", SOUND_INFO.replace(bytes.fromhex("0205"), bytes.fromhex("0204"), 1)


def blocks() -> Iterator[tuple[str, bytes]]:
    """Return malformed paddings."""
    sound = padded(SOUND_INFO)
    yield "for encryption", b"\x00\x02" + sound[2:]
    yield "block type 0", b"\x00\x00" + bytes(SIZE - len(SOUND_INFO) - 3) + b"\x00" + SOUND_INFO
    yield "a 0 more at the start", b"\x00" + sound[:2] + sound[3:]
    yield "no 0 after the padding", sound.replace(b"\xff\x00", b"\xff\xff")
    yield "a byte of the padding", sound.replace(b"\xff\x00", b"\xee\x00")
    yield "the first byte of the padding", sound.replace(b"\x01\xff", b"\x01\xfe")
    yield "no padding", padded(SOUND_INFO, 0)
    yield "7 bytes of padding, zeros at the end", padded(SOUND_INFO, 7)
    yield "8 bytes of padding, zeros at the end", padded(SOUND_INFO, 8)
    yield "8 bytes of padding, garbage at the end", padded(SOUND_INFO, 8)[:-9] + b"\x55" * 9
    yield "a byte at the end", padded(SOUND_INFO, SIZE - len(SOUND_INFO) - 4)
    yield "no block at all", SOUND_INFO.rjust(SIZE, b"\x00")


def signatures() -> Iterator[tuple[str, bytes]]:
    """Return signatures of TEXT that must be refused, each with its name."""
    for name, info in infos():
        yield name, signed(padded(info))
    for name, block in blocks():
        yield name, signed(block)
    sound = int.from_bytes(SIGNER.sign(TEXT), "big")
    for number in (0, 1, 2, MODULUS - 1, MODULUS, MODULUS + 1, MODULUS - sound, (1 << 1024) - 1):
        yield f"the number {number}", number.to_bytes(SIZE, "big")
    for size in (0, SIZE - 1, SIZE + 1, 2 * SIZE):
        yield f"{size} bytes of zeros", bytes(size)
    yield "two bytes more", (sound + MODULUS).to_bytes(SIZE + 2, "big")
    yield "zeros before it", b"\x00\x00" + SIGNER.sign(TEXT)
    yield "zeros after it", SIGNER.sign(TEXT) + b"\x00\x00"
    yield "the digest, not signed", padded(SOUND_INFO)
    for hash_of in (MD5(), SHA1(), SHA256()):  # noqa: S303 - to be refused
        pss = padding.PSS(padding.MGF1(hash_of), 16)
        yield f"PSS, {hash_of.name}", SIGNER.key.sign(TEXT, pss, hash_of)
    yield "PKCS1 with SHA-1", SIGNER.key.sign(TEXT, padding.PKCS1v15(), SHA1())  # noqa: S303


def test_the_same_faults_over_md5_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each signature is verified by OssKeys, as for a real callback."""

    def nobody(*_: object) -> bytes:
        raise ConnectionFault(OSError("nobody is asked here"))

    monkeypatch.setattr(public_keys, "BUNDLED", SIGNER.pem.decode())
    monkeypatch.setattr(public_keys, "fetch", nobody)
    keys = OssKeys(None)

    def is_taken(signature: bytes) -> bool:
        try:
            keys.verify(PRODUCTION_KEY_URL, signature, (TEXT,), time.monotonic() + 5)
        except CallbackRefused:
            return False
        return True

    assert is_taken(signed(padded(SOUND_INFO)))
    assert is_taken(SIGNER.sign(TEXT))
    forged = dict(signatures())
    assert len(forged) > 200
    assert [name for name, signature in forged.items() if is_taken(signature)] == []


def cube_root(number: int) -> int:
    low, high = 0, 1 << (number.bit_length() // 3 + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**3 <= number else (low, middle - 1)
    return low


def test_a_forgery_with_garbage_in_the_middle_is_refused() -> None:
    """With an exponent of 3, an attacker can forge a signature without the private key. The
    attacker computes a number whose cube begins with the padding and ends with the digest. A parser
    that does not check lengths in the padding accepts this number (CVE-2014-1568, "BERserk")."""
    key = PublicKey((1 << 2047) + 1, 3)
    texts = (b"text %d" % number for number in range(100))
    digests = ((text, hashlib.md5(text, usedforsecurity=False).digest()) for text in texts)
    # Only odd numbers have cube roots modulo a power of 2.
    text, digest = next(found for found in digests if found[1][-1] % 2)
    end = b"\x04\x10" + digest
    bits = 8 * len(end)
    # This NULL contains all bytes between the padding and the digest. Its length is written as 0x82
    # and two bytes.
    start = (
        b"\x00\x01" + b"\xff" * 8 + b"\x00" + bytes.fromhex("3081d2 3081be 06082a864886f70d0205")
    )
    start += bytes.fromhex("0582") + (256 - len(start) - 4 - len(end)).to_bytes(2, "big")
    high = cube_root(int.from_bytes(start + b"\xff" * (256 - len(start)), "big"))
    low = pow(int.from_bytes(end, "big"), pow(3, -1, 1 << (bits - 2)), 1 << bits)
    number = (high >> bits << bits) - (1 << bits) + low
    block = (number**3).to_bytes(256, "big")
    assert block.startswith(start), "the forgery is one"
    assert block.endswith(end), "the forgery is one"
    assert not verifies_md5(key, number.to_bytes(256, "big"), text)


def pem(der: bytes) -> str:
    text = base64.b64encode(der).decode()
    return f"-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n"


def ours(der: bytes) -> PublicKey | None:
    try:
        (key,) = read_pem(pem(der))
    except ValueError:
        return None
    return key


def theirs(der: bytes) -> PublicKey | None:
    try:
        key = load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm):
        return None
    assert isinstance(key, rsa.RSAPublicKey)
    return PublicKey(key.public_numbers().n, key.public_numbers().e)


def test_a_faulty_key_is_refused_or_is_the_one_that_others_read() -> None:
    """We refuse each faulty SubjectPublicKeyInfo that the package cryptography refuses. If we
    accept a faulty SubjectPublicKeyInfo, we and the package read the same key from it."""
    numbers = rsa.generate_private_key(65537, 2048).public_key().public_numbers()
    n = numbers.n.to_bytes(257, "big")
    algorithm = [Element(0x06, bytes.fromhex("2a864886f70d010101")), Element(0x05, b"")]
    key = Element(0x30, [Element(0x02, n), Element(0x02, b"\x01\x00\x01")])
    whole = Element(0x30, [Element(0x30, algorithm), Element(0x03, b"\x00" + encoded(key))])
    assert read_pem(pem(encoded(whole))) == (PublicKey(numbers.n, numbers.e),)
    inside = (
        (name, encoded(Element(0x30, [Element(0x30, algorithm), Element(0x03, b"\x00" + faulted)])))
        for name, faulted in faulty(key)
    )
    differing = [
        name
        for name, found in (*faulty(whole), *inside)
        if ours(found) not in (None, theirs(found))
    ]
    assert differing == []
