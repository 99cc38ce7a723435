"""Checks the files that s.domain.yaml needs for your own domain, before a deploy reads them.

The component fc3 creates the function and its trigger before it reads the certificate, and sets the
limit on instances last (seen in fc3 0.1.22). If a file is missing, the deploy stops halfway, and
leaves a function that anyone may call and that has no limit on instances.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from ops.doctor.files import opened
from ops.doctor.patient import Patient
from ops.report import Finding, failed, passed, skipped, warned

DEFAULTS = {"CERT_FILE": "./cert/fullchain.pem", "CERT_KEY_FILE": "./cert/key.pem"}
"""The files of the certificate and its key, with the same defaults as in s.domain.yaml."""
MAX_PEM_BYTES = 256 * 1024  # the limit for a file; certificate chains are much smaller
SOON = timedelta(days=14)
"""There is a warning if a certificate expires within this time, so that you can renew it."""

_CERT, _KEY = DEFAULTS
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"(\*\.)?({_LABEL}\.)+{_LABEL}")
_FETCHED = ("http://", "https://", "oss://")
"""The beginnings of addresses that the component fetches (seen in its source). Other values are
paths or PEM text."""
_CERTIFICATE_LINE, _KEY_LINE = b"-----BEGIN CERTIFICATE-----", b"PRIVATE KEY-----"
_LONGEST_SHOWN = 60
"""The longest path that is shown. A longer value may be the text of a key, given by mistake."""
_CONSEQUENCE = (
    "A deploy with s.domain.yaml would fail halfway, and leave a public function that has no limit "
    "on instances. "
    "To deploy with s.yaml alone, unset DOMAIN_NAME"
)


class _Wrong(Exception):
    """Raised for a bad file. The message says what is wrong, and does not quote the file."""


class _Pem(NamedTuple):
    data: bytes
    mode: int
    """The file's mode, or 0 if the value is PEM text and not a path."""


def own_domain(patient: Patient) -> Finding:
    """Whether the domain is valid, and has a certificate and a key that match."""
    domain = patient.variables.get("DOMAIN_NAME", "").lower()
    if not domain:
        unread = [name for name in ("CERT_NAME", *DEFAULTS) if name in patient.variables]
        if unread:
            return warned(f"{', '.join(unread)}: not used, because DOMAIN_NAME is not set")
        return passed("none: the platform's own domain is used, which is only for tests")
    if len(domain) > 253 or not _NAME.fullmatch(domain):
        return failed(
            "DOMAIN_NAME: must be a name like up.example.com, without scheme, port and path. If it "
            "has letters outside of ASCII, write its ASCII form (xn--…)"
        )
    values = {name: patient.variables.get(name) or DEFAULTS[name] for name in DEFAULTS}
    called = {
        name: f"{name} ({value})" if len(value) <= _LONGEST_SHOWN else name
        for name, value in values.items()
    }
    fetched = [name for name, value in values.items() if value.startswith(_FETCHED)]
    pems, faults = dict[str, _Pem](), list[str]()
    for name in DEFAULTS:
        if name not in fetched:
            try:
                pems[name] = _read(patient.folder, values[name])
            except _Wrong as fault:
                faults.append(f"{called[name]}: {fault}")
    if faults:
        return failed(f"{'; '.join(faults)}. {_CONSEQUENCE}")
    if fetched:
        return skipped(f"{domain}: not checked, because `s` downloads {' and '.join(fetched)}")
    return _judged(domain, called, pems)


def _judged(domain: str, called: dict[str, str], pems: dict[str, _Pem]) -> Finding:
    chain, public, faults = list[x509.Certificate](), b"", list[str]()
    try:
        chain = _certificates(pems[_CERT].data)
        faults += [f"{called[_CERT]} {fault}" for fault in _unfit(chain[0], domain)]
    except _Wrong as fault:
        faults.append(f"{called[_CERT]} {fault}")
    try:
        public = _public_half(pems[_KEY].data)
    except _Wrong as fault:
        faults.append(f"{called[_KEY]} {fault}")
    if chain and public and _public_key(chain[0]) != public:
        if public in map(_public_key, chain):
            faults.append(f"{called[_CERT]} must begin with the certificate of the key")
        else:
            faults.append(f"{called[_KEY]} is not the key of {called[_CERT]}")
    if faults:
        return failed(f"{domain}: {'; '.join(faults)}. {_CONSEQUENCE}")
    doubts = [*_doubts(chain, called[_CERT])]
    if _KEY_LINE in pems[_CERT].data:
        doubts.append(f"remove the private key from {called[_CERT]}, or a deploy will send it")
    if pems[_KEY].mode & (stat.S_IRGRP | stat.S_IROTH):
        doubts.append(f"others on this machine may read {called[_KEY]}: run `chmod 600` on it")
    if doubts:
        return warned(f"{domain}: {'; '.join(doubts)}")
    return passed(f"{domain}; its certificate expires on {_day(chain[0].not_valid_after_utc)}")


