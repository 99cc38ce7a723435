"""If the folder of a running sandbox is removed, the sandbox says so and names the remedy."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import oss2
import pytest
import requests

from running_cloud import Token
from running_oss import Oss
from running_sandbox import TOKEN, finished, running

REMEDY = "start `make run` again"


def test_a_removed_folder_is_said_once_and_nothing_else_breaks(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with running(folder) as sandbox:
        bucket = Token.of(sandbox.answer()).oss2("v4")
        bucket.put_object("uploads/a", b"Hello")
        shutil.rmtree(folder)
        for ask in (lambda: bucket.put_object("uploads/b", b"Hello"), bucket.get_bucket_info):
            with pytest.raises(oss2.exceptions.ServerError) as error:
                ask()
            assert (error.value.status, error.value.code) == (500, "SandboxGone")
            assert "was removed while it ran" in error.value.message
        # A page can read the reason.
        answer = requests.get(
            f"{sandbox.endpoint}/sandbox-bucket/a", headers={"Origin": "http://a.b"}, timeout=10
        )
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (500, "*")
        assert sandbox.stderr.count(REMEDY) == 1
        assert str(folder) in sandbox.stderr
        assert sandbox.answer()["StatusCode"] == 200
        for command in (TOKEN, (sys.executable, "-m", "sandbox", "account-key")):
            done = finished(command, folder, PORT=str(sandbox.port))
            assert (done.returncode, REMEDY in done.stderr) == (1, True)
        assert not folder.exists()


def test_a_folder_that_another_made_anew_is_not_ours(oss: Oss) -> None:
    (oss.folder / "index.sqlite3").rename(oss.folder / "old")
    (oss.folder / "index.sqlite3").touch()
    assert oss.raw("GET", "/")[0] == 500


def test_without_a_sandbox_the_first_token_makes_the_folder(tmp_path: Path) -> None:
    done = finished(TOKEN, tmp_path / "state", PORT="18159")
    assert done.returncode == 0, done.stderr
