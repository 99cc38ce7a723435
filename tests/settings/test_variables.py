"""The catalogue of variables. Each test loads the declarations again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import module_from_spec
from typing import Any

import pytest

from token_service.settings import variables
from token_service.settings.parsing import Refused, Variable


def declared() -> Mapping[str, Variable]:
    """Return the catalogue by name. The module is loaded again, as at the start of a process, so
    its code runs in the test."""
    spec = variables.__spec__
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    found = {variable.name: variable for variable in module.VARIABLES}
    assert len(found) == len(module.VARIABLES)
    return found


FIRST = {
    *("ROLE_ARN", "BUCKET_NAME", "OBJECT_PREFIX", "OSS_REGION", "OSS_ENDPOINT", "POLICY_FILE"),
    *("AUTH", "JWT_SECRET", "JWT_JWKS_URL", "ALLOWED_ORIGINS", "CALLBACK_URL", "CALLBACK_SECRET"),
}
SECRETS = {
    *("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN", "JWT_SECRET"),
    *("MULTIPART_SECRET", "CALLBACK_SECRET", "UPLOAD_HOOK_SECRET"),
}


def test_a_variable_is_declared_under_its_own_name() -> None:
    found = declared()
    assert list(found) == [variable.name for variable in variables.VARIABLES]
    for name, variable in found.items():
        attribute = name.removeprefix("ALIBABA_CLOUD_")
        assert getattr(variables, attribute).name == variable.name


def test_a_secret_is_declared_as_one() -> None:
    """A secret must be declared as secret, because all tools show the values of variables that are
    not secret."""
    found = declared()
    assert {name for name, variable in found.items() if variable.secret is True} == SECRETS
    assert {name for name, variable in found.items() if variable.secret} == SECRETS


def test_what_everybody_sets_is_declared_first() -> None:
    found = declared()
    assert {name for name, variable in found.items() if variable.first is True} == FIRST
    assert {name for name, variable in found.items() if variable.first} == FIRST


def test_every_default_is_sound() -> None:
    for variable in declared().values():
        if variable.default is not None:
            variable.parse(variable.default)


@pytest.mark.parametrize(
    ("name", "sound", "wrong"),
    [
        (
            "ROLE_ARN",
            ["acs:ram::1:role/r", "acs:ram::1234567890123456:role/A.b@c_d-9"],
            ["acs:ram:::role/r", "acs:ram::1:role/", "acs:ram::1:user/r", "acs:ram::1:role/a/b"],
        ),
        ("BUCKET_NAME", ["b-1", "123"], ["ab", "-ab", "ab-", "a_b", "a.b", "Abc"]),
        (
            "OSS_REGION",
            ["cn-hangzhou", "us-west-1", "ap-southeast-1", "cn-hangzhou-finance"],
            ["oss-cn-hangzhou", "cn", "cn-", "c-hangzhou", "CN-hangzhou", "cn-hangzhou.evil"],
        ),
    ],
)
def test_what_must_be_set_has_a_form_and_says_it(
    name: str, sound: list[str], wrong: list[str]
) -> None:
    variable = declared()[name]
    for value in sound:
        assert variable.parse(value) == value
    said = set()
    for value in wrong:
        with pytest.raises(Refused) as caught:
            variable.parse(value)
        said.add(str(caught.value))
    (accepts,) = said
    assert re.fullmatch("must be .+", accepts)
    # The message for a variable that is not set is "not set; " and the text of `accepts`.
    assert variable.missing == f"not set; {accepts}"
    assert variable.default is None


def test_what_takes_the_regions_place_is_read_as_the_region_is() -> None:
    of_platform: Any = variables.FC_REGION
    assert of_platform.name == "FC_REGION"
    assert of_platform[1:] == variables.OSS_REGION[1:]
    assert of_platform not in variables.VARIABLES


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
def test_a_users_name_is_no_time(name: str) -> None:
    """If the exp, nbf or iat of a login were the user's id, all users who signed in during the same
    second would be one user."""
    parse = declared()["JWT_USER_CLAIM"].parse
    with pytest.raises(Refused):
        parse(name)
    assert parse("sub") == "sub"
