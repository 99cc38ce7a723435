"""The built page, dist/web, as the sandbox serves it; built once for all workers of a test run."""

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
    # As `make run` does it beside: one build at a time. The packages are those of the tests.
    with (dist / ".web.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if page_build.is_needed(ROOT):
            command = ["node", "build.mjs"]
            done = subprocess.run(
                command, cwd=PAGE, capture_output=True, encoding="utf-8", check=False
            )
            assert done.returncode == 0, done.stderr
