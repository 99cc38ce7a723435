"""Tests of each variable: its default, the values that it accepts, and an error that names the
variable but shows no value."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from configuration import configuration
from token_service import warnings
from token_service.callback.public_keys import BUNDLED
from token_service.errors import Misconfiguration
from token_service.grant.policies import Policies
from token_service.settings import variables as v
from token_service.settings.parsing import MIN_SECRET_BYTES, Reader, Variable
from token_service.settings.reading import (
    Settings,
    read_access_key,
    read_settings,
)
from token_service.settings.values import Endpoint, is_plain
from token_service.settings.variables import CALLBACK_SECRET, UPLOAD_HOOK_SECRET, VARIABLES

Env = dict[str, str]


CALLBACKS = {
    "CALLBACK_URL": "https://app.example.com/callback",
    "CALLBACK_SECRET": "s" * 32,
    "UPLOAD_HOOK_URL": "https://app.example.com/uploaded?key=1",
    "UPLOAD_HOOK_SECRET": "h" * 32,
}


def test_the_defaults_are_the_designs(env: Env) -> None:
    settings = read_settings(env)
    assert settings.token_seconds == 900
    assert settings.policy == "bucket_write_policy"
    assert settings.policy_choices == ("bucket_write_policy",)
    assert settings.prefix == "uploads/"
    assert str(settings.oss_endpoint) == "https://oss-cn-hangzhou.aliyuncs.com"


def test_a_token_lives_no_longer_than_the_operator_says(env: Env) -> None:
    assert read_settings(env).max_token_seconds == 900
    usual = {**env, "TOKEN_EXPIRE_TIME": "3600"}
    assert read_settings(usual).max_token_seconds == 3600
    assert read_settings({**usual, "TOKEN_EXPIRE_TIME_MAX": "3600"}).max_token_seconds == 3600
    longest = read_settings({**usual, "TOKEN_EXPIRE_TIME_MAX": "43200"})
    assert (longest.token_seconds, longest.max_token_seconds) == (3600, 43200)
    for wrong in ("3599", "900", "43201"):
        with pytest.raises(Misconfiguration, match="seconds, 3600 to 43200") as caught:
            read_settings({**usual, "TOKEN_EXPIRE_TIME_MAX": wrong})
        assert caught.value.variable == "TOKEN_EXPIRE_TIME_MAX"


def test_all_routes_are_open_unless_the_operator_says_otherwise(env: Env) -> None:
    every = ("token", "signed-url", "form", "multipart", "uploads")
    assert read_settings(env).enabled_routes == every
    found = read_settings({**env, "ENABLED_ROUTES": " uploads,form,, form"})
    assert found.enabled_routes == ("uploads", "form")


def test_urls_and_forms_have_defaults_too(env: Env) -> None:
    limits = configuration(env).limits
    assert (limits.url_seconds, limits.max_url_seconds) == (900, 900)
    assert limits.max_bytes == 1024**3
    assert limits.content_types == ()
    assert configuration({**env, "URL_EXPIRE_TIME": "60"}).limits.max_url_seconds == 60


def test_content_types_are_a_list_or_one_pattern(env: Env) -> None:
    env["UPLOAD_CONTENT_TYPES"] = "image/png, image/svg+xml,,image/png"
    assert configuration(env).limits.content_types == ("image/png", "image/svg+xml")
    env["UPLOAD_CONTENT_TYPES"] = "image/*"
    assert configuration(env).limits.content_types == ("image/*",)


def test_the_sts_endpoint_is_the_regions_own(env: Env) -> None:
    del env["STS_ENDPOINT"]
    assert str(read_settings(env).sts_endpoint) == "https://sts.cn-hangzhou.aliyuncs.com"


def test_the_region_defaults_to_that_of_the_function(env: Env) -> None:
    del env["OSS_REGION"]
    assert read_settings({**env, "FC_REGION": "cn-beijing"}).region == "cn-beijing"


def test_callers_are_verified_unless_the_operator_says_otherwise(env: Env) -> None:
    del env["AUTH"]
    with pytest.raises(Misconfiguration, match="JWT_SECRET: not set; AUTH=jwt, the default"):
        configuration(env)
    assert read_settings({**env, "JWT_SECRET": "s" * 32}).auth.names_callers
    assert not read_settings({**env, "AUTH": "anonymous"}).auth.names_callers


@pytest.mark.parametrize(
    ("auth", "value", "tokens", "urls"),
    [
        ("jwt", "", 60, 6000),
        ("jwt", "0", 0, 0),
        ("jwt", "7", 7, 7),
        ("anonymous", "", 0, 0),
        ("anonymous", "7", 7, 7),
    ],
)
def test_callers_who_have_names_are_limited_unless_the_operator_says_otherwise(
    env: Env, auth: str, value: str, tokens: int, urls: int
) -> None:
    """The default limits depend on AUTH (finding A4)."""
    env.update(AUTH=auth, JWT_SECRET="s" * 32)
    env.update(CALLER_TOKENS_PER_MINUTE=value, CALLER_URLS_PER_MINUTE=value)
    made = read_settings(env)
    assert (made.caller_tokens_per_minute, made.caller_urls_per_minute) == (tokens, urls)


@pytest.mark.parametrize(
    "value",
    [
        *("0", "1", "now", "-1700000000", "17e8", "20261128", "999999999", "1700000000.5"),
        *("1700000000000", "\u0661700000000", "9" * 5000, "9999999999"),
    ],
)
def test_a_brake_that_would_brake_nothing_or_everything_is_a_fault(env: Env, value: str) -> None:
    """The wrong values are, for example, milliseconds, a date and a time in the future."""
    env.update(AUTH="jwt", JWT_SECRET="s" * 32, LOGINS_NOT_BEFORE=value)
    with pytest.raises(Misconfiguration, match=r"LOGINS_NOT_BEFORE: .*unix seconds") as error:
        configuration(env)
    assert error.value.variable == "LOGINS_NOT_BEFORE"


def test_a_brake_may_be_pulled_right_now_by_a_clock_that_is_a_little_fast(env: Env) -> None:
    env.update(AUTH="jwt", JWT_SECRET="s" * 32, LOGINS_NOT_BEFORE=str(int(time.time()) + 20))
    brakes = read_settings(env).auth.brakes
    assert brakes is not None
    assert brakes.not_before == int(env["LOGINS_NOT_BEFORE"])


@pytest.mark.parametrize(
    ("value", "accepts"),
    [
        ("al ice", "as the log names them"),
        ("alice,@" + "a" * 31, "as the log names them"),
        (".alice", "as the log names them"),
        ("~alice", "as the log names them"),
        ("a" * 65, "as the log names them"),
        ("*", "as the log names them"),
        (",".join(f"user{n}" for n in range(51)), "at most 50"),
    ],
)
def test_who_is_denied_is_named_as_in_the_log(env: Env, value: str, accepts: str) -> None:
    env.update(AUTH="jwt", JWT_SECRET="s" * 32, DENIED_CALLERS=value)
    with pytest.raises(Misconfiguration, match=accepts):
        configuration(env)
    env["DENIED_CALLERS"] = f" alice,{'~' + 'a2' * 16},,alice, b " + "".join(
        f",user{n}" for n in range(47)
    )
    brakes = read_settings(env).auth.brakes
    assert brakes is not None
    assert {"alice", "b", "~" + "a2" * 16} < brakes.denied
    assert len(brakes.denied) == 50
    # Session names are accepted, too, because the log line of a callback has only the session name.
    env["DENIED_CALLERS"] = f"@{'a2' * 16},.b"
    brakes = read_settings(env).auth.brakes
    assert brakes is not None
    assert brakes.denied == {"~" + "a2" * 16, "b"}


def spki(key: Any) -> str:
    """Return a public key in base64, as it is between the first and the last line of a PEM file."""
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return base64.b64encode(key.public_bytes(*form)).decode()


PUBLIC_KEYS = {
    "RSA": spki(rsa.generate_private_key(65537, 2048).public_key()),
    "RSA of 512 bits": "".join(BUNDLED.splitlines()[1:-1]),
    "P-256": spki(ec.generate_private_key(ec.SECP256R1()).public_key()),
    "Ed25519": spki(ed25519.Ed25519PrivateKey.generate().public_key()),
    "PEM": BUNDLED,
    "PEM behind a text": f"the key: {BUNDLED}",
    "SSH": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPeopleReadThisOne",
    "JWKS": '{"keys": [{"kty": "OKP", "crv": "Ed25519"}]}',
    "a JWKS's URL": "https://login.example.com/.well-known/jwks.json",
    "a JWKS's URL on loopback": "http://127.0.0.1:7080/.well-known/jwks.json",
}


@pytest.mark.parametrize("variable", [v.JWT_SECRET, v.CALLBACK_SECRET], ids=lambda of: of.name)
@pytest.mark.parametrize("key", PUBLIC_KEYS.values(), ids=PUBLIC_KEYS)
def test_what_everybody_can_read_is_no_secret(variable: Variable, key: str) -> None:
    """Anyone could sign with a public key. All these keys are long enough, so the length alone does
    not refuse them."""
    assert len(key) >= MIN_SECRET_BYTES
    with pytest.raises(Misconfiguration, match="public key") as caught:
        Reader({variable.name: key}).read(variable)
    assert caught.value.variable == variable.name


@pytest.mark.parametrize(
    ("name", "longest", "too_long"),
    [
        ("ROLE_ARN", f"acs:ram::1:role/{'r' * 64}", f"acs:ram::1:role/{'r' * 65}"),
        ("ROLE_ARN", f"acs:ram::{'1' * 32}:role/r", f"acs:ram::{'1' * 33}:role/r"),
        ("BUCKET_NAME", "b" * 63, "b" * 64),
        ("CALLER_TOKENS_PER_MINUTE", "9999", "10000"),
        ("CALLER_URLS_PER_MINUTE", "99999", "100000"),
        ("TOKEN_EXPIRE_TIME", "43200", "43201"),
        ("URL_EXPIRE_TIME", "604800", "604801"),
        ("UPLOAD_MAX_BYTES", "5368709120", "5368709121"),
        ("CALLBACK_SECRET", "s" * 32, "s" * 31),
    ],
)
def test_the_last_value_that_is_taken_is_the_documented_one(
    env: Env, name: str, longest: str, too_long: str
) -> None:
    env.update(CALLBACKS)
    configuration({**env, name: longest})
    with pytest.raises(Misconfiguration) as caught:
        configuration({**env, name: too_long})
    assert caught.value.variable == name


def test_a_bucket_has_three_characters_at_the_least(env: Env) -> None:
    assert read_settings({**env, "BUCKET_NAME": "b-1"}).bucket == "b-1"
    for name in ("bb", "-bb", "bb-"):
        with pytest.raises(Misconfiguration, match="BUCKET_NAME"):
            read_settings({**env, "BUCKET_NAME": name})


def test_a_value_is_trimmed(env: Env) -> None:
    assert read_settings({**env, "BUCKET_NAME": " my-bucket\n"}).bucket == "my-bucket"


def test_policy_choices_add_to_the_default_policy(env: Env) -> None:
    env["POLICY_CHOICES"] = "bucket_read_policy, bucket_write_policy,,bucket_read_policy"
    assert read_settings(env).policy_choices == ("bucket_write_policy", "bucket_read_policy")


@pytest.mark.parametrize(
    ("name", "value", "accepts"),
    [
        ("ROLE_ARN", "", "acs:ram::<account id>:role/<role name>"),
        ("ROLE_ARN", "acs:ram::1:user/x", "acs:ram::<account id>:role/<role name>"),
        ("ROLE_ARN", "arn:aws:iam::1:role/x", "acs:ram::<account id>:role/<role name>"),
        ("ROLE_ARN", "acs:ram::1:role/x/y", "acs:ram::<account id>:role/<role name>"),
        ("TOKEN_EXPIRE_TIME", "899", "900 to 43200"),
        ("TOKEN_EXPIRE_TIME", "43201", "900 to 43200"),
        ("TOKEN_EXPIRE_TIME", "1h", "900 to 43200"),
        ("TOKEN_EXPIRE_TIME", "-900", "900 to 43200"),
        ("TOKEN_EXPIRE_TIME", "9" * 5000, "900 to 43200"),
        ("TOKEN_EXPIRE_TIME", "\u0669\u0660\u0660", "900 to 43200"),
        ("BUCKET_NAME", "", "3 to 63 characters"),
        ("BUCKET_NAME", "My-Bucket", "3 to 63 characters"),
        ("BUCKET_NAME", "a", "3 to 63 characters"),
        ("BUCKET_NAME", "b*", "3 to 63 characters"),
        ("BUCKET_NAME", "bucket/other", "3 to 63 characters"),
        ("OBJECT_PREFIX", "", "must not be empty"),
        ("OBJECT_PREFIX", "uploads", "must end with '/'"),
        ("OBJECT_PREFIX", "/uploads/", "must not start with '/'"),
        ("OBJECT_PREFIX", "a/../b/", "must not have '.' or '..'"),
        ("OBJECT_PREFIX", "*/", "must not contain '*'"),
        ("OBJECT_PREFIX", "${user}/", "must not contain"),
        ("OSS_REGION", "oss-cn-hangzhou", "without 'oss-'"),
        ("OSS_REGION", "cn-hangzhou.evil.example/", "a region id like cn-hangzhou"),
        ("FC_REGION", "Hangzhou", "a region id like cn-hangzhou"),
        ("AUTH", "none", "one of jwt, anonymous"),
        ("STS_ENDPOINT", "http://sts.cn-hangzhou.aliyuncs.com", "only for loopback"),
        ("STS_ENDPOINT", "http://127.evil.example", "only for loopback"),
        ("STS_ENDPOINT", "http://127.0.0.1.evil.example", "only for loopback"),
        ("STS_ENDPOINT", "http://10.0.0.1", "only for loopback"),
        ("STS_ENDPOINT", "ftp://sts.aliyuncs.com", "https://host"),
        ("STS_ENDPOINT", "https://user:pw@sts.aliyuncs.com", "without path or user"),
        ("STS_ENDPOINT", "https://sts.aliyuncs.com/path", "without path or user"),
        ("STS_ENDPOINT", "https://sts.aliyuncs.com?a=b", "without path or user"),
        ("STS_ENDPOINT", "https://sts.aliyuncs.com:x", "https://host"),
        ("STS_ENDPOINT", "https://sts.aliyuncs.com:0", "https://host"),
        ("STS_ENDPOINT", "https://sts.aliyuncs.com\r\nX: y", "https://host"),
        ("STS_ENDPOINT", "https://[::1", "https://host"),
        ("OSS_ENDPOINT", "http://oss-cn-hangzhou.aliyuncs.com", "loopback and private"),
        ("OSS_ENDPOINT", "http://10.evil.example", "loopback and private"),
        ("CALLER_TOKENS_PER_MINUTE", "10000", "0 (no limit) to 9999"),
        ("CALLER_TOKENS_PER_MINUTE", "99999", "0 (no limit) to 9999"),
        ("CALLER_TOKENS_PER_MINUTE", "-1", "0 (no limit) to 9999"),
        ("CALLER_URLS_PER_MINUTE", "100000", "0 (no limit) to 99999"),
        ("CALLER_URLS_PER_MINUTE", "1e3", "0 (no limit) to 99999"),
        ("LOGINS_NOT_BEFORE", "1700000000", "must be empty with AUTH=anonymous"),
        ("DENIED_CALLERS", "alice", "must be empty with AUTH=anonymous"),
        ("ENABLED_ROUTES", ",", "must be one or more of token, signed-url, form, multipart"),
        ("ENABLED_ROUTES", " , ,", "must be one or more of token"),
        ("ENABLED_ROUTES", "token,health", "uploads, separated by commas"),
        ("ENABLED_ROUTES", "Token", "must be one or more of token"),
        ("OVERWRITE", "No", "must be one of yes, no"),
        ("OVERWRITE", "false", "must be one of yes, no"),
        ("URL_EXPIRE_TIME", "0", "1 to 604800"),
        ("URL_EXPIRE_TIME", "604801", "1 to 604800"),
        ("URL_EXPIRE_TIME", "1.5", "1 to 604800"),
        ("URL_EXPIRE_TIME_MAX", "899", "900 to 604800"),
        ("URL_EXPIRE_TIME_MAX", "9" * 5000, "900 to 604800"),
        ("UPLOAD_MAX_BYTES", "0", "1 to 5368709120"),
        ("UPLOAD_MAX_BYTES", "5368709121", "1 to 5368709120"),
        ("UPLOAD_MAX_BYTES", "1GB", "1 to 5368709120"),
        ("UPLOAD_CONTENT_TYPES", "image", "content types like image/jpeg"),
        ("UPLOAD_CONTENT_TYPES", "*/*", "content types like image/jpeg"),
        ("UPLOAD_CONTENT_TYPES", "image/*,image/png", "or one like image/*"),
        ("UPLOAD_CONTENT_TYPES", 'image/png"]', "content types like image/jpeg"),
        ("OSS_INTERNAL_ENDPOINT", "http://oss-cn-hangzhou-internal.aliyuncs.com", "loopback and"),
        ("CALLBACK_URL", "http://app.example.com/callback", "only for loopback"),
        ("CALLBACK_URL", "http://10.0.0.1/callback", "only for loopback"),
        ("CALLBACK_URL", "https://user@app.example.com/callback", "without user"),
        ("CALLBACK_URL", "https://app.example.com", "https://host"),
        ("CALLBACK_URL", "https://app.example.com/", "end with /callback"),
        ("CALLBACK_URL", "https://app.example.com/sts", "end with /callback"),
        ("CALLBACK_URL", "https://app.example.com/callback/", "end with /callback"),
        ("CALLBACK_URL", "https://app.example.com/callback?a=b", "no query"),
        ("CALLBACK_URL", "https://app.example.com/callback#a", "without user or fragment"),
        ("CALLBACK_URL", "https://app.example.com/%61/callback", "A-Z, a-z, 0-9"),
        ("CALLBACK_URL", "https://a.example/callback;https://b.example/callback", "A-Z, a-z"),
        ("CALLBACK_SECRET", "", "not set; must be a secret of at least 32 bytes"),
        ("CALLBACK_SECRET", "s" * 31, "at least 32 bytes"),
        ("CALLBACK_SECRET", f"{'s' * 32},short", "at least 32 bytes"),
        ("CALLBACK_PUBLIC_KEY_URL", "https://gosspublic.alicdn.com/key.pem", "loopback URL"),
        ("CALLBACK_PUBLIC_KEY_URL", "https://127.evil.example/key.pem", "loopback URL"),
        ("CALLBACK_PUBLIC_KEY_URL", "http://evil.example/key.pem", "only for loopback"),
        ("CALLBACK_PUBLIC_KEY_URL", "http://10.0.2.2/key.pem", "only for loopback"),
        ("UPLOAD_HOOK_URL", "http://app.example.com/hook", "only for loopback"),
        ("UPLOAD_HOOK_URL", "https://app.example.com", "https://host"),
        ("UPLOAD_HOOK_SECRET", "", "at least 32 bytes"),
        ("UPLOAD_HOOK_SECRET", "h" * 31, "at least 32 bytes"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_it_and_what_it_accepts(
    env: Env, name: str, value: str, accepts: str
) -> None:
    if name == "FC_REGION":
        del env["OSS_REGION"]
    if name.startswith(("CALLBACK_", "UPLOAD_HOOK_")):
        env.update(CALLBACKS)
    with pytest.raises(Misconfiguration) as caught:
        configuration({**env, name: value})
    assert caught.value.variable == name
    assert caught.value.message.startswith(f"{name}: ")
    assert accepts in caught.value.message
    assert (caught.value.status, caught.value.code) == (500, "Misconfiguration")


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("sts-vpc.cn-hangzhou.aliyuncs.com", "https://sts-vpc.cn-hangzhou.aliyuncs.com"),
        ("https://STS.aliyuncs.com/", "https://sts.aliyuncs.com"),
        ("https://sts.aliyuncs.com:8443", "https://sts.aliyuncs.com:8443"),
        ("http://127.0.0.1:7082", "http://127.0.0.1:7082"),
        ("http://localhost:7082", "http://localhost:7082"),
        ("http://[::1]:7082", "http://[::1]:7082"),
    ],
)
def test_an_endpoint_is_a_host_or_a_url(env: Env, value: str, url: str) -> None:
    assert str(read_settings({**env, "STS_ENDPOINT": value}).sts_endpoint) == url


def test_a_refused_endpoint_says_where_plain_http_would_be_taken(env: Env) -> None:
    for name, is_for_phones in (("STS_ENDPOINT", False), ("OSS_ENDPOINT", True)):
        with pytest.raises(Misconfiguration) as caught:
            read_settings({**env, name: "http://8.8.8.8"})
        assert "loopback" in caught.value.message
        assert ("private" in caught.value.message) is is_for_phones


@pytest.mark.parametrize(
    "value", ["https://", "https://:443", "http://:80", "https:", "//", "https://?", "https://#"]
)
def test_an_endpoint_has_a_host(env: Env, value: str) -> None:
    with pytest.raises(Misconfiguration, match="STS_ENDPOINT"):
        read_settings({**env, "STS_ENDPOINT": value})


@pytest.mark.parametrize(
    ("endpoint", "authority"),
    [
        (Endpoint("https", "a.example", 443), "a.example"),
        (Endpoint("https", "a.example", 80), "a.example:80"),
        (Endpoint("http", "a.example", 80), "a.example"),
        (Endpoint("http", "a.example", 443), "a.example:443"),
        (Endpoint("http", "::1", 80), "[::1]"),
        (Endpoint("http", "::1", 7080), "[::1]:7080"),
    ],
)
def test_the_host_header_has_the_port_only_where_it_is_not_the_schemes(
    endpoint: Endpoint, authority: str
) -> None:
    assert endpoint.authority == authority
    assert str(endpoint) == f"{endpoint.scheme}://{authority}"


@pytest.mark.parametrize(
    ("text", "is_it"),
    [
        ("aZ9~!", True),
        ("", True),
        ("a b", False),
        ("a\n", False),
        ("\u00e9", False),
        ("\x7f", False),
    ],
)
def test_what_the_sdks_can_put_into_a_header_is_plain(text: str, is_it: bool) -> None:
    assert is_plain(text) is is_it


def test_a_phone_may_reach_a_sandboxs_oss_by_a_private_address(env: Env) -> None:
    """For example, the Android emulator reaches the developer's computer at 10.0.2.2."""
    for host in ("10.0.2.2", "192.168.1.5", "172.16.0.9", "172.31.9.9", "localhost"):
        env["OSS_ENDPOINT"] = f"http://{host}:7081"
        assert str(read_settings(env).oss_endpoint) == env["OSS_ENDPOINT"]


