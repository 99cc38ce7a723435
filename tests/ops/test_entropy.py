"""Tests that `ops/entropy.py` reports secrets that a person made up, and never a random secret."""

from __future__ import annotations

import base64
import random
import uuid
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.entropy import is_weak

DRAWS = 1000


@pytest.mark.parametrize(
    "secret",
    [
        "a" * 40,
        "-" * 32,
        "\u9375" * 16,
        "aA" * 16,
        "password" * 4,
        "0123456789abcdef" * 2,
        "deadbeef" * 4,
        "1234567890" * 4,
        "abcdefghijklmnopqrstuvwxyz0123456789",
        "zyxwvutsrqponmlkjihgfedcba9876543210",
        "qwertyuiopasdfghjklzxcvbnm123456",
        "changeme-changeme-changeme-1234567",
        "SuperSecretKeyForJwtTokens2024!!",
        "my-super-secret-jwt-key-for-production",
        # The next two secrets are examples of jwt.io.
        "your-256-bit-secret-your-256-bit-secret",
        "a-string-secret-at-least-256-bits-long",
        "correct horse battery staple correct",
        "Tr0ub4dor&3 Tr0ub4dor&3 Tr0ub4dor&3",
    ],
)
def test_what_a_person_made_up_is_weak(secret: str) -> None:
    """Earlier, "a" 40 times and "password" four times passed, because they have at least 32 bytes
    (finding A16)."""
    assert is_weak(secret)


Draw = Callable[[random.Random], str]
DRAWN: dict[str, Draw] = {
    "openssl rand -hex 32": lambda chance: chance.randbytes(32).hex(),
    "openssl rand -hex 16": lambda chance: chance.randbytes(16).hex(),
    "openssl rand -base64 32": lambda chance: base64.b64encode(chance.randbytes(32)).decode(),
    "secrets.token_urlsafe(32)": lambda chance: (
        base64.urlsafe_b64encode(chance.randbytes(32)).decode().rstrip("=")
    ),
    "uuid.uuid4()": lambda chance: str(uuid.UUID(int=chance.getrandbits(128), version=4)),
    "32 printable characters": lambda chance: "".join(
        chr(chance.randint(33, 126)) for _ in range(32)
    ),
    "32 small letters": lambda chance: "".join(chr(chance.randint(97, 122)) for _ in range(32)),
}


@pytest.mark.parametrize("how", DRAWN)
def test_what_chance_draws_is_never_weak(how: str) -> None:
    """The check must give no false alarm for thousands of random secrets (finding A16)."""
    chance = random.Random(how)  # noqa: S311 - the same draws each time
    assert not [secret for _ in range(DRAWS) if is_weak(secret := DRAWN[how](chance))]


@given(st.text(min_size=1, max_size=7), st.integers(5, 40))
def test_a_short_pattern_is_weak_however_often_it_comes(pattern: str, times: int) -> None:
    """A secret that only repeats a short text is weak (finding A16)."""
    assert is_weak(pattern * times)


@given(st.text(max_size=200))
def test_any_text_is_judged(text: str) -> None:
    """No value in the environment makes doctor raise an exception (finding A16)."""
    assert is_weak(text) in (True, False)


@given(st.lists(st.sampled_from(["password", "secret", "abc", "qwerty", "x7", "-"])))
def test_upper_and_lower_case_are_the_same(pieces: list[str]) -> None:
    """PASSWORD is as weak as password (finding A16)."""
    assert is_weak("".join(pieces).upper()) == is_weak("".join(pieces))


def test_the_longest_secret_that_fits_a_function_is_judged_at_once() -> None:
    """At each position of the secret, the check searches all text before this position. With a long
    secret, this search could be slow. No secret has more than 4,096 bytes, the limit for all
    variables of a function together (finding A16)."""
    assert is_weak("ab" * 2048)
    assert is_weak("a" * 4096)
