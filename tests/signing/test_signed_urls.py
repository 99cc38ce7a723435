"""Our signed URLs have the same parameters as URLs that the SDKs sign. Other tests here send
hostile wishes, and use the route."""

from __future__ import annotations

import datetime
import functools
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
from alibabacloud_oss_v2 import _client, presigner
from alibabacloud_oss_v2.signer import v4
from alibabacloud_oss_v2.types import SigningContext
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
from token_service.login.callers import Login
from token_service.settings.values import AccessKey
from token_service.signing import signed_urls as presign

Env = dict[str, str]
MakeEvent = Callable[..., bytes]
Ask = Callable[..., dict[str, Any]]

NOW = 1702743657
KEY = AccessKey("LTAI5tFunctionKeyId", "function-access-key-secret", None)
TEMPORARY = AccessKey("STS.FunctionKeyId", "temporary-secret", "CAIS/token+with=all&of it")
DISPOSITION = "response-content-disposition"
ADDITIONAL = ["content-length", "content-disposition"]
ATTACHED = {DISPOSITION: "attachment"}


@pytest.fixture
def settings(env: Env) -> Configuration:
    return configuration({**env, "URL_EXPIRE_TIME_MAX": "604800"})


def grant(name: str) -> Grant:
    return Grant("my-bucket", "uploads/", f"uploads/{name}", "all_policy", 900, "anonymous")


def signed(settings: Configuration, key: AccessKey, name: str, **wishes: str) -> dict[str, Any]:
    download = ("response_content_disposition", "x_oss_process")
    asked = {k.replace("_", "-") if k in download else k: v for k, v in wishes.items()}
    asked["object"] = name
    wish = presign.read_wish(asked, settings.limits, key, None)
    return presign.signed_url(grant(name), wish, settings.settings, key, NOW)


def taken_apart(url: str) -> tuple[str, str, dict[str, str]]:
    """Return the host, the decoded path and the decoded parameters. Assert that no parameter is
    repeated."""
    parts = urlsplit(url)
    pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)
    assert len(pairs) == len(dict(pairs))
    return f"{parts.scheme}://{parts.netloc}", unquote(parts.path), dict(pairs)


class Frozen(datetime.datetime):
    """Replaces the clock of the SDKs by one that does not move."""

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
    # The SDK's signer can sign additional headers, but version 1.4.1 does not pass the headers in
    # Config to the signer.
    context = functools.partial(SigningContext, additional_headers=ADDITIONAL)
    mocker.patch.object(_client, "SigningContext", context)


def by_oss2(
    key: AccessKey, method: str, object_key: str, headers: Env, query: Env, seconds: int
) -> str:
    # StsAuth is not used, because it does not accept additional headers.
    auth = oss2.ProviderAuthV4(oss2.credentials.StaticCredentialsProvider(*key))
    bucket = oss2.Bucket(
        auth, "https://oss-cn-hangzhou.aliyuncs.com", "my-bucket", region="cn-hangzhou"
    )
    url: str = bucket.sign_url(
        method,
        object_key,
        seconds,
        headers=dict(headers),
        params=dict(query),
        slash_safe=True,
        additional_headers=ADDITIONAL,
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
            "my-bucket",
            object_key,
            content_type=headers.get("Content-Type"),
            content_length=headers.get("Content-Length"),
            content_disposition=headers.get("Content-Disposition"),
            forbid_overwrite=headers.get("x-oss-forbid-overwrite"),
        ),
        "GET": lambda: oss_v2.GetObjectRequest(
            "my-bucket",
            object_key,
            response_content_disposition=query.get(DISPOSITION),
            response_content_type=query.get("response-content-type"),
            process=query.get("x-oss-process"),
        ),
        "HEAD": lambda: oss_v2.HeadObjectRequest("my-bucket", object_key),
    }[method]()
    result = oss_v2.Client(config).presign(made, expires=datetime.timedelta(seconds=seconds))
    assert result.method == method
    # `signed_headers` has only the headers that V4 always signs.
    sent = {name: value for name, value in headers.items() if name.lower() not in ADDITIONAL}
    assert {name.lower() for name in result.signed_headers} == {name.lower() for name in sent}
    url: str = result.url
    return url


def with_size(answer: dict[str, Any]) -> Env:
    """Return the headers that a client sends, with the Content-Length that it adds by itself."""
    size = {"Content-Length": str(answer["Size"])} if "Size" in answer else {}
    return {**answer["Headers"], **size}


