"""Every known attack on a login is refused, with the reason.

Each test also checks that a valid login is accepted, so a check that refuses every login fails.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import example, given
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from configuration import SOUND, jwt_settings, logins_of
from scripted_sts import answer, scripted_sts, success
from signed_logins import (
    EC_KEY,
    KEYS,
    RSA_KEY,
    SECRET,
    claims,
    forged,
    jwk,
    jwks,
    login,
    public_pem,
)
from token_service import base64url
from token_service.errors import Misconfiguration
from token_service.http.messages import Request
from token_service.login.callers import Login
from token_service.login.logins import MAX_CACHED, MAX_LOGIN_CHARACTERS, Logins
from token_service.login.refusals import ExpiredToken, InvalidToken, MissingToken
from token_service.settings.parsing import Reader
from tried import examples

FUNCTION = Path(__file__).parents[2] / "functions" / "sts_token"


def with_login(text: str, headers: Mapping[str, str] | None = None) -> Request:
    return Request("GET", "/", {}, {"authorization": f"Bearer {text}", **(headers or {})})


def in_query(text: str, headers: Mapping[str, str] | None = None) -> Request:
    return Request("GET", "/", {"access_token": text}, headers or {})


HS256 = logins_of(JWT_SECRET=SECRET)


def refused(text: str, logins: Logins = HS256) -> str:
    """Return why a login is refused, and the hint for the log. Assert that these two texts do not
    contain the login."""
    with pytest.raises(InvalidToken) as error:
        logins.verified(with_login(text))
    assert error.value.status == 401
    said = f"{error.value.message}; {error.value.hint}"
    assert text not in said or not text
    return said


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_text(jwks(*(jwk(name, f"key-{name}") for name in KEYS)))
    return path


# Sound logins


def test_a_login_is_taken_from_the_header_or_the_query() -> None:
    """The mobile SDKs send no headers (seen in their source), so they send the login in the
    query."""
    assert HS256.verified(with_login(login())).user_id == "alice"
    assert HS256.verified(in_query(login())).user_id == "alice"
    odd = Request("GET", "/", {}, {"authorization": f"bEARER  {login()}"})
    assert HS256.verified(odd).user_id == "alice"


def test_the_same_login_in_both_places_is_one_login() -> None:
    text = login()
    both = in_query(text, {"authorization": f"Bearer {text}"})
    assert HS256.verified(both).user_id == "alice"


def test_the_platforms_own_authorization_leaves_the_query_to_us() -> None:
    """If a trigger has authType function, the Authorization header contains ACS3-HMAC-SHA256 and
    not a login."""
    signed = in_query(login(), {"authorization": "ACS3-HMAC-SHA256 Credential=x"})
    assert HS256.verified(signed).user_id == "alice"


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_public_key_verifies_what_its_private_key_signed(keys_file: Path, algorithm: str) -> None:
    logins = logins_of(JWT_JWKS_FILE=str(keys_file))
    text = login(KEYS[algorithm], algorithm, kid=f"key-{algorithm}")
    assert logins.verified(with_login(text)).user_id == "alice"


def test_a_secret_can_be_rotated() -> None:
    logins = logins_of(JWT_SECRET=f"{'new' * 11}, {SECRET}")
    assert logins.verified(with_login(login())).user_id == "alice"
    assert logins.verified(with_login(login("new" * 11))).user_id == "alice"
    assert "signature" in refused(login("other" * 8), logins)


def test_a_secret_is_read_at_each_use() -> None:
    env = {**SOUND, "JWT_SECRET": SECRET}
    settings = jwt_settings(env)
    logins = Logins(settings, env)
    text = login()
    assert logins.verified(with_login(text)).user_id == "alice"
    env["JWT_SECRET"] = "replaced" * 5
    assert "signature" in refused(text, logins)


def test_another_claim_can_name_the_user() -> None:
    logins = logins_of(JWT_SECRET=SECRET, JWT_USER_CLAIM="uid")
    assert logins.verified(with_login(login(uid="7", sub=None))).user_id == "7"
    assert "uid" in refused(login(), logins)


# Attacks


def test_no_login_is_not_anonymous() -> None:
    for request in (
        Request("GET", "/"),
        Request("GET", "/", {"access_token": ""}),
        Request("GET", "/", {}, {"authorization": "Basic YTpi"}),
        Request("GET", "/", {}, {"authorization": "Bearer "}),
    ):
        with pytest.raises(MissingToken):
            HS256.verified(request)
    with pytest.raises(MissingToken, match="Authorization"):
        HS256.verified(Request("GET", "/"))


NESTED = json.loads("[" * 900 + "]" * 900)


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", None, 0, ["HS256"], NESTED])
def test_alg_none_is_refused(alg: object) -> None:
    refused(forged({"alg": alg, "typ": "JWT"}, claims()))
    signature = login().rpartition(".")[2]
    refused(forged({"alg": alg}, claims()) + signature)


def test_a_header_without_alg_is_refused() -> None:
    refused(forged({"typ": "JWT"}, claims()))


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_an_algorithm_that_is_not_configured_is_refused_though_the_secret_is_right(
    algorithm: str,
) -> None:
    assert "algorithm" in refused(login(SECRET * 2, algorithm), logins_of(JWT_SECRET=SECRET * 2))


def test_hs256_signed_with_the_public_key_is_refused(keys_file: Path) -> None:
    """In this attack (key confusion), the HMAC secret is the public key, which everybody has."""
    logins = logins_of(JWT_JWKS_FILE=str(keys_file))
    for kid in ("key-RS256", "key-ES256", "key-EdDSA"):
        for secret in (public_pem(RSA_KEY), public_pem(EC_KEY), keys_file.read_bytes()):
            head = forged({"alg": "HS256", "kid": kid}, claims()).rpartition(".")[0]
            digest = hmac.digest(secret, head.encode(), hashlib.sha256)
            signed = forged({"alg": "HS256", "kid": kid}, claims(), digest)
            assert "algorithm" in refused(signed, logins)


def test_a_key_verifies_its_own_algorithm_only(keys_file: Path) -> None:
    logins = logins_of(JWT_JWKS_FILE=str(keys_file))
    assert "algorithm" in refused(login(RSA_KEY, "RS512", kid="key-RS256"), logins)
    assert "algorithm" in refused(login(RSA_KEY, "PS256", kid="key-RS256"), logins)
    assert "algorithm" in refused(login(RSA_KEY, "RS256", kid="key-ES256"), logins)


def test_a_public_key_as_the_secret_is_a_misconfiguration() -> None:
    pem = public_pem(RSA_KEY).decode()
    for text in (
        pem,
        "".join(pem.splitlines()[1:-1]),
        "".join(public_pem(EC_KEY).decode().splitlines()[1:-1]),
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFakeFakeFake",
        "https://login.example.com/.well-known/jwks.json",
        jwks(jwk("RS256")),
    ):
        with pytest.raises(
            Misconfiguration, match="JWT_SECRET: must be a secret, not a public key"
        ):
            logins_of(JWT_SECRET=text)


def test_an_expired_login_is_refused_after_the_leeway() -> None:
    now = int(time.time())
    assert HS256.verified(with_login(login(exp=now - 20))).user_id == "alice"
    with pytest.raises(ExpiredToken, match="sign in again") as error:
        HS256.verified(with_login(login(exp=now - 40)))
    assert error.value.status == 401


def test_a_login_that_never_expires_is_refused() -> None:
    assert "lacks the claim exp" in refused(login(exp=None))


def test_a_login_that_is_not_valid_yet_is_refused() -> None:
    now = int(time.time())
    assert HS256.verified(with_login(login(nbf=now + 20))).user_id == "alice"
    assert "not valid yet" in refused(login(nbf=now + 60))
    assert "not valid yet" in refused(login(iat=now + 60))


def test_a_wrong_issuer_is_refused() -> None:
    logins = logins_of(JWT_SECRET=SECRET, JWT_ISSUER="https://id.example.com/")
    assert logins.verified(with_login(login(iss="https://id.example.com/"))).user_id == "alice"
    for issuer in ("https://id.example.com", "https://id.example.com/x", None, 7, ["a"]):
        refused(_signed(claims(iss=issuer)), logins)


def test_a_wrong_audience_is_refused() -> None:
    logins = logins_of(JWT_SECRET=SECRET, JWT_AUDIENCE="app, other-app")
    assert logins.verified(with_login(login(aud="app"))).user_id == "alice"
    assert logins.verified(with_login(login(aud=["x", "other-app"]))).user_id == "alice"
    for audience in ("ap", "app2", [], ["x"], None, 7):
        refused(_signed(claims(aud=audience)), logins)


def test_a_login_for_some_audience_is_refused_where_none_is_configured() -> None:
    """A login with an audience may be for another service. Only the operator knows which audience
    is ours."""
    assert "JWT_AUDIENCE is not set" in refused(login(aud="other-service"))


def test_only_an_audience_that_nobody_configured_is_hinted_at() -> None:
    logins = logins_of(JWT_SECRET=SECRET, JWT_AUDIENCE="app")
    for verifier, text in ((logins, login(aud="other")), (HS256, login("other" * 8))):
        with pytest.raises(InvalidToken) as error:
            verifier.verified(with_login(text))
        assert error.value.hint == ""


@pytest.mark.parametrize("audience", ["", [], [""], None, 0, False, {}])
def test_an_empty_audience_is_one_as_well(audience: object) -> None:
    """RFC 7519, 4.1.3: a service must reject a login whose `aud` does not name the service (finding
    A19)."""
    text = _signed({**claims(), "aud": audience})
    assert "JWT_AUDIENCE is not set" in refused(text)
    refused(text, logins_of(JWT_SECRET=SECRET, JWT_AUDIENCE="app"))


NO_IDS = ["", 0, -7, 2**63, 10**30, True, False, 7.0, 1e3, 0.5, ["alice"], [7], {"id": "alice"}]


@pytest.mark.parametrize("sub", [None, *NO_IDS])
def test_a_login_whose_sub_is_missing_or_no_id_is_refused(sub: object) -> None:
    text = login(sub=sub) if sub is None else _signed({**claims(), "sub": sub})
    assert "its claim sub must be non-empty text or an integer, 1 to 2^63-1" in refused(text)
    refused(_signed({**claims(), "sub": None}))


@pytest.mark.parametrize(
    "kid",
    [
        "../../../etc/passwd",
        "/dev/null",
        "file:///etc/passwd",
        "https://evil.example/keys.json",
        "key-RS256\x00",
        "KEY-RS256",
        "' OR 1=1 --",
        "k" * 5000,
    ],
)
def test_a_kid_that_is_a_path_or_a_url_is_an_unknown_key(keys_file: Path, kid: str) -> None:
    logins = logins_of(JWT_JWKS_FILE=str(keys_file))
    assert "kid" in refused(login(RSA_KEY, "RS256", kid=kid), logins)


def test_what_a_login_says_of_its_own_key_is_not_listened_to(keys_file: Path) -> None:
    """With the headers jwk, jku and x5u, an attacker could choose the key, or the URL of the
    key."""
    logins = logins_of(JWT_JWKS_FILE=str(keys_file))
    text = login(RSA_KEY, "RS256", kid="key-RS256")
    assert logins.verified(with_login(text)).user_id == "alice"
    headers = {"jwk": jwk("ES256"), "jku": "https://evil.example/", "x5u": "https://evil.example/"}
    for kid in ("key-RS256", "own"):
        forged_login = jwt.encode(claims(), EC_KEY, "ES256", headers={**headers, "kid": kid})
        refused(forged_login, logins)


def test_a_login_of_a_megabyte_is_refused_before_it_is_read() -> None:
    text = login(padding="x" * 1_000_000)
    assert str(MAX_LOGIN_CHARACTERS) in refused(text)
    assert HS256.verified(with_login(login(padding="x" * 5000))).user_id == "alice"


def test_the_longest_login_is_taken() -> None:
    assert MAX_LOGIN_CHARACTERS == 8192
    # With one more character in the claims, the base64 text may be two characters longer. So many
    # lengths are tried.
    texts = [login(padding="x" * length) for length in range(5900, 6100)]
    lengths = {len(text): text for text in texts}
    assert {MAX_LOGIN_CHARACTERS, MAX_LOGIN_CHARACTERS + 1} <= set(lengths)
    assert HS256.verified(with_login(lengths[MAX_LOGIN_CHARACTERS])).user_id == "alice"
    assert str(MAX_LOGIN_CHARACTERS) in refused(lengths[MAX_LOGIN_CHARACTERS + 1])


def test_two_logins_at_once_are_refused() -> None:
    request = in_query(login(sub="bob"), {"authorization": f"Bearer {login()}"})
    with pytest.raises(InvalidToken, match="header and access_token differ"):
        HS256.verified(request)


def test_logins_that_a_platform_joined_are_refused() -> None:
    """The platform joins the values of a repeated parameter or header with a comma."""
    refused(f"{login()},{login(sub='bob')}")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-1],
        lambda text: text + "A",
        lambda text: text + ".",
        lambda text: text.replace(".", "..", 1),
        lambda text: f" {text[:20]} {text[20:]}",
        lambda text: text.rpartition(".")[0] + ".",
        lambda text: ".".join([*login(sub="bob").split(".")[:2], text.split(".")[2]]),
    ],
    ids=range(7),
)
def test_an_altered_login_is_refused(change: object) -> None:
    assert callable(change)
    refused(change(login()))


@pytest.mark.parametrize(
    "payload",
    [[], "text", 7, None, {"exp": "1" * 400}, {"exp": 1e400}, {"sub": "a", "exp": -(10**400)}],
)
def test_hostile_claims_are_refused(payload: object) -> None:
    with pytest.raises((InvalidToken, ExpiredToken)):
        HS256.verified(with_login(_signed(payload)))


@given(st.text() | st.from_regex(r"[A-Za-z0-9_=-]*\.[A-Za-z0-9_=-]*\.[A-Za-z0-9_=-]*"))
def test_any_text_is_refused_as_a_login_and_never_breaks(text: str) -> None:
    with pytest.raises((InvalidToken, MissingToken)):
        HS256.verified(with_login(text))


@given(
    st.dictionaries(
        st.sampled_from(["sub", "exp", "nbf", "iat", "aud", "iss", "jti", "crit"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()),
    )
)
def test_signed_claims_of_any_kind_name_a_user_or_are_refused(payload: dict[str, object]) -> None:
    with suppress(InvalidToken, ExpiredToken):
        assert HS256.verified(with_login(_signed(payload))).user_id == str(payload["sub"])


# The caller of a login, and claims that have no effect

few = examples(40, 1_000)
"""There are few examples, because each example signs a login, which takes time."""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@few
@given(st.dictionaries(st.sampled_from(["sub", "jti", "iss", "azp", "typ", "x", ""]), JSON))
def test_a_claim_that_is_not_used_never_decides(unused: dict[str, object]) -> None:
    """PyJWT itself refuses a `sub` or `jti` that is not text (finding F4), but we must ignore
    claims that we do not use."""
    logins = logins_of(JWT_SECRET=SECRET, JWT_USER_CLAIM="uid")
    text = _signed({**claims(), **unused, "uid": "alice"})
    assert logins.verified(with_login(text)).user_id == "alice"


@few
@given(JSON)
def test_an_iat_that_is_no_number_never_decides(issued: object) -> None:
    """RFC 7519, 4.1.6, does not let `iat` decide whether a login is valid. But we refuse an `iat`
    that is ahead of our clock."""
    text = _signed({**claims(), "iat": issued})
    if type(issued) not in (int, float):
        assert HS256.verified(with_login(text)).issued is None
        return
    with suppress(InvalidToken):
        assert HS256.verified(with_login(text)).issued == issued


@few
@given(JSON)
def test_times_are_numbers_or_absent(value: object) -> None:
    """RFC 7519, 4.1.4 and 4.1.5, require numbers. A text of digits is still accepted, as in earlier
    versions."""
    is_digits = isinstance(value, str) and value.strip().isdecimal()
    if isinstance(value, (bool, int, float)) or is_digits:
        return
    if value is None:
        assert HS256.verified(with_login(_signed({**claims(), "nbf": None}))).user_id == "alice"
        assert "lacks the claim exp" in refused(_signed({**claims(), "exp": None}))
        return
    for name in ("exp", "nbf"):
        assert "exp and nbf must be numbers" in refused(_signed({**claims(), name: value}))


@pytest.mark.parametrize("issued", ["1e400", "-1e400", "NaN", "Infinity"])
def test_an_iat_that_no_number_can_be_compared_with_is_refused(issued: str) -> None:
    """LOGINS_NOT_BEFORE would not stop a login with NaN, because every comparison with NaN is
    false."""
    body = json.dumps({**claims(), "iat": 0}).replace('"iat": 0', f'"iat": {issued}')
    refused(_signed_text(body))
    assert HS256.verified(with_login(_signed_text(json.dumps(claims())))).issued is None


@given(st.integers(1, 2**63 - 1))
@example(1)
@example(2**63 - 1)
def test_an_integer_id_is_its_decimal_text(number: int) -> None:
    """The ids of users in Laravel and Django are integers. By design, a login with the id 7 and a
    login with the id "7" name the same user."""
    by_number, by_text = (_signed({**claims(), "sub": sub}) for sub in (number, str(number)))
    one, twin = (HS256.caller(with_login(text)) for text in (by_number, by_text))
    assert one.login is not None
    assert one.login.user_id == str(number)
    assert one[:2] == twin[:2]


@few
@given(st.sampled_from(NO_IDS) | JSON)
def test_what_is_no_id_is_nobody(value: object) -> None:
    is_id = (isinstance(value, str) and value) or (type(value) is int and 0 < value < 2**63)
    if not is_id:
        refused(_signed({**claims(), "sub": value}))


@pytest.mark.parametrize(
    "text", ["1.0", "1e3", "1E0", "0", "-1", "-0", "9223372036854775808", "9" * 5000]
)
def test_only_an_integer_as_json_spells_one_is_an_id(text: str) -> None:
    body = json.dumps({**claims(), "sub": 0})
    refused(_signed_text(body.replace('"sub": 0', f'"sub": {text}')))
    sound = _signed_text(body.replace('"sub": 0', '"sub": 10'))
    assert HS256.verified(with_login(sound)).user_id == "10"


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
def test_a_time_names_no_user(claim: str) -> None:
    """A time is an integer, and an id may be an integer too. If a time were the id, all users who
    log in within the same second would count as one user."""
    with pytest.raises(
        Misconfiguration, match="JWT_USER_CLAIM: must be a claim other than exp, nbf, iat"
    ):
        logins_of(JWT_SECRET=SECRET, JWT_USER_CLAIM=claim)


def test_an_issuer_may_have_several_spellings() -> None:
    """Google's logins use two spellings of the issuer (finding F9)."""
    logins = logins_of(JWT_SECRET=SECRET, JWT_ISSUER="https://accounts.google.com, accounts.x")
    for issuer in ("https://accounts.google.com", "accounts.x"):
        assert logins.verified(with_login(login(iss=issuer))).user_id == "alice"
    for other in ("https://accounts.google.com, accounts.x", "accounts", "", " accounts.x", None):
        refused(_signed({**claims(), "iss": other}), logins)
    refused(login(), logins)


