"""Parameters, headers and values that the sandbox does not implement are refused, never ignored.

An earlier version of the sandbox ignored them, so each of these requests had a wrong result: a
listing, an object's bytes, an upload without a requested property, or an upload that overwrote a
protected object.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import alibabacloud_oss_v2 as v2
import oss2
import pytest
from alibabacloud_oss_v2.exceptions import OperationError, ServiceError

from post_forms import BOUNDARY, v4_form
from running_oss import BUCKET, REGION, Oss
from sandbox.oss.xml import parse
from signature_versions import with_v1

NOT_IMPLEMENTED = (400, "NotImplemented")


def send(
    oss: Oss,
    method: str,
    path: str,
    params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> tuple[int, str, str]:
    """Send a V4 request with the account's own key. Returns status, code and EC."""
    credentials = oss2.credentials.StaticCredentialsProvider(
        oss.root.access_key_id, oss.root.access_key_secret
    )
    request = oss2.http.Request(
        method, path, params=dict(params or {}), headers=dict(headers or {}), region=REGION
    )
    request.product = "oss"
    bucket, _, key = path.removeprefix("/").partition("/")
    oss2.ProviderAuthV4(credentials)._sign_request(request, bucket, key)
    query = "&".join(f"{name}={value}" if value else name for name, value in request.params.items())
    sent = {name: value for name, value in request.headers.items() if value is not None}
    status, _, answer = oss.raw(method, f"{path}?{query}" if query else path, sent, body)
    error = parse(answer, "Error") if answer.startswith(b"<?xml") and status > 299 else None
    found = ("", "") if error is None else (error.findtext("Code", ""), error.findtext("EC", ""))
    return (status, *found)


@pytest.fixture
def bucket(oss: Oss) -> oss2.Bucket:
    made = oss.oss2(version="v4")
    made.put_object("a", b"old")
    return made


def cause(operation: Any, request: object) -> tuple[int, str]:
    with pytest.raises(OperationError) as caught:
        operation(request)
    error = caught.value.unwrap()
    assert isinstance(error, ServiceError), error
    return error.status_code, error.code


def test_what_the_sdk_asks_of_a_feature_that_is_missing_is_refused(
    oss: Oss, bucket: oss2.Bucket
) -> None:
    """alibabacloud-oss-v2 sends these requests for DescribeRegions, GetBucketAccessMonitor and
    others.

    The sandbox once answered with a listing, which the SDK could not parse.
    """
    name, sdk_v2 = bucket.bucket_name, oss.oss_v2()
    requests = [
        (sdk_v2.describe_regions, v2.DescribeRegionsRequest()),
        (sdk_v2.get_bucket_access_monitor, v2.GetBucketAccessMonitorRequest(name)),
        (sdk_v2.get_bucket_archive_direct_read, v2.GetBucketArchiveDirectReadRequest(name)),
        (sdk_v2.list_buckets, v2.ListBucketsRequest(tag_key="a", tag_value="b")),
    ]
    for operation, request in requests:
        assert cause(operation, request) == NOT_IMPLEMENTED, operation


@pytest.mark.parametrize(
    ("method", "path", "params"),
    [
        ("GET", "/", {"regions": ""}),
        ("GET", "/", {"tag-key": "a"}),
        ("GET", f"/{BUCKET}/", {"accessmonitor": ""}),
        ("GET", f"/{BUCKET}/", {"archiveDirectRead": ""}),
        ("GET", f"/{BUCKET}/", {"callback-policy": ""}),
        ("GET", f"/{BUCKET}/", {"policy-id": "1"}),
        ("GET", f"/{BUCKET}/", {"list-type": "3"}),
        ("GET", f"/{BUCKET}/", {"list-type": ""}),
        ("GET", f"/{BUCKET}/", {"cloudboxes": ""}),
        ("GET", f"/{BUCKET}/", {"cors": "", "prefix": "a"}),
        ("PUT", f"/{BUCKET}/", {"accessmonitor": ""}),
        ("PUT", f"/{BUCKET}/", {"userDefinedLogFieldsConfig": ""}),
        ("POST", f"/{BUCKET}/", {"processConfiguration": ""}),
        ("DELETE", f"/{BUCKET}/", {"userDefinedLogFieldsConfig": ""}),
        ("GET", f"/{BUCKET}/a", {"retention": ""}),
        ("GET", f"/{BUCKET}/a", {"legalHold": ""}),
        ("PUT", f"/{BUCKET}/a", {"retention": ""}),
        ("PUT", f"/{BUCKET}/a", {"overwriteConfig": ""}),
        ("DELETE", f"/{BUCKET}/a", {"legalHold": ""}),
        ("GET", f"/{BUCKET}/a", {"x-oss-traffic-limit": "819200"}),
        ("PUT", f"/{BUCKET}/a", {"x-oss-nobody-knows": "1"}),
        ("PUT", f"/{BUCKET}/a", {"X-OSS-Nobody-Knows": "1"}),
        ("GET", f"/{BUCKET}/a", {"X-Oss-Traffic-Limit": "819200"}),
        ("POST", f"/{BUCKET}/a", {"uploads": "", "sequential": ""}),
        ("POST", f"/{BUCKET}/a", {"seal": "", "position": "3"}),
    ],
)
def test_a_parameter_that_nobody_thought_of_is_never_passed_over(
    oss: Oss, bucket: oss2.Bucket, method: str, path: str, params: dict[str, str]
) -> None:
    assert send(oss, method, path, params)[:2] == NOT_IMPLEMENTED
    assert bucket.get_object("a").read() == b"old"


