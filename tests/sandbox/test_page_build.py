"""The build of the page, in the background of a run or by itself. Builds run one at a time."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import needs
from running_sandbox import ROOT, RUN, environment, make, running, wait_for
from sandbox import page_build

NPM = """#!/bin/sh
echo "npm $*; secret=$ALIBABA_CLOUD_ACCESS_KEY_SECRET; make=$MAKEFLAGS" >> "$LOG"
mkdir -p node_modules && echo > node_modules/.package-lock.json
"""
NODE = """#!/bin/sh
if [ "$1" = --version ]; then echo v20.11.0; exit; fi
echo "node $*" >> "$LOG"
mkdir -p dist/web && echo page > dist/web/index.html && echo "{}" > dist/web/config.json
"""
HANGING = """#!/bin/sh
if [ "$1" = --version ]; then echo v20.11.0; exit; fi
sleep 600 &
echo "$$ $!" > "$LOG.pids"
wait
"""


@dataclass(frozen=True)
class Checkout:
    """A checkout whose npm and Node.js are scripts that record their arguments."""

    root: Path
    programs: Path

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def asked(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    @property
    def env(self) -> dict[str, str]:
        return {"PATH": f"{self.programs}:/usr/bin:/bin", "LOG": str(self.log)}

    def program(self, name: str, text: str) -> None:
        path = self.programs / name
        path.write_text(text)
        path.chmod(0o755)

    def built(self) -> Path:
        return self.root / "dist" / "web" / "index.html"

    def pids(self) -> list[int]:
        """The process ids of the Node.js that hangs, and of its child process."""
        file = Path(f"{self.log}.pids")
        wait_for(lambda: file.exists() and file.read_text().endswith("\n"))
        return [int(pid) for pid in file.read_text().split()]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    root, programs = tmp_path / "checkout", tmp_path / "bin"
    for folder in ("page", "client"):
        (root / "web" / folder).mkdir(parents=True)
    for name in ("page/main.js", "client/oss_upload.js", "build.mjs", "package-lock.json"):
        (root / "web" / name).write_text("")
    programs.mkdir()
    made = Checkout(root, programs)
    made.program("npm", NPM)
    made.program("node", NODE)
    for variable, value in made.env.items():
        monkeypatch.setenv(variable, value)
    return made


def sooner(file: Path, seconds: int) -> None:
    """Set a file's time to some seconds ago."""
    now = time.time()
    os.utime(file, (now - seconds, now - seconds))