@pytest.mark.parametrize("second", [0, 9, *range(10, 16), 32, 99, 160, 255])
def test_plain_http_to_a_public_address_is_refused(env: Env, second: int) -> None:
    """In 172.x, only 172.16.0.0/12 is private (RFC 1918)."""
    with pytest.raises(Misconfiguration) as caught:
        configuration({**env, "OSS_ENDPOINT": f"http://172.{second}.0.1"})
    assert caught.value.variable == "OSS_ENDPOINT"


def test_without_callback_url_there_are_no_callbacks(env: Env) -> None:
    assert configuration(env).callback is None
    with pytest.raises(Misconfiguration, match="CALLBACK_URL: not set; UPLOAD_HOOK_URL"):
        configuration({**env, **CALLBACKS, "CALLBACK_URL": ""})


def test_callbacks_and_hook_are_read(env: Env) -> None:
    callback = configuration({**env, **CALLBACKS}).callback
    assert callback is not None
    assert str(callback.url) == "https://app.example.com/callback"
    assert str(callback.hook) == "https://app.example.com/uploaded?key=1"
    assert callback.public_key_url is None
    sandbox = {
        "CALLBACK_URL": "http://127.0.0.1:7080/callback",
        "CALLBACK_PUBLIC_KEY_URL": "http://127.0.0.1:7081/key.pem",
    }
    callback = configuration({**env, **CALLBACKS, **sandbox}).callback
    assert callback is not None
    assert str(callback.url) == sandbox["CALLBACK_URL"]
    assert str(callback.public_key_url) == sandbox["CALLBACK_PUBLIC_KEY_URL"]


