"""AssumeRole over HTTP: calls by the real SDK, calls by hand with both signatures, and attacks."""

from __future__ import annotations

import asyncio
import calendar
import hashlib
import http.client
import json
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.auth.credentials import AccessKeyCredential, StsTokenCredential
from aliyunsdkcore.client import AcsClient
from aliyunsdksts.request.v20150401.AssumeRoleRequest import AssumeRoleRequest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_mock import MockerFixture
from starlette.types import Message

from javascript import need, run
from sandbox import sts
from sandbox.identities import AccessKey, Identities, Role
from sandbox.ram import Policy
from sandbox.servers import Service, in_background, listen
from sandbox.sts_signatures import (
    acs3_signature,
    acs3_string_to_sign,
    rpc_signature,
    rpc_string_to_sign,
)

ACCOUNT = "1234567890123456"
USER_ARN = f"acs:ram::{ACCOUNT}:user/function"
ROLE_ARN = f"acs:ram::{ACCOUNT}:role/upload"
LONG_ARN = f"acs:ram::{ACCOUNT}:role/long"
NEXT_ARN = f"acs:ram::{ACCOUNT}:role/next"
STRANGE_ARN = f"acs:ram::{ACCOUNT}:role/strange"
FORM = {"content-type": "application/x-www-form-urlencoded"}
CALL = {"RoleArn": ROLE_ARN, "RoleSessionName": "phone"}
REQUEST_ID = "[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}"
NO_PERMISSION = "No permission perform sts:AssumeRole on this Role"

Changes = Mapping[str, str | None]
NONE: Changes = MappingProxyType({})


def allow(action: str, resource: str = "*", **more: object) -> str:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource, **more}
    return json.dumps({"Version": "1", "Statement": [statement]}, ensure_ascii=False)


CONDITIONS = {
    "StringEquals": {"acs:AccessId": "LTAI5tHere"},
    "StringLike": {"acs:UserAgent": "AlibabaCloud*"},
    "IpAddress": {"acs:SourceIp": "127.0.0.1"},
    "Bool": {"acs:SecureTransport": "false"},
    "DateGreaterThan": {"acs:CurrentTime": "2024-01-01T00:00:00Z"},
}
LONGEST = allow("oss:*") + " " * (2048 - len(allow("oss:*")))


class Clock:
    """A clock that a test can move. `ahead` is how far the clock is ahead, in seconds."""

    ahead = 0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass(frozen=True)
class Sts:
    port: int
    identities: Identities
    clock: Clock


def made(clock: Clock) -> Identities:
    assume, anything = (Policy.parse(allow(action)) for action in ("sts:AssumeRole", "*"))
    here = Policy.parse(allow("sts:AssumeRole", ROLE_ARN, Condition=CONDITIONS))
    keys = [
        AccessKey("LTAI5tUser", "user-secret", USER_ARN, (assume,)),
        AccessKey("LTAI5tOther", "other-secret", USER_ARN, (assume,)),
        AccessKey("LTAI5tBare", "bare-secret", USER_ARN, ()),
        AccessKey("LTAI5tHere", "here-secret", USER_ARN, (here,)),
        AccessKey("LTAI5tRoot", "root-secret", f"acs:ram::{ACCOUNT}:root", None),
        AccessKey("LTAI5tOff", "off-secret", USER_ARN, (assume,), enabled=False),
        AccessKey("STS.own", "own-secret", USER_ARN, (assume,), security_token="own+token/="),
    ]
    roles = [
        Role(ROLE_ARN, (USER_ARN,), (anything,)),
        Role(LONG_ARN, (USER_ARN,), (), max_session_seconds=7200),
        Role(NEXT_ARN, (ROLE_ARN,), (anything,)),
        Role(STRANGE_ARN, ("acs:ram::9:root",), (anything,)),
    ]
    return Identities(ACCOUNT, b"seal key", keys, roles, clock)


@pytest.fixture(scope="module")
def running_sts() -> Iterator[Sts]:
    clock = Clock()
    identities = made(clock)
    service = Service(sts.create_app(identities, clock=clock), listen(0))
    with in_background([service]):
        yield Sts(service.port, identities, clock)


