"""The function's environment on a laptop. The environment is complete without the shell's
variables, and values on the command line override it. No real key, name or address comes from the
shell (finding A1)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from ops import misspelt
from sandbox import ROOT
from sandbox.cloud import Secrets
from sandbox.environment import (
    CREDENTIALS,
    RULES,
    cloud_environment,
    ignored,
    sandbox_environment,
)
from token_service.errors import Misconfiguration
from token_service.http.cors import origins
from token_service.settings.parsing import Reader
from token_service.settings.reading import read_access_key, read_settings
from token_service.settings.variables import CALLBACK_SECRET, JWT_SECRET, VARIABLES

KEY = ("LTAIsandbox", "sandbox-secret")


SECRET = "demo-secret-of-more-than-32-bytes"
SEALS = "callback-secret-of-more-than-32-bytes"
PARTS = "multipart-secret-of-more-than-32-bytes"

REAL = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAI5tREALKEYREALKEY",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "RealSecretRealSecretRealSec30",
    "ALIBABA_CLOUD_SECURITY_TOKEN": "CAISreal",
    "ROLE_ARN": "acs:ram::42:role/real-upload",
    "BUCKET_NAME": "real-bucket",
    "OSS_ENDPOINT": "https://oss-cn-hangzhou.aliyuncs.com",
    "OSS_INTERNAL_ENDPOINT": "oss-cn-hangzhou-internal.aliyuncs.com",
    "STS_ENDPOINT": "sts.cn-hangzhou.aliyuncs.com",
    "JWT_SECRET": "real-login-secret-of-more-than-32-bytes",
    "JWT_JWKS_FILE": "real-keys.json",
    "JWT_JWKS_URL": "https://login.real.example/keys",
    "CALLBACK_URL": "https://token.real.example/callback",
    "CALLBACK_SECRET": "real-callback-secret-of-more-than-32-bytes",
    "MULTIPART_SECRET": "real-multipart-secret-of-more-than-32-bytes",
    "CALLBACK_PUBLIC_KEY_URL": "http://127.0.0.1:9/real.pem",
    "UPLOAD_HOOK_URL": "https://api.real.example/uploaded",
    "UPLOAD_HOOK_SECRET": "real-hook-secret-of-more-than-32-bytes",
    "LOGINS_NOT_BEFORE": "1700000000",
    "DENIED_CALLERS": "real-user",
}
"""Variables of a deployment that a sandbox must not use."""


def made(*names: str, **env: str) -> dict[str, str]:
    """The sandbox's environment. `names` are given on the command line; all other names of `env`
    are only in the environment."""
    return sandbox_environment(
        env,
        names,
        key=KEY,
        oss_port=7081,
        sts_port=7082,
        jwt_secret=SECRET,
        callback_secret=SEALS,
        multipart_secret=PARTS,
    )


def test_nothing_given_is_a_whole_configuration() -> None:
    settings = read_settings(made())
    assert (settings.auth.names_callers, settings.policy) == (False, "bucket_write_policy")
    assert (settings.bucket, settings.prefix) == ("sandbox-bucket", "uploads/")
    assert str(settings.oss_endpoint) == "http://127.0.0.1:7081"
    assert str(settings.sts_endpoint) == "http://127.0.0.1:7082"
    assert read_access_key(Reader(made())) == (*KEY, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POLICY_FILE", "bucket_read_write_policy"),
        ("OBJECT_PREFIX", "photos/"),
        ("AUTH", "jwt"),
        ("OSS_REGION", "cn-beijing"),
        ("TOKEN_EXPIRE_TIME", "3600"),
        ("CALLBACK_URL", "http://127.0.0.1:7080/callback"),
        ("CALLBACK_URL", "http://localhost:7080/callback"),
        ("CALLBACK_URL", "http://[::1]:7080/callback"),
    ],
)
def test_what_is_harmless_wins_wherever_it_stands(name: str, value: str) -> None:
    for names in ([], [name]):
        assert made(*names, **{name: value})[name] == value
        assert ignored({name: value}, names) == []


# Nothing real (A1)


def test_of_a_deployments_environment_nothing_is_taken() -> None:
    env = made(**REAL, AUTH="jwt")
    assert read_access_key(Reader(env)) == (*KEY, None)
    assert set(REAL.values()).isdisjoint(env.values())
    assert env == made(AUTH="jwt")
    assert ignored(REAL) == sorted(REAL, key=list(RULES).index)


@examples(st.sets(st.sampled_from(sorted(REAL))))
def test_whatever_part_of_it_is_there(names: set[str]) -> None:
    """The sandbox ignores all variables for real deployments, in any combination."""
    env = {name: REAL[name] for name in names}
    assert made(**env) == made()
    assert set(ignored(env)) == names


@pytest.mark.parametrize("name", ["OSS_ENDPOINT", "OSS_INTERNAL_ENDPOINT", "STS_ENDPOINT"])
def test_not_even_an_endpoint_of_this_machine_is_taken_from_the_environment(name: str) -> None:
    env = {name: "http://127.0.0.1:9"}
    assert made(**env) == made()
    assert ignored(env) == [name]


@pytest.mark.parametrize(
    "url",
    [
        "https://token.real.example/callback",
        "https://127.0.0.1.real.example/callback",
        "https://127.0.0.1@real.example/callback",
        "https://10.0.0.1/callback",
        "http://[::1/callback",
        "callback",
    ],
)
def test_a_callback_url_beyond_loopback_is_taken_where_it_is_given_only(url: str) -> None:
    assert "CALLBACK_URL" not in made(CALLBACK_URL=url)
    assert ignored({"CALLBACK_URL": url}) == ["CALLBACK_URL"]
    assert made("CALLBACK_URL", CALLBACK_URL=url)["CALLBACK_URL"] == url


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[(name, REAL[name]) for name in REAL if not re.search("ALIBABA|ENDPOINT", name)],
        ("OSS_ENDPOINT", "http://10.0.2.2:7081"),
        ("OSS_ENDPOINT", " HTTP://192.168.1.5:7081 "),
        ("OSS_ENDPOINT", "172.31.255.1"),
        ("OSS_INTERNAL_ENDPOINT", "http://localhost:7081"),
        ("OSS_INTERNAL_ENDPOINT", "http://[::1]:7081"),
        ("OSS_ENDPOINT", "http://files.localhost:7081"),
        ("OSS_ENDPOINT", "HTTP://My-Files.LOCALHOST"),
        ("STS_ENDPOINT", "http://127.0.0.1:7082"),
        ("STS_ENDPOINT", "localhost"),
    ],
)
def test_what_is_given_wins(name: str, value: str) -> None:
    assert made(name, **{name: value})[name] == value
    assert ignored({name: value}, [name]) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[(name, REAL[name]) for name in REAL if re.search("ALIBABA|ENDPOINT", name)],
        *[("OSS_ENDPOINT", value) for value in ("100.100.0.1", "http://172.32.0.1", "my-laptop")],
        ("OSS_ENDPOINT", "http://10.0.0.1.real.example"),
        ("OSS_ENDPOINT", "http://10.0.0.1@real.example"),
        ("OSS_INTERNAL_ENDPOINT", "http://[::1"),
        *[("OSS_ENDPOINT", f"http://{host}") for host in ("localhost.real.example", "xlocalhost")],
        ("OSS_ENDPOINT", "http://files.localhost@real.example"),
        ("OSS_ENDPOINT", "http://real.example\\.localhost"),
        ("STS_ENDPOINT", "http://sts.localhost:7082"),
        ("STS_ENDPOINT", "http://10.0.0.1"),
        ("STS_ENDPOINT", "127.1"),
    ],
)
def test_a_real_key_or_endpoint_is_refused_even_where_it_is_given(name: str, value: str) -> None:
    with pytest.raises(Misconfiguration) as caught:
        made(name, **{name: value})
    message = caught.value.message
    assert message.startswith(f"{name}: ")
    assert message.endswith(". With CLOUD=1 your value is used")
    assert value not in message


@pytest.mark.parametrize("name", sorted(REAL))
def test_an_empty_variable_is_not_given(name: str) -> None:
    for value in ("", " "):
        assert ignored({name: value}) == []
        assert made(**{name: value}) == made()
    assert made(name, **{name: ""}).get(name, "") == made().get(name, "")


def test_every_variable_of_the_function_has_a_rule() -> None:
    """A new variable of the function needs a rule. Without a rule, the sandbox could use a real
    value from the environment."""
    assert RULES.keys() == {*(variable.name for variable in VARIABLES), "FC_REGION"}
    assert RULES.keys() > set(CREDENTIALS)


def test_no_secret_is_taken_from_the_environment() -> None:
    for variable in VARIABLES:
        if variable.secret:
            assert not RULES[variable.name].from_environment("s" * 40), variable.name


def test_the_documented_rule_is_the_one_that_holds() -> None:
    page = (ROOT / "docs" / "sandbox.md").read_text(encoding="utf-8")
    table = page.partition("| variable | in the environment |")[2].partition("| all other ")[0]
    ignored_rows: dict[str, str] = {}
    for line in table.splitlines()[2:]:
        _, names, environment, command_line, _ = line.split("|")
        for name in re.findall("`([A-Z_]+)`", names):
            ignored_rows[name] = environment.strip()
            value = REAL[name]
            assert ("refused" in command_line) == (not RULES[name].from_command_line(value)), name
    assert ignored_rows.keys() == REAL.keys()
    for name, environment in ignored_rows.items():
        assert (environment == "ignored") == (name != "CALLBACK_URL")
        assert ignored({name: REAL[name]}) == [name]


# The sandbox's own


def test_where_the_public_endpoint_is_closed_clients_and_function_have_one_each() -> None:
    env = sandbox_environment({}, key=KEY, oss_port=7081, sts_port=7082, internal_port=7083)
    settings = read_settings(env)
    assert str(settings.oss_endpoint) == "http://files.localhost:7081"
    assert str(settings.oss_internal_endpoint) == "http://127.0.0.1:7083"


def test_an_endpoint_that_is_given_wins_over_the_buckets_own_domain() -> None:
    """If OSS_ENDPOINT is set, it replaces the bucket's own domain. A developer can set it to the
    closed public endpoint, to see the errors that clients get there."""
    env = {"OSS_ENDPOINT": "http://127.0.0.1:7081"}
    made = sandbox_environment(env, env, key=KEY, oss_port=7081, sts_port=7082, internal_port=7083)
    assert made["OSS_ENDPOINT"] == "http://127.0.0.1:7081"


def test_the_key_of_callbacks_is_found_at_the_gateway() -> None:
    env = sandbox_environment({}, key=KEY, oss_port=7081, sts_port=7082, gateway_port=7080)
    url = "http://127.0.0.1:7080/sandbox/callback_pub_key.pem"
    assert env["CALLBACK_PUBLIC_KEY_URL"] == url
    # A deployment, and CLOUD=1, use OSS's own URL.
    assert "CALLBACK_PUBLIC_KEY_URL" not in {**made(), **cloud_environment({})}


def test_callbacks_are_sealed_by_a_secret_of_the_sandboxs_own() -> None:
    assert Reader(made(CALLBACK_SECRET="r" * 32)).read(CALLBACK_SECRET) == (SEALS.encode(),)
    assert Reader(made("CALLBACK_SECRET", CALLBACK_SECRET="o" * 32)).read(CALLBACK_SECRET) == (
        b"o" * 32,
    )


def test_resumable_uploads_are_sealed_by_another_secret_of_the_sandboxs_own() -> None:
    kept = Secrets("id", "secret", "5e" * 32)
    assert len({kept.multipart_secret, kept.callback_secret, kept.jwt_secret}) == 3
    assert made(MULTIPART_SECRET="r" * 32)["MULTIPART_SECRET"] == PARTS
    given = made("MULTIPART_SECRET", MULTIPART_SECRET="o" * 32)
    assert given["MULTIPART_SECRET"] == "o" * 32


def test_pages_of_any_origin_may_ask_unless_the_developer_says_which() -> None:
    assert origins(made()["ALLOWED_ORIGINS"]) == ("*",)
    for given in ("http://localhost:5173", "capacitor://localhost"):
        assert origins(made(ALLOWED_ORIGINS=given)["ALLOWED_ORIGINS"]) == (given,)


def test_logins_are_verified_by_the_demo_secret() -> None:
    assert Reader(made(AUTH="jwt")).read(JWT_SECRET) == (SECRET.encode(),)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JWT_SECRET", "own-secret-of-more-than-32-bytes!"),
        ("JWT_JWKS_FILE", "keys.json"),
        ("JWT_JWKS_URL", "https://login.example.com/keys"),
    ],
)
def test_keys_for_logins_never_stand_beside_the_demo_secret(name: str, value: str) -> None:
    env = made(name, AUTH="jwt", **{name: value})
    assert env[name] == value
    assert SECRET not in env.values()
    assert read_settings(env).auth.names_callers


def test_misspelt_names_are_found_and_others_left_alone() -> None:
    assert misspelt.find(["OBJECT_PREFX", "ALOWED_ORIGINS", "ALIBABA_CLOUD_ACCES_KEY_ID"]) == [
        ("ALIBABA_CLOUD_ACCES_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_ID"),
        ("ALOWED_ORIGINS", "ALLOWED_ORIGINS"),
        ("OBJECT_PREFX", "OBJECT_PREFIX"),
    ]
    known = ["OBJECT_PREFIX", "AUTH", "ROLE_ARN", "ALIBABA_CLOUD_SECURITY_TOKEN", "FC_REGION"]
    others = ["AUTHOR", "PATH", "HOME", "PORT", "SANDBOX_DIR", "OSS_BUCKET", "AWS_REGION"]
    assert misspelt.find([*known, *others]) == []


def test_tokens_of_another_sts_are_for_no_page_and_no_demo_login() -> None:
    """The sandbox cannot know what the tokens of another STS allow, so it gives them to no web page
    and no demo login."""
    env = made("STS_ENDPOINT", AUTH="anonymous", STS_ENDPOINT="http://127.0.0.1:9")
    assert "ALLOWED_ORIGINS" not in env
    assert SECRET not in env.values()


# CLOUD=1


@pytest.mark.parametrize("origins", ["", "*", "https://app.example.com"])
def test_the_cloud_is_for_no_page_and_no_demo_login(origins: str) -> None:
    env = cloud_environment({"ROLE_ARN": "acs:ram::1:role/upload", "ALLOWED_ORIGINS": origins})
    assert env["ALLOWED_ORIGINS"] == ""
    assert "JWT_SECRET" not in env


def test_the_cloud_has_what_the_environment_sets() -> None:
    assert {**cloud_environment(REAL), **REAL} == cloud_environment(REAL)


def test_the_cloud_gets_no_endpoint_of_the_sandbox() -> None:
    env = cloud_environment({"ROLE_ARN": "acs:ram::1:role/upload"})
    assert str(read_settings(env).sts_endpoint) == "https://sts.cn-hangzhou.aliyuncs.com"
    assert "ALIBABA_CLOUD_ACCESS_KEY_ID" not in env


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CALLBACK_SECRET", "r" * 32),
        ("MULTIPART_SECRET", "r" * 32),
        ("UPLOAD_HOOK_SECRET", "r" * 32),
        ("UPLOAD_HOOK_URL", "https://api.real.example/uploaded"),
        ("STS_ENDPOINT", "http://127.0.0.1:9"),
    ],
)
def test_what_somebody_else_believes_is_made_for_no_page_and_no_demo_login(
    name: str, value: str
) -> None:
    """If pages and demo logins were allowed, every page could sign in as any user and get a seal
    that production trusts (A1)."""
    env = made(name, **{name: value})
    assert "ALLOWED_ORIGINS" not in env
    assert "JWT_SECRET" not in env
    local = made("UPLOAD_HOOK_URL", UPLOAD_HOOK_URL="http://127.0.0.1:9000/uploaded")
    assert (local["ALLOWED_ORIGINS"], local["JWT_SECRET"]) == ("*", SECRET)
