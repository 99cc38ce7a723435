"""Tests the page that `make run` serves at /app/, in Chromium, with a user's actions and with
interruptions. The scripts tests/web/page_*.mjs control the page. They use full_page.mjs.

Each test also checks the whole page. The console has no error. The page follows its security
policy, and the rules of axe-core in both themes. No secret is in the document, in storage, in an
address or in the panel.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from built_page import built_page
from javascript import run
from pictures import encoded, quarters
from running_cloud import Token
from running_sandbox import Sandbox, running

JPEG = encoded(quarters(1000, 500), "JPEG")
MIB = 1024 * 1024
PART = 5 * MIB
LARGE = 60 * MIB
PHONE = "Pixel 7"
WAYS = ["signed-url", "form", "token", "multipart"]
READ_WRITE = "bucket_read_write_policy"

slow = pytest.mark.slow


@pytest.fixture(scope="module")
def anybody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox, started by `make run` without variables, as a new user starts it."""
    built_page()
    with running(tmp_path_factory.mktemp("anybody") / "state") as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox of `make run AUTH=jwt`."""
    built_page()
    with running(tmp_path_factory.mktemp("users") / "state", AUTH="jwt") as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    path = tmp_path_factory.mktemp("files") / "photo.jpg"
    path.write_bytes(JPEG)
    return {"path": str(path)}


def noise(folder: Path, size: int, name: str = "noise.bin") -> dict[str, str]:
    path = folder / name
    path.write_bytes(os.urandom(size))
    return {"path": str(path)}


def drive(script: str, sandbox: Sandbox, refused: int = 0, **job: Any) -> dict[str, Any]:
    """Run a script, check the whole page for faults, and return what the script saw.

    `refused` is the maximum number of requests that are refused on purpose. The browser itself logs
    each of these refusals in its console.
    """
    outcome = run(f"{script}.mjs", {"url": f"http://127.0.0.1:{sandbox.port}/app/", **job})
    noted = [fault for fault in outcome["faults"] if fault.startswith("Failed to load resource")]
    assert len(noted) <= refused, noted
    assert [fault for fault in outcome["faults"] if fault not in noted] == []
    assert outcome["secrets"] > 0, "the page must have had secrets"
    assert outcome["open"] == []
    assert outcome["dialogs"] == 0
    return outcome


def token(sandbox: Sandbox, user: str = "") -> Token:
    if not user:
        return Token.of(sandbox.answer())
    login = sandbox.answer(path=f"/sandbox/login?user={user}")["access_token"]
    return Token.of(sandbox.answer(path=f"/?access_token={login}"))


def is_stored(sandbox: Sandbox, name: str, content: bytes, user: str = "") -> bool:
    found = token(sandbox, user)
    stored: bytes = found.oss2("v4").get_object(found.prefix + name).read()
    return stored == content


@slow
def test_what_is_wrong_beside_is_found(anybody: Sandbox) -> None:
    """The script puts faults into the page: a token in each place, a script, a warning, and a
    picture without a text. All of them must be found."""
    url = f"http://127.0.0.1:{anybody.port}/app/"
    found = run("page_refusals.mjs", {"url": url, "planted": True})
    wanted = {"storage", "database", "panel", "document", "fields", "address"}
    assert wanted <= set(found["open"])
    faults = "\n".join(found["faults"])
    for part in ("policy: script-src", "planted", "light: image-alt", "dark: image-alt"):
        assert part in faults


# What the page asks when it opens


ASKED = ["/ 400", "/form 400", "/multipart 400", "/signed-url 400"]
"""A wrong wish for each way to upload, which an open way refuses if the caller is known."""
SHOWN = ["/ 200", "/uploads 200"]
"""The requests for the bucket's name and for the list of uploads."""


@slow
def test_the_page_asks_each_way_once(anybody: Sandbox) -> None:
    found = drive("page_opens", anybody)
    assert found["asked"] == {"opened": sorted(ASKED + SHOWN)}


