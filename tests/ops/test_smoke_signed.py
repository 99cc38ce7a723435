"""Tests triggers that require signed requests: with ACS3 on FC 3.0, and with the package aliyun-fc2
on FC 2.0."""

from __future__ import annotations

import base64
import calendar
import hashlib
import hmac
import json
import logging
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import pytest

import index
import wsgi
from faulty_proxy import Exchange, faulty
from ops.smoke import acs3, fc2_client
from ops.smoke.wire import Address, Call, NoAnswer
from running_function import RunningFunction
from sandbox.servers import listen
from sandbox.sts_signatures import acs3_signature, parse_acs3_authorization
from scripted_sts import reset, scripted_sts
from smoke_test import KEY, smoke
from token_service.settings.values import AccessKey
from wsgi_server import wsgi_server

KEY_ID, SECRET = KEY.values()
CLIENTS = ("Android", "iOS", "credentials_uri", "preflight", "page", "other origins")


# ACS3


def test_the_signature_is_that_of_the_vendors_own_example() -> None:
    """This request and this signature are in the vendor's documentation of the signature method."""
    query = {
        "ImageId": "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd",
        "RegionId": "cn-shanghai",
    }
    empty = hashlib.sha256(b"").hexdigest()
    headers = {
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-content-sha256": empty,
        "x-acs-date": "2023-10-26T10:22:32Z",
        "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
        "x-acs-version": "2014-05-26",
    }
    key = AccessKey("YourAccessKeyId", "YourAccessKeySecret", None)
    signed = acs3.authorization("POST", "/", query, headers, empty, key)
    assert signed == (
        "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders="
        "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,"
        "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    )


def test_a_temporary_keys_token_is_sent_and_signed() -> None:
    key = AccessKey("STS.id", "secret", "CAIStoken")
    headers = acs3.trigger_headers("GET", "/", {}, key, 0)
    assert headers["x-acs-date"] == "1970-01-01T00:00:00Z"
    assert headers["x-acs-security-token"] == "CAIStoken"
    assert "SignedHeaders=x-acs-date;x-acs-security-token," in headers["Authorization"]


def is_signed(exchange: Exchange) -> bool:
    """Return whether a signature is valid, as a trigger with authType `function` checks it. This
    code follows the vendor's sample, and does not use acs3.py."""
    headers = {name.lower(): value for name, value in exchange.headers.items()}
    try:
        sent = parse_acs3_authorization(headers.get("authorization", ""))
    except ValueError:
        return False
    target = urlsplit(exchange.target)
    query = sorted(parse_qsl(target.query, keep_blank_values=True))
    canonical = "\n".join(
        [
            exchange.method,
            target.path,
            "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query),
            *[f"{name}:{headers[name]}" for name in sent.signed_headers],
            "",
            ";".join(sent.signed_headers),
            "",
        ]
    )
    to_sign = f"ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signed_at = calendar.timegm(time.strptime(headers["x-acs-date"], "%Y-%m-%dT%H:%M:%SZ"))
    return (
        sent.access_key_id == KEY_ID
        and "x-acs-date" in sent.signed_headers
        and abs(time.time() - signed_at) < 900
        and hmac.compare_digest(acs3_signature(to_sign, SECRET), sent.signature)
    )


def trigger(exchange: Exchange) -> None:
    """Simulate a trigger of authType function."""
    if not is_signed(exchange):
        exchange.status = 403
        exchange.body = b'{"RequestId":"R","Code":"AccessDenied","Message":"signature"}'


def test_a_trigger_that_wants_signatures_is_passed(function: RunningFunction) -> None:
    with faulty(function.url, trigger) as url:
        table = smoke(f"{url}?policy=bucket_write_policy&_=a%20b%2F", SIGN="1", **KEY)
    assert not table.failed, table.text
    for name in CLIENTS:
        table.check(name, "SKIP", "cannot sign")
    for name in ("token", "health", "methods", "failures", "clock"):
        table.check(name, "PASS")
    table.check("signature", "PASS", "refused with HTTP 403")


def test_a_login_travels_beside_the_signature(login_function: RunningFunction, login: str) -> None:
    with faulty(login_function.url, trigger) as url:
        table = smoke(url, SIGN="1", LOGIN=login, **KEY)
    assert not table.failed, table.text
    table.check("logins", "PASS")


def test_a_trigger_that_refuses_the_signature_is_named(function: RunningFunction) -> None:
    with faulty(function.url, trigger) as url:
        wrong = {**KEY, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "another-secret"}
        table = smoke(url, SIGN="1", **wrong)
    table.check("headers", "FAIL", "HTTP 403")
    assert "another-secret" not in table.text


def test_a_trigger_that_answers_without_a_signature_is_named(function: RunningFunction) -> None:
    table = smoke(function.url, SIGN="1", **KEY)
    table.check("signature", "FAIL", "without a signature", "authType")


# FC 2.0


class Fc2:
    """Simulates FC 2.0: its signature, its paths, and the WSGI function behind them.

    The vendor documents the signature ("Signature authentication", FC 2.0).
    """

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.answer: tuple[str, bytes] | None = None
        self.port = 0

    def __call__(self, environ: dict[str, Any], start: wsgi.StartResponse) -> list[bytes]:
        self.requests.append(environ["REQUEST_METHOD"])
        if self.answer:
            status, body = self.answer
            start(status, [("Content-Type", "text/plain")])
            return [body]
        if not self._is_signed(environ):
            start("403 Forbidden", [("Content-Type", "text/html")])
            return [b"<html>signature</html>"]
        before = "/2016-08-15/proxy/service.LATEST/function"
        assert environ["PATH_INFO"].startswith(before)
        environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix(before)
        environ["fc.request_uri"] = before
        return wsgi.handler(environ, start)

    def _is_signed(self, environ: dict[str, Any]) -> bool:
        query = sorted(
            f"{name}={value}"
            for name, value in parse_qsl(environ["QUERY_STRING"], keep_blank_values=True)
        )
        fc_headers = sorted(
            f"{name[5:].replace('_', '-').lower()}:{value}\n"
            for name, value in environ.items()
            if name.startswith("HTTP_X_FC_")
        )
        text = "\n".join(
            [
                environ["REQUEST_METHOD"],
                environ.get("HTTP_CONTENT_MD5", ""),
                environ.get("CONTENT_TYPE", ""),
                environ["HTTP_DATE"],
                "".join(fc_headers) + unquote(environ["PATH_INFO"]) + "\n" + "\n".join(query),
            ]
        )
        digest = hmac.digest(SECRET.encode(), text.encode(), "sha256")
        expected = f"FC {KEY_ID}:{base64.b64encode(digest).decode()}"
        return hmac.compare_digest(expected, environ.get("HTTP_AUTHORIZATION", ""))


@pytest.fixture
def fc2(login_function: RunningFunction, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fc2]:
    """A function with AUTH=jwt, which runs on a simulated FC 2.0."""
    monkeypatch.setattr(index, "_app", login_function.cloud.app)
    served = Fc2()
    with wsgi_server(served) as served.port:
        yield served


FUNCTION = {"FC2": "service.LATEST/function", **KEY}


def test_a_function_on_fc_2_is_called_through_aliyun_fc2(fc2: Fc2, login: str) -> None:
    table = smoke(f"http://127.0.0.1:{fc2.port}", LOGIN=login, UPLOAD="1", **FUNCTION)
    assert not table.failed, table.text
    for name in ("health", "token", "expiration", "headers", "clock", "failures", "logins"):
        table.check(name, "PASS")
    table.check("upload", "PASS", "uploads/alice/")
    for name in (*CLIENTS, "methods"):
        table.check(name, "SKIP", "aliyun-fc2")
    assert set(fc2.requests) == {"POST"}


def test_a_temporary_keys_token_is_signed_for_fc_2(fc2: Fc2, login: str) -> None:
    own = {"ALIBABA_CLOUD_SECURITY_TOKEN": "CAISoperatorsOwnToken"}
    table = smoke(f"http://127.0.0.1:{fc2.port}", LOGIN=login, **FUNCTION, **own)
    assert not table.failed, table.text


def test_a_refusal_of_fc_2_that_is_no_json_is_one_clear_line(fc2: Fc2) -> None:
    """The API calls of the package aliyun-fc2 would raise JSONDecodeError, and log the headers of
    the request."""
    wrong = {**FUNCTION, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "another-secret"}
    table = smoke(f"http://127.0.0.1:{fc2.port}", **wrong)
    table.check("token", "FAIL", "HTML")
    table.check("headers", "FAIL", "HTTP 403")


def test_a_502_of_fc_2_is_asked_for_once(fc2: Fc2) -> None:
    """By itself, aliyun-fc2 would send a GET six times within half a minute."""
    fc2.answer = ("502 Bad Gateway", b"")
    address = Address("http", "127.0.0.1", fc2.port, "")
    send = fc2_client.sender(address, "service", "function", AccessKey(KEY_ID, SECRET, None))
    assert send(Call("GET", "/")).status == 502
    assert fc2.requests == ["POST"]


def test_a_dead_fc_2_is_found_at_once(fc2: Fc2) -> None:
    """If aliyun-fc2 used its own retries, it would try to connect for half a minute."""
    with listen(0) as listener:
        port = listener.getsockname()[1]
    began = time.monotonic()
    table = smoke(f"http://127.0.0.1:{port}", **FUNCTION)
    assert time.monotonic() - began < 5
    table.check("connection", "FAIL", "refused")


def test_an_fc_2_that_hangs_up_is_asked_once_and_is_no_traceback() -> None:
    with scripted_sts(reset) as server:
        address = Address("http", "127.0.0.1", server.port, "")
        send = fc2_client.sender(address, "s", "f", AccessKey(KEY_ID, SECRET, None))
        with pytest.raises(NoAnswer, match="aliyun-fc2 got no answer") as caught:
            send(Call("POST", "/", {"access_token": "l0gin"}))
        assert len(server.requests) == 1
    assert "l0gin" not in str(caught.value)


def test_aliyun_fc2_logs_nothing_at_any_level(
    fc2: Fc2, login: str, caplog: pytest.LogCaptureFixture
) -> None:
    """By itself, aliyun-fc2 logs the headers, the signature and the security token of a request to
    the root logger."""
    token = "CAISoperatorsOwnToken"
    with caplog.at_level(1):
        table = smoke(
            f"http://127.0.0.1:{fc2.port}",
            LOGIN=login,
            ALIBABA_CLOUD_SECURITY_TOKEN=token,
            **FUNCTION,
        )
        logging.getLogger().debug("logging is on again")
    assert not table.failed, table.text
    assert "logging is on again" in caplog.text
    for secret in (token, login, SECRET, "FC LTAI"):
        assert secret not in caplog.text


def test_redirects_of_fc_2_are_not_followed_unseen(fc2: Fc2, login: str) -> None:
    count = iter(range(99))

    def redirect(environ: dict[str, Any], start: wsgi.StartResponse) -> list[bytes]:
        body = json.dumps({"StatusCode": 200}).encode()
        first = next(count) % 2 == 0
        headers = [("Location", "/elsewhere")] if first else []
        start("302 Found" if first else "200 OK", [("Content-Type", "text/plain"), *headers])
        return [body]

    with wsgi_server(redirect) as port:
        address = Address("http", "127.0.0.1", port, "")
        send = fc2_client.sender(address, "s", "f", AccessKey(KEY_ID, SECRET, None))
        assert send(Call("POST", "/")).status == 302


def test_the_function_never_imports_an_operators_package() -> None:
    """The function must not import aliyun-fc2, because it never needs the API of FC 2.0."""
    from ops import ROOT

    for path in (ROOT / "functions").rglob("*.py"):
        text = path.read_text()
        assert "fc2" not in text.replace("FC 2.0", ""), path
        assert "import ops" not in text, path
        assert "from ops" not in text, path
