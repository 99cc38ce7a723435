"""An STS that answers at once and checks nothing, so that only the client is measured.

If a client asks for credentials for 900 s, it gets credentials that expire in 300 s. This is too
short for a cache, so each token needs a call. If a client asks for more than 900 s, it gets
credentials that expire in a day.

running() starts this script as a process. The script prints its port, and serves until its standard
input ends.
"""

from __future__ import annotations

import json
import os
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


def _answer(seconds_left: int) -> bytes:
    expiration = time.gmtime(time.time() + seconds_left)
    answer = {
        "RequestId": "6894B13B-6D71-4EF5-88FA-F32781734A7F",
        "AssumedRoleUser": {
            "Arn": "acs:ram::1234567890123456:role/upload/anonymous",
            "AssumedRoleId": "344584339364951186:anonymous",
        },
        "Credentials": {
            "AccessKeyId": "STS.NUgYrLnoC37mZZCNnAbezABCD",
            "AccessKeySecret": "CVwjCkNzTMupZ8NbTCxCBRq3K16jtcWFTJAyBEv2abcd",
            "SecurityToken": "CAIS" + "A" * 900,
            "Expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ", expiration),
        },
    }
    body = json.dumps(answer)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n{body}".encode()


_SHORT, _LONG = _answer(300), _answer(24 * 3600)


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while True:
            length = 0
            request_line = self.rfile.readline()
            if not request_line:
                return
            while (line := self.rfile.readline()) not in (b"\r\n", b""):
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            # Parameters of a call: the SDKs put them in the URL, our function in the body.
            parameters = request_line + self.rfile.read(length)
            self.wfile.write(_SHORT if b"DurationSeconds=900" in parameters else _LONG)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64


@contextmanager
def running() -> Iterator[str]:
    """Run a stub in its own process, while the block runs. Yield its port on 127.0.0.1."""
    command = [sys.executable, "-I", __file__]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as stub:
        assert stub.stdout is not None
        yield stub.stdout.readline().strip()


if __name__ == "__main__":
    server = _Server(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()
    os._exit(0)
