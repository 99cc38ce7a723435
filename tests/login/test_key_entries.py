"""A JWKS is read entry by entry. The tests show which entries are used, which are left out, and
why. No entry affects another one."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from configuration import logins_of
from signed_logins import (
    EC_KEY,
    ED_KEY,
    KEYS,
    RSA_KEY,
    PrivateKey,
    claims,
    forged,
    jwk,
    jwks,
    login,
    public_pem,
)
from token_service.http.messages import Request
from token_service.login import key_entries
from token_service.login.key_entries import Keys
from token_service.login.logins import Logins
from token_service.login.refusals import InvalidToken
from tried import examples

OTHERS: dict[str, PrivateKey] = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def other(algorithm: str, kid: str = "", **changes: object) -> dict[str, object]:
    """Return another key of that algorithm."""
    made: dict[str, object] = jwt.get_algorithm_by_name(algorithm).to_jwk(
        OTHERS[algorithm].public_key(), as_dict=True
    )
    return {**made, **({"kid": kid} if kid else {}), **changes}


def read(*entries: object) -> tuple[Keys, list[str]]:
    """Return the keys of a JWKS with these entries, and the log lines about entries that are left
    out."""
    keys, left_out = key_entries.read(json.dumps({"keys": entries}).encode())
    return keys, [str(one) for one in left_out]


def private(algorithm: str) -> dict[str, object]:
    made: dict[str, object] = jwt.get_algorithm_by_name(algorithm).to_jwk(
        KEYS[algorithm], as_dict=True
    )
    return made


def by_set(folder: Path, document: str) -> Logins:
    """Return a verifier of logins that uses the key set `document`."""
    path = folder / "keys.json"
    path.write_text(document)
    return logins_of(JWT_JWKS_FILE=str(path))


def user(logins: Logins, text: str) -> str:
    request = Request("GET", "/", {}, {"authorization": f"Bearer {text}"})
    return logins.verified(request).user_id


def refused(logins: Logins, text: str) -> str:
    with pytest.raises(InvalidToken) as error:
        user(logins, text)
    return error.value.message


# One kid


def test_keys_of_one_kid_are_told_apart_by_the_logins_algorithm(tmp_path: Path) -> None:
    """By RFC 7517, 4.5, keys of different types may have the same kid."""
    logins = by_set(tmp_path, jwks(*(jwk(name, "k") for name in KEYS)))
    for name, key in KEYS.items():
        assert user(logins, login(key, name, kid="k")) == "alice"
        assert "signature" in refused(logins, login(OTHERS[name], name, kid="k"))


def test_keys_of_one_kid_for_other_algorithms_leave_ours_alone() -> None:
    keys, left_out = read(*(jwk("RS256", "k", alg=name) for name in ("RS512", "RS256", "PS256")))
    assert ("k", "RS256") in keys
    assert len(left_out) == 2


def test_a_key_that_stands_twice_is_no_conflict() -> None:
    repeated = jwk("RS256", "k"), jwk("RS256", "k", use="sig"), jwk("RS256", "k", x5t="abc")
    keys, left_out = read(*repeated)
    assert ("k", "RS256") in keys
    assert left_out == []


def test_of_two_keys_with_one_kid_and_algorithm_none_is_used_and_all_others_are() -> None:
    """If two keys have the same kid and algorithm, one would silently replace the other, so neither
    is used."""
    odd = jwk("RS256", "k"), jwk("ES256", "k"), other("RS256", "k"), jwk("RS256", "k")
    keys, left_out = read(*odd, jwk("EdDSA", "e"))
    assert ("k", "RS256") not in keys
    assert {("k", "ES256"), ("e", "EdDSA")} <= set(keys)
    reason = "(kid 'k') is left out: another RS256 key has the same kid, or neither key has a kid"
    assert left_out == [f"entry {place} {reason}" for place in (1, 3, 4)]


def test_an_ambiguous_kid_hides_no_other_reason() -> None:
    _, left_out = read(jwk("RS256", "k"), {}, other("RS256", "k"), jwk("ES256", use="enc"))
    assert [line.partition(":")[2][:15] for line in left_out] == [
        " another RS256 ",
        " its type (kty,",
        " another RS256 ",
        " its use is not",
    ]


def test_two_keys_without_a_kid_are_ambiguous_too() -> None:
    keys, left_out = read(jwk("RS256"), other("RS256"), jwk("ES256"))
    assert set(keys) == {("", "ES256")}
    assert [line.partition(":")[0] for line in left_out] == [
        "entry 1 is left out",
        "entry 2 is left out",
    ]


def test_a_login_without_a_kid_is_verified_by_the_only_key_of_its_algorithm(tmp_path: Path) -> None:
    two = by_set(tmp_path, jwks(jwk("RS256", "a"), jwk("ES256", "b"), other("ES256", "c")))
    assert user(two, login(RSA_KEY, "RS256")) == "alice"
    assert "several" in refused(two, login(EC_KEY, "ES256"))
    assert "unknown" in refused(two, login(RSA_KEY, "RS256", kid="other"))


# Members


@pytest.mark.parametrize("name", ["kid", "use", "alg", "key_ops", "d", "crv", "x5c", "own"])
def test_a_member_that_is_null_is_absent(name: str) -> None:
    keys, left_out = read({**jwk("RS256"), name: None})
    assert set(keys) == {("", "RS256")}
    assert left_out == []


def test_unknown_members_are_ignored_and_the_last_of_two_with_one_name_counts() -> None:
    """RFC 7517, 4."""
    assert read(jwk("ES256", "k", use="sig", d2=[], **{"x5t#S256": 7}))[1] == []
    twice = json.dumps(jwk("ES256", use="sig")).replace('"use"', '"use": "enc", "use"')
    keys, _ = key_entries.read(f'{{"keys": [{twice}]}}'.encode())
    assert set(keys) == {("", "ES256")}


@pytest.mark.parametrize("curve", ["P-256", "Ed25519", "", 7])
def test_an_rsa_key_has_no_curve_whatever_stands_there(curve: object) -> None:
    assert set(read(jwk("RS256", crv=curve))[0]) == {("", "RS256")}


def test_a_kid_that_is_a_number_is_found_by_its_text() -> None:
    keys, left_out = read(jwk("ES256", **{"kid": 7}))  # type: ignore[arg-type]
    assert ("7", "ES256") in keys
    assert left_out == []


@pytest.mark.parametrize("kid", ["true", "1.5", '["k"]', '{"k": "k"}', "1" * 5000, "NaN"])
def test_a_kid_of_another_type_is_none(kid: str) -> None:
    """RFC 7517, 4.5, about the kid: "MUST be a case-sensitive string"."""
    odd, good = json.dumps(jwk("RS256", "@")).replace('"@"', kid), json.dumps(jwk("ES256", "k"))
    keys, left_out = key_entries.read(f'{{"keys": [{odd}, {good}]}}'.encode())
    assert ("k", "ES256") in keys
    assert [one.reason for one in left_out] == ["its kid is not text"]


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["none", "one"])
def test_a_byte_order_mark_is_taken(start: bytes) -> None:
    assert ("k", "RS256") in key_entries.read(start + jwks(jwk("RS256", "k")).encode())[0]


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (b"\x1f\x8b\x08\x00\xff", "compressed"),
        (b"\xff\xfe{\x00", "is not UTF-8; it must be JSON in UTF-8"),
        (b"<html>", "must be a JWKS"),
        (b'{"keys": null}', "must be a JWKS"),
        (b'{"jwks": []}', "must be a JWKS"),
        (b"[" * 50_000, "must be a JWKS"),
    ],
)
def test_what_is_no_key_set_is_said(document: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        key_entries.read(document)


# Why an entry is left out


def _short() -> dict[str, object]:
    small = rsa.generate_private_key(65537, 1024)  # noqa: S505
    made: dict[str, object] = jwt.get_algorithm_by_name("RS256").to_jwk(
        small.public_key(), as_dict=True
    )
    return made


REASONS: dict[str, tuple[object, str]] = {
    "a number": (7, "not a JSON object"),
    "null": (None, "not a JSON object"),
    "text": ("key", "not a JSON object"),
    "empty": ({}, "kty, crv"),
    "a secret": ({"kty": "oct", "k": "c2VjcmV0"}, "kty, crv"),
    "a secret that says RS256": ({**jwk("RS256"), "kty": "oct", "k": "c2Vj"}, "kty, crv"),
    "another curve": (jwk("ES256", crv="P-384"), "kty, crv"),
    "for key agreement": (jwk("EdDSA", crv="X25519"), "kty, crv"),
    "a list as kty": ({"kty": ["RSA"]}, "kty, crv"),
    "another case": (jwk("RS256", kty="rsa"), "kty, crv"),
    "for encryption": (jwk("RS256", use="enc"), "use is not sig"),
    "another case of use": (jwk("RS256", use="SIG"), "use is not sig"),
    "a list of uses": (jwk("RS256", use=["sig"]), "use is not sig"),
    "for signing": (jwk("ES256", key_ops=["sign"]), "key_ops do not include verify"),
    "for nothing": (jwk("ES256", key_ops=[]), "key_ops do not include verify"),
    "for two uses that differ": (jwk("ES256", use="enc", key_ops=["verify"]), "use is not sig"),
    "claims HS256": (jwk("RS256", alg="HS256"), "alg must be RS256"),
    "claims none": (jwk("ES256", alg="none"), "alg must be ES256"),
    "claims another kind": (jwk("RS256", alg="ES256"), "alg must be RS256"),
    "claims RS512": (jwk("RS256", alg="RS512"), "alg must be RS256"),
    "claims Ed25519 and is none": (jwk("ES256", alg="Ed25519"), "alg must be ES256"),
    "an algorithm of lists": (jwk("ES256", alg=["ES256"]), "alg must be ES256"),
    "private RSA": (private("RS256"), "private key"),
    "private EC": (private("ES256"), "private key"),
    "private OKP": (private("EdDSA"), "private key"),
    **{
        f"{algorithm} with {member} alone": (jwk(algorithm, **{member: "AQAB"}), "private key")
        for algorithm, members in {
            "RS256": ("d", "p", "q", "dp", "dq", "qi", "oth"),
            "ES256": ("d",),
            "EdDSA": ("d",),
        }.items()
        for member in members
    },
    "1024 bits": (_short(), "it has 1024 bits, but needs at least 2048"),
    "an exponent of 1": (jwk("RS256", e="AQ"), "numbers are not a valid key"),
    "no numbers": ({"kty": "RSA", "n": 7, "e": []}, "numbers are not a valid key"),
    "no point of the curve": (jwk("ES256", x="A" * 43), "numbers are not a valid key"),
    "half a key": ({"kty": "OKP", "crv": "Ed25519"}, "numbers are not a valid key"),
}


@pytest.mark.parametrize(("entry", "reason"), REASONS.values(), ids=REASONS)
def test_an_entry_that_is_left_out_has_its_reason_and_spoils_nothing(
    entry: object, reason: str
) -> None:
    keys, left_out = read(jwk("RS256", "before"), entry, other("ES256", "after"))
    assert {("before", "RS256"), ("after", "ES256")} <= set(keys)
    assert len(keys) == 4
    (said,) = left_out
    assert said.startswith("entry 2 is left out: ")
    assert reason in said


def test_a_key_set_may_be_longer_than_what_is_kept_of_it() -> None:
    many = [_ed(f"k{number}") for number in range(103)]
    keys, left_out = read(*many, many[0])
    assert len([name for name in keys if name[1] == "EdDSA"]) == 100
    assert [line.partition(" (")[0] for line in left_out] == [f"entry {n}" for n in (101, 102, 103)]
    assert "100 usable keys come before it" in left_out[0]


def _ed(kid: str) -> dict[str, object]:
    made = jwt.get_algorithm_by_name("EdDSA").to_jwk(
        ed25519.Ed25519PrivateKey.generate().public_key(), as_dict=True
    )
    return {**made, "kid": kid}


@pytest.mark.parametrize("kid", ["k" * 5000, "\n{}\x1b[31m", "密钥\u202e", "\ud800", "' is"])
def test_what_is_said_of_an_entry_is_short_and_printable(kid: str) -> None:
    (said,) = read(jwk("RS256", kid, use=f"enc{kid}"))[1]
    assert said.isascii()
    assert said.isprintable()
    assert len(said) < 200


# EdDSA by its newer name


@pytest.mark.parametrize("named", ["EdDSA", "Ed25519", None])
def test_ed25519_is_eddsa_in_keys_and_in_logins(tmp_path: Path, named: str | None) -> None:
    """RFC 9864, 2.2."""
    logins = by_set(tmp_path, jwks(jwk("EdDSA", "k", alg=named), jwk("RS256", "r")))
    old = login(ED_KEY, "EdDSA", kid="k")
    new = signed(ED_KEY, {"alg": "Ed25519", "kid": "k"})
    assert user(logins, old) == user(logins, new) == "alice"
    # For the second login, the name "Ed25519" is known already.
    assert user(logins, new) == "alice"
    assert "signature" in refused(logins, signed(OTHERS["EdDSA"], {"alg": "Ed25519", "kid": "k"}))
    refused(logins, signed(ED_KEY, {"alg": "Ed25519", "kid": "r"}))
    refused(logins, signed(ED_KEY, {"alg": "Ed448", "kid": "k"}))


def signed(key: Any, header: dict[str, object]) -> str:
    """Return a login with this header, signed as EdDSA. The header may name another algorithm."""
    text = forged(header, claims())
    signature = key.sign(text.rpartition(".")[0].encode())
    return forged(header, claims(), signature)


# Attacks


@pytest.mark.parametrize("kid", ["RS256", "ES256", "EdDSA", None])
@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512", "none", "NONE", "", "Ed448"])
def test_a_login_never_chooses_what_a_key_is_for(
    tmp_path: Path, kid: str | None, algorithm: str
) -> None:
    """These logins have an HMAC signature, whose secret is the public key that everybody knows."""
    document = jwks(*(jwk(name, name) for name in KEYS))
    logins = by_set(tmp_path, document)
    header: dict[str, object] = {"alg": algorithm, **({"kid": kid} if kid else {})}
    text = forged(header, claims())
    for secret in (document.encode(), *(public_pem(key) for key in KEYS.values()), b""):
        for digest in (hashlib.sha256, hashlib.sha384, hashlib.sha512):
            signature = hmac.digest(secret, text.rpartition(".")[0].encode(), digest)
            refused(logins, forged(header, claims(), signature))
    refused(logins, text)


@pytest.mark.parametrize("algorithm", [["RS256"], {"RS256": 1}, None, 7, True, "RS256\0", "rs256"])
def test_an_algorithm_that_is_none_of_ours_is_refused(tmp_path: Path, algorithm: object) -> None:
    logins = by_set(tmp_path, jwks(jwk("RS256", "k"), jwk("ES256", "k")))
    refused(logins, forged({"alg": algorithm, "kid": "k"}, claims(), b"x" * 64))


def test_a_key_that_claims_anothers_algorithm_verifies_nothing(tmp_path: Path) -> None:
    odd = jwk("RS256", "k", alg="HS256"), jwk("ES256", "k", alg="RS256")
    document = jwks(*odd, jwk("EdDSA", "e"))
    logins = by_set(tmp_path, document)
    for name, key in KEYS.items():
        if name != "EdDSA":
            assert "unknown" in refused(logins, login(key, name, kid="k"))


def test_a_secret_in_the_set_verifies_nothing(tmp_path: Path) -> None:
    secret = {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "alg": "HS256"}
    logins = by_set(tmp_path, jwks({**secret, "kid": "k"}, jwk("ES256", "e")))
    text = login("secret-secret-secret-secret-secret", "HS256", kid="k")
    assert "unknown" in refused(logins, text)


def test_who_took_a_private_key_out_of_the_set_gets_nothing_by_it(tmp_path: Path) -> None:
    logins = by_set(tmp_path, jwks({**private("RS256"), "kid": "k"}, jwk("ES256", "e")))
    assert "unknown" in refused(logins, login(RSA_KEY, "RS256", kid="k"))
    assert "algorithm" in refused(logins, login(RSA_KEY, "RS256"))


# Sets with any content

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
WORDS = "RSA EC OKP oct P-256 Ed25519 AQAB sig enc RS256 ES256 HS256".split()
NAMES = "kty crv n e d x y k kid alg use key_ops x5c own".split()
MEMBERS = st.dictionaries(
    st.sampled_from(NAMES) | st.text(), st.sampled_from([*WORDS, ["verify"]]) | JSON, max_size=6
)
"""Some members of a key, with values of any type."""
SOUND_KEYS = [jwk(name) for name in KEYS] + [other(name) for name in OTHERS]
ODD = (
    st.builds(lambda key, members: {**key, **members}, st.sampled_from(SOUND_KEYS), MEMBERS)
    | MEMBERS
    | JSON
)
LOGINS = {name: login(key, name, exp=int(time.time()) + 100_000) for name, key in KEYS.items()}
GOOD = {("good", "RS256"), ("good", "ES256"), ("good", "EdDSA")}


def _is_apart(entry: object) -> bool:
    """Return whether an entry has another kid than the good keys. Another test has ambiguous
    kids."""
    return not isinstance(entry, dict) or entry.get("kid") != "good"


@given(st.lists(ODD.filter(_is_apart), max_size=8), st.integers(0, 8))
@examples(40, many=2000)
def test_a_good_key_works_whatever_stands_beside_it(odd: list[object], place: int) -> None:
    entries = [*odd[:place], *(jwk(name, "good") for name in KEYS), *odd[place:]]
    document = json.dumps({"keys": entries}).encode()
    keys, left_out = key_entries.read(document)
    assert set(keys) >= GOOD
    for name, text in LOGINS.items():
        found = keys["good", name]
        assert jwt.decode(text, found.key, algorithms=[found.algorithm])["sub"] == "alice"
    # Each entry is either used or reported.
    for one in left_out:
        assert 1 <= one.place <= len(entries)
        assert str(one).isascii()
        assert str(one).isprintable()
        assert len(str(one)) < 200
    for (_, algorithm), made in keys.items():
        kind = {"RS256": rsa.RSAPublicKey, "ES256": ec.EllipticCurvePublicKey}
        assert isinstance(made.key, kind.get(algorithm, ed25519.Ed25519PublicKey))
        assert made.algorithm == algorithm


@given(JSON, st.sampled_from(["{}", '{{"keys": {}}}', '{{"keys": [{}]}}', "{}}}", "\ufeff{}"]))
@examples(100, many=5000)
def test_any_document_is_read_or_refused_in_words(value: object, form: str) -> None:
    document = form.format(json.dumps(value)).encode()
    try:
        keys, _ = key_entries.read(document)
    except ValueError as error:
        assert str(error) == 'must be a JWKS: {"keys": [...]}'  # noqa: PT017
    else:
        assert keys == {}
