"""A function that does nothing, for `make measure-cold BARE=…`: it shows the platform's cold start.

Deploy it by hand as `index.py`, handler `index.handler`, with the runtime, vCPU and memory of the
token function, without a role and variables (docs/sizing.md). It answers the age of its process at
the import, in milliseconds: the start of the runtime.
"""

from __future__ import annotations

import json
import os
from pathlib import Path


def _process_ms() -> float | None:
    """Return the milliseconds since this process began, by Linux; None elsewhere."""
    try:
        # The 22nd field, in ticks since the boot; counted after the name, which may have any
        # character.
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
