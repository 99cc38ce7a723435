"""Buckets, their ACLs and CORS rules, as oss2 and browsers see them."""

from __future__ import annotations

import oss2
import pytest
from oss2.exceptions import OssError
from oss2.models import BucketCors, CorsRule

from running_oss import BUCKET, Oss, policy
from signature_versions import VERSIONS

PREFLIGHT = {
    "Origin": "https://app.example",
    "Access-Control-Request-Method": "PUT",
    # What ali-oss asks for in Chromium (seen).
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


def test_a_preflight_is_answered_by_the_rules(oss: Oss) -> None:
    oss.oss2().put_bucket_cors(BucketCors([rule()]))
    status, headers, _ = oss.raw("OPTIONS", f"/{BUCKET}/uploads/a", PREFLIGHT)
    assert status == 200
    assert headers["access-control-allow-origin"] == "https://app.example"
    assert headers["access-control-allow-headers"] == PREFLIGHT["Access-Control-Request-Headers"]
    assert "PUT" in headers["access-control-allow-methods"]
    assert headers["access-control-max-age"] == "60"
    assert headers["vary"] == "Origin"


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
