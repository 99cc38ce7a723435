"""The pages of docs/integrate. Each page is complete, the index links to it, and a test checks each
block of code."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from integration import INTEGRATE, PACKAGES
from javascript import PAGE

INDEX = INTEGRATE / "README.md"
PAGES = sorted(page for page in INTEGRATE.glob("*.md") if page != INDEX)
TESTS = Path(__file__).parents[1]
# For each page and language: how many blocks of code the page has, and the test that checks them. A
# new block needs a test.
CHECKED = {
    "android.md": {"kotlin": (3, "test_mobile_snippets.py")},
    "browser.md": {"js": (4, "test_apps.py"), "html": (1, "test_apps.py")},
    "credentials-uri.md": {"python": (2, "integrate/test_python.py")},
    "curl.md": {"sh": (7, "integrate/test_curl.py")},
    "ios.md": {"swift": (3, "test_mobile_snippets.py")},
    "login-backend.md": {
        "js": (2, "integrate/test_login_backend.py"),
        "python": (2, "integrate/test_login_backend.py"),
    },
    "mini-program.md": {"js": (4, "integrate/test_mini_program.py")},
    "node.md": {"js": (2, "integrate/test_node.py")},
    "other.md": {
        "http": (2, "integrate/test_other.py"),
        "objc": (1, "test_mobile_snippets.py"),
    },
    "python.md": {"python": (5, "integrate/test_python.py")},
    "uppy.md": {"js": (2, "integrate/test_uppy.py")},
    "webhook-backend.md": {
        "js": (1, "integrate/test_webhook_backend.py"),
        "python": (2, "integrate/test_webhook_backend.py"),
    },
}
# Blocks that are not programs: output, drawings, lines of build files, or commands that install or
# start something. The commands that start the sandbox are the ones in docs/sandbox.md.
NO_PROGRAM = {"text", "json"}
COMMANDS = {
    "browser.md": 1,
    "credentials-uri.md": 1,
    "login-backend.md": 2,
    "node.md": 2,
    "python.md": 2,
    "uppy.md": 1,
    "webhook-backend.md": 2,
}
SECTIONS = ["Three failures", "What you see", "With the sandbox"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_is_complete(page: Path) -> None:
    """A page has sections about what to install, a short and a complete program, the output, three
    failures, and use with the sandbox."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^## (.+)$", text, re.M)
    assert [name for name in SECTIONS if name not in found] == []
    if page.name != "other.md":
        assert {"Install", "The shortest", "Complete"} <= set(found)
        assert found.index("The shortest") < found.index("Complete")
    table = text.partition("\n## Three failures\n")[2].partition("\n## ")[0]
    assert len(re.findall(r"^\|", table, re.M)) == 2 + 3


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_program_of_a_page_is_looked_at_by_a_test(page: Path) -> None:
    found = Counter(re.findall(r"^```(\w+)$", page.read_text(encoding="utf-8"), re.M))
    for language in NO_PROGRAM:
        del found[language]
    expected = {language: number for language, (number, _) in CHECKED[page.name].items()}
    if page.name in COMMANDS:
        expected["sh"] = COMMANDS[page.name]
    assert dict(found) == expected
    for _, test in CHECKED[page.name].values():
        looks = (TESTS / test).read_text(encoding="utf-8")
        assert page.name in looks or test == "test_mobile_snippets.py"


def test_each_page_is_in_the_index() -> None:
    index = INDEX.read_text(encoding="utf-8")
    rows = re.findall(r"^\|.*\]\(([\w-]+\.md)\).*\|$", index.partition("\n## ")[0], re.M)
    assert sorted(rows) == [page.name for page in PAGES]


@pytest.mark.parametrize("page", [*PAGES, INDEX], ids=lambda page: page.name)
def test_a_url_of_plain_http_is_the_sandboxs(page: Path) -> None:
    """With any other host, a login or token would be sent over the network without encryption."""
    found = re.findall(r"http://[\w.-]+", page.read_text(encoding="utf-8"))
    assert {url for url in found if not re.match(r"http://(127\.0\.0\.1|10\.0\.2\.2)$", url)} <= {
        "http://tauri.localhost"
    }


def pinned(name: str) -> str:
    """Return the version of a package that the tests use."""
    for folder in (PAGE, PACKAGES):
        manifest = json.loads((folder / "package.json").read_text(encoding="utf-8"))
        for pins in (manifest.get("dependencies", {}), manifest["devDependencies"]):
            if name.lower() in pins:
                version: str = pins[name.lower()]
                return version
    locks = "".join(path.read_text("utf-8") for path in TESTS.parent.glob("requirements-*.txt"))
    found = re.search(rf"^{name}==(\S+)", locks, re.M | re.I)
    assert found, name
    return found[1]


NAMED = (
    *("Express", "Flask", "jose", "ali-oss", "oss2", "alibabacloud-oss-v2"),
    *("miniprogram-api-typings", "@dcloudio/types"),
)


@pytest.mark.parametrize("name", NAMED)
def test_the_version_that_a_page_says_was_run_is_the_pinned_one(name: str) -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    said = set(re.findall(rf"{name}\s(\d+\.\d+\.\d+)", text))
    assert said == {pinned(name)}
