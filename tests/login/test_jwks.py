"""The keys that logins are verified with: what is accepted, fetched, kept, and for how long."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from configuration import jwt_settings
from scripted_sts import Move, ScriptedSts, answer, drip, hang, raw, reset, scripted_sts
from signed_logins import jwk, jwks
from token_service.errors import Misconfiguration
from token_service.login.jwks import (
    MAX_AGE_SECONDS,
    MIN_INTERVAL_SECONDS,
    RETRY_SECONDS,
    KeySet,
    KeysUnreachable,
    _parsed,
)
from token_service.login.jwt import Jwt
from token_service.login.refusals import InvalidToken
from token_service.settings.addresses import Url
from token_service.settings.reading import read_settings
from token_service.settings.values import Endpoint

ONE = jwks(jwk("RS256", "one"))
TWO = jwks(jwk("ES256", "two"))
BOTH = jwks(jwk("RS256", "one"), jwk("ES256", "two"))


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def from_server(server: ScriptedSts, clock: Clock) -> KeySet:
    url = Url(Endpoint("http", "127.0.0.1", server.port), "/keys.json")
    return KeySet(Jwt("", url, None, (), "sub"), clock)


def serve(document: str) -> Move:
    return answer(200, document.encode())


def from_file(path: Path, text: str | bytes) -> KeySet:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return KeySet(Jwt(str(path), None, None, (), "sub"))


# A bundled file


def test_a_key_is_found_by_its_kid_with_the_algorithm_of_its_kind(tmp_path: Path) -> None:
    keys = from_file(tmp_path / "k", jwks(*(jwk(a, a) for a in ("RS256", "ES256", "EdDSA"))))
    for algorithm in ("RS256", "ES256", "EdDSA"):
        assert keys.find(algorithm).algorithm == algorithm
    for kid in ("other", None, "", 7, ["RS256"]):
        with pytest.raises(InvalidToken, match="kid"):
            keys.find(kid)


def test_the_only_key_needs_no_kid(tmp_path: Path) -> None:
    keys = from_file(tmp_path / "k", jwks(jwk("EdDSA")))
    assert keys.find(None).algorithm == "EdDSA"
    with pytest.raises(InvalidToken):
        keys.find("other")


def _small_rsa() -> dict[str, object]:
    small = rsa.generate_private_key(65537, 1024)  # noqa: S505
    made: dict[str, object] = jwt.get_algorithm_by_name("RS256").to_jwk(
        small.public_key(), as_dict=True
    )
    return made


UNUSABLE = {
    "for encryption": jwk("RS256", use="enc"),
    "for another algorithm": jwk("RS256", alg="RS512"),
    "a secret": {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"},
    "another curve": jwk("ES256", crv="secp256k1"),
    "a private key": jwk("EdDSA", d="nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"),
    "a short RSA key": _small_rsa(),
    "no numbers": {"kty": "RSA", "n": 7, "e": []},
    "no point": jwk("ES256", x="AAAA"),
    "of unknown kind": {"kty": "XYZ"},
    # A19; RFC 7517, 4.3.
    "whose key_ops are for encryption": jwk("RS256", key_ops=["encrypt", "wrapKey"]),
    "whose key_ops are for signing": jwk("EdDSA", key_ops=["sign"]),
    "whose key_ops are none": jwk("ES256", key_ops=[]),
    "whose key_ops are no list": jwk("ES256", key_ops="verify"),
    "whose key_ops are in another case": jwk("ES256", key_ops=["Verify", ["verify"]]),
    "whose key_ops are of numbers": jwk("ES256", key_ops={"verify": 1}),
    "of a list's kind": {"kty": ["RSA"], "crv": {"a": 1}},
}


@pytest.mark.parametrize("key", UNUSABLE.values(), ids=UNUSABLE)
def test_what_is_no_signing_key_is_left_out(tmp_path: Path, key: dict[str, object]) -> None:
    keys = from_file(tmp_path / "k", jwks({**key, "kid": "bad"}, jwk("ES256", "good")))
    assert keys.find("good").algorithm == "ES256"
    with pytest.raises(InvalidToken):
        keys.find("bad")
    with pytest.raises(Misconfiguration, match="JWT_JWKS_FILE: has no key for RS256"):
        from_file(tmp_path / "k", jwks(key))


@pytest.mark.parametrize("key_ops", [["verify"], ["sign", "verify"], ["verify", 7], None])
def test_a_key_whose_key_ops_let_it_verify_is_used(tmp_path: Path, key_ops: object) -> None:
    keys = from_file(tmp_path / "k", jwks(jwk("ES256", "good", key_ops=key_ops)))
    assert keys.find("good").algorithm == "ES256"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must be a JWKS"),
        ("not JSON", "must be a JWKS"),
        ("[]", "must be a JWKS"),
        ("{}", "must be a JWKS"),
        ('{"keys": {}}', "must be a JWKS"),
        ('{"keys": []}', "has no key"),
        ('{"keys": [7, null, []]}', "has no key"),
        ("[" * 100_000, "must be a JWKS"),
        (b"\xff\xfe", "utf-8|UTF-8"),
        (jwks(*[jwk("EdDSA", str(n)) for n in range(101)]), "at most 100"),
        (jwks(jwk("RS256"), jwk("ES256")), "a kid of its own"),
        (jwks(jwk("RS256", "a"), jwk("ES256", "a")), "a kid of its own"),
    ],
)
def test_a_file_that_is_no_jwks_is_a_misconfiguration(
    tmp_path: Path, text: str | bytes, says: str
) -> None:
    with pytest.raises(Misconfiguration, match="JWT_JWKS_FILE: ") as error:
        from_file(tmp_path / "k", text)
    assert re.search(says, error.value.message)


def test_a_file_that_is_not_there_is_a_misconfiguration() -> None:
    with pytest.raises(Misconfiguration, match="JWT_JWKS_FILE: cannot be read"):
        KeySet(Jwt("/nowhere/keys.json", None, None, (), "sub"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
HOSTILE_KEYS = st.dictionaries(
    st.sampled_from(["kty", "crv", "n", "e", "x", "y", "kid", "alg", "use", "key_ops"]),
    st.sampled_from(["RSA", "EC", "OKP", "P-256", "Ed25519", "AQAB", "sig", "RS256"]) | JSON,
)


@pytest.mark.slow
@given(st.lists(HOSTILE_KEYS | JSON) | JSON)
def test_hostile_keys_are_refused_and_never_break(keys: object) -> None:
    with pytest.raises(ValueError, match=r"key|JWKS"):
        _parsed(json.dumps({"keys": keys}))


# A URL


def test_keys_are_fetched_once_and_kept_for_an_hour(clock: Clock) -> None:
    with scripted_sts(serve(ONE), serve(BOTH)) as server:
        keys = from_server(server, clock)
        for _ in range(10):
            assert keys.find("one").algorithm == "RS256"
        assert server.connections == 1
        clock.now += MAX_AGE_SECONDS + 1
        keys.find("one")
        assert server.connections == 2


def test_warm_fetches_before_the_first_login(clock: Clock) -> None:
    with scripted_sts(serve(ONE)) as server:
        keys = from_server(server, clock)
        keys.warm()
        assert server.connections == 1
        keys.find("one")
        assert server.connections == 1


def test_an_unknown_kid_is_fetched_for_but_once_a_minute(clock: Clock) -> None:
    with scripted_sts(serve(ONE), serve(BOTH)) as server:
        keys = from_server(server, clock)
        keys.find("one")
        for kid in ("two", "three", "four"):
            with pytest.raises(InvalidToken):
                keys.find(kid)
        assert server.connections == 1
        clock.now += MIN_INTERVAL_SECONDS
        assert keys.find("two").algorithm == "ES256"
        assert server.connections == 2
        for _ in range(10):
            with pytest.raises(InvalidToken):
                keys.find("three")
        assert server.connections == 2


FAULTS = {
    "refused": reset,
    "500": answer(500, b"{}"),
    "a redirect": raw(
        b"HTTP/1.1 302 X\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"
    ),
    "HTML": answer(200, b"<html>"),
    "no keys": serve('{"keys": []}'),
    "not UTF-8": answer(200, b"\xff"),
    "half an answer": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"),
    "too much": answer(200, ONE.encode() + b" " * 70_000),
    "too much, and says not how much": raw(b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 70_000),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_the_last_good_keys_are_kept_when_a_fetch_fails(clock: Clock, fault: Move) -> None:
    with scripted_sts(serve(ONE), fault, fault, serve(TWO)) as server:
        keys = from_server(server, clock)
        keys.find("one")
        for _ in range(2):
            clock.now += MAX_AGE_SECONDS + 1
            assert keys.find("one").algorithm == "RS256"
        assert server.connections == 3
        clock.now += MIN_INTERVAL_SECONDS
        assert keys.find("two").algorithm == "ES256"
        with pytest.raises(InvalidToken):
            keys.find("one")


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_without_any_keys_the_fault_is_said_and_the_fetch_soon_tried_again(
    clock: Clock, fault: Move
) -> None:
    with scripted_sts(fault, serve(ONE)) as server:
        keys = from_server(server, clock)
        # The first says why; the others did not try.
        for end in (": .+", *["$"] * 4):
            with pytest.raises(
                KeysUnreachable, match=f"JWT_JWKS_URL cannot be fetched{end}"
            ) as error:
                keys.find("one")
        assert error.value.status == 503
        assert server.connections == 1
        clock.now += RETRY_SECONDS
        assert keys.find("one").algorithm == "RS256"


@pytest.mark.parametrize("slow", [hang, drip(b"HTTP/1.1 200 OK\r\n" * 100)], ids=["hang", "drip"])
def test_a_slow_key_server_does_not_eat_the_time_of_the_answer(clock: Clock, slow: Move) -> None:
    with scripted_sts(slow) as server:
        keys = from_server(server, clock)
        began = time.monotonic()
        with pytest.raises(KeysUnreachable):
            keys.find("one")
        assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    "url",
    [
        "http://id.example.com/keys",
        "ftp://id.example.com/keys",
        "file:///etc/keys.json",
        "https://user@id.example.com/keys",
        "https://id.example.com/keys#part",
        "https://id.example.com:0/keys",
        "https:///keys",
        "https://id.example.com/keys\r\nX: y",
        "https://id.example.com/a b",
        "http://127.0.0.1.evil.example/keys",
        "id.example.com",
    ],
)
def test_keys_are_fetched_over_https_only(env: dict[str, str], url: str) -> None:
    env.update(AUTH="jwt", JWT_JWKS_URL=url)
    with pytest.raises(Misconfiguration, match="JWT_JWKS_URL: ") as error:
        read_settings(env)
    assert url not in error.value.message


def test_a_key_url_keeps_its_path_and_query(env: dict[str, str]) -> None:
    env.update(AUTH="jwt", JWT_JWKS_URL="https://ID.example.com:8443/a/keys?v=2")
    logins = jwt_settings(env)
    assert logins.keys_url == Url(Endpoint("https", "id.example.com", 8443), "/a/keys?v=2")


def test_one_source_of_keys_is_needed_and_no_more(env: dict[str, str]) -> None:
    sources = {"JWT_SECRET": "s" * 32, "JWT_JWKS_FILE": "k", "JWT_JWKS_URL": "https://a.example/k"}
    env["AUTH"] = "jwt"
    for first, second in (("JWT_SECRET", "JWT_JWKS_FILE"), ("JWT_JWKS_FILE", "JWT_JWKS_URL")):
        with pytest.raises(Misconfiguration, match=f"{first}: set together with {second}"):
            read_settings({**env, first: sources[first], second: sources[second]})
