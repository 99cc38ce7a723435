"""Runs the operator's tools (ops/) as processes, only with the variables that a test gives."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ops import ROOT


def run_tool(
    module: str, *command: str, seconds: float, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run `python -m module`, or `command` if it is given, for at most `seconds`."""
    return subprocess.run(
        command or (sys.executable, "-m", module),
        # This folder has no .env. The checkout's own .env must not be read in a test.
        cwd=Path(__file__).parent,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{ROOT}:{ROOT}/functions/sts_token",
            **variables,
        },
        capture_output=True,
        encoding="utf-8",
        timeout=seconds,
        check=False,
    )
