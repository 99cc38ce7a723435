"""A bucket's rules against overwriting. The real SDK sets them. They bind every kind of write."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import alibabacloud_oss_v2 as v2
import oss2
import pytest
from alibabacloud_oss_v2.exceptions import OperationError, ServiceError
from alibabacloud_oss_v2.models import bucket_overwrite_config as models
from oss2.exceptions import OssError
from oss2.models import PartInfo

from post_forms import send, v4_form
from running_oss import ACCOUNT, BUCKET, Oss, policy
from sandbox.oss.overwrite import OverwriteRule, of_role, read_rules
from sandbox.oss.storage import Storage

EXISTS = (409, "FileAlreadyExists")
UPLOAD_ROLE = of_role(f"acs:ram::{ACCOUNT}:role/upload")


def rule(
    prefix: str | None = "uploads/",
    *principals: str,
    suffix: str | None = None,
    id: str | None = "own",
    action: str = "forbid",
) -> models.OverwriteRule:
    named = models.OverwritePrincipals(principals=list(principals)) if principals else None
    return models.OverwriteRule(
        action=action, prefix=prefix, suffix=suffix, principals=named, id=id
    )


def set_rules(oss: Oss, *rules: models.OverwriteRule) -> None:
    configuration = models.OverwriteConfiguration(rules=list(rules))
    oss.oss_v2().put_bucket_overwrite_config(
        v2.PutBucketOverwriteConfigRequest(BUCKET, configuration)
    )


def refusal(operation: Callable[[Any], object], request: object) -> tuple[int, str]:
    with pytest.raises(OperationError) as caught:
        operation(request)
    error = caught.value.unwrap()
    assert isinstance(error, ServiceError), error
    return error.status_code, error.code


def code(write: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(OssError) as caught:
        write()
    return caught.value.status, caught.value.code


@pytest.fixture
def bound(oss: Oss) -> Oss:
    """An OSS with an object under uploads/, and with a rule for the upload role there."""
    set_rules(oss, rule("uploads/", UPLOAD_ROLE))
    oss.oss2(oss.session()).put_object("uploads/a", b"first")
    return oss


@pytest.fixture
def token(bound: Oss) -> oss2.Bucket:
    return bound.oss2(bound.session())


def first_write_of(bound: Oss) -> bytes:
    found: bytes = bound.oss2().get_object("uploads/a").read()
    return found


# What the rules are


def test_rules_are_kept_told_and_deleted(oss: Oss) -> None:
    sdk = oss.oss_v2()
    asked = v2.GetBucketOverwriteConfigRequest(BUCKET)
    missing = (404, "NoSuchBucketOverwriteConfig")
    assert refusal(sdk.get_bucket_overwrite_config, asked) == missing
    set_rules(oss, rule("a & b/", UPLOAD_ROLE, ACCOUNT), rule(None, suffix=".txt", id=None))
    first, second = sdk.get_bucket_overwrite_config(asked).overwrite_configuration.rules
    assert (first.id, first.action, first.prefix, first.suffix) == ("own", "forbid", "a & b/", None)
    assert first.principals.principals == [UPLOAD_ROLE, ACCOUNT]
    assert (second.prefix, second.suffix, second.principals) == (None, ".txt", None)
    # A rule without an ID gets one (vendor documentation).
    assert len(second.id) == 36
    # The request replaces all rules, so a rule that is not sent again is removed.
    set_rules(oss, rule())
    (only,) = sdk.get_bucket_overwrite_config(asked).overwrite_configuration.rules
    assert only.prefix == "uploads/"
    deleted = sdk.delete_bucket_overwrite_config(v2.DeleteBucketOverwriteConfigRequest(BUCKET))
    assert deleted.status_code == 204
    assert refusal(sdk.get_bucket_overwrite_config, asked) == missing
    oss.oss2().put_object("uploads/a", b"1")
    oss.oss2().put_object("uploads/a", b"2")


@pytest.mark.parametrize(
    ("rules", "wanted"),
    [
        ([], "MalformedXML"),
        ([rule(action="allow")], "MalformedXML"),
        ([rule("p" * 1024)], "MalformedXML"),
        ([rule(suffix="s" * 1024)], "MalformedXML"),
        ([rule("a"), rule("b")], "MalformedXML"),
        ([rule(id=str(number)) for number in range(101)], "MalformedXML"),
        # The sandbox has no user or role with these names, so the rule would apply to nobody.
        ([rule("a", "27737962156157")], "NotImplemented"),
        ([rule("a", "")], "NotImplemented"),
        ([rule("a", f"acs:ram::{ACCOUNT}:role/upload")], "NotImplemented"),
        ([rule("a", "arn:sts::1:assumed-role/upload")], "NotImplemented"),
        ([rule("a", "arn:sts::1:assumed-role/up?oad/*")], "NotImplemented"),
    ],
)
def test_a_rule_that_cannot_be_kept_is_refused_and_changes_nothing(
    oss: Oss, rules: list[models.OverwriteRule], wanted: str
) -> None:
    set_rules(oss, rule("before/"))
    configuration = models.OverwriteConfiguration(rules=rules)
    request = v2.PutBucketOverwriteConfigRequest(BUCKET, configuration)
    assert refusal(oss.oss_v2().put_bucket_overwrite_config, request) == (400, wanted)
    bucket = oss.storage.bucket(BUCKET)
    assert bucket is not None
    assert [kept.prefix for kept in read_rules(bucket.overwrite)] == ["before/"]


def test_as_many_rules_as_documented_are_kept(oss: Oss) -> None:
    set_rules(oss, *(rule("p" * 1023, id=str(number)) for number in range(100)))
    bucket = oss.storage.bucket(BUCKET)
    assert bucket is not None
    assert len(read_rules(bucket.overwrite)) == 100


def test_the_rules_of_one_bucket_bind_no_other_and_go_with_it(oss: Oss) -> None:
    set_rules(oss, rule(None))
    other = oss.oss2(bucket="other-bucket")
    other.create_bucket()
    other.put_object("a", b"1")
    other.put_object("a", b"2")
    own = oss.oss2()
    own.put_object("a", b"1")
    own.delete_object("a")
    own.delete_bucket()
    own.create_bucket()
    own.put_object("a", b"1")
    own.put_object("a", b"2")


def test_a_folder_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    """A folder of an earlier sandbox has an index without the table `overwrite_rules`. Storage must
    add this table."""
    storage = Storage(tmp_path)
    storage.create_bucket(BUCKET)
    storage.close()
    with sqlite3.connect(tmp_path / "index.sqlite3") as index:
        index.execute("DROP TABLE overwrite_rules")
    index.close()
    storage = Storage(tmp_path)
    bucket = storage.bucket(BUCKET)
    assert bucket is not None
    assert read_rules(bucket.overwrite) == []
    storage.close()


def test_only_who_may_changes_the_rules(bound: Oss, token: oss2.Bucket) -> None:
    """Otherwise somebody could delete the rule first and then overwrite."""
    objects = policy({"Action": "oss:*", "Resource": f"acs:oss:*:*:{BUCKET}/*"})
    sdk = bound.oss_v2(bound.session(objects))
    denied = (403, "AccessDenied")
    for operation, request in (
        (sdk.delete_bucket_overwrite_config, v2.DeleteBucketOverwriteConfigRequest(BUCKET)),
        (sdk.get_bucket_overwrite_config, v2.GetBucketOverwriteConfigRequest(BUCKET)),
        (
            sdk.put_bucket_overwrite_config,
            v2.PutBucketOverwriteConfigRequest(
                BUCKET, models.OverwriteConfiguration(rules=[rule("elsewhere/")])
            ),
        ),
    ):
        assert refusal(operation, request) == denied
    assert code(lambda: token.put_object("uploads/a", b"second")) == EXISTS


# Every kind of write


def in_parts(bucket: oss2.Bucket) -> None:
    upload_id = bucket.init_multipart_upload("uploads/a").upload_id
    part = PartInfo(1, bucket.upload_part("uploads/a", upload_id, 1, b"second").etag)
    bucket.complete_multipart_upload("uploads/a", upload_id, [part])


def copied(bucket: oss2.Bucket) -> None:
    bucket.put_object("uploads/source", b"second")
    bucket.copy_object(BUCKET, "uploads/source", "uploads/a")


WRITES: Mapping[str, Callable[[oss2.Bucket], object]] = {
    "put": lambda bucket: bucket.put_object("uploads/a", b"second"),
    "nothing": lambda bucket: bucket.put_object("uploads/a", b""),
    "put, and asks for it": lambda bucket: bucket.put_object(
        "uploads/a", b"second", {"x-oss-forbid-overwrite": "false"}
    ),
    "copy": copied,
    "itself": lambda bucket: bucket.copy_object(
        BUCKET, "uploads/a", "uploads/a", {"x-oss-metadata-directive": "REPLACE"}
    ),
    "parts": in_parts,
    "link": lambda bucket: bucket.put_symlink("uploads/b", "uploads/a"),
    "append": lambda bucket: bucket.append_object("uploads/a", 5, b"second"),
    "signed URL": lambda bucket: put_by_url(bucket),
}


def put_by_url(bucket: oss2.Bucket) -> None:
    url = bucket.sign_url("PUT", "uploads/a", 60)
    answer = bucket.session.do_request(oss2.http.Request("PUT", url, data=b"second"), 10)
    if answer.status != 200:
        raise oss2.exceptions.make_exception(answer)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_what_exists_is_not_overwritten_by_whom_a_rule_binds(
    bound: Oss, token: oss2.Bucket, write: Callable[[oss2.Bucket], object]
) -> None:
    assert code(lambda: write(token)) == EXISTS
    assert first_write_of(bound) == b"first"


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_who_is_not_bound_overwrites(bound: Oss, write: Callable[[oss2.Bucket], object]) -> None:
    """An operator corrects an upload with the account's own key."""
    if write is WRITES["append"]:
        own = bound.oss2()
        own.delete_object("uploads/a")
        own.append_object("uploads/a", 0, b"first")
    write(bound.oss2())