@pytest.mark.parametrize("query", ["t=1700000000", "1700000000", "_=1", "v=1.2&utm_source=mail"])
def test_what_only_keeps_caches_away_from_an_object_is_passed_over(
    oss: Oss, bucket: oss2.Bucket, query: str
) -> None:
    bucket.put_object("open", b"x", {"x-oss-object-acl": "public-read"})
    status, _, body = oss.raw("GET", f"/{BUCKET}/open?{query}")
    assert (status, body) == (200, b"x")


@with_v1
def test_v1_signs_what_ossutil_asks_and_is_told_that_it_is_missing(oss: Oss) -> None:
    """`ossutil lcb` sends ?cloudboxes, which aliyun-oss-go-sdk's conn.go signs in V1."""
    auth = oss2.ProviderAuth(
        oss2.credentials.StaticCredentialsProvider(
            oss.root.access_key_id, oss.root.access_key_secret
        )
    )
    request = oss2.http.Request("GET", "/", params={"cloudboxes": ""})
    known = auth._subresource_key_set
    auth._subresource_key_set = known | {"cloudboxes"}
    auth._sign_request(request, "", "")
    sent = {name: value for name, value in request.headers.items() if value is not None}
    status, _, body = oss.raw("GET", "/?cloudboxes", sent)
    assert b"SignatureDoesNotMatch" not in body
    assert status == 400


# Headers


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-oss-storage-class", "IA"),
        ("x-oss-storage-class", "Nonsense"),
        ("x-oss-storage-class", ""),
        ("x-oss-server-side-encryption", "AES256"),
        ("x-oss-server-side-encryption", "KMS"),
        ("x-oss-server-side-data-encryption", "SM4"),
        ("x-oss-server-side-encryption-key-id", "9468da86"),
        ("x-oss-object-worm-mode", "COMPLIANCE"),
        ("x-oss-object-worm-legal-hold", "ON"),
        ("x-oss-traffic-limit", "819200"),
        ("x-oss-tagging", "a=b"),
        ("x-oss-request-payer", "requester"),
        ("x-oss-nobody-knows", "1"),
        ("x-oss-copy-source-range", "bytes=0-1"),
        ("x-oss-acl", "public-read"),
    ],
)
@pytest.mark.parametrize(
    ("method", "params"),
    [("PUT", {}), ("POST", {"append": "", "position": "0"}), ("PUT", {"symlink": ""})],
    ids=["PutObject", "AppendObject", "PutSymlink"],
)
def test_a_header_without_effect_is_refused_and_nothing_is_written(
    oss: Oss, method: str, params: dict[str, str], name: str, value: str
) -> None:
    headers = {name: value, "x-oss-symlink-target": "a"} if "symlink" in params else {name: value}
    assert send(oss, method, f"/{BUCKET}/new", params, headers, b"x")[:2] == NOT_IMPLEMENTED
    assert oss.storage.find(BUCKET, "new") is None


def test_no_multipart_upload_begins_with_what_its_object_would_lack(bucket: oss2.Bucket) -> None:
    """test_multipart.py of ali-oss and test_object.py of oss2 begin uploads with these headers."""
    for headers in ({"x-oss-storage-class": "IA"}, {"x-oss-server-side-encryption": "KMS"}):
        with pytest.raises(oss2.exceptions.OssError) as caught:
            bucket.init_multipart_upload("new", headers)
        assert (caught.value.status, caught.value.code) == NOT_IMPLEMENTED
    assert bucket.list_multipart_uploads().upload_list == []


def test_what_is_standard_is_taken(bucket: oss2.Bucket) -> None:
    bucket.put_object("a", b"new", {"x-oss-storage-class": "Standard"})
    assert bucket.head_object("a").headers["x-oss-storage-class"] == "Standard"