def test_secrets_for_callbacks_are_lists_and_not_in_settings(env: Env) -> None:
    env = {**env, **CALLBACKS, "CALLBACK_SECRET": f"{'n' * 32}, {'o' * 32}"}
    assert Reader(env).read(CALLBACK_SECRET) == (b"n" * 32, b"o" * 32)
    assert Reader(env).read(UPLOAD_HOOK_SECRET) == (b"h" * 32,)
    for secret in ("n" * 32, "o" * 32, "h" * 32):
        assert secret not in repr(read_settings(env))


def test_the_function_reaches_oss_where_clients_do_unless_told_other(env: Env) -> None:
    settings = read_settings({**env, "OSS_ENDPOINT": "https://cname.example.com"})
    assert settings.oss_internal_endpoint == settings.oss_endpoint
    internal = "oss-cn-hangzhou-internal.aliyuncs.com"
    settings = read_settings({**env, "OSS_INTERNAL_ENDPOINT": internal})
    assert str(settings.oss_internal_endpoint) == f"https://{internal}"
    assert str(settings.oss_endpoint) == "https://oss-cn-hangzhou.aliyuncs.com"


def test_a_missing_credential_is_named(env: Env) -> None:
    for name in ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"):
        without = {k: v for k, v in env.items() if k != name}
        with pytest.raises(Misconfiguration) as caught:
            read_access_key(Reader(without))
        assert caught.value.variable == name


