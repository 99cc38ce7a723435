"""Tests the whole path of an upload: the function, STS, OSS, and the OSS SDKs that apps use.

These tests show what a token allows, and that it allows nothing more. Each refusal has OSS's code.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import alibabacloud_oss_v2 as oss_v2
import oss2
import pytest
from alibabacloud_oss_v2.exceptions import OperationError, ServiceError
from oss2.exceptions import OssError
from oss2.models import PartInfo

from running_cloud import RunningCloud, Token, running_cloud

SIGNATURES = ["v1", "v4"]
PART = 100 * 1024


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    choices = "bucket_write_policy,bucket_read_policy"
    with running_cloud(
        tmp_path_factory.mktemp("cloud"),
        # These tests also use clients that sign with V1, as for old buckets.
        SIGNATURE_V1="1",
        POLICY_FILE="bucket_read_write_policy",
        POLICY_CHOICES=choices,
    ) as cloud:
        # These objects are outside the prefix uploads/. A wrong comparison of prefixes would
        # include them.
        for key in ("uploads2/theirs", "theirs", "upload"):
            staged = cloud.cloud.storage.stage()
            staged.write(b"secret")
            staged.finish()
            cloud.cloud.storage.put(cloud.cloud.bucket, key, staged, headers={}, acl="default")
        cloud.cloud.storage.create_bucket("other-bucket")
        yield cloud


@pytest.fixture(scope="module")
def token(cloud: RunningCloud) -> Token:
    return cloud.token()


@pytest.fixture(params=SIGNATURES)
def bucket(request: pytest.FixtureRequest, token: Token) -> oss2.Bucket:
    return token.oss2(request.param)


def test_oss2_puts_gets_and_lists(bucket: oss2.Bucket, token: Token) -> None:
    key = f"{token.prefix}{bucket.auth.__class__.__name__} ü+.txt"
    assert bucket.put_object(key, b"Hello from a phone").status == 200
    assert bucket.get_object(key).read() == b"Hello from a phone"
    assert bucket.head_object(key).content_length == 18
    listed = [found.key for found in oss2.ObjectIteratorV2(bucket, prefix=token.prefix)]
    assert key in listed
    assert key in [found.key for found in oss2.ObjectIterator(bucket, prefix=token.prefix)]


def test_oss2_uploads_in_parts_and_aborts(bucket: oss2.Bucket, token: Token) -> None:
    key = f"{token.prefix}parts"
    data = os.urandom(PART + 5)
    upload_id = bucket.init_multipart_upload(key).upload_id
    parts = [
        PartInfo(number, bucket.upload_part(key, upload_id, number, chunk).etag)
        for number, chunk in ((1, data[:PART]), (2, data[PART:]))
    ]
    assert len(bucket.list_parts(key, upload_id).parts) == 2
    bucket.complete_multipart_upload(key, upload_id, parts)
    assert bucket.get_object(key).read() == data
    aborted = bucket.init_multipart_upload(key).upload_id
    bucket.upload_part(key, aborted, 1, b"x")
    bucket.abort_multipart_upload(key, aborted)
    with pytest.raises(oss2.exceptions.NoSuchUpload):
        bucket.list_parts(key, aborted)


def test_oss2_resumes_an_interrupted_upload(
    bucket: oss2.Bucket, token: Token, tmp_path: Path
) -> None:
    file = tmp_path / "video"
    file.write_bytes(os.urandom(4 * PART))
    sent: list[int] = []

    class Interrupted(Exception):
        pass

    def interrupt(consumed: int, total: int) -> None:
        sent.append(consumed)
        if consumed >= 2 * PART:
            raise Interrupted

    def upload(progress: Callable[[int, int], None]) -> None:
        oss2.resumable_upload(
            bucket,
            f"{token.prefix}video",
            str(file),
            store=oss2.ResumableStore(root=str(tmp_path)),
            multipart_threshold=1,
            part_size=PART,
            num_threads=1,
            progress_callback=progress,
        )

    with pytest.raises(Interrupted):
        upload(interrupt)
    sent.clear()
    upload(lambda consumed, total: sent.append(consumed))
    # The upload continued where it had stopped, so the first part was not sent again.
    assert min(sent) >= PART
    assert bucket.get_object(f"{token.prefix}video").read() == file.read_bytes()


def test_oss_v2_puts_gets_lists_and_aborts(token: Token) -> None:
    client, key = token.oss_v2(), f"{token.prefix}v2 ü+.txt"
    client.put_object(oss_v2.PutObjectRequest(bucket=token.bucket, key=key, body=b"Hello"))
    got = client.get_object(oss_v2.GetObjectRequest(bucket=token.bucket, key=key))
    assert got.body.content == b"Hello"
    listed = client.list_objects_v2(
        oss_v2.ListObjectsV2Request(bucket=token.bucket, prefix=token.prefix)
    )
    assert key in [found.key for found in listed.contents]
    begun = client.initiate_multipart_upload(
        oss_v2.InitiateMultipartUploadRequest(bucket=token.bucket, key=key)
    )
    client.abort_multipart_upload(
        oss_v2.AbortMultipartUploadRequest(bucket=token.bucket, key=key, upload_id=begun.upload_id)
    )


def test_oss_v2_resumes_an_interrupted_upload(token: Token, tmp_path: Path) -> None:
    file = tmp_path / "video"
    file.write_bytes(os.urandom(4 * PART))
    request = oss_v2.PutObjectRequest(bucket=token.bucket, key=f"{token.prefix}v2 video")
    uploader = token.oss_v2().uploader(
        part_size=PART, parallel_num=1, enable_checkpoint=True, checkpoint_dir=str(tmp_path)
    )
    sent: list[int] = []

    class Interrupted(Exception):
        pass

    def interrupt(number: int, written: int, total: int) -> None:
        if written >= 2 * PART:
            raise Interrupted

    with pytest.raises(Interrupted):
        uploader.upload_file(reported(request, interrupt), str(file))
    result = uploader.upload_file(
        reported(request, lambda number, written, total: sent.append(written)), str(file)
    )
    assert result.status_code == 200
    # The upload continued where it had stopped, so the first part was not sent again.
    assert len(sent) < 4
    got = token.oss_v2().get_object(
        oss_v2.GetObjectRequest(bucket=token.bucket, key=f"{token.prefix}v2 video")
    )
    assert got.body.content == file.read_bytes()


def reported(
    request: oss_v2.PutObjectRequest, progress: Callable[[int, int, int], object]
) -> oss_v2.PutObjectRequest:
    return oss_v2.PutObjectRequest(bucket=request.bucket, key=request.key, progress_fn=progress)


def copy_to(key: str) -> Callable[[oss2.Bucket], object]:
    return lambda bucket: bucket.copy_object(bucket.bucket_name, "uploads/mine", key)


def copy_from(name: str, key: str) -> Callable[[oss2.Bucket], object]:
    return lambda bucket: bucket.copy_object(name, key, "uploads/copied")


PUBLIC = {"x-oss-object-acl": "public-read"}
ATTACKS: dict[str, Callable[[oss2.Bucket], object]] = {
    "put beside the prefix": lambda b: b.put_object("uploads2/x", b"x"),
    "put at the top": lambda b: b.put_object("x", b"x"),
    "put a part of the prefix": lambda b: b.put_object("upload", b"x"),
    "put through dots": lambda b: b.put_object("a/../uploads/x", b"x"),
    "put in other letters": lambda b: b.put_object("Uploads/x", b"x"),
    "append": lambda b: b.append_object("x", 0, b"x"),
    "get": lambda b: b.get_object("uploads2/theirs"),
    "head": lambda b: b.head_object("theirs"),
    "get what is not there": lambda b: b.get_object("no such key"),
    "copy out": copy_to("uploads2/x"),
    "copy in": copy_from("sandbox-bucket", "uploads2/theirs"),
    "copy in from another bucket": copy_from("other-bucket", "uploads/x"),
    "begin an upload": lambda b: b.init_multipart_upload("x"),
    "list everything": lambda b: b.list_objects(),
    "list a part of the prefix": lambda b: b.list_objects(prefix="upload"),
    "list beside the prefix": lambda b: b.list_objects_v2(prefix="uploads2/"),
    "list by a marker": lambda b: b.list_objects(prefix="", marker="uploads/"),
    "list with a wildcard": lambda b: b.list_objects(prefix="*"),
    "list everybody's uploads": lambda b: b.list_multipart_uploads(prefix="uploads/"),
    "delete": lambda b: b.delete_object("uploads/mine"),
    "delete theirs": lambda b: b.delete_object("theirs"),
    "delete many": lambda b: b.batch_delete_objects(["uploads/mine", "theirs"]),
    "open to everybody": lambda b: b.put_object_acl("uploads/mine", "public-read"),
    "put for everybody": lambda b: b.put_object("uploads/x", b"", PUBLIC),
    "read an ACL": lambda b: b.get_object_acl("uploads/mine"),
    "describe the bucket": lambda b: b.get_bucket_info(),
    "read the bucket's ACL": lambda b: b.get_bucket_acl(),
    "open the bucket": lambda b: b.put_bucket_acl("public-read"),
    "change CORS": lambda b: b.delete_bucket_cors(),
    "delete the bucket": lambda b: b.delete_bucket(),
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_refuses_everything_else(
    bucket: oss2.Bucket, attack: Callable[[oss2.Bucket], object]
) -> None:
    bucket.put_object("uploads/mine", b"mine")
    with pytest.raises(OssError) as error:
        attack(bucket)
    # An answer to HEAD has no body, so the code is in a header.
    assert error.value.status == 403
    assert error.value.code in ("AccessDenied", "")
    if error.value.code:
        assert error.value.details["EC"] == "0003-00000301"


@pytest.mark.parametrize("signature", SIGNATURES)
def test_refuses_another_bucket(token: Token, signature: str) -> None:
    other = token.oss2(signature, "other-bucket")
    attacks: list[Callable[[], object]] = [
        lambda: other.put_object("uploads/x", b"x"),
        lambda: other.list_objects(prefix="uploads/"),
    ]
    for attack in attacks:
        with pytest.raises(oss2.exceptions.AccessDenied):
            attack()


def test_oss_v2_is_refused_outside_the_prefix(token: Token) -> None:
    client = token.oss_v2()
    attacks: list[Callable[[], object]] = [
        lambda: client.put_object(
            oss_v2.PutObjectRequest(bucket=token.bucket, key="uploads2/x", body=b"x")
        ),
        lambda: client.get_object(oss_v2.GetObjectRequest(bucket=token.bucket, key="theirs")),
        lambda: client.list_objects_v2(oss_v2.ListObjectsV2Request(bucket=token.bucket)),
    ]
    for attack in attacks:
        with pytest.raises(OperationError) as error:
            attack()
        cause = error.value.unwrap()
        assert isinstance(cause, ServiceError)
        assert (cause.status_code, cause.code, cause.ec) == (403, "AccessDenied", "0003-00000301")


@dataclass(frozen=True)
class Forgery:
    """A change to a valid token, and the error with which OSS refuses the changed token."""

    change: Callable[[Token], Token]
    code: str
    ec: str


def tampered(token: Token) -> Token:
    half = len(token.security_token) // 2
    other = "A" if token.security_token[half] != "A" else "B"
    changed = token.security_token[:half] + other + token.security_token[half + 1 :]
    return replace(token, security_token=changed)


FORGERIES = {
    "a wrong secret": Forgery(
        lambda t: replace(t, access_key_secret="wrong"), "SignatureDoesNotMatch", ""
    ),
    "no security token": Forgery(
        lambda t: replace(t, security_token=""), "InvalidAccessKeyId", "0002-00000003"
    ),
    "a tampered token": Forgery(tampered, "InvalidSecurityToken", "0002-00000006"),
    "an unknown key": Forgery(
        lambda t: replace(t, access_key_id="LTAI5tUnknown", security_token=""),
        "InvalidAccessKeyId",
        "0002-00000002",
    ),
}


@pytest.mark.parametrize("signature", SIGNATURES)
@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES)
def test_refuses_a_forged_token(token: Token, forgery: Forgery, signature: str) -> None:
    with pytest.raises(OssError) as error:
        forgery.change(token).oss2(signature).put_object(f"{token.prefix}x", b"x")
    assert (error.value.status, error.value.code) == (403, forgery.code)
    assert not forgery.ec or error.value.details["EC"] == forgery.ec


@pytest.mark.parametrize("signature", SIGNATURES)
def test_refuses_the_token_of_another_session(
    cloud: RunningCloud, token: Token, signature: str
) -> None:
    mixed = replace(token, security_token=cloud.token(object="x").security_token)
    with pytest.raises(OssError) as error:
        mixed.oss2(signature).put_object(f"{token.prefix}x", b"x")
    assert error.value.details["EC"] == "0002-00000004"


@pytest.mark.parametrize("signature", SIGNATURES)
def test_refuses_an_expired_token(cloud: RunningCloud, signature: str) -> None:
    role = cloud.cloud.identities.role(cloud.env["ROLE_ARN"])
    assert role is not None
    # This session lasts 0 seconds. The function itself would request at least 900 seconds.
    ended = cloud.cloud.identities.assume(role, "phone", None, 0)
    token = replace(
        cloud.token(),
        access_key_id=ended.access_key_id,
        access_key_secret=ended.access_key_secret,
        security_token=ended.security_token,
    )
    with pytest.raises(OssError) as error:
        token.oss2(signature).put_object(f"{token.prefix}x", b"x")
    assert (error.value.status, error.value.code) == (403, "SecurityTokenExpired")
    assert error.value.details["EC"] == "0002-00000007"


@pytest.mark.parametrize(
    ("policy", "may"),
    [
        ("bucket_write_policy", {"put"}),
        ("bucket_read_policy", {"get", "list"}),
        ("bucket_read_write_policy", {"put", "get", "list"}),
    ],
)
def test_each_policy_allows_what_its_name_says(
    cloud: RunningCloud, bucket: oss2.Bucket, policy: str, may: set[str]
) -> None:
    bucket.put_object("uploads/there", b"x")
    wished = cloud.token(policy=policy).oss2("v4")
    operations: dict[str, Callable[[], object]] = {
        "put": lambda: wished.put_object("uploads/x", b"x"),
        "get": lambda: wished.get_object("uploads/there"),
        "list": lambda: wished.list_objects_v2(prefix="uploads/"),
    }
    for name, operation in operations.items():
        if name in may:
            operation()
        else:
            with pytest.raises(oss2.exceptions.AccessDenied):
                operation()


def test_a_wish_for_one_object_opens_only_that(cloud: RunningCloud) -> None:
    narrowed = cloud.token(object="photos/1.jpg").oss2("v4")
    narrowed.put_object("uploads/photos/1.jpg", b"x")
    assert narrowed.get_object("uploads/photos/1.jpg").read() == b"x"
    for key in ("uploads/photos/1.jpg.exe", "uploads/photos/2.jpg", "uploads/photos/"):
        with pytest.raises(oss2.exceptions.AccessDenied):
            narrowed.put_object(key, b"x")
    with pytest.raises(oss2.exceptions.AccessDenied):
        narrowed.list_objects_v2(prefix="uploads/photos/")
