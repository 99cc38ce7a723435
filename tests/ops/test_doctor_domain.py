"""`make doctor` before a deploy with s.domain.yaml: domain, certificate and key (finding B9)."""

from __future__ import annotations

import base64
import os
import shutil
import time
from datetime import datetime, tzinfo
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509 import load_pem_x509_certificate

from certificates import certificate
from doctored import Env, examined
from ops.doctor import domain
from ops.report import MAX_DETAIL

DOMAIN = "up.example.com"
END = "-----END PRIVATE KEY-----\n"


@pytest.fixture
def own(shell: Env, tmp_path: Path) -> Env:
    """The variables of a shell with a valid domain. The certificate and the key are at the paths
    that s.domain.yaml names."""
    put(tmp_path, *made(tmp_path, DOMAIN))
    return {**shell, "DOMAIN_NAME": DOMAIN}


def made(folder: Path, name: str, days: float = 60, issuer: Path | None = None) -> tuple[str, str]:
    """Make a certificate and its key, in PEM."""
    key, _, rest = certificate(folder, name, days, issuer).read_text().partition(END)
    return rest, key + END


def put(folder: Path, pem: str, key: str) -> None:
    cert = folder / "cert"
    cert.mkdir(exist_ok=True)
    (cert / "fullchain.pem").write_text(pem)
    (cert / "key.pem").write_text(key)
    (cert / "key.pem").chmod(0o600)


def line(shell: Env, folder: Path) -> tuple[str, str]:
    """Return doctor's line about the domain. Assert that this line fits a terminal."""
    found = examined(shell, folder)["own domain"]
    assert len(found[1]) <= MAX_DETAIL
    return found


def test_without_a_domain_nothing_is_looked_for(shell: Env, tmp_path: Path) -> None:
    assert line(shell, tmp_path) == (
        "PASS",
        "none: the platform's own domain is used, which is only for tests",
    )


def test_a_sound_domain_passes_and_its_certificate_has_an_end(own: Env, tmp_path: Path) -> None:
    outcome, detail = line(own, tmp_path)
    assert outcome == "PASS"
    assert detail.startswith(f"{DOMAIN}; its certificate expires on 20")


def test_a_certificate_without_a_domain_is_noticed(shell: Env, tmp_path: Path) -> None:
    outcome, detail = line({**shell, "CERT_FILE": "x.pem", "CERT_NAME": "mine"}, tmp_path)
    assert outcome == "WARN"
    assert detail == "CERT_NAME, CERT_FILE: not used, because DOMAIN_NAME is not set"


@pytest.mark.parametrize(
    "domain",
    ["https://up.example.com", "up.example.com/", "up.example.com:443", "up", "-a.b", "ü.de"],
)
def test_what_is_no_bare_name_is_a_fault(own: Env, tmp_path: Path, domain: str) -> None:
    outcome, detail = line({**own, "DOMAIN_NAME": domain}, tmp_path)
    assert outcome == "FAIL"
    assert "DOMAIN_NAME: must be a name like" in detail


@pytest.mark.parametrize("missing", ["fullchain.pem", "key.pem"])
def test_a_missing_file_is_a_fault_that_says_what_would_follow(
    own: Env, tmp_path: Path, missing: str
) -> None:
    """Without this file, a deploy created the function and the trigger, but not the limit on
    instances (finding B9)."""
    (tmp_path / "cert" / missing).unlink()
    outcome, detail = line(own, tmp_path)
    assert outcome == "FAIL"
    assert f"(./cert/{missing}): does not exist" in detail
    assert "that has no limit on instances" in detail


def test_both_files_are_named_at_once_by_their_variables(own: Env, tmp_path: Path) -> None:
    paths = {"CERT_FILE": "a.pem", "CERT_KEY_FILE": str(tmp_path / "b.pem")}
    detail = line({**own, **paths}, tmp_path)[1]
    assert "CERT_FILE (a.pem): does not exist; CERT_KEY_FILE" in detail


def test_paths_are_relative_to_where_s_runs(own: Env, tmp_path: Path) -> None:
    (tmp_path / "cert").rename(tmp_path / "other")
    paths = {"CERT_FILE": "other/fullchain.pem", "CERT_KEY_FILE": "./other/key.pem"}
    assert line({**own, **paths}, tmp_path)[0] == "PASS"


