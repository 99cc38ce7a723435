"""Pure functions that check the token URL's answer. They check what every client needs.

Each function returns the faults as text that quotes no token. If only one client demands something,
clients.py checks it. The facts for each rule were seen in real clients: Android 2.9.20, iOS 2.11.1,
ali-oss 6.23, oss2, and the SDKs that read the URL as a `credentials_uri`.
"""

from __future__ import annotations

import calendar
import json
import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ops.smoke.wire import Reply

Document = Mapping[str, Any]

CREDENTIALS = ("AccessKeyId", "AccessKeySecret", "SecurityToken")
MEMBERS = ("StatusCode", *CREDENTIALS, "Expiration", "Code", "LastUpdated", "Scope")
"""The members at the top of a token. All of them are required, and no other member is allowed."""
SCOPE = ("Bucket", "Region", "Endpoint", "Prefix", "Policy")

MIN_LEFT_SECONDS = 300
"""If a token has less time left, Android and iOS fetch a new token for each request."""
MAX_LEFT_SECONDS = 43200
"""The longest session of STS."""
BACK_END_SECONDS = 900
"""If a token has less time left, SDKs with a credentials_uri fetch a new token for each call."""
SKEW_SECONDS = 60
"""Correct clocks differ by less than one second. OSS refuses a clock skew of 15 minutes. A smaller
clock skew is a problem too: an expired token may look valid to the client."""

CONTENT_TYPE = "application/json; charset=utf-8"
_STAMP = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"
# The pattern does not match inside base64, where any four letters can occur by chance.
_LONG_LIVED = r"(?<![A-Za-z0-9+/=_-])LTAI[A-Za-z0-9]{6,}"


class NotADocument(Exception):
    """Raised when the body of an answer is not a JSON object. The message says what the body
    seems to be."""


def read(reply: Reply) -> Document:
    """Read the body as strictly as the strictest client does. Raises NotADocument."""
    return parse(reply.body)


