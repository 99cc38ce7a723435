"""An STS that answers at once and checks nothing: what is left to measure is the client.

Run as a process of its own: prints its port, serves until its standard input ends.
"""

from __future__ import annotations

import json
import os
import socketserver
import sys
import threading

_BODY = json.dumps(
    {
        "RequestId": "6894B13B-6D71-4EF5-88FA-F32781734A7F",
        "AssumedRoleUser": {
            "Arn": "acs:ram::1234567890123456:role/upload/anonymous",
            "AssumedRoleId": "344584339364951186:anonymous",
        },
        "Credentials": {
            "AccessKeyId": "STS.NUgYrLnoC37mZZCNnAbezABCD",
            "AccessKeySecret": "CVwjCkNzTMupZ8NbTCxCBRq3K16jtcWFTJAyBEv2abcd",
            "SecurityToken": "CAIS" + "A" * 900,
            "Expiration": "2036-01-01T00:00:00Z",
        },
    }
).encode()
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
    + str(len(_BODY)).encode()
    + b"\r\n\r\n"
    + _BODY
)


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while True:
            length = 0
            if not self.rfile.readline():
                return
            while (line := self.rfile.readline()) not in (b"\r\n", b""):
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            self.rfile.read(length)
            self.wfile.write(_ANSWER)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64


if __name__ == "__main__":
    server = _Server(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()
    os._exit(0)
