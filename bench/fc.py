"""A stand-in of Function Compute. The stand-in limits the number of instances, and the number of
requests that each instance serves at the same time.

An instance is a cold process of the built package. A request takes a free place on an instance that
runs or starts. If no place is free, a new instance starts. At the limit of instances the platform
itself answers 429 (vendor documentation: instance concurrency, instance limits). The documentation
does not show the text of the answer 429 (assumption 69).
"""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

REFUSAL = b'{"ErrorCode":"ResourceThrottled","ErrorMessage":"the concurrency limit is reached"}'
_BUILT_IN = """
import json, sys
sys.path.insert(0, sys.argv[1])
import index
index.initialize(None)
for line in sys.stdin:
    print(json.dumps(index.handler(line, None)), flush=True)
"""
_CUSTOM = """
import runpy, sys
sys.path.insert(0, sys.argv[1])
runpy.run_path(sys.argv[1] + "/server.py", run_name="__main__")
"""


class Answer(NamedTuple):
    """The answer to a client: HTTP status and body."""

    status: int
    body: bytes


class Launch(NamedTuple):
    """How the process of an instance is started. The command begins with the words in `before`,
    which limit the CPU share of the process (vcpu.py). `folder` is the package."""

    before: Sequence[str]
    python: str
    folder: Path
    environment: Mapping[str, str]

    def popen(self, code: str, **more: str) -> subprocess.Popen[str]:
        """Start the process with `more` variables. As in a deployment, only the package has byte
        code."""
        command = [*self.before, self.python, "-I", "-S", "-B", "-c", code, str(self.folder)]
        return subprocess.Popen(
            command,
            env={**self.environment, **more},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )


class Instance(ABC):
    """An instance, which is a process. The process starts when the object is made."""

    process: subprocess.Popen[str]

    @abstractmethod
    def answer(self, headers: Mapping[str, str]) -> Answer:
        """Answer GET / with these headers."""

    def end(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()


class BuiltIn(Instance):
    """The runtime python3.10. It calls the initializer first, and then the handler for each
    event."""

    def __init__(self, launch: Launch) -> None:
        self.process = launch.popen(_BUILT_IN)

    def answer(self, headers: Mapping[str, str]) -> Answer:
        """Answer an HTTP trigger's event."""
        http = {"method": "GET", "path": "/"}
        event = {"rawPath": "/", "headers": headers, "requestContext": {"http": http}}
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(f"{json.dumps(event)}\n")
        stdin.flush()
        # Log lines may come before the answer.
        while not (line := stdout.readline()).startswith('{"statusCode"'):
            assert line, "the instance has ended"
        answer: dict[str, Any] = json.loads(line)
        return Answer(answer["statusCode"], answer["body"].encode())


class Custom(Instance):
    """A custom runtime, which runs server.py. Connections to server.py are kept alive."""

    def __init__(self, launch: Launch) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.process = launch.popen(_CUSTOM, FC_SERVER_PORT=str(self.port))
        self.idle: list[HTTPConnection] = []
        # Read and drop the log, so that the process never waits for a reader.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()  # type: ignore[union-attr]
        while not self._listens():
            assert self.process.poll() is None, "the instance has ended"
            time.sleep(0.005)

    def _listens(self) -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def answer(self, headers: Mapping[str, str]) -> Answer:
        """Answer by a request over HTTP, like the platform's gateway."""
        try:
            connection = self.idle.pop()
        except IndexError:
            connection = HTTPConnection("127.0.0.1", self.port)
        connection.request("GET", "/", headers=dict(headers))
        response = connection.getresponse()
        answer = Answer(response.status, response.read())
        self.idle.append(connection)
        return answer

    def end(self) -> None:
        """End the process and close its connections."""
        for connection in self.idle:
            connection.close()
        super().end()


class Platform:
    """At most `cap` instances, each with at most `concurrency` requests at a time."""

    def __init__(self, start: Callable[[], Instance], *, cap: int, concurrency: int) -> None:
        self._start, self._cap, self._concurrency = start, cap, concurrency
        self._lock = threading.Lock()
        self._places: list[_Place] = []

    @property
    def instances(self) -> int:
        """How many instances have been started."""
        return len(self._places)

    def answer(self, headers: Mapping[str, str]) -> Answer:
        """Answer GET /, or refuse it if no place is free."""
        with self._lock:
            free = [place for place in self._places if place.taken < self._concurrency]
            if not free and len(self._places) >= self._cap:
                return Answer(429, REFUSAL)
            if not free:
                free = [_Place()]
                self._places += free
            place = free[0]
            place.taken += 1
        try:
            return place.get(self._start).answer(headers)
        finally:
            with self._lock:
                place.taken -= 1

    def end(self) -> None:
        """End all instances, and wait for those that are starting."""
        for place in self._places:
            place.get(self._start).end()


class _Place:
    """A place for an instance. The place can get requests while its instance is still starting."""

    def __init__(self) -> None:
        self.taken = 0
        self._lock = threading.Lock()
        self._instance: Instance | None = None

    def get(self, start: Callable[[], Instance]) -> Instance:
        with self._lock:
            if self._instance is None:
                self._instance = start()
            return self._instance
