"""Object keys and prefixes: what may be embedded in a policy, and what may not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import keys


@pytest.mark.parametrize(
    "key",
    [
        "photo.jpg",
        "a/b/c.txt",
        "uploads/",
        "with space+plus%25&=#;,@!~'()[]{}\"",
        "\u7167\u7247/\u3000\U0001f468\u200d\U0001f469.jpg",
        "...",
        "a/.hidden",
        "x" * 1023,
        "\u7167" * 341,
    ],
)
def test_accepts(key: str) -> None:
    assert keys.fault(key) is None


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/a",
        "\\a",
        "a/../b",
        "a\\..\\b",
        "..",
        ".",
        "./a",
        "a/.",
        "a//b",
        "*",
        "a?",
        "${user}",
        "a\nb",
        "a\x00",
        "a\x85b",
        "a\u2028b",
        "\ud800",
        "x" * 1024,
        "\u7167" * 342,
    ],
)
def test_rejects(key: str) -> None:
    assert keys.fault(key)


@given(st.text())
def test_no_accepted_key_holds_a_wildcard_or_a_dot_segment(key: str) -> None:
    if keys.fault(key) is None:
        assert not set(key) & set("*?$\n\r\x00")
        assert not {".", ".."} & set(key.replace("\\", "/").split("/"))
        assert 1 <= len(key.encode()) <= 1023
