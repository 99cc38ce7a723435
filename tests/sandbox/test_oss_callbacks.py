"""Upload callbacks are sent as OSS sends them. An upload stays stored if its callback fails."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import socket
import struct
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote

import alibabacloud_oss_v2 as oss_v2
import oss2
import pytest
import requests
from alibabacloud_oss_v2.credentials import StaticCredentialsProvider
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from oss2.models import PartInfo
from PIL import Image

from app_server import AppServer, Received, app_server
from post_forms import FORMS, send, v4_form
from running_cloud import running_cloud
from running_oss import (
    BUCKET,
    PUBLIC_KEY_URL,
    REGION,
    Oss,
    callback_key,
    callback_signer,
    policy,
    running_oss,
)
from sandbox.identities import Identities
from sandbox.oss import Storage, create_app, delivery
from sandbox.oss.callback_signer import CallbackSigner, make_private_key
from sandbox.oss.callbacks import Callback, requested
from sandbox.oss.errors import OssError
from sandbox.oss.image_headers import image_variables
from sandbox.oss.storage import ObjectInfo, OpenObject
from sandbox.oss.xml import parse
from scripted_sts import Move, answer, drip, hang, raw, reset
from signature_versions import every_version

few = settings(max_examples=60)
KEY = "user/größe & a.png"
PART = 100 * 1024
BODY = (
    "bucket=${bucket}&object=${object}&etag=${etag}&size=${size}&mimeType=${mimeType}"
    "&height=${imageInfo.height}&width=${imageInfo.width}&format=${imageInfo.format}"
    "&crc64=${crc64}&contentMd5=${contentMd5}&vpcId=${vpcId}&clientIp=${clientIp}"
    "&reqId=${reqId}&operation=${operation}&mine=${x:mine}&none=${x:none}"
)


def encoded(document: object) -> str:
    return base64.b64encode(json.dumps(document).encode()).decode()


def callback(url: str, body: str = "size=${size}", **members: object) -> str:
    return encoded({"callbackUrl": url, "callbackBody": body, **members})


def headers_for(url: str, body: str = "size=${size}", **members: object) -> dict[str, str]:
    return {"x-oss-callback": callback(url, body, **members)}


def png(width: int = 3, height: int = 2, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, kind)
    return file.getvalue()


@pytest.fixture
def app() -> Iterator[AppServer]:
    with app_server() as server:
        yield server


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callbacks have a shorter time limit than in the real OSS."""
    monkeypatch.setattr(delivery, "LIMIT_SECONDS", 1)


def put(oss: Oss, headers: dict[str, str], content: bytes = b"bytes") -> tuple[int, str, str]:
    """Upload with a callback that fails or is refused. Returns status, code and message."""
    url = oss.oss2().sign_url("PUT", "a", 60, headers=headers)
    status, _, body = oss.raw("PUT", url.removeprefix(oss.endpoint), headers, content)
    error = parse(body, "Error")
    return status, error.findtext("Code", ""), error.findtext("Message", "")


def variables(app: AppServer) -> dict[str, str]:
    (received,) = app.received
    return dict(parse_qsl(received.body.decode(), keep_blank_values=True))


# What is sent


def test_a_variable_whose_name_no_body_can_say_is_passed_over(oss: Oss, app: AppServer) -> None:
    """oss2's test_sign_url_with_callback sends names without x:, and the real OSS accepts them."""
    headers = headers_for(app.url, "a=${x:mine}")
    headers["x-oss-callback-var"] = encoded({"my_key": "1", "x:mine": "2"})
    assert oss.oss2().put_object(KEY, b"x", headers=headers).status == 200
    assert variables(app) == {"a": "2"}


