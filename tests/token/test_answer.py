"""At its top level, the token that a client receives has only members that the unchanged SDKs
read."""

from __future__ import annotations

import time

import pytest

from configuration import SOUND
from token_service.grant.grants import Grant
from token_service.settings.reading import Settings, read_settings
from token_service.token import answer
from token_service.token.assume_role import Credentials

CREDENTIALS = Credentials("STS.id", "secret", "CAIS/token", "2036-01-01T00:00:00Z", "R")
GRANT = Grant("my-bucket", "uploads/alice/", None, "bucket_write_policy", 900, "alice")
MOMENT = 1_702_743_657


@pytest.fixture
def settings() -> Settings:
    return read_settings({**SOUND, "AUTH": "anonymous", "OSS_ENDPOINT": "https://img.example.com"})


def test_a_token_has_what_the_sdks_read_and_the_rest_in_its_scope(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ali-oss reads every member at the top as one of its options, so our own members are in
    Scope."""
    moment = time.gmtime(MOMENT)
    monkeypatch.setattr("time.gmtime", lambda: moment)
    assert answer.token(CREDENTIALS, GRANT, settings) == {
        "StatusCode": 200,
        "AccessKeyId": "STS.id",
        "AccessKeySecret": "secret",
        "SecurityToken": "CAIS/token",
        "Expiration": "2036-01-01T00:00:00Z",
        "Code": "Success",
        "LastUpdated": "2023-12-16T16:20:57Z",
        "Scope": {
            "Bucket": "my-bucket",
            "Region": "cn-hangzhou",
            "Endpoint": "https://img.example.com",
            "Cname": True,
            "Prefix": "uploads/alice/",
            "Policy": "bucket_write_policy",
        },
    }


def test_a_token_for_one_object_names_it_and_a_callback_is_in_the_scope(
    settings: Settings,
) -> None:
    one = GRANT._replace(object_key="uploads/alice/a.jpg")
    with_callback = answer.token(CREDENTIALS, one, settings, {"Callback": "e30=", "Vars": "x"})
    plain = answer.token(CREDENTIALS, GRANT, settings)
    assert with_callback.keys() == plain.keys()
    scope, less = with_callback["Scope"], plain["Scope"]
    assert isinstance(scope, dict)
    assert isinstance(less, dict)
    more = {"Object": "uploads/alice/a.jpg", "Callback": "e30=", "Vars": "x"}
    assert scope == {**less, **more}
