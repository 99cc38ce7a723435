"""Buckets, their ACLs and CORS rules, as oss2 and browsers see them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import alibabacloud_oss_v2 as v2
import oss2
import pytest
from oss2.exceptions import OssError
from oss2.models import BucketCors, CorsRule

from running_oss import BUCKET, REGION, Oss, policy, running_oss
from signature_versions import VERSIONS

PREFLIGHT = {
    "Origin": "https://app.example",
    "Access-Control-Request-Method": "PUT",
    # ali-oss asks for these headers in Chromium (seen).
    "Access-Control-Request-Headers": "authorization,content-type,x-oss-date,x-oss-security-token",
}


@pytest.fixture(params=VERSIONS)
def bucket(request: pytest.FixtureRequest, oss: Oss) -> oss2.Bucket:
    return oss.oss2(version=request.param)


def rule(origin: str = "https://app.example", methods: str = "PUT") -> CorsRule:
    return CorsRule([origin], methods.split(), ["*"], ["ETag"], 60)


def test_a_bucket_is_made_described_and_deleted(oss: Oss, bucket: oss2.Bucket) -> None:
    version = "v4" if isinstance(bucket.auth, oss2.AuthV4) else "v1"
    fresh = oss.oss2(bucket="fresh-bucket", version=version)
    fresh.create_bucket(oss2.BUCKET_ACL_PRIVATE)
    fresh.create_bucket()
    info = fresh.get_bucket_info()
    assert (info.name, info.acl.grant) == ("fresh-bucket", "private")
    assert info.location == "oss-cn-hangzhou"
    # Versioning was never configured, so it is None (oss2's test_bucket_info).
    assert info.versioning_status is None
    assert fresh.get_bucket_location().location == "oss-cn-hangzhou"
    service = oss2.Service(
        bucket.auth, oss.endpoint, region="cn-hangzhou", session=oss.oss2_session()
    )
    assert [found.name for found in service.list_buckets().buckets] == ["fresh-bucket", BUCKET]
    fresh.put_object("a", b"x")
    with pytest.raises(oss2.exceptions.BucketNotEmpty):
        fresh.delete_bucket()
    fresh.delete_object("a")
    upload = fresh.init_multipart_upload("a")
    with pytest.raises(oss2.exceptions.BucketNotEmpty):
        fresh.delete_bucket()
    fresh.abort_multipart_upload("a", upload.upload_id)
    fresh.delete_bucket()
    with pytest.raises(oss2.exceptions.NoSuchBucket):
        fresh.put_object("a", b"x")


def service(oss: Oss) -> oss2.Service:
    bucket = oss.oss2(version="v4")
    return oss2.Service(bucket.auth, oss.endpoint, region=REGION, session=oss.oss2_session())


def test_buckets_are_listed_by_prefix_and_in_pages(oss: Oss) -> None:
    """The parameters are from the vendor's documentation of ListBuckets.

    When the sandbox ignored the prefix, TearDownSuite of aliyun-oss-go-sdk deleted all buckets
    instead of only its own.
    """
    for name in ("mine-a", "mine-b", "mine-c", "other"):
        oss.storage.create_bucket(name)
    found = oss2.BucketIterator(service(oss), prefix="mine-", max_keys=2)
    assert [bucket.name for bucket in found] == ["mine-a", "mine-b", "mine-c"]
    page = service(oss).list_buckets(prefix="mine-", marker="mine-a", max_keys=1)
    assert [bucket.name for bucket in page.buckets] == ["mine-b"]
    assert (page.is_truncated, page.next_marker) == (True, "mine-b")
    # IsBucketExist of aliyun-oss-go-sdk sends this request.
    assert service(oss).list_buckets(prefix="mine-d", max_keys=1).buckets == []
    everything = service(oss).list_buckets()
    assert [bucket.name for bucket in everything.buckets] == [
        *("mine-a", "mine-b", "mine-c", BUCKET, "other")
    ]
    assert everything.is_truncated is False


def test_a_page_of_buckets_says_what_it_was_asked(oss: Oss) -> None:
    """ListAllMyBucketsResult repeats prefix, marker and limit of the request. Prefix, marker and
    limit are left out if all buckets are listed."""
    oss.storage.create_bucket("mine-a")
    asked = v2.ListBucketsRequest(prefix="m", marker="a", max_keys=1)
    page = oss.oss_v2().list_buckets(asked)
    assert (page.prefix, page.marker, page.max_keys) == ("m", "a", 1)
    assert (page.is_truncated, page.next_marker) == (True, "mine-a")


@pytest.mark.parametrize("max_keys", ["0", "1001", "-1", "many"])
def test_a_page_of_buckets_has_from_1_to_1000(oss: Oss, max_keys: str) -> None:
    with pytest.raises(oss2.exceptions.OssError) as caught:
        service(oss).list_buckets(params={"max-keys": max_keys})
    assert (caught.value.status, caught.value.code) == (400, "InvalidArgument")


def test_what_is_set_on_no_bucket_here_is_told_so(oss: Oss) -> None:
    """The SDKs read these members of GetBucketInfo (test_bucket_info of oss2 and the Go SDKs)."""
    info = oss.oss2(version="v4").get_bucket_info()
    assert info.bucket_encryption_rule.sse_algorithm is None
    assert (info.access_monitor, info.transfer_acceleration) == ("Disabled", "Disabled")
    assert info.cross_region_replication == "Disabled"
    assert info.resource_group_id.startswith("rg-")
    found = oss.oss_v2().get_bucket_info(v2.GetBucketInfoRequest(BUCKET)).bucket_info
    assert found.block_public_access is False


def test_a_bucket_acl_is_answered_with_its_place(oss: Oss) -> None:
    """Source: putBucketACL() in test/node/bucket.test.js of ali-oss."""
    result = oss.oss2(version="v4").put_bucket_acl("private")
    assert result.headers["location"] == f"/{BUCKET}"


@pytest.mark.parametrize(
    ("storage_class", "redundancy"), [("IA", None), ("Archive", None), ("Standard", "ZRS")]
)
def test_a_bucket_of_another_kind_is_not_made(
    oss: Oss, storage_class: str, redundancy: str | None
) -> None:
    """The sandbox once ignored the storage class and the redundancy, and GetBucketInfo reported
    Standard and LRS."""
    fresh = oss.oss2(bucket="fresh-bucket", version="v4")
    config = oss2.models.BucketCreateConfig(storage_class, redundancy)
    with pytest.raises(OssError) as error:
        fresh.create_bucket(input=config)
    assert (error.value.status, error.value.code) == (400, "NotImplemented")
    assert oss.storage.bucket("fresh-bucket") is None
    fresh.create_bucket(input=oss2.models.BucketCreateConfig("Standard", "LRS"))
    assert fresh.get_bucket_info().storage_class == "Standard"


@pytest.mark.parametrize(
    ("element", "code"),
    [
        ("<LocationConstraint>oss-cn-hangzhou</LocationConstraint>", ""),
        ("<LocationConstraint>oss-cn-beijing</LocationConstraint>", "NotImplemented"),
        ("<Anything/>", "NotImplemented"),
        ("<StorageClass>", "MalformedXML"),
    ],
)
def test_the_document_of_a_new_bucket_is_read_whole(oss: Oss, element: str, code: str) -> None:
    body = f"<CreateBucketConfiguration>{element}</CreateBucketConfiguration>"
    bucket = oss.oss2(bucket="fresh-bucket", version="v4")
    if not code:
        bucket._Bucket__do_bucket("PUT", data=body)
        return
    with pytest.raises(OssError) as error:
        bucket._Bucket__do_bucket("PUT", data=body)
    assert error.value.code == code
    assert oss.storage.bucket("fresh-bucket") is None


MISSING = "no-such-bucket"


@pytest.mark.parametrize(
    "operation",
    [
        lambda bucket: bucket.get_bucket_info(),
        lambda bucket: bucket.list_objects(),
        lambda bucket: bucket.put_object("a", b"x"),
        lambda bucket: bucket.get_object("a"),
    ],
)
def test_a_bucket_is_missing_before_a_key_is_unknown(oss: Oss, operation: Any) -> None:
    """Source: test_is_bucket_exist and test_is_object_exist of alibabacloud-oss-v2. They use an
    unknown key."""
    auth = oss2.AuthV4("LTAI5tNobody", "guessed")

    def stranger(name: str) -> oss2.Bucket:
        session = oss.oss2_session()
        return oss2.Bucket(auth, oss.endpoint, name, region=REGION, session=session)

    with pytest.raises(oss2.exceptions.NoSuchBucket):
        operation(stranger(MISSING))
    with pytest.raises(oss2.exceptions.OssError) as caught:
        operation(stranger(BUCKET))
    assert caught.value.code == "InvalidAccessKeyId"
    with pytest.raises(oss2.exceptions.OssError) as caught:
        stranger(MISSING).create_bucket()
    assert caught.value.code == "InvalidAccessKeyId"


def test_a_request_that_may_be_for_the_bucket_of_the_host_is_not_told_of_another(
    tmp_path: Path,
) -> None:
    # The path /uploads/a may mean the key uploads/a in the default bucket, or the key a in a bucket
    # "uploads".
    with running_oss(tmp_path, default_bucket=BUCKET) as oss:
        auth = oss2.AuthV4("LTAI5tNobody", "guessed")
        session = oss.oss2_session()
        bucket = oss2.Bucket(auth, oss.endpoint, "uploads", region=REGION, session=session)
        with pytest.raises(oss2.exceptions.OssError) as caught:
            bucket.put_object("a", b"x")
        assert caught.value.code == "InvalidAccessKeyId"


def test_a_preflight_for_a_bucket_that_is_missing_says_so(oss: Oss) -> None:
    """Source: TestBucketCors of alibabacloud-oss-go-sdk-v2."""
    status, _, body = oss.raw("OPTIONS", f"/{MISSING}/a", PREFLIGHT)
    assert (status, b"<Code>NoSuchBucket</Code>" in body) == (404, True)
    assert oss.raw("OPTIONS", "/", PREFLIGHT)[0] == 403


@pytest.mark.parametrize("name", ["ab", "Upper", "-a-b", "a" * 64, "a_b"])
def test_refuses_a_name_that_no_bucket_can_have(oss: Oss, name: str) -> None:
    with pytest.raises((OssError, oss2.exceptions.ClientError)):
        oss.oss2(bucket=name).create_bucket()
    assert oss.storage.bucket(name) is None


def test_a_bucket_acl_opens_what_has_no_acl_of_its_own(oss: Oss, bucket: oss2.Bucket) -> None:
    bucket.put_object("a", b"x")
    bucket.put_object("closed", b"x", {"x-oss-object-acl": "private"})
    assert oss.raw("GET", f"/{BUCKET}/a")[0] == 403
    bucket.put_bucket_acl(oss2.BUCKET_ACL_PUBLIC_READ)
    assert bucket.get_bucket_acl().acl == "public-read"
    assert oss.raw("GET", f"/{BUCKET}/a")[2] == b"x"
    assert oss.raw("GET", f"/{BUCKET}/closed")[0] == 403
    assert oss.raw("GET", f"/{BUCKET}/")[0] == 403
    with pytest.raises(OssError) as error:
        bucket.put_bucket_acl("everybody")
    assert (error.value.status, error.value.code) == (400, "InvalidArgument")


@pytest.mark.parametrize(
    "action",
    ["GetBucketInfo", "GetBucketLocation", "GetBucketAcl", "ListMultipartUploads", "PutBucketAcl"],
)
def test_each_operation_needs_its_own_action(oss: Oss, action: str) -> None:
    operations = {
        "GetBucketInfo": oss2.Bucket.get_bucket_info,
        "GetBucketLocation": oss2.Bucket.get_bucket_location,
        "GetBucketAcl": oss2.Bucket.get_bucket_acl,
        "ListMultipartUploads": oss2.Bucket.list_multipart_uploads,
        "PutBucketAcl": lambda bucket: bucket.put_bucket_acl("private"),
    }
    one = policy({"Action": f"oss:{action}", "Resource": f"acs:oss:*:*:{BUCKET}"})
    bucket = oss.oss2(oss.session(one))
    for name, operation in operations.items():
        if name == action:
            operation(bucket)
        else:
            with pytest.raises(oss2.exceptions.AccessDenied):
                operation(bucket)


def test_cors_rules_are_kept(bucket: oss2.Bucket) -> None:
    with pytest.raises(oss2.exceptions.NoSuchCors):
        bucket.get_bucket_cors()
    bucket.put_bucket_cors(BucketCors([rule(), rule("https://*.example", "GET HEAD")]))
    first, second = bucket.get_bucket_cors().rules
    assert (first.allowed_origins, first.expose_headers) == (["https://app.example"], ["ETag"])
    assert (second.allowed_methods, second.max_age_seconds) == (["GET", "HEAD"], 60)
    bucket.delete_bucket_cors()
    with pytest.raises(oss2.exceptions.NoSuchCors):
        bucket.get_bucket_cors()


def test_cors_rules_come_back_as_oss_keeps_them(oss: Oss) -> None:
    """ResponseVary is kept, and names of headers are in lower case (TestSetBucketCORS of
    aliyun-oss-go-sdk, test_set_bucket_cors of oss2)."""
    bucket = oss.oss2(version="v4")
    made = CorsRule(["*"], ["GET"], ["X-Oss-Meta-A", "*"], ["ETag"], 60)
    origin = {"Origin": "https://app.example"}
    for vary in (True, False):
        bucket.put_bucket_cors(BucketCors([made], vary))
        found = bucket.get_bucket_cors()
        assert found.response_vary is vary
        assert found.rules[0].allowed_headers == ["x-oss-meta-a", "*"]
        _, headers, _ = oss.raw("GET", f"/{BUCKET}/a", origin)
        assert headers["access-control-allow-origin"] == "*"
        assert ("vary" in headers) is vary


def test_rules_that_were_kept_before_response_vary_are_read(oss: Oss) -> None:
    oss.storage.set_cors(BUCKET, '[{"origins": ["*"], "methods": ["PUT"], "headers": ["*"]}]')
    assert oss.raw("OPTIONS", f"/{BUCKET}/a", PREFLIGHT)[0] == 200
    assert oss.oss2(version="v4").get_bucket_cors().response_vary is False


@pytest.mark.parametrize("age", ["-1", "soon", "1e3", ""])
def test_a_max_age_that_is_no_number_is_named(oss: Oss, age: str) -> None:
    """oss2's own test test_set_bucket_cors sends -1. It expects InvalidArgument with the name of
    the argument."""
    bucket = oss.oss2(version="v4")
    with pytest.raises(OssError) as error:
        bucket.put_bucket_cors(BucketCors([CorsRule(["*"], ["GET"], ["*"], [], age)]))
    assert (error.value.status, error.value.code) == (400, "InvalidArgument")
    assert error.value.details["ArgumentName"] == "MaxAgeSeconds"
    with pytest.raises(oss2.exceptions.NoSuchCors):
        bucket.get_bucket_cors()


def test_a_response_vary_that_is_neither_is_refused(oss: Oss) -> None:
    with pytest.raises(OssError) as error:
        oss.oss2(version="v4").put_bucket_cors(BucketCors([rule()], "perhaps"))
    assert (error.value.status, error.value.code) == (400, "MalformedXML")


def test_a_preflight_is_answered_by_the_rules(oss: Oss) -> None:
    oss.oss2().put_bucket_cors(BucketCors([rule()]))
    status, headers, _ = oss.raw("OPTIONS", f"/{BUCKET}/uploads/a", PREFLIGHT)
    assert status == 200
    assert headers["access-control-allow-origin"] == "https://app.example"
    assert headers["access-control-allow-headers"] == PREFLIGHT["Access-Control-Request-Headers"]
    assert headers["access-control-allow-methods"] == "PUT"
    assert headers["access-control-max-age"] == "60"
    assert headers["vary"] == "Origin"


def test_an_apps_web_view_is_an_origin_like_any_other(oss: Oss) -> None:
    """Finding F3. It is not verified on the real OSS that a rule may name an origin with an app's
    scheme (assumption 88)."""
    origin = "capacitor://localhost"
    oss.oss2().put_bucket_cors(BucketCors([rule(), rule(origin)]))
    _, headers, _ = oss.raw("OPTIONS", f"/{BUCKET}/uploads/a", {**PREFLIGHT, "Origin": origin})
    assert headers["access-control-allow-origin"] == origin
    for other in ("capacitor://localhost.evil", "capacitor://localhost:80", "ionic://localhost"):
        asked = {**PREFLIGHT, "Origin": other}
        assert oss.raw("OPTIONS", f"/{BUCKET}/uploads/a", asked)[0] == 403


def test_a_compressed_answer_differs_by_its_origin_too(oss: Oss) -> None:
    """Without both names in Vary, a browser's cache could give one page's answer, or a compressed
    answer, to another page."""
    bucket = oss.oss2(version="v4")
    bucket.put_bucket_cors(BucketCors([rule(methods="GET")]))
    public = {"Content-Type": "text/plain", "x-oss-object-acl": "public-read"}
    bucket.put_object("a", b"x" * 1024, public)
    page = {"Origin": "https://app.example", "Accept-Encoding": "gzip"}
    _, headers, _ = oss.raw("GET", f"/{BUCKET}/a", page)
    assert headers["vary"] == "Accept-Encoding, Origin"


@pytest.mark.parametrize(
    "change",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "https://app.example.evil.example"},
        {"Access-Control-Request-Method": "DELETE"},
    ],
)
def test_refuses_a_preflight_that_no_rule_allows(oss: Oss, change: dict[str, str]) -> None:
    oss.oss2().put_bucket_cors(BucketCors([rule()]))
    status, headers, body = oss.raw("OPTIONS", f"/{BUCKET}/a", {**PREFLIGHT, **change})
    assert (status, b"AccessForbidden" in body) == (403, True)
    assert b"CORSResponse: This CORS request is not allowed." in body
    assert "access-control-allow-origin" not in headers


def test_a_bucket_without_rules_refuses_every_preflight(oss: Oss) -> None:
    assert oss.raw("OPTIONS", f"/{BUCKET}/a", PREFLIGHT)[0] == 403


def test_a_page_may_read_an_error_too(oss: Oss) -> None:
    oss.oss2().put_bucket_cors(BucketCors([rule()]))
    origin = {"Origin": "https://app.example", "Content-Length": "0"}
    status, headers, _ = oss.raw("PUT", f"/{BUCKET}/a", origin)
    assert status == 403
    assert headers["access-control-allow-origin"] == "https://app.example"
    assert headers["access-control-expose-headers"] == "ETag"
    other = {**origin, "Origin": "https://evil.example"}
    assert "access-control-allow-origin" not in oss.raw("PUT", f"/{BUCKET}/a", other)[1]
