"""Tests what the full page shows about uploads: the gallery, the viewer, and why something was
refused. The tests run in Chromium, with a sandbox in its own process. The script
tests/web/page_views.mjs controls the page."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from javascript import PAGE, need, run
from pictures import encoded, opened, quarters
from running_cloud import Token
from running_sandbox import Sandbox, free_port, running

pytestmark = pytest.mark.slow

JPEG = encoded(quarters(1000, 500), "JPEG")
DARK = encoded(quarters(2000, 1000).point(lambda value: value // 4), "JPEG")
HOSTILE = ["<img src=x onerror=alert(1)>.jpg", "\u202egpj.exe", "\"'&quot;`${1}.jpg", "照" * 330]
ORDINARY = [f"{number:02}.jpg" for number in range(26)]
READ_WRITE = "bucket_read_write_policy"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need("The page", browser=True)
    folder = tmp_path_factory.mktemp("web") / "built"
    node = shutil.which("node")
    assert node
    subprocess.run([node, "build.mjs", str(folder)], cwd=PAGE, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox in which Alice has 30 objects, and may read them."""
    folder = tmp_path_factory.mktemp("sandbox") / "state"
    with running(folder, AUTH="jwt", POLICY_FILE=READ_WRITE) as sandbox:
        bucket = token(sandbox, "alice").oss2("v4")
        for name in [*ORDINARY, *HOSTILE]:
            bucket.put_object(f"uploads/alice/{name}", JPEG)
        yield sandbox


def token(sandbox: Sandbox, user: str) -> Token:
    login = sandbox.answer(path=f"/sandbox/login?user={user}")["access_token"]
    return Token.of(sandbox.answer(path=f"/?access_token={login}"))


def config(sandbox: Sandbox) -> dict[str, object]:
    url = sandbox.token_url
    return {"appServer": url, "signIn": f"{url}sandbox/login", "refusals": "", "fullPage": True}


def picture(name: str, body: bytes = JPEG) -> dict[str, str]:
    return {"name": name, "type": "image/jpeg", "base64": base64.b64encode(body).decode()}


def drive(sandbox: Sandbox, folder: Path, **job: Any) -> dict[str, Any]:
    """Run the script, check that the page has no fault and shows no secret, and return what it
    saw."""
    job = {"folder": str(folder), "config": config(sandbox), **job}
    outcome = run("page_views.mjs", job)
    assert [fault for fault in outcome["faults"] if "Failed to load resource" not in fault] == []
    for text in outcome["open"]:
        assert "x-oss-signature" not in text
        assert "security-token" not in text
        assert "eyJ" not in text  # each login begins with this
    return outcome


def test_all_of_the_callers_own_uploads_are_seen_page_by_page(
    sandbox: Sandbox, folder: Path
) -> None:
    outcome = drive(sandbox, folder, user="alice", more=30, pictures=4, leaves=True)
    found = outcome["gallery"]
    names = {item["name"] for item in found["items"]}
    assert names == {*ORDINARY, HOSTILE[0], r"\u{202e}gpj.exe", *HOSTILE[2:]}
    assert not found["more"]
    assert found["note"] == ""
    pictures = [item["picture"] for item in found["items"] if item["picture"]]
    assert [[240, 240]] in pictures
    # Signing out leaves nothing behind.
    assert outcome["left"] == {"note": "Sign in to see your uploads.", "more": False, "items": []}


def test_a_picture_is_seen_large_with_a_watermark_and_downloaded(
    sandbox: Sandbox, folder: Path
) -> None:
    token(sandbox, "dora").oss2("v4").put_object("uploads/dora/ü 照片.jpg", DARK)
    found = drive(sandbox, folder, user="dora", view="照片", pictures=1)
    assert found["first"]["size"] == [[1600, 800]]
    assert found["first"]["title"] == "ü 照片.jpg"
    assert found["narrow"]["size"] == found["marked"]["size"] == [[400, 200]]
    assert found["darkest"] < 100 < found["lightest"]
    changed, original = found["files"]
    assert changed["name"] == original["name"] == "ü 照片.jpg"
    assert base64.b64decode(original["base64"]) == DARK
    assert opened(base64.b64decode(changed["base64"])).size == (400, 200)
    assert found["isClosed"]
    assert found["isBack"]


def test_where_reading_is_not_allowed_one_sentence_says_so_and_no_picture_is_broken(
    tmp_path: Path, folder: Path
) -> None:
    with running(tmp_path / "state", AUTH="jwt", POLICY_FILE="bucket_write_policy") as sandbox:
        bucket = token(sandbox, "alice").oss2("v4")
        for name in ("a.jpg", "b.jpg"):
            bucket.put_object(f"uploads/alice/{name}", JPEG)
        found = drive(sandbox, folder, user="alice", scroll=True, waitFor="may not read")["gallery"]
    assert len(found["items"]) == 2
    assert found["note"].count("may not read") == 1
    assert "POLICY_FILE" in found["note"]
    assert [item["picture"] for item in found["items"]] == [[], []]


