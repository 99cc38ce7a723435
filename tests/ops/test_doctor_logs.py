"""`make doctor` finds our secrets in the logs of `s`, and does not print them (finding B2)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from doctored import ANOTHER, SECRET, Env, examined
from ops.doctor import logs_of_s
from ops.report import MAX_DETAIL

CALLBACKS = {"CALLBACK_URL": "https://token.example.com/callback", "CALLBACK_SECRET": ANOTHER}
KEY = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEG\n-----END PRIVATE KEY-----\n"


@pytest.fixture
def logs(shell: Env) -> Path:
    """The log folder of `s`, which has the log of one run without secrets."""
    folder = Path(shell["HOME"], ".s", "logs")
    put(folder, "1128231453/s_cli.log", "Steps for [deploy] of [sts-token]\n")
    return folder


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def line(shell: Env, folder: Path) -> tuple[str, str]:
    """Return doctor's line about the logs. Assert that this line fits a terminal."""
    found = examined(shell, folder)["s logs"]
    assert len(found[1]) <= MAX_DETAIL
    assert "MIGHAgEA" not in found[1]
    return found


def test_where_s_never_ran_there_is_nothing_to_find(shell: Env, tmp_path: Path) -> None:
    assert line(shell, tmp_path) == ("PASS", "there is no ~/.s/logs")


def test_logs_without_a_secret_pass_and_what_was_read_is_said(
    shell: Env, tmp_path: Path, logs: Path
) -> None:
    put(logs, "1/a.log", ANOTHER)
    assert line(shell, tmp_path) == (
        "PASS",
        "none of our secrets is in ~/.s/logs; this check looked at 2 files, 0.0 MB",
    )


def test_each_secret_is_named_by_its_variable_with_its_number_of_files(
    shell: Env, tmp_path: Path, logs: Path
) -> None:
    put(logs, "1/sts_token.log", f"  JWT_SECRET:  {SECRET}\n  CALLBACK_SECRET: {ANOTHER}\n")
    put(logs, "2/sts_token.log", f"JWT_SECRET: {SECRET} => new\n{KEY}")
    outcome, detail = line({**shell, **CALLBACKS}, tmp_path)
    assert outcome == "WARN"
    assert detail.startswith(
        "secrets in ~/.s/logs: a private key in 1 file, JWT_SECRET in 2 files, "
        "CALLBACK_SECRET in 1 file. "
    )
    for words in ("s clean --logs", "s set log disable", "looked at 3 files"):
        assert words in detail


@pytest.mark.parametrize(
    "name", ["JWT_SECRET", "CALLBACK_SECRET", "UPLOAD_HOOK_SECRET", "MULTIPART_SECRET"]
)
def test_every_secret_is_looked_for_and_each_of_a_list(
    shell: Env, tmp_path: Path, logs: Path, name: str
) -> None:
    """During a rotation, a variable contains two secrets, and `s` prints both of them."""
    second = SECRET[::-1]
    put(logs, "1/a.log", second)
    found = line({**shell, name: f"{ANOTHER}, {second}"}, tmp_path)
    assert found[1].startswith(f"secrets in ~/.s/logs: {name} in 1 file. ")


@pytest.mark.parametrize("secret", [".*+?[a-z](b|c)$^" * 2, 'a"b\\c' * 8, "é中" * 12, "%s{0}" * 8])
def test_a_secret_is_never_read_as_a_pattern(
    shell: Env, tmp_path: Path, logs: Path, secret: str
) -> None:
    log = put(logs, "1/a.log", "x" * 1000)
    assert line({**shell, "JWT_SECRET": secret}, tmp_path)[0] == "PASS"
    for written in (secret, json.dumps(secret), json.dumps(secret, ensure_ascii=False)):
        log.write_text(f"JWT_SECRET: {written}", "utf-8")
        assert line({**shell, "JWT_SECRET": secret}, tmp_path)[0] == "WARN"


def test_a_short_word_is_not_looked_for(shell: Env, tmp_path: Path, logs: Path) -> None:
    """Doctor does not search for a short secret, because a short text may be in the logs by chance.
    A short secret has its own FAIL line."""
    assert line({**shell, "JWT_SECRET": "[sts-token]"}, tmp_path)[0] == "PASS"
    assert line({**shell, "JWT_SECRET": ",,"}, tmp_path)[0] == "PASS"


def test_a_secret_of_the_env_file_is_looked_for(shell: Env, tmp_path: Path, logs: Path) -> None:
    put(tmp_path, ".env", f"CALLBACK_SECRET={ANOTHER}\n")
    put(logs, "1/a.log", ANOTHER)
    assert line(shell, tmp_path)[0] == "WARN"


