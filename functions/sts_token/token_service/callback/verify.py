"""Verifies OSS's callback after an upload, and makes an Upload of it.

There are three checks, the cheap ones first. Did this function grant the upload (seals.py)? Did OSS
sign the callback (public_keys.py)? Is its content true? A client with a token can make OSS sign
false content, so the function asks OSS for facts about the object. The signed text is the decoded
path, "?" and the query if there is one, a line feed, and the body (vendor documentation).
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote_plus

from token_service.callback import variables
from token_service.callback.parameters import BODY_TYPE, CallbackSettings
from token_service.callback.public_keys import OssKeys
from token_service.callback.seals import CallbackRefused, unseal
from token_service.encoding import compact
from token_service.errors import NONE
from token_service.grant import object_keys
from token_service.http.messages import Request
from token_service.oss_client import ObjectHead

MAX_BODY_BYTES = 16 * 1024
"""An object key has at most 1,023 bytes, and three times as many if URL-encoded. The app's own
variables take about as much space as the key. Our seal has up to 3 KB."""
MAX_HEADER_CHARACTERS = 2048  # our own limit for each header of OSS's signature

_ETAG = "[A-Za-z0-9-]{1,128}"
_NUMBER = "[0-9]{1,19}"


class Callback(NamedTuple):
    """A callback that OSS signed for an upload we granted. `caller` is the grant's session name.
    `size` is in bytes; `issued` is when the login was made, in unix seconds, if the seal has it."""

    caller: str
    issued: int | None
    bucket: str
    object_key: str
    etag: str
    size: int
    width: int | None
    height: int | None
    request_id: str
    variables: Mapping[str, str] = NONE


class Upload(NamedTuple):
    """A verified upload. `size` is in bytes, `etag` has no quotes. Images have `width` and `height`
    in pixels. `id` (64 hex digits) stays the same if an upload is reported again, and uploaders
    cannot influence it. `legacy_id` is the id of the previous version, for back ends that stored
    it; the next version removes it. `variables` are the app's own, and nobody verifies them."""

    id: str
    legacy_id: str
    caller: str
    bucket: str
    object_key: str
    size: int
    etag: str
    content_type: str
    width: int | None
    height: int | None
    variables: Mapping[str, str] = NONE

    def members(self) -> dict[str, object]:
        """Return the members for the answer and the webhook. The log leaves out `variables`."""
        members: dict[str, object] = dict(zip(variables.MEMBERS, self[:-1], strict=True))
        return {**members, "Variables": self.variables} if self.variables else members


def verify(
    request: Request,
    settings: CallbackSettings,
    secrets: tuple[bytes, ...],
    oss_keys: OssKeys,
    *,
    now: float,
    end: float,
) -> Callback:
    """Verify the seal and OSS's signature. `now` is in unix seconds; `end` is a time.monotonic()
    value. Raises CallbackRefused."""
    fields, own = _fields(request)
    sealed = unseal(fields["seal"], secrets, now)
    if not sealed.covers(fields["bucket"], fields["object"]):
        raise CallbackRefused("the object is not the one that was granted")
    if object_keys.has_dots(fields["object"]):
        raise CallbackRefused("the object key has '.' or '..' between slashes")
    oss_keys.verify(
        _base64_header(request, "x-oss-pub-key-url").decode("ascii", "replace"),
        _base64_header(request, "authorization"),
        _signed_texts(request, settings),
        end,
    )
    return Callback(
        caller=sealed.caller,
        issued=sealed.issued,
        bucket=fields["bucket"],
        object_key=fields["object"],
        etag=_matched(fields, "etag", f'"?{_ETAG}"?').strip('"'),
        size=int(_matched(fields, "size", _NUMBER)),
        width=_pixels(fields, "width"),
        height=_pixels(fields, "height"),
        request_id=_matched(fields, "request", "[A-Za-z0-9-]{0,64}"),
        variables=variables.read(own),
    )


