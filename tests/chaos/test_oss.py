"""Faults of connections to the sandbox's OSS, of its disk, and of its process. After a fault, an
object has its old bytes or its new bytes, each upload is stored once, and no unused file is
left."""

from __future__ import annotations

import http.client
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from chaos_table import Tries
from needs import left_out
from oss_process import Answer, OssProcess, form, litter, oss_process
from running_oss import BUCKET
from running_sandbox import wait_for

pytestmark = pytest.mark.chaos
OLD, NEW = b"old " * 50_000, b"new " * 50_000
KB100 = 100 * 1024


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OssProcess]:
    with oss_process(tmp_path_factory.mktemp("chaos") / "oss") as oss:
        yield oss


@pytest.fixture
def oss(running: OssProcess) -> Iterator[OssProcess]:
    """An OSS with some objects. After the test, the fixture asserts that the fault left nothing
    behind."""
    for key in ("put", "form", "parts"):
        assert running.put(key, OLD).status == 200
    running.ask("DELETE", "appended")
    assert running.append("appended", 0, OLD).status == 200
    before = running.open_now()[0]
    yield running
    # The OSS reads with at most 40 threads. These threads continue to exist after the request
    # ends.
    wait_for(lambda: running.open_now()[0] <= before and running.open_now()[1] <= 41)
    wait_for(lambda: not litter(running.folder))


# Requests that end before their time


def raw_request(
    oss: OssProcess, method: str, path: str, body: bytes, *lines: str, length: int | None = None
) -> bytes:
    size = len(body) if length is None else length
    head = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{oss.port}", *lines]
    return "\r\n".join([*head, f"Content-Length: {size}", "", ""]).encode() + body


def requests(oss: OssProcess) -> dict[str, tuple[bytes, str]]:
    """Return valid requests by name. Each value has the raw bytes of a request, and the key of the
    object that the request changes."""
    upload_id = oss.begin("parts")
    part = oss.put_part("parts", upload_id, 1, NEW)
    done = (
        b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"
        + part.headers["etag"].encode()
        + b"</ETag></Part></CompleteMultipartUpload>"
    )
    fields, body = form("form", NEW)
    kind = f"Content-Type: {fields['Content-Type']}"
    append = oss.path("POST", "appended", append="", position=str(len(OLD)))
    second = oss.path("PUT", "parts", partNumber="2", uploadId=upload_id)
    complete = oss.path("POST", "parts", uploadId=upload_id)
    return {
        "put": (raw_request(oss, "PUT", oss.path("PUT", "put"), NEW), "put"),
        "form": (raw_request(oss, "POST", f"/{BUCKET}/", body, kind), "form"),
        "append": (raw_request(oss, "POST", append, NEW), "appended"),
        "part": (raw_request(oss, "PUT", second, NEW), "parts"),
        "multipart complete": (raw_request(oss, "POST", complete, done), "parts"),
    }


WAYS = ["put", "form", "append", "part", "multipart complete"]


