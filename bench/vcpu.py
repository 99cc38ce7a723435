"""A share of a CPU for processes, by control groups, where these can be made."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_PERIOD = 100_000
"""Microseconds, as the kernel has it: a share of 0.1 is 10 ms of each 100."""
_NUMBERS = count()


@contextmanager
def share(vcpu: float, groups: Path = _GROUPS) -> Iterator[list[str] | None]:
    """What to put before a command, so that it has that much of a CPU, with all that it starts.
    None where no control group (v1 or v2) can be made."""
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
            # Not created: what is no file of the kernel's limits nothing.
            with (group / name).open("r+") as file:
                file.write(value)
    except OSError:
        yield None
    else:
        yield before
    finally:
        # The kernel takes a moment to see that the last process has gone.
        for _ in range(50):
            with suppress(FileNotFoundError, OSError):
                group.rmdir()
            if not group.exists():
                break
            time.sleep(0.02)
