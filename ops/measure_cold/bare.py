"""A function that does nothing, for `make measure-cold BARE=…`: it shows the platform's cold start.

Deploy this file by hand as `index.py`, with the handler `index.handler`, and with the runtime, vCPU
and memory of the token function (docs/sizing.md). It needs no role and no variables. It answers how
many milliseconds passed between the start of its process and the import of this file. The runtime
needs this time to start.
"""

from __future__ import annotations

import json
import os
from pathlib import Path


def _process_ms() -> float | None:
    """Return the milliseconds since this process began, as Linux reports it. Return None on other
    systems."""
    try:
        # The 22nd field is the start of the process, in ticks since the boot. Fields are counted
        # from the end of the process name, because that name may contain any character.
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        return (uptime - ticks / os.sysconf("SC_CLK_TCK")) * 1000
    except (OSError, ValueError, IndexError):
        return None


PROCESS_MS = _process_ms()


def handler(event: object, context: object) -> dict[str, object]:  # noqa: ARG001 - FC's signature
    """Answer an HTTP trigger of Function Compute 3.0."""
    body = json.dumps({"StatusCode": 200, "ProcessMs": PROCESS_MS})
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return {"statusCode": 200, "headers": headers, "body": body, "isBase64Encoded": False}
