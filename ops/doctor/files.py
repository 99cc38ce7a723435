"""Opens files of other programs, and never waits, even if the path is a pipe."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_WITHOUT_WAITING = getattr(os, "O_NONBLOCK", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


@contextmanager
def opened(path: Path, follows_links: bool = True) -> Iterator[BinaryIO]:
    """Open a regular file to read. Raises OSError, also for a pipe or a device. Raises ValueError
    if the path cannot exist."""
    more = _WITHOUT_WAITING | (0 if follows_links else _NO_LINK)
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | more)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is not a file")
        yield file
