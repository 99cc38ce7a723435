"""The commands under "With the sandbox", word for word, against a sandbox of its own."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration import INTEGRATE, run_in, write_files
from javascript import PAGE, need
from running_sandbox import Sandbox, running

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
