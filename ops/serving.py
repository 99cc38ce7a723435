"""Runs a package in a process that can import only from the package and the standard library."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ops import policies_described
from ops.package import PackageError

# This secret is only for the check of a package.
SECRET = "build-check-" * 4
ENVIRONMENT = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAI5tBuildCheck",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "build-check",
    "ROLE_ARN": "acs:ram::1234567890123456:role/build-check",
    "BUCKET_NAME": "build-check",
    "OSS_REGION": "cn-hangzhou",
    # Nothing answers at this address.
    "STS_ENDPOINT": "http://127.0.0.1:9",
    "POLICY_CHOICES": ",".join(policies_described.names()),
}
"""The variables of a valid deployment, without the variables for logins."""

CLAIMS = {"sub": "build-check", "exp": 4102444800}
"""The claims of a login that is valid until the year 2100, so it never expires in a test."""

_SERVE_ONCE = Path(__file__).with_name("serve_once.py")


def serve(
    python: str,
    folders: Sequence[Path],
    events: Sequence[Mapping[str, Any]],
    environment: Mapping[str, str],
    *,
    byte_code: Path | None = None,
) -> list[dict[str, Any]]:
    """Return the answers of the function. The first of the folders contains the function. The
    function can import only from the folders and the standard library.

    If `byte_code` is given, Python writes byte code below this folder. Raises PackageError if the
    function raises, or answers something that is not JSON.
    """
    keeps = ["-B"] if byte_code is None else ["-X", f"pycache_prefix={byte_code}"]
    done = subprocess.run(
        [python, "-I", "-S", *keeps, str(_SERVE_ONCE), *map(str, folders)],
        input=json.dumps(events),
        env=dict(environment),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        raise PackageError(f"the package cannot answer requests:\n{done.stderr.strip()}")
    return [json.loads(answer["body"]) for answer in json.loads(done.stdout)]


def event(path: str, login: str = "", method: str = "GET") -> dict[str, Any]:
    """Return the event of a request. The event has the login, if `login` is not empty."""
    headers = {"Authorization": f"Bearer {login}"} if login else {}
    http = {"method": method, "path": path}
    return {"rawPath": path, "headers": headers, "requestContext": {"http": http}}
