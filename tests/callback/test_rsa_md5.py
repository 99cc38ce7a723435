"""RSA public keys and signatures: the vendor's sample is accepted, and faults are refused."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from oss_signer import OssSigner
from token_service.callback.public_keys import BUNDLED
from token_service.callback.rsa_md5 import PublicKey, read_pem, verifies_md5

# The sample of the vendor's documentation, which was signed with OSS's production key.
TEXT = b"/index.php?id=1&index=2\nbucket=yonghu-test"
SIGNATURE = base64.b64decode(
    "kKQeGTRccDKyHB3H9vF+xYMSrmhMZjzzl2/kdD1ktNVgbWEfYTQG0G2SU/RaHBovRCE8OkQDjC3uG33esH2txA=="
)
SIGNER = OssSigner()
PRIVATE = SIGNER.key


def pem(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def wrapped(der: bytes) -> str:
    text = base64.b64encode(der).decode()
    return f"-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n"


def der(text: str) -> bytes:
    return base64.b64decode("".join(text.splitlines()[1:-1]))


(PRODUCTION,) = read_pem(BUNDLED)
(OWN,) = read_pem(pem(PRIVATE.public_key()))


def test_the_sample_of_the_vendors_documentation_verifies() -> None:
    assert (PRODUCTION.modulus.bit_length(), PRODUCTION.exponent) == (512, 65537)
    assert verifies_md5(PRODUCTION, SIGNATURE, TEXT)


@pytest.mark.parametrize(
    "text",
    [
        TEXT[1:],
        TEXT + b"\n",
        TEXT.replace(b"yonghu", b"another"),
        TEXT.partition(b"?")[0] + b"\nbucket=yonghu-test",
        b"",
    ],
    ids=["no slash", "a line more", "another body", "no query", "nothing"],
)
def test_the_sample_does_not_verify_for_another_text(text: bytes) -> None:
    assert not verifies_md5(PRODUCTION, SIGNATURE, text)


def test_another_implementations_signature_verifies() -> None:
    assert verifies_md5(OWN, SIGNER.sign(b"text"), b"text")


def test_a_signature_over_another_digest_is_refused() -> None:
    assert not verifies_md5(OWN, PRIVATE.sign(b"text", padding.PKCS1v15(), SHA256()), b"text")


def test_a_signature_of_another_length_is_refused() -> None:
    """A signature of another length is refused. One of these signatures is the sum of a valid
    signature and the modulus. In RSA this sum gives the same result as the valid signature."""
    sound = SIGNER.sign(b"text")
    longer = (int.from_bytes(sound, "big") + OWN.modulus).to_bytes(129, "big")
    for signature in (b"", b"\x00" + sound, sound[1:], sound + b"\x00", longer):
        assert not verifies_md5(OWN, signature, b"text")


def test_a_number_that_is_not_below_the_modulus_is_refused() -> None:
    """A signature is a number below the modulus. If somebody adds the modulus to this number, RSA
    gives the same result. A careless verifier would therefore accept the larger number, too."""
    texts = (str(number).encode() for number in range(1000))
    signed = ((text, SIGNER.sign(text)) for text in texts)
    numbers = ((text, int.from_bytes(sound, "big") + OWN.modulus) for text, sound in signed)
    text, number = next(found for found in numbers if found[1] < 1 << 1024)
    assert not verifies_md5(OWN, number.to_bytes(128, "big"), text)


def test_rubbish_after_the_digest_is_refused() -> None:
    """For a key with exponent 3, anybody can compute a number whose cube begins like a valid block
    and ends with other bytes. A careless verifier would accept this number as a signature."""
    key = PublicKey((1 << 2047) + 1, 3)
    info = bytes.fromhex("3020300c06082a864886f70d020505000410")
    digest = bytes.fromhex("1cb251ec0d568de6a929b520c4aed8d1")  # of "text"
    start = b"\x00\x01" + b"\xff" * 8 + b"\x00" + info + digest
    block = int.from_bytes(start + b"\xff" * (256 - len(start)), "big")
    low, high = 0, 1 << 700
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**3 <= block else (low, middle - 1)
    assert (low**3).to_bytes(256, "big").startswith(start), "the forgery is one"
    assert not verifies_md5(key, low.to_bytes(256, "big"), b"text")


def test_several_keys_are_read() -> None:
    assert read_pem(BUNDLED + "\n" + pem(PRIVATE.public_key())) == (PRODUCTION, OWN)


SPKI = der(BUNDLED)
INSIDE = SPKI.index(b"\x30\x48\x02\x41")


def altered(place: int, byte: int) -> str:
    return wrapped(SPKI[:place] + bytes([byte]) + SPKI[place + 1 :])


def element(tag: int, content: bytes) -> bytes:
    """Return a DER element."""
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 + len(length)]) + length + content


def number(value: int) -> bytes:
    """Return a number as a DER INTEGER in as few bytes as possible."""
    return element(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


RSA_ENCRYPTION = bytes.fromhex("300d06092a864886f70d0101010500")


def key_of(modulus: int, exponent: int) -> str:
    """Return a public key in valid DER, even if its numbers are not valid."""
    numbers = element(0x30, number(modulus) + number(exponent))
    return wrapped(element(0x30, RSA_ENCRYPTION + element(0x03, b"\x00" + numbers)))


@pytest.mark.parametrize(
    ("bits", "exponent"),
    [(512, 65537), (513, 65537), (2048, 3), (4096, 65537), (512, 3), (512, 5), (512, 2**32 - 1)],
)
def test_a_sound_key_has_512_to_4096_bits_and_an_odd_exponent_from_3(
    bits: int, exponent: int
) -> None:
    modulus = (1 << bits) - 1
    assert read_pem(key_of(modulus, exponent)) == ((modulus, exponent),)


def test_a_length_of_128_is_der_only_in_its_long_form() -> None:
    """The single byte 0x80 means an indefinite length, which DER does not have."""
    modulus = (1 << 967) - 1
    content = number(modulus) + number(65537)
    assert len(content) == 0x80
    assert read_pem(key_of(modulus, 65537)) == ((modulus, 65537),)
    indefinite = element(0x03, b"\x00\x30\x80" + content)
    with pytest.raises(ValueError, match="a length that is not valid DER"):
        read_pem(wrapped(element(0x30, RSA_ENCRYPTION + indefinite)))


def test_padding_within_the_base64_is_refused() -> None:
    with pytest.raises(ValueError, match="not base64"):
        read_pem(BUNDLED.replace("MFww", "MFww=="))


@pytest.mark.parametrize(
    ("modulus", "exponent"),
    [
        ((1 << 511) - 1, 65537),
        ((1 << 4096) + 1, 65537),
        ((1 << 512) - 2, 65537),
        # With an exponent of 1, every text would be its own signature.
        ((1 << 512) - 1, 1),
        ((1 << 512) - 1, 0),
        ((1 << 512) - 1, 2),
        ((1 << 512) - 1, 4),
        ((1 << 512) - 1, 65536),
        # With these exponents a verification would take a long time.
        ((1 << 512) - 1, 2**32 + 1),
        ((1 << 512) - 1, (1 << 512) - 3),
    ],
)
def test_a_key_with_other_numbers_is_refused(modulus: int, exponent: int) -> None:
    with pytest.raises(ValueError, match="public key"):
        read_pem(key_of(modulus, exponent))


def test_a_text_has_up_to_eight_keys() -> None:
    assert read_pem(BUNDLED * 8) == (PRODUCTION,) * 8
    assert read_pem(f"{BUNDLED}a comment\n{BUNDLED}") == (PRODUCTION,) * 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>",
        BUNDLED.replace("PUBLIC", "PRIVATE"),
        BUNDLED.replace("MFww", "M===="),
        BUNDLED * 9,
        pem(ec.generate_private_key(ec.SECP256R1()).public_key()),
        wrapped(SPKI[:-1]),
        wrapped(SPKI + b"\x00"),
        wrapped(SPKI[:2]),
        altered(1, 0x80),
        altered(1, 0x84),
        altered(INSIDE - 1, 1),
        altered(INSIDE + 4, 0x80),
        # An exponent with an unnecessary zero byte, and a negative exponent.
        wrapped(SPKI[:-3] + b"\x00\x00\x01"),
        wrapped(SPKI[:-3] + b"\x81\x00\x01"),
        # An even modulus.
        altered(len(SPKI) - 6, 0x4E),
        # A tiny modulus.
        wrapped(bytes.fromhex("3018300d06092a864886f70d01010105000307003004020103020103")),
    ],
)
def test_what_is_no_sound_rsa_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="public key"):
        read_pem(text)


@given(st.text() | st.binary().map(wrapped) | st.binary().map(lambda b: wrapped(SPKI[:20] + b)))
def test_any_text_is_keys_or_a_value_error(text: str) -> None:
    try:
        keys = read_pem(text)
    except ValueError as error:
        fault = str(error)
    else:
        assert keys
        return
    assert "public key" in fault


@given(st.binary(min_size=64, max_size=64), st.binary(max_size=100))
def test_no_bytes_are_a_signature(signature: bytes, text: bytes) -> None:
    assert not verifies_md5(PRODUCTION, signature, text)