@every_version
def test_put_object_calls_back(oss: Oss, app: AppServer, version: str) -> None:
    headers = headers_for(f"{app.url}?id=1&x=%2F", BODY)
    headers["x-oss-callback-var"] = encoded({"x:mine": "größe/1&2"})
    headers["Content-Type"] = "image/png"
    result = oss.oss2(version=version).put_object(KEY, png(), headers=headers)
    assert result.status == 200
    assert json.loads(result.resp.read()) == {"Status": "OK"}
    assert result.headers["content-type"] == "application/json"
    made = oss.storage.get(BUCKET, KEY)
    assert result.etag == made.etag
    assert variables(app) == {
        "bucket": BUCKET,
        "object": KEY,
        "etag": made.etag,
        "size": str(len(png())),
        "mimeType": "image/png",
        "height": "2",
        "width": "3",
        "format": "png",
        "crc64": str(made.crc64),
        "contentMd5": base64.b64encode(bytes.fromhex(made.etag)).decode(),
        "vpcId": "",
        "clientIp": "127.0.0.1",
        "reqId": result.request_id,
        "operation": "PutObject",
        "mine": "größe/1&2",
        "none": "",
    }


def test_a_callback_is_signed_as_oss_signs(oss: Oss, app: AppServer) -> None:
    url = f"{app.url}/%E7%85%A7%2F?a=%2F&b"
    result = oss.oss2().put_object("a", b"x", headers=headers_for(url, "bucket=${bucket}"))
    (received,) = app.received
    assert received.target == "/callback/%E7%85%A7%2F?a=%2F&b"
    assert received.body == f"bucket={BUCKET}".encode()
    assert received.is_signed_by(callback_signer().public_key)
    assert not received.is_signed_by(CallbackSigner(make_private_key(), PUBLIC_KEY_URL).public_key)
    headers = received.headers
    assert base64.b64decode(headers["x-oss-pub-key-url"]).decode() == PUBLIC_KEY_URL
    assert headers["host"] == f"127.0.0.1:{app.port}"
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    assert headers["x-oss-request-id"] == result.request_id
    assert headers["x-oss-bucket"] == BUCKET
    assert headers["user-agent"] == "aliyun-oss-callback"


def test_a_url_may_have_neither_scheme_nor_path(oss: Oss, app: AppServer) -> None:
    oss.oss2().put_object("a", b"x", headers=headers_for(f"127.0.0.1:{app.port}"))
    oss.oss2().put_object("a", b"x", headers=headers_for(f"localhost:{app.port}?q"))
    assert [received.target for received in app.received] == ["/", "/?q"]
    assert all(received.is_signed_by(callback_signer().public_key) for received in app.received)


def test_the_host_header_may_be_chosen(oss: Oss, app: AppServer) -> None:
    headers = headers_for(app.url, callbackHost="app.example:8080", callbackSNI=True)
    oss.oss2().put_object("a", b"x", headers=headers)
    assert app.received[0].headers["host"] == "app.example:8080"


def test_a_json_body_holds_json_values(oss: Oss, app: AppServer) -> None:
    body = '{"o":${object},"s":${size},"w":${imageInfo.width},"t":${mimeType},"x":${x:a}}'
    headers = headers_for(app.url, body, callbackBodyType="application/json")
    headers["x-oss-callback-var"] = encoded({"x:a": '"\n\\'})
    for content in (png(), b"text"):
        oss.oss2().put_object('a"b', content, headers=headers)
    first, second = (json.loads(received.body) for received in app.received)
    assert first == {"o": 'a"b', "s": len(png()), "w": 3, "t": first["t"], "x": '"\n\\'}
    assert (second["s"], second["w"]) == (4, "")
    assert app.received[0].headers["content-type"] == "application/json"


def test_values_cannot_leave_their_place(oss: Oss, app: AppServer) -> None:
    """A key or a client's own variable cannot add a field or a member to the body."""
    key = 'a&size=0&x="},"y":"${size}'
    variable = {"x-oss-callback-var": encoded({"x:v": '1&size=0","size":0,"${bucket}'})}
    form = headers_for(app.url, "o=${object}&size=${size}&v=${x:v}")
    oss.oss2().put_object(key, b"bytes", headers={**form, **variable})
    made = headers_for(
        app.url, '{"o":${object},"size":${size},"v":${x:v}}', callbackBodyType="application/json"
    )
    oss.oss2().put_object(key, b"bytes", headers={**made, **variable})
    urlencoded, as_json = app.received
    wanted = {"o": key, "size": "5", "v": '1&size=0","size":0,"${bucket}'}
    assert parse_qs(urlencoded.body.decode()) == {name: [text] for name, text in wanted.items()}
    assert json.loads(as_json.body) == {**wanted, "size": 5}


