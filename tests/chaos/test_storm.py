"""Hundreds of connections send nothing, or half a request. The sandbox still answers other
connections."""

from __future__ import annotations

import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from chaos_table import Tries
from needs import left_out
from running_cloud import Token
from running_sandbox import Sandbox, free_port, running, wait_for

pytestmark = pytest.mark.chaos
USUAL = 1024
"""The usual limit on a process's open files."""
PER_PORT = 500
HEAD = b"Host: 127.0.0.1\r\nContent-Length: 99999\r\n\r\nabc"
SAID = {
    "nothing": b"",
    "half a head": b"GET / HTTP/1.1\r\nHost: 127.0",
    "half a body": b"POST /sandbox-bucket/a HTTP/1.1\r\n" + HEAD,
}


@contextmanager
def files(soft: int) -> Iterator[None]:
    """Set how many files this process and its children may open."""
    was = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, was[1]), was[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, was)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    folder: Path = tmp_path_factory.mktemp("storm") / "state"
    with ExitStack() as stack:
        with files(USUAL):
            made = stack.enter_context(running(folder, free_port()))
        yield made


def open_files(sandbox: Sandbox) -> int:
    return len(list(Path(f"/proc/{sandbox.process.pid}/fd").iterdir()))


@pytest.mark.parametrize("said", SAID)
def test_a_storm_of_connections_stops_nobody(sandbox: Sandbox, said: str, tries: Tries) -> None:
    tries.name("client and sandbox", f"{3 * PER_PORT:,} connections that say {said}")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < 4 * PER_PORT:
        left_out("the storm", f"a process may open {most} files here, hard")
    before = open_files(sandbox)
    with ExitStack() as stack:
        stack.enter_context(files(most))
        for _ in range(PER_PORT):
            for port in range(sandbox.port, sandbox.port + 3):
                address = ("127.0.0.1", port)
                sock = stack.enter_context(socket.create_connection(address, timeout=10))
                sock.sendall(SAID[said])
        for number in range(3):
            token = tries.ask(lambda: Token.of(sandbox.answer()))
            bucket = token.oss2("v4")
            key = f"{token.prefix}{number}"
            stored: Callable[[], int] = lambda: bucket.put_object(key, b"x").status  # noqa: B023, E731
            assert tries.ask(stored) == 200
            tries.note("token and upload 200")
            bucket.session.session.close()
    wait_for(lambda: open_files(sandbox) <= before + 2)
    assert "Traceback" not in sandbox.stderr
