"""OSS signature V4, which is tested with vectors from the tests of the vendor's SDKs, and the
lifetimes of signatures."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.oss import signatures
from token_service.grant.refusals import InvalidParameter
from token_service.login.callers import Login
from token_service.settings.parsing import Reader
from token_service.settings.values import AccessKey, Endpoint
from token_service.signing import limits
from token_service.signing.signer import (
    ALGORITHM,
    MAX_TEMPORARY_SECONDS,
    MIN_CUT_SECONDS,
    UNSIGNED_PAYLOAD,
    Signer,
    canonical_query,
    lifetime,
)

Env = dict[str, str]
KEY = AccessKey("ak", "sk", None)
TEMPORARY = AccessKey("STS.ak", "sk", "CAIS-token")
RESOURCE = "/bucket/1234+-/123/1.txt"
QUERY = {
    "param1": "value1",
    "+param1": "value3",
    "|param1": "value4",
    "+param2": "",
    "|param2": "",
    "param2": "",
}


def test_signs_the_vendors_example_of_a_request() -> None:
    signer = Signer.at(1702743657, KEY, "cn-hangzhou")
    headers = {
        "x-oss-head1": "value",
        "content-type": "text/plain",
        "x-oss-content-sha256": "UNSIGNED-PAYLOAD",
        "x-oss-date": "20231216T162057Z",
    }
    made = signer.request_signature("PUT", RESOURCE, canonical_query(QUERY), headers)
    assert made == "e21d18daa82167720f9b1047ae7e7f1ce7cb77a31e8203a7d5f4624fa0284afe"


@pytest.mark.parametrize(
    ("moment", "token", "signature"),
    [
        (
            1702781677,
            {},
            "a39966c61718be0d5b14e668088b3fa07601033f6518ac7b523100014269c0fe",
        ),
        (
            1702785388,
            {"x-oss-security-token": "token"},
            "3817ac9d206cd6dfc90f1c09c00be45005602e55898f26f5ddb06d7892e1f8b5",
        ),
    ],
    ids=["long-lived", "temporary"],
)
def test_signs_the_vendors_examples_of_urls(
    moment: float, token: dict[str, str], signature: str
) -> None:
    signer = Signer.at(moment, KEY, "cn-hangzhou")
    query = {
        **QUERY,
        **token,
        "x-oss-credential": "ak/20231217/cn-hangzhou/oss/aliyun_v4_request",
        "x-oss-date": signer.timestamp,
        "x-oss-expires": "599",
        "x-oss-signature-version": ALGORITHM,
    }
    headers = {"x-oss-head1": "value", "content-type": "application/octet-stream"}
    assert signer.credential == query["x-oss-credential"]
    made = signer.request_signature("PUT", RESOURCE, canonical_query(query), headers)
    assert made == signature


@given(
    st.text(st.characters(codec="utf-8"), max_size=20),
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=8),
        st.text(st.characters(codec="utf-8"), max_size=8),
    ),
)
def test_signs_what_the_sandbox_verifies(key: str, query: dict[str, str]) -> None:
    """The sandbox verifies signatures with its own code, which is tested with the real SDKs."""
    signer = Signer.at(1702743657, KEY, "cn-hangzhou")
    headers = {"x-oss-content-sha256": UNSIGNED_PAYLOAD, "x-oss-date": signer.timestamp}
    made = signer.request_signature("GET", f"/bucket/{key}", canonical_query(query), headers)
    triples = [(name, value, False) for name, value in query.items()]
    canonical = signatures.v4_canonical_request(
        "GET", f"/bucket/{key}", headers, triples, (), UNSIGNED_PAYLOAD
    )
    scope = signatures.V4Scope("20231216", "cn-hangzhou")
    text = signatures.v4_string_to_sign(canonical, signer.timestamp, scope)
    assert made == signatures.v4_signature(text, KEY.access_key_secret, scope)


def test_additional_headers_are_named_and_signed_in_one_order() -> None:
    """The signed order does not depend on the order in which a route passes the headers."""
    signer = Signer.at(1702743657, KEY, "cn-hangzhou")
    endpoint = Endpoint("https", "oss-cn-hangzhou.aliyuncs.com", 443)
    headers = {"Content-Length": "1", "Content-Type": "image/png", "Content-Disposition": "inline"}
    made = [
        signer.url(endpoint, "bucket", "a", 60, "PUT", {}, dict(pairs))
        for pairs in itertools.permutations(headers.items())
    ]
    assert len(set(made)) == 1
    assert "x-oss-additional-headers=content-disposition%3Bcontent-length&" in made[0]


def test_an_expiration_is_twenty_characters_of_utc() -> None:
    assert Signer.at(1702743657.9, KEY, "cn-hangzhou").expiration(900) == "2023-12-16T16:35:57Z"


def test_a_signer_shows_no_secret() -> None:
    shown = repr(Signer.at(0, TEMPORARY, "cn-hangzhou"))
    assert "sk" not in shown
    assert "CAIS" not in shown


def test_a_url_lives_as_long_as_the_operator_says(env: Env) -> None:
    settings = limits.read(
        Reader({**env, "URL_EXPIRE_TIME": "60", "URL_EXPIRE_TIME_MAX": "604800"})
    )
    assert lifetime(None, settings, KEY, None) == 60
    assert lifetime("1", settings, KEY, None) == 1
    assert lifetime("604800", settings, KEY, None) == 604800


@pytest.mark.parametrize("wish", ["0", "-1", "901", "", "1.0", "1e2", " 9", "\u0669", "9" * 5000])
def test_a_wish_for_another_life_is_refused(env: Env, wish: str) -> None:
    with pytest.raises(InvalidParameter, match="expires: must be whole seconds, 1 to 900"):
        lifetime(wish, limits.read(Reader(env)), KEY, None)


def test_what_a_temporary_key_signs_lives_an_hour_at_most(env: Env) -> None:
    """A signature by a temporary key is not valid after the key expires, and the function does not
    know when the key expires."""
    settings = limits.read(Reader({**env, "URL_EXPIRE_TIME": "604800"}))
    assert lifetime(None, settings, KEY, None) == 604800
    assert lifetime(None, settings, TEMPORARY, None) == MAX_TEMPORARY_SECONDS == 3600
    assert lifetime("3600", settings, TEMPORARY, None) == 3600
    with pytest.raises(InvalidParameter, match=r"1 to 3600 .*temporary"):
        lifetime("3601", settings, TEMPORARY, None)
    assert lifetime("604800", settings, None, None) == 604800
    # If the operator has set the same limit, the message names the operator's variable.
    bound = limits.read(Reader({**env, "URL_EXPIRE_TIME_MAX": "3600"}))
    for key in (KEY, TEMPORARY, None):
        with pytest.raises(InvalidParameter, match=r"1 to 3600 \(URL_EXPIRE_TIME_MAX\)"):
            lifetime("3601", bound, key, None)


def test_a_wish_is_cut_to_what_is_left_of_the_login_but_not_below_a_minute(env: Env) -> None:
    settings = limits.read(Reader(env))
    lives = {
        left: lifetime("600", settings, KEY, Login("alice", None, left))
        for left in (-30, 0, 59, 60, 61, 599, 600, 601, 9000)
    }
    assert lives == {
        **dict.fromkeys((-30, 0, 59, 60), MIN_CUT_SECONDS),
        **{61: 61, 599: 599, 600: 600, 601: 600, 9000: 600},
    }
    assert lifetime("10", settings, KEY, Login("alice", None, 0)) == 10
    # If the client asks for no time, the operator's setting applies, even if the login ends
    # sooner. A session may also end later than the login.
    assert lifetime(None, settings, KEY, Login("alice", None, 0)) == 900