def confirm(callback: Callback, head: ObjectHead | None) -> Upload:
    """Compare a callback with `head`, the object in OSS (None: no object). Raises CallbackRefused
    if the two differ, because then the callback is false or outdated."""
    if head is None:
        raise CallbackRefused("OSS has no such object")
    if (callback.size, callback.etag.upper()) != (head.size, head.etag.upper()):
        raise CallbackRefused("the object in OSS has another size or etag than the callback says")
    return Upload(
        id=_hash([callback.bucket, callback.object_key, head.etag, head.last_modified]),
        legacy_id=_legacy_id(callback),
        caller=callback.caller,
        bucket=callback.bucket,
        object_key=callback.object_key,
        size=head.size,
        etag=head.etag,
        content_type=head.content_type,
        width=callback.width,
        height=callback.height,
        variables=callback.variables,
    )


def _legacy_id(callback: Callback) -> str:
    """Return the previous version's id. With invented request ids, an object gets many such ids."""
    of = callback
    return _hash([of.bucket, of.object_key, of.etag.upper(), of.size, of.request_id])


def _hash(identity: list[object]) -> str:
    return hashlib.sha256(compact(identity).encode()).hexdigest()


def _fields(request: Request) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Return the fields of parameters.BODY, and the app's variables. Raises CallbackRefused."""
    if request.query:
        # The platform does not pass the raw query, which the signature covers.
        raise CallbackRefused("the URL has a query")
    if len(request.body) > MAX_BODY_BYTES:
        raise CallbackRefused(f"the body exceeds {MAX_BODY_BYTES} bytes")
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != BODY_TYPE:
        raise CallbackRefused(f"the body is not {BODY_TYPE}")
    fields: dict[str, str] = {}
    own: list[tuple[str, str]] = []
    # A body with too many fields is refused, so the split stops one field after the limit.
    parts = request.body.split(b"&", len(variables.FIELDS) + variables.MAX_VARIABLES)
    for number, part in enumerate(parts, 1):
        try:
            # Names are decoded before they are compared, since "b%75cket" is bucket, too.
            texts = part.decode("ascii").split("=", 1)
            name, value = (unquote_plus(text, errors="strict") for text in texts)
        except ValueError:
            raise CallbackRefused(f"the body's field {number} is malformed") from None
        if name in fields:
            raise CallbackRefused(f"the body must have {name} once, but has it twice")
        if name in variables.FIELDS:
            fields[name] = value
        else:
            own.append((name, value))
    for name in variables.FIELDS:
        if name not in fields:
            raise CallbackRefused(f"the body must have {name} once, but does not have it")
    return fields, own


def _base64_header(request: Request, name: str) -> bytes:
    value = request.headers.get(name, "")
    if not value:
        raise CallbackRefused(f"no header {name}")
    try:
        if len(value) <= MAX_HEADER_CHARACTERS:
            return base64.b64decode(value, validate=True)
    # b64decode also raises ValueError for text that is not ASCII.
    except ValueError:
        pass
    raise CallbackRefused(f"the header {name} is not base64")


def _signed_texts(request: Request, settings: CallbackSettings) -> tuple[bytes, ...]:
    """Return the texts that OSS may have signed. The first has the path of CALLBACK_URL, since a
    gateway may rewrite the request's path. The second has the request's path, since old tokens may
    still name an earlier CALLBACK_URL."""
    paths = dict.fromkeys((settings.url.path, request.path))
    return tuple(path.encode("utf-8", "surrogatepass") + b"\n" + request.body for path in paths)


def _matched(fields: Mapping[str, str], name: str, pattern: str) -> str:
    if not re.fullmatch(pattern, fields[name]):
        raise CallbackRefused(f"the field {name} is malformed")
    return fields[name]


def _pixels(fields: Mapping[str, str], name: str) -> int | None:
    """Return a number of pixels. OSS leaves the field empty if the object is not an image."""
    text = _matched(fields, name, "[0-9]{0,9}")
    return int(text) if text else None
