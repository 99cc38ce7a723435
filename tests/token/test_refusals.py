"""Errors of STS become errors of the function, with the code and message of STS, but without
secrets."""

from __future__ import annotations

import pytest

from token_service.errors import ServiceError
from token_service.http.connection import ConnectionFault
from token_service.settings.values import AccessKey
from token_service.token.assume_role import request_id
from token_service.token.refusals import StsInvalidAnswer, StsRefused, StsUnreachable, refusal

KEY = AccessKey("LTAI5tFunctionKeyId", "function-access-key-secret", None)


def refused(
    status: int = 400, code: object = "NoPermission", message: object = "No.", key: AccessKey = KEY
) -> ServiceError:
    return refusal(status, {"Code": code, "Message": message, "RequestId": "R-1"}, key)


@pytest.mark.parametrize(
    ("status", "code", "ours"),
    [
        (400, "NoPermission", 500),
        (404, "InvalidAccessKeyId.NotFound", 500),
        (499, "Odd", 500),
        (500, "InternalError", 503),
        (503, "ServiceUnavailable", 503),
        (400, "Throttling", 429),
        (503, "Throttling.User", 429),
        (400, "NoThrottling", 500),
    ],
)
def test_the_status_tells_whose_fault_it_is(status: int, code: str, ours: int) -> None:
    error = refused(status, code)
    assert isinstance(error, StsRefused)
    assert (error.status, error.code, error.message) == (ours, code, "No.")
    assert error.sts_request_id == "R-1"


@pytest.mark.parametrize("code", ["A" * 128, "a.b_c-9", "Z"])
def test_a_code_of_sts_is_passed_on(code: str) -> None:
    assert refused(code=code).code == code


@pytest.mark.parametrize("code", [None, 7, "", "A" * 129, "a b", "a\n", "\u00e9", ["A"]])
def test_an_answer_whose_code_is_none_is_not_passed_on(code: object) -> None:
    error = refused(403, code)
    assert isinstance(error, StsInvalidAnswer)
    assert "HTTP 403" in error.message
    assert error.status == 503


@pytest.mark.parametrize("message", [None, 7, ["No."], {}])
def test_an_answer_whose_message_is_no_text_is_not_passed_on(message: object) -> None:
    assert isinstance(refused(message=message), StsInvalidAnswer)


@pytest.mark.parametrize("answer", [None, [], "text", 7])
def test_an_answer_that_is_no_object_is_said_to_be_none(answer: object) -> None:
    error = refusal(502, answer, KEY)
    assert isinstance(error, StsInvalidAnswer)
    assert "HTTP 502" in error.message


def test_a_message_that_holds_the_string_to_sign_only_is_the_code() -> None:
    said = "server string to sign is:POST&%2F&AccessKeyId"
    assert refused(message=said).message == "NoPermission"
    assert refused(message="").message == "NoPermission"


def test_a_message_is_cut_off() -> None:
    assert refused(message=" " + "m" * 1001).message == "m" * 1000


@pytest.mark.parametrize("field", ["access_key_id", "access_key_secret", "security_token"])
def test_every_secret_of_the_key_is_blotted_out_wherever_it_stands(field: str) -> None:
    key = AccessKey("LTAI5tFunctionKeyId", "function-secret", None)._replace(**{field: "12345678"})
    assert refused(message="x12345678 and 12345678", key=key).message == "x*** and ***"


def test_what_is_too_short_for_a_secret_stays() -> None:
    """The texts of this key are too short to be secrets. They occur inside many words, so they are
    not hidden in messages."""
    key = AccessKey("no", "No.", "1234567")
    assert refused(message="No. 1234567 no", key=key).message == "No. 1234567 no"


def test_a_refusal_without_an_id_has_none() -> None:
    assert StsRefused(500, "NoPermission", "No.").sts_request_id == ""


def test_what_went_wrong_on_the_way_is_said() -> None:
    error = StsUnreachable.of(ConnectionFault(ConnectionRefusedError()))
    assert (error.status, error.code) == (503, "StsUnreachable")
    assert "refused the connection" in error.message


@pytest.mark.parametrize("sound", ["R", "8B4E-0D2A-" + "A" * 54, "0"])
def test_the_id_of_a_request_is_kept_for_the_log(sound: str) -> None:
    assert request_id({"RequestId": sound}) == sound


@pytest.mark.parametrize(
    "odd", [None, 7, "", "-", "R" * 65, "a b", "a\nb", "\u00e9", "\u4e00", "a/b"]
)
def test_what_is_no_id_is_not_logged(odd: object) -> None:
    assert request_id({"RequestId": odd}) == ""
    assert request_id({}) == ""