@pytest.mark.parametrize("value", ["two words", "\udcff", "schl\u00fcssel", "a\x00b", "a\nb"])
@pytest.mark.parametrize("name", ["ACCESS_KEY_ID", "ACCESS_KEY_SECRET", "SECURITY_TOKEN"])
def test_a_damaged_credential_is_named_and_not_shown(env: Env, name: str, value: str) -> None:
    """A client cannot sign with a credential that has these characters, and cannot send it. The
    second value is a byte that is not UTF-8."""
    with pytest.raises(Misconfiguration, match="must be printable ASCII") as caught:
        read_access_key(Reader({**env, f"ALIBABA_CLOUD_{name}": value}))
    assert caught.value.variable == f"ALIBABA_CLOUD_{name}"
    assert value not in caught.value.message


def test_credentials_are_read_at_each_use(env: Env) -> None:
    assert read_access_key(Reader(env)).security_token is None
    env["ALIBABA_CLOUD_SECURITY_TOKEN"] = "CAIS-new"
    assert read_access_key(Reader(env)).security_token == "CAIS-new"


def test_a_key_shows_nothing_of_itself(env: Env) -> None:
    key = read_access_key(Reader({**env, "ALIBABA_CLOUD_SECURITY_TOKEN": "CAIS-new"}))
    assert repr(key) == str(key) == "AccessKey(***)"


