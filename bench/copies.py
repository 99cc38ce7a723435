"""The packages that a comparison measures: BASE twice, and this working tree once.

Each tree is built by its own ops/build.py, as `make build` does, so the measured code is the
deployed code. Only the compiled modules are replaced, by builds for the Python that runs the
copies.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

from ops import ROOT
from ops.package import replace_compiled

# With -c, this code imports the package ops of the given folder. With -m, Python might import
# another package named ops.
_BUILD = (
    "import sys, pathlib; sys.path.insert(0, sys.argv[1]); from ops.build import build; "
    "build(pathlib.Path(sys.argv[2]))"
)


class CompareError(Exception):
    """Raised when nothing can be compared. The message gives the reason in one line."""


class Python(NamedTuple):
    """The Python that runs the copies."""

    path: str
    version: str
    """Like "3.11.7"."""

    @property
    def minor(self) -> str:
        """Like "3.11"."""
        return self.version.rpartition(".")[0]


class Copies(NamedTuple):
    """Folders with index.py: two equal folders of BASE, and one folder of the working tree."""

    base: Path
    control: Path
    now: Path


def find_python(name: str) -> Python:
    """Find the Python at `name`, which is a path or a command. Raises CompareError."""
    code = "import platform as p, sys; sys.stdout.write(p.python_version() + ' ' + sys.executable)"
    try:
        done = subprocess.run([name, "-c", code], capture_output=True, text=True, check=False)
    except OSError as error:
        raise CompareError(f"BENCH_PYTHON={name} cannot be run: {error.strerror}") from None
    version, _, path = done.stdout.strip().partition(" ")
    if done.returncode != 0 or not path:
        first = (done.stderr.strip() or "it says nothing").splitlines()[0]
        raise CompareError(f"BENCH_PYTHON={name} does not run: {first}")
    return Python(path, version)


def make_copies(base: str, python: Python, folder: Path, *, byte_code: bool) -> Copies:
    """Build the copies in an empty folder. If `byte_code` is true, compile their modules.

    `base` has the same meaning as in `put_base`. Raises CompareError and PackageError.
    """
    # The names are equally long, so that the paths in the byte code and in sys.path are equally
    # long in all copies.
    copies = Copies(folder / "a0", folder / "a1", folder / "b0")
    put_base(base, copies.base)
    _build(ROOT, copies.now, "this working tree")
    for package in (copies.base, copies.now):
        replace_compiled(package, python.minor)
    shutil.copytree(copies.base, copies.control)
    if byte_code:
        for package in copies:
            # Compile each copy where it is, because loading moved byte code takes longer. Errors
            # are ignored here, because the same file would also fail when it is imported.
            subprocess.run([python.path, "-I", "-m", "compileall", "-qq", package], check=False)
    return copies


def put_base(base: str, target: Path, repository: Path = ROOT) -> None:
    """Put the package of `base` into a new folder. Raises CompareError.

    `base` is a folder with a built package, a folder with a checkout, or a commit of `repository`
    (any name that git knows). The folder and the repository are not changed.
    """
    named = Path(base)
    if (named / "index.py").is_file():
        shutil.copytree(named, target, ignore=shutil.ignore_patterns("__pycache__"))
    elif (named / "ops" / "build.py").is_file():
        _build(named.resolve(), target, f"BASE={base}")
    else:
        with tempfile.TemporaryDirectory(dir=target.parent) as tree:
            export(base, Path(tree), repository)
            _build(Path(tree), target, f"BASE={base}")


def export(base: str, tree: Path, repository: Path = ROOT) -> None:
    """Write the files of a commit (any name that git knows) to a folder. Raises CompareError."""
    commit = _commit(base, repository)
    # Use an archive, because a worktree would leave traces in the repository.
    archive = _git(repository, "archive", "--format=zip", commit)
    if archive is None:
        raise CompareError(f"git cannot archive {commit}")
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        files.extractall(tree)


def _commit(base: str, repository: Path) -> str:
    """The full hash of the commit `base`."""
    # The suffix ^{commit} makes git resolve a tag to its commit. The suffix also keeps git from
    # reading a text like --help as an option.
    name = f"{base}^{{commit}}"
    found = _git(repository, "rev-parse", "--verify", "--quiet", name)
    if found is None:
        raise CompareError(
            f"BASE={base} must be a commit here, or a folder with index.py (a built package) "
            "or ops/build.py (a checkout)"
        )
    return found.decode().strip()


def _git(repository: Path, *arguments: str) -> bytes | None:
    """The output of git, or None if git fails or is missing."""
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "-C", str(repository), *arguments]
    done = subprocess.run(command, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


def _build(tree: Path, target: Path, name: str) -> None:
    command = [sys.executable, "-B", "-c", _BUILD, str(tree), str(target)]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CompareError(f"{name} cannot be built: {last_line(done.stderr)}")


def last_line(text: str) -> str:
    """The last line of a program's output. If the program failed, this line has the error."""
    return (text.strip().splitlines() or ["it says nothing"])[-1]
