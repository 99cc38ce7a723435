"""`make lock`: writes the lock of each set, with all packages and the hashes of all their files.

People edit the `.in` files. The `.in` files name the packages that are imported or run, and the few
packages without wheels. A locked version stays as long as the `.in` files allow it. UPGRADE=1 takes
the newest versions of all packages. UPGRADE=name,name takes the newest versions of the named
packages. If one version works for Python 3.10 and newer on any system, the lock has only that
version.

This program needs only the standard library and uv, which it installs from requirements-lock.txt.
The locks name no index. uv takes the index from its own settings (UV_DEFAULT_INDEX).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ops import ROOT, install

SETS: Mapping[str, str] = {
    "requirements-build": "",
    "requirements-lock": "",
    "functions/sts_token/requirements": "",
    "requirements-run": "functions/sts_token/requirements",
    "requirements-dev": "requirements-run",
    "requirements-measure": "requirements-dev",
}
"""For each set of packages, the set that it extends. The lock of a set does not repeat the packages
of the set that it extends."""

_OPTIONS = ["--universal", "--python-version=3.10", "--fork-strategy=fewest", "--generate-hashes"]
_OPTIONS += ["--no-header", "--no-annotate", "--no-build-isolation", "--quiet"]
_PACKAGE = re.compile(r"^(?=\w)", re.MULTILINE)


def main() -> int:
    """Write all locks. Returns 0; or 1 with the fault on stderr, and then no lock is changed."""
    folder = ROOT / "build" / "lock"
    try:
        folder.parent.mkdir(exist_ok=True)
        install.python(folder, "requirements-lock.txt", "make lock")
        locks = made(folder / "bin", upgrades(os.environ.get("UPGRADE", "")))
    except install.Failed as error:
        print(f"make lock: {error}", file=sys.stderr)
        return 1
    for name, text in locks.items():
        (ROOT / f"{name}.txt").write_text(text, encoding="utf-8")
    print("The locks are written. See `git diff`, then run `make test` and `make audit`.")
    return 0


def upgrades(wish: str) -> list[str]:
    """Return uv's options for UPGRADE, which is empty, "1" for all, or names separated by
    commas."""
    if wish in {"", "0", "no"}:
        return []
    if wish == "1":
        return ["--upgrade"]
    return [f"--upgrade-package={name.strip()}" for name in wish.split(",") if name.strip()]


def made(programs: Path, more: Sequence[str]) -> dict[str, str]:
    """Return the text of each set's lock. Raises Failed if uv finds no versions."""
    before = read()
    locks: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as name:
        for number, (each, base) in enumerate(SETS.items()):
            file = Path(name) / f"{number}.txt"
            # uv prefers the versions that were locked before.
            file.write_text("".join(map(str, packages_with(each, SETS, before))), encoding="utf-8")
            limits = Path(name) / "limits.txt"
            limits.write_text("".join(packages_with(base, SETS, locks)), encoding="utf-8")
            command = [str(programs / "uv"), "pip", "compile", *_OPTIONS, *more]
            command += [f"--python={programs / 'python'}", f"--constraint={limits}"]
            command += [f"--output-file={file}", f"{each}.in"]
            done = subprocess.run(
                command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False
            )
            if done.returncode:
                raise install.Failed(f"{each}.in cannot be locked:\n{done.stderr.strip()}")
            known = packages_with(base, SETS, locks)
            found = [text for text in packages(file.read_text("utf-8")) if text not in known]
            locks[each] = "".join([*_head(each, base), *found])
    return locks


def read() -> dict[str, str]:
    """Return the current locks, with "" for a missing lock."""
    files = {name: ROOT / f"{name}.txt" for name in SETS}
    return {
        name: file.read_text(encoding="utf-8") if file.exists() else ""
        for name, file in files.items()
    }


def packages(lock: str) -> list[str]:
    """Return each package of a lock, with its hashes, as unchanged text. Options are left out."""
    return [text for text in _PACKAGE.split(lock) if re.match(r"\w", text)]


def packages_with(name: str, sets: Mapping[str, str], locks: Mapping[str, str]) -> list[str]:
    """Return the packages of the set `name`, and of all sets that it extends. Return no packages if
    `name` is ""."""
    return [*packages_with(sets[name], sets, locks), *packages(locks[name])] if name else []


def _head(name: str, base: str) -> list[str]:
    """Return the lines before the packages. Their order is kept, because in pip a later
    `--only-binary` undoes `--no-binary`."""
    source = (ROOT / f"{name}.in").read_text(encoding="utf-8")
    lines = [f"# `make lock` writes this file from {Path(name).name}.in.\n"]
    if base:
        lines.append(f"-r {os.path.relpath(f'{base}.txt', Path(name).parent)}\n")
    return [*lines, *(f"{line}\n" for line in source.splitlines() if line.startswith("--"))]


if __name__ == "__main__":
    sys.exit(main())
