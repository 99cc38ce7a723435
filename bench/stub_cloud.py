"""A stand-in of the cloud for a deployed function, over TLS and with the host names of the cloud.
It simulates STS, OSS, the host of OSS's public keys, and the host of an identity provider's JWKS.
The stand-in answers at once and checks nothing.

If a client asks for credentials for 900 s, it gets credentials that expire in 300 s. The function
does not cache credentials for such a short time, so each token needs a call to this STS. If a
client asks for more than 900 s, it gets credentials that expire in a day.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import socketserver
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from email.utils import format_datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, quote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bench.calls import BUCKET, REGION
from sandbox.oss.callback_signer import CallbackSigner, make_private_key

AUTHORITY = "stub authority"
ETAG = "5D41402ABC4B2A76B9719D911017C592"
KEYS_HOST = "gosspublic.alicdn.com"
LOGIN_HOST = "login.example.com"
NAMES = (
    f"sts.{REGION}.aliyuncs.com",
    f"{BUCKET}.oss-{REGION}.aliyuncs.com",
    KEYS_HOST,
    LOGIN_HOST,
)


class StubCloud(NamedTuple):
    """The stand-in's port on 127.0.0.1, its CA (a PEM file), and the signer of callbacks."""

    port: int
    certificate: Path
    signer: CallbackSigner


@contextmanager
def running(folder: Path, jwks: bytes = b"") -> Iterator[StubCloud]:
    """Serve while the block runs. Certificates and keys are written to the folder."""
    authority, certificate = _certificates(folder)
    signer = CallbackSigner(make_private_key(), f"http://{KEYS_HOST}/callback_pub_key_v1.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with _Server(context, {KEYS_HOST: signer.public_key, LOGIN_HOST: jwks}) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield StubCloud(server.server_address[1], authority, signer)
        finally:
            server.shutdown()
            thread.join()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, context: ssl.SSLContext, files: Mapping[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.context = context
        self.files = files


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
                # Parameters of a call: the SDKs put them in the URL, our function in the body.
                asked = (
                    request_line + self.rfile.read(int(headers.get("content-length", 0))).decode()
                )
                self.wfile.write(self._answer(asked, headers["host"]))

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()
        self.request.close()

    def _answer(self, asked: str, host: str) -> bytes:
        assert isinstance(self.server, _Server)
        if host in self.server.files:
            return _reply(self.server.files[host])
        if host.startswith("sts."):
            return _reply(_credentials(300 if "DurationSeconds=900" in asked else 24 * 3600))
        return _object() if asked.startswith("HEAD") else _reply(_listing(asked))


def _reply(body: bytes) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _object() -> bytes:
    now = format_datetime(datetime.datetime.now(datetime.timezone.utc), usegmt=True)
    lines = ("HTTP/1.1 200 OK", "Content-Length: 5", f'ETag: "{ETAG}"', f"Last-Modified: {now}")
    return "\r\n".join([*lines, "Content-Type: image/jpeg", "", ""]).encode()


def _listing(asked: str) -> bytes:
    """One object under the requested prefix."""
    query = urlsplit(asked.split(" ")[1]).query
    key = quote(parse_qs(query)["prefix"][0]) + "a.jpg"
    return (
        "<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>"
        f"<Contents><Key>{key}</Key><Size>5</Size><ETag>5D41</ETag>"
        "<LastModified>2026-11-24T10:00:00.000Z</LastModified></Contents></ListBucketResult>"
    ).encode()


def _credentials(seconds_left: int) -> bytes:
    end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds_left)
    credentials = {
        "AccessKeyId": "STS.NUgYrLnoC37mZZCNnAbezABCD",
        "AccessKeySecret": "CVwjCkNzTMupZ8NbTCxCBRq3K16jtcWFTJAyBEv2abcd",
        "SecurityToken": "CAIS" + "A" * 900,
        "Expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return json.dumps({"RequestId": "6894B13B", "Credentials": credentials}).encode()


def _certificates(folder: Path) -> tuple[Path, Path]:
    """Two PEM files: the certificate of a CA, and a certificate for NAMES with its key. The CA
    signed the certificate for NAMES."""
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    names = x509.SubjectAlternativeName([x509.DNSName(name) for name in NAMES])
    authority = _certificate(AUTHORITY, ca_key, x509.BasicConstraints(True, None), ca_key)
    ours = _certificate("stub cloud", key, names, ca_key)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    paths = folder / "stub_ca.pem", folder / "stub_cloud.pem"
    paths[0].write_bytes(authority)
    paths[1].write_bytes(private + ours)
    return paths


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
    ca_key: ec.EllipticCurvePrivateKey,
) -> bytes:
    now = datetime.datetime.now(datetime.timezone.utc)
    public, ca_public = key.public_key(), ca_key.public_key()
    made = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(AUTHORITY))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(extension, critical=key is ca_key)
        # Since 3.13, Python requires a key usage in the certificate of a CA (VERIFY_X509_STRICT).
        .add_extension(key_usage(issues=key is ca_key), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_public), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def key_usage(*, issues: bool) -> x509.KeyUsage:
    """Return the key usage of a CA's certificate if `issues` is true, and of a server's certificate
    otherwise."""
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=issues,
        crl_sign=issues,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def hashed_name() -> str:
    """The file name under which OpenSSL looks for the CA's certificate in a folder (`openssl
    rehash`, X509_NAME_hash).

    OpenSSL reads the first 4 bytes of the SHA-1 of the canonical name as a little-endian number.
    The canonical name is the DER of the subject in lower case, without the tag and the length at
    its beginning.
    """
    digest = hashlib.sha1(_named(AUTHORITY).public_bytes()[2:], usedforsecurity=False).digest()
    return f"{int.from_bytes(digest[:4], 'little'):08x}.0"
