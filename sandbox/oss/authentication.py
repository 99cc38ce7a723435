"""Authenticates a request or a form: finds the signature, the key and the token, and checks them.

If this sandbox does not accept signature V1 (SIGNATURE_V1), a request with a V1 signature is
refused before the signature is parsed.

signatures.py computes signatures, and sandbox/identities.py knows the owner of each key. The error
numbers (EC) and texts are the vendor's. An EC of "" means that no page about the error was found.

Four things are not verified on the real OSS. Bad tokens get the code InvalidSecurityToken
(assumption 9) or SecurityTokenExpired (assumption 10). A request is refused if it lacks an
additional header that its signature names (assumption 5). A signed content-length allows only that
size (assumption 3).
"""

from __future__ import annotations

import calendar
import hmac
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from sandbox.identities import (
    ExpiredSecurityToken,
    Identity,
    IdentityError,
    InvalidSecurityToken,
    MismatchedSecurityToken,
    MissingSecurityToken,
)
from sandbox.oss.call import Site, Target
from sandbox.oss.errors import OssError, access_denied, invalid_argument, v1_refused
from sandbox.oss.signatures import (
    UNSIGNED_PAYLOAD,
    V4_ALGORITHM,
    V4Scope,
    v1_signature,
    v1_string_to_sign,
    v4_canonical_request,
    v4_signature,
    v4_string_to_sign,
)

MAX_SKEW_SECONDS = 15 * 60  # largest clock skew of a request (vendor documentation)
MAX_V4_EXPIRES = 7 * 24 * 3600  # largest x-oss-expires (vendor documentation)

_TIMESTAMP = "%Y%m%dT%H%M%SZ"
_TIMESTAMP_FORM = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_V1_QUERY = ("OSSAccessKeyId", "Signature")
_V4_QUERY = ("x-oss-signature-version", "x-oss-credential", "x-oss-signature")
# The fields of a V1 form, each with the EC that OSS reports if it is missing. A form needs all
# three.
_V1_FIELDS = {"ossaccesskeyid": "", "policy": "0002-00000702", "signature": "0002-00000703"}


class _Place(NamedTuple):
    """A place in a request that may hold a V4 credential, and OSS's error for a wrong region in
    this credential."""

    argument: str
    region: str
    region_ec: str
    # The EC for all other faults in the credential's scope. `region_ec` is only for a wrong region.
    ec: str = ""


# The texts are from the vendor's page of each EC. OSS uses the same text for a fault in a URL and
# for a fault in a form.
_REGION = "The signing region in credential is invalid."
_IN_HEADER = _Place(
    "Credential", "Invalid signing region in Authorization header.", "0002-00000226"
)
_IN_URL = _Place("Credential", _REGION, "0002-00000228")
_IN_FORM = _Place("x-oss-credential", _REGION, "0002-00000715", "0002-00000710")


@dataclass(frozen=True)
class SignedRequest:
    """A request as it arrived. `raw_query` also says whether an empty value was sent as "name="."""

    method: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    raw_query: Sequence[tuple[str, str, bool]]


@dataclass(frozen=True)
class _Attempt:
    """One possible target of the request, and the signature that would be valid for it."""

    target: Target
    signature: str
    details: Mapping[str, str]


@dataclass(frozen=True)
class _Claim:
    """The identity that a request claims. The function `attempts` gets the secret of the claimed
    key, and computes the signatures that would be valid for this request."""

    access_key_id: str
    security_token: str | None
    signature: str
    attempts: Callable[[str, Target], list[_Attempt]]
    mismatch_ec: str


def authenticate(
    request: SignedRequest, targets: Sequence[Target], site: Site
) -> tuple[Identity | None, Target]:
    """Return the request's identity, and the target (bucket and key) that its signature covers.

    Without a signature, return None and the most likely target. Raises OssError.
    """
    claim = _claim(request, site)
    return (None, targets[0]) if claim is None else _verified(claim, targets, site)


def authenticate_form(fields: Mapping[str, str], site: Site) -> Identity | None:
    """Return the identity that signed a form's policy; None without a signature. Names of `fields`
    are in lower case.

    A signature in the headers or in the URL does not count for a form (vendor documentation).
    Raises OssError.
    """
    claim = _form_claim(fields, site)
    return None if claim is None else _verified(claim, [Target()], site)[0]