@pytest.mark.parametrize("text", [",", " , ,"])
def test_an_issuer_that_is_commas_only_is_a_fault_and_not_none(text: str) -> None:
    with pytest.raises(Misconfiguration, match="JWT_ISSUER: must be issuers, separated by commas"):
        logins_of(JWT_SECRET=SECRET, JWT_ISSUER=text)


def _signed(payload: object) -> str:
    return _signed_text(json.dumps(payload))


def _signed_text(payload: str) -> str:
    parts = [b'{"alg": "HS256", "typ": "JWT"}', payload.encode()]
    head = ".".join(map(base64url.encode, parts))
    return f"{head}.{base64url.encode(hmac.digest(SECRET.encode(), head.encode(), hashlib.sha256))}"


# What a cold start pays for


COLD = f"""
import os, sys
sys.path.insert(0, {str(FUNCTION)!r})
import json, index
answer = index.handler(sys.stdin.read(), None)
print(json.loads(answer["body"])["StatusCode"], *sys.modules)
"""


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256", "EdDSA"])
def test_a_fresh_instance_loads_what_its_algorithm_needs_and_no_more(
    env: dict[str, str], make_event: Callable[..., bytes], keys_file: Path, algorithm: str
) -> None:
    """For HS256, `cryptography` must not be imported: it would take most of a login's time at a
    cold start."""
    by_secret = algorithm == "HS256"
    text = login() if by_secret else login(KEYS[algorithm], algorithm, kid=f"key-{algorithm}")
    variables = {"JWT_SECRET": SECRET} if by_secret else {"JWT_JWKS_FILE": str(keys_file)}
    # First check that this process, which has loaded all modules, accepts the login.
    assert logins_of(**variables).verified(with_login(text)).user_id == "alice"
    with scripted_sts(success()) as server:
        done = subprocess.run(
            [sys.executable, "-c", COLD],
            input=make_event(headers={"Authorization": f"Bearer {text}"}),
            env={**os.environ, **env, **variables, "AUTH": "jwt", "STS_ENDPOINT": server.url},
            capture_output=True,
            check=False,
        )
        sessions = [request["RoleSessionName"] for request in server.requests]
    status, *loaded = done.stdout.decode().split()
    assert (status, sessions) == ("200", ["alice"]), done.stderr
    assert ("cryptography" in loaded) == (not by_secret)
    ssh = "cryptography.hazmat.primitives.serialization.ssh"
    unused = {"cryptography.x509", ssh, "urllib.request", "typing_extensions", "jinja2"}
    assert unused & {*loaded} == set()


