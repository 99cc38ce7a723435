"""Reads the test vectors. tests/vectors/README.md says where the vectors come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

_FOLDER = Path(__file__).parents[1] / "vectors"

Jwk = dict[str, Any]


class LoginVector(NamedTuple):
    """A JWS in its compact form, and the keys (JWKs) of its receiver."""

    number: int
    keys: list[Jwk]
    is_valid: bool
    text: str


class SignatureVector(NamedTuple):
    """A signature with SHA-256, and its key as a JWK and as PEM."""

    number: int
    jwk: Jwk
    pem: str
    result: str
    message: bytes
    signature: bytes


def login_vectors(name: str) -> list[LoginVector]:
    """The vectors of one file: `json_web_signature` or `json_web_key`."""
    return [
        LoginVector(number, group["keys"], result == "valid", text)
        for group in _groups(name)
        for number, _, result, text in group["tests"]
    ]


def signature_vectors() -> list[SignatureVector]:
    """The vectors for RSASSA-PKCS1-v1_5 with SHA-256."""
    return [
        SignatureVector(
            number, group["jwk"], group["pem"], result, bytes.fromhex(message), bytes.fromhex(sig)
        )
        for group in _groups("rsa_signature_2048_sha256")
        for number, _, result, message, sig in group["tests"]
    ]


def _groups(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((_FOLDER / f"{name}.json").read_text("utf-8"))
    return found
