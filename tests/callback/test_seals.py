"""A seal is accepted only if one of the secrets made it, and only until it expires."""

from __future__ import annotations

import base64
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from token_service.callback.seals import CallbackRefused, Seal, seal, unseal

SECRET, OLD, FOREIGN = b"s" * 32, b"o" * 32, b"f" * 32
NOW = 1_795_511_728.5
SOUND = Seal("alice", "my-bucket", "uploads/alice/", is_prefix=True, expires=int(NOW) + 60)


@given(
    st.builds(
        Seal,
        st.text(),
        st.text(),
        st.text(),
        st.booleans(),
        st.integers(int(NOW) + 1, 2**40),
        st.none() | st.integers(0, 2**40),
    )
)
def test_what_is_sealed_is_opened(content: Seal) -> None:
    try:
        content.key.encode() + content.caller.encode() + content.bucket.encode()
    except UnicodeEncodeError:
        return
    text = seal(content, SECRET)
    assert unseal(text, (SECRET,), NOW) == content


def test_a_seal_that_says_no_more_than_before_is_read_by_the_version_before() -> None:
    """After a rollback, the previous version must still accept callbacks in progress."""
    assert seal(SOUND, SECRET).startswith("1.")
    assert seal(SOUND._replace(issued=0), SECRET).startswith("2.")
    for content, members in ((SOUND, SOUND[:5]), (SOUND._replace(issued=7), (*SOUND[:5], 7))):
        payload = seal(content, SECRET).split(".")[1]
        assert json.loads(base64.urlsafe_b64decode(payload + "==")) == list(members)


@pytest.mark.parametrize("content", [SOUND, SOUND._replace(issued=1)])
def test_a_seal_of_one_version_is_none_of_the_other(content: Seal) -> None:
    version, _, rest = seal(content, SECRET).partition(".")
    for other in {"1", "2", "3", ""} - {version}:
        with pytest.raises(CallbackRefused, match="not made with CALLBACK_SECRET"):
            unseal(f"{other}.{rest}", (SECRET,), NOW)


def test_a_seal_survives_headers_urls_and_forms() -> None:
    text = seal(SOUND._replace(key="uploads/a\"b'&=%\u00e9 \u65e5/"), SECRET)
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


def test_a_retired_secret_opens_while_it_is_listed() -> None:
    text = seal(SOUND, OLD)
    assert unseal(text, (SECRET, OLD), NOW) == SOUND
    with pytest.raises(CallbackRefused, match="not made with CALLBACK_SECRET"):
        unseal(text, (SECRET,), NOW)


def test_a_seal_expires_to_the_second() -> None:
    text = seal(SOUND, SECRET)
    unseal(text, (SECRET,), SOUND.expires - 0.1)
    for now in (SOUND.expires, SOUND.expires + 1e9):
        with pytest.raises(CallbackRefused, match="the seal has expired"):
            unseal(text, (SECRET,), now)


def test_an_expired_seal_of_a_foreign_secret_says_nothing_of_its_time() -> None:
    text = seal(SOUND._replace(expires=1), FOREIGN)
    with pytest.raises(CallbackRefused, match="not made with CALLBACK_SECRET"):
        unseal(text, (SECRET,), NOW)


def test_parts_of_two_seals_do_not_make_a_third() -> None:
    mine = seal(SOUND, SECRET).split(".")
    theirs = seal(SOUND._replace(caller="bob", key="uploads/bob/"), SECRET).split(".")
    with pytest.raises(CallbackRefused):
        unseal(f"1.{theirs[1]}.{mine[2]}", (SECRET,), NOW)


def test_another_version_is_refused() -> None:
    text = seal(SOUND, SECRET)
    for version in ("0", "2", "", "1.1"):
        with pytest.raises(CallbackRefused):
            unseal(version + text[1:], (SECRET,), NOW)


def test_what_the_secret_signs_elsewhere_is_no_seal() -> None:
    """An operator may use one secret for two purposes."""
    payload = seal(SOUND, SECRET).split(".")[1]
    mac = hmac.digest(SECRET, payload.encode(), "sha256")
    elsewhere = base64.urlsafe_b64encode(mac).decode().rstrip("=")
    with pytest.raises(CallbackRefused):
        unseal(f"1.{payload}.{elsewhere}", (SECRET,), NOW)


@given(st.data())
def test_a_seal_with_any_character_changed_is_refused(data: st.DataObject) -> None:
    text = seal(SOUND, SECRET)
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters().filter(lambda character: character != text[place]))
    changed = text[:place] + other + text[place + 1 :]
    with pytest.raises(CallbackRefused):
        unseal(changed, (SECRET, OLD), NOW)


@given(st.text() | st.from_regex(r"\A1\.[A-Za-z0-9_-]{1,60}\.[A-Za-z0-9_-]{43}\Z"))
def test_any_text_is_refused(text: str) -> None:
    with pytest.raises(CallbackRefused, match="not made with CALLBACK_SECRET"):
        unseal(text, (SECRET, OLD), NOW)


@pytest.mark.parametrize(
    ("bucket", "key", "covered"),
    [
        ("my-bucket", "uploads/alice/a.jpg", True),
        ("my-bucket", "uploads/alice/a/b", True),
        ("my-bucket", "uploads/alice/", False),
        ("my-bucket", "uploads/alice", False),
        ("my-bucket", "uploads/alice2/a.jpg", False),
        ("my-bucket", "uploads/bob/a.jpg", False),
        ("my-bucket", "Uploads/alice/a.jpg", False),
        ("my-bucket", "/uploads/alice/a.jpg", False),
        ("my-bucket", "", False),
        ("another-bucket", "uploads/alice/a.jpg", False),
        ("", "uploads/alice/a.jpg", False),
    ],
)
def test_a_prefix_covers_what_lies_in_it(bucket: str, key: str, covered: bool) -> None:
    assert SOUND.covers(bucket, key) is covered


def test_an_object_covers_itself_alone() -> None:
    one = SOUND._replace(key="uploads/alice/a.jpg", is_prefix=False)
    assert one.covers("my-bucket", "uploads/alice/a.jpg")
    for key in ("uploads/alice/a.jpg.exe", "uploads/alice/", "uploads/alice/a.jp"):
        assert not one.covers("my-bucket", key)
