"""The page that the sandbox serves at /app/: what its users get, and what strangers get."""

from __future__ import annotations

import http.client
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse

import javascript
from javascript import need
from raw_http import Answer, ask
from running_sandbox import running
from sandbox import page
from sandbox.environment import sandbox_environment
from sandbox.servers import Service, in_background, listen
from token_service.settings.reading import Settings, read_settings

SECRET = "nothing that is served"
SMALL = {
    "index.html": "<p>small",
    "small.js": "small",
    "small.css": "css",
    "notes.md": SECRET,
    ".hidden.js": SECRET,
}
BUILT = {"index.html": "<p>built", "main-1.js": "built", "config.json": SECRET}


@dataclass(frozen=True)
class Site:
    """The page in front of a function that answers "function"; `root` is the checkout of the
    page."""

    port: int
    root: Path

    def ask(self, path: str, *lines: str, method: str = "GET", host: str = "") -> Answer:
        """Send a request byte for byte. `lines` are its headers."""
        named = [f"Host: {host or f'127.0.0.1:{self.port}'}", *lines]
        return ask(self.port, method, path, *named, encoding="latin-1")

    def build(self) -> None:
        """Write a built page into the folder that `make web` uses."""
        write(self.root / "dist" / "web", BUILT)


def write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)


def settings_of(**variables: str) -> Settings:
    key = ("LTAI", "secret")
    made = sandbox_environment(
        variables, variables.keys(), key=key, oss_port=7081, sts_port=7082, jwt_secret="s" * 32
    )
    return read_settings(made)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    root = tmp_path / "checkout"
    write(root / "web" / "small", SMALL)
    write(root / "web" / "client", {"oss_upload.js": "client", "oss_upload.d.ts": SECRET})
    write(root, {"README.md": SECRET, "secret.js": SECRET})
    app = page.create_app(
        PlainTextResponse("function"),
        settings_of(),
        has_demo_logins=True,
        shows_refusals=lambda scope: b"x-from-here" in dict(scope["headers"]),
        root=root,
    )
    service = Service(app, listen(0))
    with in_background([service]):
        yield Site(service.port, root)


# What is served


def test_until_it_is_built_the_small_page_is_served_and_then_the_built_one(site: Site) -> None:
    assert site.ask("/app/").body == b"<p>small"
    assert site.ask("/app/config.json").json["fullPage"] is False
    assert site.ask("/app/main-1.js").status == 404
    site.build()
    assert site.ask("/app/").body == b"<p>built"
    assert site.ask("/app/index.html").body == b"<p>built"
    assert site.ask("/app/main-1.js").body == b"built"
    assert site.ask("/app/config.json").json["fullPage"] is True
    # A user who opened the small page before the full page was built can continue to use it.
    assert site.ask("/app/small.js").body == b"small"
    shutil.rmtree(site.root / "dist")
    assert site.ask("/app/").body == b"<p>small"


def test_the_client_is_there_in_both_cases(site: Site) -> None:
    assert site.ask("/app/client/oss_upload.js").body == b"client"
    site.build()
    assert site.ask("/app/client/oss_upload.js").body == b"client"


def test_the_configuration_is_the_sandboxes_and_that_of_a_file_is_not(site: Site) -> None:
    site.build()
    answer = site.ask("/app/config.json")
    assert answer.json == {
        "appServer": "/",
        "signIn": "/sandbox/login",
        "refusals": "",
        "fullPage": True,
    }
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert site.ask("/app/config.json", "X-From-Here: 1").json["refusals"] == "/sandbox/refusals"


def test_without_demo_logins_no_sign_in_is_offered(tmp_path: Path) -> None:
    app = page.create_app(
        PlainTextResponse("function"), settings_of(), has_demo_logins=False, root=tmp_path
    )
    service = Service(app, listen(0))
    with in_background([service]):
        site = Site(service.port, tmp_path)
        config = site.ask("/app/config.json").json
        assert (config["signIn"], config["refusals"]) == ("", "")
        # Neither the built page nor the small page exists.
        assert site.ask("/app/").status == 404


