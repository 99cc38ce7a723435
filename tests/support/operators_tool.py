"""The operator's tools (ops/) as an operator runs them: processes, with no variable but theirs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ops import ROOT


def run_tool(
    module: str, *command: str, seconds: float, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run `python -m module`, or the command in its place; it has so many seconds."""
    return subprocess.run(
        command or (sys.executable, "-m", module),
        # There is no .env there: the checkout's is the developer's.
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