def parse(body: bytes) -> Document:
    """Read a JSON object in UTF-8. No name may occur twice, and the answer must not begin with a
    byte order mark."""
    if body.startswith(b"\xef\xbb\xbf"):
        raise NotADocument("the body begins with a byte order mark, which JSON parsers refuse")
    if body.startswith(b"\x1f\x8b"):
        raise NotADocument("the body is compressed, but the client did not ask for compression")
    if body.lstrip()[:1] == b"<":
        raise NotADocument("the body is HTML or XML, not JSON")
    try:
        document = json.loads(body, object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        what = "is empty" if not body.strip() else "is not JSON"
        raise NotADocument(f"the body {what}") from None
    if not isinstance(document, dict):
        raise NotADocument("the body must be a JSON object: iOS crashes on an array")
    return document


def header_faults(reply: Reply, real_status: int = 200) -> list[str]:
    """Check the status and headers for all clients. The HTTP status must be 200 or
    `real_status`."""
    faults = []
    if reply.status not in (200, real_status):
        faults.append(_status_fault(reply))
    content_type = reply.header("Content-Type")
    if "".join((content_type or "").lower().split()) != CONTENT_TYPE.replace(" ", ""):
        faults.append(f"Content-Type is {content_type or 'missing'}: must be {CONTENT_TYPE}")
    cached = (reply.header("Cache-Control") or "").lower()
    if "no-store" not in [part.strip() for part in cached.split(",")]:
        faults.append("Cache-Control lacks no-store: iOS would keep the token in its shared cache")
    if reply.header("Content-Length") is None:
        faults.append("Content-Length is missing: ossfs2 needs it")
    encoding = reply.header("Content-Encoding")
    if encoding is not None:
        faults.append(f"Content-Encoding is {encoding}, but the client did not ask for it")
    return faults


def token_faults(document: Document) -> list[str]:
    """Check which members a token has, and their values."""
    refusal = refusal_of(document)
    if refusal is not None:
        return [f"there is no token, but an error: {refusal}"]
    faults = []
    status = document.get("StatusCode")
    if status != 200 or not isinstance(status, int):
        faults.append("StatusCode must be the number 200, which Android and iOS expect")
    for name in CREDENTIALS:
        fault = _text_fault(document, name)
        if fault:
            faults.append(fault)
    if document.get("Code") != "Success":
        faults.append('Code must be "Success": credentials_uri in Python, Java and CLI requires it')
    if not is_stamp(document.get("LastUpdated")):
        faults.append("LastUpdated must be like 2026-11-23T02:15:11Z: oss2 needs it to refresh")
    scope = document.get("Scope")
    if not isinstance(scope, dict):
        faults.append("Scope must be an object: it tells the app where to upload")
    else:
        faults += [fault for name in SCOPE if (fault := _text_fault(scope, name, "Scope."))]
        # Versions before 1.1.0 have no Cname.
        if not isinstance(scope.get("Cname", False), bool):
            faults.append("Scope.Cname must be true or false, because it configures SDKs")
    # ali-oss turns the first letter of each member's name into lower case. Then ali-oss copies all
    # members over its own options.
    others = sorted(name for name in document if name not in MEMBERS)
    if others:
        named = ", ".join(repr(name[:40]) for name in others[:5])
        faults.append(
            f"{named} must not be at the top: ali-oss reads it as an option. Move it to Scope"
        )
    return faults


def expiration_faults(document: Document, now: float) -> list[str]:
    """Check the form of Expiration, and how much time is left at `now` (unix seconds)."""
    value = document.get("Expiration")
    if not is_stamp(value):
        return [f"Expiration {_stamp_fault(value)}"]
    left = seconds_left(document, now)
    if left <= MIN_LEFT_SECONDS:
        return [
            f"only {left:.0f} s are left: with {MIN_LEFT_SECONDS} s or less, Android and iOS fetch "
            "a new token for each request"
        ]
    if left > MAX_LEFT_SECONDS + SKEW_SECONDS:
        return [f"{left:.0f} s are left, which is more than STS's longest session"]
    return []


def seconds_left(document: Document, now: float) -> float:
    """Return how many seconds a token with a valid Expiration has left."""
    return stamp(document["Expiration"]) - now


def key_faults(reply: Reply, document: Document) -> list[str]:
    """Check that the key is temporary, and that no other key is shown."""
    key_id = document.get("AccessKeyId")
    faults = []
    if isinstance(key_id, str) and re.match(_LONG_LIVED, key_id):
        faults.append("AccessKeyId is a long-lived key (LTAI…): disable that key now")
    elif not isinstance(key_id, str) or not key_id.startswith("STS."):
        faults.append("AccessKeyId must be the id of a temporary key: it must begin with STS.")
    shown = len(re.findall(_LONG_LIVED.encode(), reply.body))
    if shown and not faults:
        faults.append("the answer contains the id of a long-lived key (LTAI…)")
    return faults


def clock_faults(reply: Reply, document: Document) -> list[str]:
    """Compare LastUpdated (the function's clock) and Date (the platform's clock) with the clock of
    this machine."""
    faults = []
    clocks = {"LastUpdated": document.get("LastUpdated"), "Date": reply.header("Date")}
    for name, value in clocks.items():
        seconds = stamp(value) if is_stamp(value) else http_date(value)
        if seconds is None:
            faults.append(
                f"{name} is missing or unreadable: clients need it to correct their clock"
            )
            continue
        if fault := skew_fault(name, seconds, reply):
            faults.append(fault)
    return faults


def skew_fault(name: str, seconds: float, reply: Reply) -> str | None:
    """Return a fault with the clock skew of a server's time (unix seconds), or None if the skew is
    small."""
    # The server's time has no fraction of a second. The server may have read its clock at any
    # moment between the request and the answer.
    skew = seconds - reply.began
    skew = min(skew + 1, 0) if skew < 0 else max(skew - reply.seconds, 0)
    if abs(skew) <= SKEW_SECONDS:
        return None
    side = "ahead of" if skew > 0 else "behind"
    return f"{name} is {abs(skew):.0f} s {side} this machine's clock: one of the clocks is wrong"


def failure_faults(reply: Reply, status: int) -> list[str]:
    """Check an error answer. StatusCode in the body must be `status`. The HTTP status must be 200
    or `status`."""
    faults = header_faults(reply, status)
    try:
        document = read(reply)
    except NotADocument as error:
        return [*faults, str(error)]
    if document.get("StatusCode") != status:
        faults.append(f"StatusCode must be the number {status}")
    for name in ("ErrorCode", "ErrorMessage"):
        if not isinstance(document.get(name), str) or not document[name]:
            faults.append(f"{name} must be text that is not empty")
    if document.get("Code") == "Success":
        faults.append('Code must not be "Success" in an error answer')
    given = [name for name in (*CREDENTIALS, "Expiration") if name in document]
    if given:
        faults.append(f"{', '.join(given)} must not be in an error answer")
    return faults


def refusal_of(document: Document) -> str | None:
    """Return the code and message if the answer is an error of the function, otherwise None."""
    code, message = document.get("ErrorCode"), document.get("ErrorMessage")
    if code is None and message is None:
        return None
    return f"{code}: {message}"


def is_stamp(value: object) -> bool:
    """Whether a value has exactly the form YYYY-MM-DDTHH:MM:SSZ, and is a time that exists."""
    if not isinstance(value, str) or not re.fullmatch(_STAMP, value):
        return False
    try:
        time.strptime(value, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        return False
    return True


def stamp(value: Any) -> float:
    """Return the unix time of a valid stamp."""
    return calendar.timegm(time.strptime(value, "%Y-%m-%dT%H:%M:%SZ"))


def http_date(value: object) -> float | None:
    """Return the unix time of an HTTP Date header, or None if it is malformed."""
    if not isinstance(value, str):
        return None
    try:
        return calendar.timegm(time.strptime(value, "%a, %d %b %Y %H:%M:%S GMT"))
    except ValueError:
        return None


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name is given twice")
    return made


def _status_fault(reply: Reply) -> str:
    if 300 <= reply.status < 400:
        return f"HTTP {reply.status}, a redirect{_host_of(reply.header('Location'))}: must be 200"
    return f"HTTP {reply.status}: must be 200, because Android ignores the body of an error"


def _host_of(location: str | None) -> str:
    """Return only the host of the redirect, because its URL may contain a login."""
    try:
        host = urlsplit(location or "").hostname
    except ValueError:
        return ""
    return f" to {host}" if host else ""


def _text_fault(document: Document, name: str, place: str = "") -> str | None:
    if name not in document:
        return f"{place}{name} is missing"
    value = document[name]
    if value is None:
        return f'{place}{name} is null: Android reads it as the text "null", and iOS crashes'
    if not isinstance(value, str):
        return f"{place}{name} must be text: iOS crashes on anything else"
    if not re.fullmatch("[!-~]+", value):
        return f"{place}{name} must be printable ASCII, and not empty"
    return None


def _stamp_fault(value: object) -> str:
    if value is None:
        return "is missing or null"
    if not isinstance(value, str):
        return "must be text: iOS crashes on a number"
    if re.fullmatch(_STAMP[:-1] + r"\.[0-9]+Z?", value):
        return "has a fraction of a second: iOS then fetches a new token for each request"
    if re.fullmatch(_STAMP[:-1] + r"[+-][0-9:]+", value):
        return "has an offset. Android ignores it, and may use the token for hours after its end"
    if re.fullmatch(_STAMP[:-1], value):
        return "lacks the Z: it must be UTC"
    return "must be exactly like 2026-11-23T03:15:11Z; Android reads other forms as 30 s from now"