def test_alibabacloud_oss_v2_is_told_the_same(bound: Oss) -> None:
    sdk = bound.oss_v2(bound.session())
    sdk.put_object(v2.PutObjectRequest(BUCKET, "uploads/new", body=b"first"))
    again = v2.PutObjectRequest(BUCKET, "uploads/new", body=b"second")
    assert refusal(sdk.put_object, again) == EXISTS


def test_a_form_is_bound_by_who_signed_it(bound: Oss) -> None:
    for credentials, wanted in ((bound.session(), 409), (bound.root, 204)):
        fields = v4_form(credentials, [{"bucket": BUCKET}], {"key": "uploads/a"})
        answer = send(bound.endpoint, fields, b"by a form")
        assert answer.status_code == wanted
        assert (b"FileAlreadyExists" in answer.content) is (wanted == 409)
    assert first_write_of(bound) == b"by a form"


def test_what_was_appended_once_is_not_appended_to(bound: Oss, token: oss2.Bucket) -> None:
    token.append_object("uploads/log", 0, b"first")
    assert code(lambda: token.append_object("uploads/log", 5, b"second")) == EXISTS
    assert bound.oss2().get_object("uploads/log").read() == b"first"


def test_parts_may_begin_where_an_object_is_and_cannot_be_completed(token: oss2.Bucket) -> None:
    """The start stores no object. Only CompleteMultipartUpload would overwrite the object."""
    upload_id = token.init_multipart_upload("uploads/b").upload_id
    part = PartInfo(1, token.upload_part("uploads/b", upload_id, 1, b"by parts").etag)
    token.put_object("uploads/b", b"in between")
    done = lambda: token.complete_multipart_upload("uploads/b", upload_id, [part])  # noqa: E731
    assert code(done) == EXISTS
    assert token.get_object("uploads/b").read() == b"in between"
    # The parts stay until the upload is aborted.
    assert [found.part_number for found in token.list_parts("uploads/b", upload_id).parts] == [1]


