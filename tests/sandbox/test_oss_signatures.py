"""OSS's signatures V1 and V4 are compared with the vendor's examples and with oss2's signer."""

from __future__ import annotations

import oss2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from running_oss import BUCKET, REGION
from sandbox.oss.signatures import (
    UNSIGNED_PAYLOAD,
    V1_SUBRESOURCES,
    V4Scope,
    v1_signature,
    v1_string_to_sign,
    v4_canonical_request,
    v4_signature,
    v4_string_to_sign,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
# The values of a header: visible ASCII and spaces, but no space at the beginning or end.
VALUE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)).map(str.strip)
HEADERS = st.dictionaries(
    st.sampled_from(["content-type", "content-md5", "x-oss-meta-a", "x-oss-meta-a-b", "range"]),
    VALUE,
)
GO_SDK = frozenset(
    """
    cloudboxes responseHeader rtc withHashContext x-oss-enable-md5 x-oss-enable-sha1
    x-oss-enable-sha256 x-oss-hash-ctx x-oss-md5-ctx
    """.split()
)
"""aliyun-oss-go-sdk signs these parameters (signKeyList of oss/conn.go), and ossutil 1 uses this
SDK. oss2 does not sign them.

The parameters udf* and img of signKeyList are left out, because clients no longer use them.
"""
OSS_V2 = frozenset({"overwriteConfig"})
"""Only alibabacloud-oss-v2 signs this parameter, which is the sub-resource of some operations."""
PARAMETERS = st.dictionaries(
    st.sampled_from(sorted(V1_SUBRESOURCES - GO_SDK - OSS_V2)) | TEXT,
    TEXT | st.just(""),
    max_size=5,
)
CREDENTIALS = oss2.credentials.StaticCredentialsProvider("key", "secret")


def test_signs_the_example_of_v1() -> None:
    headers = {
        "content-md5": "ODBGOERFMDMzQTczRUY3NUE3NzA5QzdFNUYzMDQxNEM=",
        "content-type": "text/html",
        "x-oss-meta-author": "foo@bar.com",
        "x-oss-magic": "abracadabra",
        "host": "oss-example.oss-cn-hangzhou.aliyuncs.com",
    }
    date = "Thu, 17 Nov 2005 18:49:58 GMT"
    text = v1_string_to_sign("PUT", "/oss-example/nelson", headers, {"prefix": "unsigned"}, date)
    assert text == (
        b"PUT\nODBGOERFMDMzQTczRUY3NUE3NzA5QzdFNUYzMDQxNEM=\ntext/html\n"
        b"Thu, 17 Nov 2005 18:49:58 GMT\nx-oss-magic:abracadabra\n"
        b"x-oss-meta-author:foo@bar.com\n/oss-example/nelson"
    )
    secret = "OtxrzxIsfpFjA7SwPzILwy8Bw21TLhquhboDYROV"
    assert v1_signature(text, secret) == "26NBxoKdsyly4EDv6inkoDft/yA="


def test_signs_the_example_of_v4() -> None:
    headers = {
        "x-oss-head1": "value",
        "abc": "unsigned",
        "content-type": "text/plain",
        "x-oss-content-sha256": UNSIGNED_PAYLOAD,
        "x-oss-date": "20231216T162057Z",
    }
    query = [
        ("param1", "value1", True),
        ("+param1", "value3", True),
        ("|param1", "value4", True),
        ("+param2", "", False),
        ("|param2", "", False),
        ("param2", "", False),
    ]
    resource = "/bucket/1234+-/123/1.txt"
    request = v4_canonical_request("PUT", resource, headers, query, [], UNSIGNED_PAYLOAD)
    scope = V4Scope("20231216", "cn-hangzhou")
    text = v4_string_to_sign(request, "20231216T162057Z", scope)
    assert v4_signature(text, "sk", scope) == (
        "e21d18daa82167720f9b1047ae7e7f1ce7cb77a31e8203a7d5f4624fa0284afe"
    )


