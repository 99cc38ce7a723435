"""Runs server.py in its own process, as a custom runtime starts it, and reads its log."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from typing import Any

from ops import ROOT

FUNCTION = ROOT / "functions" / "sts_token"
# This runs `python server.py`, but first changes some constants in http_server.py.
_START = f"""
import json, runpy, sys
sys.path.insert(0, {str(FUNCTION)!r})
from token_service.http import http_server
vars(http_server).update(json.loads(sys.argv[1]))
runpy.run_path({str(FUNCTION / "server.py")!r}, run_name="__main__")
"""


@dataclass
class CustomRuntime:
    """A running server. After the server has ended, `lines` has its whole log."""

    port: int
    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        # Read the log while the server runs, because a full pipe would stop the server.
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as log:
            self.lines += log

    @property
    def logged(self) -> list[dict[str, Any]]:
        """The request lines of the log."""
        return [json.loads(line) for line in self.lines if line.startswith("{")]

    def connect(self) -> HTTPConnection:
        """Open a connection as a client."""
        return HTTPConnection("127.0.0.1", self.port, timeout=20)

    def get(self, path: str = "/", **headers: str) -> dict[str, Any]:
        """The JSON of the answer to a GET; `x_fc_request_id` sets the header x-fc-request-id."""
        connection = self.connect()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", path, headers=named)
        answer = document(connection.getresponse())
        connection.close()
        return answer

    def send(self, data: bytes) -> bytes:
        """Send bytes, and return all bytes that arrive until the server closes the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as sock:
            sock.sendall(data)
            return received(sock)

    def end(self) -> int:
        """Stop the server as the platform does; return its exit code."""
        self.process.terminate()
        code = self.process.wait(timeout=30)
        self.reader.join(timeout=30)
        return code


def document(response: HTTPResponse) -> dict[str, Any]:
    """An answer's JSON."""
    decoded: dict[str, Any] = json.loads(response.read())
    return decoded


def received(sock: socket.socket) -> bytes:
    """All bytes that arrive until the other side closes the connection."""
    data = b""
    while more := sock.recv(65536):
        data += more
    return data


def measured() -> dict[str, str]:
    """The environment variables with which `make coverage` measures a process. Other test runs
    have no such variables."""
    return {name: text for name, text in os.environ.items() if name.startswith("COVERAGE_")}


@contextmanager
def custom_runtime(env: Mapping[str, str], **changes: float) -> Iterator[CustomRuntime]:
    """Start the server on a free port, with `changes` to constants of http_server.py."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-c", _START, json.dumps(changes)],
        env={"PATH": os.environ["PATH"], **measured(), **env, "FC_SERVER_PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    runtime = CustomRuntime(port, process)
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, "".join(runtime.lines)
                time.sleep(0.02)
        yield runtime
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        runtime.reader.join()