@pytest.mark.usefixtures("frozen")
@pytest.mark.parametrize("key", [KEY, TEMPORARY], ids=["long-lived", "temporary"])
@pytest.mark.parametrize(
    ("name", "wishes"),
    [
        ("photos/1.jpg", {"content_type": "image/jpeg", "expires": "1"}),
        ("photos/1.jpg", {}),
        ("photos/1.jpg", {"size": "0"}),
        ("photos/1.jpg", {"size": "5368709120", "content_type": "image/jpeg"}),
        ("photos/1.jpg", {"disposition": "attachment"}),
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
        ("photos/1.jpg", {"method": "GET", "x_oss_process": "image/info"}),
        ("photos/1.jpg", {"method": "HEAD"}),
    ],
)
def test_a_url_is_that_of_both_python_sdks(
    settings: Configuration, key: AccessKey, name: str, wishes: Env
) -> None:
    made = signed(settings, key, name, **wishes)
    query = {k.replace("_", "-"): v for k, v in wishes.items()}
    extras = {k: query[k] for k in (DISPOSITION, "x-oss-process") if k in query}
    if made["Method"] == "GET":
        extras = {**ATTACHED, **extras}
    rest = (with_size(made), extras, int(wishes.get("expires", "900")))
    for sdk in (by_oss2, by_oss_v2):
        theirs = sdk(key, made["Method"], f"uploads/{name}", *rest)
        assert taken_apart(made["Url"]) == taken_apart(theirs)


@pytest.mark.usefixtures("frozen")
def test_several_additional_headers_are_signed_as_an_sdk_signs_them(env: Env) -> None:
    """The result is compared only with the newer SDK. In oss2, the order of the names in the
    signature differs from their order in the URL."""
    limits = {"UPLOAD_MAX_BYTES": "10", "UPLOAD_CONTENT_TYPES": "image/png", "OVERWRITE": "no"}
    made = signed(configuration({**env, **limits}), KEY, "a.png", size="10")
    assert made["Headers"] == {
        "Content-Type": "image/png",
        "Content-Disposition": "attachment",
        "x-oss-forbid-overwrite": "true",
    }
    assert made["Size"] == 10
    theirs = by_oss_v2(KEY, "PUT", "uploads/a.png", with_size(made), {}, 900)
    assert taken_apart(made["Url"]) == taken_apart(theirs)
    names = taken_apart(made["Url"])[2]["x-oss-additional-headers"]
    assert names == "content-disposition;content-length"


@pytest.mark.usefixtures("frozen")
@pytest.mark.parametrize(
    ("name", "wish", "content_type"),
    [
        ("a.jpg", "inline", "image/jpeg"),
        ("a.PNG", "Inline ; filename=a.png", "image/png"),
        ("a/b.mp4", "inline;x", "video/mp4"),
    ],
)
def test_a_download_that_is_shown_is_of_the_type_that_its_name_says(
    settings: Configuration, name: str, wish: str, content_type: str
) -> None:
    """A browser gets the type that the name says, even if the object was stored with another type
    (finding A10)."""
    made = signed(settings, KEY, name, method="GET", response_content_disposition=wish)
    query = {DISPOSITION: wish, "response-content-type": content_type}
    theirs = by_oss_v2(KEY, "GET", f"uploads/{name}", {}, query, 900)
    assert taken_apart(made["Url"]) == taken_apart(theirs)


@pytest.mark.parametrize("name", ["a.svg", "a.html", "a.pdf", "a", "a.jpg.htm", "a.jpg/b"])
@pytest.mark.parametrize("wish", ["inline", "INLINE; filename=a.jpg", " inline"])
def test_what_can_run_scripts_is_shown_by_no_wish(
    settings: Configuration, name: str, wish: str
) -> None:
    with pytest.raises(InvalidParameter, match="must begin with attachment"):
        signed(settings, KEY, name, method="GET", response_content_disposition=wish)


@pytest.mark.parametrize(
    "wish",
    [
        *("filename=a", "inlinex", "=inline", '"inline"', ";", "a; inline"),
        # With each of these dispositions, Chromium showed a page and ran its scripts.
        *("Xattachment", "attachmentX", "X attachment;a"),
        *("\u00a0attachment", "\u3000attachment", "attachment\u0085", "attachment\u2003;"),
    ],
)
def test_a_disposition_that_browsers_may_take_for_inline_is_refused(
    settings: Configuration, wish: str
) -> None:
    with pytest.raises(InvalidParameter, match="must begin with attachment"):
        signed(settings, KEY, "a.jpg", method="GET", response_content_disposition=wish)


MOST = 5 * 1024**3