def _verified(claim: _Claim, targets: Sequence[Target], site: Site) -> tuple[Identity, Target]:
    try:
        identity = site.identities.find(claim.access_key_id, claim.security_token)
    except IdentityError as error:
        raise _unknown(error) from None
    failed: list[_Attempt] = []
    for target in targets:
        for attempt in claim.attempts(identity.access_key_secret, target):
            if hmac.compare_digest(attempt.signature.encode(), claim.signature.encode()):
                return identity, target
            failed.append(attempt)
    raise OssError(
        403,
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method.",
        claim.mismatch_ec,
        details={
            "OSSAccessKeyId": claim.access_key_id,
            "SignatureProvided": claim.signature,
            **failed[0].details,
        },
    )


def _claim(request: SignedRequest, site: Site) -> _Claim | None:
    header = request.headers.get("authorization")
    v1_query = any(name in request.query for name in _V1_QUERY)
    v4_query = any(name in request.query for name in _V4_QUERY)
    if (header is not None) + v1_query + v4_query > 1:
        raise invalid_argument("Only one auth mechanism is allowed.")
    v1_header = header is not None and header.startswith("OSS ")
    if (v1_header or v1_query) and not site.takes_v1:
        raise v1_refused(site.region)
    if header is not None and header.startswith(f"{V4_ALGORITHM} "):
        return _v4_header(request, header, site)
    if header is not None and v1_header:
        return _v1_header(request, header, site)
    if header is not None:
        raise invalid_argument("Authorization header is invalid.", "Authorization")
    if v1_query:
        return _v1_query(request, site)
    return _v4_query(request, site) if v4_query else None


def _form_claim(fields: Mapping[str, str], site: Site) -> _Claim | None:
    v1 = any(name in fields for name in ("ossaccesskeyid", "signature"))
    v4 = any(name in fields for name in (*_V4_QUERY, "x-oss-date"))
    if v1 and v4:
        raise invalid_argument("Only one auth mechanism is allowed.")
    if v1 and not site.takes_v1:
        raise v1_refused(site.region)
    if not (v1 or v4) and "policy" not in fields:
        return None
    # A form with a policy but without a signature counts as an incomplete V1 form if V1 is
    # accepted, and otherwise as an incomplete V4 form.
    if v4 or not site.takes_v1:
        return _v4_form(fields, site)
    for name, ec in _V1_FIELDS.items():
        if not fields.get(name):
            message = "A form needs OSSAccessKeyId, policy and Signature, and none may be empty."
            raise invalid_argument(message, name, ec=ec)
    text, signature = fields["policy"], fields["signature"]

    def attempts(secret: str, target: Target) -> list[_Attempt]:
        details = {"StringToSign": text, "StringToSignBytes": _hex(text.encode())}
        return [_Attempt(target, v1_signature(text.encode(), secret), details)]

    token = fields.get("x-oss-security-token")
    return _Claim(fields["ossaccesskeyid"], token, signature, attempts, "0002-00000705")


def _v4_form(fields: Mapping[str, str], site: Site) -> _Claim:
    for name in (*_V4_QUERY, "x-oss-date", "policy"):
        if not fields.get(name):
            raise invalid_argument(f"A form signed by V4 needs {name}.", name)
    _check_version(fields["x-oss-signature-version"])
    timestamp, credential = fields["x-oss-date"], fields["x-oss-credential"]
    _check_period(_v4_date(timestamp), MAX_V4_EXPIRES, site)
    scope = _scope(credential, timestamp, site, _IN_FORM)
    text = fields["policy"]

    def attempts(secret: str, target: Target) -> list[_Attempt]:
        details = {"StringToSign": text, "StringToSignBytes": _hex(text.encode())}
        return [_Attempt(target, v4_signature(text, secret, scope), details)]

    token = fields.get("x-oss-security-token")
    access_key_id = credential.partition("/")[0]
    return _Claim(access_key_id, token, fields["x-oss-signature"], attempts, "0002-00000705")


def _v1_header(request: SignedRequest, header: str, site: Site) -> _Claim:
    access_key_id, colon, signature = header.removeprefix("OSS ").strip().partition(":")
    if not colon:
        raise invalid_argument("Authorization header is invalid.", "Authorization")
    date = request.headers.get("x-oss-date", request.headers.get("date", ""))
    _check_skew(_http_date(date), site)
    token = request.headers.get("x-oss-security-token")
    return _v1_claim(request, access_key_id, signature, token, date)


def _v1_query(request: SignedRequest, site: Site) -> _Claim:
    expires = _query_value(request, "Expires")
    if not re.fullmatch("[0-9]{1,18}", expires):
        raise invalid_argument("Expires must be a number of seconds.", "Expires", expires)
    # Expires is checked before the signature, as in OSS.
    if int(expires) < site.clock():
        raise _expired(int(expires), site)
    return _v1_claim(
        request,
        _query_value(request, "OSSAccessKeyId"),
        _query_value(request, "Signature"),
        request.query.get("security-token"),
        expires,
    )


