"""Gives processes a share of a CPU, with control groups if the machine allows them."""

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
    """Yield a prefix for a command. The prefix limits the command and all its child processes to
    this share of a CPU. Yield None if no control group (v1 or v2) can be made."""
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
            # Mode r+ makes no new file, because a file that the kernel did not make limits nothing.
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
