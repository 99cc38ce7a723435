"""Checks whether Node, Chromium and npm packages are there, and runs scripts of tests/web.

If they are missing, the tests that need them are skipped, so `make test` needs only Python. If the
variable CI has any value, these tests fail and are not skipped. So CI skips no test of tests/web.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from needs import left_out

WEB = Path(__file__).resolve().parents[1] / "web"
PAGE = Path(__file__).resolve().parents[2] / "web"
"""The package.json in this folder pins the npm packages of the page and of the tests. tests/web
links to these packages."""
LEAST_NODE = 20
"""playwright-core 1.65 refuses to start on an older Node.js."""

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def need(what: str, browser: bool, folder: Path = PAGE) -> None:
    """Check that this machine has everything that the test's script needs. If something is missing,
    skip the test, or fail it if CI is set.

    `folder` has the package.json with the packages that the script uses.
    """
    if missing := list(_missing(browser, folder)):
        left_out(what, f"this machine lacks {', '.join(missing)}")


def is_there() -> bool:
    """Whether Node and the npm packages are there."""
    return not list(_missing(browser=False, folder=PAGE))


def run(script: str, job: Mapping[str, object], *, own_group: bool = False) -> dict[str, Any]:
    """Run a script of tests/web with a job on its stdin; return what it prints. With `own_group`,
    a Ctrl-C in the terminal does not end the script."""
    done = subprocess.run(
        ["node", script],  # noqa: S607 - whichever is on the PATH
        cwd=WEB,
        input=json.dumps({**job, "chromium": _browser()}),
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
        start_new_session=own_group,
    )
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def _missing(browser: bool, folder: Path) -> Iterator[str]:
    found = re.match(r"v(\d+)\.", _version("node"))
    if not found or int(found[1]) < LEAST_NODE:
        yield f"Node.js {LEAST_NODE} or newer (apt-get install nodejs npm, or https://nodejs.org)"
    manifest = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    pins = {**manifest.get("dependencies", {}), **manifest.get("devDependencies", {})}
    if any(_installed(folder, name) != version for name, version in pins.items()):
        place = folder.relative_to(PAGE.parent)
        yield f"the npm packages of {place} (npm ci there, which make test does)"
    if browser and _browser() is None:
        yield "Chromium (apt-get install chromium)"


def _installed(folder: Path, package: str) -> str | None:
    manifest = folder / "node_modules" / package / "package.json"
    try:
        version: str = json.loads(manifest.read_text(encoding="utf-8"))["version"]
    except FileNotFoundError:
        return None
    return version


def _browser() -> str | None:
    # The check asks for the version, because Ubuntu may have a program of this name that only says
    # how to install Chromium.
    return next((shutil.which(name) for name in BROWSERS if _version(name)), None)


def _version(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        return ""
    done = subprocess.run(
        [path, "--version"], capture_output=True, encoding="utf-8", timeout=60, check=False
    )
    return done.stdout if done.returncode == 0 else ""
