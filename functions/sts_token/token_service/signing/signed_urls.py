"""Grant -> signed URL: one method on one object, for whoever holds the URL.

Whether the caller may do it is permissions.py's matter, and which key signs is the route's: the URL
can do what that key may do on the object. Forms lie in forms.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

from token_service.grant import content_types
from token_service.grant.grants import Grant
from token_service.grant.refusals import InvalidParameter
from token_service.login.callers import Login
from token_service.settings.oss_hosts import bucket_address
from token_service.settings.reading import Settings
from token_service.settings.values import AccessKey
from token_service.signing.limits import Limits
from token_service.signing.signer import ALGORITHM, Signer, canonical_query, lifetime

MAX_VALUE_BYTES = 1024
"""Of each parameter that a caller adds to a download's URL, in UTF-8."""

ACTIONS = {"PUT": "oss:PutObject", "GET": "oss:GetObject", "HEAD": "oss:GetObject"}
"""The methods that are signed, and what each needs to be allowed."""

_DOWNLOAD = ("response-content-disposition", "x-oss-process")
WISHES = ("policy", "object", "method", "content_type", "expires", *_DOWNLOAD)


class UrlWish(NamedTuple):
    """What a URL is to do; `headers` must be sent along exactly so, `query` is part of the URL."""

    method: str
    seconds: int
    headers: Mapping[str, str]
    query: Mapping[str, str]


def read_wish(
    wishes: Mapping[str, str], limits: Limits, key: AccessKey, login: Login | None
) -> UrlWish:
    """Check the wishes for a URL; `object` and `policy` are the grant's. Raises InvalidParameter
    for one that is missing, malformed, not of the method or would widen."""
    if "object" not in wishes:
        raise InvalidParameter("object", "must be given: a URL is for one object")
    method = wishes.get("method", "PUT").upper()
    if method not in ACTIONS:
        raise InvalidParameter("method", f"must be one of {', '.join(ACTIONS)}")
    headers = {}
    if method == "PUT":
        content_type = content_types.exact(wishes.get("content_type"), limits.content_types)
        if content_type is not None:
            headers["Content-Type"] = content_type
    elif "content_type" in wishes:
        raise InvalidParameter("content_type", "is for PUT only")
    return UrlWish(
        method=method,
        seconds=lifetime(wishes.get("expires"), limits, key if method == "PUT" else None, login),
        headers=headers,
        query={name: _value(name, wishes[name], method) for name in _DOWNLOAD if name in wishes},
    )


def signed_url(
    grant: Grant,
    wish: UrlWish,
    settings: Settings,
    key: AccessKey,
    now: float,
    more_query: Mapping[str, str] | None = None,
) -> dict[str, object]:
    """Sign a URL for the grant's object at `now` (unix seconds), and build the answer of it.
    `more_query` are parameters that OSS shall get and that no client may leave out or change."""
    object_key = grant.object_key or ""
    signer = Signer.at(now, key, settings.region)
    parameters = {
        **wish.query,
        **(more_query or {}),
        "x-oss-credential": signer.credential,
        "x-oss-date": signer.timestamp,
        "x-oss-expires": str(wish.seconds),
        "x-oss-signature-version": ALGORITHM,
    }
    if key.security_token is not None:
        parameters["x-oss-security-token"] = key.security_token
    query = canonical_query(parameters)
    signed = {name.lower(): value for name, value in wish.headers.items()}
    signature = signer.request_signature(
        wish.method, f"/{grant.bucket}/{object_key}", query, signed
    )
    address, path = bucket_address(settings.oss_endpoint, grant.bucket)
    return {
        "StatusCode": 200,
        "Url": f"{address}{path}{quote(object_key)}?{query}&x-oss-signature={signature}",
        "Method": wish.method,
        "Headers": dict(wish.headers),
        "Expiration": signer.expiration(wish.seconds),
        "Object": object_key,
        # As in a token: nothing else may stand at the top.
        "Scope": {"Bucket": grant.bucket, "Region": settings.region, "Policy": grant.policy},
    }


def _value(name: str, value: str, method: str) -> str:
    if method != "GET":
        raise InvalidParameter(name, "is for GET only")
    if name == "x-oss-process":
        # Imported where it is needed: hardly any URL is for a picture.
        from token_service.signing import image_operations

        fault = image_operations.fault(value)
        if fault:
            raise InvalidParameter(name, fault)
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise InvalidParameter(name, "must be valid Unicode, without lone surrogates") from None
    # OSS makes a header of the one; the other has no use for them.
    if not 1 <= size <= MAX_VALUE_BYTES or any(c < " " or c == "\x7f" for c in value):
        raise InvalidParameter(
            name, f"must be 1 to {MAX_VALUE_BYTES} bytes of UTF-8, without control characters"
        )
    return value