def test_where_nothing_is_listed_the_page_shows_what_it_stored_itself(
    tmp_path: Path, folder: Path
) -> None:
    with running(
        tmp_path / "state", AUTH="anonymous", POLICY_FILE="bucket_write_policy"
    ) as sandbox:
        job = {"config": {**config(sandbox), "signIn": ""}, "upload": picture("photo.jpg")}
        found = drive(sandbox, folder, **job)["gallery"]
        assert found["note"].startswith("Earlier uploads cannot be listed")
        assert "POLICY_FILE=bucket_read_write_policy" in found["note"]
        assert [item["name"] for item in found["items"]] == ["photo.jpg"]
        found = drive(sandbox, folder, **job, locale="zh-CN")["gallery"]
        assert found["note"].startswith("无法列出以前的上传")
        assert "AUTH=jwt" in found["note"]


def test_where_no_url_is_signed_a_token_reads(tmp_path: Path, folder: Path) -> None:
    closed = {"ENABLED_ROUTES": "token,uploads", "POLICY_FILE": READ_WRITE}
    with running(tmp_path / "state", AUTH="jwt", **closed) as sandbox:
        token(sandbox, "alice").oss2("v4").put_object("uploads/alice/ü 1.jpg", JPEG)
        found = drive(sandbox, folder, user="alice", pictures=1)["gallery"]
    assert found["items"][0]["picture"] == [[240, 240]]


def test_the_answer_of_the_callback_is_shown_and_that_it_failed_is_said(
    tmp_path: Path, folder: Path
) -> None:
    port = free_port()
    job = {"user": "alice", "upload": picture("photo.jpg")}
    variables = {"AUTH": "jwt", "POLICY_FILE": READ_WRITE}
    url = f"http://127.0.0.1:{port}/callback"
    with running(tmp_path / "told", port, CALLBACK_URL=url, **variables) as sandbox:
        (item,) = drive(sandbox, folder, **job)["gallery"]["items"]
        assert json.loads(item["told"][0])["Object"] == "uploads/alice/photo.jpg"
    # No server listens on this port.
    url = f"http://127.0.0.1:{free_port()}/callback"
    with running(tmp_path / "untold", CALLBACK_URL=url, **variables) as sandbox:
        (item,) = drive(sandbox, folder, **job)["gallery"]["items"]
        assert item["told"][0].startswith("The file is stored, but your server was not told.")


REFUSALS = [
    {
        "Time": "2026-11-28T16:00:00Z",
        "Server": "OSS",
        "Method": "PUT",
        "Path": "uploads/bob/<b>\u202egpj.exe",
        "Status": 403,
        "Code": "AccessDenied",
        "Refusal": {
            "Action": "oss:PutObject",
            "Resource": "acs:oss:*:1:sandbox-bucket/uploads/bob/<b>",
            "PolicyType": "SessionPolicy",
            "Policy": "the session policy of the token (bucket_write_policy)",
            "Reason": "ImplicitDeny",
        },
    },
]


def test_a_refusal_is_a_sentence_and_the_panel_says_which_policy_refused_it(
    sandbox: Sandbox, folder: Path
) -> None:
    asked = {"config": {**config(sandbox), "refusals": "/refusals"}, "refusals": REFUSALS}
    upload = {"upload": picture("\u202egpj.exe"), "isRefused": True}
    found = drive(sandbox, folder, user="carol", **asked, **upload, waitFor="uploads/bob/")
    assert found["refusal"].startswith(r"\u{202e}gpj.exe: ")
    assert "object: " in found["refusal"]  # the function's own message
    assert "InvalidParameter" not in found["refusal"]
    assert re.fullmatch("[0-9a-f]{32}", found["session"])
    assert (
        "oss:PutObject on acs:oss:*:1:sandbox-bucket/uploads/bob/<b> is not allowed by "
        "the session policy of the token (bucket_write_policy)." in found["why"]
    )
    assert r"PUT uploads/bob/<b>\u{202e}gpj.exe" in found["why"]


def test_the_panel_is_not_there_where_the_sandbox_tells_nothing(
    sandbox: Sandbox, folder: Path
) -> None:
    """The page has no panel if the configuration has no URL for the panel, or if this URL answers
    404. A phone gets the answer 404."""
    assert drive(sandbox, folder, user="carol")["session"] is None
    asked = {"config": {**config(sandbox), "refusals": "/refusals"}}
    assert drive(sandbox, folder, user="carol", **asked)["why"] is None
