"""`make smoke` where the bucket has a domain, or the public endpoint is closed to the account."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.responses import Response

from ops.report import Outcome
from ops.smoke import contract, upload
from running_cloud import running_cloud
from running_oss import running_server
from signed_logins import SECRET, login

FORBIDDEN = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>PublicEndpointForbidden</Code><Message>No.</Message>
<EC>0048-00000401</EC></Error>"""


def token(endpoint: str, **more: object) -> dict[str, Any]:
    """A token for that endpoint, as the function answers it."""
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
    # What was refused for that reason says nothing of policies.
    assert all("cannot be judged" in check.finding.detail for check in neighbours)


def test_it_uploads_by_a_domain_of_the_bucket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing resolves such a name here: it is told where the sandbox is."""
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


@pytest.mark.parametrize("value", ["true", 1, None, "files.example.com"])
def test_a_cname_that_is_no_boolean_is_a_fault(value: object) -> None:
    faults = contract.token_faults(token("https://files.example.com", Cname=value))
    assert "Scope.Cname must be true or false: SDKs are told by it" in faults
    for sound in (True, False):
        made = token("https://files.example.com", Cname=sound)
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
