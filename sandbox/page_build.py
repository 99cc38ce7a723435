"""Builds the page, web/page -> dist/web: alone (make web), or in the background of `make run`.

The build needs Node.js and npm, but no Python packages. Only one build runs at a time, and other
builds wait. When a background build has waited, it checks whether a build is still needed. When a
build ends, its child processes end too. When `make run` ends, even by a kill, its build ends too.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from sandbox import ROOT

LEAST_NODE = 20  # the major version of Node.js that the page's packages need
_SOURCES = ("web/page", "web/client", "web/build.mjs", "web/package-lock.json", "docs/errors.json")
_COMMAND = "make web"

log = logging.getLogger("sandbox.page")


class Failed(Exception):
    """Raised if the build fails. The message gives the reason in one line."""


def is_needed(root: Path) -> bool:
    """Whether the page must be built: it is missing, or it is older than its sources."""
    # The time of config.json is the time of the last build, because every build writes this file
    # anew. Other built files are copies, which may have older times.
    built = _written(root / "dist" / "web" / "config.json")
    if not built or not (root / "dist" / "web" / "index.html").is_file():
        return True
    sources = (root / name for name in _SOURCES)
    files = (file for source in sources for file in (source, *source.rglob("*")))
    return any(_written(file) > built for file in files)


def build(root: Path, *, quiet: bool) -> None:
    """Build the page. Raises Failed, or OSError if the page cannot be written.

    With `quiet` the page is built only if this is needed, and npm and Node.js print nothing.
    """
    missing = _missing()
    if missing:
        raise Failed(missing)
    web, dist = root / "web", root / "dist"
    dist.mkdir(exist_ok=True)
    with (dist / ".web.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if quiet and not is_needed(root):
            return
        # npm writes this file at the end of an installation.
        installed = _written(web / "node_modules" / ".package-lock.json")
        if installed < _written(web / "package-lock.json"):
            _run(["npm", "ci", "--omit=dev", "--loglevel=error"], web, quiet=quiet)
        _run(["node", "web/build.mjs"], root, quiet=quiet)


@contextlib.contextmanager
def beside(root: Path, env: Mapping[str, str]) -> Iterator[None]:
    """Build the page while the block runs, if a build is needed, and log the result.

    `env` is the environment of npm and Node.js. `env` may name a proxy and a registry, but must not
    hold secrets.
    """
    log.setLevel(logging.INFO)
    if not is_needed(root):
        yield
        return
    is_built = (root / "dist" / "web" / "index.html").is_file()
    shown = "the page of an earlier build" if is_built else "a small page"
    if shutil.which("npm") is None or shutil.which("node") is None:
        log.info("/app/ shows %s: to build the full page, install Node.js and npm", shown)
        yield
        return
    kept = {name: value for name, value in env.items() if not name.startswith("MAKE")}
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox.page_build", "--beside"],
        cwd=root,
        env={**kept, "PYTHONPATH": str(ROOT)},
        # The build ends when the other end of this pipe is closed.
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        # The build is a process group of its own, so that all its processes end together.
        start_new_session=True,
    )
    log.info("/app/ shows %s while npm builds the full page in the background", shown)
    has_ended = threading.Event()

    def tell() -> None:
        assert process.stdout is not None  # noqa: S101 - a pipe
        reason = process.stdout.read().strip()
        if process.wait() == 0:
            log.info("the page is built: reload /app/")
        elif not has_ended.is_set():
            log.warning(
                "the page is not built, so /app/ still shows %s: %s. Run `%s` to see why",
                shown,
                reason,
                _COMMAND,
            )

    thread = threading.Thread(target=tell, name="page build", daemon=True)
    thread.start()
    try:
        yield
    finally:
        has_ended.set()
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        thread.join()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def main(arguments: list[str], root: Path) -> int:
    """Build the page of the checkout `root`. Returns 0, or 1 after one line with the reason."""
    is_beside = arguments == ["--beside"]
    if is_beside:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        build(root, quiet=is_beside)
    except (Failed, OSError) as error:
        print(error if is_beside else f"{_COMMAND}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _end_with_parent() -> None:
    """End with all child processes when the other end of stdin closes. A kill closes it too."""
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


def _missing() -> str:
    """A text that names missing requirements of the build; "" if nothing is missing."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return (
            f"the build needs Node.js {LEAST_NODE} or newer, and npm "
            "(apt-get install nodejs npm, or https://nodejs.org)"
        )
    said = subprocess.run([node, "--version"], capture_output=True, encoding="utf-8", check=False)
    found = re.match(r"v(\d+)\.", said.stdout)
    if found and int(found[1]) < LEAST_NODE:
        return f"the build needs Node.js {LEAST_NODE} or newer, but this is {said.stdout.strip()}"
    return ""


def _run(command: list[str], folder: Path, *, quiet: bool) -> None:
    """Raises Failed if it fails."""
    done = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT if quiet else None,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        reason = _reason(done.stdout) if quiet else ""
        raise Failed(" ".join(command[:2]) + " failed" + (f": {reason}" if reason else ""))


def _reason(output: str) -> str:
    """The most useful line: the first about the network, else the first error, else the last
    line."""
    lines = [" ".join(line.split()) for line in output.splitlines() if line.strip()]
    telling = (
        [line for line in lines if "reason:" in line]
        or [line for line in lines if re.search(r"\b(?:error|Error|ERROR)\b(?! code)", line)]
        or lines[-1:]
    )
    text = "".join(c for c in "".join(telling[:1]) if c.isprintable())
    # A registry's URL may have a password.
    return re.sub(r"^npm error |(?<=//)[^/@ ]*@", "", text)[:300]


def _written(file: Path) -> float:
    """The time when a file was last written, or 0 if the file does not exist."""
    try:
        return file.stat().st_mtime
    except OSError:
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Path.cwd()))