def _read(folder: Path, value: str) -> _Pem:
    """Read PEM text, or a file whose path is relative to the checkout, as the component does.
    Raises _Wrong."""
    if value.startswith("-"):
        return _Pem(value.encode(), 0)
    try:
        with opened(folder / value) as file:
            mode, data = os.fstat(file.fileno()).st_mode, file.read(MAX_PEM_BYTES + 1)
    except FileNotFoundError:
        raise _Wrong("does not exist") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise _Wrong(f"cannot be read ({why})") from None
    if len(data) > MAX_PEM_BYTES:
        raise _Wrong(f"has more than {MAX_PEM_BYTES // 1024} KB")
    return _Pem(data, stat.S_IMODE(mode))


def _certificates(data: bytes) -> list[x509.Certificate]:
    """Return one or more certificates. Raises _Wrong."""
    if _CERTIFICATE_LINE not in data:
        if _KEY_LINE in data:
            raise _Wrong("holds a private key and no certificate: are the two files swapped?")
        raise _Wrong("holds no certificate in PEM (-----BEGIN CERTIFICATE-----)")
    try:
        found = x509.load_pem_x509_certificates(data)
        # The library parses the issuer and the subject only when they are read. Reading them here
        # finds their faults at once.
        found[0].issuer.public_bytes()
        found[0].subject.public_bytes()
    except (ValueError, x509.InvalidVersion):
        raise _Wrong("holds a certificate that cannot be read") from None
    return found


def _public_half(data: bytes) -> bytes:
    """Return the public half of the private key. Raises _Wrong."""
    if _KEY_LINE not in data:
        if _CERTIFICATE_LINE in data:
            raise _Wrong("holds a certificate and no private key: are the two files swapped?")
        raise _Wrong("holds no private key in PEM (-----BEGIN PRIVATE KEY-----)")
    try:
        return _der(load_pem_private_key(data, None).public_key())
    except TypeError:
        raise _Wrong("is encrypted: remove its password with `openssl pkey`") from None
    except (ValueError, UnsupportedAlgorithm):
        raise _Wrong("holds a private key that cannot be read") from None


def _public_key(certificate: x509.Certificate) -> bytes:
    try:
        return _der(certificate.public_key())
    except (ValueError, UnsupportedAlgorithm):
        return b""


def _der(public: PublicKeyTypes) -> bytes:
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _unfit(certificate: x509.Certificate, domain: str) -> Iterator[str]:
    now = datetime.now(timezone.utc)
    if now > certificate.not_valid_after_utc:
        yield f"expired on {_day(certificate.not_valid_after_utc)}"
    if now < certificate.not_valid_before_utc:
        yield f"is valid only from {_day(certificate.not_valid_before_utc)} on"
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = [name.lower() for name in found.value.get_values_for_type(x509.DNSName)]
    except (
        x509.ExtensionNotFound,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
        ValueError,
    ):
        names = []
    # A * stands for exactly one label.
    if domain not in names and f"*.{domain.partition('.')[2]}" not in names:
        others = f", but {', '.join(names[:3])}" if names else ""
        yield f"does not name {domain}{others}"


def _doubts(chain: list[x509.Certificate], called: str) -> Iterator[str]:
    end = chain[0].not_valid_after_utc
    if end - datetime.now(timezone.utc) < SOON:
        yield f"{called} expires on {_day(end)}"
    if len(chain) == 1 and chain[0].issuer != chain[0].subject:
        yield f"{called} lacks the issuer's certificate, which Android needs: use fullchain.pem"


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d")