def _v1_claim(
    request: SignedRequest, access_key_id: str, signature: str, token: str | None, date: str
) -> _Claim:
    def attempts(secret: str, target: Target) -> list[_Attempt]:
        text = v1_string_to_sign(
            request.method, target.resource, request.headers, request.query, date
        )
        details = {"StringToSign": text.decode("utf-8", "replace"), "StringToSignBytes": _hex(text)}
        return [_Attempt(target, v1_signature(text, secret), details)]

    return _Claim(access_key_id, token, signature, attempts, "0002-00000040")


def _v4_header(request: SignedRequest, header: str, site: Site) -> _Claim:
    # oss2 separates the parts by ", ", and does not use the documented order of the parts.
    parts = [part.strip().partition("=") for part in header[len(V4_ALGORITHM) :].split(",")]
    values = {name: value for name, _, value in parts}
    if len(values) != len(parts) or not {"Credential", "Signature"} <= values.keys():
        raise invalid_argument("Authorization header is invalid.", "Authorization")
    # Some SDKs send Date instead of x-oss-date. Android's SDK sends a Date in the form of
    # x-oss-date. aliyun-oss-go-sdk (and so ossutil 1) sends a Date in HTTP's form, and signs the
    # text of this header (seen in its auth.go).
    timestamp = request.headers.get("x-oss-date")
    if timestamp is None:
        timestamp = request.headers.get("date", "")
        moment = _any_date(timestamp)
    else:
        moment = _v4_date(timestamp)
    _check_skew(moment, site)
    payload = request.headers.get("x-oss-content-sha256", UNSIGNED_PAYLOAD)
    if payload != UNSIGNED_PAYLOAD:
        raise invalid_argument(
            f"The x-oss-content-sha256 header must be {UNSIGNED_PAYLOAD}.",
            "x-oss-content-sha256",
            payload,
        )
    additional = values.get("AdditionalHeaders")
    token = request.headers.get("x-oss-security-token")
    return _v4_claim(
        request,
        values["Credential"],
        values["Signature"],
        token,
        timestamp,
        additional,
        site,
        _IN_HEADER,
    )


def _v4_query(request: SignedRequest, site: Site) -> _Claim:
    _check_version(_query_value(request, "x-oss-signature-version"))
    timestamp = _query_value(request, "x-oss-date")
    begins = _v4_date(timestamp)
    expires = _query_value(request, "x-oss-expires")
    if not re.fullmatch("[0-9]{1,6}", expires) or not 1 <= int(expires) <= MAX_V4_EXPIRES:
        raise invalid_argument(
            f"x-oss-expires must be from 1 to {MAX_V4_EXPIRES} seconds.",
            "x-oss-expires",
            expires,
            "0002-00000232",
        )
    _check_period(begins, int(expires), site)
    return _v4_claim(
        request,
        _query_value(request, "x-oss-credential"),
        _query_value(request, "x-oss-signature"),
        request.query.get("x-oss-security-token"),
        timestamp,
        request.query.get("x-oss-additional-headers"),
        site,
        _IN_URL,
    )


def _v4_claim(
    request: SignedRequest,
    credential: str,
    signature: str,
    token: str | None,
    timestamp: str,
    additional: str | None,
    site: Site,
    place: _Place,
) -> _Claim:
    scope = _scope(credential, timestamp, site, place)
    names = _additional(additional, request)
    pairs = [pair for pair in request.raw_query if pair[0] != "x-oss-signature"]
    # The documentation says that a parameter with an empty value is signed as "name". ali-oss signs
    # some of these parameters as "name=", so both spellings are tried.
    spellings = [[(name, value, False) for name, value, _ in pairs], pairs]

    def attempts(secret: str, target: Target) -> list[_Attempt]:
        made = []
        for spelling in spellings:
            canonical = v4_canonical_request(
                request.method,
                target.resource,
                request.headers,
                spelling,
                names,
                UNSIGNED_PAYLOAD,
            )
            text = v4_string_to_sign(canonical, timestamp, scope)
            details = {
                "StringToSign": text,
                "StringToSignBytes": _hex(text.encode()),
                "CanonicalRequest": canonical.decode("utf-8", "replace"),
            }
            made.append(_Attempt(target, v4_signature(text, secret, scope), details))
        return made

    access_key_id = credential.partition("/")[0]
    return _Claim(access_key_id, token, signature, attempts, "0002-00000201")


