"""The function's requests to OSS. The sandbox's OSS accepts the requests, and the function refuses
odd answers."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from running_oss import BUCKET, REGION, Oss, policy, running_oss
from scripted_sts import Move, answer, hang, raw, reset, scripted_sts
from token_service import oss_client as oss_requests
from token_service.errors import ServiceError
from token_service.oss_client import (
    Object,
    ObjectHead,
    OssClient,
    OssInvalidAnswer,
    OssRefused,
    OssUnreachable,
    Page,
)
from token_service.settings.values import AccessKey, Endpoint

NAMES = [
    "a",
    "a b+c%2B",
    "a\"b'c&d=e;",
    "a\r\nb\tc",
    "<Key>]]>",
    "\u65e5\u672c/\u00e9\u0301",
    "~",
]
KEY = AccessKey("LTAI5tOwn", "own-secret", None)
STORED = "Tue, 24 Nov 2026 10:00:00 GMT"


@pytest.fixture(scope="module")
def oss(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oss]:
    with running_oss(tmp_path_factory.mktemp("oss")) as running:
        bucket = running.oss2()
        for name in NAMES:
            bucket.put_object(f"u/{name}", b"hello", {"Content-Type": "text/x"})
        bucket.put_object("v/theirs", b"")
        yield running


@pytest.fixture(scope="module")
def client(oss: Oss) -> Iterator[OssClient]:
    made = OssClient(Endpoint("http", "127.0.0.1", oss.port), BUCKET, REGION)
    yield made
    made.close()


@pytest.fixture
def key(oss: Oss) -> AccessKey:
    return AccessKey(oss.root.access_key_id, oss.root.access_key_secret, None)


def soon(seconds: float = 3) -> float:
    return time.monotonic() + seconds


@pytest.mark.parametrize("name", NAMES)
def test_an_object_is_described(oss: Oss, client: OssClient, key: AccessKey, name: str) -> None:
    head = client.head(f"u/{name}", key, soon())
    assert head is not None
    assert head[:3] == (5, "5D41402ABC4B2A76B9719D911017C592", "text/x")
    # oss2 gets the same Last-Modified from this OSS.
    assert head.last_modified == oss.oss2().head_object(f"u/{name}").headers["Last-Modified"]


def test_a_missing_object_is_none(client: OssClient, key: AccessKey) -> None:
    assert client.head("u/missing", key, soon()) is None


def test_a_missing_bucket_is_an_error_of_its_own(oss: Oss, key: AccessKey) -> None:
    client = OssClient(Endpoint("http", "127.0.0.1", oss.port), "no-such-bucket", REGION)
    try:
        with pytest.raises(OssRefused) as caught:
            client.head("u/a", key, soon())
    finally:
        client.close()
    assert caught.value.code == "NoSuchBucket"


def test_a_listing_is_in_the_order_of_keys_and_pages(client: OssClient, key: AccessKey) -> None:
    names: list[str] = []
    after = "u/"
    for _ in range(len(NAMES)):
        page = client.list_objects("u/", after, 2, key, soon())
        names += [found.key for found in page.objects]
        after = names[-1]
        if not page.is_truncated:
            break
    assert names == sorted((f"u/{name}" for name in NAMES), key=str.encode)


def test_temporary_credentials_are_signed_with_their_token(oss: Oss, client: OssClient) -> None:
    session = oss.session(
        policy({"Action": "oss:GetObject", "Resource": f"acs:oss:*:*:{BUCKET}/*"})
    )
    key = AccessKey(session.access_key_id, session.access_key_secret, session.security_token)
    assert client.head("u/a", key, soon()) is not None
    with pytest.raises(OssRefused, match="need oss:GetObject and oss:ListObjects") as caught:
        client.list_objects("u/", "u/", 2, key, soon())
    assert (caught.value.code, caught.value.status) == ("AccessDenied", 500)


def test_a_refusal_has_oss_code_and_no_secret(client: OssClient, key: AccessKey) -> None:
    wrong = key._replace(access_key_secret="wrong-secret")
    with pytest.raises(OssRefused) as caught:
        client.list_objects("u/", "u/", 2, wrong, soon())
    assert caught.value.code == "SignatureDoesNotMatch"
    assert key.access_key_id not in caught.value.message
    with pytest.raises(OssRefused) as caught:
        client.head("u/a", wrong, soon())
    assert caught.value.code == "SignatureDoesNotMatch"


@pytest.mark.parametrize(
    ("host", "asked"),
    [
        ("oss-cn-hangzhou.aliyuncs.com", "my-bucket.oss-cn-hangzhou.aliyuncs.com"),
        (
            "oss-cn-hangzhou-internal.aliyuncs.com",
            "my-bucket.oss-cn-hangzhou-internal.aliyuncs.com",
        ),
        ("files.example.com", "files.example.com"),
        ("127.0.0.1", "127.0.0.1"),
        ("10.0.2.2", "10.0.2.2"),
    ],
)
def test_the_bucket_is_in_the_host_but_for_an_address_and_its_own_domain(
    monkeypatch: pytest.MonkeyPatch, host: str, asked: str
) -> None:
    """OSS refuses a request that has the bucket in its path."""
    dialled: list[Endpoint] = []

    def dial(endpoint: Endpoint, *_: object) -> None:
        dialled.append(endpoint)
        raise ConnectionRefusedError

    monkeypatch.setattr("token_service.http.connection._dial", dial)
    client = OssClient(Endpoint("https", host, 443), "my-bucket", REGION)
    with pytest.raises(OssUnreachable):
        client.head("a", KEY, soon())
    assert dialled == [Endpoint("https", asked, 443)]


def listed(content: str, *, more: str = "") -> bytes:
    head = "<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>"
    return f"<ListBucketResult{more}>{head}{content}</ListBucketResult>".encode()


ENTRY = (
    "<Contents><Key>u/a</Key><LastModified>2026-11-24T10:00:00.000Z</LastModified>"
    '<ETag>"AB-3"</ETag><Size>7</Size></Contents>'
)


def ask(move: Move, *, seconds: float = 3) -> Page:
    with scripted_sts(move) as server:
        client = OssClient(Endpoint("http", "127.0.0.1", server.port), BUCKET, REGION)
        try:
            return client.list_objects("u/", "u/", 2, KEY, soon(seconds))
        finally:
            client.close()


@pytest.mark.parametrize("more", ["", ' xmlns="http://doc.oss-cn-hangzhou.aliyuncs.com"'])
def test_a_listing_may_have_a_namespace(more: str) -> None:
    """In the vendor's samples, a listing has an XML namespace, but OSS sends listings without
    one."""
    found = Object("u/a", 7, "AB-3", "2026-11-24T10:00:00Z")
    assert ask(answer(200, listed(ENTRY, more=more))) == Page((found,), is_truncated=False)


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(
        f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "]>"
)
SMALL = '<!DOCTYPE x [<!ENTITY a "u/a">]>'
EXTERNAL = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
ODD: dict[str, bytes] = {
    "nothing": b"",
    "JSON": b"{}",
    "half": listed(ENTRY)[:-5],
    "another document": b"<Error><Code>x</Code></Error>",
    "not UTF-8": b"\xff" + listed(ENTRY),
    "UTF-16": listed(ENTRY).decode().encode("utf-16"),
    "entities that grow": BOMB.encode() + listed(ENTRY.replace("u/a", "&i;")),
    "an entity": SMALL.encode() + listed(ENTRY.replace("u/a", "&a;")),
    "an entity that fetches": EXTERNAL.encode() + listed(ENTRY.replace("u/a", "&a;")),
    "a key outside": listed(ENTRY.replace("u/a", "v/a")),
    "an encoded key outside": listed(ENTRY.replace("u/a", "%76/a")),
    "no key": listed(ENTRY.replace("<Key>u/a</Key>", "")),
    "more than asked for": listed(ENTRY * 3),
    "no encoding": listed(ENTRY).replace(b"url", b""),
    "a size that is none": listed(ENTRY.replace("<Size>7", "<Size>-7")),
    "a size beyond all": listed(ENTRY.replace("<Size>7", "<Size>99999999999999")),
    "a date that is none": listed(ENTRY.replace("2026-11-24T", "yesterday")),
    "an ETag that is none": listed(ENTRY.replace("AB-3", "a b")),
}


@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
def test_an_odd_listing_is_refused(body: bytes) -> None:
    with pytest.raises(OssInvalidAnswer, match="OSS"):
        ask(answer(200, body))


@given(
    st.binary(max_size=100)
    | st.text(max_size=100).map(lambda text: listed(f"<Contents>{text}</Contents>"))
    | st.text(st.sampled_from("<>/&;![]KeySizu1 "), max_size=60).map(listed)
)
def test_any_listing_is_a_page_or_refused(body: bytes) -> None:
    try:
        page = oss_requests._page(body, "u/", 2)
    except OssInvalidAnswer:
        return
    assert all(found.key.startswith("u/") for found in page.objects)


ERROR = (
    "<Error><Code>SlowDown</Code><Message>m LTAI5tOwn</Message><RequestId>R1</RequestId></Error>"
)


def test_an_error_of_the_servers_own_is_503() -> None:
    with pytest.raises(OssRefused) as caught:
        ask(answer(503, ERROR.encode()))
    error = caught.value
    assert (error.status, error.code, error.message) == (503, "SlowDown", "m ***")


@pytest.mark.parametrize(
    ("move", "message"),
    [
        (answer(500, b"oops"), "HTTP 500 without an error code"),
        (answer(403, b"<Error><Code>a b</Code></Error>"), "HTTP 403 without an error code"),
        (
            raw(b"HTTP/1.1 302 X\r\nLocation: http://evil.example\r\nContent-Length: 0\r\n\r\n"),
            "302",
        ),
        (answer(200, listed(ENTRY) + b" " * oss_requests.MAX_PAGE_BYTES), "exceeds 512 KB"),
        (reset, "closed the connection"),
    ],
)
def test_whatever_else_is_answered_is_an_error(move: Move, message: str) -> None:
    with pytest.raises((OssInvalidAnswer, OssUnreachable), match=message) as caught:
        ask(move)
    assert caught.value.status == 503


def test_an_oss_that_hangs_is_given_up() -> None:
    began = time.monotonic()
    with pytest.raises(OssUnreachable, match="no answer in time"):
        ask(hang, seconds=0.3)
    assert time.monotonic() - began < 5


def head_of(*lines: str, status: int = 200) -> ObjectHead | None:
    text = "\r\n".join((f"HTTP/1.1 {status} X", *lines, "", ""))
    with scripted_sts(raw(text.encode("latin-1"))) as server:
        client = OssClient(Endpoint("http", "127.0.0.1", server.port), BUCKET, REGION)
        try:
            return client.head("u/a", KEY, soon())
        finally:
            client.close()


def test_an_object_of_any_size_is_described() -> None:
    lines = ("Content-Length: 48800000000000", 'ETag: "AB-10000"', "Content-Type: video/mp4")
    expected = ObjectHead(48_800_000_000_000, "AB-10000", "video/mp4", STORED)
    assert head_of(*lines, f"Last-Modified: {STORED}") == expected


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("Content-Length: 5", f"Last-Modified: {STORED}"),
        ('ETag: "AB"', f"Last-Modified: {STORED}"),
        ("Content-Length: x", 'ETag: "AB"', f"Last-Modified: {STORED}"),
        ("Content-Length: 5", 'ETag: "AB"'),
    ],
)
def test_a_description_that_lacks_something_is_refused(lines: tuple[str, ...]) -> None:
    with pytest.raises(OssInvalidAnswer):
        head_of(*lines)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-24T10:00:00.000Z",
        STORED.lower(),
        STORED.replace("GMT", "+0000"),
        STORED.replace("10:00:00", "10:00"),
        f"{STORED}, {STORED}",
        f"{STORED}\t{'x' * 900}",
        "\u0662\u0664 Nov 2026",
    ],
)
def test_a_last_modified_that_is_no_date_is_refused(text: str) -> None:
    """Finding A13: the Id of an upload is made from Last-Modified, so the function accepts only a
    valid date."""
    with pytest.raises(OssInvalidAnswer, match="no valid Last-Modified") as caught:
        oss_requests._sound("Last-Modified", oss_requests._HTTP_DATE, text)
    assert not text or text not in caught.value.message
    if text.isascii():
        with pytest.raises(OssInvalidAnswer, match="no valid Last-Modified"):
            head_of("Content-Length: 5", 'ETag: "AB"', f"Last-Modified: {text}")


def error_header(code: str) -> str:
    return "x-oss-err: " + base64.b64encode(f"<Error><Code>{code}</Code></Error>".encode()).decode()


@pytest.mark.parametrize(
    ("status", "lines"),
    [
        (200, ("x-oss-object-type: Symlink", "Content-Length: 5", 'ETag: "AB"')),
        (404, ("x-oss-object-type: Symlink", error_header("NoSuchKey"))),
        (404, (error_header("SymlinkTargetNotExist"),)),
        (409, (error_header("InvalidTargetType"),)),
    ],
)
def test_where_a_link_leads_is_nobodys_to_know(status: int, lines: tuple[str, ...]) -> None:
    """OSS follows a symbolic link with the function's rights, and the function may read other
    users' objects (vendor documentation of PutSymlink and HeadObject)."""
    assert head_of(*lines, status=status) is None


@pytest.mark.parametrize("header", ["", "%%", "/w==", base64.b64encode(b"<x/>").decode()])
def test_an_error_without_a_code_is_no_missing_object(header: str) -> None:
    with pytest.raises(OssInvalidAnswer):
        head_of(f"x-oss-err: {header}", "Content-Length: 0", status=404)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20))
def test_any_key_and_prefix_are_signed_as_they_are_sent(
    oss: Oss, client: OssClient, key: AccessKey, text: str
) -> None:
    try:
        assert client.head(f"u/x{text}", key, soon()) is None
        client.list_objects(f"u/x{text}", f"u/x{text}", 2, key, soon())
    except ServiceError as error:
        fault = getattr(error, "code", "")
    else:
        return
    # OSS itself does not allow some of the keys that are tried here.
    assert fault in ("InvalidArgument", "InvalidObjectName")
