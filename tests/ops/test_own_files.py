"""Tests that each file in functions/sts_token is either packed or stops the build, so no file is
shipped by accident."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jwt.algorithms import ECAlgorithm

from ops import package as package_module
from ops.own_files import own_files
from ops.package import FUNCTION, PackageError
from signed_logins import jwk, jwks

KEY = ec.generate_private_key(ec.SECP256R1())
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
PRIVATE_JWK = json.loads(ECAlgorithm.to_jwk(KEY))


@pytest.fixture
def function(tmp_path: Path) -> Path:
    folder = tmp_path / "function"
    shutil.copytree(FUNCTION, folder)
    return folder


def test_the_functions_own_files_are_packed_and_nothing_is_wrong(function: Path) -> None:
    packed, wrong = own_files(function, "")
    assert wrong == []
    names = {path.relative_to(function).as_posix() for path in packed}
    assert {"bootstrap", "index.py", "server.py", "token_service/app.py"} <= names
    assert not {name for name in names if "__pycache__" in name or "requirements" in name}


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("server.key", PEM, "it has a private key. Remove the file"),
        ("token_service/key.pem", PEM, "it has a private key. Remove the file"),
        ("token_service/key.py", f'KEY = """{PEM}"""', "it has a private key. Remove the file"),
        ("own.json", json.dumps(PRIVATE_JWK), "it has a private key. Remove the file"),
        (".env", "JWT_SECRET=x", "Move it into the folder of s.yaml"),
        (".env.production", "JWT_SECRET=x", "Move it into the folder of s.yaml"),
        ("config.json", '{"AccessKeySecret": "x"}', "`make import-config` can read it"),
        ("keys.json", jwks(jwk("ES256", "k")), "make JWT_JWKS_FILE=keys.json build"),
        ("token_service/keys.json", "{}", "JWT_JWKS_FILE does not name this file"),
        ("jwt.py", "", "it does not belong to the function"),
        ("cert/notes.txt", "", "it does not belong to the function"),
    ],
)
def test_what_was_not_expected_is_named_with_what_to_do(
    function: Path, name: str, content: str, says: str
) -> None:
    (function / name).parent.mkdir(exist_ok=True)
    (function / name).write_text(content)
    packed, (wrong,) = own_files(function, "")
    assert wrong.startswith(f"{name}: ")
    assert says in wrong
    assert function / name not in packed


def test_a_key_set_is_packed_where_it_is_the_configured_one(function: Path) -> None:
    (function / "keys.json").write_text(jwks(jwk("ES256", "k")))
    packed, wrong = own_files(function, "keys.json")
    assert function / "keys.json" in packed
    assert wrong == []


@pytest.mark.parametrize(
    "key", [PRIVATE_JWK, {"kty": "oct", "k": "c2VjcmV0"}], ids=["private", "secret"]
)
def test_a_configured_key_set_with_a_private_key_is_not_packed(
    function: Path, key: dict[str, str]
) -> None:
    (function / "keys.json").write_text(json.dumps({"keys": [json.loads(jwk_text()), key]}))
    packed, (wrong,) = own_files(function, "keys.json")
    assert "it has private keys (only public ones are allowed)" in wrong
    assert function / "keys.json" not in packed


HIDDEN = {
    "deeper": '{"keys": [], "pair": {"private": [%s]}}',
    "in a member that is there twice": '{"keys": [%s], "keys": []}',
    "in a list": "[%s]",
    "before it is no JSON": '{"keys": [%s]},',
}


@pytest.mark.parametrize("kind", HIDDEN)
def test_a_private_key_is_found_wherever_it_stands_in_a_key_set(function: Path, kind: str) -> None:
    """A private key in the key set is a fault, because everybody who may read the package can read
    this file."""
    (function / "keys.json").write_text(HIDDEN[kind] % json.dumps(PRIVATE_JWK))
    packed, (wrong,) = own_files(function, "keys.json")
    assert "it has private keys" in wrong
    assert function / "keys.json" not in packed


def jwk_text() -> str:
    return json.dumps(json.loads(jwks(jwk("ES256", "k")))["keys"][0])


def test_a_link_is_not_followed(function: Path, tmp_path: Path) -> None:
    (tmp_path / "secrets.py").write_text("")
    (function / "token_service" / "more.py").symlink_to(tmp_path / "secrets.py")
    packed, (wrong,) = own_files(function, "")
    assert "token_service/more.py: it is a link" in wrong
    assert function / "token_service" / "more.py" not in packed


def test_of_many_some_are_named(function: Path) -> None:
    for number in range(12):
        (function / f"{number}.txt").write_text("")
    assert own_files(function, "")[1][10:] == ["and 2 more"]


def test_a_build_ends_before_anything_is_fetched(
    function: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (function / ".env").write_text("JWT_SECRET=x")
    monkeypatch.setattr(package_module, "FUNCTION", function)
    made = tmp_path / "made"
    made.mkdir()
    with pytest.raises(
        PackageError, match=r"files that do not belong there:\n  \.env: it has settings"
    ):
        package_module.fill(made, [])
    assert not list(made.iterdir())
