"""Buckets, objects and multipart uploads on disk: an SQLite index, and immutable data files.

Bytes are written to a new file, and the file is synced. Then one transaction writes the file's name
into the index. If the process is killed, each key therefore has either its old bytes or its new
bytes. Every upload that was answered with 200 is stored. Files without a row are removed when the
folder is opened again.

The operations (objects.py, multipart.py, listing.py, buckets.py) interpret requests. All methods of
this module block, so call them from a thread. Several threads may call the methods at the same
time.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import logging
import os
import secrets
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastcrc import crc64

from sandbox.oss.errors import (
    OssError,
    file_already_exists,
    no_such_bucket,
    no_such_key,
    no_such_upload,
)
from sandbox.oss.room import FILE_BYTES, Limits, Room

READ_BYTES = 1 << 20  # how many bytes of a file are read at a time

log = logging.getLogger("sandbox.oss")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS buckets (
    name TEXT PRIMARY KEY, created REAL NOT NULL, acl TEXT NOT NULL, cors TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS overwrite_rules (
    bucket TEXT PRIMARY KEY, rules TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT NOT NULL, key BLOB NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
    crc64 TEXT NOT NULL, type TEXT NOT NULL, modified REAL NOT NULL, acl TEXT NOT NULL,
    headers TEXT NOT NULL, files TEXT NOT NULL, PRIMARY KEY (bucket, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uploads (
    id TEXT PRIMARY KEY, bucket TEXT NOT NULL, key BLOB NOT NULL, initiated REAL NOT NULL,
    acl TEXT NOT NULL, headers TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS parts (
    upload TEXT NOT NULL REFERENCES uploads (id), number INTEGER NOT NULL, size INTEGER NOT NULL,
    etag TEXT NOT NULL, crc64 TEXT NOT NULL, modified REAL NOT NULL, file TEXT NOT NULL,
    PRIMARY KEY (upload, number)
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Bucket:
    """A bucket. `created` is in unix seconds. `cors` and `overwrite` are the bucket's rules, as
    texts that cors.py and overwrite.py have made."""

    name: str
    created: float
    acl: str
    cors: str
    overwrite: str


@dataclass(frozen=True)
class ObjectInfo:
    """The row of an object. `modified` is in unix seconds. `files` lists its data files."""

    key: str
    size: int
    etag: str
    crc64: int
    type: str
    modified: float
    acl: str
    headers: Mapping[str, str]
    files: tuple[tuple[str, int], ...] = field(repr=False)


@dataclass(frozen=True)
class Upload:
    """An open multipart upload. `initiated` is in unix seconds."""

    id: str
    key: str
    initiated: float
    acl: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Part:
    """An uploaded part. `modified` is in unix seconds."""

    number: int
    size: int
    etag: str
    crc64: int
    modified: float
    file: str


class Staged:
    """Incoming bytes, which are written to a file as they arrive. No row of the index names the
    file until the bytes are stored as an object or a part."""

    def __init__(self, path: Path, room: Room) -> None:
        room.take(FILE_BYTES)
        self._room = room
        self._path = path
        try:
            self._file = path.open("xb")
        except OSError:
            room.give_back(FILE_BYTES)
            raise
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.crc64 = 0
        self.size = 0
        self.stored = False
        self._discarded = False

    @property
    def name(self) -> str:
        """The data file's name."""
        return self._path.name

    @property
    def etag(self) -> str:
        """The MD5 in upper-case hex, as OSS's ETag."""
        return self._md5.hexdigest().upper()

    @property
    def content_md5(self) -> str:
        """The MD5 in base64, as in the Content-MD5 header."""
        return base64.b64encode(self._md5.digest()).decode()

    def write(self, chunk: bytes | bytearray) -> None:
        """Append bytes. If it raises EntityTooLarge or SandboxFull, no byte is written."""
        self._room.check_object(self.size + len(chunk))
        self._room.take(len(chunk))
        self.size += len(chunk)
        self._file.write(chunk)
        self._md5.update(chunk)
        self.crc64 = crc64.xz(chunk, self.crc64)

    def finish(self) -> None:
        """Flush the bytes to disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        # Sync the folder too, or a power cut could remove the file's name from the folder.
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def discard(self) -> None:
        """Remove the bytes. Do nothing if they are already stored (as an object or as a part), or
        already removed."""
        if not self.stored and not self._discarded:
            self._discarded = True
            # On a full disk the buffered bytes cannot be written.
            with suppress(OSError):
                self._file.close()
            self._path.unlink(missing_ok=True)
            self._room.give_back(self.size + FILE_BYTES)


class OpenObject:
    """An open object. Call close(), or use it in a with statement."""

    def __init__(
        self, info: ObjectInfo, folder: Path, release: Callable[[ObjectInfo], None]
    ) -> None:
        self.info = info
        self._folder = folder
        self._release = release

    def __enter__(self) -> OpenObject:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Report that this reader no longer needs the files. The storage removes unused files when
        their last reader is closed."""
        self._release(self.info)

    def chunks(self, start: int, end: int) -> Iterator[bytes]:
        """Read the bytes from `start` (included) to `end` (excluded), at most 1 MiB at a time."""
        place = 0
        for name, size in self.info.files:
            first, last = max(start - place, 0), min(end - place, size)
            place += size
            if first >= last:
                continue
            with (self._folder / name).open("rb") as file:
                file.seek(first)
                while first < last:
                    chunk = file.read(min(READ_BYTES, last - first))
                    if not chunk:
                        raise OSError(f"the data file {name} is too short")
                    first += len(chunk)
                    yield chunk


