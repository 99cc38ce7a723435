"""How much may be stored, of one object and in all, where strangers may upload (LAN=1).

What counts is what lies on disk, so that nothing is left out: objects, parts, bytes on their way
in, files that are deleted and still being read, and the index with all headers.
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
"""What a file takes at least, empty ones too."""
_MB = 1024**2
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Limits(NamedTuple):
    """Bytes of one object, and of everything."""

    object_bytes: int
    total_bytes: int


def is_full(error: Exception) -> bool:
    """Whether an operation failed because the disk has no room, or may not be used any further."""
    if isinstance(error, sqlite3.OperationalError):
        return "full" in str(error)
    return isinstance(error, OSError) and error.errno in _FULL


class Room:
    """Counts bytes that are taken and given back. Without limits there is always room."""

    def __init__(self, root: Path, data: Path, limits: Limits | None) -> None:
        self._root = root
        self._limits = limits
        self._lock = threading.Lock()
        self._files = 0
        if limits is not None:
            self._files = sum(path.stat().st_size + FILE_BYTES for path in data.iterdir())

    def check_object(self, size: int) -> None:
        """Raise EntityTooLarge where an object of `size` bytes may not be stored."""
        if self._limits is not None and size > self._limits.object_bytes:
            limit = self._limits.object_bytes
            error = too_large(limit)
            error.message += f" (With LAN the sandbox takes {limit // _MB} MB a file.)"
            raise error

    def check(self, size: int) -> None:
        """Raise SandboxFull where there is no room for `size` bytes more."""
        if self._limits is None:
            return
        index = sum(path.stat().st_size for path in self._root.glob("index.sqlite3*"))
        if self._files + index + size > self._limits.total_bytes:
            raise OssError(
                403,
                "SandboxFull",
                f"With LAN the sandbox stores {self._limits.total_bytes // _MB} MB in all. Delete "
                "objects, or end it and run: make clean. (This answer is the sandbox's own.)",
            )

    def take(self, size: int) -> None:
        """Take `size` bytes. Raises SandboxFull; then none is taken."""
        with self._lock:
            self.check(size)
            self._files += size

    def give_back(self, size: int) -> None:
        """Say that `size` bytes lie on disk no more."""
        with self._lock:
            self._files -= size
