"""Runs the commands under "With the sandbox" unchanged. Each page has its own sandbox."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from documented_code import blocks
from integration import INTEGRATE, run_in, serving, write_files
from javascript import PAGE, need
from running_sandbox import Sandbox, free_port, running, running_by_make

LINES = {
    "node.md": "stored as uploads/alice/hello.txt\n",
    "python.md": "200 uploads/alice/hello.txt\n",
    "credentials-uri.md": "200 uploads/alice/hello.txt\n",
}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    folder = tmp_path_factory.mktemp("run") / "state"
    with running(folder, AUTH="jwt", TOKEN_EXPIRE_TIME_MAX="3600") as found:
        yield found


@pytest.mark.parametrize("page", LINES)
def test_the_lines_for_the_sandbox_upload(sandbox: Sandbox, tmp_path: Path, page: str) -> None:
    if page == "node.md":
        need("docs/integrate/node.md", browser=False)
        (tmp_path / "node_modules").symlink_to(PAGE / "node_modules")
    write_files(tmp_path, "js" if page == "node.md" else "python", page)
    text = (INTEGRATE / page).read_text(encoding="utf-8").partition("\n## With the sandbox\n")[2]
    (commands,) = re.findall(r"```sh\n(.*?)```", text, re.S)
    commands = commands.replace("7080", str(sandbox.port)).replace("python3", sys.executable)
    done = run_in(tmp_path, ["sh", "-ec", commands])
    assert (done.returncode, done.stdout) == (0, LINES[page]), done.stderr


def made_of(page: str, port: int, back_end: str = "") -> list[str]:
    """Return the variables of the page's `make run` command, with free ports in place of its
    own."""
    text = (INTEGRATE / page).read_text(encoding="utf-8").partition("\n## With the sandbox\n")[2]
    (line,) = re.findall(r"^make run (.*)$", text, re.M)
    line = line.replace("7080", str(port)).replace("http://127.0.0.1:3000", back_end)
    return shlex.split(line)


@pytest.mark.slow
def test_a_back_end_makes_logins_for_the_sandbox(tmp_path: Path) -> None:
    port = free_port()
    arguments = made_of("login-backend.md", port)
    (secret,) = (one.partition("=")[2] for one in arguments if one.startswith("JWT_SECRET="))
    (tmp_path / "login.py").write_text(blocks("python", INTEGRATE / "login-backend.md")[0])
    login = run_in(tmp_path, [sys.executable, "login.py"], JWT_SECRET=secret).stdout.strip()
    with running_by_make(tmp_path / "state", port, *arguments) as sandbox:
        answer = sandbox.answer(path=f"/?access_token={login}")
    assert answer["Scope"]["Prefix"] == "uploads/alice/"


@pytest.mark.slow
def test_the_sandbox_calls_a_back_end_after_an_upload(tmp_path: Path) -> None:
    page = "webhook-backend.md"
    write_files(tmp_path, "python", page)
    command = [sys.executable, "-m", "flask", "--app", "webhook", "run", "--port", "{port}"]
    port = free_port()
    text = (INTEGRATE / page).read_text(encoding="utf-8")
    (secret,) = set(re.findall(r"UPLOAD_HOOK_SECRET=([\w-]+)", text))
    upload = blocks("sh", INTEGRATE / page)[-1].replace("7080", str(port))
    with (
        serving(tmp_path, command, UPLOAD_HOOK_SECRET=secret) as url,
        running_by_make(tmp_path / "state", port, *made_of(page, port, url)),
    ):
        done = run_in(tmp_path, ["sh", "-ec", upload.replace("python3", sys.executable)])
    assert json.loads(done.stdout) == {"Status": "stored", "Object": "uploads/hello.txt"}