def test_v1_signs_the_query_parameters_that_the_sdks_sign() -> None:
    assert oss2.auth.ProviderAuth._subresource_key_set | GO_SDK | OSS_V2 == V1_SUBRESOURCES


def test_v1_signs_an_empty_value_as_a_bare_name() -> None:
    query = {"uploads": "", "acl": "", "uploadId": "1"}
    text = v1_string_to_sign("GET", "/b/k", {}, query, "0")
    assert text.endswith(b"\n/b/k?acl&uploadId=1&uploads")


@pytest.mark.parametrize(
    ("parameter", "line"),
    [
        (("prefix", "", False), b"prefix"),
        (("prefix", "", True), b"prefix="),
        (("prefix", "a", False), b"prefix=a"),
        (("prefix", "a", True), b"prefix=a"),
    ],
)
def test_v4_signs_an_empty_value_as_it_is_spelt(
    parameter: tuple[str, str, bool], line: bytes
) -> None:
    request = v4_canonical_request("GET", "/b/", {}, [parameter], [], UNSIGNED_PAYLOAD)
    assert request.splitlines()[2] == line


def test_v4_sorts_parameters_as_they_are_encoded() -> None:
    # "%" sorts before letters, and a name sorts before a longer name that begins with it.
    query = [("a", "2", True), ("a", "1", True), ("ab", "", False), ("ü", "", False)]
    request = v4_canonical_request("GET", "/b/", {}, query, [], UNSIGNED_PAYLOAD)
    assert request.splitlines()[2] == b"%C3%BC&a=1&a=2&ab"


def test_v4_signs_an_additional_header_once_and_by_name() -> None:
    headers = {"range": " bytes=0-1 ", "host": "h", "x-oss-date": "d", "other": "unsigned"}
    names = ["range", "host", "range"]
    request = v4_canonical_request("GET", "/b/k", headers, [], names, UNSIGNED_PAYLOAD)
    signed = b"host:h\nrange:bytes=0-1\nx-oss-date:d\n"
    assert request == b"GET\n/b/k\n\n" + signed + b"\nhost;range\nUNSIGNED-PAYLOAD"


def test_v4_refuses_an_additional_header_that_is_missing() -> None:
    with pytest.raises(KeyError):
        v4_canonical_request("GET", "/b/k", {}, [], ["range"], UNSIGNED_PAYLOAD)


@settings(max_examples=150)
@given(key=TEXT, parameters=PARAMETERS, headers=HEADERS)
def test_v1_signs_as_oss2_does(
    key: str, parameters: dict[str, str], headers: dict[str, str]
) -> None:
    request = oss2.http.Request("PUT", "http://h", params=dict(parameters), headers=headers)
    signer = oss2.auth.ProviderAuth(CREDENTIALS)
    signer._sign_request(request, BUCKET, key)
    sent = {name.lower(): value for name, value in request.headers.items()}
    text = v1_string_to_sign("PUT", f"/{BUCKET}/{key}", sent, parameters, sent["date"])
    assert sent["authorization"] == f"OSS key:{v1_signature(text, 'secret')}"


@settings(max_examples=150)
@given(key=TEXT, parameters=PARAMETERS, headers=HEADERS)
def test_v4_signs_as_oss2_does(
    key: str, parameters: dict[str, str], headers: dict[str, str]
) -> None:
    request = oss2.http.Request(
        "PUT", "http://h", params=dict(parameters), headers=headers, product="oss", region=REGION
    )
    signer = oss2.auth.ProviderAuthV4(CREDENTIALS)
    additional = {"range"} & headers.keys()
    signer._sign_request(request, BUCKET, key, additional)
    sent = {name.lower(): value for name, value in request.headers.items()}
    query = [(name, value, False) for name, value in parameters.items()]
    canonical = v4_canonical_request(
        "PUT", f"/{BUCKET}/{key}", sent, query, additional, UNSIGNED_PAYLOAD
    )
    scope = V4Scope(sent["x-oss-date"][:8], REGION)
    text = v4_string_to_sign(canonical, sent["x-oss-date"], scope)
    assert f"Signature={v4_signature(text, 'secret', scope)}" in sent["authorization"]
