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
    # The lock allows only one build at a time, because `make run` may build the page too. The build
    # uses the npm packages that are installed for the tests.
    with (dist / ".web.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if page_build.is_needed(ROOT):
            command = ["node", "build.mjs"]
            done = subprocess.run(
                command, cwd=PAGE, capture_output=True, encoding="utf-8", check=False
            )
            assert done.returncode == 0, done.stderr
