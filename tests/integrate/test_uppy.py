"""The unchanged programs of docs/integrate/uppy.md, in Chromium."""

from __future__ import annotations

import re
from typing import Any

import pytest

from documented_code import blocks
from integration import INTEGRATE, stored
from javascript import need, run
from running_cloud import RunningCloud

SHORT, COMPLETE = blocks("js", INTEGRATE / "uppy.md")
PICTURE: dict[str, Any] = {"name": "photo.JPG", "type": "image/jpeg", "size": 70}
FILM: dict[str, Any] = {"name": "film.mp4", "type": "video/mp4", "size": 5 * 1024 * 1024 + 7}
NOTE: dict[str, Any] = {"name": "note.txt", "type": "text/plain", "size": 5}

pytestmark = pytest.mark.slow


def use(cloud: RunningCloud, code: str, *files: dict[str, Any], logins: list[str]) -> Any:
    need("Uppy in a page", browser=True)
    job = {"code": code, "tokenUrl": f"{cloud.url}/", "logins": logins, "files": files}
    return run("uppy_page.mjs", job)


def test_the_shortest_has_twelve_lines_and_uploads(cloud: RunningCloud) -> None:
    assert len(SHORT.splitlines()) <= 12
    found = use(cloud, SHORT, PICTURE, NOTE, logins=[cloud.login("short")])
    assert found["errors"] == []
    assert sorted(found["keys"]) == ["uploads/short/note.txt", "uploads/short/photo.JPG"]
    assert found["shown"] == 2
    assert stored(cloud, "uploads/short/photo.JPG") == bytes(70)


def test_the_complete_one_uploads_in_parts_under_names_of_its_own(cloud: RunningCloud) -> None:
    """The function refuses the first login, and one of the files has a type that is not allowed."""
    logins = [cloud.login("complete")[:-4] + "AAAA", cloud.login("complete")]
    found = use(cloud, COMPLETE, PICTURE, FILM, NOTE, logins=logins)
    assert found["errors"] == []
    assert len(found["refused"]) == 1
    names = sorted(key.rpartition(".")[2] for key in found["keys"])
    assert names == ["jpg", "mp4"]
    for key in found["keys"]:
        assert re.fullmatch(r"uploads/complete/\d{4}/\d\d/\d\d/[a-z2-7]{26}\.\w+", key)
        size = FILM["size"] if key.endswith("mp4") else PICTURE["size"]
        assert stored(cloud, key) == bytes(size)
    assert sorted(line.partition(" is stored as ")[0] for line in found["logged"]) == [
        "film.mp4",
        "photo.JPG",
    ]
    assert found["kept"] == []


def test_why_it_was_refused_is_said(cloud: RunningCloud) -> None:
    found = use(cloud, COMPLETE, PICTURE, logins=["x"])
    reason = cloud.answer(access_token="x")["ErrorMessage"]
    assert found["keys"] == []
    assert len(found["logged"]) == 1
    assert reason in found["logged"][0]
