"""Grant -> what a client hands to OSS, so that OSS calls back when the upload is done.

A token, a signed URL and a form carry the same in three spellings. How a callback is verified lies
in callbacks.py. The format is vendor documentation ("Callback"): at most 5 KB each, and names of
variables in lower case.
"""

from __future__ import annotations

import base64
import json
from typing import NamedTuple

from callback_seals import UPLOAD_SECONDS, Seal, seal
from grants import Grant
from settings import CallbackSettings

MAX_BYTES = 5 * 1024
"""OSS's limit on the callback and on its variables, each."""

BODY_TYPE = "application/x-www-form-urlencoded"
_SEAL = "${x:seal}"
BODY = "&".join(
    (
        "bucket=${bucket}",
        "object=${object}",
        "etag=${etag}",
        "size=${size}",
        "height=${imageInfo.height}",
        "width=${imageInfo.width}",
        "request=${reqId}",
        f"seal={_SEAL}",
    )
)
"""What OSS fills in and signs. URL-encoded: OSS then encodes each value, so that no file name can
end its own; how it escapes one inside JSON is nowhere documented. No content type: OSS itself is
asked for that, because a client that holds a token writes this text as it likes."""

_encode = json.JSONEncoder(separators=(",", ":")).encode


class CallbackParameters(NamedTuple):
    """The callback of one grant, and the one variable of ours: base64 as OSS takes them."""

    callback: str
    variables: str
    settings: CallbackSettings
    sealed: str

    def scope(self) -> dict[str, str]:
        """For a token: what the app passes on by its SDK."""
        return {"Callback": self.callback, "CallbackVar": self.variables}

    def headers(self) -> dict[str, str]:
        """For a request whose headers are signed."""
        return {"x-oss-callback": self.callback, "x-oss-callback-var": self.variables}

    def query(self) -> dict[str, str]:
        """For a signed URL; not together with the headers, which OSS would refuse."""
        return {"callback": self.callback, "callback-var": self.variables}

    def form_fields(self) -> dict[str, str]:
        """For a form. One field: front ends made for the vendor's samples send it, and know of no
        variables, which would be fields of their own. So the seal is written out in it."""
        return {"callback": _callback(self.settings, BODY.replace(_SEAL, self.sealed))}


def callback_parameters(
    grant: Grant, expires: int, settings: CallbackSettings, secrets: tuple[bytes, ...]
) -> CallbackParameters:
    """Return the callback of what is given out for a grant until `expires` (unix seconds).

    `secrets` are read_callback_secrets()'s. The same input makes the same output.
    """
    content = Seal(
        caller=grant.session_name,
        bucket=grant.bucket,
        key=grant.prefix if grant.object_key is None else grant.object_key,
        is_prefix=grant.object_key is None,
        expires=expires + UPLOAD_SECONDS,
        issued=_issued(grant),
    )
    sealed = seal(content, secrets[0])
    return CallbackParameters(
        callback=_callback(settings, BODY),
        variables=_base64({_SEAL[2:-1]: sealed}),
        settings=settings,
        sealed=sealed,
    )


def _issued(grant: Grant) -> int | None:
    """When the login was made, for LOGINS_NOT_BEFORE: an upload may end after that is set."""
    if grant.login is None or grant.login.issued is None:
        return None
    return max(0, int(grant.login.issued))


def _callback(settings: CallbackSettings, body: str) -> str:
    callback: dict[str, object] = {
        "callbackUrl": str(settings.url),
        "callbackBody": body,
        "callbackBodyType": BODY_TYPE,
    }
    if settings.url.endpoint.scheme == "https":
        # Without the name in its TLS hello, a gateway that serves many names fails.
        callback["callbackSNI"] = True
    return _base64(callback)


def _base64(document: dict[str, object]) -> str:
    return base64.b64encode(_encode(document).encode()).decode()