@pytest.fixture
def server(running_sts: Sts, monkeypatch: pytest.MonkeyPatch) -> Sts:
    # The SDK would read its proxy and its key from these variables. The SDK would use the proxy
    # even for loopback.
    for name in ("http_proxy", "https_proxy", "aliyun_access_key_id", "aliyun_access_key_secret"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(running_sts.clock, "ahead", 0)
    return running_sts


@dataclass(frozen=True)
class Answer:
    status: int
    content_type: str
    body: bytes

    @property
    def json(self) -> Any:
        assert self.content_type == "application/json"
        return json.loads(self.body)

    @property
    def xml(self) -> ElementTree.Element:
        assert self.content_type.partition(";")[0] == "text/xml"
        return ElementTree.fromstring(self.body)  # noqa: S314 - the sandbox's own

    def refuses(self, code: str, status: int = 400) -> bool:
        return (self.json.get("Code"), self.status) == (code, status)


@dataclass(frozen=True)
class Request:
    """A request to STS, with or without a signature."""

    method: str
    query: str
    body: bytes
    headers: dict[str, str]

    def to(self, server: Sts, path: str = "/") -> Answer:
        with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)) as sender:
            sender.request(self.method, f"{path}?{self.query}", self.body, self.headers)
            response = sender.getresponse()
            kind = response.headers.get("content-type", "")
            return Answer(response.status, kind, response.read())


def timestamp(seconds_ahead: float = 0) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds_ahead))


def rpc_parameters(
    changes: Changes = NONE, *, method: str = "POST", secret: str = "user-secret"
) -> dict[str, str]:
    """The signed parameters of a valid AssumeRole request, after `changes` replaced some of them.
    The value None removes a parameter."""
    parameters = {
        "Action": "AssumeRole",
        "Version": "2015-04-01",
        "AccessKeyId": "LTAI5tUser",
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "SignatureNonce": str(uuid.uuid4()),
        "Timestamp": timestamp(),
        **CALL,
    }
    signed = {name: text for name, text in {**parameters, **changes}.items() if text is not None}
    digest = "HMAC-SHA256" if signed.get("SignatureMethod") == "HMAC-SHA256" else "HMAC-SHA1"
    signature = rpc_signature(rpc_string_to_sign(method, signed), secret, digest)
    return {**signed, "Signature": signature}


def rpc(changes: Changes = NONE, *, method: str = "POST", secret: str = "user-secret") -> Request:
    parameters = rpc_parameters(changes, method=method, secret=secret)
    return Request(method, urlencode(parameters), b"", {})


def acs3(
    server: Sts,
    query: Mapping[str, str] = CALL,
    form: Mapping[str, str] | None = None,
    *,
    headers: Changes = NONE,
    unsigned: str = "",
    method: str = "POST",
    key: tuple[str, str] = ("LTAI5tUser", "user-secret"),
) -> Request:
    """A valid ACS3 request. `headers` changes some headers, and the value None removes a header.
    The header `unsigned` is not signed."""
    body = urlencode(form or {}).encode()
    content = hashlib.sha256(body).hexdigest()
    all_headers = {
        "host": f"127.0.0.1:{server.port}",
        "x-acs-action": "AssumeRole",
        "x-acs-version": "2015-04-01",
        "x-acs-date": timestamp(),
        "x-acs-signature-nonce": str(uuid.uuid4()),
        "x-acs-content-sha256": content,
        **(FORM if form else {}),
        **headers,
    }
    sent = {name: text for name, text in all_headers.items() if text is not None}
    signed = sorted(sent.keys() - {unsigned})
    signature = acs3_signature(acs3_string_to_sign(method, query, sent, signed, content), key[1])
    sent["authorization"] = (
        f"ACS3-HMAC-SHA256 Credential={key[0]},SignedHeaders={';'.join(signed)},"
        f"Signature={signature}"
    )
    return Request(method, urlencode(query), body, sent)


# The real SDK


def assume_role(
    server: Sts,
    key: str = "LTAI5tUser",
    secret: str = "user-secret",
    token: str | None = None,
    **changes: object,
) -> dict[str, Any]:
    credential = AccessKeyCredential(key, secret)
    if token is not None:
        credential = StsTokenCredential(key, secret, token)
    client = AcsClient(region_id="cn-hangzhou", credential=credential)
    request = AssumeRoleRequest()
    request.set_endpoint(f"http://127.0.0.1:{server.port}")
    for name, value in {**CALL, **changes}.items():
        if value is not None:
            getattr(request, f"set_{name}")(value)
    answer: dict[str, Any] = json.loads(client.do_action_with_exception(request))
    return answer


