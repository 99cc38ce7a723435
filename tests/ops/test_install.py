"""Tests that the real make, pip and npm install the packages that make's targets need, in a
temporary checkout. The package index is on loopback. In some tests the index refuses connections,
answers 403, or lacks a version. No test uses the network."""

from __future__ import annotations

import ctypes
import hashlib
import http.server
import io
import os
import re
import shutil
import site
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import architecture
import needs
from ops import ROOT, install

PACKAGE = "page_of_nothing"
TARGETS = re.findall(r"^([a-z-]+):(.*)## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the Makefile, one package to install, and a sandbox that only prints a
    line."""
    needs.program("make")
    for name in ("Makefile", "ops/__init__.py", "ops/install.py"):
        target = tmp_path / name
        target.parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, target)
    for name in (
        "functions/sts_token/requirements.txt",
        "requirements-build.txt",
        "pyproject.toml",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "requirements-run.txt").write_text(locked())
    (tmp_path / "requirements-dev.txt").write_text("-r requirements-run.txt\n")
    (tmp_path / "sandbox").mkdir()
    (tmp_path / "sandbox" / "__main__.py").write_text(f"import {PACKAGE}\nprint('it ran')\n")
    return tmp_path


def with_pip(checkout: Path) -> None:
    """Make a virtual environment that looks as if its first set-up had failed. It uses the pip of
    the Python that runs the tests."""
    folder = checkout / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "pip.pth").write_text("\n".join(site.getsitepackages()))


def make(
    checkout: Path,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    before: Callable[[], None] | None = None,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [needs.program("make"), f"PYTHON={sys.executable}", *arguments],
        preexec_fn=before,
        cwd=checkout,
        env={"PATH": os.environ["PATH"], "PIP_CONFIG_FILE": os.devnull, **(env or {})},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def locked() -> str:
    digest = hashlib.sha256(wheel("1.0")[1]).hexdigest()
    return f"--only-binary :all:\n{PACKAGE}==1.0 --hash=sha256:{digest}\n"


def wheel(version: str, code: str = "") -> tuple[str, bytes]:
    """Return the file name and the bytes of a wheel of PACKAGE."""
    info, file = f"{PACKAGE}-{version}.dist-info", io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in {
            f"{PACKAGE}.py": code,
            f"{info}/METADATA": f"Name: {PACKAGE}\nVersion: {version}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nTag: py3-none-any\n",
            f"{info}/RECORD": "",
        }.items():
            # The default time of ZipInfo never changes, so the wheel always has the hash that is
            # locked.
            archive.writestr(zipfile.ZipInfo(name), text)
    return f"{PACKAGE}-{version}-py3-none-any.whl", file.getvalue()


@contextmanager
def index(
    version: str = "1.0", status: int = 200, file: tuple[str, bytes] | None = None
) -> Iterator[str]:
    """Yield the URL of a package index. The index has only this version, and answers all requests
    with this status."""
    name, content = file or wheel(version)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = content if self.path.endswith(name) else f'<a href="{name}">{name}</a>'.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Log nothing, because people read pytest's output."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


REFUSES = "http://user:secret@127.0.0.1:9/"


def settings(url: str) -> dict[str, str]:
    return {"PIP_INDEX_URL": f"{url}simple/", "PIP_RETRIES": "0", "npm_config_registry": url}


# pip


@pytest.mark.slow
def test_where_the_network_fails_it_says_so_and_the_next_run_goes_on(checkout: Path) -> None:
    with_pip(checkout)
    for _ in range(2):
        done = make(checkout, "run", env=settings(REFUSES))
        assert done.returncode == 2
        assert "The network failed: 127.0.0.1 does not answer." in done.stderr
        for name in ("HTTPS_PROXY", "PIP_INDEX_URL", "npm_config_registry"):
            assert f"export {name}=" in done.stderr
        assert len(done.stderr.splitlines()) < 12, "pip's own output is shortened"
        log = (checkout / ".venv" / "setup.log").read_text()
        assert "Connection refused" in log
        assert "secret" not in done.stdout + done.stderr + log
        assert not list((checkout / ".venv").glob(".ready*"))
    with index() as url:
        done = make(checkout, "run", env=settings(url))
    assert done.returncode == 0, done.stderr
    # The texts of the set-up go to stderr, because a command like LOGIN=$(make -s login
    # CALLER=alice) reads stdout.
    assert "Setting up .venv for make run" in done.stderr
    assert done.stdout == "it ran\n"
    # The next run installs no package, so it works even if the index refuses connections.
    assert make(checkout, "run", env=settings(REFUSES)).stdout == "it ran\n"


@pytest.mark.slow
@pytest.mark.parametrize("version", ["2.0", "none at all"])
def test_a_version_that_does_not_exist_is_no_fault_of_the_network(
    checkout: Path, version: str
) -> None:
    with_pip(checkout)
    with index(version, 200 if version == "2.0" else 404) as url:
        done = make(checkout, "run", env=settings(url))
    assert done.returncode == 2
    assert f"the index does not have {PACKAGE}==1.0." in done.stderr
    assert "(PIP_INDEX_URL, npm_config_registry) may be old" in done.stderr
    assert "The network failed" not in done.stderr


@pytest.mark.slow
def test_a_proxy_that_refuses_counts_as_the_network(checkout: Path) -> None:
    with_pip(checkout)
    with index(status=403) as url:
        done = make(checkout, "run", env=settings(url))
    assert "The network failed" in done.stderr


@pytest.mark.slow
def test_a_file_that_is_not_the_locked_one_is_never_installed(checkout: Path) -> None:
    """An index, a mirror or a proxy may send another file with the right name."""
    with_pip(checkout)
    with index(file=wheel("1.0", "print('stolen')")) as url:
        done = make(checkout, "run", env=settings(url))
    assert done.returncode == 2
    assert f"This file is not the file in the lock: {PACKAGE}==1.0" in done.stderr
    assert "stolen" not in done.stdout
    assert not list(checkout.glob(f".venv/lib/python*/site-packages/{PACKAGE}*"))


@pytest.mark.slow
def test_a_package_without_a_hash_is_never_installed(checkout: Path) -> None:
    with_pip(checkout)
    (checkout / "requirements-run.txt").write_text(f"{PACKAGE}==1.0\n")
    with index() as url:
        done = make(checkout, "run", env=settings(url))
    assert done.returncode == 2
    assert "A lock lacks a package or its hash: run `make lock`." in done.stderr
    assert not list(checkout.glob(f".venv/lib/python*/site-packages/{PACKAGE}*"))


@pytest.mark.slow
def test_a_source_that_is_not_named_is_never_built(checkout: Path) -> None:
    """To build a source package, pip runs its code. `make run CLOUD=1` has the real key in its
    environment."""
    with_pip(checkout)
    source = f"{PACKAGE}-1.0.tar.gz"
    digest = hashlib.sha256(b"never read").hexdigest()
    (checkout / "requirements-run.txt").write_text(
        f"--only-binary :all:\n{PACKAGE}==1.0 --hash=sha256:{digest}\n"
    )
    with index(file=(source, b"never read")) as url:
        done = make(checkout, "run", env=settings(url))
    assert done.returncode == 2
    assert f"the index does not have {PACKAGE}==1.0." in done.stderr


@pytest.mark.slow
def test_what_the_tests_need_is_enough_for_the_rest(checkout: Path) -> None:
    with_pip(checkout)
    with index() as url:
        done = make(checkout, ".venv/.ready", env=settings(url))
        assert "Setting up .venv for tests and checks" in done.stderr
        assert make(checkout, "run", env=settings(REFUSES)).stdout == "it ran\n"
        # All packages for tests and checks were installed here. So, after requirements-run.txt has
        # changed, `make run` installs all these packages again, and not only its own packages.
        (checkout / "requirements-run.txt").write_text(f"{locked()}# changed\n")
        done = make(checkout, "run", env=settings(url))
    assert "Setting up .venv for tests and checks" in done.stderr
    assert not (checkout / ".venv" / ".ready-run").exists()


# venv


def test_a_folder_that_cannot_be_written_to_is_named(checkout: Path) -> None:
    """For example, the checkout may belong to another user. An earlier version reported a missing
    venv module instead."""
    checkout.chmod(0o555)
    done = make(checkout, "run", before=bind_root)
    checkout.chmod(0o755)
    assert done.returncode == 2
    assert f"cannot be written to: {checkout}" in done.stderr
    assert "python3-venv" not in done.stderr


def bind_root() -> None:
    """Take CAP_DAC_OVERRIDE away from root. Root then needs the same rights on a folder as other
    users (capabilities(7))."""
    if os.geteuid() == 0:
        drop_from_bounding_set, dac_override = 24, 1
        ctypes.CDLL(None).prctl(drop_from_bounding_set, dac_override, 0, 0, 0)


SAID = {
    "Error: [Errno 13] Permission denied: '/srv/project/.venv'": "cannot be written to",
    "Error: [Errno 30] Read-only file system: '/srv/project/.venv'": "cannot be written to",
    "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device": (
        "The disk is full."
    ),
    "npm error code EAI_AGAIN\nnpm error request to https://registry.example/x failed, reason: ": (
        "The network failed: registry.example does"
    ),
    "npm error code E503\nnpm error 503 Service Unavailable - GET https://registry.example/x": (
        "The network failed"
    ),
    "npm error code ETARGET\nnpm error notarget No matching version found for x@1.0.": "have x@1.0",
    "error: the compiler is missing": "",
}


@pytest.mark.parametrize("said", SAID)
def test_the_reason_is_read_from_what_was_said(said: str) -> None:
    reason = install.why(said)
    assert SAID[said] in reason
    assert bool(SAID[said]) == bool(reason)


def test_a_python_without_venv_leads_to_its_package(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Debian, the venv module of Python is in a separate package."""
    said = (
        "The virtual environment was not created successfully because ensurepip is not\n"
        "available.  On Debian/Ubuntu systems, you need to install the python3-venv package"
    )
    monkeypatch.setattr(install, "_run", lambda command, folder=None: said)
    with pytest.raises(install.Failed, match="apt-get install python3-venv"):
        install.python(checkout / ".venv", "requirements-run.txt", "make run")


# npm


@pytest.mark.slow
@pytest.mark.parametrize("registry", ["refuses", "lacks it"])
def test_npm_that_fails_says_why_and_is_tried_again(checkout: Path, registry: str) -> None:
    needs.program("npm")
    web = checkout / "web"
    web.mkdir()
    (web / ".npmrc").write_text("fetch-retries=0\nupdate-notifier=false\n")
    (web / "package.json").write_text('{"dependencies": {"page-of-nothing": "1.0.0"}}')
    (web / "package-lock.json").write_text(
        '{"lockfileVersion": 3, "packages": {"": {"dependencies": {"page-of-nothing": "1.0.0"}},'
        ' "node_modules/page-of-nothing": {"version": "1.0.0"}}}'
    )
    with index(status=404) as url:
        variables = settings("http://127.0.0.1:9/" if registry == "refuses" else url)
        home = str(checkout / "home")
        done = make(checkout, "web/node_modules/.ready", env={"HOME": home, **variables})
    assert done.returncode == 0
    assert done.stderr.endswith("Continuing without it.\n")
    says = "The network failed: 127.0.0.1" if registry == "refuses" else "does not have page-of"
    assert says in done.stderr
    assert (checkout / ".venv" / "npm.log").read_text()
    assert not (web / "node_modules" / ".ready").exists()


# Targets


@pytest.mark.parametrize(
    "arguments",
    [["upload"], ["-n", "start"], ["Makefile"], ["run", "starts"], ["-k", "starts", "run"]],
    ids=" ".join,
)
def test_an_unknown_target_shows_the_help_and_does_nothing(
    checkout: Path, arguments: list[str]
) -> None:
    done = make(checkout, *arguments)
    assert done.returncode == 2
    shown = re.findall(r"^  make ([a-z-]+) ", done.stderr, re.MULTILINE)
    assert shown == [name for name, _ in TARGETS]
    assert "There is no target " in done.stderr.splitlines()[-1]
    assert done.stdout == ""
    assert not (checkout / ".venv").exists()


def test_a_comment_that_the_shell_passes_to_make_is_named_and_nothing_runs(
    checkout: Path,
) -> None:
    """In zsh, a comment that is typed after a command is part of the command. This one has the name
    of a target."""
    done = make(checkout, "token", "#", "test", "it")
    assert done.returncode == 2
    assert "Leave out the comment, or run: setopt interactivecomments" in done.stderr
    assert done.stdout == ""
    assert not (checkout / ".venv").exists()


def test_help_shows_every_target(checkout: Path) -> None:
    done = make(checkout)
    assert re.findall(r"^  make ([a-z-]+) ", done.stdout, re.MULTILINE) == [n for n, _ in TARGETS]


# What each target imports


MODULES = {
    "run": "sandbox.__main__",
    "token": "sandbox.__main__",
    "account-key": "sandbox.__main__",
    "login": "ops.login",
    "jwks": "ops.jwks",
    "roles": "ops.roles",
    "explain": "ops.explain",
    "import-config": "ops.import_config",
    "doctor": "ops.doctor.__main__",
    "smoke": "ops.smoke.__main__",
    "measure-cold": "ops.measure_cold.__main__",
    "conform": "ops.conform.__main__",
    "docs": "ops.reference",
    "build": "ops.build",
    "template": "ops.template",
    "release": "ops.release",
}
"""The targets of make that need only the packages of requirements-run.txt. Each has the name of the
module that it runs."""


def packages(requirements: Path) -> set[str]:
    """Return the packages that pip installs for a requirements file, with their dependencies."""
    found: set[str] = set()
    waiting = requirements_of(requirements)
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if name in found or not (wanted.marker is None or wanted.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        waiting += [Requirement(text) for text in distribution(name).requires or ()]
    return found


def requirements_of(file: Path) -> list[Requirement]:
    wanted = []
    for line in file.read_text("utf-8").splitlines():
        text = line.partition("#")[0].strip()
        if text.startswith("-r "):
            wanted += requirements_of(file.parent / text[3:])
        elif text and not text.startswith("--"):
            wanted.append(Requirement(text.removesuffix("\\")))
    return wanted


def ours() -> dict[str, Path]:
    """Return the paths of all modules of this project, by the modules' names."""
    found = architecture.modules(ROOT / "functions" / "sts_token")
    for folder in ("sandbox", "ops", "bench"):
        inner = architecture.modules(ROOT / folder)
        found |= {f"{folder}.{name}": path for name, path in inner.items()}
    return found


@pytest.mark.slow
def test_a_target_that_needs_no_tests_imports_only_what_make_run_installs() -> None:
    smaller = {name for name, needs in TARGETS if "$(READY_RUN)" in needs}
    assert smaller == set(MODULES)
    run = packages(ROOT / "requirements-run.txt")
    owners, modules = packages_distributions(), ours()
    for target, module in MODULES.items():
        found = {
            f"{name} of {owner}"
            for name in {name.partition(".")[0] for name in architecture.reached(module, modules)}
            for owner in owners.get(name, ())
            if canonicalize_name(owner) not in run
        }
        # `make smoke` imports fc2 only for FC 2.0, and then the Makefile installs the larger set.
        assert found == ({"fc2 of aliyun-fc2"} if target == "smoke" else set()), target


def test_no_test_tool_comes_with_make_run() -> None:
    run = packages(ROOT / "requirements-run.txt")
    more = packages(ROOT / "requirements-dev.txt") - run
    assert {"pytest", "hypothesis", "mypy", "ruff", "aliyun-fc2"} <= more
    assert {"starlette", "oss2"} <= run
