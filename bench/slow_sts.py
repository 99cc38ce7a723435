"""A slow STS over TLS in its own process, for burst.py. It checks nothing.

Its credentials expire in 300 s. The function does not cache credentials for such a short time, so
each token needs a call.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socketserver
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.copies import CompareError

_BUNDLE = Path(ssl.get_default_verify_paths().openssl_cafile)


class _Handler(socketserver.StreamRequestHandler):
    def setup(self) -> None:
        self.request = _CONTEXT.wrap_socket(self.request, server_side=True)
        super().setup()

    def handle(self) -> None:
        with suppress(OSError):
            while self.rfile.readline():
                length = 0
                while (line := self.rfile.readline()) not in (b"\r\n", b""):
                    name, _, value = line.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                self.rfile.read(length)
                time.sleep(float(sys.argv[1]))
                body = _answer()
                self.wfile.write(
                    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
                )


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a handshake that the client cancelled."""


def _answer() -> bytes:
    expiration = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 300))
    credentials = {
        "AccessKeyId": "STS.NUgYrLnoC37mZZCNnAbezABCD",
        "AccessKeySecret": "CVwjCkNzTMupZ8NbTCxCBRq3K16jtcWFTJAyBEv2abcd",
        "SecurityToken": "CAIS" + "A" * 900,
        "Expiration": expiration,
    }
    return json.dumps({"RequestId": "6894B13B", "Credentials": credentials}).encode()


@contextmanager
def running(seconds: float, folder: Path) -> Iterator[dict[str, str]]:
    """While the block runs, run an STS that answers after some seconds. Yield variables that let a
    function reach and trust this STS. Write certificates to the folder. Raises CompareError."""
    pem, trusted = _certificates(folder)
    command = [sys.executable, "-m", __name__, str(seconds), str(pem)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        yield {"STS_ENDPOINT": f"https://localhost:{port}", **trusted}


def _certificates(folder: Path) -> tuple[Path, dict[str, str]]:
    """A certificate for localhost with its key, and the variables that tell OpenSSL where it is.
    The certificate is in two places: in a file, together with all certificates that this machine
    trusts, and in a folder. In the folder, OpenSSL finds it by a link whose name is made from
    a hash."""
    openssl = shutil.which("openssl")
    if openssl is None:
        raise CompareError("openssl is missing: the simulated STS needs it for a certificate")
    pem, every, hashed = folder / "sts.pem", folder / "every.pem", folder / "hashed"
    hashed.mkdir()
    made = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]
    own = hashed / "sts.crt"
    key = folder / "key.pem"
    _run([openssl, *made, *named, "-keyout", str(key), "-out", str(own)])
    pem.write_bytes(key.read_bytes() + own.read_bytes())
    bundle = _BUNDLE.read_bytes() if _BUNDLE.is_file() else b""
    every.write_bytes(bundle + own.read_bytes())
    _run([openssl, "rehash", str(hashed)])
    return pem, {"SSL_CERT_FILE": str(every), "SSL_CERT_DIR": str(hashed)}


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CompareError(f"openssl cannot make the certificate: {done.stderr.strip()[-200:]}")


if __name__ == "__main__":
    _CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _CONTEXT.load_cert_chain(sys.argv[2])
    server = _Server(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    # burst.py handles Ctrl-C, and then ends this process by closing its input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdin.read()
    os._exit(0)