@pytest.mark.parametrize(
    ("path", "kind", "kept"),
    [
        ("/app/", "text/html; charset=utf-8", "no-store"),
        ("/app/small.js", "text/javascript; charset=utf-8", "no-cache"),
        ("/app/small.css", "text/css; charset=utf-8", "no-cache"),
        ("/app/client/oss_upload.js", "text/javascript; charset=utf-8", "no-cache"),
    ],
)
def test_types_are_ours_and_what_is_kept_is_asked_for_again(
    site: Site, path: str, kind: str, kept: str
) -> None:
    answer = site.ask(path)
    assert answer.headers["Content-Type"] == kind
    assert answer.headers["Cache-Control"] == kept
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    again = site.ask(path, f"If-None-Match: {answer.headers['ETag']}")
    assert (again.status, again.body) == (304, b"")
    assert again.headers["Cache-Control"] == kept


def test_a_file_that_changes_has_another_etag(site: Site) -> None:
    tag = site.ask("/app/small.js").headers["ETag"]
    write(site.root / "web" / "small", {"small.js": "changed"})
    assert site.ask("/app/small.js", f"If-None-Match: {tag}").body == b"changed"


def test_without_its_last_stroke_the_path_leads_to_the_page(site: Site) -> None:
    answer = site.ask("/app?x=1")
    assert (answer.status, answer.headers["Location"]) == (307, "/app/")


@pytest.mark.parametrize(
    "path", ["/", "/sts", "/apps/", "/app.html", "//app/", "/APP/", "/x/app/", "/sandbox/login"]
)
def test_every_other_path_is_the_functions(site: Site, path: str) -> None:
    answer = site.ask(path)
    assert answer.body == b"function"
    assert "Content-Security-Policy" not in answer.headers


def test_a_head_has_the_headers_and_no_body(site: Site) -> None:
    for path in ("/app/", "/app/small.js", "/app/config.json", "/app/nowhere.js"):
        got, head = site.ask(path), site.ask(path, method="HEAD")
        assert (head.status, head.body) == (got.status, b"")
        assert head.headers["Content-Length"] == got.headers["Content-Length"]


# What is not served


@pytest.mark.parametrize(
    "path",
    [
        "/app/../README.md",
        "/app/../secret.js",
        "/app/..%2fsecret.js",
        "/app/%2e%2e/secret.js",
        "/app/%2e%2e%2f%2e%2e%2fsecret.js",
        "/app/..%5csecret.js",
        "/app/..\\..\\secret.js",
        "/app/client/../../../secret.js",
        "/app/client/..%2f..%2f..%2fsecret.js",
        "/app/client/../small/small.js",
        "/app/x/../small.js",
        "/app/./small.js",
        "/app//small.js",
        "/app/small.js/",
        "/app/small.js%00",
        "/app/small.js%0a",
        "/app/%252e%252e/secret.js",
        "/app/..;/secret.js",
        "/app//etc/passwd",
        "/app/%2fetc%2fmime.js",
        "/app/%c0%ae%c0%ae/secret.js",
        "/app/.hidden.js",
        "/app/notes.md",
        "/app/client/",
        "/app/client",
        "/app/client/oss_upload.d.ts",
        "/app/client/.",
        "/app/" + "a" * 5000 + ".js",
        "/app/" + "a/" * 2000 + "a.js",
    ],
)
def test_no_spelling_leads_out_of_the_folders_or_to_what_is_no_part_of_the_page(
    site: Site, path: str
) -> None:
    write(site.root / "web", {"secret.js": SECRET})
    write(site.root / "dist", {"secret.js": SECRET})
    answer = site.ask(path)
    assert (answer.status, answer.body) == (404, b"the page has no such file\n")


@given(
    st.lists(
        st.sampled_from(["..", ".", "%2e", "%2E%2e", "/", "%2f", "\\", "%5c", "secret.js", "small"])
    )
)
def test_no_mixture_of_dots_and_strokes_is_a_name(parts: list[str]) -> None:
    """A name is checked as a whole, after it has been decoded."""
    name = unquote("".join(parts))
    if page.is_name(name):
        assert not {"", ".", ".."} & set(name.split("/"))
        assert "\\" not in name


def test_no_link_leads_out_of_its_folder(site: Site) -> None:
    for folder in (site.root / "web" / "small", site.root / "web" / "client"):
        (folder / "link.js").symlink_to(site.root / "secret.js")
        (folder / "out").symlink_to(site.root)
        (folder / "circle.js").symlink_to("circle.js")
    for below in ("", "client/"):
        for name in ("link.js", "out/secret.js", "circle.js", "gone/x.js"):
            assert site.ask(f"/app/{below}{name}").status == 404


