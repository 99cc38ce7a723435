"""`make release`: dist/release/, what the page of a release carries, made of one clean commit.

template.yml, sts_token-<version>.zip with byte code, SHA256SUMS and notes.md. One commit gives the
same bytes on any day and in any folder, if both Pythons and zlib are the same; notes.md names them.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ops import ROOT, byte_code
from ops.build import build
from ops.package import PackageError
from ops.release_notes import Asset, Made, links, notes, place, section
from ops.template import inlined
from token_service import __version__

OUTPUT = ROOT / "dist" / "release"
ZIP = f"sts_token-{__version__}.zip"
SUMS = "SHA256SUMS"
NOTES = "notes.md"

_PACKED = ("functions", "policies")
"""The folders whose files go into a package, those that git ignores too."""


class Commit(NamedTuple):
    """What a release is made of."""

    id: str
    """40 hexadecimal digits."""
    date: str
    """Of the commit, in its own time zone: 2026-11-28."""


def main() -> int:
    """Write dist/release/ and report: 0, or 1 with what is wrong on stderr."""
    try:
        print("\n".join(release(ROOT, OUTPUT, os.environ)))
    except PackageError as error:
        print(f"make release: {error}", file=sys.stderr)
        return 1
    return 0


def release(root: Path, output: Path, env: Mapping[str, str]) -> list[str]:
    """Make the release of the checkout `root` in the folder `output`; return the report's lines.

    RELEASE_URL is where its files will lie, SOURCE_URL where the files of the commit can be read.
    What was in `output` stays until all of the new one is written. Raises PackageError.
    """
    release_url, source_url = place(env, "RELEASE_URL"), place(env, "SOURCE_URL")
    # What is found at once comes before what takes half a minute.
    commit = clean_commit(root, __version__)
    changelog = section((root / "CHANGELOG.md").read_text(encoding="utf-8"), __version__)
    upgrade = (root / "docs" / "upgrade.md").read_text(encoding="utf-8")
    python, why_not = byte_code.compiler()
    if python is None:
        raise PackageError(f"a release is built with byte code: {why_not}")

    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".release-") as name:
        folder = Path(name, output.name)
        folder.mkdir()
        text, said = inlined((root / "template.yml").read_text(encoding="utf-8"))
        (folder / "template.yml").write_text(text, encoding="utf-8")
        packed = build(Path(name, "sts_token"))
        Path(name, "sts_token.zip").rename(folder / ZIP)
        assets = [_asset(folder / each) for each in ("template.yml", ZIP)]
        sums = "".join(f"{each.sha256}  {each.name}\n" for each in assets)
        (folder / SUMS).write_text(sums, encoding="utf-8")
        made = Made(__version__, commit.id, commit.date, _with(python.version), assets)
        (folder / NOTES).write_text(
            notes(made, changelog, upgrade, release_url, source_url), encoding="utf-8"
        )
        if clean_commit(root, __version__) != commit:
            raise PackageError("another commit was checked out meanwhile; start again")
        _put_in_place(folder, output, Path(name, "before"))

    return [
        f"{output}: version {__version__}, commit {commit.id[:12]} of {commit.date}",
        *(f"  {each.name:<22} {each.size:>9,} bytes  sha256 {each.sha256}" for each in assets),
        *(f"  {name:<22} {(output / name).stat().st_size:>9,} bytes" for name in (SUMS, NOTES)),
        f"template: {said}",
        f"zip: {'; '.join(packed[-2:])}",
        *_next(commit, changelog.is_released, release_url, source_url),
    ]


def clean_commit(root: Path, version: str) -> Commit:
    """The commit that is checked out, and nothing beside it. Raises PackageError: for no checkout,
    for a file that is not as committed, for one that git ignores and a package would hold, and
    where the tag of the version names another commit."""
    found = Commit(*_git(root, "log", "-1", "--date=short", "--format=%H %cd").split())
    # Untracked files too, each by its name, whatever the user's settings of git are.
    status = ("status", "--porcelain", "--untracked-files=all")
    if changed := _names(_git(root, *status)):
        raise PackageError(
            f"the work tree is not the commit {found.id[:12]}: {changed}. Commit it, or put it "
            "away with `git stash --include-untracked`"
        )
    # What git was told not to look at, and what a link leads to, may be another file.
    listed = (line.split(None, 4) for line in _git(root, "ls-files", "-v", "-s").splitlines())
    unseen = [
        name
        for tag, mode, *_, name in listed
        if tag != "H" or (mode == "120000" and name.partition("/")[0] in _PACKED)
    ]
    if unseen:
        raise PackageError(
            f"{', '.join(unseen[:5])}: a release is made of files that git looks at, and of no "
            "links. What is hidden from it: `git update-index --no-skip-worktree` and "
            "`--no-assume-unchanged`"
        )
    if beside := _names(_git(root, *status, "--ignored", "--", *_PACKED)):
        raise PackageError(
            f"git ignores {beside}, and the package would hold it: it may be yours alone. Move it "
            f"out of {' and '.join(_PACKED)}"
        )
    # An annotated tag has a name of its own beside the commit's, which then comes first.
    form = "--format=%(*objectname) %(objectname)"
    tagged = _git(root, "for-each-ref", form, f"refs/tags/v{version}").split()[:1]
    if tagged not in ([], [found.id]):
        raise PackageError(
            f"the tag v{version} is the commit {tagged[0][:12]}, and this is {found.id[:12]}: a "
            "version has one commit. Raise the version, or check that commit out"
        )
    return found


def _names(status: str) -> str:
    """The files that `git status --porcelain` names, the first few of them; "" for none."""
    names = [line[3:] for line in status.splitlines() if not line.endswith(".pyc")]
    more = [f"and {len(names) - 5} more"] if len(names) > 5 else []
    return ", ".join([*names[:5], *more])


def _git(root: Path, *arguments: str) -> str:
    """What git prints; raises PackageError with its own words where it fails or is not there."""
    needs = "a release is made of a commit: it needs git, and a clone of the repository"
    git = shutil.which("git")
    if git is None:
        raise PackageError(f"{needs}. There is no git on the PATH")
    done = subprocess.run(
        [git, "-C", str(root), *arguments], capture_output=True, encoding="utf-8", check=False
    )
    if done.returncode != 0:
        raise PackageError(f"{needs}. In {root} it says: {done.stderr.strip()}")
    return done.stdout


def _asset(path: Path) -> Asset:
    held = path.read_bytes()
    return Asset(path.name, len(held), hashlib.sha256(held).hexdigest())


def _with(compiler: str) -> str:
    """What decides about the bytes beside the commit."""
    return (
        f"byte code by Python {compiler}, zip by Python {platform.python_version()} with zlib "
        f"{zlib.ZLIB_RUNTIME_VERSION}"
    )


def _put_in_place(folder: Path, output: Path, before: Path) -> None:
    """Rename, so that nobody meets half of it; the folder of before goes with the temporary one."""
    if output.exists():
        output.rename(before)
    folder.rename(output)


def _next(commit: Commit, is_released: bool, release_url: str, source_url: str) -> list[str]:
    """What whoever publishes it does now; what is missing, where it is not to be published."""
    missing = [] if is_released else ["in CHANGELOG.md and docs/upgrade.md the version's section"]
    given = {"RELEASE_URL": release_url, "SOURCE_URL": source_url}
    missing += [f"{name}=https://…" for name, url in given.items() if url == name]
    if missing:
        return [f"A trial, not to be published. Missing: {', '.join(missing)} (CONTRIBUTING.md)"]
    return [
        "Next:",
        f"  1. Read {NOTES}.",
        f"  2. git tag -a v{__version__} {commit.id[:12]} && git push origin v{__version__}",
        f"  3. Put all four files into {release_url}/, and the text of {NOTES} on the page.",
        f"  4. Fetch them from there: sha256sum -c {SUMS}. Open the link, which deploys it:",
        *(f"     {link}" for link in links(release_url)),
    ]


if __name__ == "__main__":
    sys.exit(main())
