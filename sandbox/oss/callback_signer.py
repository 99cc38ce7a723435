"""The RSA key with which OSS signs its callbacks.

The sandbox has its own key. The signature follows the vendor's documentation. The vendor's sample
for an application server verifies signatures in the same way.
"""

from __future__ import annotations

import base64
from urllib.parse import unquote_to_bytes

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa


class CallbackSigner:
    """OSS's private key, and the URL where its public key is found."""

    def __init__(self, private_key_pem: bytes, public_key_url: str) -> None:
        """Raises ValueError if the key is not an RSA key."""
        key = serialization.load_pem_private_key(private_key_pem, None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise ValueError("the key must be an RSA key")
        self._key = key
        self.public_key_url = public_key_url

    def __repr__(self) -> str:
        return f"CallbackSigner(***, {self.public_key_url!r})"

    @property
    def public_key(self) -> bytes:
        """The public key in the format in which OSS publishes its own key: SPKI in PEM."""
        return self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign(self, target: str, body: bytes) -> str:
        """Return the Authorization of a callback; `target` is the URL's path and query, as sent."""
        path, question, query = target.partition("?")
        text = unquote_to_bytes(path) + f"{question}{query}\n".encode() + body
        signature = self._key.sign(text, padding.PKCS1v15(), hashes.MD5())  # noqa: S303 - OSS's
        return base64.b64encode(signature).decode()


def make_private_key() -> bytes:
    """Make a key for a CallbackSigner (RSA, 2,048 bits, PEM)."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
