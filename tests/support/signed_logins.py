"""Keys of every kind, and logins (JWTs) that are signed with them or forged by hand."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SECRET = "a-secret-of-at-least-32-bytes-for-tests"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
KEYS: dict[str, PrivateKey] = {"RS256": RSA_KEY, "ES256": EC_KEY, "EdDSA": ED_KEY}


def claims(**changes: object) -> dict[str, object]:
    """The claims of a valid login, with `changes`. A change to None removes the claim."""
    made = {"sub": "alice", "exp": int(time.time()) + 600, **changes}
    return {name: value for name, value in made.items() if value is not None}


def login(
    key: Any = SECRET, algorithm: str = "HS256", kid: object = None, **changes: object
) -> str:
    """A login signed by PyJWT."""
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode(claims(**changes), key, algorithm, headers=headers)


def forged(header: dict[str, object], payload: object, signature: bytes = b"") -> str:
    """A login that PyJWT would refuse to make."""
    parts = [json.dumps(header).encode(), json.dumps(payload).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def jwk(algorithm: str, kid: str = "", **changes: object) -> dict[str, object]:
    """The public half of a key of KEYS."""
    kinds = {"RS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}
    made: dict[str, object] = jwt.get_algorithm_by_name(algorithm).to_jwk(
        KEYS[algorithm].public_key(), as_dict=True
    )
    assert made["kty"] == kinds[algorithm]
    return {**made, **({"kid": kid} if kid else {}), **changes}


def jwks(*keys: dict[str, object]) -> str:
    """A key set as identity providers publish it."""
    return json.dumps({"keys": keys})


def public_pem(key: PrivateKey) -> bytes:
    """The public part of a key, as PEM."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
