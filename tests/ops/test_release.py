"""Tests `make release`: which files it writes, what it refuses, and that one commit always gives
the same bytes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fetched import runtime_python
from ops import ROOT, byte_code, release_notes
from ops import release as release_module
from ops.package import PackageError
from ops.release import release
from ops.release_notes import Section, place, section
from ops.runtime import Python
from repositories import git
from token_service import __version__

URL = "https://files.example.com/sts/v1"
SOURCE = "https://code.example.com/sts/v1"
ADDRESSES = {"RELEASE_URL": URL, "SOURCE_URL": SOURCE}
CHANGELOG = f"""\
# Changelog

## [{__version__}] - 2026-12-31

### Added

- Something, which [a page](docs/a.md#b)
  describes, and [another](https://example.org/c) too.

## [1.0.0] - 2026-11-26

- The first.
"""
UPGRADE = f"""\
# Upgrade

## {__version__}

| id | what changed |
|---|---|
| `other:a` | A |
| `other:b` | B |

## 1.0.1

| id | what changed |
|---|---|
| `other:c` | C |
"""
FILES = ["SHA256SUMS", "notes.md", f"sts_token-{__version__}.zip", "template.yml"]
STAND_IN = Python("/opt/python3.10", "3.10.13", "cpython-310")


def commit_all(root: Path) -> str:
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message=all")
    return git(root, "rev-parse", "HEAD").strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A committed tree with the files that a release reads. Outside of the packed folders, the tree
    has a file that git ignores."""
    root = tmp_path / "checkout"
    for name, text in {
        "CHANGELOG.md": CHANGELOG,
        "docs/upgrade.md": UPGRADE,
        "template.yml": "the template",
        "functions/index.py": "",
        "policies/own.json.j2": "",
        ".gitignore": "__pycache__/\nconfig.json\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git(root, "init", "--quiet")
    commit_all(root)
    (root / "config.json").touch()
    (root / "functions" / "__pycache__").mkdir()
    (root / "functions" / "__pycache__" / "index.cpython-311.pyc").touch()
    return root


@pytest.fixture(autouse=True)
def built(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Replace the slow builds by fast functions, and return the list of their calls."""
    folders: list[Path] = []
    if request.node.get_closest_marker("slow"):
        return folders

    def build(output: Path) -> list[str]:
        folders.append(output)
        output.with_suffix(".zip").write_bytes(b"the zip")
        return ["sizes", "byte code", "served"]

    monkeypatch.setattr(release_module, "build", build)
    monkeypatch.setattr(release_module, "inlined", lambda text: (f"{text}, and code", "all of it"))
    monkeypatch.setattr(byte_code, "compiler", lambda: (STAND_IN, ""))
    return folders


def held(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# The written files


def test_it_writes_four_files_and_sums_that_sha256sum_takes(checkout: Path, tmp_path: Path) -> None:
    output = tmp_path / "dist" / "release"
    report = "\n".join(release(checkout, output, ADDRESSES))
    assert sorted(held(output)) == FILES
    assert (output / "template.yml").read_text() == "the template, and code"
    sums = (output / "SHA256SUMS").read_text()
    assert re.fullmatch(r"([0-9a-f]{64}  \S+\n){2}", sums)
    program = shutil.which("sha256sum")
    if program:
        subprocess.run([program, "--check", "--strict", "SHA256SUMS"], cwd=output, check=True)
    for line in sums.splitlines():
        digest, name = line.split()
        size = (output / name).stat().st_size
        assert re.search(rf"{re.escape(name)} +{size} bytes  sha256 {digest}", report)
        assert f"| `{name}` | {size} | `{digest}` |" in (output / "notes.md").read_text()


def test_one_commit_gives_the_same_bytes_in_another_folder_and_on_another_day(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(checkout, tmp_path / "first", ADDRESSES)
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    copy = tmp_path / "another folder"
    git(tmp_path, "clone", "--quiet", str(checkout), str(copy))
    release(copy, tmp_path / "second", ADDRESSES)
    assert held(tmp_path / "first") == held(tmp_path / "second")


@pytest.mark.slow
def test_the_real_release_of_one_commit_has_the_same_bytes_and_byte_code(tmp_path: Path) -> None:
    """The release is made twice, in two processes with different user settings."""
    runtime_python()
    root = tmp_path / "checkout"
    for name in ("ops", "sandbox", "functions", "policies"):
        shutil.copytree(
            ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", ".*_cache")
        )
    (root / "docs").mkdir()
    for name in ("template.yml", "CHANGELOG.md", "docs/upgrade.md", ".gitignore", "LICENSE"):
        shutil.copyfile(ROOT / name, root / name)
    git(root, "init", "--quiet")
    commit = commit_all(root)
    copy = tmp_path / "another folder"
    git(tmp_path, "clone", "--quiet", str(root), str(copy))
    odd = {"TZ": "Asia/Shanghai", "PYTHONHASHSEED": "7", "PYTHONOPTIMIZE": "2"}
    for tree, variables in ((root, {}), (copy, odd)):
        done = subprocess.run(
            [sys.executable, "-B", "-m", "ops.release"],
            cwd=tree,
            env={
                **os.environ,
                **ADDRESSES,
                **variables,
                "PYTHONPATH": f"{tree}/functions/sts_token",
            },
            umask=0o077 if variables else 0o022,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert f"commit {commit[:12]}" in done.stdout
    made = held(root / "dist" / "release")
    assert made == held(copy / "dist" / "release")
    assert sorted(made) == FILES
    with zipfile.ZipFile(root / "dist" / "release" / FILES[2]) as archive:
        assert "__pycache__/index.cpython-310.pyc" in archive.namelist()
    assert [path.name for path in (root / "dist").iterdir()] == ["release"]


# The text of notes.md


def test_the_notes_are_those_of_the_version_and_lead_to_its_pages(
    checkout: Path, tmp_path: Path
) -> None:
    commit = git(checkout, "rev-parse", "HEAD").strip()
    report = "\n".join(release(checkout, tmp_path / "out", ADDRESSES))
    text = (tmp_path / "out" / "notes.md").read_text()
    assert f"# token_service {__version__}\n\nCommit `{commit}`" in text
    # Wrapped lines of the changelog are joined, because the web page of a release would show each
    # line break.
    assert (
        f"- Something, which [a page]({SOURCE}/docs/a.md#b) describes, and "
        "[another](https://example.org/c) too.\n"
    ) in text
    assert "The first" not in text
    anchor = __version__.replace(".", "")
    assert "2 rows in [docs/upgrade.md]" in text
    assert f"({SOURCE}/docs/upgrade.md#{anchor})" in text
    assert "](docs/" not in text
    assert "Do not publish" not in text
    assert "byte code by Python 3.10.13" in text
    assert f"git tag -a v{__version__} {commit[:12]}" in report


def test_the_deployment_links_have_the_form_of_the_vendors(checkout: Path, tmp_path: Path) -> None:
    """The vendor's READMEs and help pages have links like
    `<console>/region/stacks/create?templateUrl=<address>`."""
    report = "\n".join(release(checkout, tmp_path / "out", {**ADDRESSES, "RELEASE_URL": f"{URL}/"}))
    for console in ("ros.console.aliyun.com", "ros.console.alibabacloud.com"):
        link = f"https://{console}/region/stacks/create?templateUrl={URL}/template.yml"
        assert f"]({link})" in (tmp_path / "out" / "notes.md").read_text()
        assert link in report


@pytest.mark.parametrize("missing", ["RELEASE_URL", "SOURCE_URL"])
def test_an_address_that_is_not_known_yet_is_to_be_filled_in(
    checkout: Path, tmp_path: Path, missing: str
) -> None:
    given = {name: url for name, url in ADDRESSES.items() if name != missing}
    report = release(checkout, tmp_path / "out", given)
    text = (tmp_path / "out" / "notes.md").read_text()
    assert "**Do not publish this text yet.** Replace `" in text
    assert f"{missing}/" in text
    assert report[-1].startswith("A trial: do not publish it.")
    assert f"{missing}=https://" in report[-1]
    assert not any("git tag" in line for line in report)


def test_what_is_still_unreleased_makes_a_trial(checkout: Path, tmp_path: Path) -> None:
    for name, old, new in (
        ("CHANGELOG.md", f"[{__version__}] - 2026-12-31", f"[Unreleased], to be {__version__}"),
        ("docs/upgrade.md", f"## {__version__}", "## Unreleased"),
    ):
        (checkout / name).write_text((checkout / name).read_text().replace(old, new))
    commit_all(checkout)
    report = release(checkout, tmp_path / "out", ADDRESSES)
    text = (tmp_path / "out" / "notes.md").read_text()
    assert "Do not publish this text yet.** CHANGELOG.md has no section for this version" in text
    assert "docs/upgrade.md#unreleased" in text
    assert "- Something, which" in text
    assert report[-1].startswith("A trial: do not publish it. Missing: this version in")


def test_todays_changelog_and_upgrade_table_make_notes() -> None:
    """This test reads the real changelog and upgrade table, so it fails if a release of this commit
    is not possible."""
    made = release_notes.Made(
        __version__, "0" * 40, "2026-12-31", "", [release_notes.Asset("a.zip", 1, "")]
    )
    changelog = section((ROOT / "CHANGELOG.md").read_text("utf-8"), __version__)
    upgrade = (ROOT / "docs" / "upgrade.md").read_text("utf-8")
    text = release_notes.notes(made, changelog, upgrade, URL, SOURCE)
    assert not re.search(r"^\|.*[^|\n]$", text, re.MULTILINE)
    assert re.search(r"^[1-9][0-9]+ rows in ", text, re.MULTILINE)
    # Each list item and each heading of the changelog is still on its own line.
    for mark in ("- ", "### "):
        assert text.count(f"\n{mark}") >= changelog.text.count(f"\n{mark}") > 1


# The refusals


def change(root: Path) -> None:
    (root / "template.yml").write_text("changed")


def stage(root: Path) -> None:
    change(root)
    git(root, "add", ".")


def add(root: Path) -> None:
    # A user may have this setting. With this setting, `git status` without options does not name an
    # untracked file.
    git(root, "config", "status.showUntrackedFiles", "no")
    (root / "policies" / "mine.json.j2").touch()


def remove(root: Path) -> None:
    (root / "functions" / "index.py").unlink()


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        (change, "template.yml"),
        (stage, "template.yml"),
        (add, "policies/mine.json.j2"),
        (remove, "functions/index.py"),
    ],
)
def test_a_work_tree_that_is_not_the_commit_is_refused(
    checkout: Path, tmp_path: Path, built: list[Path], spoil: Callable[[Path], None], name: str
) -> None:
    spoil(checkout)
    with pytest.raises(PackageError, match=f"differ from the commit .*: {name}. Commit them"):
        release(checkout, tmp_path / "out", ADDRESSES)
    assert built == []
    assert not (tmp_path / "out").exists()


def test_a_file_that_git_ignores_and_a_package_would_hold_is_refused(
    checkout: Path, tmp_path: Path, built: list[Path]
) -> None:
    """The danger: functions/config.json contains a key. git ignores this file, but the zip would
    contain it."""
    shutil.move(checkout / "config.json", checkout / "functions" / "config.json")
    with pytest.raises(PackageError, match=r"git ignores functions/config[.]json, but the package"):
        release(checkout, tmp_path / "out", ADDRESSES)
    assert built == []


def hide(root: Path) -> None:
    git(root, "update-index", "--skip-worktree", "template.yml")
    change(root)


def assume(root: Path) -> None:
    git(root, "update-index", "--assume-unchanged", "template.yml")
    change(root)


def link(root: Path) -> None:
    (root / "functions" / "keys.json").symlink_to("../config.json")
    commit_all(root)


@pytest.mark.parametrize(
    ("spoil", "name"),
    [(hide, "template.yml"), (assume, "template.yml"), (link, "functions/keys.json")],
)
def test_what_git_does_not_look_at_is_refused(
    checkout: Path, tmp_path: Path, built: list[Path], spoil: Callable[[Path], None], name: str
) -> None:
    """A file could differ from the commit, although `git status` reports no change."""
    spoil(checkout)
    with pytest.raises(
        PackageError, match=f"^{name}: git does not check these files, or they are links"
    ):
        release(checkout, tmp_path / "out", ADDRESSES)
    assert built == []


def test_many_changed_files_are_named_in_one_line(checkout: Path, tmp_path: Path) -> None:
    for number in range(8):
        (checkout / f"new{number}").touch()
    with pytest.raises(PackageError, match=r"new0, new1, new2, new3, new4, and 3 more[.]"):
        release(checkout, tmp_path / "out", ADDRESSES)


def test_a_change_while_it_is_built_is_refused(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def inlined(text: str) -> tuple[str, str]:
        change(checkout)
        return text, ""

    monkeypatch.setattr(release_module, "inlined", inlined)
    with pytest.raises(PackageError, match=r"differ from the commit .*: template.yml"):
        release(checkout, tmp_path / "out", ADDRESSES)
    assert not (tmp_path / "out").exists()


def test_a_folder_without_a_commit_is_refused(tmp_path: Path) -> None:
    """For example, the folder may be an unpacked archive of the sources."""
    with pytest.raises(PackageError, match=r"it needs git and a clone of .* git says: fatal: "):
        release(tmp_path, tmp_path / "out", ADDRESSES)


def test_a_checkout_that_git_cannot_read_is_refused(
    checkout: Path, tmp_path: Path, built: list[Path]
) -> None:
    """If git cannot read a checkout, the checkout must not count as clean."""
    (checkout / ".git" / "index").write_bytes(b"not an index")
    with pytest.raises(PackageError, match=r"git says: .*index"):
        release(checkout, tmp_path / "out", ADDRESSES)
    assert built == []


def test_without_git_it_says_so(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PackageError, match="There is no git on the PATH"):
        release(checkout, tmp_path / "out", ADDRESSES)


@pytest.mark.parametrize("annotated", [["-a", "-m", "tag"], []])
def test_a_version_is_made_of_one_commit(
    checkout: Path, tmp_path: Path, annotated: list[str]
) -> None:
    git(checkout, "tag", *annotated, f"v{__version__}")
    release(checkout, tmp_path / "out", ADDRESSES)
    change(checkout)
    commit_all(checkout)
    with pytest.raises(PackageError, match=rf"the tag v{__version__} is the commit .*one commit"):
        release(checkout, tmp_path / "out", ADDRESSES)


def test_without_byte_code_there_is_no_release(
    checkout: Path, tmp_path: Path, built: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(byte_code, "find", lambda: None)
    monkeypatch.delenv("BYTE_CODE", raising=False)
    with pytest.raises(PackageError, match=r"needs byte code: no CPython 3.10 .*; get one by"):
        release(checkout, tmp_path / "out", ADDRESSES)
    monkeypatch.setenv("BYTE_CODE", "no")
    with pytest.raises(PackageError, match="needs byte code: BYTE_CODE=no"):
        release(checkout, tmp_path / "out", ADDRESSES)
    assert built == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has no section for 1.1.0. Accepted headings: `## .1.1.0. - 2026-12-31`, or `## .Unr"),
        ("## [1.0.0] - 2026-11-26\n\n- X\n", "has no section for 1.1.0"),
        ("## [Unreleased], to be 1.2.0\n\n- X\n", "for 1.1.0, and Unreleased is for 1.2.0"),
        ("## [Unreleased], to be 1.1.0\n\n### Added\n\n## [1.0.0]\n\n- X\n", "must have lines"),
        ("## [1.1.0] - 2026-12-31\n## [Unreleased]\n\n- X\n", r".1.1.0. of CHANGELOG.md must"),
    ],
)
def test_a_changelog_without_notes_is_refused(text: str, says: str) -> None:
    with pytest.raises(PackageError, match=says):
        section(text, "1.1.0")


def test_the_versions_own_section_is_taken_before_unreleased() -> None:
    text = "## [Unreleased], to be 1.2.0\n\n- New\n\n## [1.1.0] - 2026-12-31\n\n- Old\n"
    assert section(text, "1.1.0") == Section("- Old", True)
    assert section(text, "1.2.0") == Section("- New", False)
    assert section("## [Unreleased]\n\n- New\n", "1.2.0") == Section("- New", False)


def test_an_upgrade_table_without_the_version_is_refused(checkout: Path, tmp_path: Path) -> None:
    (checkout / "docs" / "upgrade.md").write_text("# Upgrade\n\n## Unreleased\n")
    commit_all(checkout)
    with pytest.raises(PackageError, match=f"upgrade.md must have a section `## {__version__}`"):
        release(checkout, tmp_path / "out", ADDRESSES)
    assert list(tmp_path.glob("**/.release-*")) == []


@pytest.mark.parametrize(
    "url",
    [
        "http://files.example.com/sts",
        "HTTP://files.example.com",
        "ftp://files.example.com",
        "oss://my-bucket/sts",
        "files.example.com/sts",
        "https://",
        "https:///sts",
        "https://user:password@files.example.com/sts",
        "https://files.example.com/sts?x=1&templateUrl=https://evil.example.com/a.yml",
        "https://files.example.com/sts#top",
        "https://files.example.com/a b",
        "https://files.example.com/a)[click](https://evil.example.com",
        "https://files.example.com/sts\nhttps://evil.example.com",
        "https://files.example.com/sts\n",
        "https://files.example.com/<script>",
        "https://files.example.com//sts",
    ],
)
@pytest.mark.parametrize("name", ADDRESSES)
def test_an_address_that_is_not_plain_https_is_refused(
    checkout: Path, tmp_path: Path, built: list[Path], name: str, url: str
) -> None:
    """Over http, an attacker in the network could replace the template, which makes roles."""
    with pytest.raises(PackageError) as raised:
        release(checkout, tmp_path / "out", {**ADDRESSES, name: url})
    assert str(raised.value).startswith(f"{name}={url}: must be an https:// address")
    assert built == []


def test_an_address_that_ros_would_not_take_is_refused() -> None:
    """ROS accepts an address of at most 1,024 bytes, including the name of the template."""
    longest = f"https://example.com/{'a' * 1024}"[: 1024 - len("/template.yml")]
    assert place({"RELEASE_URL": longest}, "RELEASE_URL") == longest
    with pytest.raises(PackageError, match="RELEASE_URL has 1012 bytes: ROS accepts a templateUrl"):
        place({"RELEASE_URL": f"{longest}a"}, "RELEASE_URL")


# Which files exist after a failure and after a new release


def test_a_release_that_fails_leaves_the_last_one_and_nothing_beside_it(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "dist" / "release"
    release(checkout, output, ADDRESSES)
    before = held(output)

    def build(folder: Path) -> list[str]:
        folder.mkdir()
        (folder / "half").touch()
        raise PackageError("no network")

    monkeypatch.setattr(release_module, "build", build)
    with pytest.raises(PackageError, match="no network"):
        release(checkout, output, ADDRESSES)
    assert held(output) == before
    assert [path.name for path in output.parent.iterdir()] == ["release"]


def test_a_new_release_takes_the_whole_place_of_the_last_one(
    checkout: Path, tmp_path: Path
) -> None:
    output = tmp_path / "dist" / "release"
    output.mkdir(parents=True)
    (output / "sts_token-1.0.0.zip").touch()
    release(checkout, output, ADDRESSES)
    assert sorted(held(output)) == FILES
    assert [path.name for path in output.parent.iterdir()] == ["release"]


def test_a_fault_ends_with_1_and_one_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELEASE_URL", "http://files.example.com")
    assert release_module.main() == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("make release: RELEASE_URL=http://files.example.com: must be")
