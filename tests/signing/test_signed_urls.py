"""Signed URLs: the SDKs' own, parameter for parameter; hostile wishes; the route."""

from __future__ import annotations

import datetime
import json
import re
import types
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import alibabacloud_oss_v2 as oss_v2
import oss2
import pytest
from alibabacloud_oss_v2 import presigner
from alibabacloud_oss_v2.signer import v4
from hypothesis import given
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from configuration import Configuration, configuration
from image_processes import A15
from scripted_sts import scripted_sts, success
from token_service.app import App
from token_service.grant.grants import Grant
from token_service.grant.refusals import InvalidParameter
from token_service.http import fc_event
from token_service.settings.values import AccessKey
from token_service.signing import signed_urls as presign

Env = dict[str, str]
MakeEvent = Callable[..., bytes]
Ask = Callable[..., dict[str, Any]]

NOW = 1702743657
KEY = AccessKey("LTAI5tFunctionKeyId", "function-access-key-secret", None)
TEMPORARY = AccessKey("STS.FunctionKeyId", "temporary-secret", "CAIS/token+with=all&of it")
DISPOSITION = "response-content-disposition"


@pytest.fixture
def settings(env: Env) -> Configuration:
    return configuration({**env, "URL_EXPIRE_TIME_MAX": "604800"})


def grant(name: str) -> Grant:
    return Grant("my-bucket", "uploads/", f"uploads/{name}", "all_policy", 900, "anonymous")


def signed(settings: Configuration, key: AccessKey, name: str, **wishes: str) -> dict[str, Any]:
    asked = {"object": name, **{k.replace("_", "-"): v for k, v in wishes.items()}}
    if "content-type" in asked:
        asked["content_type"] = asked.pop("content-type")
    wish = presign.read_wish(asked, settings.limits, key, None)
    return presign.signed_url(grant(name), wish, settings.settings, key, NOW)


def taken_apart(url: str) -> tuple[str, str, dict[str, str]]:
    """Host, decoded path and decoded parameters; none of them twice."""
    parts = urlsplit(url)
    pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)
    assert len(pairs) == len(dict(pairs))
    return f"{parts.scheme}://{parts.netloc}", unquote(parts.path), dict(pairs)


