"""Limits of one file and of all files (LAN=1): every way to upload is limited, and a refused upload
leaves nothing behind."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import oss2
import pytest
from oss2.models import PartInfo

from post_forms import send, v4_form
from running_oss import BUCKET, Oss, Server, running_oss
from sandbox.oss.errors import OssError
from sandbox.oss.room import FILE_BYTES, Limits
from sandbox.oss.storage import Staged, Storage
from sandbox.oss.xml import parse

KB100 = 100 * 1024
FILE = 3 * KB100
LIMITS = Limits(object_bytes=FILE, total_bytes=8 * 1024**2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "oss"


@pytest.fixture
def limited(folder: Path, oss_server: Server) -> Iterator[Oss]:
    """An OSS with limits. The object `large` and the upload `old` with 4 parts were stored before
    there were limits."""
    with running_oss(folder, oss_server) as oss:
        oss.oss2().put_object("large", bytes(FILE + 1))
        upload_id = begun(oss, "old", *[bytes(KB100)] * 4)
    with running_oss(folder, oss_server, limits=LIMITS) as oss:
        assert [u.id for u in oss.storage.uploads(BUCKET, "old")] == [upload_id]
        yield oss


def begun(oss: Oss, key: str, *parts: bytes) -> str:
    upload_id: str = oss.oss2().init_multipart_upload(key).upload_id
    for number, part in enumerate(parts, 1):
        oss.oss2().upload_part(key, upload_id, number, part)
    return upload_id


def put(oss: Oss, data: bytes) -> None:
    oss.oss2().put_object("a", data)


def put_in_chunks(oss: Oss, data: bytes) -> None:
    """Upload without a Content-Length, so that the server does not know the size in advance."""
    oss.oss2().put_object("a", iter([data[:KB100], data[KB100:]]))


def post_form(oss: Oss, data: bytes) -> None:
    fields = v4_form(oss.session(), [{"bucket": BUCKET}], {"key": "a"})
    answer = send(oss.endpoint, fields, data)
    if answer.status_code != 204:
        error = parse(answer.content, "Error")
        details = {name: error.findtext(name, "") for name in ("Code", "Message")}
        raise oss2.exceptions.ServerError(answer.status_code, {}, answer.content, details)


def append(oss: Oss, data: bytes) -> None:
    oss.oss2().append_object("a", 0, data[:KB100])
    oss.oss2().append_object("a", KB100, data[KB100:])


def one_part(oss: Oss, data: bytes) -> None:
    begun(oss, "a", data)


def many_parts(oss: Oss, data: bytes) -> None:
    begun(oss, "a", data[:KB100], data[KB100:])


WAYS = [put, put_in_chunks, post_form, append, one_part, many_parts]


def in_data(oss: Oss) -> set[str]:
    return {path.name for path in (oss.folder / "data").iterdir()}


@contextmanager
def refused(status: int, code: str, message: str) -> Iterator[None]:
    with pytest.raises(oss2.exceptions.ServerError) as caught:
        yield
    assert (caught.value.status, caught.value.code) == (status, code)
    assert message in caught.value.message


# One file


@pytest.mark.parametrize("way", WAYS)
def test_a_file_of_the_limit_is_taken(limited: Oss, way: Callable[[Oss, bytes], None]) -> None:
    way(limited, os.urandom(FILE))


@pytest.mark.parametrize("way", WAYS)
def test_a_byte_more_is_refused_and_leaves_nothing(
    limited: Oss, way: Callable[[Oss, bytes], None]
) -> None:
    before = in_data(limited)
    with refused(400, "EntityTooLarge", "With LAN"):
        way(limited, os.urandom(FILE + 1))
    # With append() and many_parts(), the data that were stored before the refusal stay.
    assert len(in_data(limited) - before) == (1 if way in (append, many_parts) else 0)
    found = limited.storage.find(BUCKET, "a")
    assert (found.size if found else None) == (KB100 if way is append else None)


def test_a_part_that_is_sent_again_counts_once(limited: Oss) -> None:
    upload_id = begun(limited, "a", bytes(FILE))
    limited.oss2().upload_part("a", upload_id, 1, bytes(FILE))
    with refused(400, "EntityTooLarge", "With LAN"):
        limited.oss2().upload_part("a", upload_id, 2, b"x")


def test_what_was_stored_before_gets_no_copy_that_is_too_large(limited: Oss) -> None:
    bucket = limited.oss2()
    before = in_data(limited)
    with refused(400, "EntityTooLarge", "With LAN"):
        bucket.copy_object(BUCKET, "large", "a")
    upload_id = begun(limited, "a")
    with refused(400, "EntityTooLarge", "With LAN"):
        bucket.upload_part_copy(BUCKET, "large", None, "a", upload_id, 1)
    bucket.upload_part_copy(BUCKET, "large", (0, FILE - 1), "a", upload_id, 1)
    assert len(in_data(limited) - before) == 1
    assert limited.storage.find(BUCKET, "a") is None


def test_parts_from_before_become_no_object_that_is_too_large(limited: Oss) -> None:
    [upload] = limited.storage.uploads(BUCKET, "old")
    parts = limited.storage.parts(BUCKET, "old", upload.id)
    chosen = [PartInfo(part.number, part.etag) for part in parts]
    with refused(400, "EntityTooLarge", "With LAN"):
        limited.oss2().complete_multipart_upload("old", upload.id, chosen)
    # No part is lost, so the upload can still be completed with fewer parts.
    assert limited.storage.find(BUCKET, "old") is None
    limited.oss2().complete_multipart_upload("old", upload.id, chosen[:3])
    assert limited.storage.get(BUCKET, "old").size == FILE


def test_how_large_it_may_be_is_said(limited: Oss) -> None:
    with pytest.raises(oss2.exceptions.ServerError) as caught:
        put(limited, bytes(FILE + 1))
    assert caught.value.details["MaxSizeAllowed"] == str(FILE)


# All files together


def until_full(call: Callable[[int], object]) -> int:
    """Return how often `call` succeeds until the storage is full."""
    for number in range(1000):
        try:
            call(number)
        except (OssError, oss2.exceptions.ServerError) as error:
            if error.code != "SandboxFull":
                raise
            return number
    raise AssertionError("it is never full")


def fill(oss: Oss, size: int = FILE) -> int:
    """Store files of `size` bytes until there is no more room. Returns how many are stored."""
    return until_full(lambda n: oss.oss2().put_object(f"fill/{size}/{n}", bytes(size)))


def on_disk(oss: Oss) -> int:
    return sum(path.stat().st_size for path in oss.folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("way", WAYS)
def test_where_it_is_full_no_way_leads_in(limited: Oss, way: Callable[[Oss, bytes], None]) -> None:
    assert fill(limited) > 5
    fill(limited, KB100)
    before = in_data(limited)
    with refused(403, "SandboxFull", "make clean"):
        way(limited, bytes(FILE))
    assert in_data(limited) == before
    assert on_disk(limited) <= LIMITS.total_bytes


def test_where_it_is_full_there_is_no_room_for_copies_either(limited: Oss) -> None:
    upload_id = begun(limited, "a")
    fill(limited)
    bucket = limited.oss2()
    with refused(403, "SandboxFull", "make clean"):
        bucket.copy_object(BUCKET, f"fill/{FILE}/0", "a")
    with refused(403, "SandboxFull", "make clean"):
        bucket.upload_part_copy(BUCKET, f"fill/{FILE}/0", None, "a", upload_id, 1)


def test_what_is_deleted_makes_room(limited: Oss) -> None:
    fill(limited)
    for key in ("large", f"fill/{FILE}/0"):
        limited.oss2().delete_object(key)
    put(limited, bytes(FILE))
    [upload] = limited.storage.uploads(BUCKET, "old")
    limited.oss2().abort_multipart_upload("old", upload.id)
    limited.oss2().put_object("b", bytes(FILE))


def test_what_is_refused_takes_no_room(limited: Oss) -> None:
    """An upload that fails must leave nothing in the storage. Otherwise a stranger could fill the
    storage with such uploads."""
    for _ in range(3 * LIMITS.total_bytes // FILE):
        with pytest.raises(oss2.exceptions.InvalidDigest):
            limited.oss2().put_object("a", bytes(FILE), {"Content-MD5": "wrong"})
    put(limited, bytes(FILE))


# The storage itself


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    storage = Storage(tmp_path, limits=LIMITS)
    storage.create_bucket(BUCKET)
    yield storage
    storage.close()


def stored(storage: Storage, key: str, data: bytes) -> None:
    staged = storage.stage(len(data))
    try:
        staged.write(data)
        staged.finish()
        storage.put(BUCKET, key, staged, headers={}, acl="default")
    finally:
        staged.discard()


def check_full(call: Callable[[], object]) -> None:
    with pytest.raises(OssError, match="SandboxFull"):
        call()


def test_bytes_on_their_way_in_count(storage: Storage) -> None:
    """If an upload did not reserve its space, many uploads at the same time would all find enough
    space."""
    under_way: list[Staged] = []

    def one_more(_: int) -> None:
        under_way.append(storage.stage(FILE))
        under_way[-1].write(bytes(FILE))

    assert 15 < until_full(one_more) < 30
    for staged in under_way:
        staged.discard()
        # If a real upload fails late, discard() is called twice too. The second call must do
        # nothing.
        staged.discard()
    stored(storage, "a", bytes(FILE))
    for staged in [storage.stage() for _ in range(20)]:
        staged.discard()


def test_what_does_not_fit_is_refused_before_a_file_is_made(
    storage: Storage, tmp_path: Path
) -> None:
    with pytest.raises(OssError, match="EntityTooLarge"):
        storage.stage(FILE + 1)
    staged = storage.stage()
    until_full(lambda n: stored(storage, f"{n}", bytes(FILE)))
    files = len(list((tmp_path / "data").iterdir()))
    check_full(lambda: storage.stage(FILE))
    check_full(lambda: staged.write(bytes(FILE)))
    assert (len(list((tmp_path / "data").iterdir())), staged.size) == (files, 0)
    staged.discard()


def test_what_is_deleted_counts_while_somebody_reads_it(storage: Storage) -> None:
    """A deleted file stays on the disk while it is read. Readers that never end could fill the
    disk."""
    opened = []

    def overwrite_and_hold(_: int) -> None:
        stored(storage, "a", bytes(FILE))
        opened.append(storage.open(BUCKET, "a"))

    assert 15 < until_full(overwrite_and_hold) < 30
    for one in opened:
        one.close()
    stored(storage, "a", bytes(FILE))


def test_empty_files_and_uploads_without_parts_end_too(tmp_path: Path) -> None:
    limits = Limits(FILE, 100 * FILE_BYTES)
    storage = Storage(tmp_path, limits=limits)
    storage.create_bucket(BUCKET)
    try:
        number = until_full(lambda n: stored(storage, f"{n}", b""))
        assert 0 < number < 100
        storage.delete(BUCKET, [f"{n}" for n in range(number)])
        large = {"x-oss-meta-a": "a" * 8000}
        until_full(lambda _: storage.create_upload(BUCKET, "a", headers=large, acl="default"))
    finally:
        storage.close()


def test_what_an_earlier_run_stored_counts(tmp_path: Path) -> None:
    earlier = Storage(tmp_path)
    earlier.create_bucket(BUCKET)
    for key in range(30):
        stored(earlier, f"{key}", bytes(FILE))
    earlier.close()
    storage = Storage(tmp_path, limits=LIMITS)
    check_full(lambda: stored(storage, "a", b""))
    storage.close()