def test_a_link_is_replaced_by_nobody_who_is_bound(bound: Oss, token: oss2.Bucket) -> None:
    token.put_symlink("uploads/a", "uploads/link")
    assert code(lambda: token.put_object("uploads/link", b"second")) == EXISTS
    assert code(lambda: token.put_symlink("uploads/b", "uploads/link")) == EXISTS
    assert first_write_of(bound) == b"first"


def test_what_was_deleted_can_be_written_again(token: oss2.Bucket) -> None:
    """A token that may delete an object can also replace it, as docs/bucket.md says."""
    token.delete_object("uploads/a")
    token.put_object("uploads/a", b"second")


# The callers and the keys to which a rule against overwriting applies


@pytest.mark.parametrize(
    ("made", "key", "is_bound"),
    [
        (rule("uploads/"), "uploads/a", True),
        (rule("uploads/"), "uploads2/a", False),
        (rule("uploads/"), "other/uploads/a", False),
        (rule("Uploads/"), "uploads/a", False),
        (rule("uploads*"), "uploads/a", False),
        (rule(None), "anything", True),
        (rule(None, suffix=".jpg"), "b.jpg", True),
        (rule(None, suffix=".jpg"), "b.jpg.png", False),
        (rule("uploads/", suffix=".jpg"), "uploads/b.png", False),
        (rule("uploads/", suffix=".jpg"), "uploads/b.jpg", True),
        (rule("uploads/", UPLOAD_ROLE), "uploads/a", True),
        (rule("uploads/", "*"), "uploads/a", True),
        (rule("uploads/", "arn:sts::*:*/*/*"), "uploads/a", True),
        (rule("uploads/", f"arn:sts::{ACCOUNT}:assumed-role/upload/phone"), "uploads/a", True),
        (rule("uploads/", f"arn:sts::{ACCOUNT}:assumed-role/upload/tablet"), "uploads/a", False),
        (rule("uploads/", f"arn:sts::{ACCOUNT}:assumed-role/upload2/*"), "uploads/a", False),
        (rule("uploads/", "arn:sts::42:assumed-role/upload/*"), "uploads/a", False),
        (rule("uploads/", ACCOUNT), "uploads/a", False),
        (rule("uploads/", ACCOUNT, UPLOAD_ROLE), "uploads/a", True),
    ],
)
def test_a_rule_binds_where_prefix_suffix_and_principal_match(
    oss: Oss, made: models.OverwriteRule, key: str, is_bound: bool
) -> None:
    set_rules(oss, made)
    bucket = oss.oss2(oss.session())
    bucket.put_object(key, b"first")
    if is_bound:
        assert code(lambda: bucket.put_object(key, b"second")) == EXISTS
    else:
        bucket.put_object(key, b"second")


def test_any_of_several_rules_is_enough(oss: Oss) -> None:
    set_rules(oss, rule("elsewhere/", id="1"), rule("uploads/", id="2"))
    own = oss.oss2()
    own.put_object("uploads/a", b"first")
    # A rule without principals binds the account as well.
    assert code(lambda: own.put_object("uploads/a", b"second")) == EXISTS


def test_nobody_is_bound_by_a_rule_for_a_role(oss: Oss) -> None:
    """Everybody may write to this bucket. An unsigned request is not a session of the role."""
    oss.oss2().put_bucket_acl("public-read-write")
    set_rules(oss, rule(None, UPLOAD_ROLE))
    for _ in range(2):
        assert oss.raw("PUT", f"/{BUCKET}/a", body=b"x")[0] == 200
    set_rules(oss, rule(None))
    status, _, body = oss.raw("PUT", f"/{BUCKET}/a", body=b"x")
    assert (status, b"FileAlreadyExists" in body) == (409, True)


def test_a_user_is_bound_by_everybody_and_by_no_number() -> None:
    assert OverwriteRule("1", principals=["*"]).binds("a", "")
    assert not OverwriteRule("1", principals=[ACCOUNT, UPLOAD_ROLE]).binds("a", "")