class Frozen(datetime.datetime):
    """The SDKs' clock, standing."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Frozen:
        return cls.fromtimestamp(NOW, tz)

    @classmethod
    def utcnow(cls) -> Frozen:
        return cls.fromtimestamp(NOW, datetime.timezone.utc)


@pytest.fixture
def frozen(mocker: MockerFixture) -> None:
    stand_in = types.SimpleNamespace(
        datetime=Frozen, timedelta=datetime.timedelta, timezone=datetime.timezone
    )
    mocker.patch.object(oss2.auth, "datetime", Frozen)
    mocker.patch.object(v4, "datetime", stand_in)
    mocker.patch.object(presigner, "datetime", stand_in)


def by_oss2(
    key: AccessKey, method: str, object_key: str, headers: Env, query: Env, seconds: int
) -> str:
    if key.security_token is None:
        auth = oss2.AuthV4(key.access_key_id, key.access_key_secret)
    else:
        auth = oss2.StsAuth(*key, auth_version="v4")
    bucket = oss2.Bucket(
        auth, "https://oss-cn-hangzhou.aliyuncs.com", "my-bucket", region="cn-hangzhou"
    )
    url: str = bucket.sign_url(
        method, object_key, seconds, headers=dict(headers), params=dict(query), slash_safe=True
    )
    return url


def by_oss_v2(
    key: AccessKey, method: str, object_key: str, headers: Env, query: Env, seconds: int
) -> str:
    config = oss_v2.config.load_default()
    config.credentials_provider = oss_v2.credentials.StaticCredentialsProvider(*key)
    config.region = "cn-hangzhou"
    made = {
        "PUT": lambda: oss_v2.PutObjectRequest(
            "my-bucket", object_key, content_type=headers.get("Content-Type")
        ),
        "GET": lambda: oss_v2.GetObjectRequest(
            "my-bucket",
            object_key,
            response_content_disposition=query.get(DISPOSITION),
            process=query.get("x-oss-process"),
        ),
        "HEAD": lambda: oss_v2.HeadObjectRequest("my-bucket", object_key),
    }[method]()
    result = oss_v2.Client(config).presign(made, expires=datetime.timedelta(seconds=seconds))
    assert result.method == method
    assert {name.title(): value for name, value in result.signed_headers.items()} == headers
    url: str = result.url
    return url


@pytest.mark.usefixtures("frozen")
@pytest.mark.parametrize("key", [KEY, TEMPORARY], ids=["long-lived", "temporary"])
@pytest.mark.parametrize(
    ("name", "wishes"),
    [
        ("photos/1.jpg", {"content_type": "image/jpeg", "expires": "1"}),
        ("photos/1.jpg", {}),
        ("a b/\u7167\u7247 +%2F&=#~(1).jpg", {"content_type": "text/plain; charset=utf-8"}),
        ("photos/1.jpg", {"method": "GET", "expires": "3600"}),
        (
            "photos/\u00e9.jpg",
            {
                "method": "get",
                "response_content_disposition": "attachment; filename*=UTF-8''%C3%A9 a+b.jpg",
                "x_oss_process": "image/resize,m_lfit,w_100/quality,q_80",
            },
        ),
        ("photos/1.jpg", {"method": "HEAD"}),
    ],
)
def test_a_url_is_that_of_both_python_sdks(
    settings: Configuration, key: AccessKey, name: str, wishes: Env
) -> None:
    made = signed(settings, key, name, **wishes)
    query = {k.replace("_", "-"): v for k, v in wishes.items()}
    extras = {k: query[k] for k in (DISPOSITION, "x-oss-process") if k in query}
    rest = (made["Headers"], extras, int(wishes.get("expires", "900")))
    for sdk in (by_oss2, by_oss_v2):
        theirs = sdk(key, made["Method"], f"uploads/{name}", *rest)
        assert taken_apart(made["Url"]) == taken_apart(theirs)


def test_the_answer_says_how_to_use_the_url(settings: Configuration) -> None:
    answer = signed(settings, KEY, "a.jpg", content_type="image/jpeg", expires="60")
    url, _, signature = answer["Url"].rpartition("=")
    assert re.fullmatch("[0-9a-f]{64}", signature)
    assert {**answer, "Url": url} == {
        "StatusCode": 200,
        "Url": "https://my-bucket.oss-cn-hangzhou.aliyuncs.com/uploads/a.jpg"
        "?x-oss-credential=LTAI5tFunctionKeyId%2F20231216%2Fcn-hangzhou%2Foss%2Faliyun_v4_request"
        "&x-oss-date=20231216T162057Z&x-oss-expires=60&x-oss-signature-version=OSS4-HMAC-SHA256"
        "&x-oss-signature",
        "Method": "PUT",
        "Headers": {"Content-Type": "image/jpeg"},
        "Expiration": "2023-12-16T16:21:57Z",
        "Object": "uploads/a.jpg",
        "Scope": {"Bucket": "my-bucket", "Region": "cn-hangzhou", "Policy": "all_policy"},
    }


def test_parameters_of_the_operator_are_signed_into_the_url(settings: Configuration) -> None:
    wish = presign.read_wish({"object": "a"}, settings.limits, KEY, None)
    made = [
        presign.signed_url(grant("a"), wish, settings.settings, KEY, NOW, more)
        for more in ({}, {"callback": "eyJ+/="})
    ]
    plain, more = (taken_apart(str(answer["Url"]))[2] for answer in made)
    assert more.pop("callback") == "eyJ+/="
    assert more.pop("x-oss-signature") != plain.pop("x-oss-signature")
    assert more == plain


@pytest.mark.parametrize(
    ("wishes", "parameter"),
    [
        ({}, "Object"),
        ({"object": "a", "method": "DELETE"}, "Method"),
        ({"object": "a", "method": ""}, "Method"),
        ({"object": "a", "expires": "604801"}, "Expires"),
        ({"object": "a", "content_type": "image"}, "ContentType"),
        ({"object": "a", "method": "GET", "content_type": "image/png"}, "ContentType"),
        ({"object": "a", "x-oss-process": "image/info"}, "XOssProcess"),
        ({"object": "a", "method": "HEAD", DISPOSITION: "inline"}, "ResponseContentDisposition"),
        ({"object": "a", "method": "GET", DISPOSITION: ""}, "ResponseContentDisposition"),
        ({"object": "a", "method": "GET", DISPOSITION: "x" * 1025}, "ResponseContentDisposition"),
        ({"object": "a", "method": "GET", DISPOSITION: "a\r\nX: y"}, "ResponseContentDisposition"),
        ({"object": "a", "method": "GET", "x-oss-process": "image/\x00"}, "XOssProcess"),
        ({"object": "a", "method": "GET", "x-oss-process": "hls/sign"}, "XOssProcess"),
        ({"object": "a", "method": "GET", "x-oss-process": "style/x"}, "XOssProcess"),
        (
            {
                "object": "a",
                "method": "GET",
                "x-oss-process": "image/resize,w_9/watermark,image_Ym9i",
            },
            "XOssProcess",
        ),
        (
            {"object": "a", "method": "GET", "x-oss-process": "image/info|sys/saveas,o_Ym9i"},
            "XOssProcess",
        ),
        ({"object": "a", "method": "GET", "x-oss-process": "\ud800"}, "XOssProcess"),
        (
            {"object": "a", "method": "GET", "x-oss-process": "image/info" + "/info" * 300},
            "XOssProcess",
        ),
        *(
            ({"object": "a", "method": "GET", "x-oss-process": process}, "XOssProcess")
            for process in A15
        ),
    ],
)
def test_a_wrong_wish_is_named(settings: Configuration, wishes: Env, parameter: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        presign.read_wish(wishes, settings.limits, KEY, None)
    assert caught.value.code == f"InvalidParameter.{parameter}"


def test_a_put_is_held_to_the_operators_content_types(env: Env) -> None:
    settings = configuration({**env, "UPLOAD_CONTENT_TYPES": "image/png,image/jpeg"})
    made = presign.read_wish(
        {"object": "a", "content_type": "image/png"}, settings.limits, KEY, None
    )
    assert made.headers == {"Content-Type": "image/png"}
    for wishes in ({"object": "a"}, {"object": "a", "content_type": "text/html"}):
        with pytest.raises(InvalidParameter, match="must be one of image/png, image/jpeg"):
            presign.read_wish(wishes, settings.limits, KEY, None)


@pytest.fixture(scope="module")
def reader() -> Iterator[App]:
    """An App whose STS answers, and whose callers may read."""
    with scripted_sts(success()) as server:
        made = {
            "ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAI5tFunctionKeyId",
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "function-access-key-secret",
            "ROLE_ARN": "acs:ram::1234567890123456:role/upload",
            "BUCKET_NAME": "my-bucket",
            "OSS_REGION": "cn-hangzhou",
            "AUTH": "anonymous",
            "POLICY_FILE": "bucket_read_policy",
            "STS_ENDPOINT": server.url,
        }
        with closing(App(made)) as app:
            yield app


HOSTILE = st.text(st.sampled_from("\r\n%&=+#?/\\;\"' a\u7167\u2028\ud800") | st.characters())


def is_plain(text: str) -> bool:
    return text != "" and not re.search("[\x00-\x1f\x7f\ud800-\udfff]", text)


SOUND = ["image/resize,w_9", "image/watermark,text_YQ==", "image/rotate,90/format,png"]


@given(
    name=HOSTILE,
    disposition=HOSTILE,
    process=st.sampled_from(SOUND) | HOSTILE.map("image/{}".format) | HOSTILE,
)
def test_a_url_parses_back_to_exactly_the_wish_or_is_refused(
    reader: App, name: str, disposition: str, process: str
) -> None:
    wishes = {"object": name, DISPOSITION: disposition, "x-oss-process": process, "method": "GET"}
    http = {"method": "POST", "path": "/signed-url"}
    event = {"requestContext": {"http": http}, "body": json.dumps(wishes)}
    answer = json.loads(reader.respond(lambda: fc_event.read(json.dumps(event))).body)
    if answer["StatusCode"] != 200:
        # An object's name has rules of its own (test_grants.py), and so has a process
        # (test_image_operations.py).
        assert {
            "InvalidParameter.Object": True,
            "InvalidParameter.ResponseContentDisposition": not is_plain(disposition),
            "InvalidParameter.XOssProcess": process not in SOUND,
        }[answer["ErrorCode"]]
        return
    url = answer["Url"]
    assert url.isascii()
    assert url.isprintable()
    host, path, query = taken_apart(url)
    assert (host, path) == ("https://my-bucket.oss-cn-hangzhou.aliyuncs.com", f"/uploads/{name}")
    assert query[DISPOSITION] == disposition
    assert query["x-oss-process"] == process
    # The session's token among them.
    assert len(query) == 8


@pytest.fixture
def ask(env: Env, make_event: MakeEvent) -> Ask:
    """Ask an App whose STS does not answer; `variables` change its environment."""

    def send(path: str, wishes: Env, method: str = "GET", **variables: str) -> dict[str, Any]:
        event = make_event(method, path, queryParameters=wishes)
        with closing(App({**env, **variables})) as app:
            response = app.respond(lambda: fc_event.read(event))
        answer: dict[str, Any] = json.loads(response.body)
        # /health tells monitoring.
        assert response.status == (answer["StatusCode"] if path == "/health" else 200)
        return answer

    return send


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_url_is_answered_while_sts_is_down(ask: Ask, method: str) -> None:
    answer = ask("/signed-url", {"object": "a.jpg"}, method)
    assert answer["StatusCode"] == 200
    assert answer["Object"] == "uploads/a.jpg"
    assert set(answer) == {
        "StatusCode",
        "Url",
        "Method",
        "Headers",
        "Expiration",
        "Object",
        "Scope",
    }


def test_a_caller_gets_a_url_of_their_own_folder_only(ask: Ask) -> None:
    for name in ("../bob/x", "/uploads/bob/x", "a/../../bob/x", "*", ""):
        answer = ask("/signed-url", {"object": name})
        assert answer["ErrorCode"] == "InvalidParameter.Object"


def test_a_name_that_no_new_object_may_have_is_signed_for_reading_only(ask: Ask) -> None:
    """A19: what is stored already must not become unreadable."""
    both = {"POLICY_FILE": "bucket_read_write_policy"}
    for name in ("photo\u202egpj.exe", "a\u200bb.jpg", "%2e%2e/x"):
        for method in ("GET", "HEAD"):
            # As far as the call of STS, which does not answer here.
            answer = ask("/signed-url", {"object": name, "method": method}, **both)
            assert answer["ErrorCode"] == "StsUnreachable"
        for path in ("/signed-url", "/form", "/"):
            answer = ask(path, {"object": name}, **both)
            assert answer["ErrorCode"] == "InvalidParameter.Object"


@pytest.mark.parametrize(
    ("method", "policy", "may"),
    [
        ("PUT", "bucket_write_policy", True),
        ("GET", "bucket_write_policy", False),
        ("HEAD", "bucket_write_policy", False),
        ("PUT", "bucket_read_policy", False),
        ("GET", "bucket_read_policy", True),
        ("HEAD", "bucket_read_policy", True),
    ],
)
def test_a_caller_gets_what_a_token_could_do_and_no_more(
    ask: Ask, method: str, policy: str, may: bool
) -> None:
    wishes = {"object": "a", "method": method, "policy": policy}
    with scripted_sts(success()) as server:
        answer = ask(
            "/signed-url", wishes, POLICY_CHOICES="bucket_read_policy", STS_ENDPOINT=server.url
        )
    if may:
        assert answer["Method"] == method
    else:
        assert (answer["StatusCode"], answer["ErrorCode"]) == (403, "NotAllowed")
        assert set(answer) == {"StatusCode", "ErrorCode", "ErrorMessage"}


def test_a_policy_of_the_operators_own_decides_too(ask: Ask, tmp_path: Any) -> None:
    template = tmp_path / "own.json.j2"
    template.write_text(
        '{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "oss:PutObject",'
        ' "Resource": "acs:oss:*:*:{{ bucket }}/{{ prefix }}photos/*"}]}'
    )
    own = {"POLICY_FILE": str(template)}
    assert ask("/signed-url", {"object": "photos/1.jpg"}, **own)["StatusCode"] == 200
    assert ask("/signed-url", {"object": "other/1.jpg"}, **own)["ErrorCode"] == "NotAllowed"
    assert ask("/form", {}, **own)["ErrorCode"] == "NotAllowed"
    assert ask("/form", {"object": "photos/1.jpg"}, **own)["StatusCode"] == 200


def test_health_tells_of_a_policy_that_urls_cannot_be_judged_by(ask: Ask, tmp_path: Any) -> None:
    template = tmp_path / "own.json.j2"
    template.write_text('{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "oss:*"}]}')
    for path in ("/health", "/signed-url", "/form"):
        answer = ask(path, {"object": "a"}, POLICY_FILE=str(template))
        assert (answer["StatusCode"], answer["ErrorCode"]) == (500, "InvalidPolicy")


@pytest.mark.parametrize("path", ["/signed-url", "/form"])
def test_a_request_for_a_url_or_form_is_one_line_without_a_secret(
    ask: Ask, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    caplog.set_level("DEBUG")
    token = {"ALIBABA_CLOUD_SECURITY_TOKEN": "CAIS-own"}
    answer = ask(path, {"object": "a.jpg", "content_type": "image/png"}, **token)
    assert answer["StatusCode"] == 200
    (line,) = (r.message for r in caplog.records if r.message.startswith("{"))
    logged = json.loads(line)
    assert (logged["route"], logged["status"]) == (path, 200)
    assert (logged["caller"], logged["policy"]) == ("anonymous", "bucket_write_policy")
    for secret in ("function-access-key-secret", "CAIS-own", "LTAI5tFunctionKeyId", "signature"):
        assert secret not in caplog.text


@pytest.mark.parametrize("path", ["/signed-url", "/form"])
def test_a_missing_key_is_named(ask: Ask, path: str) -> None:
    answer = ask(path, {"object": "a"}, ALIBABA_CLOUD_ACCESS_KEY_SECRET="")
    assert answer["ErrorMessage"].startswith("ALIBABA_CLOUD_ACCESS_KEY_SECRET: not set")


def test_in_jwt_mode_a_url_needs_a_login(ask: Ask) -> None:
    for path in ("/signed-url", "/form"):
        answer = ask(path, {"object": "a"}, AUTH="jwt", JWT_SECRET="s" * 32)
        assert (answer["StatusCode"], answer["ErrorCode"]) == (401, "MissingToken")
