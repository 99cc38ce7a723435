"""Runs the commands of docs/integrate/curl.md unchanged, in their order and in one folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import needs
from documented_code import blocks
from integration import INTEGRATE, run_in
from running_sandbox import Sandbox, running

BLOCKS = blocks("sh", INTEGRATE / "curl.md")
SET_UP, HELPER, *REST = BLOCKS
SMALL = ["hello.txt", "note.txt", "form.txt"]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    needs.program("curl")
    with running(tmp_path_factory.mktemp("run") / "state", AUTH="jwt") as found:
        yield found


def shell(sandbox: Sandbox, folder: Path, *commands: str, then: str = "") -> tuple[int, str]:
    """Run the first two blocks of the page, and then these commands. Return the exit code and the
    output."""
    set_up = SET_UP.replace("7080", str(sandbox.port)) + then
    done = run_in(folder, ["sh", "-ec", "\n".join([set_up, HELPER, *commands])])
    return done.returncode, done.stdout + done.stderr


def test_all_of_it_uploads(sandbox: Sandbox, tmp_path: Path) -> None:
    code, said = shell(sandbox, tmp_path, *REST)
    assert code == 0, said
    first, prefix, expiration, *others = said.splitlines()
    assert (first, prefix, others) == ("200", "uploads/alice/", ["200", "200", "200"])
    assert expiration.endswith("Z")
    login = sandbox.answer(path="/sandbox/login?user=alice")["access_token"]
    listed = sandbox.answer(path=f"/uploads?access_token={login}")["Uploads"]
    found = {one["Key"].removeprefix(prefix): one for one in listed}
    assert found.keys() == {*SMALL, "film.mp4"}
    small = hashlib.md5(b"Hello\n", usedforsecurity=False).hexdigest().upper()
    assert {found[name]["ETag"].strip('"') for name in SMALL} == {small}
    assert (found["film.mp4"]["Size"], found["film.mp4"]["ETag"].strip('"')[-2:]) == (
        12_000_000,
        "-3",
    )


def test_a_refusal_is_said_with_its_code(sandbox: Sandbox, tmp_path: Path) -> None:
    _, said = shell(sandbox, tmp_path, *REST[:1], then="LOGIN=\n")
    assert said.startswith("MissingToken: no login; ")


def test_a_type_that_was_not_signed_is_refused_as_the_table_says(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    changed = REST[0].replace("--upload-file", "-H 'Content-Type: a/b' --upload-file")
    code, said = shell(sandbox, tmp_path, changed)
    assert code == 0
    assert "<Code>SignatureDoesNotMatch</Code>" in said
    assert said.endswith("403\n")
