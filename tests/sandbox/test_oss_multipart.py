"""Multipart uploads as oss2 makes them, in both signature versions."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import oss2
import pytest
from alibabacloud_oss_v2 import InitiateMultipartUploadRequest, ListPartsRequest
from fastcrc import crc64
from oss2.exceptions import OssError
from oss2.models import PartInfo

from running_oss import BUCKET, Oss
from sandbox.oss.storage import multipart_etag
from signature_versions import VERSIONS

KB100 = 100 * 1024


@pytest.fixture(params=VERSIONS)
def bucket(request: pytest.FixtureRequest, oss: Oss) -> oss2.Bucket:
    return oss.oss2(oss.session(), version=request.param)


def begun(bucket: oss2.Bucket, *parts: bytes, key: str = "a") -> tuple[str, list[PartInfo]]:
    upload_id = bucket.init_multipart_upload(key).upload_id
    done = []
    for number, data in enumerate(parts, 1):
        result = bucket.upload_part(key, upload_id, number, data)
        done.append(PartInfo(number, result.etag, size=len(data), part_crc=result.crc))
    return upload_id, done


def code(error: pytest.ExceptionInfo[OssError]) -> tuple[int, str]:
    return error.value.status, error.value.code


def test_parts_become_one_object(bucket: oss2.Bucket) -> None:
    first, second = os.urandom(KB100), b"the rest"
    headers = {"Content-Type": "text/css", "x-oss-meta-a": "1"}
    upload_id = bucket.init_multipart_upload("ü/a b", headers).upload_id
    parts = [
        PartInfo(number, bucket.upload_part("ü/a b", upload_id, number, data).etag)
        for number, data in ((1, first), (7, second))
    ]
    result = bucket.complete_multipart_upload("ü/a b", upload_id, parts)
    assert result.etag.endswith("-2")
    assert result.crc == crc64.xz(first + second)
    assert bucket.get_object("ü/a b").read() == first + second
    seam = (KB100 - 2, KB100 + 2)
    assert bucket.get_object("ü/a b", byte_range=seam).read() == first[-2:] + b"the"
    head = bucket.head_object("ü/a b")
    assert (head.object_type, head.content_type) == ("Multipart", "text/css")
    assert head.headers["x-oss-meta-a"] == "1"
    with pytest.raises(oss2.exceptions.NoSuchUpload):
        bucket.list_parts("ü/a b", upload_id)


def test_an_interrupted_upload_is_resumed(bucket: oss2.Bucket, tmp_path: Path) -> None:
    file = tmp_path / "big"
    file.write_bytes(os.urandom(5 * KB100))
    store = oss2.ResumableStore(root=str(tmp_path))
    sent = 0

    class Interrupted(Exception):
        pass

    def interrupt(consumed: int, total: int) -> None:
        nonlocal sent
        sent += 1
        if consumed >= 2 * KB100:
            raise Interrupted

    def upload(progress: object) -> None:
        oss2.resumable_upload(
            bucket,
            "a",
            str(file),
            store=store,
            multipart_threshold=1,
            part_size=KB100,
            num_threads=1,
            progress_callback=progress,
        )

    with pytest.raises(Interrupted):
        upload(interrupt)
    [begun_before] = bucket.list_multipart_uploads().upload_list
    done_before = bucket.list_parts("a", begun_before.upload_id).parts
    assert done_before
    upload(None)
    assert bucket.get_object("a").read() == file.read_bytes()
    assert bucket.list_multipart_uploads().upload_list == []


def test_a_part_is_replaced_by_one_of_its_number(bucket: oss2.Bucket) -> None:
    upload_id, _ = begun(bucket, b"old")
    etag = bucket.upload_part("a", upload_id, 1, b"new").etag
    [part] = bucket.list_parts("a", upload_id).parts
    assert (part.part_number, part.size, part.etag) == (1, 3, etag)
    bucket.complete_multipart_upload("a", upload_id, [PartInfo(1, etag)])
    assert bucket.get_object("a").read() == b"new"


def test_parts_are_listed_page_by_page(bucket: oss2.Bucket) -> None:
    upload_id, done = begun(bucket, b"1", b"22", b"333")
    first = bucket.list_parts("a", upload_id, max_parts=2)
    assert ([part.size for part in first.parts], first.is_truncated) == ([1, 2], True)
    rest = bucket.list_parts("a", upload_id, marker=first.next_marker)
    assert ([part.etag for part in rest.parts], rest.is_truncated) == ([done[2].etag], False)


def test_all_parts_can_be_completed_without_naming_them(bucket: oss2.Bucket) -> None:
    upload_id, _ = begun(bucket, b"all")
    bucket.complete_multipart_upload("a", upload_id, None, {"x-oss-complete-all": "yes"})
    assert bucket.get_object("a").read() == b"all"


# The MD5 of each 100 KiB of sample/BingWallpaper-2015-11-07.jpg in aliyun/aliyun-oss-go-sdk.
WALLPAPER = (
    "251AD9D223371CF6380544DF72E106CB",
    "215A888785362D10E3F5204BFAB1EEDF",
    "547DF973F1622420B4D20B5E7C6D329C",
    "B820869246C889A0AD3C54043F2B7E05",
    "BCCAB4D694301EB00A03686D12F331A7",
)


def test_the_etag_is_the_one_that_oss_gave_the_vendors_picture() -> None:
    """Source: aliyun-oss-go-sdk 3.0.2, oss/download_test.go:206 and oss/multicopy_test.go:316."""
    assert multipart_etag(WALLPAPER) == "2351E662233817A7AE974D8C5B0876DD-5"


def test_the_etag_is_made_of_the_parts_etags(bucket: oss2.Bucket) -> None:
    upload_id, done = begun(bucket, b"x" * KB100, b"y")
    made = bucket.complete_multipart_upload("a", upload_id, done)
    assert made.etag == bucket.head_object("a").etag == multipart_etag([p.etag for p in done])


@pytest.mark.parametrize("everything", [False, True])
def test_no_parts_make_an_empty_object(bucket: oss2.Bucket, everything: bool) -> None:
    """alibabacloud-oss-go-sdk-v2 uploads an empty stream in this way
    (TestUploaderUploadFromTeeReader)."""
    upload_id, _ = begun(bucket)
    headers = {"x-oss-complete-all": "yes"} if everything else {}
    bucket.complete_multipart_upload("a", upload_id, None if everything else [], headers)
    assert bucket.head_object("a").content_length == 0
    assert bucket.get_object("a").read() == b""
    assert bucket.list_multipart_uploads().upload_list == []


def test_an_empty_body_makes_nothing(bucket: oss2.Bucket) -> None:
    upload_id, _ = begun(bucket, b"x")
    with pytest.raises(oss2.exceptions.MalformedXml):
        bucket.complete_multipart_upload("a", upload_id, None)
    assert not bucket.object_exists("a")
    assert len(bucket.list_parts("a", upload_id).parts) == 1


def test_an_acl_that_comes_at_the_end_counts(bucket: oss2.Bucket) -> None:
    """Sources: alibabacloud-oss-python-sdk-v2 (test_mutilpart_object_acl), and the same test of the
    Go SDK.

    Once, a private upload into a public bucket became public without an error.
    """
    upload_id, done = begun(bucket, b"x")
    acl = {"x-oss-object-acl": "private"}
    bucket.complete_multipart_upload("a", upload_id, done, headers=acl)
    assert bucket.get_object_acl("a").acl == "private"
    upload_id = bucket.init_multipart_upload("b", acl).upload_id
    bucket.complete_multipart_upload("b", upload_id, [])
    assert bucket.get_object_acl("b").acl == "private"


def test_an_acl_that_does_not_exist_completes_nothing(bucket: oss2.Bucket) -> None:
    upload_id, done = begun(bucket, b"x")
    acl = {"x-oss-object-acl": "everybody"}
    with pytest.raises(OssError) as error:
        bucket.complete_multipart_upload("a", upload_id, done, headers=acl)
    assert code(error) == (400, "InvalidArgument")
    assert len(bucket.list_parts("a", upload_id).parts) == 1


def test_each_refusal_has_the_vendors_ec(bucket: oss2.Bucket) -> None:
    """Sources: the vendor's page of each error, and client_integration_test.go of
    alibabacloud-oss-go-sdk-v2."""
    bucket.put_object("source", b"x")
    upload_id, done = begun(bucket, b"small", b"y")
    both = {"x-oss-complete-all": "yes"}
    refused: dict[str, Callable[[], object]] = {
        "0042-00000104": lambda: bucket.upload_part("a", "gone", 1, b"x"),
        "0042-00000311": lambda: bucket.upload_part_copy(BUCKET, "source", None, "a", "gone", 1),
        "0042-00000002": lambda: bucket.abort_multipart_upload("a", "gone"),
        "0042-00000213": lambda: bucket.complete_multipart_upload("a", upload_id, done),
        "0042-00000216": lambda: bucket.complete_multipart_upload("a", upload_id, done, both),
        "0017-00000220": lambda: bucket.upload_part("a", upload_id, 10_001, b"x"),
    }
    for ec, attempt in refused.items():
        with pytest.raises(OssError) as error:
            attempt()
        assert error.value.ec == ec
    for attempt in (
        lambda: bucket.list_parts("a", "gone"),
        lambda: bucket.complete_multipart_upload("a", "gone", done),
    ):
        with pytest.raises(oss2.exceptions.NoSuchUpload) as missing:
            attempt()
        assert missing.value.ec == "0042-00000002"


def test_an_encrypted_upload_can_be_resumed_by_its_list_of_parts(oss: Oss) -> None:
    """alibabacloud-oss-v2 reads from ListPartsResult the values with which it encrypts the
    remaining parts."""
    client = oss.oss_v2(oss.session())
    metadata = {
        f"client-side-encryption-{name}": value
        for name, value in {
            "key": "a2V5",
            "start": "aXY=",
            "cek-alg": "AES/CTR/NoPadding",
            "wrap-alg": "RSA/NONE/PKCS1Padding",
            "data-size": "300",
            "part-size": "160",
        }.items()
    }
    upload = client.initiate_multipart_upload(
        InitiateMultipartUploadRequest(bucket=BUCKET, key="a", metadata=metadata)
    )
    found = client.list_parts(ListPartsRequest(bucket=BUCKET, key="a", upload_id=upload.upload_id))
    assert (found.client_encryption_key, found.client_encryption_start) == ("a2V5", "aXY=")
    assert found.client_encryption_cek_alg == "AES/CTR/NoPadding"
    assert found.client_encryption_wrap_alg == "RSA/NONE/PKCS1Padding"
    assert (found.client_encryption_data_size, found.client_encryption_part_size) == (300, 160)


def test_an_abort_leaves_nothing(oss: Oss, bucket: oss2.Bucket) -> None:
    upload_id, _ = begun(bucket, b"x" * KB100, b"y")
    assert bucket.abort_multipart_upload("a", upload_id).status == 204
    with pytest.raises(oss2.exceptions.NoSuchUpload):
        bucket.abort_multipart_upload("a", upload_id)
    assert not bucket.object_exists("a")
    assert list((oss.folder / "data").iterdir()) == []


def test_what_is_not_named_at_the_end_is_dropped(oss: Oss, bucket: oss2.Bucket) -> None:
    upload_id, done = begun(bucket, b"x" * KB100, b"y")
    bucket.complete_multipart_upload("a", upload_id, done[:1])
    assert bucket.head_object("a").content_length == KB100
    assert len(list((oss.folder / "data").iterdir())) == 1


def test_a_part_has_100_kb_but_for_the_last(bucket: oss2.Bucket) -> None:
    upload_id, done = begun(bucket, b"x" * (KB100 - 1), b"y")
    with pytest.raises(OssError) as error:
        bucket.complete_multipart_upload("a", upload_id, done)
    assert code(error) == (400, "EntityTooSmall")
    upload_id, done = begun(bucket, b"x" * KB100, b"y")
    bucket.complete_multipart_upload("a", upload_id, done)


def test_an_upload_is_not_begun_over_a_key_that_must_stay(bucket: oss2.Bucket) -> None:
    bucket.put_object("a", b"old")
    with pytest.raises(OssError) as error:
        bucket.init_multipart_upload("a", {"x-oss-forbid-overwrite": "true"})
    assert code(error) == (409, "FileAlreadyExists")
    bucket.init_multipart_upload("b", {"x-oss-forbid-overwrite": "true"})


def test_refuses_parts_that_do_not_fit(bucket: oss2.Bucket) -> None:
    upload_id, done = begun(bucket, b"small", b"y")
    cases = {
        "EntityTooSmall": done,
        "InvalidPart": [PartInfo(1, hashlib.md5(b"other").hexdigest())],  # noqa: S324
    }
    for expected, parts in cases.items():
        with pytest.raises(OssError) as error:
            bucket.complete_multipart_upload("a", upload_id, parts)
        assert code(error) == (400, expected)
    with pytest.raises(OssError) as error:
        bucket.complete_multipart_upload("a", upload_id, [PartInfo(9, done[0].etag)])
    assert code(error) == (400, "InvalidPart")
    # The failed attempts deleted nothing.
    assert len(bucket.list_parts("a", upload_id).parts) == 2


def test_refuses_parts_out_of_order(oss: Oss) -> None:
    bucket = oss.oss2()
    upload_id, done = begun(bucket, b"x" * KB100, b"y")
    parts = "".join(
        f"<Part><PartNumber>{part.part_number}</PartNumber><ETag>{part.etag}</ETag></Part>"
        for part in reversed(done)
    )
    # oss2 would sort the parts, so this test uses oss2 only to sign the URL.
    url = bucket.sign_url("POST", "a", 60, params={"uploadId": upload_id})
    body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
    status, _, answer = oss.raw("POST", url[url.index("/", 8) :], body=body)
    assert (status, b"InvalidPartOrder" in answer) == (400, True)
    # help.aliyun.com/en/oss/user-guide/0042-00000209
    assert b"<EC>0042-00000209</EC>" in answer


@pytest.mark.parametrize("number", [0, 10_001])
def test_refuses_a_part_number_out_of_range(bucket: oss2.Bucket, number: int) -> None:
    upload_id, _ = begun(bucket)
    with pytest.raises(OssError) as error:
        bucket.upload_part("a", upload_id, number, b"x")
    assert code(error) == (400, "InvalidArgument")


def test_an_upload_belongs_to_its_key(bucket: oss2.Bucket) -> None:
    # If the key were not checked, a token for one folder could end, fill or read uploads of another
    # folder.
    upload_id, done = begun(bucket, b"x", key="theirs/a")
    attacks: list[Callable[[], object]] = [
        lambda: bucket.upload_part("mine/a", upload_id, 1, b"y"),
        lambda: bucket.list_parts("mine/a", upload_id),
        lambda: bucket.complete_multipart_upload("mine/a", upload_id, done),
        lambda: bucket.abort_multipart_upload("mine/a", upload_id),
    ]
    for attack in attacks:
        with pytest.raises(oss2.exceptions.NoSuchUpload):
            attack()
    assert [part.size for part in bucket.list_parts("theirs/a", upload_id).parts] == [1]


def test_a_refusal_has_the_ec_to_look_up(bucket: oss2.Bucket) -> None:
    """Source: the vendor's pages of these ECs."""
    upload_id, parts = begun(bucket)
    attempts: dict[str, Callable[[], object]] = {
        "0042-00000104": lambda: bucket.upload_part("a", "no-such", 1, b"x"),
        "0042-00000002": lambda: bucket.abort_multipart_upload("a", "no-such"),
        "0042-00000216": lambda: bucket.complete_multipart_upload(
            "a", upload_id, parts, {"x-oss-complete-all": "yes"}
        ),
    }
    for ec, attempt in attempts.items():
        with pytest.raises(OssError) as error:
            attempt()
        assert error.value.details["EC"] == ec


