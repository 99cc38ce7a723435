"""The keys that verify logins: which are accepted, how they are fetched, and how long they are
cached."""

from __future__ import annotations

import gzip
import json
import re
import time
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from configuration import jwt_settings
from scripted_sts import Move, ScriptedSts, answer, drip, hang, raw, reset, scripted_sts
from signed_logins import jwk, jwks
from token_service.errors import Misconfiguration
from token_service.login.jwks import (
    MAX_AGE_SECONDS,
    MAX_SAID,
    MIN_INTERVAL_SECONDS,
    RETRY_SECONDS,
    KeySet,
    KeysUnreachable,
)
from token_service.login.jwt import Jwt
from token_service.login.key_entries import PublicKey
from token_service.login.refusals import InvalidToken
from token_service.settings.addresses import Url
from token_service.settings.reading import read_settings
from token_service.settings.values import Endpoint

ONE = jwks(jwk("RS256", "one"))
TWO = jwks(jwk("ES256", "two"))
BOTH = jwks(jwk("RS256", "one"), jwk("ES256", "two"))


class Clock:
    """A clock that a test sets."""

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


def find(keys: KeySet, kid: object, algorithm: object = "") -> PublicKey:
    """Find a key by its kid and its algorithm. By default `algorithm` is an empty text, which is no
    key's algorithm."""
    return keys.find(KeySet.name({"kid": kid, "alg": algorithm}))


def serve(document: str) -> Move:
    return answer(200, document.encode())


def from_file(path: Path, text: str | bytes) -> KeySet:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return KeySet(Jwt(str(path), None, None, (), "sub"))


@pytest.mark.parametrize("odd", [None, 7, True, ["RS256"], {"k": "RS256"}])
def test_what_is_no_text_in_a_logins_header_names_no_key(odd: object) -> None:
    assert KeySet.name({"kid": odd, "alg": odd}) == ("", "")
    assert KeySet.name({"kid": "k", "alg": odd}) == ("k", "")


# A bundled file


def test_a_key_is_found_by_its_kid_with_the_algorithm_of_its_kind(tmp_path: Path) -> None:
    keys = from_file(tmp_path / "k", jwks(*(jwk(a, a) for a in ("RS256", "ES256", "EdDSA"))))
    for algorithm in ("RS256", "ES256", "EdDSA"):
        assert find(keys, algorithm, algorithm).algorithm == algorithm
    with pytest.raises(InvalidToken, match=r"its key \(kid\) is unknown"):
        find(keys, "other", "RS256")
    for kid in (None, "", 7, ["RS256"]):
        assert find(keys, kid, "RS256").algorithm == "RS256"


def test_the_only_key_needs_no_kid(tmp_path: Path) -> None:
    keys = from_file(tmp_path / "k", jwks(jwk("EdDSA")))
    assert find(keys, None).algorithm == "EdDSA"
    with pytest.raises(InvalidToken):
        find(keys, "other")


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
    assert find(keys, "good").algorithm == "ES256"
    with pytest.raises(InvalidToken):
        find(keys, "bad")
    with pytest.raises(Misconfiguration, match="JWT_JWKS_FILE: has no usable key"):
        from_file(tmp_path / "k", jwks(key))


@pytest.mark.parametrize("key_ops", [["verify"], ["sign", "verify"], ["verify", 7], None])
def test_a_key_whose_key_ops_let_it_verify_is_used(tmp_path: Path, key_ops: object) -> None:
    keys = from_file(tmp_path / "k", jwks(jwk("ES256", "good", key_ops=key_ops)))
    assert find(keys, "good").algorithm == "ES256"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must be a JWKS"),
        ("not JSON", "must be a JWKS"),
        ("[]", "must be a JWKS"),
        ("{}", "must be a JWKS"),
        ('{"keys": {}}', "must be a JWKS"),
        ('{"keys": []}', "has no usable key"),
        ('{"keys": [7, null, []]}', "has no usable key"),
        ("[" * 100_000, "must be a JWKS"),
        (b"\xff\xfe", "UTF-8"),
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


