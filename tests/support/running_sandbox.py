"""Starts `make run` and similar commands, waits for them, ends them, and searches their output for
secrets.

The commands run in the folder beside their state and not in the checkout, because the .env in the
checkout belongs to the developer."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import oss2
import pytest

import needs
from running_cloud import Token
from sandbox.cloud import Secrets
from sandbox.servers import PortInUse, listen

ROOT = Path(__file__).parents[2]
RUN = (sys.executable, "-m", "sandbox", "run")
TOKEN = (sys.executable, "-m", "sandbox", "token")
UNUSED_PORT = 1  # TCP port 1: no sandbox listens there


def given(command: tuple[str, ...], *names: str) -> tuple[str, ...]:
    """Return the command with the option --given. It names the variables that the sandbox treats as
    variables of make's command line. Their values come from the environment."""
    return (*command, f"--given={' '.join(names)}")


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """An environment without the developer's variables, and without a proxy. The developer's own
    sandbox may run on 7080, so the default of PORT is UNUSED_PORT."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'functions' / 'sts_token'}",
        "SANDBOX_DIR": str(folder),
        "PORT": str(UNUSED_PORT),
        **variables,
    }


def _beside(folder: Path) -> Path:
    return next(parent for parent in folder.parents if parent.is_dir())


def free_port() -> int:
    """Find four free ports in a row, and return the first. All four are lower than the ports
    that the system itself chooses for programs."""
    while True:
        port = random.randrange(10000, 30000)  # noqa: S311
        if are_free(port, 4):
            return port


def are_free(port: int, number: int = 3) -> bool:
    with contextlib.ExitStack() as stack:
        try:
            for offset in range(number):
                stack.enter_context(listen(port + offset))
        except PortInUse:
            return False
    return True


def secrets_of(folder: Path) -> list[str]:
    file = folder / "secrets.json"
    if not file.exists():
        return []
    try:
        kept = json.loads(file.read_text())
    except ValueError:
        return []
    made = Secrets(**kept)
    derived = (made.jwt_secret, made.callback_secret, made.multipart_secret)
    return [*kept.values(), *derived, *made.account_key]


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox. It writes its output to files, so no thread has to read the output."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path

    @property
    def stdout(self) -> str:
        return self._file("stdout").read_text()

    @property
    def stderr(self) -> str:
        return self._file("stderr").read_text()

    def _file(self, name: str) -> Path:
        return self.folder.with_name(f"{self.port}.{name}")

    def answer(self, host: str = "127.0.0.1", path: str = "/") -> dict[str, Any]:
        """The answer of the token URL, or of another path on that server."""
        status, answer = self.ask(path, host)
        assert status == 200
        return answer

    @property
    def token_url(self) -> str:
        """The token URL as the sandbox prints it."""
        found = re.search(r"^  token URL  (http://127\.0\.0\.1:\d+/\S*)$", self.stdout, re.M)
        assert found, self.stdout
        return found[1]

    def ask(self, path: str, host: str = "127.0.0.1") -> tuple[int, dict[str, Any]]:
        """Send a GET to a path below the token URL; return its status and JSON."""
        connection = http.client.HTTPConnection(host, self.port, timeout=10)
        try:
            connection.request("GET", urlsplit(self.token_url).path.rstrip("/") + path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port + 1}"

    def bucket(self) -> oss2.Bucket:
        """The bucket, as an app with a token sees it."""
        return Token.of(self.answer()).oss2("v4")

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal that ends the sandbox. Check that it ends soon, leaves no process, and
        printed no secret."""
        began = time.monotonic()
        self.process.send_signal(number)
        status = self.process.wait(10)
        assert time.monotonic() - began < 3
        assert status == 0, self.stderr
        self.check_gone()

    def check_gone(self) -> None:
        with pytest.raises(ProcessLookupError):
            os.killpg(self.process.pid, 0)
        assert are_free(self.port)
        assert "Traceback" not in self.stderr
        for secret in secrets_of(self.folder):
            assert secret not in self.stdout + self.stderr


@contextlib.contextmanager
def running(
    folder: Path, port: int = 0, command: Sequence[str] = RUN, /, **variables: str
) -> Iterator[Sandbox]:
    """Start a sandbox that keeps its state in `folder`, and wait until it has printed all lines."""
    port = port or free_port()
    env = environment(folder, **variables)
    if tuple(command[: len(RUN)]) == RUN:
        env["PORT"] = str(port)
    outputs = [folder.with_name(f"{port}.{name}") for name in ("stdout", "stderr")]
    with contextlib.ExitStack() as stack:
        stdout, stderr = (stack.enter_context(path.open("wb")) for path in outputs)
        process = subprocess.Popen(
            command,
            cwd=_beside(folder),
            env=env,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        sandbox = Sandbox(process, port, folder)
        try:
            wait_for(lambda: "Ctrl-C ends it." in sandbox.stdout or process.poll() is not None)
            assert process.poll() is None, sandbox.stderr
            yield sandbox
            if process.poll() is None:
                sandbox.end()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)


def finished(
    command: Sequence[str], folder: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself, and check that it printed no secret."""
    done = subprocess.run(
        command,
        cwd=_beside(folder),
        env=environment(folder, **variables),
        capture_output=True,
        encoding="utf-8",
        timeout=20,
        check=False,
    )
    for secret in secrets_of(folder):
        assert secret not in done.stdout + done.stderr
    return done


def make(*arguments: str) -> list[str]:
    """Return a make command that uses this Python and its packages. The command installs nothing
    and builds no page, so that no test waits."""
    return [
        needs.program("make"),
        "-f",
        str(ROOT / "Makefile"),
        *arguments,
        "READY=",
        "BUILD_PAGE=no",
        f"BIN={Path(sys.executable).parent}",
    ]


@contextlib.contextmanager
def running_by_make(
    folder: Path, port: int, *arguments: str, **variables: str
) -> Iterator[Sandbox]:
    """Start a sandbox by `make run` with these arguments, and end it as Ctrl-C does."""
    port = port or free_port()
    command = make("run", f"PORT={port}", *arguments)
    with running(folder, port, command, **variables) as sandbox:
        yield sandbox
        # A terminal sends the signal to the whole process group.
        os.killpg(sandbox.process.pid, signal.SIGINT)
        sandbox.process.wait(10)
        sandbox.check_gone()
