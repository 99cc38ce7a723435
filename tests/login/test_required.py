"""JWT_REQUIRE: the claims that the operator requires of a login, besides the user's id."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configuration import SOUND, logins_of
from signed_logins import SECRET, claims
from token_service.errors import Misconfiguration
from token_service.http.messages import Request
from token_service.login.logins import Logins
from token_service.login.refusals import InvalidToken
from token_service.login.required import Required, required
from token_service.settings.parsing import Refused

FUNCTION = Path(__file__).parents[2] / "functions" / "sts_token"


def requiring(text: str) -> Logins:
    return logins_of(JWT_SECRET=SECRET, JWT_REQUIRE=text)


def user(logins: Logins, **changes: object) -> str:
    text = jwt.encode(claims(**changes), SECRET, "HS256")
    request = Request("GET", "/", {}, {"authorization": f"Bearer {text}"})
    return logins.verified(request).user_id


def refused(logins: Logins, **changes: object) -> str:
    with pytest.raises(InvalidToken) as error:
        user(logins, **changes)
    assert error.value.status == 401
    return error.value.message


# These requirements refuse an ID token, a refresh token or a guest's login that is signed with the
# same key.
@pytest.mark.parametrize(
    ("text", "fits", "others"),
    [
        ("client_id=app", ["app"], ["App", "app ", "", "apps", ["app"], {"app": 1}, None]),
        ("azp=web|phone", ["web", "phone"], ["web|phone", "", "tablet", None]),
        ("azp = web | phone ", ["web", "phone"], [" web", "tablet"]),
        ("typ=Bearer", ["Bearer"], ["bearer", "Refresh", "ID", None]),
        ("is_anonymous=false", [False, "false"], [True, 0, "", "False", None]),
        ("email_verified=true", [True, "true"], [False, 1, 1.0, "True", [True], None]),
        ("emailVerified=yes", ["yes"], ["no", None]),
        ("org=12", [12, "12"], [12.0, "012", 120, -12, True, None]),
        ("org=1e3|1000.0", ["1e3"], [1000, 1000.0]),
        ("https://app.example/role=staff", ["staff"], ["admin", None]),
        ("note=\u5458\u5de5 a", ["\u5458\u5de5 a"], ["\u5458\u5de5"]),
    ],
)
def test_the_claim_must_be_one_of_the_values(
    text: str, fits: list[object], others: list[object]
) -> None:
    name = text.partition("=")[0].strip()
    logins = requiring(text)
    for value in fits:
        assert user(logins, **{name: value}) == "alice"
    for value in others:
        message = refused(logins, **{name: value})
        assert f" claim {name}" in message
        assert message.endswith("(JWT_REQUIRE)")


def test_all_that_is_required_must_hold() -> None:
    logins = requiring("azp=web|phone, email_verified=true")
    assert user(logins, azp="phone", email_verified=True) == "alice"
    assert "it does not have an accepted value of the claim email_verified" in refused(
        logins, azp="web", email_verified=False
    )
    assert "it lacks the claim email_verified" in refused(logins, azp="web")
    assert "it lacks the claim azp" in refused(logins, email_verified=True)


def test_a_claim_that_is_nested_deeply_is_refused_as_any_other() -> None:
    nested = json.loads("[" * 900 + "]" * 900)
    assert "it does not have an accepted value of the claim azp" in refused(
        requiring("azp=web"), azp=nested
    )


def test_a_refusal_tells_no_value() -> None:
    message = refused(requiring("tier=gold-s3cret"), tier="si1ver")
    assert "s3cret" not in message
    assert "si1ver" not in message


def test_the_header_of_a_login_is_not_looked_at() -> None:
    assert "lacks the claim typ" in refused(requiring("typ=JWT"))


@pytest.mark.parametrize(
    "text",
    [
        *("azp", "azp=", "=app", "azp=a|", "azp=|a", "azp=a||b", "azp=a,", ",azp=a", "azp=a,,b=c"),
        *("azp==a", "azp=a=b", "azp!=a", "azp>=a", "azp~=a", "azp:a b=c", "az p=a", "azp=a;b=c=d"),
        *("azp=a,azp=b", "azp=a, azp =a", "azp=a,b", ",", "|", "=", "x" * 129 + "=a", "\u5458=a"),
    ],
)
def test_what_is_not_understood_is_a_fault(text: str) -> None:
    """A malformed JWT_REQUIRE is an error. If the function guessed what it means, it could accept
    the logins of everybody, or of nobody."""
    with pytest.raises(Misconfiguration, match="JWT_REQUIRE: must be claims like"):
        requiring(text)


@given(st.text(st.sampled_from("ab=|, .:!\n") | st.characters(), max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = required(text)
    except Refused:
        return
    assert found.values
    for name, values in found.values.items():
        assert name
        assert all(values)
        found_again = required(f"{name}={'|'.join(values)}")
        assert found_again == Required({name: values})


def test_it_is_loaded_only_where_it_is_set() -> None:
    code = (
        "import sys; from token_service.settings.reading import read_settings\n"
        "import os; read_settings(os.environ)\n"
        "print('token_service.login.required' in sys.modules)"
    )
    for text, is_loaded in (("", "False"), ("azp=web", "True")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**SOUND, "JWT_SECRET": SECRET, "JWT_REQUIRE": text, "PYTHONPATH": str(FUNCTION)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.strip() == is_loaded, done.stderr
