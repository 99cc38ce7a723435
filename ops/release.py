"""`make release`: makes the files for the page of a release, in dist/release/, from a clean commit.

The files are template.yml, sts_token-<version>.zip with byte code, SHA256SUMS and notes.md. One
commit gives the same bytes on any day and in any folder, if the versions of Python and zlib are the
same. notes.md names these versions.
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
"""The folders of the packed files. Files that git ignores are packed too."""


class Commit(NamedTuple):
    """The commit that a release is made from."""

    id: str
    """40 hexadecimal digits."""
    date: str
    """The date of the commit in its own time zone, like 2026-11-28."""


def main() -> int:
    """Write dist/release/ and report. Returns 0, or 1 with the fault on stderr."""
    try:
        print("\n".join(release(ROOT, OUTPUT, os.environ)))
    except PackageError as error:
        print(f"make release: {error}", file=sys.stderr)
        return 1
    return 0


def release(root: Path, output: Path, env: Mapping[str, str]) -> list[str]:
    """Make the release of the checkout `root` in the folder `output`; return the report's lines.

    RELEASE_URL is the future address of the release's files. SOURCE_URL is the address of the
    commit's files. The old content of `output` stays until all new files are written. Raises
    PackageError.
    """
    release_url, source_url = place(env, "RELEASE_URL"), place(env, "SOURCE_URL")
    # The build takes half a minute, so quick checks come before it.
    commit = clean_commit(root, __version__)
    changelog = section((root / "CHANGELOG.md").read_text(encoding="utf-8"), __version__)
    upgrade = (root / "docs" / "upgrade.md").read_text(encoding="utf-8")
    python, why_not = byte_code.compiler()
    if python is None:
        raise PackageError(f"a release needs byte code: {why_not}")

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
            raise PackageError("another commit was checked out in the meantime; start again")
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
    """Return the commit that is checked out. Raises PackageError if there is no checkout, or if a
    file differs from the commit. Also raises PackageError if a package would have a file that
    git ignores, or if the tag of the version names another commit."""
    found = Commit(*_git(root, "log", "-1", "--date=short", "--format=%H %cd").split())
    # The status also names each untracked file, whatever the user's git settings are.
    status = ("status", "--porcelain", "--untracked-files=all")
    if changed := _names(_git(root, *status)):
        raise PackageError(
            f"files differ from the commit {found.id[:12]}: {changed}. Commit them, or put "
            "them away with `git stash --include-untracked`"
        )
    # `git status` misses two kinds of changes: in files that git was told to skip (`git
    # update-index`), and in the targets of links.
    listed = (line.split(None, 4) for line in _git(root, "ls-files", "-v", "-s").splitlines())
    unseen = [
        name
        for tag, mode, *_, name in listed
        if tag != "H" or (mode == "120000" and name.partition("/")[0] in _PACKED)
    ]
    if unseen:
        raise PackageError(
            f"{', '.join(unseen[:5])}: git does not check these files, or they are links. To let "
            "git check them, run `git update-index` twice: once with --no-skip-worktree, and "
            "once with --no-assume-unchanged. Replace links by files"
        )
    if beside := _names(_git(root, *status, "--ignored", "--", *_PACKED)):
        raise PackageError(
            f"git ignores {beside}, but the package would contain it. Other checkouts may not "
            f"have this file. Move it out of {' and '.join(_PACKED)}"
        )
    # An annotated tag is an object with its own hash. With this format, git prints the hash of the
    # commit before the hash of the tag.
    form = "--format=%(*objectname) %(objectname)"
    tagged = _git(root, "for-each-ref", form, f"refs/tags/v{version}").split()[:1]
    if tagged not in ([], [found.id]):
        raise PackageError(
            f"the tag v{version} is the commit {tagged[0][:12]}, but this checkout is "
            f"{found.id[:12]}. A version has only one commit. Raise the version, or check out the "
            "tag's commit"
        )
    return found


def _names(status: str) -> str:
    """Return the names of at most five files in the output of `git status --porcelain`, or ""."""
    names = [line[3:] for line in status.splitlines() if not line.endswith(".pyc")]
    more = [f"and {len(names) - 5} more"] if len(names) > 5 else []
    return ", ".join([*names[:5], *more])


def _git(root: Path, *arguments: str) -> str:
    """Return what git prints. Raises PackageError with git's message if git fails or is missing."""
    needs = "a release is made from a commit, so it needs git and a clone of the repository"
    git = shutil.which("git")
    if git is None:
        raise PackageError(f"{needs}. There is no git on the PATH")
    done = subprocess.run(
        [git, "-C", str(root), *arguments], capture_output=True, encoding="utf-8", check=False
    )
    if done.returncode != 0:
        raise PackageError(f"{needs}. In {root} git says: {done.stderr.strip()}")
    return done.stdout


def _asset(path: Path) -> Asset:
    held = path.read_bytes()
    return Asset(path.name, len(held), hashlib.sha256(held).hexdigest())


def _with(compiler: str) -> str:
    """Return the versions of the tools. The bytes of the files depend only on these versions and on
    the commit."""
    return (
        f"byte code by Python {compiler}, zip by Python {platform.python_version()} with zlib "
        f"{zlib.ZLIB_RUNTIME_VERSION}"
    )


def _put_in_place(folder: Path, output: Path, before: Path) -> None:
    """Rename the folders, so that nobody sees a half-written release. The old folder is deleted
    together with the temporary folder."""
    if output.exists():
        output.rename(before)
    folder.rename(output)


def _next(commit: Commit, is_released: bool, release_url: str, source_url: str) -> list[str]:
    """Return the next steps to publish the release, or what is missing."""
    missing = [] if is_released else ["this version in CHANGELOG.md and docs/upgrade.md"]
    given = {"RELEASE_URL": release_url, "SOURCE_URL": source_url}
    missing += [f"{name}=https://…" for name, url in given.items() if url == name]
    if missing:
        return [f"A trial: do not publish it. Missing: {', '.join(missing)} (CONTRIBUTING.md)"]
    return [
        "Next:",
        f"  1. Read {NOTES}.",
        f"  2. git tag -a v{__version__} {commit.id[:12]} && git push origin v{__version__}",
        f"  3. Upload all four files to {release_url}/, and put the text of {NOTES} on the page.",
        f"  4. Download and check the files: `sha256sum -c {SUMS}`. Deploy with these links:",
        *(f"     {link}" for link in links(release_url)),
    ]


if __name__ == "__main__":
    sys.exit(main())
