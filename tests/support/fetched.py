"""Files that tests fetch from the package index. They stay in .cache/ for the next run."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from needs import left_out
from ops import ROOT
from ops.ros_specifications import Specifications, SpecificationsMissing, load
from ops.runtime import HOW_TO_GET_ONE, Python, find, find_or_this

_PREINSTALLED = ROOT / "tests" / "deploy" / "preinstalled.txt"


def specifications() -> Specifications:
    """The resource specifications. A test that cannot load them is skipped. If CI is set, the test
    fails instead."""
    try:
        return load()
    except SpecificationsMissing as error:
        left_out("the check by the resource specifications", str(error))


def preinstalled() -> Path:
    """A folder with the packages that the runtime preinstalls, for the Python of these tests."""
    version = find_or_this().version.rpartition(".")[0]
    pins = hashlib.sha256(_PREINSTALLED.read_bytes()).hexdigest()[:8]
    folder = ROOT / ".cache" / f"preinstalled-{version}-{pins}"
    if not folder.exists():
        draft = folder.with_name(f"{folder.name}.{os.getpid()}")
        options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
        options += [f"--python-version={version}", f"--target={draft}", "-r", str(_PREINSTALLED)]
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", *options],
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        if done.returncode != 0:
            shutil.rmtree(draft, ignore_errors=True)
            left_out("the runtime's preinstalled packages", done.stderr.strip()[-300:])
        draft.rename(folder)
    return folder


def runtime_python() -> Python:
    """A Python 3.10. If this machine has no Python 3.10, the test is skipped. If CI is set, the
    test fails instead."""
    return find() or left_out("what needs a Python 3.10", HOW_TO_GET_ONE)
