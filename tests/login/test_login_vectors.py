"""Wycheproof's vectors for JWS and JWK as logins (tests/vectors/README.md).

Every vector is tried with JWT_SECRET and with JWT_JWKS_FILE, as far as its keys allow this. If the
result for a vector changes, a test fails.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from configuration import logins_of
from signed_logins import RSA_KEY, SECRET, claims, jwk, jwks, login
from token_service import base64url
from token_service.errors import Misconfiguration
from token_service.http.messages import Request
from token_service.login.logins import Logins
from token_service.login.refusals import InvalidToken, MissingToken
from token_service.login.weak_keys import is_roca
from vectors import Jwk, LoginVector, login_vectors, signature_vectors

SIGNATURES = login_vectors("json_web_signature")
KEYS = login_vectors("json_web_key")


@pytest.fixture
def _any_payload(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signed text of a test vector is not the JSON of claims. After the signature is verified,
    the test replaces the text with our own claims."""
    monkeypatch.setattr(jwt.PyJWT, "_decode_payload", lambda _, __: claims())


def secret_of(keys: list[Jwk]) -> str:
    """Return the value of JWT_SECRET for these keys."""
    found = [base64.urlsafe_b64decode(key["k"] + "==") for key in keys]
    return ",".join(secret.decode("utf-8", "surrogateescape") for secret in found)


def logs_in(logins: Logins, text: str) -> bool:
    try:
        found = logins.verified(Request("GET", "/", {}, {"authorization": f"Bearer {text}"}))
    except (InvalidToken, MissingToken):
        return False
    return found.user_id == "alice"


def by_secret(vectors: list[LoginVector]) -> dict[int, bool]:
    """Try the login of each vector whose keys are all secrets. Return for each vector's number
    whether the function accepts the vector's login."""
    found: dict[int, bool] = {}
    secret = [vector for vector in vectors if all(key["kty"] == "oct" for key in vector.keys)]
    for keys, group in groupby(secret, lambda vector: vector.keys):
        found |= accepted(group, JWT_SECRET=secret_of(keys))
    return found


def by_jwks(vectors: list[LoginVector], folder: Path) -> dict[int, bool]:
    """Return for each vector's number whether the function accepts the vector's login.
    JWT_JWKS_FILE has the vector's keys."""
    found: dict[int, bool] = {}
    for keys, group in groupby(vectors, lambda vector: vector.keys):
        (folder / "keys.json").write_text(jwks(*keys))
        found |= accepted(group, JWT_JWKS_FILE=str(folder / "keys.json"))
    return found


def accepted(vectors: Iterable[LoginVector], **variables: str) -> dict[int, bool]:
    try:
        logins = logins_of(**variables)
    except Misconfiguration:
        return {vector.number: False for vector in vectors}
    return {vector.number: logs_in(logins, vector.text) for vector in vectors}


def differing(vectors: list[LoginVector], found: dict[int, bool]) -> tuple[set[int], set[int]]:
    """Return the numbers of two kinds of vectors: invalid vectors that are accepted, and valid
    vectors that are refused."""
    valid = {vector.number for vector in vectors if vector.is_valid}
    taken = {number for number, is_taken in found.items() if is_taken}
    return taken - valid, (found.keys() & valid) - taken


# Wycheproof marks four vectors wrongly. These two are marked as invalid because of their padding,
# but they have no padding (C2SP/wycheproof, issue 236). Their bytes are those of vector 357, which
# is valid.
SAME_AS_A_VALID_ONE = {367, 370}
# These two contain a "?", which RFC 7515, section 2, does not allow in base64url.
NOT_BASE64URL = {372, 373}

# We only accept HS256 with a secret, and RS256, ES256 and EdDSA with public keys.
RS384 = set(range(264, 268))
RS512 = set(range(268, 272))
PS = {*range(272, 276), 287, 288, *range(320, 324), *range(325, 329), 346, 350}
ES512 = {347, 351}
# A JWKS is public, so a secret in it is not accepted as a key.
SECRETS = {1, 348, 352, 357, 358, 359, 372, 373, 376, 377}


