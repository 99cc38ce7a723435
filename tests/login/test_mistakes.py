"""The message that refuses a login names the mistake and the accepted form, but shows no part of a
login or secret."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configuration import logins_of
from signed_logins import KEYS, RSA_KEY, SECRET, claims, jwk, jwks, login
from token_service.http.messages import Request
from token_service.login.logins import Logins
from token_service.login.refusals import InvalidToken

HS256 = logins_of(JWT_SECRET=SECRET)


def told(text: str, logins: Logins = HS256, *, in_query: bool = False) -> str:
    """Return why a login is refused. The reason never quotes the login."""
    query = {"access_token": text} if in_query else {}
    headers = {} if in_query else {"authorization": f"Bearer {text}"}
    with pytest.raises(InvalidToken) as error:
        logins.verified(Request("GET", "/", query, headers))
    message = error.value.message
    assert message.startswith("the login is not accepted: ")
    assert len(text) < 10 or text not in message
    return message


@pytest.mark.parametrize("in_query", [False, True])
@pytest.mark.parametrize("word", ["undefined", "null", "[object Object]", "NaN", "(null)", "None"])
def test_a_word_that_stands_for_nothing_is_told_so(word: str, in_query: bool) -> None:
    assert "the app had no login when it asked" in told(word, in_query=in_query)


@pytest.mark.parametrize("word", ["Bearer ", "bearer ", "BEARER  "])
@pytest.mark.parametrize("in_query", [False, True])
def test_a_bearer_too_many_is_told_so(word: str, in_query: bool) -> None:
    assert "it has Bearer twice" in told(f"{word}{login()}", in_query=in_query)


def test_quotes_and_commas_are_told_so() -> None:
    assert "in quotes" in told(json.dumps(login()))
    assert "a comma" in told(f"{login()},{login(sub='bob')}")


def test_a_lone_surrogate_is_not_taken_for_a_wrong_time() -> None:
    assert "it is malformed" in told(f"{login()}\udcff", in_query=True)


# RFC 7516, 7.1: a JWE has five parts. The second part is empty with "alg": "dir", which Auth0 uses.
@pytest.mark.parametrize("key", ["", "eyJ"])
def test_an_encrypted_token_is_told_so(key: str) -> None:
    head = base64.urlsafe_b64encode(b'{"alg":"dir","enc":"A256GCM"}').decode().rstrip("=")
    message = told(f"{head}.{key}.iv.text.tag")
    assert "it is encrypted (a JWE); it must be a signed JWT" in message
    assert "asks for an audience" in message


@pytest.mark.parametrize("text", ["ya29.a0AfH6SMBx", "gho_16C7e42F292c6912E7710c838347", "a.b.c.d"])
def test_an_opaque_token_is_told_so(text: str) -> None:
    assert "it is not a JWT, perhaps an opaque token; it must be a signed JWT" in told(text)


def test_three_parts_that_are_no_jwt_are_malformed() -> None:
    assert told("a.b.c").endswith("it is malformed")


@pytest.mark.parametrize("algorithm", ["HS384", "HS512", "none"])
def test_another_algorithm_than_that_of_the_secret_is_named_with_the_accepted_one(
    algorithm: str,
) -> None:
    """The library jjwt chooses HS512 by itself if a secret is long."""
    secret = SECRET * 2
    text = jwt.encode(claims(), "" if algorithm == "none" else secret, algorithm)
    message = told(text, logins_of(JWT_SECRET=secret))
    assert f"its algorithm, {algorithm}, is not" in message
    assert "JWT_SECRET verifies HS256 only" in message


def test_an_algorithm_of_public_keys_is_told_that_it_needs_them() -> None:
    assert "RS256, is not accepted: JWT_SECRET verifies HS256 only" in (
        message := told(login(RSA_KEY, "RS256"))
    )
    assert "JWT_JWKS_URL" in message


def test_with_public_keys_theirs_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(jwks(*(jwk(name, name) for name in KEYS)))
    logins = logins_of(JWT_JWKS_FILE=str(path))
    message = told(login(SECRET, "HS256", kid="RS256"), logins)
    assert "HS256, is not accepted: it must be RS256, ES256 or EdDSA, whichever" in message
    assert "RS512, is not" in told(login(RSA_KEY, "RS512", kid="RS256"), logins)


def test_an_algorithm_that_nobody_knows_is_not_repeated() -> None:
    head = base64.urlsafe_b64encode(b'{"alg":"s3cret"}').decode().rstrip("=")
    message = told(f"{head}.{login().split('.', 1)[1]}")
    assert "its algorithm is not accepted: " in message
    assert "s3cret" not in message


# A valid secret, written in base64 in different ways: in both alphabets, with and without padding.
RAW = bytes(range(200, 247))
SPELLINGS = [
    base64.b64encode(RAW).decode(),
    base64.b64encode(RAW).decode().rstrip("="),
    base64.urlsafe_b64encode(RAW).decode(),
    # The base64 text of these bytes ends with an X and has no padding.
    base64.b64encode(bytes(range(200, 230)) + b"\xff\xff\xd7").decode(),
]


@pytest.mark.parametrize("secret", SPELLINGS)
def test_who_signed_with_what_the_secret_is_in_base64_is_told_so(secret: str) -> None:
    raw = base64.urlsafe_b64decode(f"{secret}===".translate({43: "-", 47: "_"}))
    message = told(login(raw), logins_of(JWT_SECRET=f"{SECRET},{secret}"))
    assert "signed with the base64-decoded bytes of JWT_SECRET" in message
    assert secret not in message


@pytest.mark.parametrize("secret", [SPELLINGS[0], SECRET, "%" * 32, "%" * 32 + "QUJD", "é" * 32])
def test_nobody_else_learns_that_the_secret_is_base64(secret: str) -> None:
    """If a secret is not base64, the base64 decoder returns only a few bytes for it. If a login is
    signed with these few bytes, the message is the usual one and does not mention base64."""
    logins = logins_of(JWT_SECRET=secret)
    for key in (b"", b"ABC", b"another-secret-of-at-least-32-bytes"):
        head = login().rpartition(".")[0]
        signature = jwt.get_algorithm_by_name("HS256").sign(head.encode(), key)
        text = f"{head}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
        assert told(text, logins).endswith("its signature does not match")


@given(st.text(max_size=30) | st.from_regex(r"\A[A-Za-z0-9_-]{0,5}(\.[A-Za-z0-9_-]{0,5}){0,6}\Z"))
def test_any_text_has_a_reason_that_does_not_repeat_it(text: str) -> None:
    if text.strip() and text.isprintable():
        told(text.strip())
