"""Makes forms: fields that a browser or mini program posts to OSS (PostObject, V4). One field is a
policy, which the function's own key signs. OSS checks the other fields against this policy."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from token_service.encoding import compact
from token_service.grant import content_types
from token_service.grant.grants import Grant
from token_service.grant.refusals import whole_wish
from token_service.login.callers import Login
from token_service.settings.oss_hosts import bucket_address
from token_service.settings.reading import Settings
from token_service.settings.values import AccessKey
from token_service.signing import upload_headers
from token_service.signing.limits import Limits
from token_service.signing.signer import ALGORITHM, Signer, lifetime

ACTION = "oss:PutObject"  # what a grant's policy must allow for a form (vendor documentation)

_FILE_NAME = "${filename}"
_TYPE_FIELDS = ("content-type", "x-oss-content-type")


class FormWish(NamedTuple):
    """What a form accepts. The form is valid for `seconds` (1 to 604,800). A file has at most
    `max_bytes`. Without `content_types`, any type is accepted. `fields` must be sent unchanged."""

    seconds: int
    max_bytes: int
    content_types: tuple[str, ...]
    fields: Mapping[str, str]


def read_wish(
    wishes: Mapping[str, str], limits: Limits, key: AccessKey, login: Login | None
) -> FormWish:
    """Check the wishes for a form, except `object` and `policy`, which the grant has checked.
    Raises InvalidParameter for a wish that is malformed or not allowed."""
    most, wish = limits.max_bytes, wishes.get("max_bytes", str(limits.max_bytes))
    types = content_types.narrowed(wishes.get("content_type"), limits.content_types)
    return FormWish(
        seconds=lifetime(wishes.get("expires"), limits, key, login),
        max_bytes=whole_wish("max_bytes", wish, "bytes", 1, most, "UPLOAD_MAX_BYTES"),
        content_types=types,
        fields={
            name.lower(): value
            for name, value in upload_headers.beside_type(wishes, types, limits).items()
        },
    )


def signed_form(
    grant: Grant,
    wish: FormWish,
    settings: Settings,
    key: AccessKey,
    now: float,
    more_fields: Mapping[str, str] | None = None,
) -> dict[str, object]:
    """Sign a form for the grant's prefix or object at `now` (unix seconds), and build the answer.
    OSS refuses the form if `more_fields` are missing or differ."""
    signer = Signer.at(now, key, settings.region)
    # OSS compares these values with the fields, so a signature is valid only for its own form.
    exact = {
        "x-oss-signature-version": ALGORITHM,
        "x-oss-credential": signer.credential,
        "x-oss-date": signer.timestamp,
        **({} if key.security_token is None else {"x-oss-security-token": key.security_token}),
        **wish.fields,
        **(more_fields or {}),
    }
    expiration = signer.expiration(wish.seconds)
    policy = compact(
        {
            "expiration": expiration.replace("Z", ".000Z"),
            "conditions": [
                {"bucket": grant.bucket},
                *({name: value} for name, value in exact.items()),
                *_conditions(grant, wish),
            ],
        }
    )
    encoded = base64.b64encode(policy.encode()).decode()
    signature = signer.signature(encoded)
    address, path = bucket_address(settings.oss_endpoint, grant.bucket)
    host = f"{address}{path}"[:-1]
    fields = {
        "key": grant.object_key or f"{grant.prefix}{_FILE_NAME}",
        "success_action_status": "200",
        "policy": encoded,
        **exact,
        "x-oss-signature": signature,
    }
    if len(wish.content_types) == 1:
        fields.update(dict.fromkeys(_TYPE_FIELDS, wish.content_types[0]))
    one = {} if grant.object_key is None else {"Object": grant.object_key}
    return {
        "StatusCode": 200,
        "Url": f"{host}/",
        "Fields": fields,
        "Expiration": expiration,
        "Prefix": grant.prefix,
        **one,
        **_vendor_names(fields, grant.prefix, host),
        "Scope": {
            "Bucket": grant.bucket,
            "Region": settings.region,
            "Policy": grant.policy,
            "MaxBytes": wish.max_bytes,
            **({"ContentTypes": list(wish.content_types)} if wish.content_types else {}),
            **one,
        },
    }


def _conditions(grant: Grant, wish: FormWish) -> Sequence[object]:
    """Return the conditions that OSS checks. All conditions must be true; there is no "or".

    "starts-with" checks the key field as it was sent; OSS fills in the file's name afterwards
    (vendor documentation). The name can only lengthen the key, and "../" in it has no special
    meaning for OSS. If content types are limited, two fields must name the file's type. OSS stores
    x-oss-content-type. What "$content-type" checks is not verified on the real OSS (assumption 14).
    """
    conditions: list[object] = [
        ["eq", "$key", grant.object_key]
        if grant.object_key is not None
        else ["starts-with", "$key", grant.prefix],
        ["content-length-range", 0, wish.max_bytes],
    ]
    types = wish.content_types
    if types:
        conditions += (["in", f"${name}", list(types)] for name in _TYPE_FIELDS)
    return conditions


def _vendor_names(fields: Mapping[str, str], prefix: str, host: str) -> dict[str, str]:
    """Return the members from which front ends of the vendor's samples make the fields. Front ends
    always send a field for the security token. Without a security token, this member is empty,
    because front ends would send "undefined" for a member that is missing."""
    names = {
        "policy": fields["policy"],
        "x_oss_signature_version": fields["x-oss-signature-version"],
        "x_oss_credential": fields["x-oss-credential"],
        "x_oss_date": fields["x-oss-date"],
        "signature": fields["x-oss-signature"],
        "security_token": fields.get("x-oss-security-token", ""),
        # The samples put `dir` before the file's name.
        "dir": prefix,
        "host": host,
    }
    if "callback" in fields:
        names["callback"] = fields["callback"]
    return names