def test_a_folder_is_no_file_and_is_not_listed(site: Site) -> None:
    (site.root / "web" / "small" / "folder.js").mkdir()
    (site.root / "web" / "small" / "chunks").mkdir()
    for path in ("/app/folder.js", "/app/chunks", "/app/chunks/"):
        assert site.ask(path).status == 404


@pytest.mark.parametrize("path", ["/app", "/app/", "/app/config.json", "/app/nowhere"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get", "FROB"])
def test_it_is_only_read(site: Site, path: str, method: str) -> None:
    answer = site.ask(path, "X-HTTP-Method-Override: GET", "Content-Length: 0", method=method)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert b"GET, HEAD" in answer.body


# Strangers


@pytest.mark.parametrize("path", ["/app", "/app/", "/app/config.json", "/app/small.js"])
def test_a_name_that_a_page_had_bound_to_this_machine_gets_nothing(site: Site, path: str) -> None:
    """With DNS rebinding, a stranger's page would have the same origin as the sandbox."""
    for host in ("evil.example", f"evil.example:{site.port}", "127.0.0.1.evil.example"):
        answer = site.ask(path, host=host)
        assert (answer.status, answer.json["ErrorCode"]) == (403, "ForbiddenHost")


@pytest.mark.parametrize("path", ["/app", "/app/", "/app/config.json", "/app/small.js", "/app/x"])
def test_no_other_origin_reads_it_or_frames_it(site: Site, path: str) -> None:
    for method in ("GET", "HEAD", "OPTIONS", "POST"):
        lines = ("Origin: http://localhost:5173", "Access-Control-Request-Method: GET")
        answer = site.ask(path, *lines, method=method)
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.slow
def test_in_chromium_a_strangers_page_gets_nothing_of_it(tmp_path: Path) -> None:
    need("a stranger's page in Chromium", browser=True)
    with running(tmp_path / "state") as sandbox:
        url = f"{sandbox.token_url}app/config.json"
        done = javascript.run("browser_theft.mjs", {"url": url})
    assert "appServer" in done["typed"]["text"]
    assert sorted(done["pages"]) == ["127.0.0.1", "evil.example", "localhost"]
    for got in done["pages"].values():
        assert len(got) == 7
        assert "appServer" not in json.dumps(got)


# The policy of the page


def policy_of(**variables: str) -> dict[str, list[str]]:
    """The Content-Security-Policy for a sandbox with these variables, by directive."""
    headers = page.headers_of(settings_of(**variables))
    directives = (part.split() for part in headers["Content-Security-Policy"].split(";"))
    return {name: sources for name, *sources in directives}


def test_nothing_is_loaded_from_elsewhere_and_no_script_stands_in_the_page() -> None:
    assert policy_of() == {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "blob:", "data:", "http://127.0.0.1:7081"],
        "connect-src": [
            "'self'",
            "http://127.0.0.1:7081",
            "https:",
            "http://127.0.0.1:*",
            "http://localhost:*",
        ],
        "media-src": ["blob:"],
        "manifest-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": ["'none'"],
    }


@pytest.mark.parametrize(
    ("endpoint", "origin"),
    [
        ("http://192.168.1.5:7081", "http://192.168.1.5:7081"),
        ("http://10.0.2.2", "http://10.0.2.2"),
        ("http://localhost:7081", "http://localhost:7081"),
        ("http://files.localhost:7081", "http://files.localhost:7081"),
        ("https://files.localhost", "https://files.localhost"),
    ],
)
def test_pictures_and_uploads_go_to_where_objects_are(endpoint: str, origin: str) -> None:
    policy = policy_of(OSS_ENDPOINT=endpoint)
    assert policy["img-src"][-1] == origin
    assert origin in policy["connect-src"]


def test_a_closed_public_endpoint_lets_the_page_go_to_the_buckets_domain(tmp_path: Path) -> None:
    with running(tmp_path / "state", PUBLIC_ENDPOINT="closed") as sandbox:
        connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=10)
        connection.request("GET", "/app/config.json")
        answer = connection.getresponse()
        policy = answer.headers["Content-Security-Policy"]
        connection.close()
    assert f"img-src 'self' blob: data: http://files.localhost:{sandbox.port + 1};" in policy