# A URL


def test_a_bare_file_name_lies_beside_the_entry_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a package, the file is next to the entry points. The working directory may be another
    folder."""
    monkeypatch.setattr("token_service.login.jwks.TOP", str(tmp_path))
    (tmp_path / "keys.json").write_text(ONE)
    keys = KeySet(Jwt("keys.json", None, None, (), "sub"))
    assert find(keys, "one").algorithm == "RS256"


def test_keys_are_fetched_once_and_kept_for_an_hour(clock: Clock) -> None:
    with scripted_sts(serve(ONE), serve(BOTH)) as server:
        keys = from_server(server, clock)
        for _ in range(10):
            assert find(keys, "one").algorithm == "RS256"
        assert server.connections == 1
        clock.now += MAX_AGE_SECONDS + 1
        find(keys, "one")
        assert server.connections == 2


def test_warm_fetches_before_the_first_login(clock: Clock) -> None:
    with scripted_sts(serve(ONE)) as server:
        keys = from_server(server, clock)
        keys.warm()
        assert server.connections == 1
        find(keys, "one")
        assert server.connections == 1


def test_an_unknown_kid_is_fetched_for_but_once_a_minute(clock: Clock) -> None:
    with scripted_sts(serve(ONE), serve(BOTH)) as server:
        keys = from_server(server, clock)
        find(keys, "one")
        for kid in ("two", "three", "four"):
            with pytest.raises(InvalidToken):
                find(keys, kid)
        clock.now += MIN_INTERVAL_SECONDS - 1
        with pytest.raises(InvalidToken):
            find(keys, "two")
        assert server.connections == 1
        clock.now += 1
        assert find(keys, "two").algorithm == "ES256"
        assert server.connections == 2
        for _ in range(10):
            with pytest.raises(InvalidToken):
                find(keys, "three")
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
        find(keys, "one")
        for _ in range(2):
            clock.now += MAX_AGE_SECONDS + 1
            assert find(keys, "one").algorithm == "RS256"
        assert server.connections == 3
        clock.now += MIN_INTERVAL_SECONDS
        assert find(keys, "two").algorithm == "ES256"
        with pytest.raises(InvalidToken):
            find(keys, "one")


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_without_any_keys_the_fault_is_said_and_the_fetch_soon_tried_again(
    clock: Clock, fault: Move
) -> None:
    with scripted_sts(fault, serve(ONE)) as server:
        keys = from_server(server, clock)
        # The first error says why the fetch failed. The next errors give no reason, because
        # the function did not try another fetch.
        for end in (": .+", *["$"] * 4):
            with pytest.raises(
                KeysUnreachable, match=f"JWT_JWKS_URL cannot be fetched{end}"
            ) as error:
                find(keys, "one")
        assert error.value.status == 503
        assert server.connections == 1
        clock.now += RETRY_SECONDS
        assert find(keys, "one").algorithm == "RS256"


@pytest.mark.parametrize("slow", [hang, drip(b"HTTP/1.1 200 OK\r\n" * 100)], ids=["hang", "drip"])
def test_a_slow_key_server_does_not_eat_the_time_of_the_answer(clock: Clock, slow: Move) -> None:
    with scripted_sts(slow) as server:
        keys = from_server(server, clock)
        began = time.monotonic()
        with pytest.raises(KeysUnreachable):
            find(keys, "one")
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


# What the log says


WITH_ODD = jwks(jwk("RS256", "one"), jwk("ES256", "two", use="enc"), {"kty": "oct", "kid": "s"})


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return found


def test_each_entry_that_was_left_out_is_in_the_log_once(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    more = json.loads(WITH_ODD)["keys"]
    # The second key list has the same entries in another order, and one new entry.
    after = jwks(*more[::-1], jwk("EdDSA", "three", alg="none"))
    with scripted_sts(serve(WITH_ODD), serve(WITH_ODD), serve(after)) as server:
        keys = from_server(server, clock)
        find(keys, "one", "RS256")
        assert lines(caplog) == [
            "JWT_JWKS_URL: entry 2 (kid 'two') is left out: its use is not sig",
            "JWT_JWKS_URL: entry 3 (kid 's') is left out: its type (kty, crv) is not RSA, EC with "
            "P-256 or OKP with Ed25519",
        ]
        clock.now += MAX_AGE_SECONDS + 1
        find(keys, "one", "RS256")
        assert lines(caplog) == []
        clock.now += MAX_AGE_SECONDS + 1
        find(keys, "one", "RS256")
        (line,) = lines(caplog)
        assert "(kid 'three')" in line


def test_what_is_left_out_of_a_file_is_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from_file(tmp_path / "k", WITH_ODD)
    assert [line.partition(" is")[0] for line in lines(caplog)] == [
        "JWT_JWKS_FILE: entry 2 (kid 'two')",
        "JWT_JWKS_FILE: entry 3 (kid 's')",
    ]


def test_a_long_list_of_odd_entries_does_not_fill_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    odd: list[dict[str, object]] = [{} for _ in range(2000)]
    keys = from_file(tmp_path / "k", jwks(*odd, jwk("ES256", "good")))
    assert find(keys, "good", "ES256").algorithm == "ES256"
    said = lines(caplog)
    assert len(said) == MAX_SAID + 1
    assert said[-1] == f"JWT_JWKS_FILE: {2000 - MAX_SAID} more entries are left out"


def test_as_many_odd_entries_as_get_a_line_are_all_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    odd: list[dict[str, object]] = [{} for _ in range(MAX_SAID)]
    from_file(tmp_path / "k", jwks(*odd, jwk("ES256", "good")))
    assert [line.partition(" is")[0] for line in lines(caplog)] == [
        f"JWT_JWKS_FILE: entry {number}" for number in range(1, MAX_SAID + 1)
    ]


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_each_refresh_that_failed_is_in_the_log_also_after_the_first_success(
    clock: Clock, caplog: pytest.LogCaptureFixture, fault: Move
) -> None:
    with scripted_sts(serve(ONE), fault, fault, serve(ONE)) as server:
        keys = from_server(server, clock)
        find(keys, "one", "RS256")
        assert lines(caplog) == []
        for _ in range(2):
            clock.now += MAX_AGE_SECONDS + 1
            # The second of two logins within a minute causes no fetch and no log line.
            for _ in range(2):
                find(keys, "one", "RS256")
            (line,) = lines(caplog)
            assert line.startswith("the keys of JWT_JWKS_URL cannot be fetched: ")
            assert line.endswith("; the old keys stay in use")
            assert len(line) < 250
        clock.now += MIN_INTERVAL_SECONDS
        find(keys, "one", "RS256")
        assert lines(caplog) == []


@pytest.mark.parametrize(
    ("move", "reason"),
    [
        (FAULTS["500"], "HTTP 500"),
        (FAULTS["refused"], "it closed the connection"),
        (FAULTS["too much"], "its answer exceeds 64 KB"),
        (FAULTS["too much, and says not how much"], "its answer exceeds 64 KB"),
        (
            answer(200, gzip.compress(ONE.encode())),
            "is compressed (gzip); it must be JSON in UTF-8",
        ),
        (FAULTS["not UTF-8"], "is not UTF-8"),
        (FAULTS["no keys"], "has no usable key"),
        (FAULTS["HTML"], "must be a JWKS"),
    ],
)
def test_a_fetch_that_failed_is_said_with_its_reason(
    clock: Clock, caplog: pytest.LogCaptureFixture, move: Move, reason: str
) -> None:
    with scripted_sts(move) as server:
        keys = from_server(server, clock)
        with pytest.raises(KeysUnreachable, match=re.escape(reason)):
            keys.warm()
    (line,) = lines(caplog)
    assert reason in line
    assert line.endswith("; there are no keys yet")


def test_no_compression_is_asked_for(clock: Clock) -> None:
    """Without Accept-Encoding the server could use any encoding (RFC 9110, 12.5.3), so the function
    asks for `identity`."""
    with scripted_sts(serve(ONE)) as server:
        from_server(server, clock).warm()
        assert b"\r\nAccept-Encoding: identity\r\n" in server.received[0][0]
        assert b"\r\nAccept: application/json\r\n" in server.received[0][0]


def test_a_key_set_with_a_byte_order_mark_is_taken(clock: Clock) -> None:
    with scripted_sts(answer(200, b"\xef\xbb\xbf" + ONE.encode())) as server:
        assert find(from_server(server, clock), "one", "RS256").algorithm == "RS256"


# A key set that changes while the service runs


def test_a_key_of_another_algorithm_by_a_known_kid_is_fetched_for(clock: Clock) -> None:
    after = jwks(jwk("RS256", "one"), jwk("ES256", "one"))
    with scripted_sts(serve(ONE), serve(after)) as server:
        keys = from_server(server, clock)
        assert find(keys, "one", "ES256").algorithm == "RS256"
        clock.now += MIN_INTERVAL_SECONDS
        assert find(keys, "one", "ES256").algorithm == "ES256"
        assert find(keys, "one", "RS256").algorithm == "RS256"
        assert server.connections == 2


def test_a_key_that_is_gone_is_still_what_a_login_is_tried_by(clock: Clock) -> None:
    """If a signature does not match, the keys are fetched again, and the new keys may no longer
    have the kid."""
    with scripted_sts(serve(ONE), serve(TWO)) as server:
        keys = from_server(server, clock)
        found, candidates = keys.candidates(("one", "RS256"))
        clock.now += MIN_INTERVAL_SECONDS
        assert list(candidates) == [found, found]
        assert server.connections == 2


def test_an_entry_that_becomes_ambiguous_takes_only_its_own_kid_down(clock: Clock) -> None:
    other = {**json.loads(ONE)["keys"][0], "e": "AQAD"}
    after = jwks(jwk("RS256", "one"), other, jwk("ES256", "two"))
    with scripted_sts(serve(BOTH), serve(after)) as server:
        keys = from_server(server, clock)
        find(keys, "one", "RS256")
        clock.now += MAX_AGE_SECONDS + 1
        assert find(keys, "two", "ES256").algorithm == "ES256"
        with pytest.raises(InvalidToken, match="unknown"):
            find(keys, "one", "RS256")


def test_a_key_url_keeps_its_path_and_query(env: dict[str, str]) -> None:
    env.update(AUTH="jwt", JWT_JWKS_URL="https://ID.example.com:8443/a/keys?v=2")
    logins = jwt_settings(env)
    assert logins.keys_url == Url(Endpoint("https", "id.example.com", 8443), "/a/keys?v=2")
    assert (logins.keys_file, logins.issuer, logins.audience) == ("", None, ())


def test_one_source_of_keys_is_needed_and_no_more(env: dict[str, str]) -> None:
    sources = {"JWT_SECRET": "s" * 32, "JWT_JWKS_FILE": "k", "JWT_JWKS_URL": "https://a.example/k"}
    env["AUTH"] = "jwt"
    for first, second in (("JWT_SECRET", "JWT_JWKS_FILE"), ("JWT_JWKS_FILE", "JWT_JWKS_URL")):
        with pytest.raises(Misconfiguration, match=f"{first}: set together with {second}"):
            read_settings({**env, first: sources[first], second: sources[second]})
    every = "JWT_SECRET: set together with JWT_JWKS_FILE and JWT_JWKS_URL;"
    with pytest.raises(Misconfiguration, match=every):
        read_settings({**env, **sources})
    with pytest.raises(Misconfiguration, match="JWT_SECRET: not set;"):
        read_settings(env)