@pytest.mark.parametrize(
    ("variables", "most"), [({}, MOST), ({"UPLOAD_MAX_BYTES": "10"}, 10)], ids=["any", "bound"]
)
def test_a_size_is_within_the_limit(env: Env, variables: Env, most: int) -> None:
    settings = configuration({**env, **variables})
    for size in (0, most - 1, most):
        assert signed(settings, KEY, "a", size=str(size))["Size"] == size
    for wish in (str(most + 1), "-1", "1e1", "", "+1", "0x1", " 1", "1 ", "\u0661", "9" * 20):
        with pytest.raises(InvalidParameter, match=f"size: must be whole bytes, 0 to {most}"):
            signed(settings, KEY, "a", size=wish)


def test_a_size_must_be_given_where_it_is_bound_and_no_token_goes_around_it(env: Env) -> None:
    closed = "signed-url,form"
    for variables, must in (
        ({"UPLOAD_MAX_BYTES": "10"}, False),
        ({"ENABLED_ROUTES": closed}, False),
        ({"UPLOAD_CONTENT_TYPES": "image/png", "ENABLED_ROUTES": closed}, False),
        ({"UPLOAD_MAX_BYTES": "10", "ENABLED_ROUTES": closed}, True),
        ({"UPLOAD_MAX_BYTES": "10", "ENABLED_ROUTES": f"token,{closed}"}, False),
    ):
        settings = configuration({**env, **variables})
        if must:
            with pytest.raises(
                InvalidParameter, match=r"size: must be given.*\(UPLOAD_MAX_BYTES\)$"
            ):
                signed(settings, KEY, "a")
        else:
            assert "Size" not in signed(settings, KEY, "a")
        assert "Size" not in signed(settings, KEY, "a", method="HEAD")


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
        ({"object": "a", "method": "GET", "size": "1"}, "Size"),
        ({"object": "a", "method": "HEAD", "disposition": "inline"}, "Disposition"),
        ({"object": "a", DISPOSITION: "attachment"}, "ResponseContentDisposition"),
        ({"object": "a", "x-oss-process": "image/info"}, "XOssProcess"),
        ({"object": "a", "method": "HEAD", DISPOSITION: "inline"}, "ResponseContentDisposition"),
        ({"object": "a", "method": "GET", DISPOSITION: ""}, "ResponseContentDisposition"),
        ({"object": "a", "method": "GET", DISPOSITION: "x" * 1025}, "ResponseContentDisposition"),
        ({"object": "a", "method": "GET", DISPOSITION: "a\r\nX: y"}, "ResponseContentDisposition"),
        *(
            (
                {"object": "a", "method": "GET", DISPOSITION: f"attachment; filename={wrong}"},
                "ResponseContentDisposition",
            )
            for wrong in ("x" * 1004, "\u7167" * 335, "\x00", "\t", "\r\nX: y", "\x1f", "\x7f")
        ),
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
        *(
            (
                {"object": "a", "method": "GET", DISPOSITION: f"attachment; filename={half}"},
                "ResponseContentDisposition",
            )
            for half in ("\ud800", "\udfff")
        ),
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
    # The message names the wish as the caller spells it, and gives the reason.
    assert caught.value.message.partition(":")[0] in {*wishes, "object"}
    assert "None" not in caught.value.message


@pytest.mark.parametrize(
    ("method", "name", "of"),
    [
        ("GET", "content_type", "PUT"),
        ("GET", "callback_variables", "PUT"),
        ("HEAD", "size", "PUT"),
        ("HEAD", DISPOSITION, "GET"),
        ("PUT", "x-oss-process", "GET"),
    ],
)
def test_a_wish_of_another_method_names_it(
    settings: Configuration, method: str, name: str, of: str
) -> None:
    with pytest.raises(InvalidParameter, match=f"{name}: is for {of} only"):
        presign.read_wish({"object": "a", "method": method, name: "x"}, settings.limits, KEY, None)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_limits_of_uploads_bind_no_url_that_reads(env: Env, method: str) -> None:
    """A URL that enforces a limit on uploads needs a signed header. A browser that downloads would
    not send this header, so URLs for reading must not need it."""
    bound = configuration({**env, "UPLOAD_MAX_BYTES": "10", "OVERWRITE": "no"})
    wish = presign.read_wish({"object": "a", "method": method}, bound.limits, KEY, None)
    assert (wish.headers, wish.size) == ({}, None)


def test_a_name_that_the_function_makes_stands_for_the_object(settings: Configuration) -> None:
    wish = presign.read_wish({"name": "auto"}, settings.limits, KEY, None)
    assert wish == presign.UrlWish("PUT", 900, {}, {}, None)


