"""Signature V4: the vector of the vendor's SDK, and its signer beside ours for any input."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

import oss_v4
from sandbox.oss import signatures

SCOPE = oss_v4.scope("20231216", "cn-hangzhou")
HEADERS = {
    "x-oss-head1": "value",
    "content-type": "text/plain",
    "x-oss-content-sha256": "UNSIGNED-PAYLOAD",
    "x-oss-date": "20231216T162057Z",
}


def test_the_vector_of_the_vendors_sdk() -> None:
    query = {
        "param1": "value1",
        "+param1": "value3",
        "|param1": "value4",
        "+param2": "",
        "|param2": "",
        "param2": "",
    }
    canonical = oss_v4.canonical_request("PUT", "bucket", "1234+-/123/1.txt", query, HEADERS)
    key = oss_v4.signing_key("sk", "20231216", "cn-hangzhou")
    signature = oss_v4.signature(key, HEADERS["x-oss-date"], SCOPE, canonical)
    assert signature == "e21d18daa82167720f9b1047ae7e7f1ce7cb77a31e8203a7d5f4624fa0284afe"


@given(
    st.text(st.characters(codec="utf-8"), max_size=20),
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=8),
        st.text(st.characters(codec="utf-8"), max_size=8),
    ),
)
def test_it_signs_what_the_sandbox_verifies(key: str, query: dict[str, str]) -> None:
    """Written apart, and held against real SDKs there."""
    ours = oss_v4.canonical_request("GET", "bucket", key, query, HEADERS)
    triples = [(name, value, False) for name, value in query.items()]
    theirs = signatures.v4_canonical_request(
        "GET", f"/bucket/{key}", HEADERS, triples, (), "UNSIGNED-PAYLOAD"
    )
    assert ours.encode() == theirs
