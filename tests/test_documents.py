"""Tests that all links in the docs lead to files that exist, and that readers find how to report a
vulnerability."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import architecture
from architecture import FLOORS
from in_step import anchors
from token_service import __version__

ROOT = Path(__file__).parents[1]
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
MAP = ROOT / "docs" / "README.md"


def prose(document: Path) -> str:
    """Return the text without its code, because code may look like links and headings."""
    text = document.read_text(encoding="utf-8")
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)


def links(document: Path) -> Iterator[str]:
    """The targets of a document's links within the project."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(document)):
        if not re.match("[a-z]+:", target):
            yield target


def reached(document: Path) -> set[Path]:
    """The pages of docs/ that readers can reach from a page by links, directly or through other
    pages."""
    found, new = set[Path](), {document}
    while new:
        page = new.pop()
        found.add(page)
        targets = {(page.parent / link.partition("#")[0]).resolve() for link in links(page)}
        new |= {target for target in targets if target in DOCUMENTS} - found
        new = {page for page in new if MAP.parent in page.parents}
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    """SECURITY.md is checked, too, because it links to other pages (finding A18)."""
    for link in links(document):
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        assert target.exists(), link
        assert target.is_relative_to(ROOT.resolve()), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


def test_each_page_is_reached_from_the_map() -> None:
    """Links lead to each page. The map links to the index of each folder below docs/."""
    pages = {page for page in DOCUMENTS if MAP.parent in page.parents}
    assert len(pages) > 20
    assert pages - reached(MAP) == set()


def test_each_page_of_docs_has_a_line_on_the_map() -> None:
    named = {link.partition("#")[0] for link in links(MAP)}
    assert {page.name for page in MAP.parent.glob("*.md")} - {"README.md"} - named == set()


@pytest.mark.parametrize("readme", sorted(ROOT.glob("README*.md")), ids=lambda path: path.name)
def test_a_readme_has_at_most_four_screens(readme: Path) -> None:
    assert len(readme.read_text(encoding="utf-8").splitlines()) <= 200


def test_readme_shows_two_small_pictures_of_the_page_and_a_plot() -> None:
    """`make screenshots` makes the pictures, and `make bench WRITE=1` makes the plot."""
    shown = re.findall(r'<img src="([^"]+)" width="\d+" alt="([^"]+)">', prose(ROOT / "README.md"))
    assert len(shown) == 3
    for path, _ in shown:
        assert (ROOT / path).stat().st_size < 150_000


@pytest.mark.parametrize("name", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_a_test_that_is_named_exists(name: str) -> None:
    """These pages name the test of each invariant. Each named test must exist."""
    found = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (ROOT / name).read_text("utf-8"))
    assert found
    for path, test in found:
        assert (ROOT / path).exists(), path
        assert not test or test in architecture.functions(ROOT / path), f"{path}::{test}"


def test_every_invariant_names_its_test() -> None:
    table = ARCHITECTURE.partition("| invariant | enforced by |\n|---|---|\n")[2]
    rows = [line.split("|") for line in table.splitlines()]
    assert len(rows) > 20
    for _, invariant, tests, _ in rows:
        assert re.search(r"`tests/[\w/]+\.py::test_\w+`", tests), invariant


def test_the_floors_are_drawn_as_they_are() -> None:
    drawing = ARCHITECTURE.partition("```text\n")[2].partition("\n```")[0]
    drawn = [tuple(line.partition("  ")[0].split()) for line in drawing.splitlines()]
    assert [set(names) for names in reversed(drawn)] == [set(names) for names in FLOORS]


def test_a_module_that_the_architecture_names_exists() -> None:
    found = re.findall(r"\b([a-z_]+/[a-z0-9_]+\.py)\b", ARCHITECTURE.partition("## Invariants")[0])
    assert len(found) > 20
    for path in found:
        assert (ROOT / "functions" / "sts_token" / "token_service" / path).exists(), path


def test_the_version_is_one() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{__version__}"' in pyproject


UNVERIFIED = {
    "docs/security.md": "It is not verified on the real OSS (assumption 1) whether",
    "docs/policies.md": "that the answer is not verified on the real OSS (assumption 1)",
    "docs/signed-urls.md": "this refusal is not verified on the real OSS (assumption 1)",
    "docs/bucket.md": "which is not verified on the real OSS (assumption 1)",
    "docs/sandbox.md": "which is not verified on the real OSS (assumption 1)",
}


@pytest.mark.parametrize("name", UNVERIFIED)
def test_what_an_acl_does_on_the_real_oss_is_no_fact(name: str) -> None:
    """Finding A6: a page stated as a fact that a token cannot make an object public, but nobody had
    tested this."""
    text = " ".join(prose(ROOT / name).split())
    assert UNVERIFIED[name] in text
    assert "PutObjectAcl" in text
    assert "block-public-access" in text or name in {"docs/sandbox.md", "docs/bucket.md"}


@pytest.mark.parametrize("name", ["README.md", "docs/integrate/README.md"])
def test_apps_are_told_that_the_url_is_https(name: str) -> None:
    """Finding A11: the trigger also answers plain HTTP. An app that uses http:// works, but without
    encryption."""
    assert "must begin with `https://`" in prose(ROOT / name)


def test_how_to_report_a_hole_is_found() -> None:
    """Finding A18: at one time, no document told how to report a vulnerability."""
    assert "SECURITY.md" in links(ROOT / "README.md")
    found = set(anchors((ROOT / "SECURITY.md").read_text(encoding="utf-8")))
    assert found >= {
        "report-a-vulnerability",
        "supported-versions",
        "in-scope",
        "out-of-scope",
        "what-we-know",
    }
    assert "Report a vulnerability" in prose(ROOT / "SECURITY.md")
    # The page has no e-mail address, because nobody might read its mail.
    assert not re.search(r"\S@\S", prose(ROOT / "SECURITY.md"))


def test_nothing_is_said_twice_of_what_is_new_and_how_to_upgrade() -> None:
    """git merges both files by union. If a line was changed, a merge by union keeps both the old
    line and the new line."""
    news = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    said = re.findall(r"^- (.{60})", news, flags=re.MULTILINE)
    how = (ROOT / "docs" / "upgrade.md").read_text(encoding="utf-8").partition("| deployed by |")[2]
    said += re.findall(r"^ *\| ([^|]+) \|", how.partition("\n\n")[0], flags=re.MULTILINE)
    assert "`s deploy`" in said
    assert [one for one in said if said.count(one) > 1] == []


def test_no_entry_of_the_changelog_says_its_end_twice() -> None:
    """git once merged two versions of the changelog by keeping the lines of both. In the result,
    one entry contained the same eight words twice."""
    entries = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").split("\n- ")
    assert len(entries) > 80
    for entry in entries:
        words = entry.split()
        runs = [" ".join(words[start : start + 8]) for start in range(len(words) - 7)]
        assert sorted(runs) == sorted(set(runs)), entry
