"""Storage on disk: a kill never leaves half of an object, no unused files are left, and memory
stays small."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import oss2
import pytest
from pytest_mock import MockerFixture

from running_oss import BUCKET, Oss
from sandbox import ROOT
from sandbox.oss.errors import OssError
from sandbox.oss.storage import Staged, Storage

# This script overwrites one key again and again, and prints a number after each time.
WRITER = """
import itertools, sys
from pathlib import Path
from sandbox.oss.storage import Staged, Storage
storage = Storage(Path(sys.argv[1]))
storage.create_bucket("my-bucket")
for number in itertools.count():
    staged = storage.stage()
    for _ in range(3):
        staged.write(b"%08d" % number * 20_000)
    staged.finish()
    storage.put("my-bucket", "key", staged, headers={}, acl="default")
    print(number, flush=True)
"""


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    storage = Storage(tmp_path)
    storage.create_bucket(BUCKET)
    yield storage
    storage.close()


def put(storage: Storage, key: str, *chunks: bytes) -> None:
    staged = storage.stage()
    for chunk in chunks:
        staged.write(chunk)
    staged.finish()
    storage.put(BUCKET, key, staged, headers={}, acl="default")


def read(storage: Storage, key: str) -> bytes:
    with storage.open(BUCKET, key) as opened:
        return b"".join(opened.chunks(0, opened.info.size))


def data_files(folder: Path) -> list[Path]:
    return list((folder / "data").iterdir())


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_old_bytes_or_the_new(tmp_path: Path) -> None:
    acknowledged = -1
    for _ in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        ) as writer:
            assert writer.stdout is not None
            first = writer.stdout.readline()
            time.sleep(random.uniform(0, 0.1))  # noqa: S311
            writer.send_signal(signal.SIGKILL)
            acknowledged = int((first + writer.stdout.read()).split()[-1])
        storage = Storage(tmp_path)
        held = read(storage, "key")
        number = int(held[:8])
        # The storage has one of two uploads: the last upload that the writer confirmed, or the
        # upload after it, which was in progress when the writer was killed.
        assert number in (acknowledged, acknowledged + 1)
        assert held == b"%08d" % number * 60_000
        assert storage.get(BUCKET, "key").etag == hashlib.md5(held).hexdigest().upper()  # noqa: S324
        assert len(data_files(tmp_path)) == 1
        storage.close()


def test_a_folder_that_is_in_use_is_not_swept(tmp_path: Path, storage: Storage) -> None:
    staged = storage.stage()
    other = Storage(tmp_path)
    other.close()
    staged.write(b"x")
    staged.finish()
    storage.put(BUCKET, "a", staged, headers={}, acl="default")
    assert read(storage, "a") == b"x"


def test_what_is_being_read_stays_until_it_has_been(tmp_path: Path, storage: Storage) -> None:
    put(storage, "a", b"old " * 1000)
    with storage.open(BUCKET, "a") as opened:
        put(storage, "a", b"new")
        storage.delete(BUCKET, ["a"])
        assert b"".join(opened.chunks(0, 4000)) == b"old " * 1000
        assert len(data_files(tmp_path)) == 1
    assert data_files(tmp_path) == []


def test_an_overwritten_object_leaves_no_file(tmp_path: Path, storage: Storage) -> None:
    put(storage, "a", b"1")
    put(storage, "a", b"2")
    assert len(data_files(tmp_path)) == 1


def test_what_was_refused_leaves_no_file(tmp_path: Path, storage: Storage) -> None:
    staged = storage.stage()
    staged.write(b"x")
    staged.finish()
    with pytest.raises(OssError, match="NoSuchBucket"):
        storage.put("no-such-bucket", "a", staged, headers={}, acl="default")
    staged.discard()
    assert data_files(tmp_path) == []


def test_what_was_stored_cannot_be_discarded(storage: Storage) -> None:
    staged = storage.stage()
    staged.finish()
    storage.put(BUCKET, "a", staged, headers={}, acl="default")
    staged.discard()
    assert read(storage, "a") == b""


def test_a_full_disk_changes_nothing(
    tmp_path: Path, storage: Storage, mocker: MockerFixture
) -> None:
    put(storage, "a", b"old")
    staged = storage.stage()
    staged.write(b"new")
    mocker.patch("os.fsync", side_effect=OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(OSError, match="No space left"):
        staged.finish()
    staged.discard()
    assert read(storage, "a") == b"old"
    assert len(data_files(tmp_path)) == 1


def taken_in(staged: Staged, sizes: list[int]) -> None:
    for size in sizes:
        staged.write(bytes(size))
    staged.finish()


@pytest.mark.parametrize("sizes", [[100_000], [65_536, 100]], ids=str)
def test_bytes_that_find_no_room_leave_no_file(
    tmp_path: Path, storage: Storage, sizes: list[int]
) -> None:
    """The last bytes are in a buffer. When the file is closed, Python tries again to write them."""
    put(storage, "a", b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, limits[1]))
    try:
        staged = storage.stage()
        with pytest.raises(OSError, match="File too large"):
            taken_in(staged, sizes)
        staged.discard()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert read(storage, "a") == b"old"
    assert len(data_files(tmp_path)) == 1


def test_a_full_disk_is_told_and_may_be_used_again(oss: Oss, mocker: MockerFixture) -> None:
    full = mocker.patch("os.fsync", side_effect=OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(oss2.exceptions.ServerError) as caught:
        oss.oss2().put_object("a", b"new")
    assert (caught.value.status, caught.value.code) == (500, "InternalError")
    assert "disk is full" in caught.value.message
    mocker.stop(full)
    assert oss.oss2().put_object("a", b"new").status == 200


def test_keys_never_become_file_names(tmp_path: Path, storage: Storage) -> None:
    put(storage, "../../escape", b"x")
    put(storage, "/etc/passwd", b"x")
    outside = set(tmp_path.parent.rglob("*escape*")) | set(tmp_path.rglob("*passwd*"))
    assert outside == set()


@pytest.mark.slow
def test_an_upload_takes_little_memory(tmp_path: Path) -> None:
    script = """
import resource, sys
from pathlib import Path
from running_oss import running_oss
size = 256 * 1024 * 1024
with running_oss(Path(sys.argv[1])) as oss:
    bucket = oss.oss2(oss.session())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with open("/dev/zero", "rb") as zeros:
        import oss2
        result = bucket.put_object("big", oss2.SizedFileAdapter(zeros, size))
    assert bucket.head_object("big").content_length == size
    received = sum(len(chunk) for chunk in bucket.get_object("big"))
    assert received == size
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    paths = [str(ROOT), str(ROOT / "tests" / "support"), str(ROOT / "functions" / "sts_token")]
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    grown_kib = int(done.stdout)
    # A server that held bodies in memory would grow by 256 MiB.
    assert grown_kib < 32 * 1024
