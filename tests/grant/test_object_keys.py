"""Object keys and prefixes that may be embedded in a policy, and those that may not."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from token_service.grant import new_names
from token_service.grant import object_keys as keys
from token_service.settings.parsing import Refused
from tried import examples


@pytest.mark.parametrize(
    "key",
    [
        "photo.jpg",
        "X-ray.jpg",
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
def test_a_sound_key_has_no_fault(key: str) -> None:
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
def test_an_unsound_key_has_a_fault(key: str) -> None:
    assert keys.fault(key)


@pytest.mark.tries("names")
@examples(100)
@given(st.text())
def test_no_accepted_key_holds_a_wildcard_or_a_dot_segment(key: str) -> None:
    if keys.fault(key) is None:
        assert not set(key) & set("*?$\n\r\x00")
        assert not {".", ".."} & set(key.replace("\\", "/").split("/"))
        assert 1 <= len(key.encode()) <= 1023


@pytest.mark.parametrize("prefix", ["uploads/", "a/b/", "\u7167/", "x" * 1022 + "/"])
def test_an_operators_prefix_is_a_folder(prefix: str) -> None:
    assert new_names.prefix(prefix) == prefix


@pytest.mark.parametrize(
    ("prefix", "says"),
    [
        ("uploads", "'/'"),
        ("", "empty"),
        ("/uploads/", "start"),
        ("a/../b/", "'..'"),
        ("*/", "'*'"),
        ("a//", "slashes"),
        ("x" * 1023 + "/", "1023"),
        ("\ud800/", "Unicode"),
    ],
)
def test_a_prefix_that_is_no_folder_is_a_fault_that_says_why(prefix: str, says: str) -> None:
    with pytest.raises(Refused, match=re.escape(says)):
        new_names.prefix(prefix)


FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"


@pytest.mark.parametrize(
    "name",
    [
        "photo.jpg",
        "100%.txt",
        "a%2Fb%20c%25.txt",
        "%2e%2ehidden",
        "a%2e..txt",
        "%",
        "%zz/%2",
        f"{FAMILY}.png",
        "\U0001f3f3\ufe0f\u200d\U0001f308",
        # Persian: "I want", "PDFs".
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645.jpg",
        "PDF\u200c\u0647\u0627.pdf",
        # Hindi: a half consonant, also at the end of a name.
        "\u0915\u094d\u200d\u0937.jpg",
        "\u0915\u094d\u200d.jpg",
        # Names in Hebrew and Arabic need no direction marks.
        "\u05e9\u05dc\u05d5\u05dd 1.pdf",
        "Screenshot 9.41\u202fAM.png",
        # A joiner with a neighbour on only one side.
        "\u0915\u200d.jpg",
        "\u200d\u0915\u0915",
        "a\u200d\u0915",
    ],
)
def test_a_new_name_of_any_language_is_accepted(name: str) -> None:
    assert keys.fault(name) is None
    assert new_names.fault(name) is None


@pytest.mark.parametrize(
    "character",
    [
        *(chr(code) for code in range(0x202A, 0x202F)),
        *(chr(code) for code in range(0x2066, 0x206A)),
        *"\u061c\u200b\u200e\u200f\u2060\ufeff",
        *"\u00ad\u034f\u115f\u17b4\u180e\u2061\u2064\u206f\u2800\u3164\uffa0\ufff9\U000e0041",
    ],
)
def test_what_is_unseen_or_turns_text_around_is_no_new_name(character: str) -> None:
    """For example, photo[U+202E]gpj.exe is shown as photoexe.jpg (finding A19)."""
    for name in (f"photo{character}gpj.exe", character, f"\u05d0{character}\u05d0"):
        assert keys.fault(name) is None
        fault = new_names.fault(name)
        assert (
            fault
            == "must not contain characters that are invisible or change the direction of text"
        )


@pytest.mark.parametrize("joiner", ["\u200c", "\u200d"])
def test_a_joiner_that_joins_nothing_is_no_new_name(joiner: str) -> None:
    """For example, invoice[U+200D].pdf is shown as invoice.pdf (finding A19)."""
    for name in (
        f"invoice{joiner}.pdf",
        f"{joiner}invoice.pdf",
        f"invoice.pdf{joiner}",
        joiner,
        f"a{joiner}{joiner}b",
        f"{FAMILY}/a{joiner}b",
        f"\u0915{joiner}{joiner}{joiner}",
        f"\u0915a{joiner}b",
        f"a{joiner}b\u0915",
        f"\x7f{joiner}",
    ):
        assert "invisible" in str(new_names.fault(name))


@pytest.mark.parametrize(
    "name",
    [
        "%2e%2e/bob/x",
        "%2E%2E/x",
        ".%2e/x",
        "%2e./x",
        "%2e/x",
        "a/%2e%2e",
        "a%2f..%2fb",
        "a%2F%2e%2e%2Fb",
        "a%5c%2e%2e%5Cb",
        "a\\%2e%2e\\b",
        "%252e%252e/x",
        "%25252e%25252e%25252fx",
    ],
)
def test_an_encoded_dot_segment_is_no_new_name(name: str) -> None:
    """If a proxy or script decoded one of these keys once more, the new key would be outside of the
    caller's folder (finding A19)."""
    assert keys.fault(name) is None
    assert "percent-encoded" in str(new_names.fault(name))


PARTS = st.sampled_from(["%2e", "%2E", ".", "%25", "25", "2e", "%2f", "/", "%5c", "%", "a"])
ENCODED = st.lists(PARTS, max_size=12).map("".join)


@pytest.mark.tries("names")
@examples(100)
@given(ENCODED)
def test_no_number_of_decodings_makes_a_new_name_lead_out(name: str) -> None:
    if keys.fault(name) or new_names.fault(name):
        return
    for _ in range(len(name)):
        name = unquote(name)
        assert not keys.has_dots(name)


def test_the_longest_chain_of_encodings_comes_to_an_end() -> None:
    assert new_names.fault("%" + "25" * 500 + "x") is None
    assert new_names.fault("%" + "25" * 500 + "2e/x")