def test_the_sdk_gets_credentials(server: Sts) -> None:
    before = int(time.time())
    answer = assume_role(server, Policy=allow("oss:*"), DurationSeconds=900)
    assert answer.keys() == {"RequestId", "AssumedRoleUser", "Credentials"}
    assert re.fullmatch(REQUEST_ID, answer["RequestId"])
    user = answer["AssumedRoleUser"]
    assert user.keys() == {"Arn", "AssumedRoleId"}
    assert user["Arn"] == f"{ROLE_ARN}/phone"
    assert re.fullmatch("[0-9]{18}:phone", user["AssumedRoleId"])
    credentials = answer["Credentials"]
    assert set(credentials) == set("AccessKeyId AccessKeySecret SecurityToken Expiration".split())
    ends = calendar.timegm(time.strptime(credentials["Expiration"], "%Y-%m-%dT%H:%M:%SZ"))
    assert before <= ends - 900 <= time.time()


def test_a_session_is_found_with_its_role_and_session_policy(server: Sts) -> None:
    answer = assume_role(server, Policy=allow("oss:GetObject"))["Credentials"]
    identity = server.identities.find(answer["AccessKeyId"], answer["SecurityToken"])
    assert identity.access_key_secret == answer["AccessKeySecret"]
    assert identity.arn == f"{ROLE_ARN}/phone"
    assert identity.session_policy == Policy.parse(allow("oss:GetObject"))
    role = server.identities.role(ROLE_ARN)
    assert role
    assert identity.policies == role.policies


@pytest.mark.parametrize(
    "changes",
    [
        {"DurationSeconds": 900},
        {"DurationSeconds": 3600},
        {"DurationSeconds": 7200, "RoleArn": LONG_ARN},
        {"RoleSessionName": "a.@_-" + "9" * 59},
        {"Policy": LONGEST},
        {"Policy": allow("oss:*", "acs:oss:*:*:b/\u4e2d ~+%2F&=\U0001f4f7*")},
    ],
)
def test_the_sdk_may_ask_for_all_that_is_in_bounds(server: Sts, changes: dict[str, Any]) -> None:
    assert assume_role(server, **changes)["Credentials"]


def each(name: str, *values: str, **others: str) -> list[dict[str, str]]:
    return [{name: value, **others} for value in values]


@pytest.mark.parametrize(
    ("error", "message", "all_changes"),
    [
        ("404 InvalidAccessKeyId.NotFound", "Specified access key is not fo", each("key", "x")),
        ("404 InvalidAccessKeyId.NotFound", "", each("token", "CAISother")),
        ("403 InvalidAccessKeyId.Inactive", "key is disabled", each("key", "LTAI5tOff")),
        # STS does not send this error code. The SDK itself reports this code if the server's
        # string to sign equals the string that the SDK signed.
        ("400 InvalidAccessKeySecret", "Secret is incorrect", each("secret", "other")),
        ("400 MissingSecurityToken", "SecurityToken is mandatory", each("key", "STS.own")),
        ("400 InvalidSecurityToken.Malformed", "", each("token", "CAISother", key="STS.own")),
        ("400 MissingParameter", "RoleArn is mandatory", [{"RoleArn": None}]),
        ("400 MissingParameter", "RoleSessionName is mandatory", [{"RoleSessionName": None}]),
        (
            "400 InvalidParameter.RoleArn",
            "The parameter RoleArn is wrongly formed.",
            each(
                "RoleArn", "", "upload", ROLE_ARN + "\n", USER_ARN, ROLE_ARN.replace("1", "\u0661")
            ),
        ),
        (
            "400 InvalidParameter.RoleSessionName",
            "The parameter RoleSessionName is wrongly formed.",
            each("RoleSessionName", "", "a", "a" * 65, "a b", "a/b", "phone\n", "\u4e2d\u4e2d"),
        ),
        (
            "400 InvalidParameter.DurationSeconds",
            "The Min/Max value of DurationSeconds is 15min/1hr.",
            each("DurationSeconds", *"899 3601 0 -900 900.0 9e2 1h \u0669\u0669\u0669".split(), ""),
        ),
        (
            "400 InvalidParameter.DurationSeconds",
            "15min/2hr.",
            each("DurationSeconds", "7201", "9" * 99, RoleArn=LONG_ARN),
        ),
        (
            "400 InvalidParameter.PolicyGrammar",
            "The parameter Policy has not passed grammar check.",
            each("Policy", "", "{}", allow("oss:*")[:-1], "[" * 2048, "1" * 2048),
        ),
        (
            "400 InvalidParameter.PolicySize",
            "The size of Policy must be smaller than 2048 bytes.",
            each("Policy", LONGEST + " ", "x" * 2049),
        ),
        ("404 EntityNotExist.Role", "The specified Role not exi", each("RoleArn", ROLE_ARN + "2")),
        ("403 NoPermission", NO_PERMISSION, each("key", "LTAI5tBare", secret="bare-secret")),
        ("403 NoPermission", NO_PERMISSION, each("RoleArn", STRANGE_ARN)),
        (
            "403 NoPermission",
            "Roles may not be assumed by root accounts.",
            each("key", "LTAI5tRoot", secret="root-secret"),
        ),
    ],
)
def test_the_sdk_gets_the_documented_error(
    server: Sts, error: str, message: str, all_changes: list[dict[str, Any]]
) -> None:
    for changes in all_changes:
        with pytest.raises(ServerException) as caught:
            assume_role(server, **changes)
        got = caught.value
        assert f"{got.get_http_status()} {got.get_error_code()}" == error
        assert message in got.get_error_msg()
        assert re.fullmatch(REQUEST_ID, got.get_request_id())