@every_version
def test_the_parameters_may_be_in_a_signed_url(oss: Oss, app: AppServer, version: str) -> None:
    parameters = {
        "callback": callback(app.url, "size=${size}&v=${x:v}"),
        "callback-var": encoded({"x:v": version}),
    }
    url = oss.oss2(version=version).sign_url("PUT", "a", 60, params=parameters)
    with requests.Session() as session:
        session.trust_env = False
        assert session.put(url, b"bytes", timeout=10).json() == {"Status": "OK"}
        altered = url.replace(quote(parameters["callback"], safe=""), quote(callback("x")))
        assert altered != url
        assert session.put(altered, b"bytes", timeout=10).status_code == 403
    assert [received.body for received in app.received] == [f"size=5&v={version}".encode()]


@every_version
def test_a_completed_multipart_upload_calls_back(oss: Oss, app: AppServer, version: str) -> None:
    bucket = oss.oss2(version=version)
    photo = png(40, 30) + bytes(PART)
    upload = bucket.init_multipart_upload(KEY, headers={"Content-Type": "image/png"}).upload_id
    parts = [
        PartInfo(number, bucket.upload_part(KEY, upload, number, content).etag)
        for number, content in enumerate((photo, b"the rest"), 1)
    ]
    result = bucket.complete_multipart_upload(
        KEY, upload, parts, headers=headers_for(app.url, BODY)
    )
    assert json.loads(result.resp.read()) == {"Status": "OK"}
    sent = variables(app)
    assert sent["operation"] == "CompleteMultipartUpload"
    assert sent["size"] == str(len(photo) + 8)
    assert sent["etag"] == oss.storage.get(BUCKET, KEY).etag == result.etag
    assert (sent["width"], sent["height"], sent["contentMd5"]) == ("40", "30", "")


def test_resumable_upload_is_not_held_up_by_a_callback(
    oss: Oss, app: AppServer, tmp_path: Path
) -> None:
    """oss2 sends callback headers when it begins a multipart upload, not when it completes the
    upload. They cause no callback."""
    file = tmp_path / "large"
    file.write_bytes(bytes(3 * PART))
    for threshold in (PART, 10 * PART):
        oss2.resumable_upload(
            oss.oss2(),
            "a",
            str(file),
            store=oss2.ResumableStore(root=str(tmp_path)),
            multipart_threshold=threshold,
            part_size=PART,
            headers=headers_for(app.url, "op=${operation}"),
        )
        assert oss.storage.get(BUCKET, "a").size == 3 * PART
    assert [received.body for received in app.received] == [b"op=PutObject"]


def test_the_second_sdk_calls_back(oss: Oss, app: AppServer) -> None:
    config = oss_v2.config.load_default()
    config.credentials_provider = StaticCredentialsProvider(
        oss.root.access_key_id, oss.root.access_key_secret
    )
    config.region, config.endpoint = REGION, oss.endpoint
    result = oss_v2.Client(config).put_object(
        oss_v2.PutObjectRequest(
            bucket=BUCKET,
            key="a",
            body=b"bytes",
            callback=callback(app.url, "v=${x:v}"),
            callback_var=encoded({"x:v": "1"}),
        )
    )
    assert json.loads(str(result.callback_result)) == {"Status": "OK"}
    assert app.received[0].body == b"v=1"


@every_version
def test_a_form_calls_back(oss: Oss, app: AppServer, version: str) -> None:
    wanted = callback(app.url, BODY)
    fields = {
        "key": "user/${filename}",
        "callback": wanted,
        "X:Mine": "1 2",
        "success_action_status": "201",
        "success_action_redirect": "http://app.example/",
    }
    form = FORMS[version](oss.root, [{"callback": wanted}, ["eq", "$x:mine", "1 2"]], fields)
    answered = send(oss.endpoint, form, png(), filename="a.png", content_type="image/png")
    assert (answered.status_code, answered.json()) == (200, {"Status": "OK"})
    assert "location" not in answered.headers
    sent = variables(app)
    assert (sent["operation"], sent["object"], sent["mine"]) == ("PostObject", "user/a.png", "1 2")
    assert (sent["mimeType"], sent["width"]) == ("image/png", "3")
    assert sent["contentMd5"] == answered.headers["content-md5"]
    # The policy fixes the callback, so another callback is refused.
    other = {**form, "callback": callback(app.url, "another=1")}
    assert send(oss.endpoint, other).status_code == 403
    assert len(app.received) == 1


