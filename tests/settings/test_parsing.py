"""Parsers, and the Reader that applies them: which values are accepted, and the messages for values
that are refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from token_service.errors import Misconfiguration
from token_service.grant import new_names
from token_service.settings.parsing import (
    MIN_SECRET_BYTES,
    Reader,
    Refused,
    Variable,
    Whole,
    checked,
    elsewhere,
    matching,
    one_of,
    secrets,
    texts,
    whole,
)


def refusal(parse: Any, value: str) -> str:
    """Return the message of a parser that refuses `value`. The message never quotes the value."""
    with pytest.raises(Refused) as caught:
        parse(value)
    assert isinstance(caught.value.args[0], str)
    return str(caught.value)


# Parsers


def test_what_is_sound_is_taken_as_it_is() -> None:
    seen = []

    def is_sound(value: str) -> bool:
        seen.append(value)
        return value == "a"

    parse = checked("the letter a", is_sound)
    assert parse("a") == "a"
    assert refusal(parse, "b") == "must be the letter a"
    assert seen == ["a", "b"]


def test_a_pattern_is_matched_as_a_whole() -> None:
    parse = matching("[a-z]{2}", "two letters")
    assert parse("ab") == "ab"
    for value in ("a", "abc", "a1", "", "ab\n"):
        assert refusal(parse, value) == "must be two letters"


def test_a_word_is_one_of_the_choices_and_no_part_of_one() -> None:
    parse = one_of("yes", "no")
    assert [parse("yes"), parse("no")] == ["yes", "no"]
    for value in ("ye", "yesno", "YES", "", "yes, no"):
        assert refusal(parse, value) == "must be one of yes, no"


def test_a_list_has_each_entry_once_in_its_order() -> None:
    assert texts(" b ,a,, b,c c , ,") == ("b", "a", "c c")
    assert texts("") == texts(" , ,") == ()


@pytest.mark.parametrize("value", ["2", "3", "10"])
def test_both_ends_of_a_range_belong_to_it(value: str) -> None:
    assert whole(value, 2, 10) == int(value) == Whole(2, 10)(value)


@pytest.mark.parametrize(
    "value",
    [
        *("1", "11", "99", "-2", "+2", "2.0", "2e0", "0x2", "1_0", "", " 2", "2 ", "two"),
        *("\u0662", "\u00b2", "002", "0002", "9" * 5000),
    ],
)
def test_what_is_no_whole_number_of_the_range_is_none(value: str) -> None:
    assert whole(value, 2, 10) is None
    assert refusal(Whole(2, 10), value) == "must be a whole number, 2 to 10"


def test_a_number_may_begin_with_as_many_zeros_as_the_largest_has_digits() -> None:
    assert (whole("02", 2, 10), whole("02", 2, 9)) == (2, None)


def test_a_range_says_its_unit_and_what_its_zero_stands_for() -> None:
    assert str(Whole(1, 9, "seconds")) == "a whole number of seconds, 1 to 9"
    assert str(Whole(0, 9, zero="no limit")) == "a whole number, 0 (no limit) to 9"
    assert str(Whole(0, 9, "bytes", "none")) == "a whole number of bytes, 0 (none) to 9"


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 10**12))
def test_every_number_of_a_range_is_taken_and_no_other(value: int, one: int, other: int) -> None:
    least, most = sorted((one, other))
    assert whole(str(value), least, most) == (value if least <= value <= most else None)


def test_a_secret_is_bytes_whatever_is_in_the_environment() -> None:
    """Python's os.environ shows bytes that are not UTF-8 as surrogate characters. The parsed secret
    has the original bytes again."""
    assert secrets("s" * 32) == (b"s" * 32,)
    assert secrets(f" {'s' * 32} ,{'t' * 33}") == (b"s" * 32, b"t" * 33)
    assert secrets("\u00e9" * 16) == ("\u00e9".encode() * 16,)
    assert secrets("\udcff" * 32) == (b"\xff" * 32,)


@pytest.mark.parametrize(
    "value", ["", "s" * 31, f"{'s' * 32},", f"{'s' * 32},{'t' * 31}", " " * 40, "\u00e9" * 15 + "s"]
)
def test_each_secret_has_32_bytes_at_the_least(value: str) -> None:
    assert str(MIN_SECRET_BYTES) in refusal(secrets, value)


@pytest.mark.parametrize(
    "begins",
    [
        "MII",
        "MFkw",
        "MCow",
        "MFww",
        "ssh-",
        "{",
        "http://",
        "https://",
        "-----BEGIN",
        "x-----BEGIN",
    ],
)
def test_a_public_key_is_refused_by_how_it_begins(begins: str) -> None:
    assert "public key" in refusal(secrets, begins + "s" * 32)
    assert secrets(f"s{begins}".replace("-----", "") + "s" * 32)


def test_a_parser_of_another_room_is_loaded_when_it_is_asked() -> None:
    parse = elsewhere("grant.new_names:prefix")
    assert parse("uploads/") == new_names.prefix("uploads/") == "uploads/"
    assert "'/'" in refusal(parse, "uploads")
    # If the module or function does not exist, elsewhere() raises no error. Only a call of the
    # parser raises the error, so the catalogue can still be read.
    for place in ("nowhere:prefix", "grant.new_names:nothing"):
        with pytest.raises((ImportError, AttributeError)):
            elsewhere(place)("uploads/")


# Reader

PLAIN = Variable("PLAIN", str)
NEEDED = Variable("NEEDED", str, missing="not set; must be set")
WITH_DEFAULT = Variable("WITH_DEFAULT", Whole(1, 9, "things"), "7")
LIMIT = Variable("LIMIT", Whole(1, 9, "things"))


@pytest.mark.parametrize("env", [{}, {"PLAIN": ""}, {"PLAIN": " \n\t"}])
def test_what_is_blank_is_not_set(env: dict[str, str]) -> None:
    reader = Reader(env)
    assert reader.text(PLAIN) == ""
    assert reader.optional(PLAIN, "other") == "other"
    with pytest.raises(Misconfiguration) as caught:
        reader.read(PLAIN)
    assert (caught.value.variable, caught.value.message) == ("PLAIN", "PLAIN: not set")


def test_what_is_set_is_read_without_blanks_around_it() -> None:
    reader = Reader({"PLAIN": " a b\n", "WITH_DEFAULT": " 3 "})
    assert reader.text(PLAIN) == reader.read(PLAIN) == reader.optional(PLAIN, None) == "a b"
    assert reader.read(WITH_DEFAULT) == reader.optional(WITH_DEFAULT, None) == 3


def test_a_default_is_parsed_and_only_read_takes_it() -> None:
    assert Reader({}).read(WITH_DEFAULT) == 7
    assert Reader({}).optional(WITH_DEFAULT, None) is None


def test_a_variable_says_what_it_wants_where_it_is_missing() -> None:
    with pytest.raises(Misconfiguration) as caught:
        Reader({}).read(NEEDED)
    assert caught.value.message == "NEEDED: not set; must be set"


@pytest.mark.parametrize("read", ["read", "optional"])
def test_a_wrong_value_is_named_and_not_shown(read: str) -> None:
    reader = Reader({"LIMIT": "s3cret"})
    more = () if read == "read" else (5,)
    with pytest.raises(Misconfiguration) as caught:
        getattr(reader, read)(LIMIT, *more)
    assert caught.value.variable == "LIMIT"
    assert caught.value.message == "LIMIT: must be a whole number of things, 1 to 9"
    assert caught.value.__suppress_context__


def test_a_limit_may_have_another_least_value() -> None:
    """For example, the maximum lifetime must not be less than the default lifetime."""
    for value, least, found in (("5", 5, 5), ("9", 5, 9), ("3", 3, 3), ("3", 0, 3)):
        assert Reader({"LIMIT": value}).optional(LIMIT, None, least=least) == found
    with pytest.raises(Misconfiguration) as caught:
        Reader({"LIMIT": "4"}).optional(LIMIT, None, least=5)
    assert caught.value.message == "LIMIT: must be a whole number of things, 5 to 9"
    with pytest.raises(Misconfiguration):
        Reader({"LIMIT": "10"}).optional(LIMIT, None, least=5)
    assert Reader({}).optional(LIMIT, 8, least=5) == 8


def test_a_fault_is_a_variables() -> None:
    with pytest.raises(Misconfiguration) as caught:
        Reader({}).fault(PLAIN, "is odd")
    assert (caught.value.variable, caught.value.message) == ("PLAIN", "PLAIN: is odd")