def test_a_policys_conditions_are_about_the_request(server: Sts) -> None:
    assert assume_role(server, "LTAI5tHere", "here-secret")
    request = rpc({"AccessKeyId": "LTAI5tHere"}, secret="here-secret")
    answer = replace(request, headers={"user-agent": "curl"}).to(server)
    assert answer.refuses("NoPermission", 403)


@pytest.mark.parametrize("ahead", [-890, 890])
def test_a_clock_may_be_fifteen_minutes_off(server: Sts, ahead: int) -> None:
    server.clock.ahead = ahead
    assert assume_role(server)


@pytest.mark.parametrize("ahead", [-905, 905])
def test_refuses_a_timestamp_that_is_further_off(server: Sts, ahead: int) -> None:
    server.clock.ahead = ahead
    with pytest.raises(ServerException, match=r"InvalidTimeStamp\.Expired"):
        assume_role(server)


def test_ali_osss_own_sts_client_is_let_in(server: Sts) -> None:
    """ali-oss sends milliseconds, and the real STS accepts them (ali-oss 6.23.0, lib/sts.js line 62
    and test/node/sts.test.js)."""
    need("ali-oss in Node", browser=False)
    job = {
        "endpoint": f"http://127.0.0.1:{server.port}",
        "key": "LTAI5tUser",
        "secret": "user-secret",
        "role": ROLE_ARN,
    }
    assert run("node_sts.mjs", job)["AccessKeyId"].startswith("STS.")


def test_a_timestamp_with_a_fraction_is_late_by_the_same_rule(server: Sts) -> None:
    fraction = timestamp()[:-1] + ".123456789Z"
    assert rpc({"Timestamp": fraction}).to(server).status == 200
    late = timestamp(-901)[:-1] + ".999Z"
    assert rpc({"Timestamp": late}).to(server).refuses("InvalidTimeStamp.Expired")


def test_refuses_a_used_nonce(server: Sts, monkeypatch: pytest.MonkeyPatch) -> None:
    nonce = str(uuid.uuid4())
    monkeypatch.setattr("aliyunsdkcore.utils.parameter_helper.get_uuid", lambda: nonce)
    assert assume_role(server)
    with pytest.raises(ServerException, match="SignatureNonceUsed"):
        assume_role(server)
    # Each key has its own nonces.
    assert assume_role(server, "LTAI5tOther", "other-secret")


# Signatures: the vendor's known answers


def test_signs_rpc_as_the_vendor_does() -> None:
    parameters = {
        "Timestamp": "2016-02-23T12:46:24Z",
        "Format": "XML",
        "AccessKeyId": "testid",
        "Action": "DescribeRegions",
        "SignatureMethod": "HMAC-SHA1",
        "SignatureNonce": "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf",
        "Version": "2014-05-26",
        "SignatureVersion": "1.0",
    }
    to_sign = rpc_string_to_sign("GET", {**parameters, "Signature": "not signed itself"})
    assert rpc_signature(to_sign, "testsecret") == "OLeaidS1JvxuMvnyHOwuJ+uX5qY="