@pytest.mark.usefixtures("_any_payload")
def test_signatures_by_a_secret_are_what_they_are_marked_as() -> None:
    found = by_secret(SIGNATURES)
    assert len(found) == 40
    assert differing(SIGNATURES, found) == (SAME_AS_A_VALID_ONE, NOT_BASE64URL)


@pytest.mark.usefixtures("_any_payload")
def test_signatures_by_public_keys_are_what_they_are_marked_as(tmp_path: Path) -> None:
    found = by_jwks(SIGNATURES, tmp_path)
    assert len(found) == 356
    assert differing(SIGNATURES, found) == (set(), SECRETS | RS384 | RS512 | PS | ES512)


def test_those_that_are_wrongly_marked_are_the_same_bytes() -> None:
    texts = {vector.number: vector.text for vector in SIGNATURES}
    assert {texts[number] for number in SAME_AS_A_VALID_ONE} == {texts[357]}
    assert all("?" in texts[number] for number in NOT_BASE64URL)


# JWT_SECRET contains only the bytes of each key, without `kid` and `alg`. So the function cannot
# know that two keys have the same `kid` (vector 4), or that a key's `alg` is for encryption (25,
# 26). Therefore the function accepts the logins of these three vectors.
NOT_SAID_IN_A_SECRET = {4, 25, 26}
# These secrets contain a comma, which JWT_SECRET reads as the end of a secret. Vectors 14 and 15
# are also refused because they use HS384 and HS512.
COMMA_IN_THE_SECRET = {13, 14, 15}


@pytest.mark.usefixtures("_any_payload")
def test_secrets_are_what_they_are_marked_as() -> None:
    found = by_secret(KEYS)
    assert found.keys() == {2, 3, 4, *range(10, 19), 25, 26}
    assert differing(KEYS, found) == (NOT_SAID_IN_A_SECRET, COMMA_IN_THE_SECRET)
    for vector in KEYS:
        if vector.number in COMMA_IN_THE_SECRET:
            assert "," in secret_of(vector.keys)


@pytest.mark.usefixtures("_any_payload")
def test_public_keys_are_what_they_are_marked_as(tmp_path: Path) -> None:
    found = by_jwks(KEYS, tmp_path)
    assert len(found) == 26
    # All four keys are secrets.
    assert differing(KEYS, found) == (set(), {2, 13, 14, 15})


