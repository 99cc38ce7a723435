"""Makes the callback parameters that a client gives to OSS, so that OSS calls back after an upload.

A token, a signed URL and a form carry the same parameters in three formats. verify.py verifies
callbacks. The vendor documents the format ("Callback"): a parameter has at most 5 KB, and names of
variables are in lower case.
"""

from __future__ import annotations

import base64
import re
from typing import NamedTuple

from token_service.callback.seals import UPLOAD_SECONDS, Seal, seal
from token_service.encoding import compact
from token_service.grant.grants import Grant
from token_service.settings import addresses
from token_service.settings import variables as v
from token_service.settings.addresses import Url
from token_service.settings.parsing import Reader, Refused

MAX_BYTES = 5 * 1024
"""OSS's limit in bytes for the callback, and for its variables."""

BODY_TYPE = "application/x-www-form-urlencoded"  # OSS also accepts JSON here
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
"""The body that OSS fills in and signs. It is URL-encoded: OSS then encodes each value, so a file
name cannot add fields. It is not verified how OSS escapes JSON (assumption 17). A client with a
token can change this body, so the function asks OSS itself for the content type."""


# Percent-encoding is not allowed, so that decoding does not change the text that OSS signs.
_CALLBACK_PATH = "(?:/[A-Za-z0-9._~-]{1,50}){0,4}/callback"


class CallbackSettings(NamedTuple):
    """The URL that OSS calls after an upload, and the webhook that we call then. CALLBACK_SECRET
    (for seals) and UPLOAD_HOOK_SECRET (for the webhook's signatures) are read at each use."""

    url: Url
    public_key_url: Url | None
    """A loopback URL for OSS's public key in a sandbox; otherwise None."""
    hook: Url | None


def read(reader: Reader) -> CallbackSettings:
    """Read the variables of callbacks. Call this only if CALLBACK_URL or UPLOAD_HOOK_URL is set."""
    url = reader.read(v.CALLBACK_URL)
    reader.read(v.CALLBACK_SECRET)
    hook = reader.optional(v.UPLOAD_HOOK_URL, None)
    if hook is not None:
        reader.read(v.UPLOAD_HOOK_SECRET)
    return CallbackSettings(url, reader.optional(v.CALLBACK_PUBLIC_KEY_URL, None), hook)


def callback_url(value: str) -> Url:
    """Read CALLBACK_URL. Raises Refused."""
    found = addresses.url(value)
    if not re.fullmatch(_CALLBACK_PATH, found.path):
        raise Refused(
            "must have no query; its path must end with /callback after at most 4 segments of A-Z, "
            "a-z, 0-9 and ._~-"
        )
    return found


def public_key_url(value: str) -> Url:
    """Read CALLBACK_PUBLIC_KEY_URL. Raises Refused."""
    found = addresses.url(value)
    if not re.fullmatch(addresses.LOOPBACK, found.endpoint.host):
        raise Refused(
            "must be a loopback URL, because only a sandbox needs it; leave it empty for OSS's key"
        )
    return found


class CallbackParameters(NamedTuple):
    """The callback of a grant with its only variable, the seal. OSS expects both in base64."""

    callback: str
    variables: str
    settings: CallbackSettings
    sealed: str
    body: str

    def scope(self) -> dict[str, str]:
        """Return the members of a token that the app passes to its SDK."""
        return {"Callback": self.callback, "CallbackVar": self.variables}

    def query(self) -> dict[str, str]:
        """Return query parameters of a signed URL. OSS refuses callback headers in the same
        request."""
        return {"callback": self.callback, "callback-var": self.variables}

    def form_fields(self) -> dict[str, str]:
        """Return the one field of a form, with the seal written into it. If the seal were a
        variable, it would need another field, which the vendor's sample front ends do not send."""
        return {"callback": _callback(self.settings, self.body.replace(_SEAL, self.sealed))}


def callback_parameters(
    grant: Grant,
    expires: int,
    settings: CallbackSettings,
    secrets: tuple[bytes, ...],
    own: str = "",
) -> CallbackParameters:
    """Return the callback of a grant whose token, URL or form expires at `expires` (unix seconds).
    `secrets` come from CALLBACK_SECRET. `own` has the app's variables (variables.wished). The same
    input makes the same output."""
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
        callback=_callback(settings, BODY + own),
        variables=_base64({_SEAL[2:-1]: sealed}),
        settings=settings,
        sealed=sealed,
        body=BODY + own,
    )


def _issued(grant: Grant) -> int | None:
    """Return the time of the login, for the seal. LOGINS_NOT_BEFORE may be set later."""
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
        # OSS must name the host in its TLS hello, because a gateway may serve many hosts.
        callback["callbackSNI"] = True
    return _base64(callback)


def _base64(document: dict[str, object]) -> str:
    return base64.b64encode(compact(document).encode()).decode()
