"""Limits processes to a share of a CPU. This needs the right to make a Linux cgroup."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_PERIOD = 100_000
"""The kernel's period in microseconds. A share of 0.1 is 10 ms of each 100 ms."""
_NUMBERS = count()


@contextmanager
def share(vcpu: float, groups: Path = _GROUPS) -> Iterator[list[str] | None]:
    """Yield the words that must stand before a command, so that the command and all its child
    processes get only this share of a CPU. Yield None if this process may not make a Linux cgroup
    (v1 or v2)."""
    v1 = groups / "cpu"
    group = (v1 if v1.is_dir() else groups) / f"bench-{os.getpid()}-{next(_NUMBERS)}"
    quota = int(_PERIOD * vcpu)
    limits = {"cpu.max": f"{quota} {_PERIOD}"}
    if v1.is_dir():
        limits = {"cpu.cfs_period_us": f"{_PERIOD}", "cpu.cfs_quota_us": f"{quota}"}
    before = ["/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', str(group / "cgroup.procs")]
    try:
        group.mkdir()
        for name, value in limits.items():
            # Mode r+ fails if the kernel has not made this file. Mode w would make an ordinary
            # file, and this file would limit nothing.
            with (group / name).open("r+") as file:
                file.write(value)
    except OSError:
        yield None
    else:
        yield before
    finally:
        # The kernel needs a moment to detect that the last process has ended.
        for _ in range(50):
            with suppress(FileNotFoundError, OSError):
                group.rmdir()
            if not group.exists():
                break
            time.sleep(0.02)
