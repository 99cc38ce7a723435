"""Runs the real Serverless Devs CLI on our s.yaml, with a separate home folder. A stand-in for the
fc3 component (tests/deploy/fc3_stand_in) writes each deployment into a file of the home folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from javascript import need
from ops import ROOT

DEPLOY = ROOT / "tests" / "deploy"
ACCOUNT = "1234567890123456"
KEY = {"AccountID": ACCOUNT, "AccessKeyID": "LTAI5tOperator", "AccessKeySecret": "operator-secret"}


@dataclass(frozen=True)
class Project:
    """A folder with s.yaml, a home folder, and the environment for commands."""

    folder: Path
    home: Path

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(variables),
            # Nobody answers the CLI's questions, as in a pipeline.
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )

    def preview(self, *arguments: str, **variables: str) -> dict[str, Any]:
        """The properties of the function, as the component gets them."""
        done = self.run("preview", "-o", "json", *arguments, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        document = json.loads(done.stdout[done.stdout.index("{\n") :])
        found: dict[str, Any] = document["resources"]["sts_token"]
        return found

    def command(self, *arguments: str) -> list[str]:
        node = shutil.which("node")
        assert node is not None
        return [
            node,
            str(DEPLOY / "node_modules" / "@serverless-devs" / "s" / "bin" / "s"),
            *arguments,
        ]

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """An environment without the developer's own variables."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "NODE_OPTIONS": f'--require "{DEPLOY / "loopback_only.js"}"',
            "STAND_IN_PYTHON": sys.executable,
            "STAND_IN_SERVE_ONCE": str(ROOT / "ops" / "serve_once.py"),
            "STAND_IN_ROOT": str(ROOT),
            **variables,
        }


def make_project(folder: Path) -> Project:
    """Copy our files into a project folder, and make a home folder for `s`. Without Node, the test
    is skipped, or fails if CI is set."""
    need("Serverless Devs on s.yaml", browser=False, folder=DEPLOY)
    project = Project(folder / "project", folder / "home")
    project.folder.mkdir()
    for name in ("s.yaml", "s.domain.yaml"):
        shutil.copyfile(ROOT / name, project.folder / name)
    component = project.home / ".s" / "components" / "devsapp.cn" / "v3" / "fc3"
    shutil.copytree(DEPLOY / "fc3_stand_in", component)
    # Without this file, the CLI would call the component registry over the network.
    lock = {"version": "0", "lastUpdateCheck": int(time.time() * 1000)}
    (component / ".s.lock").write_text(json.dumps(lock))
    keys = [word for name, value in KEY.items() for word in (f"--{name}", value)]
    # The first command disables the CLI's reports about its use to the vendor.
    commands = [["set", "analysis", "disable"], ["config", "add", *keys, "-a", "default", "-f"]]
    for arguments in commands:
        done = project.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    return project
