"""The packages that `make bench` measures. As in a deployment, they are read-only folders.

Our packages are the unpacked zip of `make build`, and the code that `make template` inlines. To
compare versions, this module also makes both packages of an earlier commit. The `make build` and
`make template` of that commit make them. Some peers use packages of the runtime, which are compiled
here. (The vendor's documentation lists these packages, but does not say that they are compiled.)
Other peers bring their own packages, which are not compiled.
"""

from __future__ import annotations

import base64
import io
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.copies import CompareError, export, last_line, put_base
from ops import ROOT
from ops.build import build
from ops.package import REQUIREMENTS, replace_compiled
from ops.runtime import Python

SITES = ROOT / "build" / "bench"
PEERS = Path(__file__).with_name("peers")
PREINSTALLED = ("aliyun-python-sdk-sts", "oss2", "cryptography")
BROUGHT = ("alibabacloud-sts20150401", "alibabacloud-oss-v2")

_PINS = (REQUIREMENTS, ROOT / "requirements-dev.txt", ROOT / "requirements-run.txt")
_PEERS_PINS = Path(__file__).with_name("requirements.txt")
_TEMPLATE = (
    "import sys, pathlib; sys.path.insert(0, sys.argv[1]); from ops import template; "
    "template.OUTPUT = pathlib.Path(sys.argv[2]); sys.exit(template.main())"
)
# A zip file in base64 begins with UEsDB. No other text in a template begins with these letters.
_ZIP = re.compile(rb"UEsDB[A-Za-z0-9+/]{1000,}=*")


class Package(NamedTuple):
    """A function: `folder` has its code and is read-only. `size` is how many bytes an operator
    uploads to deploy it, as a zip or as a template."""

    folder: Path
    size: int


class Packages(NamedTuple):
    """What is compared: our package (twice), our template, the package and the template of an
    earlier commit, and the packages of the peers."""

    ours: Package
    control: Package
    template: Package
    base: Package
    base_template: Package
    preinstalled: Path
    brought: Path


def make(base: str, python: Python, folder: Path) -> Packages:
    """Make all packages in an empty folder. Raises CompareError and PackageError."""
    # Names of equal length keep the paths in the byte code and in sys.path equally long.
    build(folder / "build")
    archive = (folder / "build.zip").read_bytes()
    tree = folder / "tree"
    tree.mkdir()
    export(base, tree)
    put_base(str(tree), folder / "base")
    return Packages(
        _deployed(archive, folder / "ours", python),
        _deployed(archive, folder / "same", python),
        _inlined(ROOT, folder / "tmpl", python),
        _deployed((folder / "base.zip").read_bytes(), folder / "olds", python),
        _inlined(tree, folder / "oldt", python),
        _site("preinstalled", PREINSTALLED, python, compiled=True),
        _site("brought", BROUGHT, python, compiled=False),
    )


def peer(name: str, folder: Path) -> Path:
    """Make a read-only folder whose index.py is a program of peers/. Return the folder."""
    target = folder / name
    shutil.copytree(PEERS, target, ignore=shutil.ignore_patterns("__pycache__"))
    (target / f"{name}.py").rename(target / "index.py")
    # peers/floor.py, the smallest possible client, uses this code.
    shutil.copyfile(PEERS / "standard_library.py", target / "standard_library.py")
    _make_read_only(target)
    return target


def _deployed(archive: bytes, folder: Path, python: Python) -> Package:
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        files.extractall(folder)
    if not python.is_runtime:
        replace_compiled(folder, python.version.rpartition(".")[0])
    _make_read_only(folder)
    return Package(folder, len(archive))


def _make_read_only(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)


def _inlined(tree: Path, folder: Path, python: Python) -> Package:
    """The code inside a template. The tree's own `make template` makes this template."""
    path = folder.with_suffix(".yml")
    command = [sys.executable, "-B", "-c", _TEMPLATE, str(tree), str(path)]
    done = subprocess.run(command, cwd=tree, capture_output=True, encoding="utf-8", check=False)
    found = _ZIP.search(path.read_bytes()) if done.returncode == 0 else None
    if found is None:
        raise CompareError(f"{tree} makes no template: {last_line(done.stderr)}")
    package = _deployed(base64.b64decode(found[0]), folder, python)
    return package._replace(size=path.stat().st_size)


def _site(name: str, requirements: Sequence[str], python: Python, *, compiled: bool) -> Path:
    """A folder with the pinned packages for `python`. The folder is kept between runs."""
    # The constraints have no hashes, because no lock has the dependencies of the peers.
    pins = [
        line.removesuffix(" \\")
        for path in (*_PINS, _PEERS_PINS)
        for line in path.read_text(encoding="utf-8").splitlines()
        if "==" in line
    ]
    made_of = "\n".join([python.path, python.version, *requirements, *pins])
    site = SITES / name
    stamp = SITES / f"{name}.txt"
    if site.is_dir() and stamp.exists() and stamp.read_text(encoding="utf-8") == made_of:
        return site
    shutil.rmtree(site, ignore_errors=True)
    SITES.mkdir(parents=True, exist_ok=True)
    constraints = SITES / "constraints.txt"
    constraints.write_text("\n".join(pins), encoding="utf-8")
    # Run the pip of `python`, because oss2 has no wheel, so pip builds it for its own Python.
    options = ["--quiet", "--disable-pip-version-check", "--no-compile", f"--target={site}"]
    command = [python.path, "-m", "pip", "install", *options, "-c", str(constraints)]
    done = subprocess.run(
        [*command, *requirements], capture_output=True, encoding="utf-8", check=False
    )
    if done.returncode != 0:
        raise CompareError(f"pip cannot fetch the peers' packages: {last_line(done.stderr)}")
    if compiled:
        # Ignore errors: if a file cannot be compiled, no program can import it.
        subprocess.run([python.path, "-I", "-m", "compileall", "-qq", str(site)], check=False)
    stamp.write_text(made_of, encoding="utf-8")
    return site