@pytest.mark.parametrize("where", ["header", "query", "x-oss-callback", "callback-var"])
def test_a_form_asks_by_its_own_fields_alone(oss: Oss, app: AppServer, where: str) -> None:
    fields = {"key": "a"}
    headers, query = {}, ""
    if where == "header":
        headers = headers_for(app.url)
    elif where == "query":
        query = f"?callback={quote(callback(app.url))}"
    else:
        fields[where] = callback(app.url)
    form = v4_form(oss.root, [["eq", "$key", "a"]], fields)
    answered = send(oss.endpoint, form, bucket=f"{BUCKET}/{query}".rstrip("/"), headers=headers)
    assert answered.status_code == 400
    assert oss.storage.find(BUCKET, "a") is None
    assert app.received == []


# Refusals before anything is stored


@pytest.mark.parametrize(
    "headers",
    [
        {"x-oss-callback": "x123-*&"},
        {"x-oss-callback": "e30"},
        {"x-oss-callback": base64.b64encode(b"{").decode()},
        {"x-oss-callback": base64.b64encode(b"[" * 3000).decode()},
        {"x-oss-callback": encoded(["callbackUrl"])},
        {"x-oss-callback": callback("http://127.0.0.1/", "a" * 5000)},
        *(
            headers_for(url)
            for url in (
                "10.101.166.30:test",
                "http://127.0.0.1:99999/",
                "http://127.0.0.1:0/",
                "ftp://127.0.0.1/",
                "file:///etc/passwd",
                "http://",
                "http://user@127.0.0.1/",
                "http://127.0.0.1/größe",
                "http://127.0.0.1/a b",
                "http://127.0.0.1/\r\nX: y",
                "http://[::1/",
                ";",
                ";".join(["http://127.0.0.1/"] * 6),
            )
        ),
        headers_for("http://127.0.0.1/", ""),
        *(
            headers_for("http://127.0.0.1/", body)
            for body in (
                "a=$x:my_var}",
                "a=$(size)",
                "a=$",
                "a=${size",
                "a=${}",
                "a=${nothing}",
                "a=${x:}",
                "a=${x:Upper}",
                "a=${${size}}",
            )
        ),
        headers_for("http://127.0.0.1/", callbackBodyType="text/plain"),
        headers_for("http://127.0.0.1/", "a=${size}", callbackBodyType="application/json"),
        headers_for("http://127.0.0.1/", '{"a":"${etag}"}', callbackBodyType="application/json"),
        headers_for("http://127.0.0.1/", callbackHost="a\r\nX: y"),
        headers_for("http://127.0.0.1/", callbackHost=1),
        {"x-oss-callback": encoded({"callbackUrl": ["http://127.0.0.1/"], "callbackBody": "a"})},
        {"x-oss-callback": encoded({"callbackUrl": "http://127.0.0.1/", "callbackBody": "\ud800"})},
        *(
            {**headers_for("http://127.0.0.1/"), "x-oss-callback-var": text}
            for text in (
                "x123-*&",
                base64.b64encode(b"{").decode(),
                encoded([]),
                encoded({"x:Mine": "1"}),
                encoded({"x:mine": 1}),
                encoded({"x:mine": "1" * 5000}),
            )
        ),
    ],
    ids=lambda headers: (
        str(base64.b64decode(headers["x-oss-callback"] + "==")[:60])
        if headers["x-oss-callback"][0] == "e"
        else headers["x-oss-callback"][:20]
    ),
)
def test_a_malformed_callback_is_refused(oss: Oss, headers: dict[str, str]) -> None:
    status, code, _ = put(oss, headers)
    assert (status, code) == (400, "InvalidArgument")
    assert oss.storage.find(BUCKET, "a") is None