@pytest.mark.usefixtures("_any_payload")
def test_signatures_over_plain_texts_are_what_they_are_marked_as(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """These vectors are signatures of plain texts, not of logins (JWS). Therefore the test replaces
    the code that splits a login into its parts: its result has the text and the signature of a
    vector."""
    found = {}
    for vector in signature_vectors():
        (tmp_path / "keys.json").write_text(jwks(vector.jwk))
        header = {"alg": "RS256", "kid": vector.jwk["kid"]}
        parts = (b"", vector.message, header, vector.signature)
        monkeypatch.setattr(jwt.PyJWS, "_load", lambda *_, parts=parts: parts)
        found[vector.number] = logs_in(
            logins_of(JWT_JWKS_FILE=str(tmp_path / "keys.json")), SOUND_LOGIN
        )
    # "Acceptable" vectors lack the NULL of the DigestInfo, which RFC 8017, appendix B.1, requires.
    valid = {vector.number for vector in signature_vectors() if vector.result == "valid"}
    assert {number for number, is_taken in found.items() if is_taken} == valid
    assert (len(found), len(valid)) == (53, 9)


def test_a_key_of_the_faulty_generator_is_told_from_sound_ones() -> None:
    by_number = {vector.number: vector for vector in KEYS}
    (roca,) = by_number[7].keys
    assert is_roca(int.from_bytes(base64url.decode(roca["n"]), "big"))
    others = [key["n"] for vector in SIGNATURES + KEYS for key in vector.keys if "n" in key]
    sound = {n for n in others if n != roca["n"]}
    assert len(sound) == 7
    assert not any(is_roca(int.from_bytes(base64url.decode(n), "big")) for n in sound)
    assert not is_roca(rsa.generate_private_key(65537, 2048).public_key().public_numbers().n)


def test_one_key_of_the_faulty_generator_costs_no_other_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (roca,) = next(vector.keys for vector in KEYS if vector.number == 7)
    (tmp_path / "keys.json").write_text(jwks(roca, jwk("RS256", "own")))
    logins = logins_of(JWT_JWKS_FILE=str(tmp_path / "keys.json"))
    assert logs_in(logins, login(RSA_KEY, "RS256", "own"))
    assert "CVE-2017-15361" in caplog.text


def signed(header: dict[str, object], payload: str) -> str:
    """Return a login with a valid signature. The login has exactly this text as its payload."""
    return resigned(f"{base64url.encode(json.dumps(header).encode())}.{payload}.")


def resigned(login: str) -> str:
    text = login.rpartition(".")[0]
    return f"{text}.{base64url.encode(hmac.digest(SECRET.encode(), text.encode(), hashlib.sha256))}"


# The login expires only in 2100, because it is made when the tests are collected, which may be long
# before they run.
PAYLOAD = json.dumps(claims(exp=4102444800))
ENCODED = base64url.encode(PAYLOAD.encode())
SOUND_LOGIN = signed({"alg": "HS256"}, ENCODED)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_padding_is_right_or_the_login_is_refused(part: int) -> None:
    """Vectors 367 and 370 were meant to test the padding of base64. RFC 7515 omits padding, but
    PyJWT accepts it because AWS's load balancers send it. Only the padding of RFC 4648 is
    accepted."""
    parts = SOUND_LOGIN.split(".")
    logins = logins_of(JWT_SECRET=SECRET)

    def with_part(changed: str) -> str:
        text = ".".join([*parts[:part], changed, *parts[part + 1 :]])
        # The signature covers the changed text, so only the padding is wrong.
        return text if part == 2 else resigned(text)

    own = parts[part]
    right = "=" * (-len(own) % 4)
    wrong = [f"{own}{'=' * count}" for count in range(1, 5) if count != len(right)]
    wrong += [
        f"={own}",
        f"{own[:4]}={own[4:]}",
        f"{own}{right}A",
        f"{own[:4]} {own[4:]}",
        f"{own}%3D",
        f"{own[:4]}\n{own[4:]}",
    ]
    assert logs_in(logins, with_part(own + right))
    assert [text for text in wrong if logs_in(logins, with_part(text))] == []


DETACHED = signed({"alg": "HS256", "b64": False, "crit": ["b64"]}, PAYLOAD)


@pytest.mark.parametrize(
    "text",
    [
        # RFC 7515, 4.1.11: a critical member that is not understood must be refused.
        signed({"alg": "HS256", "crit": ["exp"], "exp": 1}, ENCODED),
        signed({"alg": "HS256", "crit": ["https://example.com/x"]}, ENCODED),
        signed({"alg": "HS256", "crit": []}, ENCODED),
        signed({"alg": "HS256", "crit": "b64", "b64": True}, ENCODED),
        signed({"alg": "HS256", "crit": None}, ENCODED),
        # RFC 7797, 7: the payload of a JWT must be encoded.
        DETACHED,
        f"{DETACHED.split('.')[0]}..{DETACHED.split('.')[-1]}",
        signed({"alg": "HS256", "b64": False, "crit": ["b64"]}, ENCODED),
        signed({"alg": "HS256", "b64": False}, ENCODED),
    ],
)
def test_what_a_header_marks_as_critical_is_refused(text: str) -> None:
    """Wycheproof has no vectors for critical headers, so we made these vectors from RFC 7515 and
    RFC 7797."""
    logins = logins_of(JWT_SECRET=SECRET)
    assert logs_in(logins, SOUND_LOGIN)
    assert not logs_in(logins, text)
