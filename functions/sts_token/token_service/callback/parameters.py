"""Grant -> what a client hands to OSS, so that OSS calls back when the upload is done.

A token, a signed URL and a form carry the same in three spellings. How a callback is verified lies
in verify.py. The format is vendor documentation ("Callback"): at most 5 KB each, and names of
variables in lower case.
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
"""OSS's limit on the callback and on its variables, each."""

BODY_TYPE = "application/x-www-form-urlencoded"  # one of OSS's two callbackBodyType
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
"""What OSS fills in and signs. URL-encoded: OSS then encodes each value, so that no file name ends
its own; how it escapes in JSON is not verified on the real OSS (assumption 17). No content type:
OSS itself is asked for that, because a client that holds a token writes this text as it likes."""


# No percent-encoding: what OSS signs is then the same text before and after decoding.
_CALLBACK_PATH = "(?:/[A-Za-z0-9._~-]{1,50}){0,4}/callback"


class CallbackSettings(NamedTuple):
    """Where OSS calls back after an upload, and what happens then. Seals are made with
    CALLBACK_SECRET, the webhook's signatures with UPLOAD_HOOK_SECRET: both are read at each use."""

    url: Url
    public_key_url: Url | None
    """A loopback URL that takes the place of OSS's own; None everywhere but in a sandbox."""
    hook: Url | None


def read(reader: Reader) -> CallbackSettings:
    """Read the variables of callbacks, where CALLBACK_URL or UPLOAD_HOOK_URL is set."""
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
            "must have no query, and end with /callback after at most 4 segments of A-Z, a-z, 0-9 "
            "and ._~-"
        )
    return found


def public_key_url(value: str) -> Url:
    """Read CALLBACK_PUBLIC_KEY_URL. Raises Refused."""
    found = addresses.url(value)
    if not re.fullmatch(addresses.LOOPBACK, found.endpoint.host):
        raise Refused(
            "must be a loopback URL: it is for a sandbox, and OSS's own key needs no setting"
        )
    return found


class CallbackParameters(NamedTuple):
    """The callback of one grant, and the one variable of ours: base64 as OSS takes them."""

    callback: str
    variables: str
    settings: CallbackSettings
    sealed: str
    body: str

    def scope(self) -> dict[str, str]:
        """For a token: what the app passes on by its SDK."""
        return {"Callback": self.callback, "CallbackVar": self.variables}

    def query(self) -> dict[str, str]:
        """For a signed URL; not together with the headers, which OSS would refuse."""
        return {"callback": self.callback, "callback-var": self.variables}

    def form_fields(self) -> dict[str, str]:
        """For a form. One field: front ends made for the vendor's samples send it, and know of no
        variables, which would be fields of their own. So the seal is written out in it."""
        return {"callback": _callback(self.settings, self.body.replace(_SEAL, self.sealed))}


def callback_parameters(
    grant: Grant,
    expires: int,
    settings: CallbackSettings,
    secrets: tuple[bytes, ...],
    own: str = "",
) -> CallbackParameters:
    """Return the callback of what is given out for a grant until `expires` (unix seconds).
    `secrets` are those of CALLBACK_SECRET, `own` are the app's variables (variables.wished). The
    same input makes the same output."""
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
    return base64.b64encode(compact(document).encode()).decode()