@slow
def test_without_a_login_the_page_asks_once_and_asks_each_way_after_the_sign_in(
    users: Sandbox,
) -> None:
    """A reload signs in with the kept name, when the server has said that a login is needed."""
    asked = drive("page_opens", users, user="opener")["asked"]
    assert asked["opened"] == asked["signed out"] == ["/ 401"]
    assert asked["signed in"] == sorted(ASKED + SHOWN)
    assert asked["reloaded"] == sorted(["/ 401", *ASKED, *SHOWN])


# The four ways


def test_a_newcomer_uploads_a_picture_and_sees_it(anybody: Sandbox, photo: dict[str, str]) -> None:
    found = drive("page_ways", anybody, way="signed-url", files=[photo], pictures=1)
    assert found["uploads"] == [{"name": "photo.jpg", "picture": [240, 240]}]
    assert "client.uppy('signed-url', wishes)" in found["code"]
    assert found["secure"]
    assert is_stored(anybody, "photo.jpg", JPEG)


@slow
@pytest.mark.parametrize("way", WAYS)
def test_on_a_phone_each_way_uploads_a_picture(
    users: Sandbox, photo: dict[str, str], way: str
) -> None:
    user = f"phone-{way}"
    job: dict[str, Any] = {"device": PHONE, "user": user, "pictures": 1, "view": "photo.jpg"}
    found = drive("page_ways", users, way=way, files=[photo], **job)
    assert found["uploads"] == [{"name": "photo.jpg", "picture": [240, 240]}]
    assert is_stored(users, "photo.jpg", JPEG, user)
    viewed = found["viewed"]
    assert viewed["plain"] != viewed["marked"]
    assert viewed["name"] == "photo.jpg"
    assert base64.b64decode(viewed["base64"]) == JPEG