# A cached login


class Clock:
    """A clock in unix seconds that a test sets. PyJWT uses it, too."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(mocker: MockerFixture) -> Clock:
    clock = Clock()

    class Datetime(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Datetime:
            return cls.fromtimestamp(clock.now, tz)

    mocker.patch("token_service.login.logins.time.time", clock)
    mocker.patch("jwt.api_jwt.datetime", Datetime)
    return clock


def test_a_login_is_verified_once(mocker: MockerFixture) -> None:
    logins, text = logins_of(JWT_SECRET=SECRET), login()
    decode = mocker.spy(jwt, "decode")
    for _ in range(5):
        assert logins.verified(with_login(text)).user_id == "alice"
        assert logins.verified(in_query(text)).user_id == "alice"
    assert decode.call_count == 1


def test_a_secret_is_parsed_once_while_its_text_stays(mocker: MockerFixture) -> None:
    env = {**SOUND, "JWT_SECRET": SECRET}
    logins = Logins(jwt_settings(env), env)
    read = mocker.spy(Reader, "read")
    for user_id in ("alice", "bob", "alice"):
        assert logins.verified(with_login(login(sub=user_id))).user_id == user_id
    assert read.call_count == 1
    env["JWT_SECRET"] = f"{'new' * 11},{SECRET}"
    assert logins.verified(with_login(login("new" * 11))).user_id == "alice"
    assert read.call_count == 2


def test_a_known_login_expires_when_it_says(clock: Clock) -> None:
    logins, text = logins_of(JWT_SECRET=SECRET), login(exp=int(time.time()) + 600)
    assert logins.verified(with_login(text)).user_id == "alice"
    clock.now += 629
    assert logins.verified(with_login(text)).user_id == "alice"
    clock.now += 2
    for _ in range(2):
        with pytest.raises(ExpiredToken):
            logins.verified(with_login(text))


def test_in_the_last_second_of_the_clock_skew_a_login_is_known_and_then_it_is_over(
    clock: Clock, mocker: MockerFixture
) -> None:
    clock.now = float(int(clock.now))
    logins, text = logins_of(JWT_SECRET=SECRET), login(exp=int(clock.now) + 600)
    logins.verified(with_login(text))
    decode = mocker.spy(jwt, "decode")
    clock.now += 629.9
    assert logins.verified(with_login(text)).user_id == "alice"
    assert decode.call_count == 0
    clock.now = float(int(clock.now)) + 1
    with pytest.raises(ExpiredToken):
        logins.verified(with_login(text))


def test_a_login_says_whose_it_is_since_when_and_for_how_long(clock: Clock) -> None:
    logins, now = logins_of(JWT_SECRET=SECRET), int(clock.now)
    request = with_login(login(iat=now - 5, exp=now + 600))
    assert logins.caller(request).login == Login("alice", now - 5, 600)
    clock.now += 610
    # The login has expired, but is still accepted because of the allowed clock skew. The remaining
    # time of this login is negative.
    assert logins.caller(request).login == Login("alice", now - 5, -10)


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_a_login_may_be_of_the_future_by_the_clock_skew(clock: Clock, claim: str) -> None:
    clock.now = float(int(clock.now))
    sound, early = (_signed(claims(**{claim: int(clock.now) + ahead})) for ahead in (30, 31))
    assert HS256.verified(with_login(sound)).user_id == "alice"
    assert "not valid yet" in refused(early)


def test_keys_are_fetched_before_the_first_login_on_request() -> None:
    with scripted_sts(answer(200, jwks(jwk("RS256", "k")).encode())) as provider:
        logins = logins_of(JWT_JWKS_URL=f"{provider.url}/keys")
        logins.warm()
        assert provider.connections == 1
        text = login(RSA_KEY, "RS256", kid="k")
        assert logins.verified(with_login(text)).user_id == "alice"
        assert provider.connections == 1
    HS256.warm()


def test_a_known_login_is_refused_when_its_secret_is_gone() -> None:
    env = {**SOUND, "JWT_SECRET": f"{SECRET},{'new' * 11}"}
    settings = jwt_settings(env)
    logins, text = Logins(settings, env), login()
    assert logins.verified(with_login(text)).user_id == "alice"
    env["JWT_SECRET"] = "new" * 11
    assert "signature" in refused(text, logins)


@pytest.mark.parametrize("instead", [[], ["ES256"]], ids=["another kid", "another key of its kid"])
def test_a_known_login_is_refused_when_its_key_is_gone(clock: Clock, instead: list[str]) -> None:
    """The identity provider replaces the key, for example after a theft."""
    before = answer(200, jwks(jwk("RS256", "k"), jwk("EdDSA", "other")).encode())
    after = answer(200, jwks(*(jwk(a, "k") for a in instead), jwk("EdDSA", "other")).encode())
    with scripted_sts(before, after) as provider:
        logins = logins_of(JWT_JWKS_URL=f"{provider.url}/keys")
        assert logins._keys is not None
        logins._keys._clock = clock
        text = login(RSA_KEY, "RS256", kid="k", exp=int(time.time()) + 100_000)
        assert logins.verified(with_login(text)).user_id == "alice"
        clock.now += 3000
        assert logins.verified(with_login(text)).user_id == "alice"
        clock.now += 700
        refused(text, logins)


@pytest.mark.parametrize("kid", ["k", None], ids=["the old kid", "no kid"])
def test_a_key_that_took_the_place_of_another_is_taken_within_a_minute(
    clock: Clock, kid: str | None
) -> None:
    """The new key has the same kid as the old one, so only a signature that does not match shows
    the change."""
    new_key = ec.generate_private_key(ec.SECP256R1())
    new = jwt.get_algorithm_by_name("ES256").to_jwk(new_key.public_key(), as_dict=True)
    named = {"kid": kid} if kid else {}
    before = answer(200, jwks({**jwk("ES256"), **named}).encode())
    after = answer(200, jwks({**new, **named}).encode())
    with scripted_sts(before, after) as provider:
        logins = logins_of(JWT_JWKS_URL=f"{provider.url}/keys")
        assert logins._keys is not None
        logins._keys._clock = clock
        old_login, new_login = login(EC_KEY, "ES256", kid=kid), login(new_key, "ES256", kid=kid)
        assert logins.verified(with_login(old_login)).user_id == "alice"
        for _ in range(5):
            assert "signature" in refused(new_login, logins)
        assert provider.connections == 1
        clock.now += 60
        for _ in range(5):
            assert logins.verified(with_login(new_login)).user_id == "alice"
            assert "signature" in refused(old_login, logins)
        assert provider.connections == 2


def test_a_key_that_is_taken_back_takes_its_logins_with_it(clock: Clock) -> None:
    """For a minute, the key list contains a stranger's key in place of the real key, under the same
    kid."""
    theirs = ec.generate_private_key(ec.SECP256R1())
    key = jwt.get_algorithm_by_name("ES256").to_jwk(theirs.public_key(), as_dict=True)
    sound = answer(200, jwks(jwk("ES256", "k")).encode())
    with scripted_sts(sound, answer(200, jwks({**key, "kid": "k"}).encode()), sound) as provider:
        logins = logins_of(JWT_JWKS_URL=f"{provider.url}/keys")
        assert logins._keys is not None
        logins._keys._clock = clock
        ours = login(EC_KEY, "ES256", kid="k")
        assert logins.verified(with_login(ours)).user_id == "alice"
        clock.now += 60
        forged_one = login(theirs, "ES256", kid="k", exp=int(clock.now) + 10**9)
        assert logins.verified(with_login(forged_one)).user_id == "alice"
        clock.now += 60
        assert logins.verified(with_login(ours)).user_id == "alice"
        assert provider.connections == 3
        assert "signature" in refused(forged_one, logins)


def test_a_refused_login_is_not_known(clock: Clock) -> None:
    logins = logins_of(JWT_SECRET=SECRET)
    text = login(nbf=int(time.time()) + 100)
    assert "not valid yet" in refused(text, logins)
    clock.now += 100
    assert logins.verified(with_login(text)).user_id == "alice"


def test_known_logins_do_not_fill_the_memory() -> None:
    logins = logins_of(JWT_SECRET=SECRET)
    for number in range(MAX_CACHED + 50):
        logins.verified(with_login(login(sub=f"user{number}")))
    assert len(logins._cache) == MAX_CACHED
