"""Tests the error of a wish that cannot be granted (code and message), and whole_wish()."""

from __future__ import annotations

import pytest

from token_service.grant.refusals import InvalidParameter, whole_wish


@pytest.mark.parametrize(
    ("parameter", "code"),
    [
        ("object", "InvalidParameter.Object"),
        ("content_type", "InvalidParameter.ContentType"),
        ("x-oss-process", "InvalidParameter.XOssProcess"),
        ("response-content-disposition", "InvalidParameter.ResponseContentDisposition"),
        ("Upload", "InvalidParameter.Upload"),
    ],
)
def test_the_code_has_the_wishs_name(parameter: str, code: str) -> None:
    refusal = InvalidParameter(parameter, "is odd")
    assert (refusal.status, refusal.code) == (400, code)
    assert refusal.message == f"{parameter}: is odd"
    assert InvalidParameter(parameter, "is odd", "LIMIT").message == f"{parameter}: is odd (LIMIT)"


def test_a_whole_number_is_read_from_one_end_to_the_other() -> None:
    assert [whole_wish("size", text, "bytes", 2, 10) for text in ("2", "9", "10")] == [2, 9, 10]


@pytest.mark.parametrize("text", ["1", "11", "-2", "2.0", "", " 2", "two", "\u0662", "9" * 5000])
def test_no_other_number_is_taken(text: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        whole_wish("max_bytes", text, "bytes", 2, 10, "UPLOAD_MAX_BYTES")
    assert caught.value.code == "InvalidParameter.MaxBytes"
    assert caught.value.message == "max_bytes: must be whole bytes, 2 to 10 (UPLOAD_MAX_BYTES)"
    with pytest.raises(InvalidParameter) as caught:
        whole_wish("size", text, "bytes", 2, 10)
    assert caught.value.message == "size: must be whole bytes, 2 to 10"