def test_only_what_the_functions_own_key_signs_dies_with_it(settings: Configuration) -> None:
    """A URL for a PUT is signed with the function's own key. If this key is temporary, the URL is
    invalid once the key has expired, so the URL's time is limited. A URL for a GET is signed with a
    session, and the function knows when this session ends."""
    for method in ("GET", "HEAD"):
        wishes = {"object": "a", "method": method, "expires": "604800"}
        assert presign.read_wish(wishes, settings.limits, TEMPORARY, None).seconds == 604800
    with pytest.raises(InvalidParameter, match="expires: "):
        presign.read_wish({"object": "a", "expires": "604800"}, settings.limits, TEMPORARY, None)


@pytest.mark.parametrize("method", ["PUT", "GET", "HEAD"])
def test_a_wish_for_a_life_is_cut_to_the_logins(settings: Configuration, method: str) -> None:
    wishes = {"object": "a", "method": method, "expires": "900"}
    login = Login("alice", None, 300)
    assert presign.read_wish(wishes, settings.limits, KEY, login).seconds == 300


def test_a_parameter_of_a_download_has_1024_bytes_at_most(settings: Configuration) -> None:
    head = "attachment; filename="
    longest = head + "\u00e9" * ((1024 - len(head)) // 2) + "a" * ((1024 - len(head)) % 2)
    assert len(longest.encode()) == 1024
    made = signed(settings, KEY, "a", method="GET", response_content_disposition=longest)
    assert taken_apart(made["Url"])[2][DISPOSITION] == longest
    for text in (f"{longest}a", f"{head}\x00", f"{head}\x1f", f"{head}\x7f", f"{head}\udfff"):
        with pytest.raises(InvalidParameter, match=f"{DISPOSITION}: .*1 to 1024 bytes"):
            signed(settings, KEY, "a", method="GET", response_content_disposition=text)


def test_what_is_wrong_with_a_process_is_said(settings: Configuration) -> None:
    with pytest.raises(InvalidParameter, match="x-oss-process: blur takes r_, s_"):
        signed(settings, KEY, "a", method="GET", x_oss_process="image/blur,x_1")


def test_a_disposition_may_have_1024_bytes(settings: Configuration) -> None:
    for name in ("x" * 1003, "\u7167" * 334 + "x", " !~\u00a0\u2028\ue000"):
        disposition = f"attachment; filename={name}"[:1024]
        wishes = {"object": "a", "method": "GET", DISPOSITION: disposition}
        assert len(disposition.encode()) <= 1024
        assert presign.read_wish(wishes, settings.limits, KEY, None).query == {
            DISPOSITION: disposition
        }


def test_a_put_is_held_to_the_operators_content_types(env: Env) -> None:
    settings = configuration({**env, "UPLOAD_CONTENT_TYPES": "image/png,image/jpeg"})
    made = presign.read_wish(
        {"object": "a", "content_type": "image/png"}, settings.limits, KEY, None
    )
    assert made.headers["Content-Type"] == "image/png"
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


def is_sound(disposition: str) -> bool:
    plain = not re.search("[\x00-\x1f\x7f\ud800-\udfff]", disposition)
    return plain and disposition.partition(";")[0].strip(" \t") == "attachment"


SOUND = ["image/resize,w_9", "image/watermark,text_YQ==", "image/rotate,90/format,png"]


@given(
    name=HOSTILE,
    disposition=HOSTILE | HOSTILE.map("attachment;{}".format),
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
        # The rules for object names and processes are tested in test_grants.py and
        # test_image_operations.py.
        assert {
            "InvalidParameter.Object": True,
            "InvalidParameter.ResponseContentDisposition": not is_sound(disposition),
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
    # One of the eight parameters is the session's token.
    assert len(query) == 8


@pytest.fixture
def ask(env: Env, make_event: MakeEvent) -> Ask:
    """Send requests to an App whose STS does not answer. `variables` change its environment."""

    def send(path: str, wishes: Env, method: str = "GET", **variables: str) -> dict[str, Any]:
        event = make_event(method, path, queryParameters=wishes)
        with closing(App({**env, **variables})) as app:
            response = app.respond(lambda: fc_event.read(event))
        answer: dict[str, Any] = json.loads(response.body)
        # /health has the true status, for monitoring.
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
    """Objects that were stored before the rules on names must stay readable (finding A19)."""
    both = {"POLICY_FILE": "bucket_read_write_policy"}
    for name in ("photo\u202egpj.exe", "a\u200bb.jpg", "%2e%2e/x"):
        for method in ("GET", "HEAD"):
            # The function accepts the name and goes on to call STS, which does not answer here.
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