@slow
@pytest.mark.parametrize("way", WAYS)
def test_each_way_uploads_a_large_file(anybody: Sandbox, tmp_path: Path, way: str) -> None:
    name = f"{way}.bin"
    file = noise(tmp_path, LARGE, name)
    found = drive("page_ways", anybody, way=way, files=[file])
    in_parts = way in ("token", "multipart")
    assert sorted(found["parts"]) == (list(range(1, LARGE // PART + 1)) if in_parts else [])
    assert is_stored(anybody, name, Path(file["path"]).read_bytes())


@slow
def test_a_token_uploads_a_large_file_at_once_where_that_is_chosen(
    anybody: Sandbox, tmp_path: Path
) -> None:
    file = noise(tmp_path, 3 * PART, "at-once.bin")
    found = drive("page_ways", anybody, way="token", resumable=False, files=[file])
    assert found["parts"] == []
    assert is_stored(anybody, "at-once.bin", Path(file["path"]).read_bytes())


HOSTILE = ["<img src=x onerror=alert(1)>.txt", "\"'&quot;`.txt", "照片 1+2%41.txt"]


@slow
def test_hostile_names_are_text_and_several_files_go_at_once(users: Sandbox) -> None:
    files = [{"name": name, "type": "text/plain", "text": name} for name in HOSTILE]
    job: dict[str, Any] = {"way": "signed-url", "user": "<b>&eve"}
    found = drive("page_ways", users, files=files, **job)
    assert {upload["name"] for upload in found["uploads"]} == set(HOSTILE)


@slow
@pytest.mark.parametrize("name", ["\u202egpj.txt", "${1}.txt"])
def test_a_name_that_is_refused_is_shown_as_what_it_is(anybody: Sandbox, name: str) -> None:
    files = [{"name": name, "type": "text/plain", "text": "x"}]
    found = drive("page_refusals", anybody, way="signed-url", files=files, refused=1)
    assert found["refusal"].startswith(name.replace("\u202e", r"\u{202e}"))
    assert "object: " in found["refusal"], "the function's own message names the wish"
    assert "\u202e" not in found["refusal"]


@slow
@pytest.mark.parametrize("way", ["token", "multipart"])
def test_nothing_needs_a_secure_context(anybody: Sandbox, tmp_path: Path, way: str) -> None:
    file = noise(tmp_path, 2 * PART, f"insecure-{way}.bin")
    found = drive("page_ways", anybody, way=way, files=[file], host="page.test", device=PHONE)
    assert not found["secure"]
    assert is_stored(anybody, f"insecure-{way}.bin", Path(file["path"]).read_bytes())


# Interruptions


SIZE = 5 * PART


@slow
@pytest.mark.parametrize("way", ["token", "multipart"])
@pytest.mark.parametrize("kind", ["pause", "offline", "reload"])
def test_an_upload_goes_on_and_no_part_is_sent_twice(
    anybody: Sandbox, tmp_path: Path, way: str, kind: str
) -> None:
    name = f"{kind}-{way}.bin"
    file = noise(tmp_path, SIZE, name)
    found = drive("page_breaks", anybody, way=way, files=[file], kind=kind, refused=3)
    assert found.get("more", 0) == 0, "a pause pauses"
    assert len(found["before"]) >= (0 if kind == "pause" else 2)
    once_each(found)
    assert found["refusal"] == ""
    assert is_stored(anybody, name, Path(file["path"]).read_bytes())


def once_each(found: dict[str, Any]) -> None:
    """Check that no part was sent twice. A part whose answer was lost is in OSS's list of parts, so
    it is not sent again."""
    sent = [*found["before"], *found["after"]]
    assert len(sent) == len(set(sent))
    assert set(sent) <= set(range(1, 100))


@slow
@pytest.mark.parametrize("way", ["token", "multipart"])
def test_a_file_that_is_too_large_to_keep_is_asked_for_and_goes_on(
    anybody: Sandbox, tmp_path: Path, way: str
) -> None:
    name = f"asked-for-{way}.bin"
    file = noise(tmp_path, 102 * MIB, name)
    job: dict[str, Any] = {"kind": "reload", "isAskedFor": True}
    found = drive("page_breaks", anybody, way=way, files=[file], **job)
    assert "re-select" in found["note"]
    once_each(found)
    assert is_stored(anybody, name, Path(file["path"]).read_bytes())


@slow
def test_an_ended_token_is_renewed(anybody: Sandbox, tmp_path: Path) -> None:
    file = noise(tmp_path, SIZE, "token.bin")
    found = drive("page_breaks", anybody, way="token", files=[file], **{"kind": "token"}, refused=3)
    assert found["refused"] > 0
    assert found["refusal"] == "", "the token is renewed without the user"
    once_each(found)
    assert is_stored(anybody, "token.bin", Path(file["path"]).read_bytes())


@slow
def test_an_ended_login_is_renewed(users: Sandbox, tmp_path: Path) -> None:
    file = noise(tmp_path, SIZE, "login.bin")
    job: dict[str, Any] = {"kind": "login", "user": "renewed"}
    found = drive("page_breaks", users, way="multipart", files=[file], **job)
    assert found["refused"] > 0
    assert found["refusal"] == ""
    assert is_stored(users, "login.bin", Path(file["path"]).read_bytes(), "renewed")


@slow
def test_the_platforms_own_429_is_waited_out(anybody: Sandbox, tmp_path: Path) -> None:
    file = noise(tmp_path, SIZE, "platform.bin")
    job: dict[str, Any] = {"kind": "platform", "refused": 3}
    found = drive("page_breaks", anybody, way="multipart", files=[file], **job)
    assert found["refusal"] == ""
    once_each(found)
    assert is_stored(anybody, "platform.bin", Path(file["path"]).read_bytes())


# Refusals


@slow
@pytest.mark.parametrize(
    ("user", "routes", "closed"),
    [
        ("", "signed-url,form", {"token": "Token (closed)", "multipart": "In parts (closed)"}),
        # Here the page learns only after the sign-in which ways are closed.
        ("alice", "token,form,multipart", {"signed-url": "Signed URL (closed)"}),
    ],
)
def test_a_closed_way_is_shown_as_closed(
    tmp_path: Path, user: str, routes: str, closed: dict[str, str]
) -> None:
    built_page()
    auth = "jwt" if user else "anonymous"
    with running(tmp_path / "state", AUTH=auth, ENABLED_ROUTES=routes) as sandbox:
        job = {"url": f"http://127.0.0.1:{sandbox.port}/app/", "user": user}
        found = run("page_refusals.mjs", job)
    assert found["faults"] == found["open"] == []
    assert {way: text for way, is_off, text in found["ways"] if is_off} == closed


@slow
@pytest.mark.parametrize("way", WAYS)
def test_a_refused_upload_is_a_sentence_that_says_what_to_do(tmp_path: Path, way: str) -> None:
    built_page()
    # If `way` is "token", OSS refuses the upload. Otherwise the function refuses the request.
    policy = {"POLICY_FILE": "bucket_read_policy"}
    text = {"name": "notes.txt", "type": "text/plain", "text": "x" * 100}
    with running(tmp_path / "state", **policy) as sandbox:
        found = drive("page_refusals", sandbox, way=way, files=[text], refused=3)
    assert found["refusal"].startswith("notes.txt: ")
    sentence, _, advice = found["refusal"].partition("\n\n")
    assert sentence
    assert advice
    assert "AccessDenied" not in sentence
    assert "NotAllowed" not in sentence
    page = re.findall(r"docs/errors\.md#([a-z]+)$", advice)
    assert page == ["accessdenied" if way == "token" else "notallowed"]
    assert "notes.txt" in found["why"] or way != "token"


@slow
@pytest.mark.parametrize("device", [None, PHONE])
def test_alice_cannot_open_bobs_folder_and_bob_sees_nothing_of_hers(
    tmp_path: Path, photo: dict[str, str], device: str | None
) -> None:
    built_page()
    with running(tmp_path / "state", AUTH="jwt") as sandbox:
        job: dict[str, Any] = {"way": "signed-url", "files": [photo], "device": device}
        found = drive("page_people", sandbox, refused=1, **job)
    assert found["before"] == {"note": "Sign in to see your uploads.", "signIn": True}
    alice, bob = found["alice"], found["bob"]
    assert alice["uploads"] == [{"name": "photo.jpg", "picture": [240, 240]}]
    assert "uploads/alice/" in alice["scope"]
    assert "Login: 59 min left" in alice["left"]
    assert "Token: " in alice["left"]
    assert alice["refusal"].startswith("uploads/bob/not-mine.txt: OSS does not allow this")
    for told in ("403", "AccessDenied", "oss:PutObject", "uploads/bob/not-mine.txt"):
        assert told in alice["why"]
    assert found["between"] == bob["uploads"] == []
    assert "uploads/bob/" in bob["scope"]
    assert "photo.jpg" not in bob["files"]
    assert found["elsewhere"] == {"signIn": False, "scope": False}


# Languages


@slow
@pytest.mark.parametrize(("locale", "other"), [("zh-CN", "en"), ("en-GB", "zh")])
def test_the_page_speaks_the_browsers_language_and_loads_no_other(
    anybody: Sandbox, locale: str, other: str
) -> None:
    found = drive("page_refusals", anybody, locale=locale, other=other)
    language = locale[:2]
    assert found["language"].startswith(language)
    titles = {"en": "Upload", "zh": "上传"}
    assert found["title"] == titles[language]
    assert " 200" in found["why"]
    assert " 40" not in found["why"], "the panel must not list refusals of the page's own checks"
    assert len(found["loaded"]) == 1
    assert found["loaded"][0].startswith(f"/app/{language}-")
    words = {"en": "Send pictures and files", "zh": "上传照片和文件"}
    for text, spoken in ((found["texts"], language), (found["other"], other)):
        assert words[spoken] in text
        assert words["en" if spoken == "zh" else "zh"] not in text
