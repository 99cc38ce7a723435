"""What a deployed function meets, over TLS and under the cloud's own names: STS, OSS, and the host
of OSS's public keys. It answers at once and checks nothing.
"""

from __future__ import annotations

import datetime
import json
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.utils import format_datetime
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bench.client import BUCKET, REGION
from sandbox.oss.callback_signer import CallbackSigner, make_private_key

ETAG = "5D41402ABC4B2A76B9719D911017C592"
KEYS_HOST = "gosspublic.alicdn.com"
NAMES = (
    f"sts.{REGION}.aliyuncs.com",
    f"{BUCKET}.oss-{REGION}.aliyuncs.com",
    KEYS_HOST,
)


class StubCloud(NamedTuple):
    """Where it listens on 127.0.0.1, the certificate to trust, and what signs callbacks."""

    port: int
    certificate: Path
    signer: CallbackSigner


@contextmanager
def running(folder: Path) -> Iterator[StubCloud]:
    """Serve while the block runs; certificate and key go into the folder."""
    certificate = _certificate(folder)
    signer = CallbackSigner(make_private_key(), f"http://{KEYS_HOST}/callback_pub_key_v1.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with _Server(context, signer.public_key) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield StubCloud(server.server_address[1], certificate, signer)
        finally:
            server.shutdown()
            thread.join()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, context: ssl.SSLContext, public_key: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.context = context
        self.public_key = public_key


class _Handler(socketserver.StreamRequestHandler):
    def setup(self) -> None:
        assert isinstance(self.server, _Server)
        self.request = self.server.context.wrap_socket(
            self.request, server_side=True, do_handshake_on_connect=False
        )
        super().setup()

    def handle(self) -> None:
        with suppress(OSError):
            while request_line := self.rfile.readline().decode():
                headers = {}
                while (line := self.rfile.readline()) not in (b"\r\n", b""):
                    name, _, value = line.decode().partition(":")
                    headers[name.lower()] = value.strip()
                self.rfile.read(int(headers.get("content-length", 0)))
                self.wfile.write(self._answer(request_line.split(" ")[0], headers["host"]))

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()
        self.request.close()

    def _answer(self, method: str, host: str) -> bytes:
        if host == KEYS_HOST:
            assert isinstance(self.server, _Server)
            return _reply(self.server.public_key)
        if host.startswith("sts."):
            return _reply(_credentials())
        return _object() if method == "HEAD" else _reply(_listing())


def _reply(body: bytes) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _object() -> bytes:
    now = format_datetime(datetime.datetime.now(datetime.timezone.utc), usegmt=True)
    lines = ("HTTP/1.1 200 OK", "Content-Length: 5", f'ETag: "{ETAG}"', f"Last-Modified: {now}")
    return "\r\n".join([*lines, "Content-Type: image/jpeg", "", ""]).encode()


def _listing() -> bytes:
    return (
        b"<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>"
        b"<Contents><Key>uploads/alice/a.jpg</Key><Size>5</Size><ETag>5D41</ETag>"
        b"<LastModified>2026-11-24T10:00:00.000Z</LastModified></Contents></ListBucketResult>"
    )


def _credentials() -> bytes:
    hour = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    credentials = {
        "AccessKeyId": "STS.NUgYrLnoC37mZZCNnAbezABCD",
        "AccessKeySecret": "CVwjCkNzTMupZ8NbTCxCBRq3K16jtcWFTJAyBEv2abcd",
        "SecurityToken": "CAIS" + "A" * 900,
        "Expiration": hour.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return json.dumps({"RequestId": "6894B13B", "Credentials": credentials}).encode()


def _certificate(folder: Path) -> Path:
    """A certificate of NAMES that signs itself, and its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "stub cloud")])
    now = datetime.datetime.now(datetime.timezone.utc)
    names = x509.SubjectAlternativeName([x509.DNSName(name) for name in NAMES])
    public = key.public_key()
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "stub_cloud.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path
