"""Grant -> seal and back: the part of a callback that the function itself writes, and trusts.

OSS's signature alone proves little: its key has 512 bits, the signed text has no timestamp, and a
client with a token can have OSS sign any callback. The seal, under our own secret, says who was
given what and until when. It is not a permission: OSS accepts an upload before the seal is read.
"""

from __future__ import annotations

from typing import NamedTuple

from token_service.errors import ServiceError
from token_service.signing import sealing

UPLOAD_SECONDS = 3600
"""How much longer a seal lives than its token, URL or form. OSS checks credentials when an upload
begins, and calls back when it has ended: an hour is enough for 5 GB, the largest single upload, at
12 Mbit/s. An upload in parts takes longer, but its last request needs valid credentials."""


class CallbackRefused(ServiceError):
    """Raised for a callback that is not from OSS, or not for a grant of ours. It says which check
    failed, and does not quote the callback, since the message goes to the log."""

    status = 403
    code = "CallbackRefused"


class Seal(NamedTuple):
    """The upload that a callback may report: its caller (the session name), bucket and object key,
    or with `is_prefix` any object key that begins with `key`. `expires` is in unix seconds, and so
    is `issued`, when the caller's login was made (None if that is not known)."""

    caller: str
    bucket: str
    key: str
    is_prefix: bool
    expires: int
    issued: int | None = None

    def covers(self, bucket: str, object_key: str) -> bool:
        """Whether an object was granted. A prefix is a folder, not itself an object in it."""
        is_under = object_key.startswith(self.key) and object_key != self.key
        return bucket == self.bucket and (is_under if self.is_prefix else object_key == self.key)


def seal(content: Seal, secret: bytes) -> str:
    """Return the seal as ASCII text of `[A-Za-z0-9._-]`, for headers, URLs and forms."""
    # Version 1 where that is enough: earlier versions of this function read no other.
    version = "1" if content.issued is None else "2"
    members = content[:5] if version == "1" else content
    return sealing.seal(members, "callback", version, secret)


def unseal(text: str, secrets: tuple[bytes, ...], now: float) -> Seal:
    """Return what was sealed with one of the secrets; `now` is in unix seconds. Raises
    CallbackRefused for anything else, and for a seal whose time has passed."""
    opened = sealing.unseal(text, "callback", "12", secrets)
    if opened is None:
        raise CallbackRefused("the seal was not made with CALLBACK_SECRET")
    content = Seal(*opened)
    if now >= content.expires:
        raise CallbackRefused("the seal has expired")
    return content