def test_signs_acs3_as_the_vendor_does() -> None:
    headers = {
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-content-sha256": hashlib.sha256(b"").hexdigest(),
        "x-acs-date": "2023-10-26T10:22:32Z",
        "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
        "x-acs-version": "2014-05-26",
    }
    query = {
        "RegionId": "cn-shanghai",
        "ImageId": "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd",
    }
    content = headers["x-acs-content-sha256"]
    to_sign = acs3_string_to_sign("POST", query, headers, sorted(headers), content)
    canonical = "7ea06492da5221eba5297e897ce16e55f964061054b7695beedaac1145b1e259"
    assert to_sign == f"ACS3-HMAC-SHA256\n{canonical}"
    signature = "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    assert acs3_signature(to_sign, "YourAccessKeySecret") == signature


# Requests by hand


@pytest.mark.parametrize("digest", ["HMAC-SHA1", "HMAC-SHA256"])
@pytest.mark.parametrize(("method", "form"), [("GET", 0), ("POST", 0), ("POST", 5), ("POST", 99)])
def test_rpc_takes_parameters_from_query_and_form(
    server: Sts, method: str, form: int, digest: str
) -> None:
    pairs = list(rpc_parameters({"SignatureMethod": digest}, method=method).items())
    body, headers = urlencode(pairs[:form]).encode(), FORM if form else {}
    assert Request(method, urlencode(pairs[form:]), body, headers).to(server).status == 200


@pytest.mark.parametrize(
    ("method", "query", "form"),
    [
        ("GET", CALL, {}),
        ("POST", CALL, {}),
        ("POST", {}, CALL),
        ("POST", CALL, {"Policy": allow("oss:*")}),
    ],
)
def test_acs3_takes_parameters_from_query_and_form(
    server: Sts, method: str, query: dict[str, str], form: dict[str, str]
) -> None:
    answer = acs3(server, query, form, method=method).to(server)
    assert answer.status == 200
    given_out = answer.json["Credentials"]
    identity = server.identities.find(given_out["AccessKeyId"], given_out["SecurityToken"])
    assert (identity.session_policy is not None) is ("Policy" in form)


@pytest.mark.parametrize("space", ["+", "%20"])
def test_a_space_may_come_as_plus(server: Sts, space: str) -> None:
    policy = allow("oss:*")
    for request in (rpc({"Policy": policy}), acs3(server, {**CALL, "Policy": policy})):
        assert "+" in request.query
        spelled = replace(request, query=request.query.replace("+", space))
        assert spelled.to(server).status == 200


def test_a_temporary_key_may_ask_with_its_token(server: Sts) -> None:
    assert assume_role(server, "STS.own", "own-secret", "own+token/=")
    headers = {"x-acs-accesskey-id": "STS.own", "x-acs-security-token": "own+token/="}
    assert acs3(server, headers=headers, key=("STS.own", "own-secret")).to(server).status == 200


def test_a_session_may_ask_for_another_if_its_session_policy_lets_it(server: Sts) -> None:
    for policy, status in ((None, 200), (allow("sts:AssumeRole"), 200), (allow("oss:*"), 403)):
        first = assume_role(server, Policy=policy)["Credentials"]
        key = (first["AccessKeyId"], first["AccessKeySecret"])
        headers = {"x-acs-security-token": first["SecurityToken"]}
        answer = acs3(server, {**CALL, "RoleArn": NEXT_ARN}, headers=headers, key=key).to(server)
        assert answer.status == status


def test_refuses_tokens_that_do_not_hold(server: Sts) -> None:
    one, other = (assume_role(server)["Credentials"] for _ in range(2))
    key = (one["AccessKeyId"], one["AccessKeySecret"])
    for token, ahead, code in (
        (None, 0, "MissingSecurityToken"),
        ("", 0, "MissingSecurityToken"),
        (one["SecurityToken"] + "A", 0, "InvalidSecurityToken.Malformed"),
        (other["SecurityToken"], 0, "InvalidSecurityToken.MismatchWithAccessKey"),
        (one["SecurityToken"], 3601, "InvalidSecurityToken.Expired"),
    ):
        server.clock.ahead = ahead
        headers = {"x-acs-security-token": token, "x-acs-date": timestamp(ahead)}
        assert acs3(server, headers=headers, key=key).to(server).refuses(code)
        changes = {"AccessKeyId": key[0], "SecurityToken": token, "Timestamp": timestamp(ahead)}
        assert rpc(changes, secret=key[1]).to(server).refuses(code)