def connected(oss: OssProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", oss.port), timeout=10)


def close(sock: socket.socket) -> None:
    sock.close()


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def half_closed(sock: socket.socket) -> None:
    """Close the sending side, and wait for an answer."""
    sock.shutdown(socket.SHUT_WR)
    with suppress(OSError):
        while sock.recv(65536):
            pass
    sock.close()


ENDS: dict[str, Callable[[socket.socket], None]] = {
    "closed": close,
    "reset": reset,
    "half closed": half_closed,
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("way", WAYS)
def test_a_request_that_ends_half_way_changes_nothing(
    oss: OssProcess, way: str, end: str, tries: Tries
) -> None:
    tries.name("client and OSS", f"{way}: {end} half-way")
    request, key = requests(oss)[way]
    for size in sorted(random.sample(range(1, len(request) - 1), 5)):
        sock = connected(oss)
        sock.sendall(request[:size])
        ENDS[end](sock)
        assert tries.ask(lambda: oss.get(key)) == OLD
        tries.note("old bytes")


@pytest.mark.parametrize("way", WAYS)
def test_a_request_drop_by_drop_holds_nobody_else(oss: OssProcess, way: str, tries: Tries) -> None:
    tries.name("client and OSS", f"{way}: drip")
    request, key = requests(oss)[way]
    with closing(connected(oss)) as sock:
        dripped = min(600, len(request) - 1)
        for start in range(0, dripped, 20):
            sock.sendall(request[start : min(start + 20, dripped)])
            assert tries.ask(lambda: oss.get(key)) == OLD
            tries.note("others answered")
        sock.sendall(request[dripped:])
        reply = http.client.HTTPResponse(sock)
        reply.begin()
        reply.read()
    assert reply.status in (200, 204)


BROKEN = {
    "Content-Length that is no number": ["Content-Length: ten"],
    "two Content-Lengths": ["Content-Length: 3", "Content-Length: 4"],
    "a length and chunks": ["Content-Length: 3", "Transfer-Encoding: chunked"],
    "a chunk of no size": ["Transfer-Encoding: chunked"],
    "100,000 bytes of headers": [f"X-Padding: {'x' * 100_000}"],
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_framing_is_refused(oss: OssProcess, name: str, tries: Tries) -> None:
    tries.name("client and OSS", name)
    lines = [f"PUT {oss.path('PUT', 'put')} HTTP/1.1", f"Host: 127.0.0.1:{oss.port}", *BROKEN[name]]

    def ask() -> int:
        with closing(connected(oss)) as sock:
            sock.sendall("\r\n".join([*lines, "", "zz\r\n"]).encode())
            reply = http.client.HTTPResponse(sock)
            reply.begin()
            return reply.status

    status = tries.ask(ask)
    tries.note(str(status))
    assert 400 <= status < 500
    assert oss.get("put") == OLD


# Answers that are lost


@pytest.mark.parametrize("way", WAYS)
def test_what_was_stored_while_its_answer_was_lost_is_stored_once(
    oss: OssProcess, way: str, tries: Tries
) -> None:
    """The answer is lost, so the client sends the request again, as SDKs do."""
    tries.name("client and OSS", f"{way}: the answer is lost, sent again")
    request, key = requests(oss)[way]
    stored = {"append": OLD + NEW, "part": OLD}.get(way, NEW)
    again = {
        "append": (409, "PositionNotEqualToLength"),
        "multipart complete": (404, "NoSuchUpload"),
    }
    sock = connected(oss)
    sock.sendall(request)
    wait_for(lambda: way == "part" or oss.get(key) == stored)
    reset(sock)

    def ask() -> Answer:
        with closing(connected(oss)) as sock:
            sock.sendall(request)
            reply = http.client.HTTPResponse(sock)
            reply.begin()
            return Answer(reply.status, {}, reply.read())

    answer = tries.ask(ask)
    tries.note(f"{answer.status} {answer.code}".strip())
    assert (answer.status, answer.code) == again.get(way, (204 if way == "form" else 200, ""))
    assert oss.get(key) == stored


# A full disk


def refused(tries: Tries, ask: Callable[[], Answer]) -> None:
    answer = tries.ask(ask)
    tries.note(f"{answer.status} {answer.code}")
    assert (answer.status, answer.code) == (500, "InternalError"), answer
    assert b"disk is full" in answer.body
    assert b"/" not in answer.body.partition(b"<Message>")[2].partition(b"</Message>")[0]


def writes(oss: OssProcess, data: bytes) -> dict[str, Callable[[], Answer]]:
    return {
        "put": lambda: oss.put("a", data),
        "form": lambda: oss.post_form("a", data),
        "append": lambda: oss.append("a", 0, data),
        "part": lambda: oss.in_parts("a", data),
    }


FULL = ["put", "form", "append", "part"]


@pytest.mark.parametrize("size", [2**20 + 1, 2**20 + 9000, 4 * 2**20])
@pytest.mark.parametrize("way", FULL)
def test_a_file_that_may_not_grow_is_refused_whole(
    tmp_path: Path, way: str, size: int, tries: Tries
) -> None:
    """A file may have at most 1 MiB (RLIMIT_FSIZE). With some sizes the last bytes are still in a
    buffer when the file reaches this limit."""
    tries.name("OSS and its disk", f"{way} of {size:,} bytes where a file may have 1 MiB")
    with oss_process(tmp_path / "oss", file_bytes=2**20) as oss:
        assert oss.put("a", OLD).status == 200
        if way == "append":
            oss.ask("DELETE", "a")
        refused(tries, writes(oss, os.urandom(size))[way])
        assert oss.get("a") == (None if way == "append" else OLD)
        assert litter(oss.folder) == set()
        assert writes(oss, NEW)[way]().status in (200, 204)
        assert oss.get("a") == NEW


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mount a tmpfs of `megabytes` MB. If the mount is not possible, for example without root,
    leave the case out."""
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if mount is None or umount is None or os.geteuid() != 0:
        left_out("a full disk", "to mount a tmpfs needs root")
    made = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={megabytes}m", "none", folder],
        check=False,
        capture_output=True,
    )
    if made.returncode:
        left_out("a full disk", "no tmpfs may be mounted here")
    try:
        yield folder
    finally:
        subprocess.run([umount, "-l", folder], check=True)


@pytest.mark.parametrize("way", FULL)
def test_a_full_disk_refuses_and_recovers(tmp_path: Path, way: str, tries: Tries) -> None:
    tries.name("OSS and its disk", f"{way} on a full disk (a tmpfs of 8 MB)")
    with small_disk(tmp_path, 8) as disk, oss_process(disk / "oss") as oss:
        assert oss.put("kept", OLD).status == 200
        size = 5 * 2**20
        assert oss.put("large", bytes(size)).status == 200
        for more in (0, 1, 5000):
            refused(tries, writes(oss, os.urandom(size + more))[way])
            assert litter(oss.folder) == set()
        assert oss.get("kept") == OLD
        assert oss.get("a") is None
        assert oss.ask("DELETE", "large").status == 204
        assert writes(oss, NEW)[way]().status in (200, 204)
        assert oss.get("a") == NEW


# A process that is killed


def numbered(number: int) -> bytes:
    return b"%08d" % number * 20_000


class Writer:
    """Writes one key again and again. The writes are numbered. `said` is the number of the last
    write for which OSS answered success."""

    def __init__(self, way: str, said: int) -> None:
        self.way, self.said = way, said
        self.went_on = threading.Event()

    def write(self, oss: OssProcess) -> None:
        """Write until the process has ended."""
        with suppress(OSError, http.client.HTTPException):
            while True:
                number = self.said + 1
                assert self.once(oss, number).status in (200, 204)
                self.said = number
                self.went_on.set()

    def once(self, oss: OssProcess, number: int) -> Answer:
        data = numbered(number)
        if self.way == "append":
            return oss.append(self.way, number * len(data), data)
        if self.way == "form":
            return oss.post_form(self.way, data)
        if self.way == "multipart":
            # Every part except the last has at least 100 KB.
            return oss.in_parts(self.way, data[:KB100], data[KB100:])
        return oss.put(self.way, data)

    def check(self, oss: OssProcess, tries: Tries) -> None:
        """Assert that the object contains the last acknowledged write, or the complete write after
        it. After appends, the object also contains all earlier writes."""
        held = tries.ask(lambda: oss.get(self.way)) or b""
        size = len(numbered(0))
        if self.way == "append":
            last = len(held) // size - 1
            assert held == b"".join(numbered(number) for number in range(last + 1))
        else:
            last = int(held[:8]) if held else -1
            assert held == (numbered(last) if held else b"")
        assert last in (self.said, self.said + 1)
        tries.note("old bytes" if last == self.said else "new bytes")
        self.said = last


@pytest.mark.parametrize("way", ["put", "form", "multipart", "append"])
def test_a_kill_in_mid_write_leaves_old_bytes_or_new(
    tmp_path: Path, way: str, tries: Tries
) -> None:
    tries.name("OSS and kill -9", f"in mid-{way}, then started again")
    folder, writer = tmp_path / "oss", Writer(way, -1)
    for _ in range(8):
        with oss_process(folder) as oss:
            if (folder / "index.sqlite3").exists() and writer.said >= 0:
                writer.check(oss, tries)
            assert litter(folder) == set()
            writer.went_on.clear()
            thread = threading.Thread(target=writer.write, args=(oss,))
            thread.start()
            writer.went_on.wait(10)
            time.sleep(random.uniform(0, 0.2))  # noqa: S311
            oss.process.send_signal(signal.SIGKILL)
            oss.process.wait()
            thread.join()
    with oss_process(folder) as oss:
        writer.check(oss, tries)
        assert litter(folder) == set()
