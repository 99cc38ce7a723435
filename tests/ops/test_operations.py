"""Tests that `make explain` is right about each operation: a real SDK calls the operation with the
same token, and the sandbox's OSS allows or refuses it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import oss2
import pytest
from oss2.exceptions import OssError
from oss2.models import PartInfo

from ops.explain import places, rows
from ops.operations import Place, operations
from ops.policies_described import offered
from running_cloud import RunningCloud, running_cloud
from sandbox.ram import Policy
from token_service.grant import grants
from token_service.grant.policies import Policies
from token_service.login.callers import ANONYMOUS
from token_service.settings.reading import read_settings

POLICIES = (*offered(), "vendors.txt")
VENDORS = """{"Version": "1", "Statement": [
  {"Effect": "Allow", "Action": ["oss:PutObject", "oss:GetObject", "oss:DeleteObject"],
   "Resource": ["acs:oss:*:*:$BUCKET_NAME/$OBJECT_PREFIX*"]},
  {"Effect": "Allow", "Action": "oss:ListObjects", "Resource": "acs:oss:*:*:$BUCKET_NAME",
   "Condition": {"StringLike": {"oss:Prefix": "$OBJECT_PREFIX*"}}}]}"""
# The SDK sends the same request for both operations of a pair.
SAME_AS = {"image processing": "get, signed GET URL"}
PUBLIC = {"x-oss-object-acl": "public-read"}

Ask = Callable[[oss2.Bucket, Place, Place], object]


def upload(bucket: oss2.Bucket, key: str) -> None:
    upload_id = bucket.init_multipart_upload(key).upload_id
    part = bucket.upload_part(key, upload_id, 1, b"bytes")
    bucket.complete_multipart_upload(key, upload_id, [PartInfo(1, part.etag)])


# The call of the SDK for each operation.
ASKS: dict[str, Ask] = {
    "put, form upload": lambda b, p, _: b.put_object(p.key, b"bytes"),
    "append": lambda b, p, _: b.append_object(p.key, 0, b"bytes"),
    "multipart upload": lambda b, p, _: upload(b, p.key),
    "resume (ListParts)": lambda b, p, _: b.list_parts(p.key, "0" * 32),
    "abort": lambda b, p, _: b.abort_multipart_upload(p.key, "0" * 32),
    "get, signed GET URL": lambda b, p, _: b.get_object_with_url(b.sign_url("GET", p.key, 60)),
    "head, does it exist": lambda b, p, _: b.object_exists(p.key),
    "copy within": lambda b, p, _: b.copy_object(p.bucket, p.key, p.key),
    "copy from there": lambda b, p, own: at(b, own).copy_object(p.bucket, p.key, own.key),
    "copy to there": lambda b, p, own: b.copy_object(own.bucket, own.key, p.key),
    "list the folder": lambda b, p, _: b.list_objects_v2(prefix=p.folder, delimiter="/"),
    "list without prefix": lambda b, p, _: b.list_objects(),
    "list all uploads": lambda b, p, _: b.list_multipart_uploads(),
    "delete": lambda b, p, _: b.delete_object(p.key),
    "delete several": lambda b, p, _: b.batch_delete_objects([p.key]),
    "put with an ACL": lambda b, p, _: b.put_object(p.key, io.BytesIO(b"bytes"), headers=PUBLIC),
    "change the ACL": lambda b, p, _: b.put_object_acl(p.key, "public-read"),
    "read the ACL": lambda b, p, _: b.get_object_acl(p.key),
    "bucket's information": lambda b, p, _: b.get_bucket_info(),
    "change bucket's ACL": lambda b, p, _: b.put_bucket_acl("public-read"),
    "delete the bucket": lambda b, p, _: b.delete_bucket(),
    "list the buckets": lambda b, p, _: oss2.Service(
        b.auth, b.endpoint, region=b.region
    ).list_buckets(),
}


def at(bucket: oss2.Bucket, place: Place) -> oss2.Bucket:
    return oss2.Bucket(bucket.auth, bucket.endpoint, place.bucket, region=bucket.region)


def is_allowed(ask: Ask, bucket: oss2.Bucket, place: Place, own: Place) -> bool:
    try:
        ask(at(bucket, place), place, own)
    except OssError as error:
        # These errors show that the policy allowed the call. The call failed for another reason:
        # the object or the upload does not exist, or the object is not appendable.
        if error.code in ("NoSuchKey", "NoSuchUpload", "ObjectNotAppendable"):
            return True
        if error.code == "AccessDenied":
            return False
        raise
    return True


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    folder = tmp_path_factory.mktemp("cloud")
    vendors = folder / POLICIES[-1]
    vendors.write_text(VENDORS)
    choices = ",".join([*POLICIES[:-1], str(vendors)])
    with running_cloud(folder, POLICY_CHOICES=choices) as cloud:
        cloud.cloud.storage.create_bucket("other-bucket")
        yield cloud


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("wished", [pytest.param(None, marks=pytest.mark.slow), "photo.jpg"])
def test_what_is_explained_is_what_a_real_sdk_gets(
    cloud: RunningCloud, name: str, wished: str | None
) -> None:
    settings = read_settings(cloud.env)
    (name,) = (choice for choice in settings.policy_choices if choice.endswith(name))
    wishes = {"policy": name, **({} if wished is None else {"object": wished})}
    grant = grants.decide(ANONYMOUS, wishes, settings)
    policy = Policy.parse(Policies([name]).render(grant))
    where = places(grant, "uploads2/")
    own = next(iter(where.values()))
    bucket = cloud.token(**wishes).oss2("v4")
    explained = {
        (row.operation, place): allowed
        for row in rows(policy, where, settings.role_arn.split(":")[3])
        for place, allowed in row.allowed.items()
        if row.operation in ASKS and allowed is not None
    }
    assert explained == {
        (operation, place): is_allowed(ASKS[operation], bucket, where[place], own)
        for operation, place in explained
    }


def test_every_operation_is_asked_for() -> None:
    assert ASKS.keys() | SAME_AS.keys() == {operation.name for operation in operations()}


def test_an_operation_that_is_another_ones_request_needs_the_same() -> None:
    place = Place.in_folder("bucket", "folder/")
    needs = {operation.name: operation.needs(place, place) for operation in operations()}
    for name, same in SAME_AS.items():
        assert needs[name] == needs[same]


@pytest.mark.parametrize(
    ("name", "actions"),
    [
        ("put, form upload", ["oss:PutObject"]),
        ("multipart upload", ["oss:PutObject"] * 3),
        ("resume (ListParts)", ["oss:ListParts"]),
        ("abort", ["oss:AbortMultipartUpload"]),
        ("head, does it exist", ["oss:GetObject"]),
        ("copy within", ["oss:GetObject", "oss:PutObject"]),
        ("list the folder", ["oss:ListObjects"]),
        ("put with an ACL", ["oss:PutObject", "oss:PutObjectAcl"]),
    ],
)
def test_the_actions_are_those_of_the_vendors_documentation(name: str, actions: list[str]) -> None:
    place = Place.in_folder("bucket", "folder/")
    (found,) = (operation for operation in operations() if operation.name == name)
    assert [need.action for need in found.needs(place, place)] == actions