def test_what_is_no_file_is_not_waited_for(own: Env, tmp_path: Path) -> None:
    """Reading a pipe that nobody writes to would stop `s deploy` for ever."""
    key = tmp_path / "cert" / "key.pem"
    key.unlink()
    os.mkfifo(key)
    outcome, detail = line(own, tmp_path)
    assert (outcome, "cannot be read (it is not a file)" in detail) == ("FAIL", True)
    key.unlink()
    key.mkdir()
    assert line(own, tmp_path)[0] == "FAIL"


def test_a_file_without_an_end_is_not_read(own: Env, tmp_path: Path) -> None:
    with (tmp_path / "cert" / "fullchain.pem").open("wb") as file:
        file.truncate(10**9)
    assert "has more than 256 KB" in line(own, tmp_path)[1]


def test_a_key_in_the_place_of_the_certificate_is_a_fault(own: Env, tmp_path: Path) -> None:
    """Everybody may read a certificate. With swapped paths, the private key would be sent in place
    of the certificate."""
    swapped = {"CERT_FILE": "cert/key.pem", "CERT_KEY_FILE": "cert/fullchain.pem"}
    outcome, detail = line({**own, **swapped}, tmp_path)
    assert outcome == "FAIL"
    assert "CERT_FILE (cert/key.pem) holds a private key and no certificate" in detail
    assert "CERT_KEY_FILE (cert/fullchain.pem) holds a certificate and no private key" in detail


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("fullchain.pem", "", "no certificate in PEM"),
        ("fullchain.pem", "0\x82\x03", "no certificate in PEM"),
        (
            "fullchain.pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "cannot be",
        ),
        ("key.pem", "nonsense", "no private key in PEM"),
        ("key.pem", f"-----BEGIN PRIVATE KEY-----\nAAAA\n{END}", "cannot be read"),
    ],
)
def test_what_is_not_pem_is_a_fault(
    own: Env, tmp_path: Path, name: str, text: str, says: str
) -> None:
    (tmp_path / "cert" / name).write_text(text)
    outcome, detail = line(own, tmp_path)
    assert outcome == "FAIL"
    assert says in detail
    assert "AAAA" not in detail


