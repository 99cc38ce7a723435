"""The unchanged files of docs/integrate/node.md, run as separate programs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from integration import run_in, stored, write_files
from javascript import PAGE, need
from running_cloud import RunningCloud

NAMES = ["upload.mjs", "upload-all.mjs"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    need("docs/integrate/node.md", browser=False)
    assert write_files(tmp_path, "js", "node.md") == NAMES
    (tmp_path / "node_modules").symlink_to(PAGE / "node_modules")
    (tmp_path / "photo.jpg").write_bytes(b"a picture")
    return tmp_path


def use(
    cloud: RunningCloud, folder: Path, *arguments: str, user: str
) -> subprocess.CompletedProcess[str]:
    login = cloud.login(user) if user else "x"
    return run_in(folder, ["node", *arguments], TOKEN_URL=f"{cloud.url}/", LOGIN=login)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_uploaded(cloud: RunningCloud, folder: Path, name: str) -> None:
    user = name.removesuffix(".mjs")
    done = use(cloud, folder, name, "photo.jpg", user=user)
    key = f"uploads/{user}/photo.jpg"
    assert (done.returncode, done.stdout) == (0, f"stored as {key}\n"), done.stderr
    assert stored(cloud, key) == b"a picture"


def test_a_large_file_goes_in_parts_and_tells_how_far_it_is(
    cloud: RunningCloud, folder: Path
) -> None:
    content = bytes(range(256)) * 4096 * 10 + b"the end"
    (folder / "film.mp4").write_bytes(content)
    done = use(cloud, folder, "upload-all.mjs", "photo.jpg", "film.mp4", user="large")
    first, *steps, last = done.stdout.splitlines()
    assert first == "stored as uploads/large/photo.jpg"
    assert steps[0] == "uploads/large/film.mp4: 0 %"
    assert steps[-1] == "uploads/large/film.mp4: 100 %"
    assert len(steps) > 3
    assert last == "stored as uploads/large/film.mp4"
    assert stored(cloud, "uploads/large/film.mp4") == content


@pytest.mark.parametrize("name", NAMES)
def test_why_there_is_no_token_is_said(cloud: RunningCloud, folder: Path, name: str) -> None:
    done = use(cloud, folder, name, "photo.jpg", user="")
    assert done.returncode == 1
    assert cloud.answer(access_token="x")["ErrorMessage"] in done.stderr


def test_what_oss_refuses_is_said_with_its_request_id(cloud: RunningCloud, folder: Path) -> None:
    program = (folder / "upload-all.mjs").read_text()
    changed = program.replace("(await fresh()).scope.Prefix +", "'uploads/bob/' +")
    (folder / "wrong.mjs").write_text(changed)
    done = use(cloud, folder, "wrong.mjs", "photo.jpg", user="alice")
    code, _, request = done.stderr.strip().split(" | ")
    assert (done.returncode, code) == (1, "AccessDenied")
    assert request
