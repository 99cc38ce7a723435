"""Grant -> seal and back: what the function itself puts into a callback, and trusts in it.

OSS's signature alone is little: its key has 512 bits, the signed text has no time, and whoever
holds a token may have OSS sign any callback. The seal says, under a secret of ours, who was given
what and until when. It is no permission: OSS has let the upload in before it is read.
"""

from __future__ import annotations

from typing import NamedTuple

from token_service.errors import ServiceError
from token_service.signing import sealing

UPLOAD_SECONDS = 3600
"""How long a seal outlives what it came with. OSS checks credentials when an upload begins, and
calls back when it has ended: in an hour the largest single upload (5 GB) passes at 12 Mbit/s. An
upload in parts takes longer, but ends with a request whose credentials have to be valid."""


class CallbackRefused(ServiceError):
    """Raised for a callback that is not OSS's, or not of a grant of ours; says which check failed.
    Nothing of what was sent is quoted: the message goes to the log."""

    status = 403
    code = "CallbackRefused"


class Seal(NamedTuple):
    """Whose upload a callback may report: the caller (its session's name), the bucket, and one
    object key, or all that begin with `key` where `is_prefix`. `expires` is in unix seconds,
    and so is `issued`: when the caller's login was made, None where that is not known."""

    caller: str
    bucket: str
    key: str
    is_prefix: bool
    expires: int
    issued: int | None = None

    def covers(self, bucket: str, object_key: str) -> bool:
        """Whether an object is what was granted. A prefix is a folder, and no object in it."""
        is_under = object_key.startswith(self.key) and object_key != self.key
        return bucket == self.bucket and (is_under if self.is_prefix else object_key == self.key)


def seal(content: Seal, secret: bytes) -> str:
    """Return the seal as ASCII text of `[A-Za-z0-9._-]`: it survives headers, URLs and forms."""
    # Version 1 as long as it says it all: an earlier version of this function reads no other.
    version = "1" if content.issued is None else "2"
    members = content[:5] if version == "1" else content
    return sealing.seal(members, "callback", version, secret)


def unseal(text: str, secrets: tuple[bytes, ...], now: float) -> Seal:
    """Return what was sealed with one of the secrets; `now` is in unix seconds. Raises
    CallbackRefused for anything else, and for a seal whose time has passed."""
    opened = sealing.unseal(text, "callback", "12", secrets)
    if opened is None:
        raise CallbackRefused("the seal is not one of CALLBACK_SECRET")
    content = Seal(*opened)
    if now >= content.expires:
        raise CallbackRefused("the seal has expired")
    return content
