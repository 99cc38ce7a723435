"""Operations on objects with oss2, in both signature versions. The sandbox must answer as OSS
does."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import http.client
import os
from urllib.parse import unquote

import oss2
import pytest
from oss2.exceptions import OssError
from oss2.models import PartInfo

from running_oss import BUCKET, Oss, policy
from signature_versions import VERSIONS

ODD_KEYS = [
    "plain.txt",
    "folder/",
    "a b+c%d&e=f?g#h;i,j",
    "ü/日本/😀",
    "é" + "e\u0301",
    "a/../b",
    "a//b/",
    "%2F",
    "k" * 1023,
    "quotes\"'<&>",
    "new\nline\tand\x01control",
]
DIGITS = b"0123456789"


@pytest.fixture(params=VERSIONS)
def bucket(request: pytest.FixtureRequest, oss: Oss) -> oss2.Bucket:
    return oss.oss2(oss.session(), version=request.param)


def refusal(error: pytest.ExceptionInfo[OssError]) -> tuple[int, str]:
    return error.value.status, error.value.code


def test_put_answers_with_etag_and_crc64(bucket: oss2.Bucket) -> None:
    result = bucket.put_object("a/b.txt", b"123456789")
    assert result.status == 200
    assert result.etag == hashlib.md5(b"123456789").hexdigest().upper()  # noqa: S324
    # This is the published check value of CRC-64/XZ.
    assert result.crc == 11051210869376104954
    assert len(result.request_id) == 24
    assert result.headers["Server"] == "AliyunOSS"


@pytest.mark.parametrize("key", ODD_KEYS)
def test_keeps_every_key_apart(bucket: oss2.Bucket, key: str) -> None:
    bucket.put_object(key, key.encode())
    assert bucket.get_object(key).read() == key.encode()
    assert [found.key for found in bucket.list_objects().object_list] == [key]
    assert [found.key for found in bucket.list_objects_v2().object_list] == [key]


@pytest.mark.parametrize("key", ["/a", "\\a", "k" * 1024])
def test_refuses_a_key_that_no_object_can_have(bucket: oss2.Bucket, key: str) -> None:
    with pytest.raises(OssError) as error:
        bucket.put_object(key, b"x")
    assert refusal(error) == (400, "InvalidObjectName")


def test_gives_the_md5_of_what_one_request_uploaded(bucket: oss2.Bucket) -> None:
    """Source: TestGetObject and TestHeadObject in client_integration_test.go of
    alibabacloud-oss-go-sdk-v2.

    An object made from parts has no MD5 (TestUploaderWithSequential).
    """
    put = bucket.put_object("a", b"bytes")
    for read in (bucket.get_object("a"), bucket.head_object("a")):
        assert read.headers["Content-MD5"] == put.headers["Content-MD5"]
    upload = bucket.init_multipart_upload("parts").upload_id
    part = bucket.upload_part("parts", upload, 1, b"bytes")
    bucket.complete_multipart_upload("parts", upload, [PartInfo(1, part.etag)])
    bucket.append_object("log", 0, b"bytes")
    for key in ("parts", "log"):
        assert "Content-MD5" not in bucket.head_object(key).headers


def test_gives_back_the_headers_of_an_object(bucket: oss2.Bucket) -> None:
    headers = {
        "Content-Type": "image/png",
        "Cache-Control": "max-age=60",
        "Content-Disposition": 'attachment; filename="a.png"',
        "Content-Encoding": "gzip",
        "x-oss-meta-author": "alice",
    }
    bucket.put_object("a", b"bytes", headers)
    got = bucket.head_object("a").headers
    assert {name: got[name] for name in headers} == headers
    assert got["Content-Length"] == "5"
    assert got["x-oss-object-type"] == "Normal"
    assert bucket.get_object_meta("a").content_length == 5
    assert bucket.object_exists("a")
    assert not bucket.object_exists("b")


@pytest.mark.parametrize(
    ("byte_range", "expected"),
    [((0, 0), b"0"), ((3, 5), b"345"), ((7, None), b"789"), ((None, 2), b"89"), ((0, 9), DIGITS)],
)
def test_gives_a_range(
    bucket: oss2.Bucket, byte_range: tuple[int | None, int | None], expected: bytes
) -> None:
    bucket.put_object("a", DIGITS)
    result = bucket.get_object("a", byte_range=byte_range)
    assert result.status == 206
    assert result.read() == expected
    assert result.headers["Content-Range"].endswith("/10")


@pytest.mark.parametrize(
    ("asked", "standard"),
    [
        ("bytes=0-10", (206, DIGITS)),
        ("bytes=5-20", (206, b"56789")),
        ("bytes=-20", (206, DIGITS)),
        ("bytes=10-20", (416, None)),
        ("bytes=10-", (416, None)),
        ("bytes=-0", (416, None)),
    ],
)
def test_gives_everything_for_a_range_beyond_the_end(
    oss: Oss, asked: str, standard: tuple[int, bytes | None]
) -> None:
    """Source: help.aliyun.com/document_detail/39571 ("invalid or out of range: 200, the full
    object").

    With x-oss-range-behavior: standard, OSS answers as RFC 9110 says.
    """
    oss.oss2(version="v4").put_object("a", DIGITS, {"x-oss-object-acl": "public-read"})
    path = f"/{BUCKET}/a"
    status, headers, body = oss.raw("GET", path, {"Range": asked})
    assert (status, body, "content-range" in headers) == (200, DIGITS, False)
    strict = {"Range": asked, "x-oss-range-behavior": "standard"}
    status, headers, body = oss.raw("GET", path, strict)
    assert (status, body if status == 206 else None) == standard
    assert headers["content-range"].endswith("/10")


def test_gives_the_first_of_several_ranges(bucket: oss2.Bucket) -> None:
    """Source: help.aliyun.com/document_detail/39571.

    OSS answers with several ranges only if the header x-oss-multi-range-behavior asks for this (the
    vendor's page on HTTP status code 416). The sandbox does not implement this header.
    """
    bucket.put_object("a", DIGITS)
    several = {"Range": "bytes=2-3,5-6"}
    found = bucket.get_object("a", headers=several)
    assert (found.status, found.read()) == (206, b"23")
    with pytest.raises(OssError) as error:
        bucket.get_object("a", headers={**several, "x-oss-multi-range-behavior": "multi-range"})
    assert error.value.code == "NotImplemented"


def test_gives_an_object_only_if_the_conditions_hold(bucket: oss2.Bucket) -> None:
    etag = bucket.put_object("a", b"x").etag
    assert bucket.get_object("a", headers={"If-Match": f'"{etag}"'}).read() == b"x"
    with pytest.raises(OssError) as error:
        bucket.get_object("a", headers={"If-Match": '"other"'})
    assert refusal(error) == (412, "PreconditionFailed")
    with pytest.raises(oss2.exceptions.NotModified):
        bucket.get_object("a", headers={"If-None-Match": f'"{etag}"'})
    with pytest.raises(oss2.exceptions.NotModified):
        bucket.get_object("a", headers={"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"})


def test_a_text_is_compressed_for_who_takes_gzip(bucket: oss2.Bucket) -> None:
    """Sources: oss2's test_gzip_get, and alibabacloud.com/help/faq-detail/39645.htm.

    A compressed answer has no Content-Length, so a page's progress bar must work without it.
    """
    content = os.urandom(2_000_000)
    bucket.put_object("a.txt", content, {"Content-Type": "text/plain; charset=utf-8"})
    takes_gzip = {"Accept-Encoding": "gzip"}
    totals = []
    got = bucket.get_object(
        "a.txt", headers=takes_gzip, progress_callback=lambda _, total: totals.append(total)
    )
    assert got.read() == content
    assert set(totals) == {None}
    for headers in (got.headers, bucket.head_object("a.txt", takes_gzip).headers):
        assert (headers["Content-Encoding"], headers["Vary"]) == ("gzip", "Accept-Encoding")
        assert [n for n in ("ETag", "Content-Length", "Accept-Ranges") if n in headers] == []
        assert [n for n in ("Content-MD5", "x-oss-hash-crc64ecma") if n not in headers] == []
    plain = bucket.get_object("a.txt")
    assert (plain.read(), plain.content_length) == (content, len(content))


@pytest.mark.parametrize(
    ("kind", "size", "request_headers", "compressed"),
    [
        ("text/css", 1024, {"Accept-Encoding": "gzip"}, True),
        ("Application/JSON", 1024, {"Accept-Encoding": "gzip, deflate, br, zstd"}, True),
        ("text/html", 1024, {"Accept-Encoding": "br, gzip;q=0.5"}, True),
        ("text/css", 1023, {"Accept-Encoding": "gzip"}, False),
        ("image/png", 5000, {"Accept-Encoding": "gzip"}, False),
        ("text/css", 5000, {"Accept-Encoding": "identity"}, False),
        ("text/css", 5000, {"Accept-Encoding": "xgzip, gzipped"}, False),
        ("text/css", 5000, {"Accept-Encoding": "br, gzip;q=0"}, False),
        ("text/css", 5000, {"Accept-Encoding": "gzip", "Range": "bytes=0-2999"}, False),
    ],
)
def test_only_a_large_text_is_compressed(
    oss: Oss, kind: str, size: int, request_headers: dict[str, str], compressed: bool
) -> None:
    """The types and the size are from the page alibabacloud.com/help/faq-detail/39645.htm."""
    public = {"Content-Type": kind, "x-oss-object-acl": "public-read"}
    oss.oss2(version="v4").put_object("a", b"x" * size, public)
    _, headers, body = oss.raw("GET", f"/{BUCKET}/a", request_headers)
    assert ("content-encoding" in headers) == compressed
    assert ("content-length" in headers) != compressed
    if compressed:
        assert gzip.decompress(body) == b"x" * size


def test_what_was_stored_compressed_is_not_compressed_again(bucket: oss2.Bucket) -> None:
    stored = gzip.compress(os.urandom(3000))
    headers = {"Content-Type": "text/plain", "Content-Encoding": "gzip"}
    bucket.put_object("a", stored, headers)
    head = bucket.head_object("a", {"Accept-Encoding": "gzip"})
    assert (head.headers["Content-Encoding"], head.content_length) == ("gzip", len(stored))


def test_a_signed_url_may_name_the_headers_of_the_answer(oss: Oss) -> None:
    bucket = oss.oss2(oss.session())
    bucket.put_object("a", b"x")
    params = {"response-content-type": "text/css", "response-content-disposition": "attachment"}
    url = bucket.sign_url("GET", "a", 60, params=params)
    _, headers, body = oss.raw("GET", url[url.index("/", 8) :])
    assert body == b"x"
    assert headers["content-type"] == "text/css"
    assert headers["content-disposition"] == "attachment"


def test_refuses_a_body_that_does_not_match_its_md5(bucket: oss2.Bucket) -> None:
    with pytest.raises(OssError) as error:
        bucket.put_object("a", b"x", {"Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg=="})
    assert refusal(error) == (400, "InvalidDigest")
    assert not bucket.object_exists("a")


def test_refuses_to_overwrite_where_that_is_forbidden(bucket: oss2.Bucket) -> None:
    forbid = {"x-oss-forbid-overwrite": "true"}
    bucket.put_object("a", b"first", forbid)
    with pytest.raises(OssError) as error:
        bucket.put_object("a", b"second", forbid)
    assert refusal(error) == (409, "FileAlreadyExists")
    assert bucket.get_object("a").read() == b"first"


def test_deletes_also_what_is_not_there(bucket: oss2.Bucket) -> None:
    bucket.put_object("a", b"x")
    assert bucket.delete_object("a").status == 204
    assert bucket.delete_object("a").status == 204
    with pytest.raises(oss2.exceptions.NoSuchKey) as error:
        bucket.get_object("a")
    assert error.value.details["EC"] == "0026-00000001"


def test_deletes_many_at_once(bucket: oss2.Bucket) -> None:
    keys = [*ODD_KEYS[:8], "not there"]
    for key in keys[:-1]:
        bucket.put_object(key, b"x")
    assert bucket.batch_delete_objects(keys).deleted_keys == keys
    assert bucket.list_objects().object_list == []


def delete_several(oss: Oss, body: str, md5: bool = True) -> tuple[int, bytes]:
    headers = {"Content-Length": str(len(body))}
    if md5:
        digest = hashlib.md5(body.encode(), usedforsecurity=False).digest()
        headers["Content-MD5"] = base64.b64encode(digest).decode()
    bucket = oss.oss2()
    try:
        answer = bucket._do(
            "POST", bucket.bucket_name, "", data=body, params={"delete": ""}, headers=headers
        )
    except OssError as error:
        return error.status, error.code.encode()
    return answer.status, answer.read()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], b"MalformedXML"),
        ([str(number) for number in range(1001)], b"MalformedXML"),
        (["/leading"], b"InvalidObjectName"),
    ],
)
def test_refuses_to_delete_none_too_many_or_what_is_no_key(
    oss: Oss, names: list[str], expected: bytes
) -> None:
    objects = "".join(f"<Object><Key>{name}</Key></Object>" for name in names)
    status, answer = delete_several(oss, f"<Delete>{objects}</Delete>")
    assert (status, expected in answer) == (400, True)


def test_deletes_many_quietly_and_only_with_a_checksum(oss: Oss) -> None:
    oss.oss2().put_object("a", b"x")
    body = "<Delete><Quiet>true</Quiet><Object><Key>a</Key></Object></Delete>"
    status, answer = delete_several(oss, body, md5=False)
    assert (status, b"MissingArgument" in answer) == (400, True)
    assert oss.oss2().object_exists("a")
    status, answer = delete_several(oss, body)
    assert (status, b"Deleted" in answer) == (200, False)
    assert not oss.oss2().object_exists("a")


@pytest.mark.parametrize(
    ("key", "ec"), [("missing", b"0026-00000001"), ("%5Cbackslash", b"0016-00000005")]
)
def test_errors_have_the_vendors_ec(oss: Oss, key: str, ec: bytes) -> None:
    url = oss.oss2().sign_url("GET", unquote(key), 60)
    assert ec in oss.raw("GET", url[url.index("/", 8) :])[2]
    with pytest.raises(oss2.exceptions.NoSuchBucket) as error:
        oss.oss2(bucket="no-such-bucket").get_object("a")
    assert error.value.details["EC"] == "0015-00000101"


def test_a_refusal_says_which_policy_and_how(oss: Oss) -> None:
    nothing = policy({"Action": "oss:GetObject", "Resource": "acs:oss:*:*:*"})
    url = oss.oss2(oss.session(nothing)).sign_url("PUT", "a", 60)
    answer = oss.raw("PUT", url[url.index("/", 8) :], {"Content-Length": "0"})[2]
    for element in (
        b"<PolicyType>SessionPolicy</PolicyType>",
        b"<AuthAction>oss:PutObject</AuthAction>",
        b"<NoPermissionType>ImplicitDeny</NoPermissionType>",
    ):
        assert element in answer


def test_copies_from_another_bucket(oss: Oss, bucket: oss2.Bucket) -> None:
    oss.storage.create_bucket("other-bucket")
    other = oss.oss2(oss.session(), bucket="other-bucket")
    other.put_object("a?b/ü+", b"bytes", {"Content-Type": "text/css", "x-oss-meta-a": "1"})
    copied = bucket.copy_object("other-bucket", "a?b/ü+", "copy")
    assert copied.etag == hashlib.md5(b"bytes").hexdigest().upper()  # noqa: S324
    head = bucket.head_object("copy")
    assert (head.content_type, head.headers["x-oss-meta-a"]) == ("text/css", "1")
    replace = {"x-oss-metadata-directive": "REPLACE", "Content-Type": "text/html"}
    bucket.copy_object("other-bucket", "a?b/ü+", "copy", headers=replace)
    head = bucket.head_object("copy")
    assert head.content_type == "text/html"
    assert "x-oss-meta-a" not in head.headers


def test_appends_at_the_end_only(bucket: oss2.Bucket) -> None:
    first = bucket.append_object("log", 0, b"123")
    second = bucket.append_object("log", first.next_position, b"456789", init_crc=first.crc)
    # This is the CRC of the whole object, not of the appended bytes.
    assert second.crc == 11051210869376104954
    assert bucket.get_object("log").read() == b"123456789"
    assert bucket.get_object("log", byte_range=(2, 4)).read() == b"345"
    assert bucket.head_object("log").object_type == "Appendable"
    with pytest.raises(oss2.exceptions.PositionNotEqualToLength) as error:
        bucket.append_object("log", 3, b"x")
    assert error.value.next_position == 9
    bucket.put_object("normal", b"")
    with pytest.raises(oss2.exceptions.ObjectNotAppendable):
        bucket.append_object("normal", 0, b"x")


def test_an_append_changes_the_acl_and_nothing_else_of_an_object(bucket: oss2.Bucket) -> None:
    """Source: TestAppendObject in oss/bucket_test.go of aliyun-oss-go-sdk 3.0.2."""
    first = {"x-oss-object-acl": "public-read-write", "x-oss-meta-my": "one"}
    second = {"x-oss-object-acl": "public-read", "x-oss-meta-my": "two", "x-oss-meta-mine": "x"}
    bucket.append_object("log", 0, b"1", first)
    bucket.append_object("log", 1, b"2", second)
    assert bucket.get_object_acl("log").acl == "public-read"
    bucket.append_object("log", 2, b"3")
    assert bucket.get_object_acl("log").acl == "public-read"
    headers = bucket.head_object("log").headers
    assert (headers["x-oss-meta-my"], "x-oss-meta-mine" in headers) == ("one", False)


def test_an_acl_opens_an_object_to_everybody(oss: Oss, bucket: oss2.Bucket) -> None:
    bucket.put_object("a", b"x")
    assert bucket.get_object_acl("a").acl == "default"
    assert oss.raw("GET", f"/{BUCKET}/a")[0] == 403
    bucket.put_object_acl("a", oss2.OBJECT_ACL_PUBLIC_READ)
    assert bucket.get_object_acl("a").acl == "public-read"
    assert oss.raw("GET", f"/{BUCKET}/a")[2] == b"x"
    assert oss.raw("PUT", f"/{BUCKET}/a", body=b"y")[0] == 403
    assert oss.raw("DELETE", f"/{BUCKET}/a")[0] == 403


def test_an_acl_that_comes_with_an_upload_needs_a_right_of_its_own(oss: Oss) -> None:
    put_only = policy({"Action": "oss:PutObject", "Resource": "acs:oss:*:*:*"})
    bucket = oss.oss2(oss.session(put_only))
    bucket.put_object("a", b"x")
    with pytest.raises(oss2.exceptions.AccessDenied):
        bucket.put_object("a", b"x", {"x-oss-object-acl": "public-read"})


@pytest.mark.parametrize(
    "path",
    [
        "?tagging",
        "?versionId=1",
        "?restore",
        "?x-oss-process=video/info",
        "?x-oss-process=style/small",
        "?objectInfo",
    ],
)
def test_refuses_what_it_does_not_implement(oss: Oss, path: str) -> None:
    # An unknown request must never be handled as a plain read.
    bucket = oss.oss2()
    bucket.put_object("a", b"x")
    name, _, value = path[1:].partition("=")
    url = bucket.sign_url("GET", "a", 60, params={name: value})
    status, _, body = oss.raw("GET", url[url.index("/", 8) :])
    assert (status, b"NotImplemented" in body) == (400, True)


def test_refuses_an_upload_whose_length_is_not_told(oss: Oss) -> None:
    url = oss.oss2().sign_url("PUT", "a", 60)
    connection = http.client.HTTPConnection("127.0.0.1", oss.port, timeout=10)
    # request() would add a Content-Length.
    connection.putrequest("PUT", url[url.index("/", 8) :])
    connection.endheaders()
    with contextlib.closing(connection), connection.getresponse() as answer:
        assert (answer.status, b"MissingContentLength" in answer.read()) == (411, True)


def test_takes_a_chunked_upload(bucket: oss2.Bucket) -> None:
    def chunks() -> object:
        yield b"12345"
        yield b"6789"

    bucket.put_object("a", chunks())
    assert bucket.get_object("a").read() == b"123456789"


@pytest.mark.parametrize(("length", "status"), [("5", 200), ("4", 400), ("6", 400)])
def test_a_length_beside_chunks_must_be_theirs(oss: Oss, length: str, status: int) -> None:
    """ali-oss sends Transfer-Encoding and Content-Length for a stream (object.test.js, "should add
    object with readstream")."""
    oss.storage.set_bucket_acl(BUCKET, "public-read-write")
    headers = {"Transfer-Encoding": "chunked", "Content-Length": length}
    body = b"5\r\nhello\r\n0\r\n\r\n"
    assert oss.raw("PUT", f"/{BUCKET}/both", headers, body)[0] == status
    assert (oss.storage.find(BUCKET, "both") is not None) == (status == 200)
