"""Names that are made here."""

from __future__ import annotations

import re
import time

import pytest
from pytest_mock import MockerFixture

from token_service.grant import auto_names
from token_service.grant.refusals import InvalidParameter

Wishes = dict[str, str]


def test_a_name_is_the_day_128_random_bits_and_the_extension(mocker: MockerFixture) -> None:
    mocker.patch.object(time, "gmtime", return_value=time.gmtime(1767312000))
    mocker.patch("secrets.token_bytes", side_effect=[b"\0" * 16, b"\xff" * 16])
    assert auto_names.wished({"name": "auto"}) == "2026/01/02/" + "a" * 26
    assert auto_names.wished({"name": "auto", "ext": "jpg"}) == f"2026/01/02/{'7' * 25}4.jpg"


def test_no_two_names_are_equal() -> None:
    names = {auto_names.wished({"name": "auto", "ext": "jpg"}) for _ in range(10_000)}
    assert len(names) == 10_000
    for name in names:
        assert re.fullmatch(r"20[0-9]{2}/[01][0-9]/[0-3][0-9]/[a-z2-7]{26}\.jpg", name or "")


def test_a_name_of_ones_own_is_the_object() -> None:
    assert auto_names.wished({"object": "a.jpg"}) == "a.jpg"
    assert auto_names.wished({}) is None


@pytest.mark.parametrize(
    ("wishes", "parameter"),
    [
        ({"name": "a.jpg"}, "Name"),
        ({"name": ""}, "Name"),
        ({"name": "AUTO"}, "Name"),
        ({"name": "auto", "object": "a.jpg"}, "Name"),
        ({"name": "auto", "method": "GET"}, "Name"),
        ({"name": "auto", "method": "head"}, "Name"),
        ({"ext": "jpg"}, "Ext"),
        ({"object": "a", "ext": "jpg"}, "Ext"),
        *(
            ({"name": "auto", "ext": extension}, "Ext")
            for extension in ("", ".jpg", "JPG", "a" * 9, "a/b", "..", "j\u0440g", "jpg\n", "a.b")
        ),
    ],
)
def test_a_wish_that_makes_no_name_is_named(wishes: Wishes, parameter: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        auto_names.wished(wishes)
    assert caught.value.code == f"InvalidParameter.{parameter}"
    assert re.match(f"{parameter.lower()}: (?!None)[a-z]+ ", caught.value.message)
