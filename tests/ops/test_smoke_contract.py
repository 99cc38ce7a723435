"""Tests the functions of ops/smoke that judge answers. For any faulty answer, these functions
describe the faults in words. The functions raise no exception, and quote no secrets."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops import report
from ops.report import Check, Outcome, failed, judged, passed
from ops.smoke import clients, contract
from ops.smoke.contract import NotADocument
from ops.smoke.wire import Reply
from scripted_sts import CREDENTIALS

ORIGIN = "https://app.example.com"
SOUND = {
    "StatusCode": 200,
    **CREDENTIALS,
    "Code": "Success",
    "LastUpdated": "2035-12-31T23:45:00Z",
    "Scope": {
        "Bucket": "b",
        "Region": "cn-hangzhou",
        "Endpoint": "https://oss-cn-hangzhou.aliyuncs.com",
        "Prefix": "uploads/",
        "Policy": "bucket_write_policy",
    },
}
NOW = contract.stamp("2035-12-31T23:45:00Z")
HEADERS = (
    ("Content-Type", "application/json; charset=utf-8"),
    ("Cache-Control", "no-store"),
    ("Content-Length", "1"),
    ("Date", "Mon, 31 Dec 2035 23:45:00 GMT"),
)


def reply(body: bytes, status: int = 200, headers: tuple[tuple[str, str], ...] = HEADERS) -> Reply:
    return Reply(status, headers, body, NOW, 0.1)


def all_faults(answer: Reply) -> list[str]:
    """Check an answer with all functions that `make smoke` has for answers. Return all faults
    that the functions find."""
    faults = [
        *contract.header_faults(answer),
        *contract.failure_faults(answer, 404),
        *clients.android_faults(answer, NOW),
        *clients.ios_faults(answer, NOW),
        *clients.credentials_uri_faults(answer, NOW),
        *clients.preflight_faults(answer, ORIGIN),
        *clients.page_faults(answer, ORIGIN),
    ]
    try:
        document = contract.read(answer)
    except NotADocument as error:
        return [*faults, str(error)]
    return [
        *faults,
        *contract.token_faults(document),
        *contract.expiration_faults(document, NOW),
        *contract.key_faults(answer, document),
        *contract.clock_faults(answer, document),
    ]


def test_a_sound_token_has_no_fault() -> None:
    answer = reply(json.dumps(SOUND).encode())
    assert contract.header_faults(answer) == []
    assert contract.token_faults(SOUND) == []
    assert contract.expiration_faults(SOUND, NOW) == []
    assert contract.key_faults(answer, SOUND) == []
    assert contract.clock_faults(answer, SOUND) == []
    assert clients.android_faults(answer, NOW) == []
    assert clients.ios_faults(answer, NOW) == []
    assert clients.credentials_uri_faults(answer, NOW) == []


def test_ltai_in_the_middle_of_a_security_token_is_chance() -> None:
    token = SOUND | {"SecurityToken": "CAISabcLTAIabcdefghijk/LTAIabcdefghijk+LTAIabcdefghijk"}
    assert contract.key_faults(reply(json.dumps(token).encode()), token) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
NAMES = st.sampled_from([*SOUND, "ErrorCode", "ErrorMessage", "Region"])
QUICK = settings(max_examples=60, suppress_health_check=list(HealthCheck))


@QUICK
@given(changes=st.dictionaries(NAMES | st.text(max_size=8), JSON, max_size=4))
def test_any_change_to_a_token_is_judged(changes: dict[str, Any]) -> None:
    """If a member of a token is checked, a changed value of this member is a fault."""
    document = {**SOUND, **changes}
    faults = all_faults(reply(json.dumps(document).encode()))
    assert all(isinstance(fault, str) and fault for fault in faults)
    if any(name not in SOUND for name in changes):
        assert contract.token_faults(document)
    for fault in contract.token_faults(document) + contract.key_faults(
        reply(json.dumps(document).encode()), document
    ):
        assert CREDENTIALS["AccessKeySecret"] not in fault
        assert CREDENTIALS["SecurityToken"] not in fault


@QUICK
@given(
    body=st.binary() | JSON.map(json.dumps).map(str.encode) | st.text().map(str.encode),
    status=st.integers(100, 999),
    headers=st.lists(
        st.tuples(
            st.sampled_from(
                ["Content-Type", "Cache-Control", "Content-Encoding", "Location", "Date", "Vary"]
            ),
            st.text(max_size=20) | st.sampled_from(["gzip", "deflate", "http://[", "no-store"]),
        ),
        max_size=6,
    ),
)
def test_any_answer_is_judged(body: bytes, status: int, headers: list[tuple[str, str]]) -> None:
    assert all_faults(reply(body, status, tuple(headers)))


@given(st.text())
def test_a_stamp_is_read_only_in_its_one_form(text: str) -> None:
    if contract.is_stamp(text):
        assert time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(contract.stamp(text))) == text


# The table


@given(before=st.text(), after=st.text())
def test_a_line_is_one_printable_line_without_the_secret(before: str, after: str) -> None:
    text = report.table([Check("name", failed(f"{before}s3cret{after}"))], ["s3cret"])
    lines = text.split("\n")
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)
    assert "s3cret" not in text


def test_a_secret_is_masked_before_the_line_is_cut() -> None:
    secret = "s3cret" * 20
    text = report.table([Check("a", passed("x" * (report.MAX_DETAIL - 10) + secret))], [secret])
    assert "s3cret" not in text
    assert "***" in text


def test_the_longer_secret_is_masked_first() -> None:
    text = report.table([Check("a", passed("abcdef"))], ["abc", "abcdef"])
    assert text.startswith("PASS  a  ***\n")


@pytest.mark.parametrize(("faults", "outcome"), [([], Outcome.PASS), (["x"], Outcome.FAIL)])
def test_faults_are_a_failure(faults: list[str], outcome: Outcome) -> None:
    finding = judged(faults, "fine")
    assert finding.outcome is outcome
    assert report.has_failed([Check("a", finding)]) is bool(faults)