def test_a_log_of_200_mb_is_read_at_both_ends_only(shell: Env, tmp_path: Path, logs: Path) -> None:
    large = logs / "1" / "sts_token.log"
    large.parent.mkdir()
    for place, outcome in ((0, "WARN"), (10**8, "PASS"), (2 * 10**8 - len(SECRET), "WARN")):
        with large.open("wb") as file:
            file.truncate(2 * 10**8)
            file.seek(place)
            file.write(SECRET.encode())
        found, detail = line(shell, tmp_path)
        assert found == outcome
        assert "looked at 2 files, 8.0 MB, but there are more" in detail


def test_many_logs_are_read_up_to_a_bound_the_newest_first(
    shell: Env, tmp_path: Path, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs_of_s, "MAX_BYTES", 1000)
    for number in range(9):
        path = put(logs, f"{number}/a.log", "x" * 300 + (SECRET if number in (1, 8) else ""))
        os.utime(path, (number, number))
    found, detail = line(shell, tmp_path)
    assert found == "WARN"
    assert detail.startswith("secrets in ~/.s/logs: JWT_SECRET in 1 file. ")
    assert "there are more" in detail


def test_no_more_entries_are_listed_than_a_bound(
    shell: Env, tmp_path: Path, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs_of_s, "MAX_ENTRIES", 5)
    for number in range(9):
        put(logs, f"{number}.log", "x")
    assert "there are more" in line(shell, tmp_path)[1]


def test_no_link_is_followed(shell: Env, tmp_path: Path, logs: Path) -> None:
    """Doctor does not follow symbolic links. The links here lead to a file, to a folder outside of
    the logs, and to the log folder itself. At the end, a link replaces the log folder."""
    outside = put(tmp_path / "outside", "a.log", SECRET)
    (logs / "file.log").symlink_to(outside)
    (logs / "folder").symlink_to(outside.parent)
    (logs / "circle").symlink_to(logs)
    outcome, detail = line(shell, tmp_path)
    assert (outcome, detail[-25:]) == ("PASS", "looked at 1 files, 0.0 MB")
    logs.rename(tmp_path / "elsewhere")
    logs.symlink_to(tmp_path / "outside")
    assert line(shell, tmp_path) == ("SKIP", "~/.s/logs is a link, which is not followed")


def test_a_link_that_takes_a_files_place_meanwhile_is_not_followed(
    shell: Env, tmp_path: Path, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = put(tmp_path / "outside", "a.log", SECRET)
    log = put(logs, "1/a.log", "x")
    parts = logs_of_s._parts

    def late(path: str) -> object:
        if path == str(log):
            log.unlink()
            log.symlink_to(outside)
        return parts(path)

    monkeypatch.setattr(logs_of_s, "_parts", late)
    found, detail = line(shell, tmp_path)
    assert (found, "1 cannot be read" in detail) == ("PASS", True)


def test_what_cannot_be_read_ends_nothing(
    shell: Env, tmp_path: Path, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(logs, "1/a.log", SECRET)
    os.mkfifo(logs / "pipe.log")
    closed = str(put(logs, "closed/a.log", SECRET).parent)
    scan = os.scandir

    def refused(path: str) -> object:
        if path == closed:
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refused)
    found, detail = line(shell, tmp_path)
    assert found == "WARN"
    assert detail.startswith("secrets in ~/.s/logs: JWT_SECRET in 1 file. ")
    assert detail.endswith("1 cannot be read")


def test_the_home_of_s_that_the_environment_names_is_looked_at(shell: Env, tmp_path: Path) -> None:
    elsewhere = tmp_path / "of-s"
    put(elsewhere / ".s" / "logs", "1/a.log", SECRET)
    moved = {**shell, "HOME": "/no/such/home", "serverless_devs_config_home": str(elsewhere)}
    found, detail = line(moved, tmp_path)
    assert found == "WARN"
    assert f"secrets in {elsewhere}/.s/logs: JWT_SECRET in 1 file. " in detail


def test_a_home_that_cannot_be_looked_into_ends_nothing(shell: Env, tmp_path: Path) -> None:
    """For example, a user cannot read root's home. Root can read every folder, so the test uses a
    name that is too long."""
    found, detail = line({**shell, "HOME": f"/{'h' * 300}"}, tmp_path)
    assert (found, "cannot be read (File name too long)" in detail) == ("SKIP", True), detail
