"""A seal can only be opened with one of the secrets, and for the purpose for which it was made.
Opening a seal returns the sealed value."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from token_service.signing.sealing import seal, unseal

SECRET, OLD = b"s" * 32, b"o" * 32


def test_a_seal_is_the_content_and_an_hmac_of_purpose_version_and_content() -> None:
    mac = hmac.digest(SECRET, b"callback seal 1\nWyJhIiwxXQ", "sha256")
    expected = f"1.WyJhIiwxXQ.{urlsafe_b64encode(mac).decode().rstrip('=')}"
    assert seal(["a", 1], "callback", "1", SECRET) == expected


@given(st.lists(st.none() | st.integers() | st.text(st.characters(codec="utf-8"))))
def test_what_is_sealed_is_opened_by_a_retired_secret_too(content: list[object]) -> None:
    text = seal(content, "callback", "1", OLD)
    assert unseal(text, "callback", "12", (SECRET, OLD)) == content


@pytest.mark.parametrize(
    ("kind", "versions", "secret"),
    [("multipart", "1", SECRET), ("callback", "2", SECRET), ("callback", "1", OLD)],
    ids=["another purpose", "another version", "another secret"],
)
def test_a_seal_opens_for_nothing_else(kind: str, versions: str, secret: bytes) -> None:
    text = seal(["content"], "callback", "1", SECRET)
    assert unseal(text, "callback", "1", (SECRET,)) == ["content"]
    assert unseal(text, kind, versions, (secret,)) is None


def test_a_mac_has_one_spelling() -> None:
    """The last base64 character of a MAC has two bits that are not part of the MAC. A lenient
    decoder ignores these bits."""
    text = seal(["content"], "callback", "1", SECRET)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    opened = [last for last in alphabet if unseal(text[:-1] + last, "callback", "1", (SECRET,))]
    assert opened == [text[-1]]