def test_a_callback_in_header_and_url_is_refused(oss: Oss, app: AppServer) -> None:
    wanted = callback(app.url)
    for headers, parameters in (
        ({"x-oss-callback": wanted}, {"callback": wanted}),
        ({"x-oss-callback": wanted}, {"callback-var": encoded({"x:a": "1"})}),
    ):
        url = oss.oss2().sign_url("PUT", "a", 60, headers=headers, params=parameters)
        with requests.Session() as session:
            session.trust_env = False
            answered = session.put(url, b"bytes", headers=headers, timeout=10)
        assert answered.status_code == 400
        assert parse(answered.content, "Error").findtext("EC") == "0007-00000027"
    assert oss.storage.find(BUCKET, "a") is None
    assert app.received == []


def test_no_url_is_no_callback(oss: Oss) -> None:
    for headers in ({"x-oss-callback": ""}, headers_for("")):
        assert oss.oss2().put_object("a", b"x", headers=headers).status == 200


def test_other_operations_have_no_callback(oss: Oss, app: AppServer) -> None:
    with pytest.raises(oss2.exceptions.ServerError) as caught:
        oss.oss2().append_object("a", 0, b"x", headers=headers_for(app.url))
    assert (caught.value.status, caught.value.code) == (400, "NotImplemented")


def test_without_a_key_there_are_no_callbacks(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "oss")
    storage.create_bucket(BUCKET, acl="public-read-write")
    app = create_app(storage, Identities("1", b"seal", [], []), region=REGION)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x", "more_body": False}

    async def send_on(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "PUT",
        "path": f"/{BUCKET}/a",
        "raw_path": f"/{BUCKET}/a".encode(),
        "query_string": b"",
        "headers": [
            (b"content-length", b"1"),
            (b"x-oss-callback", callback("http://127.0.0.1/").encode()),
        ],
    }
    asyncio.run(app(scope, receive, send_on))  # type: ignore[arg-type]
    assert sent[0]["status"] == 400
    assert storage.find(BUCKET, "a") is None
    storage.close()


def test_who_may_not_upload_calls_nobody(oss: Oss, app: AppServer) -> None:
    session = oss.session(policy({"Action": "oss:GetObject", "Resource": "*"}))
    with pytest.raises(oss2.exceptions.AccessDenied):
        oss.oss2(session).put_object("a", b"x", headers=headers_for(app.url))
    assert app.received == []


# The result of a callback