def _file_id(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


class Storage:
    """One folder of buckets. `limits` bounds its size.

    The methods raise OssError where OSS would answer with an error. The constructor raises
    sqlite3.DatabaseError for a damaged index.
    """

    def __init__(
        self, root: Path, clock: Callable[[], float] = time.time, limits: Limits | None = None
    ) -> None:
        self._data = root / "data"
        self._data.mkdir(parents=True, exist_ok=True)
        self._clock = clock
        # Every process that uses the folder holds a shared lock on it. Only a process that finds no
        # other lock may decide which files are unused.
        self._folder_lock = (root / "lock").open("w")
        self._lock = threading.RLock()
        self._leases: Counter[str] = Counter()
        self._condemned: set[str] = set()
        self._index_path = root / "index.sqlite3"
        self._said_gone = False
        self._index = sqlite3.connect(
            self._index_path, check_same_thread=False, isolation_level=None, timeout=10
        )
        try:
            self._index.execute("PRAGMA journal_mode=WAL")
            self._index.execute("PRAGMA synchronous=FULL")
            self._index.execute("PRAGMA foreign_keys=ON")
            self._index.executescript(_SCHEMA)
            self._sweep()
            self._room = Room(root, self._data, limits)
            self._index_id = _file_id(self._index_path)
        except BaseException:
            self.close()
            raise

    def check_there(self) -> None:
        """Raise SandboxGone if the folder was removed while the storage was open. Without this
        check, the open index would still list the lost objects."""
        try:
            is_there = self._data.is_dir() and _file_id(self._index_path) == self._index_id
        except FileNotFoundError:
            is_there = False
        if is_there:
            return
        if not self._said_gone:
            self._said_gone = True
            log.error(
                "%s was removed with all stored objects while the sandbox ran; stop the sandbox "
                "(Ctrl-C) and start `make run` again",
                self._data.parent,
            )
        raise OssError(
            500,
            "SandboxGone",
            "The sandbox's folder was removed while it ran. Stop `make run` and start it again.",
        )

    def close(self) -> None:
        """Close the index. No method of the storage may be called after close()."""
        with self._lock:
            self._index.close()
        self._folder_lock.close()

    # Buckets

    def create_bucket(self, name: str, acl: str = "private", cors: str = "[]") -> None:
        """Create a bucket. An existing bucket stays unchanged."""
        with self._transaction():
            self._index.execute(
                "INSERT OR IGNORE INTO buckets VALUES (?, ?, ?, ?)",
                (name, self._clock(), acl, cors),
            )

    def bucket(self, name: str) -> Bucket | None:
        """Return the bucket of that name, if there is one."""
        rows = self._rows(f"{_BUCKETS} WHERE name = ?", name)
        return Bucket(*rows[0]) if rows else None

    def buckets(self) -> list[Bucket]:
        """Return all buckets, sorted by name."""
        return [Bucket(*row) for row in self._rows(f"{_BUCKETS} ORDER BY name")]

    def set_cors(self, name: str, cors: str) -> None:
        """Store a bucket's CORS rules."""
        with self._transaction():
            self._index.execute("UPDATE buckets SET cors = ? WHERE name = ?", (cors, name))

    def set_overwrite_rules(self, name: str, rules: str) -> None:
        """Store a bucket's rules against overwriting."""
        with self._transaction():
            self._index.execute(
                "INSERT OR REPLACE INTO overwrite_rules VALUES (?, ?)", (name, rules)
            )

    def set_bucket_acl(self, name: str, acl: str) -> None:
        """Store a bucket's ACL."""
        with self._transaction():
            self._index.execute("UPDATE buckets SET acl = ? WHERE name = ?", (acl, name))

    def delete_bucket(self, name: str) -> None:
        """Delete an empty bucket. Raises BucketNotEmpty."""
        with self._transaction():
            for table in ("objects", "uploads"):
                if self._rows(f"SELECT 1 FROM {table} WHERE bucket = ? LIMIT 1", name):  # noqa: S608
                    raise OssError(
                        409,
                        "BucketNotEmpty",
                        "The bucket has objects. Please delete them first.",
                        "0015-00000301",
                        details={"BucketName": name},
                    )
            self._index.execute("DELETE FROM buckets WHERE name = ?", (name,))
            self._index.execute("DELETE FROM overwrite_rules WHERE bucket = ?", (name,))

    # Objects

    def stage(self, size: int = 0) -> Staged:
        """Begin to receive bytes. The caller must store or discard these bytes.

        Raises EntityTooLarge or SandboxFull if `size` bytes cannot be stored. `size` is 0 if it is
        unknown.
        """
        self._room.check_object(size)
        self._room.check(size)
        return Staged(self._data / secrets.token_hex(16), self._room)

    def put(
        self,
        bucket: str,
        key: str,
        staged: Staged,
        *,
        headers: Mapping[str, str],
        acl: str,
        overwrite: bool = True,
        kind: str = "Normal",
    ) -> ObjectInfo:
        """Store finished bytes as an object.

        Raises FileAlreadyExists if the object exists and `overwrite` is false.
        """
        made = ObjectInfo(
            key,
            staged.size,
            staged.etag,
            staged.crc64,
            kind,
            self._clock(),
            acl,
            headers,
            ((staged.name, staged.size),),
        )
        with self._transaction():
            obsolete = self._replace(bucket, made, overwrite)
        staged.stored = True
        self._remove(obsolete)
        return made

    def append(
        self,
        bucket: str,
        key: str,
        staged: Staged,
        *,
        position: int,
        headers: Mapping[str, str],
        acl: str | None,
        overwrite: bool = True,
    ) -> ObjectInfo:
        """Append finished bytes at `position`, which must be the object's size.

        `headers` are used only if the append creates the object. Each append can set a new `acl`
        (TestAppendObject of aliyun-oss-go-sdk). Raises PositionNotEqualToLength,
        ObjectNotAppendable, EntityTooLarge, and without `overwrite` also FileAlreadyExists.
        """
        with self._transaction():
            old = self._find(bucket, key)
            if old is not None and not overwrite:
                raise file_already_exists()
            if old is not None and old.type != "Appendable":
                raise OssError(409, "ObjectNotAppendable", "The object is not appendable")
            size = old.size if old else 0
            if position != size:
                raise OssError(
                    409,
                    "PositionNotEqualToLength",
                    "Position is not equal to file length",
                    headers={"x-oss-next-append-position": str(size)},
                )
            self._room.check_object(size + staged.size)
            made = ObjectInfo(
                key,
                size + staged.size,
                # OSS documents that the ETag of an appendable object changes, but not how it is
                # computed.
                _md5((old.etag if old else "") + staged.etag),
                _crc64(self._read_files([(staged.name, staged.size)]), old.crc64)
                if old
                else staged.crc64,
                "Appendable",
                self._clock(),
                acl or (old.acl if old else "default"),
                old.headers if old else headers,
                (*(old.files if old else ()), (staged.name, staged.size)),
            )
            self._replace(bucket, made, overwrite=True)
        staged.stored = True
        return made

    def find(self, bucket: str, key: str) -> ObjectInfo | None:
        """Return an object's row, if it exists."""
        with self._lock:
            return self._find(bucket, key)

    def get(self, bucket: str, key: str) -> ObjectInfo:
        """Return an object's row. Raises NoSuchKey."""
        found = self.find(bucket, key)
        if found is None:
            raise no_such_key(key)
        return found

    def open(self, bucket: str, key: str) -> OpenObject:
        """Open an object. The object's bytes stay readable and unchanged, even if the key is
        overwritten or deleted.

        Raises NoSuchKey.
        """
        with self._lock:
            info = self.get(bucket, key)
            self._leases.update(name for name, _ in info.files)
        return OpenObject(info, self._data, self._release)

    def set_object_acl(self, bucket: str, key: str, acl: str) -> None:
        """Store an object's ACL. Raises NoSuchKey."""
        with self._transaction():
            self.get(bucket, key)
            self._index.execute(
                "UPDATE objects SET acl = ? WHERE bucket = ? AND key = ?",
                (acl, bucket, key.encode()),
            )

    def delete(self, bucket: str, keys: Iterable[str]) -> None:
        """Delete objects. If a key has no object, nothing happens."""
        obsolete: list[str] = []
        with self._transaction():
            for key in keys:
                old = self._find(bucket, key)
                if old is not None:
                    obsolete += [name for name, _ in old.files]
                    self._index.execute(
                        "DELETE FROM objects WHERE bucket = ? AND key = ?", (bucket, key.encode())
                    )
        self._remove(obsolete)

    def keys_from(
        self, bucket: str, start: bytes, *, inclusive: bool, prefix: bytes, limit: int
    ) -> list[ObjectInfo]:
        """Return at most `limit` objects under `prefix`, from the key `start` on, sorted by the
        bytes of their keys."""
        comparison = ">=" if inclusive else ">"
        return [
            _object(row)
            for row in self._rows(
                f"SELECT {_OBJECT} FROM objects WHERE bucket = ? AND key {comparison} ? "  # noqa: S608
                "AND key >= ? AND (? IS NULL OR key < ?) ORDER BY key LIMIT ?",
                bucket,
                start,
                prefix,
                *[successor(prefix)] * 2,
                limit,
            )
        ]

    # Multipart uploads

    def create_upload(
        self, bucket: str, key: str, *, headers: Mapping[str, str], acl: str
    ) -> Upload:
        """Begin a multipart upload. Raises SandboxFull, NoSuchBucket."""
        self._room.check(FILE_BYTES)
        upload = Upload(secrets.token_hex(16).upper(), key, self._clock(), acl, headers)
        with self._transaction():
            if self.bucket(bucket) is None:
                raise no_such_bucket(bucket)
            self._index.execute(
                "INSERT INTO uploads VALUES (?, ?, ?, ?, ?, ?)",
                (upload.id, bucket, key.encode(), upload.initiated, acl, json.dumps(dict(headers))),
            )
        return upload

    def upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        """Return an open upload of this key. Raises NoSuchUpload."""
        rows = self._rows(
            f"SELECT {_UPLOAD} FROM uploads WHERE id = ? AND bucket = ? AND key = ?",  # noqa: S608
            upload_id,
            bucket,
            key.encode(),
        )
        if not rows:
            raise no_such_upload(upload_id)
        return _upload(rows[0])

    def uploads(self, bucket: str, prefix: str) -> list[Upload]:
        """Return all uploads under a prefix of a bucket, sorted by key and then by age."""
        rows = self._rows(
            f"SELECT {_UPLOAD} FROM uploads WHERE bucket = ? AND key >= ? "  # noqa: S608
            "AND (? IS NULL OR key < ?) ORDER BY key, id",
            bucket,
            prefix.encode(),
            *[successor(prefix.encode())] * 2,
        )
        return [_upload(row) for row in rows]

    def put_part(self, bucket: str, key: str, upload_id: str, number: int, staged: Staged) -> Part:
        """Store finished bytes as a part. A stored part with the same number is replaced.

        Raises NoSuchUpload, or EntityTooLarge if all parts together would be too large.
        """
        part = Part(number, staged.size, staged.etag, staged.crc64, self._clock(), staged.name)
        with self._transaction():
            self.upload(bucket, key, upload_id)
            obsolete = self._rows(
                "SELECT file FROM parts WHERE upload = ? AND number = ?", upload_id, number
            )
            [(others,)] = self._rows(
                "SELECT coalesce(sum(size), 0) FROM parts WHERE upload = ? AND number <> ?",
                upload_id,
                number,
            )
            self._room.check_object(others + part.size)
            self._index.execute(
                "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    upload_id,
                    number,
                    part.size,
                    part.etag,
                    str(part.crc64),
                    part.modified,
                    part.file,
                ),
            )
        staged.stored = True
        self._remove(name for (name,) in obsolete)
        return part

    def parts(self, bucket: str, key: str, upload_id: str) -> list[Part]:
        """Return an upload's parts, by number. Raises NoSuchUpload."""
        with self._lock:
            self.upload(bucket, key, upload_id)
            return self._parts(upload_id)

    def complete_upload(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        parts: Sequence[Part],
        *,
        acl: str | None = None,
        overwrite: bool,
    ) -> ObjectInfo:
        """Make an object from `parts`, and drop all other parts of the upload.

        `parts` come from parts(). Without parts the object is empty. If `acl` is None, the object
        gets the ACL that was set when the upload began. Raises NoSuchUpload, FileAlreadyExists,
        EntityTooLarge, and InvalidPart if a part has changed since the call of parts().
        """
        upload = self.upload(bucket, key, upload_id)
        self._room.check_object(sum(part.size for part in parts))
        files = tuple((part.file, part.size) for part in parts)
        try:
            # The checksum needs the bytes of all parts, so it is computed outside of the
            # transaction.
            checksum = _crc64(self._read_files(files), 0)
        except FileNotFoundError:
            raise invalid_part() from None
        with self._transaction():
            self.upload(bucket, key, upload_id)
            stored = self._parts(upload_id)
            if not set(parts) <= set(stored):
                raise invalid_part()
            made = ObjectInfo(
                key,
                sum(part.size for part in parts),
                multipart_etag([part.etag for part in parts]),
                checksum,
                "Multipart",
                self._clock(),
                acl or upload.acl,
                upload.headers,
                files,
            )
            obsolete = self._replace(bucket, made, overwrite)
            self._drop_upload(upload_id)
        used = {part.file for part in parts}
        self._remove([*obsolete, *(part.file for part in stored if part.file not in used)])
        return made

    def abort_upload(self, bucket: str, key: str, upload_id: str) -> None:
        """Drop an upload and its parts. Raises NoSuchUpload."""
        with self._transaction():
            self.upload(bucket, key, upload_id)
            obsolete = self._parts(upload_id)
            self._drop_upload(upload_id)
        self._remove(part.file for part in obsolete)

    # The index

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._index.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._index.execute("COMMIT")
            except BaseException:
                # If the disk is full, SQLite has already rolled back.
                if self._index.in_transaction:
                    self._index.execute("ROLLBACK")
                raise

    def _rows(self, query: str, *values: object) -> list[Any]:
        with self._lock:
            return self._index.execute(query, values).fetchall()

    def _find(self, bucket: str, key: str) -> ObjectInfo | None:
        rows = self._rows(
            f"SELECT {_OBJECT} FROM objects WHERE bucket = ? AND key = ?",  # noqa: S608
            bucket,
            key.encode(),
        )
        return _object(rows[0]) if rows else None

    def _replace(self, bucket: str, made: ObjectInfo, overwrite: bool) -> list[str]:
        """Write the row, and return the files that no row uses any more."""
        # Another request may have deleted the bucket during this upload.
        if self.bucket(bucket) is None:
            raise no_such_bucket(bucket)
        old = self._find(bucket, made.key)
        if old is not None and not overwrite:
            raise file_already_exists()
        self._index.execute(
            "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                bucket,
                made.key.encode(),
                made.size,
                made.etag,
                # SQLite's integers are signed, so the checksum is stored as text.
                str(made.crc64),
                made.type,
                made.modified,
                made.acl,
                json.dumps(dict(made.headers)),
                json.dumps(made.files),
            ),
        )
        kept = {name for name, _ in made.files}
        return [name for name, _ in old.files if name not in kept] if old else []

    def _parts(self, upload_id: str) -> list[Part]:
        rows = self._rows(
            "SELECT number, size, etag, crc64, modified, file FROM parts WHERE upload = ? "
            "ORDER BY number",
            upload_id,
        )
        return [
            Part(number, size, etag, int(crc), modified, file)
            for number, size, etag, crc, modified, file in rows
        ]

    def _drop_upload(self, upload_id: str) -> None:
        self._index.execute("DELETE FROM parts WHERE upload = ?", (upload_id,))
        self._index.execute("DELETE FROM uploads WHERE id = ?", (upload_id,))

    # The data files

    def _read_files(self, files: Iterable[tuple[str, int]]) -> Iterator[bytes]:
        for name, _ in files:
            with (self._data / name).open("rb") as file:
                while chunk := file.read(READ_BYTES):
                    yield chunk

    def _remove(self, names: Iterable[str]) -> None:
        """Remove files that no row uses. A file that is being read is removed after the read."""
        for name in names:
            with self._lock:
                if self._leases[name]:
                    self._condemned.add(name)
                    continue
            path = self._data / name
            with suppress(FileNotFoundError):
                size = path.stat().st_size
                path.unlink()
                self._room.give_back(size + FILE_BYTES)

    def _release(self, info: ObjectInfo) -> None:
        with self._lock:
            self._leases.subtract(name for name, _ in info.files)
            free = {name for name, _ in info.files if not self._leases[name]}
            for name in free:
                del self._leases[name]
            obsolete = free & self._condemned
            self._condemned -= obsolete
        self._remove(obsolete)

    def _sweep(self) -> None:
        """Remove files that a killed process left behind, unless another process uses the
        folder."""
        try:
            fcntl.flock(self._folder_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            named = {name for (name,) in self._rows("SELECT file FROM parts")}
            for (files,) in self._rows("SELECT files FROM objects"):
                named.update(name for name, _ in json.loads(files))
            for path in self._data.iterdir():
                if path.name not in named:
                    path.unlink(missing_ok=True)
        fcntl.flock(self._folder_lock, fcntl.LOCK_SH)


# The rules have their own table, because an index of an earlier version has no column for them.
_BUCKETS = (
    "SELECT name, created, acl, cors, coalesce(rules, '[]') FROM buckets "
    "LEFT JOIN overwrite_rules ON bucket = name"
)
_OBJECT = "key, size, etag, crc64, type, modified, acl, headers, files"
_UPLOAD = "id, key, initiated, acl, headers"


def multipart_etag(parts: Sequence[str]) -> str:
    """Return the ETag of an object made of parts with these ETags.

    The ETag is the MD5 of the parts' ETags as text (S3 uses the bytes of the parts' ETags). The
    vendor's Go SDK has an example of this ETag (download_test.go). The ETag of an object without
    parts is not verified on the real OSS (assumption 64). An object that an earlier version of the
    sandbox made keeps its ETag.
    """
    return f"{_md5(''.join(parts))}-{len(parts)}"


def invalid_part() -> OssError:
    """Make the error for parts that are missing or differ from the client's list."""
    message = (
        "One or more of the specified parts could not be found or the specified entity tag "
        "might not have matched the part's entity tag."
    )
    return OssError(400, "InvalidPart", message)


def successor(prefix: bytes) -> bytes | None:
    """Return the first key after all keys that begin with `prefix`; None if there cannot be one."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else None


def _object(row: Sequence[Any]) -> ObjectInfo:
    key, size, etag, crc, kind, modified, acl, headers, files = row
    return ObjectInfo(
        key.decode(),
        size,
        etag,
        int(crc),
        kind,
        modified,
        acl,
        json.loads(headers),
        tuple((name, length) for name, length in json.loads(files)),
    )


def _upload(row: Sequence[Any]) -> Upload:
    upload_id, key, initiated, acl, headers = row
    return Upload(upload_id, key.decode(), initiated, acl, json.loads(headers))


def _crc64(chunks: Iterable[bytes], initial: int) -> int:
    for chunk in chunks:
        initial = crc64.xz(chunk, initial)
    return initial


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest().upper()