def test_an_uploads_headers_may_come_again_as_it_completes(bucket: oss2.Bucket) -> None:
    """ali-oss 6.23.0 sends the headers of an upload with every step (lib/common/multipart.js)."""
    headers = {
        "x-oss-meta-a": "1",
        "x-oss-storage-class": "Standard",
        "x-oss-object-acl": "private",
    }
    upload = bucket.init_multipart_upload("b", headers).upload_id
    part = bucket.upload_part("b", upload, 1, b"x", headers=headers)
    parts = [oss2.models.PartInfo(1, part.etag)]
    bucket.complete_multipart_upload("b", upload, parts, headers=headers)
    assert bucket.head_object("b").headers["x-oss-meta-a"] == "1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("if-none-match", "*"),
        ("if-match", '"0123456789ABCDEF0123456789ABCDEF"'),
        ("if-modified-since", "Fri, 13 Nov 2015 14:47:53 GMT"),
        ("if-unmodified-since", "Fri, 13 Nov 2015 14:47:53 GMT"),
    ],
)
def test_a_condition_on_what_is_written_is_refused_and_the_old_stays(
    oss: Oss, bucket: oss2.Bucket, name: str, value: str
) -> None:
    """Sources: EC 0017-00000245 in the vendor's error pages, TestPutObjectNegative of
    aliyun-oss-go-sdk.

    For PutObject the refusal is documented. It is not verified on the real OSS that other writes
    are refused as well.
    """
    refused = (*NOT_IMPLEMENTED, "0017-00000245")
    headers = {name: value}
    path = f"/{BUCKET}/a"
    assert send(oss, "PUT", path, {}, headers, b"new") == refused
    copy = {**headers, "x-oss-copy-source": f"/{BUCKET}/a"}
    assert send(oss, "PUT", path, {}, copy) == refused
    assert send(oss, "POST", path, {"uploads": ""}, headers) == refused
    assert send(oss, "DELETE", path, {}, headers) == refused
    assert bucket.get_object("a").read() == b"old"


@pytest.mark.parametrize("value", ["yes", "1", ""])
def test_forbid_overwrite_is_true_or_false(oss: Oss, bucket: oss2.Bucket, value: str) -> None:
    """An earlier version took any other value as "false", and overwrote the old object. The EC is
    not known."""
    headers = {"x-oss-forbid-overwrite": value}
    refused = send(oss, "PUT", f"/{BUCKET}/a", {}, headers, b"new")
    assert refused == (400, "InvalidArgument", "")
    assert bucket.get_object("a").read() == b"old"


@pytest.mark.parametrize("name", ["x-oss-storage-class", "x-oss-server-side-encryption"])
def test_a_form_is_held_to_the_same_names(oss: Oss, name: str) -> None:
    asked = {"key": "new", name: "IA"}
    conditions = [{"bucket": BUCKET}, *({field: value} for field, value in asked.items())]
    fields = v4_form(oss.root, conditions, asked)
    parts = [f'name="{field}"\r\n\r\n{value}' for field, value in fields.items()]
    parts.append('name="file"; filename="f"\r\n\r\nx')
    lines = [f"--{BOUNDARY}\r\nContent-Disposition: form-data; {part}\r\n" for part in parts]
    body = "".join(lines).encode() + f"--{BOUNDARY}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    status, _, answer = oss.raw("POST", f"/{BUCKET}/", kind, body)
    assert (status, parse(answer, "Error").findtext("Code")) == NOT_IMPLEMENTED
    assert oss.storage.find(BUCKET, "new") is None


def test_the_refusal_of_a_save_as_names_it(bucket: oss2.Bucket) -> None:
    """oss2's process_object sends its instructions in the body. An earlier version of the sandbox
    refused this, but its message did not say what it refused."""
    with pytest.raises(oss2.exceptions.OssError) as caught:
        bucket.process_object("a", "image/resize,w_1|sys/saveas,o_YQ,b_YQ")
    assert (caught.value.status, caught.value.code) == NOT_IMPLEMENTED
    assert "POST with x-oss-process, which saves the result" in caught.value.message


@pytest.mark.parametrize("value", ["true", "false"])
def test_an_append_does_not_pass_over_forbid_overwrite(
    oss: Oss, bucket: oss2.Bucket, value: str
) -> None:
    """The header x-oss-forbid-overwrite is documented only for uploads other than AppendObject."""
    header, params = {"x-oss-forbid-overwrite": value}, {"append": "", "position": "0"}
    assert send(oss, "POST", f"/{BUCKET}/new", params, header, b"x")[:2] == NOT_IMPLEMENTED
    assert oss.storage.find(BUCKET, "new") is None


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"x-oss-process": "csv/select"}, "SelectObject (csv)"),
        ({"x-oss-process": "json/select"}, "SelectObject (json)"),
        ({"x-oss-process": "image/x"}, "POST with x-oss-process, which saves the result"),
        ({}, "POST on an object"),
        ({"retention": ""}, "POST of retention on an object"),
    ],
)
def test_a_post_that_is_missing_is_told_by_its_name(
    oss: Oss, bucket: oss2.Bucket, query: dict[str, str], message: str
) -> None:
    with pytest.raises(oss2.exceptions.OssError) as caught:
        bucket._do("POST", bucket.bucket_name, "a", params=query, data=b"")
    assert (caught.value.status, caught.value.code) == NOT_IMPLEMENTED
    assert caught.value.message == f"The sandbox does not implement {message}."