# Answers


def test_answers_in_xml_when_asked_to(server: Sts) -> None:
    answer = rpc({"Format": "xml"}).to(server).xml
    assert answer.tag == "AssumeRoleResponse"
    assert answer.findtext("AssumedRoleUser/Arn") == f"{ROLE_ARN}/phone"
    found = [answer.findtext(f"Credentials/{name}") for name in ("AccessKeyId", "SecurityToken")]
    assert server.identities.find(str(found[0]), found[1])
    error = rpc({"Format": "XML", "RoleArn": "<&>"}).to(server)
    assert error.status == 400
    assert error.xml.tag == "Error"
    assert error.xml.findtext("Code") == "InvalidParameter.RoleArn"


def test_an_error_has_the_documented_members(server: Sts) -> None:
    errors = [rpc({"RoleArn": "x"}).to(server).json for _ in range(2)]
    for error in errors:
        assert error.keys() == {"RequestId", "HostId", "Code", "Message"}
        assert error["HostId"] == f"127.0.0.1:{server.port}"
        assert re.fullmatch(REQUEST_ID, error["RequestId"])
    assert errors[0]["RequestId"] != errors[1]["RequestId"]


def test_a_bad_signature_is_told_what_the_server_signed(server: Sts) -> None:
    parameters = rpc_parameters(secret="not the secret")
    answer = Request("POST", urlencode(parameters), b"", {}).to(server)
    assert answer.refuses("SignatureDoesNotMatch")
    to_sign = rpc_string_to_sign("POST", parameters)
    assert answer.json["Message"].endswith(f"server string to sign is:{to_sign}")


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        *(
            ("MissingParameter", {name: None})
            for name in "AccessKeyId SignatureMethod SignatureVersion SignatureNonce Timestamp "
            "Action Version".split()
        ),
        ("MissingParameter", {"SignatureNonce": ""}),
        ("InvalidSignatureMethod", {"SignatureMethod": "HMAC-MD5"}),
        ("InvalidSignatureMethod", {"SignatureVersion": "2.0"}),
        ("InvalidSignatureMethod", {"SignatureType": "BEARERTOKEN"}),
        ("InvalidVersion", {"Version": "2014-05-26"}),
        ("InvalidParameter.Format", {"Format": "YAML"}),
        *(
            ("InvalidTimeStamp.Format", {"Timestamp": text})
            for text in ("now", "0", timestamp() + "\n", timestamp()[:-1], "2026-13-01T00:00:00Z")
        ),
        *(
            ("InvalidTimeStamp.Format", {"Timestamp": timestamp()[:-1] + ending})
            for ending in (".Z", ".12", ".1234567890Z", ",5Z", ".\u0661Z", ".5z", "+00:00")
        ),
        ("InvalidTimeStamp.Expired", {"Timestamp": "0001-01-01T00:00:00Z"}),
        ("InvalidParameter", {f"P{number}": "" for number in range(99)}),
    ],
)
def test_refuses_common_parameters_that_are_not_sound(
    server: Sts, code: str, changes: dict[str, str | None]
) -> None:
    assert rpc(changes).to(server).refuses(code)


def test_refuses_what_is_no_call_of_assume_role(server: Sts) -> None:
    assert rpc({"Action": "GetCallerIdentity"}).to(server).refuses("InvalidAction.NotFound", 404)
    for path in ("/x", "//", "/%0Ax", "*", "http://sts.aliyuncs.com/"):
        assert rpc().to(server, path).refuses("InvalidAction.NotFound", 404)
    for method in ("PUT", "DELETE", "OPTIONS", "post", "ANY"):
        assert rpc(method=method).to(server).refuses("UnsupportedHTTPMethod", 405)
    assert rpc(method="HEAD").to(server).status == 405


