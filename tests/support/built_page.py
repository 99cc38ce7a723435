"""The built page, dist/web, as the sandbox serves it. All workers of a test run share one build."""

from __future__ import annotations

import fcntl
import subprocess

from javascript import PAGE, need
from sandbox import ROOT, page_build


def built_page() -> None:
    """Build dist/web, unless it is newer than its sources."""
    need("The page", browser=True)
    dist = ROOT / "dist"
    dist.mkdir(exist_ok=True)
    # One build at a time: `make run` may build the page too, and takes the same lock. The packages
    # are those of the tests.
    with (dist / ".web.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if page_build.is_needed(ROOT):
            command = ["node", "build.mjs"]
            done = subprocess.run(
                command, cwd=PAGE, capture_output=True, encoding="utf-8", check=False
            )
            assert done.returncode == 0, done.stderr