def test_settings_hold_no_secret(env: Env) -> None:
    shown = repr(read_settings(env))
    assert env["ALIBABA_CLOUD_ACCESS_KEY_ID"] not in shown
    assert env["ALIBABA_CLOUD_ACCESS_KEY_SECRET"] not in shown


def test_an_error_does_not_show_a_secret_pasted_into_the_wrong_variable(env: Env) -> None:
    for name in ("ROLE_ARN", "BUCKET_NAME", "OSS_REGION", "AUTH", "STS_ENDPOINT"):
        with pytest.raises(Misconfiguration) as caught:
            configuration({**env, name: "LTAI5tSecret Pasted!"})
        assert "Pasted" not in str(caught.value)


def test_error_statuses_are_ok_or_real(env: Env) -> None:
    read_settings({**env, "HTTP_ERROR_STATUS": " real\n"})
    with pytest.raises(Misconfiguration, match="HTTP_ERROR_STATUS: must be one of ok, real"):
        read_settings({**env, "HTTP_ERROR_STATUS": "404"})


NAMES = [variable.name for variable in VARIABLES]


@given(st.dictionaries(st.sampled_from(NAMES), st.text(max_size=80)))
def test_any_environment_is_settings_or_a_named_variable(changes: Env) -> None:
    env = {
        "ROLE_ARN": "acs:ram::1:role/upload",
        "BUCKET_NAME": "my-bucket",
        "OSS_REGION": "cn-hangzhou",
        **changes,
    }
    try:
        assert isinstance(configuration(env).settings, Settings)
    except Misconfiguration as error:
        named = error.variable
    else:
        return
    assert named in NAMES


