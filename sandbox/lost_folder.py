"""Detects that the folder of a running sandbox is missing, before new secrets are made there."""

from __future__ import annotations

import http.client
from pathlib import Path

from sandbox.environment import PUBLIC_KEY_PATH


def is_lost(folder: Path, gateway_port: int) -> bool:
    """Whether `folder` has no secrets although a sandbox runs at `gateway_port`. The running
    sandbox would refuse all tokens made with new secrets."""
    return not (folder / "secrets.json").exists() and _is_sandbox(gateway_port)


def _is_sandbox(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("HEAD", PUBLIC_KEY_PATH)
        answer = connection.getresponse()
        return answer.status == 200 and answer.getheader("content-type") == "application/x-pem-file"
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
