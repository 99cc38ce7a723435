"""Runs the programs of docs/integrate/mini-program.md unchanged, with a fake of `wx` and `uni`.
TypeScript also checks them with the types of the platforms."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from documented_code import blocks
from integration import INTEGRATE, PACKAGES, stored
from javascript import PAGE, need, run
from running_cloud import RunningCloud, running_cloud

SHORT, COMPLETE, PLACE, UNI = blocks("js", INTEGRATE / "mini-program.md")
FILE = {"path": "wxfile://tmp_12.PNG", "size": 700}
USE = "return upload(tempFilePath, (done) => seen.progress.push(done));"
# WeChat's own types declare setTimeout, so the types of the DOM are not needed.
LIBRARIES = {"miniprogram-api-typings": "es2022", "@dcloudio/types": "es2022,dom"}
AMBIENT = (
    "declare const tokenUrl: string, login: string, tempFilePath: string, signInUrl: string;\n"
)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    with running_cloud(
        tmp_path_factory.mktemp("cloud"), AUTH="jwt", UPLOAD_MAX_BYTES="1000"
    ) as running:
        yield running


def in_uni_app() -> str:
    """Return upload.js with the changes that the page shows for uni-app."""
    code = COMPLETE
    for changed in re.findall(r"^(?:async )?function (\w+).*?^}$", UNI, re.M | re.S):
        (old,), (new,) = (
            re.findall(rf"^(?:async )?function {changed}\b.*?^}}$", text, re.M | re.S)
            for text in (code, UNI)
        )
        code = code.replace(old, new)
    assert "wx." not in code.replace("wx.request as a promise", "")
    return code


PROGRAMS = {"wx": COMPLETE, "uni": in_uni_app()}


def use(cloud: RunningCloud, code: str, logins: list[str], **job: Any) -> dict[str, Any]:
    need("docs/integrate/mini-program.md", browser=False)
    code = code.replace("https://token.example.com", cloud.url)
    full = {"code": code, "use": USE, "logins": logins, "lose": 0, "file": FILE, **job}
    return run("mini_program.mjs", full)


def test_the_shortest_uploads(cloud: RunningCloud) -> None:
    names = {"tokenUrl": cloud.url, "login": cloud.login("short")}
    found = use(cloud, SHORT, [], use="", names=names, waits=True)
    (told,) = found["logged"]
    assert stored(cloud, told.removeprefix("stored as ")) == bytes(700)


def test_the_shortest_says_why_it_was_refused(cloud: RunningCloud) -> None:
    found = use(cloud, SHORT, [], use="", names={"tokenUrl": cloud.url, "login": "x"}, waits=True)
    assert found["logged"] == [cloud.answer(access_token="x")["ErrorMessage"]]


@pytest.mark.parametrize("platform", PROGRAMS)
def test_a_refused_login_is_renewed_and_a_lost_upload_repeated(
    cloud: RunningCloud, platform: str
) -> None:
    logins = [cloud.login(platform)[:-4] + "AAAA", cloud.login(platform)]
    found = use(cloud, PROGRAMS[platform], logins, lose=2)
    assert "error" not in found, found
    key = found["value"]["key"]
    assert re.fullmatch(rf"uploads/{platform}/[\d/]{{10}}/[a-z2-7]{{26}}\.png", key)
    assert stored(cloud, key) == bytes(700)
    assert (found["codes"], found["forms"], found["uploads"]) == (["the code"] * 2, 4, 3)
    assert set(found["progress"]) == {100}


@pytest.mark.parametrize("platform", PROGRAMS)
def test_what_is_refused_is_said_and_not_repeated(cloud: RunningCloud, platform: str) -> None:
    found = use(cloud, PROGRAMS[platform], ["x"])
    assert found["error"] == cloud.answer(access_token="x")["ErrorMessage"]
    assert (found["forms"], found["uploads"]) == (2, 0)
    large = use(cloud, PROGRAMS[platform], [cloud.login("a")], file={**FILE, "size": 1001})
    assert large["error"].startswith("OSS refused: EntityTooLarge ")
    assert large["uploads"] == 1


@pytest.mark.parametrize("platform", PROGRAMS)
def test_a_network_that_stays_away_ends_after_three_tries(
    cloud: RunningCloud, platform: str
) -> None:
    found = use(cloud, PROGRAMS[platform], [cloud.login("a")], lose=9)
    assert (found["error"], found["uploads"]) == ("uploadFile:fail", 3)


def checked(folder: Path, types: str, **files: str) -> str:
    """Return the errors that TypeScript finds in JavaScript files with the types of a platform."""
    need("docs/integrate/mini-program.md by its types", browser=False, folder=PACKAGES)
    need("TypeScript", browser=False)
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (folder / "node_modules").symlink_to(PACKAGES / "node_modules")
    done = subprocess.run(
        [
            *("node", str(PAGE / "node_modules/typescript/bin/tsc"), "--noEmit", "--allowJs"),
            *("--checkJs", "--strict", "--noImplicitAny", "false", "--skipLibCheck"),
            *("--useUnknownInCatchVariables", "false", "--module", "esnext"),
            *("--moduleResolution", "bundler", "--target", "es2022", "--lib", LIBRARIES[types]),
            *("--types", types, *(name.replace("__", "/").replace("_", ".") for name in files)),
        ],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    return done.stdout


@pytest.mark.slow
def test_the_mini_program_is_as_wechats_types_have_it(tmp_path: Path) -> None:
    files = {"upload_js": COMPLETE, "pages__index__index_js": PLACE}
    (tmp_path / "right").mkdir()
    assert checked(tmp_path / "right", "miniprogram-api-typings", **files) == ""
    (tmp_path / "short").mkdir()
    short = {"short_js": SHORT, "ambient_d_ts": AMBIENT}
    assert checked(tmp_path / "short", "miniprogram-api-typings", **short) == ""
    (tmp_path / "wrong").mkdir()
    wrong = {
        **files,
        "upload_js": COMPLETE.replace("filePath,\n      name", "path: filePath,\n name"),
    }
    assert "'path' does not exist" in checked(
        tmp_path / "wrong", "miniprogram-api-typings", **wrong
    )


@pytest.mark.slow
def test_the_uni_app_is_as_its_types_have_it(tmp_path: Path) -> None:
    (tmp_path / "right").mkdir()
    assert checked(tmp_path / "right", "@dcloudio/types", upload_js=in_uni_app()) == ""
    (tmp_path / "wrong").mkdir()
    wrong = in_uni_app().replace("task.onProgressUpdate", "task.onProgress")
    assert "'onProgress' does not exist" in checked(
        tmp_path / "wrong", "@dcloudio/types", upload_js=wrong
    )