@given(st.text(max_size=60))
def test_plain_http_to_sts_stays_on_this_machine(host: str) -> None:
    env = {
        "ROLE_ARN": "acs:ram::1:role/upload",
        "BUCKET_NAME": "my-bucket",
        "OSS_REGION": "cn-hangzhou",
        "AUTH": "anonymous",
        "STS_ENDPOINT": f"http://{host}",
    }
    try:
        endpoint = read_settings(env).sts_endpoint
    except Misconfiguration:
        return
    assert endpoint.host in ("localhost", "::1") or endpoint.host.startswith("127.")


LIMITS = (
    {"UPLOAD_MAX_BYTES": "1073741824"},
    {"UPLOAD_CONTENT_TYPES": "image/*"},
    {"OVERWRITE": "no"},
)


def warned_of(settings: Settings, env: Env | None = None) -> list[str]:
    return warnings.of(settings, Policies(settings.policy_choices), env or {})


@pytest.mark.parametrize("auth", ["anonymous", "jwt"])
@pytest.mark.parametrize("per_minute", ["", "0", "5"])
@pytest.mark.parametrize("choices", ["", "all_policy", "bucket_read_policy"])
@pytest.mark.parametrize("limits", [{}, *LIMITS])
def test_what_is_unwise_is_what_is_warned_of(
    env: Env, auth: str, per_minute: str, choices: str, limits: Env
) -> None:
    """A cold start checks `is_unwise`, and loads the module `warnings` only if `is_unwise` is true.
    Therefore `is_unwise` must be true if and only if there is a warning."""
    more = {"AUTH": auth, "CALLER_TOKENS_PER_MINUTE": per_minute, "POLICY_CHOICES": choices}
    found = read_settings({**env, **more, **limits, "JWT_SECRET": "s" * 32})
    assert found.is_unwise == bool(warned_of(found))


def test_limits_that_do_not_bind_tokens_are_warned_of(env: Env) -> None:
    """A default is not a limit that the operator has set, so it causes no warning (finding A5)."""
    for limits, closed, warned in (
        *(({**limits}, {}, True) for limits in LIMITS),
        *(({**limits}, {"ENABLED_ROUTES": "form,token"}, True) for limits in LIMITS),
        *(({**limits}, {"ENABLED_ROUTES": "form"}, False) for limits in LIMITS),
        ({}, {}, False),
        ({"OVERWRITE": "yes"}, {}, False),
    ):
        found = read_settings({**env, **limits, **closed})
        assert (warnings.UNBOUND in warned_of(found)) == warned, (limits, closed)