def is_alive(pid: int) -> bool:
    """Whether a process is running. A zombie has ended, but its parent has not collected it yet, so
    it is not running."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        stat = Path(f"/proc/{pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] != "Z"
    return False


# Whether a build is needed


def test_it_is_needed_until_it_is_there_and_when_a_source_is_newer(checkout: Checkout) -> None:
    assert page_build.is_needed(checkout.root)
    page_build.build(checkout.root, quiet=True)
    assert not page_build.is_needed(checkout.root)
    config = checkout.built().with_name("config.json")
    for source in ("web/page/main.js", "web/client/oss_upload.js", "web/build.mjs"):
        sooner(config, 10)
        assert page_build.is_needed(checkout.root)
        for file in checkout.root.rglob("*"):
            sooner(file, 20)
        sooner(config, 10)
        assert not page_build.is_needed(checkout.root)
        (checkout.root / source).write_text("changed")
        assert page_build.is_needed(checkout.root)
    checkout.built().unlink()
    assert page_build.is_needed(checkout.root)


def test_packages_are_installed_once_and_without_those_of_the_tests(checkout: Checkout) -> None:
    page_build.build(checkout.root, quiet=True)
    page_build.build(checkout.root, quiet=False)
    assert [line.partition(";")[0] for line in checkout.asked] == [
        "npm ci --omit=dev --loglevel=error",
        "node web/build.mjs",
        "node web/build.mjs",
    ]
    sooner(checkout.root / "web" / "node_modules" / ".package-lock.json", 10)
    page_build.build(checkout.root, quiet=False)
    assert checkout.asked[3].startswith("npm ci")


# Beside a run


@contextlib.contextmanager
def beside(checkout: Checkout, **variables: str) -> Iterator[None]:
    with page_build.beside(checkout.root, {**checkout.env, **variables}):
        yield


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "sandbox.page"]


def test_it_is_said_that_it_begins_and_that_it_is_done(
    checkout: Checkout, caplog: pytest.LogCaptureFixture
) -> None:
    with beside(checkout, MAKEFLAGS="PORT=9000"):
        wait_for(lambda: len(said(caplog)) == 2)
        assert checkout.built().exists()
    begins, done = said(caplog)
    assert "/app/ shows a small page while npm builds the full page in the background" in begins
    assert done == "the page is built: reload /app/"
    assert checkout.asked[0].endswith("secret=; make=")


def test_what_is_built_already_is_neither_built_nor_spoken_of(
    checkout: Checkout, caplog: pytest.LogCaptureFixture
) -> None:
    page_build.build(checkout.root, quiet=True)
    with beside(checkout):
        pass
    assert said(caplog) == []
    assert len(checkout.asked) == 2


def test_an_older_page_stays_while_a_newer_one_is_built(
    checkout: Checkout, caplog: pytest.LogCaptureFixture
) -> None:
    page_build.build(checkout.root, quiet=True)
    sooner(checkout.built().with_name("config.json"), 10)
    with beside(checkout):
        wait_for(lambda: len(said(caplog)) == 2)
    assert "/app/ shows the page of an earlier build while" in said(caplog)[0]


def test_without_npm_it_is_said_what_builds_it(
    checkout: Checkout, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with beside(checkout):
        pass
    (line,) = said(caplog)
    assert line == "/app/ shows a small page: to build the full page, install Node.js and npm"


OFFLINE = """#!/bin/sh
echo 'npm error code ENOTFOUND' >&2
echo 'npm error request to http://user:secret@a.example/xtend failed, reason: getaddrinfo' >&2
printf 'npm error \\033[31mA complete log of this run can be found in: /root\\n' >&2
exit 1
"""
BROKEN = """#!/bin/sh
if [ "$1" = --version ]; then echo v20.11.0; exit; fi
printf 'one\\n\\n\\033[31mX [ERROR] Could not resolve "uppy"\\ntwo\\n'
exit 1
"""


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        (
            "npm",
            OFFLINE,
            "npm ci failed: request to http://a.example/xtend failed, reason: getaddrinfo",
        ),
        ("npm", "#!/bin/sh\nexit 1\n", "npm ci failed"),
        ("node", BROKEN, 'node web/build.mjs failed: [31mX [ERROR] Could not resolve "uppy"'),
        (
            "node",
            "#!/bin/sh\necho v18.1.0\n",
            "the build needs Node.js 20 or newer, but this is v18.1.0",
        ),
    ],
)
def test_a_failed_build_says_why_and_what_shows_it_and_the_small_page_stays(
    checkout: Checkout, caplog: pytest.LogCaptureFixture, name: str, text: str, reason: str
) -> None:
    checkout.program(name, text)
    with beside(checkout):
        wait_for(lambda: len(said(caplog)) == 2)
    line = said(caplog)[1]
    start = "the page is not built, so /app/ still shows a small page"
    assert line == f"{start}: {reason}. Run `make web` to see why"
    assert not checkout.built().exists()


def test_where_nothing_can_be_written_it_is_said_and_nothing_breaks(
    checkout: Checkout, caplog: pytest.LogCaptureFixture
) -> None:
    (checkout.root / "dist").write_text("no folder")
    with beside(checkout):
        wait_for(lambda: len(said(caplog)) == 2)
    assert "dist" in said(caplog)[1]


def test_two_builds_at_once_are_one(checkout: Checkout, caplog: pytest.LogCaptureFixture) -> None:
    """The second build waits, and then sees that no build is needed."""
    go = checkout.root / "go"
    waiting = NODE.replace("mkdir -p", f"while [ ! -e {go} ]; do sleep 0.05; done; mkdir -p", 1)
    checkout.program("node", waiting)
    with beside(checkout), beside(checkout):
        wait_for(lambda: "node web/build.mjs" in checkout.asked)
        go.touch()
        wait_for(lambda: len(said(caplog)) == 4)
    assert checkout.asked.count("node web/build.mjs") == 1
    assert said(caplog)[2:] == ["the page is built: reload /app/"] * 2


# The end of a build


def test_a_build_ends_with_the_block_and_with_all_that_it_started(
    checkout: Checkout, caplog: pytest.LogCaptureFixture
) -> None:
    checkout.program("node", HANGING)
    with beside(checkout):
        pids = checkout.pids()
        assert all(map(is_alive, pids))
    wait_for(lambda: not any(map(is_alive, pids)))
    # A build that was stopped on purpose did not fail.
    assert len(said(caplog)) == 1


@pytest.fixture
def copy(checkout: Checkout) -> Checkout:
    """The checkout of the fixture `checkout`, with its own copy of the sandbox."""
    for folder in ("sandbox", "functions", "ops", "policies", "web/small"):
        if (ROOT / folder).exists():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / folder, checkout.root / folder, ignore=ignore)
    shutil.copy(ROOT / "Makefile", checkout.root)
    return checkout


def variables(copy: Checkout) -> dict[str, str]:
    path = f"{copy.root}{os.pathsep}{copy.root / 'functions' / 'sts_token'}"
    return {**copy.env, "PYTHONPATH": path}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_of_a_build_outlives_its_run(
    copy: Checkout, tmp_path: Path, number: signal.Signals
) -> None:
    copy.program("node", HANGING)
    command = (*RUN, "--build-page")
    with running(tmp_path / "state", 0, command, **variables(copy)) as sandbox:
        pids = copy.pids()
        if number is signal.SIGKILL:
            sandbox.process.kill()
            sandbox.process.wait(10)
        else:
            # The sandbox ends within 3 s, and does not report a failed build.
            sandbox.end(number)
            assert "not built" not in sandbox.stderr
    wait_for(lambda: not any(map(is_alive, pids)))


def test_the_page_is_built_where_that_is_asked_for_and_else_not(
    copy: Checkout, tmp_path: Path
) -> None:
    with running(tmp_path / "alone", **variables(copy)) as sandbox:
        assert sandbox.ask("/app/config.json")[1]["fullPage"] is False
        assert "the full page" not in sandbox.stderr
    assert copy.asked == []
    with running(tmp_path / "built", 0, (*RUN, "--build-page"), **variables(copy)) as sandbox:
        wait_for(lambda: "the page is built" in sandbox.stderr)
        assert sandbox.ask("/app/config.json")[1]["fullPage"] is True
    assert copy.asked[0].endswith("secret=; make=")


# By make


@pytest.mark.parametrize(("more", "builds"), [((), True), (("BUILD_PAGE=no",), False)])
def test_make_run_asks_for_it_unless_told_otherwise(more: tuple[str, ...], builds: bool) -> None:
    command = [part for part in make("-n", "run", *more) if part != "BUILD_PAGE=no" or more]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    assert ("-m sandbox run --build-page" in done.stdout) is builds


def test_make_web_builds_it_and_fails_where_that_fails(copy: Checkout, tmp_path: Path) -> None:
    command = [needs.program("make"), "web", f"PYTHON={sys.executable}"]
    env = {**environment(tmp_path), **variables(copy)}
    done = subprocess.run(command, cwd=copy.root, env=env, capture_output=True, check=False)
    assert (done.returncode, copy.built().exists()) == (0, True), done.stderr
    copy.program("node", BROKEN)
    done = subprocess.run(command, cwd=copy.root, env=env, capture_output=True, check=False)
    assert done.returncode != 0
    # The output of Node.js is shown.
    assert b"Could not resolve" in done.stdout
    assert b"make web: node web/build.mjs failed\n" in done.stderr