def test_uploads_under_way_are_listed_page_by_page(bucket: oss2.Bucket) -> None:
    ids = {key: bucket.init_multipart_upload(key).upload_id for key in ("a/1", "a/2", "b", "c+ü")}
    page = bucket.list_multipart_uploads(max_uploads=3)
    assert [upload.key for upload in page.upload_list] == ["a/1", "a/2", "b"]
    assert page.is_truncated
    rest = bucket.list_multipart_uploads(
        key_marker=page.next_key_marker, upload_id_marker=page.next_upload_id_marker
    )
    assert [(found.key, found.upload_id) for found in rest.upload_list] == [("c+ü", ids["c+ü"])]
    assert (rest.is_truncated, rest.next_key_marker) == (False, "c+ü")
    grouped = bucket.list_multipart_uploads(delimiter="/")
    assert grouped.prefix_list == ["a/"]
    assert [upload.key for upload in grouped.upload_list] == ["b", "c+ü"]
    under = bucket.list_multipart_uploads(prefix="a/")
    assert [upload.key for upload in under.upload_list] == ["a/1", "a/2"]


def test_a_part_is_copied_from_a_range(bucket: oss2.Bucket) -> None:
    bucket.put_object("source", b"0123456789")
    upload_id, _ = begun(bucket)
    part = bucket.upload_part_copy(BUCKET, "source", (2, 4), "a", upload_id, 1)
    bucket.complete_multipart_upload("a", upload_id, [PartInfo(1, part.etag)])
    assert bucket.get_object("a").read() == b"234"
    # A range that begins or ends after the end of the object is refused
    # (help.aliyun.com/zh/oss/user-guide/0042-00000306).
    for beyond in ((10, 12), (8, 12)):
        with pytest.raises(OssError) as error:
            bucket.upload_part_copy(BUCKET, "source", beyond, "a", upload_id, 1)
        assert code(error) == (400, "InvalidArgument")


def test_refuses_to_overwrite_where_that_is_forbidden(bucket: oss2.Bucket) -> None:
    bucket.put_object("a", b"first")
    upload_id, done = begun(bucket, b"second")
    with pytest.raises(OssError) as error:
        bucket.complete_multipart_upload("a", upload_id, done, {"x-oss-forbid-overwrite": "true"})
    assert code(error) == (409, "FileAlreadyExists")
    assert bucket.get_object("a").read() == b"first"
