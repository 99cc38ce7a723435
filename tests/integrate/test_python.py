"""The unchanged files of docs/integrate/python.md, run as separate programs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from integration import run_in, stored, write_files
from running_cloud import RunningCloud

SHORT = ["upload.py", "upload_v2.py"]
LARGE = ["upload_large.py", "upload_large_v2.py"]
PART = 5 * 1024 * 1024
CONTENT = bytes(range(256)) * 4096 * 12 + b"the end"
# Code that stops an upload after the second part, as if the network failed.
BREAKS = {
    "upload_large.py": """
import oss2
sent, send = [], oss2.Bucket.upload_part
def once(self, key, upload_id, number, *more, **options):
    if len(sent) == 2:
        raise oss2.exceptions.RequestError(OSError("gone"))
    sent.append(number)
    return send(self, key, upload_id, number, *more, **options)
oss2.Bucket.upload_part = once
""",
    "upload_large_v2.py": """
import alibabacloud_oss_v2 as oss
sent, send = [], oss.Client.upload_part
def once(self, request, **options):
    if len(sent) == 2:
        raise oss.exceptions.RequestError(error=OSError("gone"))
    sent.append(1)
    return send(self, request, **options)
oss.Client.upload_part = once
""",
}
COUNTS = {
    "upload_large.py": BREAKS["upload_large.py"].replace("len(sent) == 2", "False"),
    "upload_large_v2.py": BREAKS["upload_large_v2.py"].replace("len(sent) == 2", "False"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    names = write_files(tmp_path, "python", "python.md")
    assert sorted(names) == sorted([*SHORT, *LARGE, "token_source.py"])
    return tmp_path


def use(
    cloud: RunningCloud, folder: Path, *command: str, user: str = "alice"
) -> subprocess.CompletedProcess[str]:
    login = cloud.login(user) if user else "x"
    return run_in(folder, [sys.executable, *command], TOKEN_URL=f"{cloud.url}/", LOGIN=login)


@pytest.mark.parametrize("name", SHORT)
def test_the_shortest_uploads(cloud: RunningCloud, folder: Path, name: str) -> None:
    (folder / "photo.jpg").write_bytes(b"a picture")
    done = use(cloud, folder, name, "photo.jpg", user=name[:-3])
    key = f"uploads/{name[:-3]}/photo.jpg"
    assert (done.returncode, done.stdout) == (0, f"200 {key}\n"), done.stderr
    assert stored(cloud, key) == b"a picture"


@pytest.mark.parametrize("name", [*SHORT, *LARGE])
def test_why_there_is_no_token_is_said(cloud: RunningCloud, folder: Path, name: str) -> None:
    (folder / "photo.jpg").write_bytes(b"a picture")
    done = use(cloud, folder, name, "photo.jpg", user="")
    reason = cloud.answer(access_token="x")["ErrorMessage"]
    assert done.returncode == 1
    assert done.stderr.strip().removeprefix("no token: ") == reason


@pytest.mark.parametrize("name", LARGE)
def test_a_large_upload_goes_on_where_it_broke_off(
    cloud: RunningCloud, folder: Path, name: str
) -> None:
    (folder / "film.mp4").write_bytes(CONTENT)
    user = name[:-3]
    program = (folder / name).read_text()
    # Parts are sent one by one, so the second part is the last to arrive.
    program = program.replace("num_threads=4", "num_threads=1").replace(
        "parallel_num=4", "parallel_num=1"
    )
    (folder / "breaks.py").write_text(BREAKS[name] + program)
    broken = use(cloud, folder, "breaks.py", "film.mp4", user=user)
    assert broken.returncode == 1
    # oss2 prints its own traceback before this line.
    last = broken.stderr.strip().splitlines()[-1]
    assert last.startswith("OSS does not answer: "), broken.stderr
    assert "gone" in last
    counted = COUNTS[name] + program + "\nprint(len(sent), 'parts sent')\n"
    (folder / "counts.py").write_text(counted)
    done = use(cloud, folder, "counts.py", "film.mp4", user=user)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-2:] == [f"stored as uploads/{user}/film.mp4", "1 parts sent"]
    # The progress includes the parts that were stored before.
    assert int(lines[0].partition(" ")[0]) >= PART
    assert stored(cloud, f"uploads/{user}/film.mp4") == CONTENT


@pytest.mark.parametrize("name", LARGE)
def test_what_oss_refuses_is_said_with_its_request_id(
    cloud: RunningCloud, folder: Path, name: str
) -> None:
    (folder / "photo.jpg").write_bytes(b"a picture")
    changed = (folder / name).read_text().replace('scope["Prefix"] +', '"uploads/bob/" +')
    (folder / "wrong.py").write_text(changed)
    done = use(cloud, folder, "wrong.py", "photo.jpg")
    assert done.returncode == 1
    assert done.stderr.startswith("OSS refused: AccessDenied "), done.stderr
    assert "(request " in done.stderr


def test_a_token_is_kept_and_renewed(cloud: RunningCloud, folder: Path) -> None:
    """The function's answer tells when the token expires. The program requests the next token five
    minutes earlier."""
    program = f"""
import time, token_source
source = token_source.TokenSource({cloud.url!r} + "/", {cloud.login("kept")!r})
first = source.token()
assert source.token() is first
clock = time.monotonic
time.monotonic = lambda: clock() + 599
assert source.token() is first
time.monotonic = lambda: clock() + 601
assert source.token() is not first
try:
    token_source.TokenSource("http://127.0.0.1:9/").token()
except token_source.NoToken as error:
    print(error)
"""
    done = run_in(folder, [sys.executable, "-c", program])
    assert (done.returncode, done.stdout) == (
        0,
        "the token URL does not answer: ConnectionError\n",
    ), done.stderr


def test_oss2_takes_the_token_url_as_its_credentials_uri(
    cloud: RunningCloud, tmp_path: Path
) -> None:
    assert write_files(tmp_path, "python", "credentials-uri.md") == [
        "upload_uri.py",
        "upload_uri_v2.py",
    ]
    (tmp_path / "photo.jpg").write_bytes(b"a picture")
    uri = f"{cloud.url}/?access_token={cloud.login('uri')}"
    command = [sys.executable, "upload_uri.py", "photo.jpg"]
    done = run_in(tmp_path, command, CREDENTIALS_URI=uri)
    assert (done.returncode, done.stdout) == (0, "200 uploads/uri/photo.jpg\n"), done.stderr
    assert stored(cloud, "uploads/uri/photo.jpg") == b"a picture"
    refused = run_in(tmp_path, command, CREDENTIALS_URI=f"{cloud.url}/?access_token=x")
    assert refused.stderr.strip() == cloud.answer(access_token="x")["ErrorMessage"]