HUGE = 1024 * 1024 + 1
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("move", "reason"),
    [
        (answer(500, {}), "Error status : 500."),
        (answer(204, b""), "Error status : 204."),
        (answer(201, {}), "Error status : 201."),
        (
            raw(b"HTTP/1.1 302 X\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 2\r\n\r\n{}"),
            "Error status : 302.",
        ),
        (answer(200, b"OK"), "Response body is not valid json format."),
        (answer(200, b""), "Response body is not valid json format."),
        (answer(200, b"\xff"), "Response body is not valid json format."),
        (answer(200, b"[" * 100_000), "Response body is not valid json format."),
        (raw(OK + b"\r\n{}"), "too long content-length"),
        (
            raw(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
            "too long content-len",
        ),
        (answer(200, b"1" * HUGE), "too long content-length"),
        (raw(OK + b"Content-Length: " + b"9" * 18 + b"\r\n\r\n{}"), "too long content-length"),
        (raw(OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}"), "Error status : "),
        (
            raw(
                OK
                + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
                + b"%x\r\n" % HUGE
                + b"1" * HUGE
            ),
            "too long content-length",
        ),
        (raw(OK + b"Content-Length: -1\r\n\r\n{}"), "Error status : -1."),
        (raw(OK + b"Content-Length: 9\r\n\r\n{}"), "Error status : -1."),
        (raw(b"SSH-2.0-OpenSSH\r\n"), "Error status : -1."),
        (raw(b""), "Error status : -1."),
        (raw(b"x" * 200_000), "Error status : -1."),
        (reset, "Error status : -1."),
        (hang, "Cost too long time."),
        (drip(OK + b"Content-Length: 2\r\n\r\n{}"), "Cost too long time."),
        (drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 99), "Cost too long time."),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.usefixtures("quick")
def test_a_failed_callback_leaves_the_object(oss: Oss, move: Move, reason: str) -> None:
    with app_server(move) as app:
        status, code, message = put(oss, headers_for(app.url))
    assert (status, code) == (203, "CallbackFailed")
    assert reason in message
    with oss.storage.open(BUCKET, "a") as opened:
        assert b"".join(opened.chunks(0, 9)) == b"bytes"
    # The callback is sent once. There is no retry, and no redirect is followed.
    assert len(app.received) == 1


@pytest.mark.usefixtures("quick")
def test_a_form_whose_callback_fails_is_stored(oss: Oss) -> None:
    with app_server(answer(500, {})) as app:
        form = v4_form(oss.root, [["eq", "$key", "a"]], {"key": "a", "callback": callback(app.url)})
        answered = send(oss.endpoint, form)
    assert (answered.status_code, oss.storage.get(BUCKET, "a").size) == (203, 5)
    assert parse(answered.content, "Error").findtext("Code") == "CallbackFailed"


def test_oss_waits_for_five_seconds() -> None:
    assert delivery.LIMIT_SECONDS == 5


def test_a_server_that_is_not_there_fails(oss: Oss) -> None:
    _, code, message = put(oss, headers_for("http://127.0.0.1:9/"))
    assert code == "CallbackFailed"
    assert message == (
        "Error status : -1.OSS can not connect to your callbackUrl, please check it."
    )


@pytest.mark.parametrize(
    "host",
    [
        "app.example",
        "10.0.0.1",
        "169.254.169.254",
        "0.0.0.0",  # noqa: S104
        "localhost.app.example",
        "127.0.0.1.app.example",
        "2130706433",
        "0x7f000001",
        "127.1",
        "[::ffff:10.0.0.1]",
    ],
)
def test_the_sandbox_calls_nobody_elsewhere(
    oss: Oss, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connect(*_: object, **__: object) -> None:
        raise AssertionError("it connected")

    monkeypatch.setattr("anyio.connect_tcp", connect)
    _, code, message = put(oss, headers_for(f"http://{host}:9/"))
    assert code == "CallbackFailed"
    assert "The sandbox calls loopback addresses only" in message


def test_a_name_that_leads_elsewhere_is_sent_nothing(
    oss: Oss, app: AppServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hosts file may say that localhost is another machine."""
    real = delivery._is_loopback
    monkeypatch.setattr(delivery, "_is_loopback", lambda host: host != "127.0.0.1" and real(host))
    _, code, message = put(oss, headers_for(f"http://localhost:{app.port}/"))
    assert (code, "loopback addresses only" in message) == ("CallbackFailed", True)
    assert app.received == []


def test_urls_are_tried_in_order_until_one_answers(oss: Oss) -> None:
    with app_server(answer(500, {})) as first, app_server() as second, app_server() as third:
        urls = f"{first.url};http://127.0.0.1:9/;http://app.example/;{second.url};{third.url};"
        result = oss.oss2().put_object("a", b"x", headers=headers_for(urls))
    assert json.loads(result.resp.read()) == {"Status": "OK"}
    assert [len(server.received) for server in (first, second, third)] == [1, 1, 0]


def test_many_callbacks_that_wait_hold_up_nobody_else(oss: Oss) -> None:
    """45 callbacks wait for their answers at the same time. The sandbox has fewer than 45 threads
    for work on files, but other requests still get their answers."""
    number = 45
    all_are_there = threading.Event()

    def wait(sock: socket.socket) -> bool:
        all_are_there.wait(30)
        return answer(200, {})(sock)

    with app_server(wait) as app, ThreadPoolExecutor(number) as clients:
        bucket = oss.oss2()
        headers = headers_for(app.url)
        uploads = [
            clients.submit(bucket.put_object, "a", b"x", headers=headers) for _ in range(number)
        ]
        deadline = time.monotonic() + 4
        while len(app.received) < number and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(app.received) == number
        assert bucket.put_object("b", b"x").status == 200
        all_are_there.set()
        assert {upload.result().status for upload in uploads} == {200}


def test_the_answer_is_passed_on_as_it_is(oss: Oss) -> None:
    body = ' {"a": "größe", "list": [1, 2.50]}\n'.encode()
    with app_server(answer(200, body)) as app:
        result = oss.oss2().put_object("a", b"x", headers=headers_for(app.url))
    assert result.resp.read() == body
    largest = b'"%s"' % (b"1" * (HUGE - 3))
    with app_server(answer(200, largest)) as app:
        result = oss.oss2().put_object("a", b"x", headers=headers_for(app.url))
    assert result.resp.read() == largest


# Pictures


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (png(), ("3", "2", "png")),
        (png(kind="JPEG"), ("3", "2", "jpg")),
        (png(kind="GIF"), ("3", "2", "gif")),
        (png(kind="BMP"), ("3", "2", "bmp")),
        (png(kind="TIFF"), ("3", "2", "tiff")),
        (png(kind="WEBP"), ("3", "2", "webp")),
        # For OSS the following files are not pictures.
        (png(kind="ICO"), ("", "", "")),
        (b"", ("", "", "")),
        (b"no picture", ("", "", "")),
        (png()[:20], ("", "", "")),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", ("", "", "")),
    ],
    ids=lambda value: str(value)[:12],
)
def test_a_picture_is_told_by_its_bytes(
    oss: Oss, app: AppServer, content: bytes, wanted: tuple[str, str, str]
) -> None:
    oss.oss2().put_object("a.txt", content, headers=headers_for(app.url, BODY))
    sent = variables(app)
    assert (sent["width"], sent["height"], sent["format"]) == wanted


def test_a_picture_too_large_to_open_is_none(oss: Oss, app: AppServer) -> None:
    bomb = bytearray(png())
    bomb[16:24] = struct.pack(">II", 60_000, 60_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        oss.oss2().put_object("a.png", bytes(bomb), headers=headers_for(app.url, BODY))
    assert variables(app)["width"] in ("", "60000")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pictures")


@few
@given(
    kind=st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"]),
    cut=st.integers(0, 200),
    changes=st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), max_size=6),
)
def test_a_broken_picture_breaks_nothing(
    kind: str,
    cut: int,
    changes: list[tuple[int, int]],
    folder: Path,
) -> None:
    content = bytearray(png(kind=kind))
    for place, byte in changes:
        content[place % len(content)] = byte
    (folder / "a").write_bytes(content[: max(len(content) - cut, 0)])
    size = (folder / "a").stat().st_size
    info = ObjectInfo("a", size, "", 0, "Normal", 0, "default", {}, (("a", size),))
    found = image_variables(OpenObject(info, folder, lambda _: None))
    assert set(found) <= {"imageInfo.width", "imageInfo.height", "imageInfo.format"}


def test_only_the_picture_that_was_uploaded_is_told_of(
    oss: Oss, app: AppServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another upload replaces the picture before the callback. The callback must not report the
    width of the new picture."""
    real = oss.storage.open

    def open_later(bucket: str, key: str) -> OpenObject:
        oss.oss2().put_object("a", png(6, 6))
        return real(bucket, key)

    monkeypatch.setattr(oss.storage, "open", open_later)
    oss.oss2().put_object("a", png(5, 5), headers=headers_for(app.url, BODY))
    assert variables(app)["width"] == ""


# Strangers


@few
@given(
    document=st.dictionaries(
        st.sampled_from(["callbackUrl", "callbackBody", "callbackHost", "callbackBodyType"]),
        st.text(max_size=20)
        | st.sampled_from(["http://127.0.0.1/", "application/json", "a=${size}", "{}", "a.b:1"])
        | st.integers()
        | st.none(),
    ),
    custom=st.none() | st.text(max_size=20) | st.dictionaries(st.text(max_size=4), st.text()),
)
def test_whatever_callback_is_asked_for_is_read_or_refused(
    document: object, custom: object
) -> None:
    headers = {"x-oss-callback": encoded(document), "x-oss-callback-var": encoded(custom)}
    try:
        made = requested(headers, {})
    except OssError as error:
        made = None
        status, code = error.status, error.code
    else:
        status, code = 400, "InvalidArgument"
    assert (status, code) == (400, "InvalidArgument")
    if made is not None:
        assert isinstance(made, Callback)
        made.body({})


# The key


def test_the_documentations_sample_is_signed_text_for_text() -> None:
    """In the vendor's documentation, the key of the real OSS signs this sample. In this test a key
    of the sandbox signs the sample."""
    signature = callback_signer().sign("/index.php?id=1&index=2", b"bucket=yonghu-test")
    received = Received(
        "/index.php?id=1&index=2", {"authorization": signature}, b"bucket=yonghu-test"
    )
    assert received.is_signed_by(callback_signer().public_key)


def test_the_verification_accepts_the_vendors_own_signature() -> None:
    """An app's server can verify callbacks of the sandbox and of the real OSS in the same way."""
    key = (
        b"-----BEGIN PUBLIC KEY-----\n"
        b"MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKs/JBGzwUB2aVht4crBx3oIPBLNsjGs\n"
        b"C0fTXv+nvlmklvkcolvpvXLTjaxUHR3W9LXxQ2EHXAJfCB+6H2YF1k8CAwEAAQ==\n"
        b"-----END PUBLIC KEY-----\n"
    )
    signature = (
        "kKQeGTRccDKyHB3H9vF+xYMSrmhMZjzzl2/kdD1ktNVgbWEfYTQG0G2SU/RaHBovRCE8OkQDjC3uG33esH2txA=="
    )
    headers = {"authorization": signature}
    target, body = "/index.php?id=1&index=2", b"bucket=yonghu-test"
    assert Received(target, headers, body).is_signed_by(key)
    assert not Received(target, headers, b"bucket=other").is_signed_by(key)


def test_a_signer_hides_its_key_and_takes_rsa_only() -> None:
    pem = callback_key()
    shown = repr(CallbackSigner(pem, PUBLIC_KEY_URL))
    assert "***" in shown
    assert pem.decode().splitlines()[1] not in shown
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with pytest.raises(ValueError, match="RSA"):
        CallbackSigner(other, PUBLIC_KEY_URL)


def test_the_whole_sandbox_signs_with_the_key_that_it_serves(tmp_path: Path) -> None:
    with running_cloud(tmp_path) as cloud, app_server() as app:
        token = cloud.token()
        token.oss2("v4").put_object(f"{token.prefix}a", b"x", headers=headers_for(app.url))
        (received,) = app.received
        url = base64.b64decode(received.headers["x-oss-pub-key-url"]).decode()
        assert url == cloud.env["CALLBACK_PUBLIC_KEY_URL"]
        assert url.startswith(cloud.url)
        with requests.Session() as session:
            session.trust_env = False
            key = session.get(url, timeout=10)
        assert received.is_signed_by(key.content)
        assert b"PRIVATE" not in key.content


# From the network (LAN=1)


def test_from_the_network_only_the_functions_own_url_is_called(
    tmp_path: Path, app: AppServer
) -> None:
    """If other URLs were called, a stranger could send requests to every server on this machine,
    and read the answers."""
    with running_oss(tmp_path, callback_urls=frozenset([app.url])) as oss:
        assert oss.oss2().put_object("mine", b"x", headers=headers_for(app.url)).status == 200
        for url in (
            f"{app.url}x",
            app.url.replace("127.0.0.1", "localhost"),
            f"{app.url};{app.url}x",
            app.url.partition("://")[2] + "/",
        ):
            status, code, message = put(oss, headers_for(url))
            assert (status, code) == (400, "InvalidArgument"), url
            assert "CALLBACK_URL" in message
        session = oss.session()
        form = v4_form(session, [], {"key": "a", "callback": callback(f"{app.url}x")})
        assert send(oss.endpoint, form).status_code == 400
        assert oss.storage.find(BUCKET, "a") is None
    assert len(app.received) == 1


def test_from_the_network_nothing_is_called_where_there_is_no_such_url(
    tmp_path: Path, app: AppServer
) -> None:
    with running_oss(tmp_path, callback_urls=frozenset()) as oss:
        assert put(oss, headers_for(app.url))[:2] == (400, "InvalidArgument")
        assert oss.oss2().put_object("a", b"x").status == 200
    assert app.received == []
