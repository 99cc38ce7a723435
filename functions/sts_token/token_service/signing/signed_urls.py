"""Makes signed URLs. A URL allows one method on one object, for anyone who has the URL.

permissions.py decides whether the caller may use the method. The route decides which key signs, and
the URL has the rights of that key on the object. forms.py makes forms.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from token_service.grant import extensions
from token_service.grant.grants import Grant
from token_service.grant.refusals import InvalidParameter
from token_service.grant.wish_names import DOWNLOAD, OWN_VARIABLES, UPLOAD
from token_service.login.callers import Login
from token_service.settings.reading import Settings
from token_service.settings.values import AccessKey
from token_service.signing import upload_headers
from token_service.signing.limits import Limits
from token_service.signing.signer import Signer, lifetime

MAX_VALUE_BYTES = 1024
"""The limit for each parameter that a caller adds to a download's URL, in bytes of UTF-8."""

ACTIONS = {"PUT": "oss:PutObject", "GET": "oss:GetObject", "HEAD": "oss:GetObject"}
"""The methods that are signed, each with the action that a policy must allow."""

DISPOSITION = DOWNLOAD[0]  # the wish that says how a browser shows a download
_OF_PUT = (*UPLOAD, OWN_VARIABLES)
_FOREIGN = {"PUT": DOWNLOAD, "GET": _OF_PUT, "HEAD": (*_OF_PUT, *DOWNLOAD)}


class UrlWish(NamedTuple):
    """What a URL allows. It is valid for `seconds`, from 1 to 604,800. `headers` must be sent
    unchanged, `query` is part of the URL, and `size` is the size of the body in bytes."""

    method: str
    seconds: int
    headers: Mapping[str, str]
    query: Mapping[str, str]
    size: int | None


def read_wish(
    wishes: Mapping[str, str], limits: Limits, key: AccessKey, login: Login | None
) -> UrlWish:
    """Check the wishes for a URL. The grant has already handled `object` and `policy`. Raises
    InvalidParameter for a wish that is missing, malformed, for another method, or not allowed."""
    if "object" not in wishes and "name" not in wishes:
        raise InvalidParameter("object", "must be the object's name; or send name=auto instead")
    method = wishes.get("method", "PUT").upper()
    if method not in ACTIONS:
        raise InvalidParameter("method", f"must be one of {', '.join(ACTIONS)}")
    is_upload = method == "PUT"
    for name in _FOREIGN[method]:
        if name in wishes:
            raise InvalidParameter(name, f"is for {'PUT' if name in _OF_PUT else 'GET'} only")
    return UrlWish(
        method=method,
        seconds=lifetime(wishes.get("expires"), limits, key if is_upload else None, login),
        headers=upload_headers.upload_headers(wishes, limits) if is_upload else {},
        query=_download(wishes) if method == "GET" else {},
        size=_size(wishes.get("size"), limits) if is_upload else None,
    )


def signed_url(
    grant: Grant,
    wish: UrlWish,
    settings: Settings,
    key: AccessKey,
    now: float,
    more_query: Mapping[str, str] | None = None,
) -> dict[str, object]:
    """Sign a URL for the grant's object at `now` (unix seconds), and build the answer. `more_query`
    has more parameters for OSS; a client cannot leave them out or change them."""
    object_key = grant.object_key or ""
    signer = Signer.at(now, key, settings.region)
    # The size is signed. `Headers` has no Content-Length, because browsers set it and pages cannot.
    size = {} if wish.size is None else {"Content-Length": str(wish.size)}
    query, headers = {**wish.query, **(more_query or {})}, {**wish.headers, **size}
    where = settings.oss_endpoint, grant.bucket, object_key
    return {
        "StatusCode": 200,
        "Url": signer.url(*where, wish.seconds, wish.method, query, headers),
        "Method": wish.method,
        "Headers": dict(wish.headers),
        **({} if wish.size is None else {"Size": wish.size}),
        "Expiration": signer.expiration(wish.seconds),
        "Object": object_key,
        # A token's answer also has these members in Scope (answer.py gives the reason).
        "Scope": {"Bucket": grant.bucket, "Region": settings.region, "Policy": grant.policy},
    }


def _size(wish: str | None, limits: Limits) -> int | None:
    if wish is None and limits.needs_size:
        accepts = f"must be given, in bytes, 0 to {limits.max_url_bytes}"
        raise InvalidParameter("size", accepts, "UPLOAD_MAX_BYTES")
    return None if wish is None else limits.size(wish, 0)


def _download(wishes: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of a download. A browser saves the file. If the wish is inline and the
    extension is safe, the browser shows the file with the extension's type."""
    found = {name: _value(name, wishes[name]) for name in DOWNLOAD if name in wishes}
    disposition = found.setdefault(DISPOSITION, "attachment")
    # Strip only ASCII blanks. If a kind has other blanks, browsers ignore it and show the file.
    kind = disposition.partition(";")[0].strip(" \t").lower()
    if kind == "attachment":
        return found
    shown = extensions.shown_as(wishes["object"])
    if kind == "inline" and shown is not None:
        return {**found, "response-content-type": shown}
    raise InvalidParameter(
        DISPOSITION,
        "must begin with attachment, or be inline if the object's name has the extension of a "
        f"picture, sound or video: {', '.join(extensions.SHOWN)}",
    )


def _value(name: str, value: str) -> str:
    if name == "x-oss-process":
        # The import is here because few URLs process a picture.
        from token_service.signing import image_operations

        fault = image_operations.fault(value)
        if fault:
            raise InvalidParameter(name, fault)
    size = len(value.encode("utf-8", "surrogatepass"))
    # Control characters could break OSS's header, and half surrogate pairs are not UTF-8.
    if not 1 <= size <= MAX_VALUE_BYTES or re.search("[\0-\x1f\x7f\ud800-\udfff]", value):
        raise InvalidParameter(
            name, f"must be 1 to {MAX_VALUE_BYTES} bytes of UTF-8, without control characters"
        )
    return value
