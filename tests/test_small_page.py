"""Tests the small page, which needs no build and no npm, in Chromium. The sandbox runs in its own
process. The script tests/web/small_page.mjs controls the page."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from javascript import need, run
from pictures import encoded, quarters
from running_sandbox import Sandbox, running

JPEG = encoded(quarters(1600, 1000), "JPEG")
HOSTILE = [
    "<img src=x onerror=alert(1)>.jpg",
    "\u202egpj.exe",
    "\"'&quot;`${1}.jpg",
    "line\nline.jpg",
    "照" * 340 + ".jpg",
]
READ_WRITE = "bucket_read_write_policy"


@pytest.fixture(scope="module", autouse=True)
def _browser() -> None:
    need("The small page", browser=True)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    folder = tmp_path_factory.mktemp("sandbox") / "state"
    with running(folder, AUTH="anonymous", POLICY_FILE=READ_WRITE) as sandbox:
        yield sandbox


def config(sandbox: Sandbox, sign_in: bool = False) -> dict[str, object]:
    return {
        "appServer": sandbox.token_url,
        "signIn": f"{sandbox.token_url}sandbox/login" if sign_in else "",
        "refusals": "",
        "fullPage": False,
    }


def picture(name: str = "photo.jpg", body: bytes = JPEG) -> dict[str, str]:
    return {"name": name, "type": "image/jpeg", "base64": base64.b64encode(body).decode()}


def drive(sandbox: Sandbox, *files: dict[str, str], **job: Any) -> dict[str, Any]:
    """Run the script, check that the page has no fault and shows no secret, and return what it
    saw."""
    outcome = run("small_page.mjs", {"config": config(sandbox), "files": files, **job})
    # Chromium itself logs a line for each answer whose status is not 2xx.
    assert [fault for fault in outcome["faults"] if "Failed to load resource" not in fault] == []
    for text in outcome["open"]:
        assert "x-oss-signature" not in text
        assert "eyJ" not in text  # each login begins with this
    return outcome


def test_a_picture_is_uploaded_and_seen_as_oss_shrinks_it(sandbox: Sandbox) -> None:
    found = drive(sandbox, picture())
    (item,) = found["files"]
    assert item["pictures"] == [[800, 500]]
    assert item["lines"][0] == "photo.jpg"
    assert item["lines"][1].startswith("Stored as uploads/photo-")
    key = item["lines"][1].split()[2]
    assert sandbox.bucket().get_object(key).read() == JPEG
    assert found["said"].startswith("photo.jpg: Stored as ")


@pytest.mark.slow
def test_a_phone_takes_a_photo_with_targets_that_a_thumb_hits(sandbox: Sandbox) -> None:
    found = drive(sandbox, picture("image.jpg"), input="#take-photo", device="Pixel 7")
    assert found["files"][0]["pictures"] == [[800, 500]]
    assert found["target"]["width"] >= 44
    assert found["target"]["height"] >= 44


@pytest.mark.slow
def test_names_that_are_markup_or_deceive_are_shown_as_text(sandbox: Sandbox) -> None:
    """If two pictures have the same name, both are stored. A file's name never runs as a
    script."""
    found = drive(sandbox, *map(picture, [*HOSTILE, "photo.jpg", "photo.jpg"]))
    names = [item["lines"][0] for item in reversed(found["files"])]
    assert names[0] == HOSTILE[0]
    assert names[1] == r"\u{202e}gpj.exe"
    assert names[2] == HOSTILE[2]
    assert names[3] == r"line\u{a}line.jpg"
    assert names[4] == HOSTILE[4]
    for item in found["files"]:
        assert item["elements"] == ["h2", "bdi", "p", "img"]
    keys = {item["lines"][1].split()[2] for item in found["files"]}
    assert len(keys) == len(HOSTILE) + 2


@pytest.mark.slow
def test_what_is_no_picture_is_stored_and_said(sandbox: Sandbox) -> None:
    found = drive(sandbox, picture(body=b"no picture"))
    lines = found["files"][0]["lines"]
    assert lines[1].startswith("Stored as ")
    assert lines[2] == "OSS could not make a small picture of this file."


@pytest.mark.slow
def test_an_upload_without_an_answer_is_tried_again(sandbox: Sandbox) -> None:
    found = drive(sandbox, picture(), lostPuts=1)
    assert found["first"][0]["lines"][1].startswith("There was no answer. Check the network")
    assert found["files"][0]["pictures"] == [[800, 500]]


@pytest.mark.slow
def test_chinese_is_spoken_to_who_reads_it(sandbox: Sandbox) -> None:
    found = drive(sandbox, picture("照片.jpg"), locale="zh-CN")
    assert found["language"] == "zh-CN"
    assert found["files"][0]["lines"][1].startswith("已保存为 uploads/photo-")
    assert "选择图片" in found["text"]
    for word in ("Stored", "Choose", "Upload"):
        assert word not in found["text"]


@pytest.mark.slow
def test_the_full_page_is_offered_once_it_is_built(sandbox: Sandbox) -> None:
    assert not drive(sandbox, offersFullPage=True)["offeredAtOnce"]


@pytest.mark.slow
def test_who_signs_in_uploads_to_their_folder_and_a_refused_read_is_said(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("jwt") / "state"
    with running(folder, AUTH="jwt", POLICY_FILE="bucket_write_policy") as sandbox:
        signed_in = {"config": config(sandbox, sign_in=True), "user": "alice"}
        found = drive(sandbox, picture(), **signed_in)
        lines = found["files"][0]["lines"]
        assert lines[1].startswith("Stored as uploads/alice/photo-")
        assert "bucket_write_policy does not allow reading" in lines[2]
        assert "POLICY_FILE=bucket_read_write_policy" in lines[2]
        assert found["files"][0]["pictures"] == []
        # The function needs a login, but this page has no sign-in, and tells the user so.
        found = drive(sandbox, picture())
        assert "this page has no sign-in" in found["files"][0]["lines"][1]


@pytest.mark.slow
def test_a_refusal_names_the_page_that_explains_its_code(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("closed") / "state"
    with running(folder, ENABLED_ROUTES="token") as sandbox:
        found = drive(sandbox, picture())
    assert found["files"][0]["lines"][1].endswith("(RouteDisabled, docs/errors.md)")
