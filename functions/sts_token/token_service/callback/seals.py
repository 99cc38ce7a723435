"""Seals a grant: the seal is the part of a callback that the function itself writes, and trusts.

OSS's signature proves little. OSS's key has 512 bits, the signed text has no timestamp, and a
client with a token can make OSS sign any callback. The seal, made with our secret, says who may
upload what and until when. A seal cannot prevent an upload, because OSS accepts the upload before
the function reads the seal.
"""

from __future__ import annotations

from typing import NamedTuple

from token_service.errors import ServiceError
from token_service.signing import sealing

UPLOAD_SECONDS = 3600
"""How long a seal is valid after its token, URL or form expires. OSS checks credentials when an
upload begins, and calls back when it ends. An hour is enough for 5 GB, the largest single upload,
at 12 Mbit/s. An upload in parts may take longer. Its last request needs valid credentials."""


class CallbackRefused(ServiceError):
    """Raised for a callback that OSS did not send, or that belongs to no grant of ours. The message
    says which check failed. The message is logged, so it does not quote the callback."""

    status = 403
    code = "CallbackRefused"


class Seal(NamedTuple):
    """The upload that a callback may report. `caller` is the session name. `key` is the object key,
    or the beginning of it if `is_prefix`. `expires` and `issued` are in unix seconds. `issued` is
    when the login was made (None if unknown)."""

    caller: str
    bucket: str
    key: str
    is_prefix: bool
    expires: int
    issued: int | None = None

    def covers(self, bucket: str, object_key: str) -> bool:
        """Whether an object was granted. A prefix grants only keys that are longer than itself."""
        is_under = object_key.startswith(self.key) and object_key != self.key
        return bucket == self.bucket and (is_under if self.is_prefix else object_key == self.key)


def seal(content: Seal, secret: bytes) -> str:
    """Return the seal as ASCII text of `[A-Za-z0-9._-]`, for headers, URLs and forms."""
    # A seal without `issued` has version 1, the only version that earlier functions can read.
    version = "1" if content.issued is None else "2"
    members = content[:5] if version == "1" else content
    return sealing.seal(members, "callback", version, secret)


def unseal(text: str, secrets: tuple[bytes, ...], now: float) -> Seal:
    """Return the content of a seal that one of the secrets made; `now` is in unix seconds. Raises
    CallbackRefused for any other text, and for an expired seal."""
    opened = sealing.unseal(text, "callback", "12", secrets)
    if opened is None:
        raise CallbackRefused("the seal was not made with CALLBACK_SECRET")
    content = Seal(*opened)
    if now >= content.expires:
        raise CallbackRefused("the seal has expired")
    return content
