"""Makes certificates for the tests' own TLS servers."""

from __future__ import annotations

import datetime
import hashlib
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bench.stub_cloud import key_usage


def certificate(folder: Path, name: str, days: float = 1, issuer: Path | None = None) -> Path:
    """A PEM file with a certificate that expires in `days`, and its key. If `issuer` (the PEM file
    of another certificate) is None, the certificate is self-signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = issued_by = _name(name)
    signer = key
    if issuer is not None:
        pem = issuer.read_bytes()
        issued_by = x509.load_pem_x509_certificate(pem).subject
        loaded = serialization.load_pem_private_key(pem, None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        signer = loaded
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issued_by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        # From 3.13 on, Python requires this extension in the certificate of each issuer
        # (VERIFY_X509_STRICT).
        .add_extension(key_usage(issues=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .sign(signer, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def hashed_folder(folder: Path, *pems: Path) -> Path:
    """A folder in which OpenSSL finds certificates. A file's name is the hash of the subject."""
    folder.mkdir()
    for pem in pems:
        certificate = x509.load_pem_x509_certificate(pem.read_bytes())
        # The hash that `openssl x509 -subject_hash` prints. It is computed from the encoded subject
        # without its outer header. OpenSSL first changes the subject to lower case.
        digest = hashlib.sha1(certificate.subject.public_bytes()[2:]).digest()  # noqa: S324
        name = f"{int.from_bytes(digest[:4], 'little'):08x}.0"
        encoded = certificate.public_bytes(serialization.Encoding.PEM)
        (folder / name).write_bytes(encoded)
    return folder


def server_context(pem: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