@pytest.mark.parametrize(
    ("sound", "damaged", "says"),
    [
        # Each row damages another part of the certificate: the version becomes 4, which is unknown,
        # the issuer is no longer text, or the name is of an unknown kind.
        (b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x03", "cannot be read"),
        (b"\x06\x03\x55\x04\x03\x0c", b"\x06\x03\x55\x04\x03\x0d", "cannot be read"),
        (b"\x82\x0eup.example.com", b"\xa3\x0e\x30\x0c" + b"\x0c\x0a0123456789", "does not name"),
    ],
)
def test_a_damaged_certificate_ends_no_examination(
    own: Env, tmp_path: Path, sound: bytes, damaged: bytes, says: str
) -> None:
    pem = tmp_path / "cert" / "fullchain.pem"
    der = load_pem_x509_certificate(pem.read_bytes()).public_bytes(Encoding.DER)
    assert sound in der
    text = base64.encodebytes(der.replace(sound, damaged)).decode()
    pem.write_text(f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n")
    outcome, detail = line(own, tmp_path)
    assert (outcome, says in detail) == ("FAIL", True), detail


def test_an_encrypted_key_is_a_fault(own: Env, tmp_path: Path) -> None:
    path = tmp_path / "cert" / "key.pem"
    key = load_pem_private_key(path.read_bytes(), None)
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password"))
    )
    outcome, detail = line(own, tmp_path)
    assert (outcome, "is encrypted" in detail) == ("FAIL", True)


def test_a_key_of_another_certificate_is_a_fault(own: Env, tmp_path: Path) -> None:
    (tmp_path / "cert" / "key.pem").write_text(made(tmp_path, "other.example.com")[1])
    outcome, detail = line(own, tmp_path)
    assert outcome == "FAIL"
    assert "is not the key of CERT_FILE" in detail


def test_a_chain_in_the_wrong_order_is_a_fault(own: Env, tmp_path: Path) -> None:
    issuer, _ = made(tmp_path, "issuer.example.com")
    chain = tmp_path / "cert" / "fullchain.pem"
    chain.write_text(issuer + chain.read_text())
    assert "must begin with the certificate of the key" in line(own, tmp_path)[1]


@pytest.mark.parametrize(
    ("names", "domain", "fits"),
    [
        ("*.example.com", "up.example.com", True),
        ("*.example.com", "UP.Example.COM", True),
        ("*.example.com", "*.example.com", True),
        ("*.example.com", "a.up.example.com", False),
        ("*.example.com", "example.com", False),
        ("up.example.com", "*.example.com", False),
        ("up.example.com", "upxexample.com", False),
    ],
)
def test_a_certificate_must_name_the_domain(
    own: Env, tmp_path: Path, names: str, domain: str, fits: bool
) -> None:
    put(tmp_path, *made(tmp_path, names))
    outcome, detail = line({**own, "DOMAIN_NAME": domain}, tmp_path)
    assert outcome == ("PASS" if fits else "FAIL")
    assert fits or f"does not name {domain}, but {names}" in detail


@pytest.mark.parametrize(
    ("days", "outcome", "says"),
    [(-0.5, "FAIL", "expired on 20"), (3, "WARN", "expires on 20"), (30, "PASS", "expires on 20")],
)
def test_an_end_that_is_past_is_a_fault_and_a_near_one_a_warning(
    own: Env, tmp_path: Path, days: float, outcome: str, says: str
) -> None:
    put(tmp_path, *made(tmp_path, DOMAIN, days))
    found = line(own, tmp_path)
    assert (found[0], says in found[1]) == (outcome, True)


def test_a_certificate_that_has_not_begun_is_a_fault(
    own: Env, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Earlier(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Earlier:
            return cls.fromtimestamp(time.time() - 2 * 86400, tz)

    monkeypatch.setattr(domain, "datetime", Earlier)
    outcome, detail = line(own, tmp_path)
    assert (outcome, "is valid only from 20" in detail) == ("FAIL", True)


def test_a_certificate_alone_is_doubted_where_another_one_issued_it(
    own: Env, tmp_path: Path
) -> None:
    """The file cert.pem lacks the issuer's certificate, which fullchain.pem has. Browsers fetch the
    missing certificate, but Android does not."""
    issuer = certificate(tmp_path, "issuer.example.com", 60)
    pem, key = made(tmp_path, DOMAIN, 60, issuer)
    put(tmp_path, pem, key)
    assert line(own, tmp_path)[0] == "WARN"
    put(tmp_path, pem + issuer.read_text().partition(END)[2], key)
    assert line(own, tmp_path)[0] == "PASS"


@pytest.mark.parametrize(("mode", "outcome"), [(0o600, "PASS"), (0o640, "WARN"), (0o604, "WARN")])
def test_a_key_that_others_may_read_is_a_warning(
    own: Env, tmp_path: Path, mode: int, outcome: str
) -> None:
    (tmp_path / "cert" / "key.pem").chmod(mode)
    found = line(own, tmp_path)
    assert found[0] == outcome
    assert ("chmod 600" in found[1]) == (outcome == "WARN")


def test_a_key_beside_the_certificate_is_a_warning(own: Env, tmp_path: Path) -> None:
    chain, key = tmp_path / "cert" / "fullchain.pem", tmp_path / "cert" / "key.pem"
    chain.write_text(chain.read_text() + key.read_text())
    outcome, detail = line(own, tmp_path)
    assert (outcome, "remove the private key" in detail) == ("WARN", True)


def test_pem_itself_may_stand_in_the_place_of_a_path_and_is_not_shown(
    own: Env, tmp_path: Path
) -> None:
    """The component of `s` accepts a path to a PEM file, or the PEM text itself."""
    cert = tmp_path / "cert"
    pems = {
        "CERT_FILE": (cert / "fullchain.pem").read_text(),
        "CERT_KEY_FILE": (cert / "key.pem").read_text(),
    }
    shutil.rmtree(cert)
    assert line({**own, **pems}, tmp_path)[0] == "PASS"
    other = {**pems, "CERT_KEY_FILE": made(tmp_path, "other.example.com")[1]}
    outcome, detail = line({**own, **other}, tmp_path)
    assert (outcome, "CERT_KEY_FILE is not the key of CERT_FILE" in detail) == ("FAIL", True)
    # Without its first line, a key looks like a path.
    bare = pems["CERT_KEY_FILE"].replace("-----BEGIN PRIVATE KEY-----\n", "")
    detail = line({**own, **pems, "CERT_KEY_FILE": bare}, tmp_path)[1]
    assert bare[:20] not in detail


def test_what_s_fetches_is_not_looked_at(own: Env, tmp_path: Path) -> None:
    fetched = {"CERT_KEY_FILE": "oss://cn-hangzhou/keys/key.pem"}
    outcome, detail = line({**own, **fetched}, tmp_path)
    assert (outcome, "`s` downloads CERT_KEY_FILE" in detail) == ("SKIP", True)
    (tmp_path / "cert" / "fullchain.pem").unlink()
    assert line({**own, **fetched}, tmp_path)[0] == "FAIL"