def _scope(credential: str, timestamp: str, site: Site, place: _Place) -> V4Scope:
    """`credential` is an access key id, "/", and a scope. Check this scope. `timestamp` has the
    form of x-oss-date or of a Date header."""
    day = time.strftime("%Y%m%d", time.gmtime(_any_date(timestamp)))
    scope = V4Scope(day, site.region)
    _, _, found = credential.partition("/")
    if found != str(scope):
        parts = found.split("/")
        is_region = len(parts) == 4 and parts[1] != site.region
        said, ec = (f"{place.region} ", place.region_ec) if is_region else ("", place.ec)
        raise invalid_argument(
            f"{said}The credential's scope must be {scope} (the day of the request, this region, "
            "oss and aliyun_v4_request).",
            place.argument,
            credential,
            ec,
        )
    return scope


def _additional(text: str | None, request: SignedRequest) -> list[str]:
    if text is None:
        return []
    names = text.split(";")
    if "" in names:
        raise invalid_argument(
            "AdditionalHeaders must not be empty.", "AdditionalHeaders", text, "0002-00000209"
        )
    if names != [name.lower() for name in names] or not set(names) <= request.headers.keys():
        raise invalid_argument(
            "AdditionalHeaders must name headers of the request, in lower case.",
            "AdditionalHeaders",
            text,
            "0002-00000210",
        )
    return names


def _unknown(error: IdentityError) -> OssError:
    if isinstance(error, MissingSecurityToken):
        return OssError(
            403,
            "InvalidAccessKeyId",
            "The OSS Access Key Id you provided does not exist in our records. "
            "The Security Token may be lost to specify that it is a STS Access Id.",
            "0002-00000003",
        )
    if isinstance(error, ExpiredSecurityToken):
        message = "The security token you provided has expired."
        return OssError(403, "SecurityTokenExpired", message, "0002-00000007")
    if isinstance(error, InvalidSecurityToken):
        mismatch = isinstance(error, MismatchedSecurityToken)
        ec = "0002-00000004" if mismatch else "0002-00000006"
        message = "The security token you provided is invalid."
        return OssError(403, "InvalidSecurityToken", message, ec)
    message = "The OSS Access Key Id you provided does not exist in our records."
    return OssError(403, "InvalidAccessKeyId", message, "0002-00000002")


def _expired(end: float, site: Site) -> OssError:
    return access_denied(
        "Request has expired.",
        "0002-00000069",
        Expires=_iso(end),
        ServerTime=_iso(site.clock()),
    )


def _check_version(version: str) -> None:
    if version != V4_ALGORITHM:
        raise invalid_argument(
            f"x-oss-signature-version must be {V4_ALGORITHM}.", "x-oss-signature-version", version
        )


def _check_period(begins: float | None, seconds: int, site: Site) -> None:
    if begins is None or site.clock() < begins - MAX_SKEW_SECONDS:
        raise access_denied("Request is not valid yet.", "0002-00000235")
    if site.clock() > begins + seconds:
        raise _expired(begins + seconds, site)


def _check_skew(moment: float | None, site: Site) -> None:
    if moment is None:
        raise access_denied("OSS authentication requires a valid Date.")
    if abs(moment - site.clock()) > MAX_SKEW_SECONDS:
        raise OssError(
            403,
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
            "0002-00000504",
            details={
                "MaxAllowedSkewMilliseconds": str(MAX_SKEW_SECONDS * 1000),
                "RequestTime": _iso(moment),
                "ServerTime": _iso(site.clock()),
            },
        )


def _query_value(request: SignedRequest, name: str) -> str:
    try:
        return request.query[name]
    except KeyError:
        raise invalid_argument(f"A signed URL needs {name}.", name) from None


def _http_date(text: str) -> float | None:
    try:
        # A date with -0000 instead of GMT would become a time without a zone.
        return parsedate_to_datetime(text).timestamp() if text.endswith("GMT") else None
    except (ValueError, OverflowError):
        return None


def _any_date(text: str) -> float | None:
    moment = _v4_date(text)
    return _http_date(text) if moment is None else moment


def _v4_date(text: str) -> float | None:
    if not _TIMESTAMP_FORM.fullmatch(text):
        return None
    try:
        return calendar.timegm(time.strptime(text, _TIMESTAMP))
    except ValueError:
        return None


def _iso(moment: float) -> str:
    # A hostile Expires may have a year that strftime cannot write.
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(moment))
    except (OverflowError, ValueError, OSError):
        return str(moment)


def _hex(text: bytes) -> str:
    return " ".join(f"{byte:02X}" for byte in text)
