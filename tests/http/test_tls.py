"""Trusted certificates are looked up only when they are needed. Servers are verified as strictly as
Python does by default."""

from __future__ import annotations

import ssl
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from certificates import certificate, hashed_folder, server_context
from scripted_sts import ScriptedSts, scripted_sts, success
from token_service.http.connection import ConnectionFault, Exchange, KeptConnection
from token_service.http.tls import Tls
from token_service.settings.values import Endpoint

UNTRUSTED = ssl.SSLCertVerificationError()


class Trust:
    """Sets the certificates that the process trusts: a folder of hashed names, and a bundle."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self._monkeypatch = monkeypatch
        self._tmp = folder
        self.other = certificate(folder, "another ca")

    def folder(self, *pems: Path) -> None:
        self._monkeypatch.setenv("SSL_CERT_DIR", str(hashed_folder(self._tmp / "certs", *pems)))

    def bundle(self, *pems: Path) -> None:
        path = self._tmp / "bundle.pem"
        path.write_bytes(b"".join(pem.read_bytes() for pem in pems))
        self._monkeypatch.setenv("SSL_CERT_FILE", str(path))

    def place(self, way: str, *pems: Path) -> None:
        """Put these certificates into the trusted folder or the trusted bundle, as `way` says. Put
        an unrelated certificate into both places."""
        by_folder = way == "folder"
        self.folder(*(pems if by_folder else ()), self.other)
        self.bundle(*(() if by_folder else pems), self.other)


@pytest.fixture
def trust(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Trust:
    return Trust(monkeypatch, tmp_path)


@pytest.fixture(params=["folder", "bundle"])
def way(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def serve(pem: Path) -> AbstractContextManager[ScriptedSts]:
    return scripted_sts(success(), tls=server_context(pem))


def ask(kept: KeptConnection) -> bytes:
    deadline = time.monotonic() + 3
    return kept.request(lambda: Exchange("POST", "/", b"a=1", {}, deadline)).body


def test_a_certificate_is_looked_up_without_reading_the_bundle(
    trust: Trust, tmp_path: Path
) -> None:
    ca = certificate(tmp_path, "ca")
    trust.folder(ca)
    trust.bundle(trust.other)
    tls = Tls()
    assert tls.context.cert_store_stats()["x509"] == 0
    with serve(certificate(tmp_path, "localhost", issuer=ca)) as server:
        kept = KeptConnection(Endpoint("https", "localhost", server.port))
        assert b"Credentials" in ask(kept)
        kept.close()
    assert server.connections == 1


def test_an_issuer_that_only_the_bundle_has_is_found_once_for_all(
    trust: Trust, tmp_path: Path, mocker: MockerFixture
) -> None:
    ca = certificate(tmp_path, "ca")
    trust.place("bundle", ca)
    widened = mocker.spy(Tls, "widened")
    with serve(certificate(tmp_path, "localhost", issuer=ca)) as server:
        kept = KeptConnection(Endpoint("https", "localhost", server.port))
        for _ in range(2):
            assert b"Credentials" in ask(kept)
            kept.close()
    assert widened.spy_return_list == [True]


@pytest.mark.parametrize("folder", ["not there", "no hashed names", "not set"])
def test_without_hashed_names_the_bundle_is_read_at_once(
    trust: Trust, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    trust.bundle(certificate(tmp_path, "ca"), trust.other)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    if folder == "no hashed names":
        trust.folder()
        (tmp_path / "certs" / "ca.pem").touch()
    elif folder == "not there":
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "nowhere"))
    else:
        paths = ssl.get_default_verify_paths()._replace(capath=None)  # type: ignore[arg-type]
        monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    tls = Tls()
    assert tls.context.cert_store_stats()["x509"] == 2
    assert not tls.widened(tls.context, UNTRUSTED)


def test_what_is_verified_is_what_the_default_verifies(trust: Trust, way: str) -> None:
    trust.place(way)
    tls = Tls()
    if way == "bundle":
        assert tls.widened(tls.context, UNTRUSTED)
    default = ssl.create_default_context()
    for name in (
        "check_hostname",
        "verify_mode",
        "verify_flags",
        "minimum_version",
        "maximum_version",
        "options",
        "hostname_checks_common_name",
    ):
        assert getattr(tls.context, name) == getattr(default, name), name
    assert tls.context.get_ciphers() == default.get_ciphers()


def refused(pem: Path) -> str:
    """Return the error for a server with this certificate, and assert that it receives no
    request."""
    with serve(pem) as server, pytest.raises(ConnectionFault) as caught:
        ask(KeptConnection(Endpoint("https", "localhost", server.port)))
    assert server.requests == []
    return str(caught.value)


def test_a_certificate_for_another_name_is_refused(trust: Trust, way: str, tmp_path: Path) -> None:
    ca = certificate(tmp_path, "ca")
    trust.place(way, ca)
    assert "Hostname mismatch" in refused(certificate(tmp_path, "evil.example", issuer=ca))


def test_a_certificate_that_signs_itself_is_refused(trust: Trust, way: str, tmp_path: Path) -> None:
    trust.place(way, certificate(tmp_path, "ca"))
    assert "self" in refused(certificate(tmp_path, "localhost"))


def test_a_certificate_that_has_ended_is_refused(trust: Trust, way: str, tmp_path: Path) -> None:
    ca = certificate(tmp_path, "ca")
    trust.place(way, ca)
    assert "expired" in refused(certificate(tmp_path, "localhost", days=-0.5, issuer=ca))


def test_a_certificate_of_an_unknown_issuer_is_refused(
    trust: Trust, way: str, tmp_path: Path
) -> None:
    trust.place(way, certificate(tmp_path, "ca"))
    unknown = certificate(tmp_path, "unknown ca")
    assert "issuer" in refused(certificate(tmp_path, "localhost", issuer=unknown))


def test_a_namesake_of_an_issuer_is_refused(trust: Trust, way: str, tmp_path: Path) -> None:
    """In the folder, an issuer's certificate is found by its name only. So the signature of the
    server's certificate must be checked with this issuer's key, too."""
    trust.place(way, certificate(tmp_path, "ca"))
    (tmp_path / "evil").mkdir()
    namesake = certificate(tmp_path / "evil", "ca")
    assert "cannot be trusted" in refused(certificate(tmp_path, "localhost", issuer=namesake))
