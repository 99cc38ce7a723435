"""Writes the code of docs/integrate into files, as a reader does, and runs it."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from typing import Any

from documented_code import DOCS, blocks
from running_cloud import RunningCloud
from running_sandbox import free_port

INTEGRATE = DOCS / "integrate"
PACKAGES = Path(__file__).parents[1] / "integrate"
"""The package.json in this folder pins the Node.js packages that readers install beside ali-oss."""


def write_files(folder: Path, language: str, page: str) -> list[str]:
    """Write each block of code whose first line names its file. Return the names of the files."""
    names = []
    for code in blocks(language, INTEGRATE / page):
        if named := re.match(r"(?:#|//) ([\w-]+\.\w+)", code):
            (folder / named[1]).write_text(code, encoding="utf-8")
            names.append(named[1])
    return names


def stored(cloud: RunningCloud, key: str) -> bytes:
    """The bytes of the object with this key."""
    with cloud.cloud.storage.open(cloud.cloud.bucket, key) as found:
        return b"".join(found.chunks(0, found.info.size))


def keys(cloud: RunningCloud, prefix: str) -> list[str]:
    """The keys of the objects below a prefix."""
    found = cloud.cloud.storage.keys_from(
        cloud.cloud.bucket, b"", inclusive=True, prefix=prefix.encode(), limit=100
    )
    return [info.key for info in found]


def run_in(
    folder: Path, command: Iterable[str], **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command of the docs in a folder, without the developer's proxy and variables."""
    return subprocess.run(
        list(command),
        cwd=folder,
        env=_environment(variables),
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


@contextmanager
def serving(folder: Path, command: Iterable[str], **variables: str) -> Iterator[str]:
    """Start a server from the docs as a process, and wait until it accepts connections. Its port
    replaces `{port}` in the command, and is also the value of the variable PORT. Yields its URL."""
    port = free_port()
    with (folder / "output").open("w+b") as output:
        process = subprocess.Popen(
            [part.format(port=port) for part in command],
            cwd=folder,
            env=_environment({**variables, "PORT": str(port)}),
            stdout=output,
            stderr=output,
        )
        try:
            while not _accepts(port):
                assert process.poll() is None, (folder / "output").read_text()
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**known, **variables}


def _accepts(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def post(url: str, document: object = None, **headers: str) -> tuple[int, Any, Message]:
    """Send JSON, or a body unchanged. Return status, JSON and headers. The names of `headers` have
    `_` where HTTP has `-`."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(  # noqa: S310 - of these tests
        url, body, {"Content-Type": "application/json", **named}, method="POST"
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            return answer.status, json.load(answer), answer.headers
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused), refused.headers