def test_refuses_a_body_that_is_too_large(server: Sts) -> None:
    body = b"x" * sts.MAX_BODY_BYTES
    assert replace(rpc(), body=body).to(server).status == 200
    answer = replace(rpc(), body=body + b"x").to(server)
    assert answer.refuses("RequestEntityTooLarge", 413)


def test_refuses_a_parameter_that_comes_twice(server: Sts) -> None:
    request = rpc()
    twice = replace(request, query=f"{request.query}&RoleSessionName=phone")
    in_both = replace(request, body=b"RoleSessionName=phone", headers=FORM)
    for ambiguous in (twice, in_both):
        assert ambiguous.to(server).refuses("InvalidParameter")


def test_a_fault_of_its_own_is_an_internal_error_without_details(
    server: Sts, mocker: MockerFixture
) -> None:
    mocker.patch.object(Identities, "assume", side_effect=RuntimeError("details"))
    answer = rpc().to(server)
    assert answer.refuses("InternalError", 500)
    assert b"details" not in answer.body


# Attacks


def test_a_signature_holds_for_its_method_alone(server: Sts) -> None:
    for signed, sent in (("GET", "POST"), ("POST", "GET")):
        for request in (rpc(method=signed), acs3(server, method=signed)):
            assert replace(request, method=sent).to(server).refuses("SignatureDoesNotMatch")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r"role%2Fupload", "role%2Flong"),
        (r"phone", "other"),
        (r"Policy=[^&]*", ""),
        (r"Policy=[^&]*", "Policy="),
        (r"$", "&DurationSeconds=3600"),
        (r"$", "&SecurityToken="),
    ],
)
def test_refuses_parameters_altered_after_signing(server: Sts, old: str, new: str) -> None:
    parameters = {**CALL, "Policy": allow("oss:GetObject")}
    for request in (rpc(parameters), acs3(server, parameters)):
        altered = replace(request, query=re.sub(old, new, request.query, count=1))
        assert altered.to(server).refuses("SignatureDoesNotMatch")
    form = acs3(server, {}, parameters)
    body = re.sub(old, new, form.body.decode(), count=1).encode()
    for content in (form.body, body):
        headers = {**form.headers, "x-acs-content-sha256": hashlib.sha256(content).hexdigest()}
        altered = replace(form, body=body, headers=headers)
        assert altered.to(server).refuses("SignatureDoesNotMatch")


def test_refuses_an_acs3_request_that_is_sent_again(server: Sts) -> None:
    request = acs3(server)
    assert request.to(server).status == 200
    assert request.to(server).refuses("SignatureNonceUsed")


def test_a_nonce_stays_used_for_as_long_as_its_timestamp_holds(server: Sts) -> None:
    request = rpc({"Timestamp": timestamp(800)})
    assert request.to(server).status == 200
    server.clock.ahead = 1600
    assert request.to(server).refuses("SignatureNonceUsed")
    server.clock.ahead = 1800
    assert request.to(server).refuses("InvalidTimeStamp.Expired")


def test_a_forged_request_does_not_use_up_a_nonce(server: Sts) -> None:
    nonce = {"SignatureNonce": str(uuid.uuid4())}
    assert rpc(nonce, secret="guessed").to(server).refuses("SignatureDoesNotMatch")
    assert rpc(nonce).to(server).status == 200


def test_throttles_rather_than_forget_a_nonce(server: Sts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sts, "MAX_NONCES", 0)
    assert rpc().to(server).refuses("Throttling.User")


@pytest.mark.parametrize(
    "name", ["host", "x-acs-action", "x-acs-date", "x-acs-signature-nonce", "x-acs-anything"]
)
def test_refuses_acs3_headers_that_are_not_signed(server: Sts, name: str) -> None:
    request = acs3(server, headers={"x-acs-anything": "x"}, unsigned=name)
    assert request.to(server).refuses("IncompleteSignature")


def test_a_signed_form_cannot_be_made_to_go_unread(server: Sts) -> None:
    form = {"Policy": allow("oss:GetObject")}
    for unsigned in ("", "content-type"):
        request = acs3(server, form=form, unsigned=unsigned)
        request.headers["content-type"] = "text/plain"
        code = "IncompleteSignature" if unsigned else "SignatureDoesNotMatch"
        assert request.to(server).refuses(code)
        del request.headers["content-type"]
        assert request.to(server).refuses("IncompleteSignature")


