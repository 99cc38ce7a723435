"""Tests the page that `make web` builds: its files, its size, and what it stores in the browser."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jwt
import pytest

from javascript import PAGE, need, run
from running_cloud import RunningCloud, running_cloud

TEXTS = PAGE / "page" / "texts"
LANGUAGES = ("en", "zh")
FIRST_LOAD = {"script, first load (en)": 100, "script, first load (zh)": 100}
FIRST_LOAD["styles, first load"] = 20
SECRET = re.compile(
    r"eyJ[\w-]{8,}|STS\.\w+|x-oss-signature|x-oss-security-token|SecurityToken\W+\w{20}|LTAI"
)
"""Matches a login (JWT), the access key and the security token of a token, and parts of a signed
URL."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a build, and the output of the build."""
    need("the page's build", browser=False)
    folder = tmp_path_factory.mktemp("page") / "web"
    done = build(folder)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def build(folder: Path, script: Path = PAGE / "build.mjs") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["node", script, folder],  # noqa: S607 - whichever is on the PATH
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def texts(language: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for file in sorted(TEXTS.glob(f"*.{language}.json")):
        found |= json.loads(file.read_text(encoding="utf-8"))
    return found


class Elements(HTMLParser):
    """Collects each start tag with its attributes, and the text of scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] in ("script", "style") and data.strip():
            self.inline.append(data)


def elements(html: str) -> Elements:
    parser = Elements()
    parser.feed(html)
    return parser


def test_the_first_load_is_within_its_limits(built: tuple[Path, str]) -> None:
    sizes = {
        name: float(size)
        for size, name in re.findall(r"([\d.]+) KB  ([^\n]+?)(?: \(at|\n)", built[1])
    }
    for name, limit in FIRST_LOAD.items():
        assert 0 < sizes[name] <= limit
    later = " ".join(name for name in sizes if name.startswith("later:"))
    for module in ("ali-oss", "golden-retriever", "exifr", "viewer"):
        assert module in later


def test_no_script_or_style_stands_in_the_html(built: tuple[Path, str]) -> None:
    page = elements((built[0] / "index.html").read_text(encoding="utf-8"))
    assert page.inline == []
    for tag, attributes in page.found:
        assert tag != "style"
        assert not [name for name in attributes if name == "style" or name.startswith("on")]


def test_everything_that_the_html_loads_lies_beside_it(built: tuple[Path, str]) -> None:
    page = elements((built[0] / "index.html").read_text(encoding="utf-8"))
    found = [attributes.get("src") or attributes.get("href") for _, attributes in page.found]
    sources = [url for url in found if url and not url.startswith(("#", "data:"))]
    assert {"main.js", "style.css"} <= set(sources)
    for source in sources:
        assert (built[0] / source).is_file()


def test_no_style_is_asked_of_another_server(built: tuple[Path, str]) -> None:
    style = (built[0] / "style.css").read_text(encoding="utf-8")
    assert not re.findall(r"""url\((?!["']?data:)[^)]*\)|@import""", style)


def test_the_built_page_needs_no_eval(built: tuple[Path, str]) -> None:
    for file in built[0].glob("*.js"):
        assert not re.search(r"\beval\(|new Function\(", file.read_text(encoding="utf-8")), (
            file.name
        )


def test_hosted_elsewhere_it_asks_for_the_server(built: tuple[Path, str]) -> None:
    config = json.loads((built[0] / "config.json").read_text(encoding="utf-8"))
    assert config == {"appServer": "", "signIn": "", "refusals": "", "fullPage": True}


def test_the_client_lies_beside_the_page_for_who_copies_its_code(built: tuple[Path, str]) -> None:
    ours = (PAGE / "client" / "oss_upload.js").read_text(encoding="utf-8")
    assert (built[0] / "client" / "oss_upload.js").read_text(encoding="utf-8") == ours


def test_the_licences_of_what_is_bundled_come_with_it(built: tuple[Path, str]) -> None:
    licences = (built[0] / "licenses.txt").read_text(encoding="utf-8")
    for package in ("@uppy/core", "@uppy/aws-s3", "ali-oss", "preact"):
        assert f"\n{package} " in f"\n{licences}"


def test_a_failed_build_leaves_the_page_that_is_there(
    built: tuple[Path, str], tmp_path: Path
) -> None:
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "index.html").write_text("as it was")
    script = tmp_path / "build.mjs"
    source = (PAGE / "build.mjs").read_text(encoding="utf-8")
    source = source.replace("100 * 1024", "1 * 1024").replace(
        "import.meta.dirname", json.dumps(str(PAGE))
    )
    source = source.replace("'esbuild'", json.dumps(str(PAGE / "node_modules/esbuild/lib/main.js")))
    script.write_text(source)
    done = build(folder, script)
    assert done.returncode == 1
    assert "Too large" in done.stderr
    assert (folder / "index.html").read_text() == "as it was"


def test_both_languages_have_the_same_texts_with_the_same_values() -> None:
    english, chinese = (
        {key: sorted(re.findall(r"\{\w+\}", text)) for key, text in texts(language).items()}
        for language in LANGUAGES
    )
    assert english == chinese
    assert all(text.strip() for language in LANGUAGES for text in texts(language).values())


def test_each_text_that_the_html_asks_for_is_there() -> None:
    page = elements((PAGE / "page" / "index.html").read_text(encoding="utf-8"))
    asked = {
        value
        for _, attributes in page.found
        for name, value in attributes.items()
        if name.startswith("data-t")
    }
    assert asked
    assert asked <= texts("en").keys()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud"), AUTH="jwt") as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("way", ["token", "multipart"])
def test_an_upload_that_is_kept_for_a_reload_keeps_no_secret(
    built: tuple[Path, str], cloud: RunningCloud, way: str
) -> None:
    need("what the page keeps", browser=True)
    login = cloud.login("alice")
    job = {"folder": str(built[0]), "server": f"{cloud.url}/", "login": login, "way": way}
    seen: dict[str, Any] = run("page_keeps.mjs", job)
    assert seen["sent"] == [1, 2, 3]
    # The page stores everything that is needed to continue the upload.
    assert "film.mp4" in seen["kept"]
    assert "uploadId" in seen["kept"]
    for text in (seen["kept"], seen["shown"], *seen["asked"]):
        assert not SECRET.search(text)
        assert login not in text


@pytest.mark.slow
def test_who_comes_next_sees_no_file_of_who_left_and_no_other_server_gets_a_login(
    built: tuple[Path, str], cloud: RunningCloud
) -> None:
    need("who leaves the page", browser=True)
    logins = {user: cloud.login(user) for user in ("alice", "bob")}
    seen = run("page_leaves.mjs", {"folder": str(built[0]), "server": f"{cloud.url}/", **logins})
    assert seen["own"]
    assert not any(seen[when] for when in ("left", "reloaded", "others"))
    assert seen["asked"]
    assert seen["stolen"] == []


@pytest.fixture(scope="module")
def session() -> dict[str, Any]:
    need("the page's session", browser=False)

    def login(user: str, seconds: int) -> str:
        now = int(time.time())
        claims = {"sub": user, "iat": now, "exp": now + seconds}
        return jwt.encode(claims, "a secret of this test, long enough", algorithm="HS256")

    logins = {"alice": login("alice", 3600), "bob": login("bob", 3600)}
    return {**run("page_session.mjs", {**logins, "lateAlice": login("alice", 1)}), "given": logins}


def test_a_login_is_for_the_server_that_it_was_given_for(session: dict[str, Any]) -> None:
    assert session["elsewhere"] == {"user": "", "login": ""}
    assert session["before"] == session["given"]["alice"]
    # The login for the other server is not sent to the first server.
    assert session["back"] == ""


def test_an_upload_that_waits_for_a_login_goes_on_with_its_own_persons(
    session: dict[str, Any],
) -> None:
    logins = session["given"]
    assert session["own"] == {"waiting": logins["alice"], "user": "alice", "changes": 1}
    assert session["others"] == {"waiting": "", "user": "bob", "changes": 2}


def test_what_a_hostile_server_calls_a_url_is_not_opened() -> None:
    need("the page's downloads", browser=False)
    urls = ["http://127.0.0.1/a", "javascript:alert(1)", " javascript:alert(1)", "data:text/html,a"]
    opened = run("page_stored.mjs", {"urls": urls})
    assert opened == {url: {"code": "InvalidAnswer"} for url in urls} | {urls[0]: urls[0]}
