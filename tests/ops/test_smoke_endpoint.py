"""Tests `make smoke` with a bucket that has its own domain, and with an account that may not use
the public endpoint."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.responses import Response

from certificates import certificate, server_context
from faulty_proxy import Exchange, faulty, sound
from localhost_names import localhost_names
from ops.report import Outcome
from ops.smoke import contract, upload
from running_cloud import running_cloud
from running_oss import running_server
from signed_logins import SECRET, login

FORBIDDEN = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>PublicEndpointForbidden</Code><Message>No.</Message>
<EC>0048-00000401</EC></Error>"""


def token(endpoint: str, **more: object) -> dict[str, Any]:
    """Return the function's answer, with a token for this endpoint."""
    scope = {"Bucket": "my-bucket", "Region": "cn-hangzhou", "Prefix": "uploads/"}
    return {
        "StatusCode": 200,
        "AccessKeyId": "STS.x",
        "AccessKeySecret": "s",
        "SecurityToken": "t",
        "Scope": {**scope, "Endpoint": endpoint, "Policy": "bucket_write_policy", **more},
    }


def test_a_closed_public_endpoint_is_named_with_what_to_do() -> None:
    with running_server() as oss:
        oss.app = Response(FORBIDDEN, 400, media_type="application/xml")
        lines = upload.check_upload(token(f"http://127.0.0.1:{oss.port}"), None)
    first, *neighbours, _ = lines
    assert first.finding.outcome is Outcome.FAIL
    for word in ("PublicEndpointForbidden", "OSS_ENDPOINT", "docs/deploy.md", "2025-03-20"):
        assert word in first.finding.detail
    # OSS refused because of the endpoint, which proves nothing about policies.
    assert {check.finding.outcome for check in neighbours} == {Outcome.SKIP}
    assert {check.finding.detail for check in neighbours} == {
        "OSS refuses data calls at this endpoint"
    }


def test_it_uploads_by_a_domain_of_the_bucket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This machine may not resolve files.localhost, so the test resolves it."""
    real = socket.getaddrinfo

    def resolved(host: Any, *args: Any, **more: Any) -> Any:
        return real("127.0.0.1" if host == "files.localhost" else host, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    with running_cloud(tmp_path, AUTH="jwt", JWT_SECRET=SECRET) as cloud:
        port = urlsplit(cloud.env["OSS_ENDPOINT"]).port
        cloud.env["OSS_ENDPOINT"] = f"http://files.localhost:{port}"
        document = cloud.answer(access_token=login(SECRET, sub="alice"))
        lines = upload.check_upload(document, None)
        scope = {**document["Scope"], "Cname": False}
        without = upload.check_upload({**document, "Scope": scope}, None)
    assert document["Scope"]["Cname"] is True
    outcomes = {check.name: check.finding.outcome for check in lines}
    assert set(list(outcomes.values())[:4]) == {Outcome.PASS}, lines
    assert without[0].finding.outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("host", "is_own", "words"),
    [
        (
            "files.localhost",
            True,
            'add the line "127.0.0.1 files.localhost" to /etc/hosts '
            "(docs/sandbox.md, An account of today)",
        ),
        (
            "files.example.com",
            True,
            "does the CNAME record exist? (docs/deploy.md, A domain for the bucket)",
        ),
        ("oss-cn-hangzhou.aliyuncs.com", False, ""),
    ],
)
def test_a_name_that_cannot_be_resolved_is_said_once_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, host: str, is_own: bool, words: str
) -> None:
    def find(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", find)
    scheme = "http" if host.endswith(".localhost") else "https"
    lines = upload.check_upload(token(f"{scheme}://{host}", Cname=is_own), None)
    first, *others = [check.finding for check in lines]
    assert first.outcome is Outcome.FAIL
    # If the domain is not the bucket's own, oss2 puts the bucket's name before the host.
    asked = host if is_own else f"my-bucket.{host}"
    said = f"OSS cannot be reached: {scheme}://{asked}: the name cannot be resolved"
    assert first.detail == (f"{said}: {words}" if words else said)
    reasons = [finding.detail for finding in others]
    assert reasons == ["no upload reached OSS"] * 4 + ["nothing was written"]
    assert {finding.outcome for finding in others} == {Outcome.SKIP}


def test_a_certificate_for_another_name_is_said_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator may not have uploaded a certificate for the domain yet. OSS then uses the
    certificate of aliyuncs.com."""
    pem = certificate(tmp_path, "oss.example.com")
    for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(variable, str(pem))
    with localhost_names(), faulty("http://127.0.0.1:9", sound, tls=server_context(pem)) as url:
        here = f"https://files.localhost:{urlsplit(url).port}"
        first, *_ = upload.check_upload(token(here, Cname=True), None)
    assert first.finding.outcome is Outcome.FAIL
    for word in ("certificate", "files.localhost", "mismatch", "does OSS have a certificate for"):
        assert word in first.finding.detail


def test_a_server_that_gives_no_whole_answer_is_said_to_take_the_connection() -> None:
    def hang_up(_: Exchange) -> None:
        raise ConnectionError

    with faulty("http://127.0.0.1:9", sound, before=hang_up) as url:
        here = f"http://127.0.0.1:{urlsplit(url).port}"
        first, *_ = upload.check_upload(token(here), None)
    said = f"OSS cannot be reached: {here} accepts the connection, but gives no complete answer"
    assert first.finding.detail == said


def test_an_emulators_address_is_called_by_its_name() -> None:
    first, *others = upload.check_upload(token("http://10.0.2.2:7081"), None)
    assert first.finding.outcome is Outcome.FAIL
    assert "Only an Android emulator reaches this machine at this address" in first.finding.detail
    assert {check.finding.outcome for check in others} == {Outcome.SKIP}


@pytest.mark.parametrize("value", ["true", 1, None, "files.example.com"])
def test_a_cname_that_is_no_boolean_is_a_fault(value: object) -> None:
    faults = contract.token_faults(token("https://files.example.com", Cname=value))
    assert "Scope.Cname must be true or false, because it configures SDKs" in faults
    for is_own in (True, False):
        made = token("https://files.example.com", Cname=is_own)
        assert not any("Cname" in fault for fault in contract.token_faults(made))


@pytest.mark.parametrize(
    ("endpoint", "is_sent"),
    [
        ("http://files.localhost:80", True),
        ("http://localhost", True),
        ("http://files.localhost.evil.example", False),
        ("http://evil-localhost", False),
        ("http://files.example.com", False),
    ],
)
def test_plain_http_stays_on_this_machine(endpoint: str, is_sent: bool) -> None:
    assert (upload._endpoint_fault(endpoint) is None) is is_sent