def test_refuses_a_body_of_another_hash_even_if_it_was_signed_so(server: Sts) -> None:
    request = acs3(server, form=CALL, query={}, headers={"x-acs-content-sha256": "0" * 64})
    assert request.to(server).refuses("SignatureDoesNotMatch")


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("SignatureDoesNotMatch", {"x-acs-signature-nonce": "other"}),
        ("SignatureDoesNotMatch", {"x-acs-content-sha256": "0" * 64}),
        ("SignatureDoesNotMatch", {"host": "sts.aliyuncs.com"}),
        ("MissingParameter", {"x-acs-date": ""}),
        ("MissingParameter", {"x-acs-content-sha256": ""}),
        ("InvalidTimeStamp.Expired", {"x-acs-date": timestamp(-1000)}),
        ("InvalidVersion", {"x-acs-version": "2014-05-26"}),
        ("InvalidSignatureMethod", {"authorization": "Bearer x"}),
    ],
)
def test_refuses_acs3_headers_altered_after_signing(
    server: Sts, code: str, changes: dict[str, str]
) -> None:
    request = acs3(server)
    assert replace(request, headers={**request.headers, **changes}).to(server).refuses(code)


def test_refuses_acs3_headers_that_contradict_each_other(server: Sts) -> None:
    request = acs3(server, headers={"x-acs-accesskey-id": "LTAI5tOther"})
    assert request.to(server).refuses("IncompleteSignature")
    for name in ("X-Acs-Date", "Authorization"):
        request = acs3(server)
        twice = replace(request, headers={name: "x", **request.headers})
        assert twice.to(server).refuses("IncompleteSignature")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (" .*", ""),
        (",Signature=.*", ""),
        ("Credential", "Signature=x,Credential"),
        ("Credential=[^,]*", "Signature=x"),
        ("SignedHeaders=[^,]*", "SignedHeaders="),
        ("=host", "=Host"),
        ("=host", "=host;host"),
        ("=host", "=host;absent"),
    ],
)
def test_an_acs3_authorization_has_one_form(server: Sts, old: str, new: str) -> None:
    request = acs3(server)
    request.headers["authorization"] = re.sub(old, new, request.headers["authorization"], count=1)
    assert request.to(server).refuses("IncompleteSignature")


# Random requests

NAMES = st.sampled_from(
    "Action Version Format AccessKeyId SecurityToken SignatureMethod SignatureType Timestamp "
    "SignatureNonce RoleArn RoleSessionName Policy DurationSeconds".split()
)
ACS3_LIKE = st.from_regex(
    rb"ACS3-HMAC-SHA256 Credential=LTAI5tUser,SignedHeaders=(host;)?[a-z;]*,Signature=.*"
)
HEADERS = st.lists(
    st.tuples(st.sampled_from([b"x-acs-date", b"x-acs-action", b"x-acs-\xff"]), st.binary())
    | st.tuples(st.just(b"authorization"), ACS3_LIKE | st.binary())
    | st.tuples(st.just(b"content-type"), st.just(FORM["content-type"].encode()) | st.binary())
)


@settings(max_examples=100)
@given(
    method=st.sampled_from(["POST", "POST", "GET", "\xe9"]),
    path=st.just("/") | st.text(),
    query=st.binary() | st.dictionaries(NAMES, st.text()),
    body=st.binary(),
    headers=HEADERS,
)
def test_no_request_gets_more_than_a_well_formed_refusal(
    method: str,
    path: str,
    query: bytes | dict[str, str],
    body: bytes,
    headers: list[tuple[bytes, bytes]],
) -> None:
    encoded = query if isinstance(query, bytes) else urlencode(rpc_parameters(query)).encode()
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": encoded,
        "headers": [(b"host", b"h"), *headers],
        "client": ("127.0.0.1", 1),
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(sts.create_app(made(Clock()))(scope, receive, send))
    kind = dict(sent[0]["headers"])[b"content-type"].decode()
    answer = Answer(sent[0]["status"], kind, sent[1]["body"])
    if answer.status != 200:
        assert 400 <= answer.status < 500
        if kind == "application/json":
            assert answer.json.keys() == {"RequestId", "HostId", "Code", "Message"}
        else:
            assert [child.tag for child in answer.xml][2:] == ["Code", "Message"]
