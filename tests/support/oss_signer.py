"""Simulates OSS after an upload. It fills in and signs the body of a callback, and posts it.

This follows the vendor's documentation ("Callback") and uses the cryptography package. It shares no
code with the code under test.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import MD5
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from token_service.http.messages import Request

PRODUCTION_KEY_URL = "http://gosspublic.alicdn.com/callback_pub_key_v1.pem"


def decoded(parameter: str) -> dict[str, Any]:
    """The JSON in a callback or callback-var."""
    document: dict[str, Any] = json.loads(base64.b64decode(parameter))
    return document


@dataclass(frozen=True)
class OssSigner:
    """An OSS with its own key. Its callbacks say that the key is at `key_url`."""

    key_url: str = PRODUCTION_KEY_URL
    # The key of the real OSS has 512 bits, but the cryptography package makes no key with fewer
    # than 1,024.
    key: rsa.RSAPrivateKey = field(
        default_factory=lambda: rsa.generate_private_key(65537, 1024)  # noqa: S505
    )

    @cached_property
    def pem(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, text: bytes) -> bytes:
        return self.key.sign(text, padding.PKCS1v15(), MD5())  # noqa: S303 - OSS's choice

    def call(self, scope: Mapping[str, str], **values: object) -> Request:
        """The callback for an upload with a token's Scope. `values` has the variables."""
        callback = decoded(scope["Callback"])
        body = callback["callbackBody"]
        for name, value in {**values, **decoded(scope["CallbackVar"])}.items():
            body = body.replace(f"${{{name}}}", quote(str(value), safe=""))
        return self.post(urlsplit(callback["callbackUrl"]).path, body)

    def post(self, path: str, body: str) -> Request:
        """A callback with any body. A client that has a token can choose the body."""
        text = unquote(path).encode() + b"\n" + body.encode()
        return Request(
            method="POST",
            path=unquote(path),
            headers={
                "content-type": "application/x-www-form-urlencoded",
                "authorization": base64.b64encode(self.sign(text)).decode(),
                "x-oss-pub-key-url": base64.b64encode(self.key_url.encode()).decode(),
            },
            body=body.encode(),
        )


def about(bucket: str, key: str, etag: str, size: int, **more: object) -> dict[str, object]:
    """The variables of an upload, as OSS fills them in."""
    return {
        "bucket": bucket,
        "object": key,
        "etag": etag,
        "size": size,
        "imageInfo.height": "",
        "imageInfo.width": "",
        "reqId": "5C9B3F1A2D4E6F708192A3B4",
        **more,
    }
