"""Limits the bytes of each stored object, and of all together, if strangers may upload (LAN=1).

Everything on disk counts: objects, parts, incoming bytes, deleted files that are still being read,
and the index with all headers.
"""

from __future__ import annotations

import errno
import sqlite3
import threading
from pathlib import Path
from typing import NamedTuple

from sandbox.oss.errors import OssError
from sandbox.oss.request_sizes import too_large

FILE_BYTES = 4096
"""Minimum bytes that are counted for a file, even if it is empty."""
_MB = 1024**2
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Limits(NamedTuple):
    """Maximum bytes of one object, and of all stored files together."""

    object_bytes: int
    total_bytes: int


def is_full(error: Exception) -> bool:
    """Whether the reason for `error` is a full disk, or a limit of the system."""
    if isinstance(error, sqlite3.OperationalError):
        return "full" in str(error)
    return isinstance(error, OSError) and error.errno in _FULL


class Room:
    """Counts reserved and released bytes. If `limits` is None, every upload is accepted."""

    def __init__(self, root: Path, data: Path, limits: Limits | None) -> None:
        self._root = root
        self._limits = limits
        self._lock = threading.Lock()
        self._files = 0
        if limits is not None:
            self._files = sum(path.stat().st_size + FILE_BYTES for path in data.iterdir())

    def check_object(self, size: int) -> None:
        """Raise EntityTooLarge if an object of `size` bytes may not be stored."""
        if self._limits is not None and size > self._limits.object_bytes:
            limit = self._limits.object_bytes
            error = too_large(limit)
            error.message += f" (With LAN the sandbox accepts at most {limit // _MB} MB per file.)"
            raise error

    def check(self, size: int) -> None:
        """Raise SandboxFull if there is no room for `size` more bytes."""
        if self._limits is None:
            return
        index = sum(path.stat().st_size for path in self._root.glob("index.sqlite3*"))
        if self._files + index + size > self._limits.total_bytes:
            raise OssError(
                403,
                "SandboxFull",
                f"With LAN the sandbox stores at most {self._limits.total_bytes // _MB} MB in all. "
                "Delete objects, or stop the sandbox and run `make clean`. (This answer is the "
                "sandbox's own.)",
            )

    def take(self, size: int) -> None:
        """Reserve `size` bytes. If there is no room for them, raise SandboxFull and reserve
        nothing."""
        with self._lock:
            self.check(size)
            self._files += size

    def give_back(self, size: int) -> None:
        """Count `size` bytes as free again, because they are no longer on disk."""
        with self._lock:
            self._files -= size
