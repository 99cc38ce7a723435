"""The function's environment on a laptop: complete by itself, and what is given wins."""

from __future__ import annotations

import pytest

from sandbox.environment import cloud_environment, misspelt, sandbox_environment
from settings import read_access_key, read_jwt_secrets, read_settings

KEY = ("LTAIsandbox", "sandbox-secret")


SECRET = "demo-secret-of-more-than-32-bytes"


def made(**env: str) -> dict[str, str]:
    return sandbox_environment(env, key=KEY, oss_port=7081, sts_port=7082, jwt_secret=SECRET)


def test_nothing_given_is_a_whole_configuration() -> None:
    settings = read_settings(made())
    assert (settings.logins, settings.policy) == (None, "bucket_write_policy")
    assert (settings.bucket, settings.prefix) == ("sandbox-bucket", "uploads/")
    assert str(settings.oss_endpoint) == "http://127.0.0.1:7081"
    assert str(settings.sts_endpoint) == "http://127.0.0.1:7082"
    assert read_access_key(made()) == (*KEY, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POLICY_FILE", "bucket_read_write_policy"),
        ("BUCKET_NAME", "another-bucket"),
        ("OBJECT_PREFIX", "photos/"),
        ("AUTH", "jwt"),
        ("OSS_REGION", "cn-beijing"),
        ("ROLE_ARN", "acs:ram::1:role/another"),
        ("TOKEN_EXPIRE_TIME", "3600"),
        ("STS_ENDPOINT", "https://sts.cn-beijing.aliyuncs.com"),
    ],
)
def test_what_is_given_wins(name: str, value: str) -> None:
    assert made(**{name: value})[name] == value


def test_the_key_of_callbacks_is_found_at_the_gateway() -> None:
    env = sandbox_environment({}, key=KEY, oss_port=7081, sts_port=7082, gateway_port=7080)
    url = "http://127.0.0.1:7080/sandbox/callback_pub_key.pem"
    assert env["CALLBACK_PUBLIC_KEY_URL"] == url
    # A deployment has OSS's own, and so has CLOUD=1.
    assert "CALLBACK_PUBLIC_KEY_URL" not in {**made(), **cloud_environment({})}


def test_an_empty_variable_is_not_given() -> None:
    assert made(BUCKET_NAME="")["BUCKET_NAME"] == "sandbox-bucket"


def test_credentials_are_given_whole_or_not_at_all() -> None:
    """A developer's own key id never meets the sandbox's secret."""
    env = made(ALIBABA_CLOUD_ACCESS_KEY_ID="LTAIown")
    assert env["ALIBABA_CLOUD_ACCESS_KEY_ID"] == "LTAIown"
    assert "ALIBABA_CLOUD_ACCESS_KEY_SECRET" not in env


def test_pages_of_any_origin_may_ask_unless_the_developer_says_which() -> None:
    assert read_settings(made()).allowed_origins == ("*",)
    origin = "http://localhost:5173"
    assert read_settings(made(ALLOWED_ORIGINS=origin)).allowed_origins == (origin,)


def test_logins_are_verified_by_the_demo_secret() -> None:
    assert read_jwt_secrets(made(AUTH="jwt")) == (SECRET.encode(),)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JWT_SECRET", "own-secret-of-more-than-32-bytes!"),
        ("JWT_JWKS_FILE", "keys.json"),
        ("JWT_JWKS_URL", "https://login.example.com/keys"),
    ],
)
def test_keys_for_logins_never_stand_beside_the_demo_secret(name: str, value: str) -> None:
    env = made(AUTH="jwt", **{name: value})
    assert env[name] == value
    assert SECRET not in env.values()
    assert read_settings(env).logins is not None


def test_misspelt_names_are_found_and_others_left_alone() -> None:
    assert misspelt(["OBJECT_PREFX", "ALOWED_ORIGINS", "ALIBABA_CLOUD_ACCES_KEY_ID"]) == [
        ("ALIBABA_CLOUD_ACCES_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_ID"),
        ("ALOWED_ORIGINS", "ALLOWED_ORIGINS"),
        ("OBJECT_PREFX", "OBJECT_PREFIX"),
    ]
    known = ["OBJECT_PREFIX", "AUTH", "ROLE_ARN", "ALIBABA_CLOUD_SECURITY_TOKEN", "FC_REGION"]
    others = ["AUTHOR", "PATH", "HOME", "PORT", "SANDBOX_DIR", "OSS_BUCKET", "AWS_REGION"]
    assert misspelt([*known, *others]) == []


def test_tokens_of_another_sts_are_for_no_page_and_no_demo_login() -> None:
    """They may be real."""
    env = made(AUTH="anonymous", STS_ENDPOINT="https://sts.cn-beijing.aliyuncs.com")
    assert read_settings(env).allowed_origins == ()
    assert SECRET not in env.values()


def test_the_cloud_is_for_no_page_and_no_demo_login() -> None:
    env = cloud_environment({"ROLE_ARN": "acs:ram::1:role/upload"})
    assert read_settings(env).allowed_origins == ()
    assert "JWT_SECRET" not in env


def test_the_cloud_gets_no_endpoint_of_the_sandbox() -> None:
    env = cloud_environment({"ROLE_ARN": "acs:ram::1:role/upload"})
    assert str(read_settings(env).sts_endpoint) == "https://sts.cn-hangzhou.aliyuncs.com"
    assert "ALIBABA_CLOUD_ACCESS_KEY_ID" not in env
