"""Makes the package for Function Compute: a folder and its zip. The bytes of the folder and of the
zip do not depend on the date.

build.py and template.py decide which packages are included, and where the result is written.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Collection, Sequence
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ops import ROOT, dotenv
from ops.install import why
from ops.lock import packages as locked
from ops.own_files import own_files
from token_service.grant.policies import READY

FUNCTION = ROOT / "functions" / "sts_token"
POLICIES = ROOT / "policies"
REQUIREMENTS = FUNCTION / "requirements.txt"

RUNTIME = "3.10"
"""The Python version of the runtime python3.10, on manylinux2014_x86_64 (vendor documentation)."""

BOOTSTRAP = "bootstrap"
"""The program that a custom runtime starts (vendor documentation): it must be executable."""
CODE = "/code"
"""The read-only folder into which Function Compute unpacks a package (vendor documentation)."""

_RUNTIME_MARKERS = {
    "python_version": RUNTIME,
    "python_full_version": f"{RUNTIME}.0",
    "sys_platform": "linux",
    "extra": "",
}

_HASH = re.compile(r"--hash=\S+")

# Files in which pip describes an installation. A deployed function does not need these files.
_NOISE = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")
# This is 2020-01-01, because a zip cannot hold times before 1980.
_TIME = 1577836800
_ZIP_TIME = (2020, 1, 1, 0, 0, 0)


class PackageError(Exception):
    """Raised when the package cannot be made. The message says what is wrong and how to fix it."""


def pinned(names: Collection[str] = ()) -> list[str]:
    """Return the function's packages for the runtime, with their hashes, as lines for pip.

    If `names` is given, return only these packages; raises PackageError if one of them is missing.
    The markers are evaluated here, because pip evaluates them for its own Python, even with
    --python-version.
    """
    found: dict[str, str] = {}
    for text in locked(REQUIREMENTS.read_text(encoding="utf-8")):
        requirement = Requirement(text.partition(" \\\n")[0])
        if _holds(requirement):
            pin = f"{requirement.name}{requirement.specifier}"
            found[requirement.name] = " ".join([pin, *_HASH.findall(text)])
    missing = {name for name in names if canonicalize_name(name) not in found}
    if missing:
        raise PackageError(f"{REQUIREMENTS.name} does not pin {', '.join(sorted(missing))}")
    return [found[canonicalize_name(name)] for name in names] or list(found.values())


def fill(folder: Path, pins: Sequence[str], *, native: bool = True) -> None:
    """Put function, policies and packages into an empty folder. Raises PackageError.

    `native=False` is for the template, which has little room. It leaves out three things: our
    license, the function's JSON files, and the compiled modules of packages that also work without
    compiled modules. The JSON files are the key sets of one deployment, but other people use the
    template too, and its form has no parameter for a key set.
    """
    own = _own_files()
    _install(pins, folder)
    _check_complete(folder)
    for path in sorted(folder.rglob("*"), reverse=True):
        unwanted = path.name in _NOISE or (path.suffix == ".so" and not native)
        if path.name == "__pycache__" or path == folder / "bin":
            shutil.rmtree(path)
        elif unwanted and path.is_file():
            path.unlink()
    for source in own:
        if source.suffix == ".json" and not native:
            continue
        target = folder / source.relative_to(FUNCTION)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    (folder / POLICIES.name).mkdir()
    # No other JSON file is copied, because a config.json holds a key.
    templates = [path for end in ("j2", "txt") for path in POLICIES.glob(f"*.{end}")]
    for source in sorted([*templates, POLICIES / READY]):
        shutil.copyfile(source, folder / POLICIES.name / source.name)
    if native:
        shutil.copyfile(ROOT / "LICENSE", folder / "LICENSE")
    settle(folder)


def settle(folder: Path) -> None:
    """Give all files fixed modes and a fixed time, so that packages do not depend on the date."""
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o755 if path.is_dir() or path == folder / BOOTSTRAP else 0o644)
        os.utime(path, (_TIME, _TIME))


def replace_compiled(folder: Path, python: str) -> None:
    """Replace the runtime's compiled modules by modules for another Python. `python` is like
    "3.12".

    `folder` was filled by fill(). After the replacement, the other Python can run the code in
    `folder`. The versions of the packages stay the same. Raises PackageError if pip installs no
    such module for the other Python.
    """
    compiled = list(folder.rglob("*.so"))
    if not compiled:
        return
    installed = distributions(path=[str(folder)])
    pins = [f"{each.metadata['Name']}=={each.version}" for each in installed]
    with tempfile.TemporaryDirectory() as name:
        # The package may be from an older commit, so its hashes may be missing in the lock.
        _install(pins, Path(name), python, hashes=False)
        for path in compiled:
            module = path.name.partition(".")[0]
            found = list((Path(name) / path.parent.relative_to(folder)).glob(f"{module}.*.so"))
            if not found:
                raise PackageError(
                    f"pip installed no module for Python {python} that can replace "
                    f"{path.relative_to(folder)}"
                )
            path.unlink()
            copy = path.with_name(found[0].name)
            shutil.copyfile(found[0], copy)
            copy.chmod(0o644)
            os.utime(copy, (_TIME, _TIME))


def zipped(folder: Path) -> bytes:
    """Return the folder's files as a zip. The zip lists the files in sorted order, gives all of
    them the same time, and does not list folders."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
        for name, path in sorted(files.items()):
            if path.is_file():
                entry = zipfile.ZipInfo(name, _ZIP_TIME)
                entry.create_system = 3  # Unix, on every system
                entry.external_attr = (0o100755 if name == BOOTSTRAP else 0o100644) << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, path.read_bytes())
    return buffer.getvalue()


def _own_files() -> list[Path]:
    keys_file = dotenv.load(ROOT, os.environ).variables.get("JWT_JWKS_FILE", "")
    own, wrong = own_files(FUNCTION, keys_file)
    if wrong:
        lines = "\n  ".join(wrong)
        raise PackageError(f"functions/sts_token has files that do not belong there:\n  {lines}")
    return own


def _holds(requirement: Requirement) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(_RUNTIME_MARKERS)


def _check_complete(folder: Path) -> None:
    """Check that everything that a package needs on the runtime's Python is pinned. pip does not
    resolve dependencies here."""
    installed = {found.metadata["Name"]: found for found in distributions(path=[str(folder)])}
    names = {canonicalize_name(name) for name in installed}
    for name, found in installed.items():
        for text in found.requires or ():
            needed = Requirement(text)
            if _holds(needed) and canonicalize_name(needed.name) not in names:
                raise PackageError(
                    f"{name} needs {needed.name}, which the lock file lacks. Run `make lock`"
                )


def _install(
    pins: Sequence[str], folder: Path, python: str = RUNTIME, *, hashes: bool = True
) -> None:
    options = ["--quiet", "--disable-pip-version-check", "--no-compile"]
    # requirements.txt locks everything, so pip installs exactly these files and resolves nothing.
    options += ["--no-deps", "--only-binary=:all:", "--implementation=cp"]
    options += ["--platform=manylinux2014_x86_64", f"--python-version={python}"]
    options += ["--require-hashes"] if hashes else []
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write("\n".join(pins))
        file.flush()
        command = [sys.executable, "-m", "pip", "install", *options, f"--target={folder}"]
        done = subprocess.run(
            [*command, "-r", file.name], capture_output=True, encoding="utf-8", check=False
        )
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        lines = [*(lines or [done.stderr]), why(done.stderr)]
        raise PackageError("pip cannot fetch the packages:\n" + "\n".join(filter(None, lines)))
