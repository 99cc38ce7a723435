"""What every client demands of the token URL's answer. Pure functions.

Each returns the faults in words, without quoting a token. clients.py has what only one client
demands. The facts beside each rule were seen in real clients: Android 2.9.20, iOS 2.11.1, ali-oss
6.23, oss2, and the SDKs that read the URL as a `credentials_uri`.
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
"""The members at the top of a token; all are required, and no other is allowed."""
SCOPE = ("Bucket", "Region", "Endpoint", "Prefix", "Policy")

MIN_LEFT_SECONDS = 300
"""With less left, Android and iOS fetch a new token for each request."""
MAX_LEFT_SECONDS = 43200
"""STS's longest session."""
BACK_END_SECONDS = 900
"""With less left, SDKs with a credentials_uri fetch a new token for each call."""
SKEW_SECONDS = 60
"""Two correct clocks are within one second. OSS refuses a difference of 15 minutes; a smaller one
can already make a token look valid to the client after it has ended."""

CONTENT_TYPE = "application/json; charset=utf-8"
_STAMP = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"
# Not in the middle of base64, where any four letters can occur by chance.
_LONG_LIVED = r"(?<![A-Za-z0-9+/=_-])LTAI[A-Za-z0-9]{6,}"


class NotADocument(Exception):
    """Raised when an answer's body is not a JSON object; the message says what it seems to be."""


def read(reply: Reply) -> Document:
    """Read the body as strictly as the strictest client does. Raises NotADocument."""
    return parse(reply.body)


def parse(body: bytes) -> Document:
    """Read a JSON object in UTF-8, with each name once, without a byte order mark."""
    if body.startswith(b"\xef\xbb\xbf"):
        raise NotADocument("it begins with a byte order mark, which JSON parsers refuse")
    if body.startswith(b"\x1f\x8b"):
        raise NotADocument("it is compressed, though the client did not ask for that")
    if body.lstrip()[:1] == b"<":
        raise NotADocument("it is HTML or XML, not JSON")
    try:
        document = json.loads(body, object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        what = "is empty" if not body.strip() else "is not JSON"
        raise NotADocument(f"the body {what}") from None
    if not isinstance(document, dict):
        raise NotADocument("it is not a JSON object, and iOS crashes on an array")
    return document


def header_faults(reply: Reply, real_status: int = 200) -> list[str]:
    """Check the status and headers for all clients; a failure may have its `real_status`."""
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
        faults.append(f"Content-Encoding is {encoding}, though the client did not ask for it")
    return faults


def token_faults(document: Document) -> list[str]:
    """Check which members a token has, and their values."""
    refusal = refusal_of(document)
    if refusal is not None:
        return [f"there is no token, but {refusal}"]
    faults = []
    status = document.get("StatusCode")
    if status != 200 or not isinstance(status, int):
        faults.append("StatusCode must be the number 200: Android and iOS compare it")
    for name in CREDENTIALS:
        fault = _text_fault(document, name)
        if fault:
            faults.append(fault)
    if document.get("Code") != "Success":
        faults.append('Code must be "Success": the Python, Java and CLI credentials_uri demand it')
    if not is_stamp(document.get("LastUpdated")):
        faults.append("LastUpdated must be like 2026-11-23T02:15:11Z: oss2 refreshes by it")
    scope = document.get("Scope")
    if not isinstance(scope, dict):
        faults.append("Scope must be an object: it tells the app where to upload")
    else:
        faults += [fault for name in SCOPE if (fault := _text_fault(scope, name, "Scope."))]
        # Versions before 1.1.0 have none.
        if not isinstance(scope.get("Cname", False), bool):
            faults.append("Scope.Cname must be true or false, since it configures SDKs")
    # ali-oss lower-cases each name's first letter and assigns all of them over its own options.
    others = sorted(name for name in document if name not in MEMBERS)
    if others:
        named = ", ".join(repr(name[:40]) for name in others[:5])
        faults.append(f"{named} at the top: ali-oss takes it as its own option; extras go in Scope")
    return faults


def expiration_faults(document: Document, now: float) -> list[str]:
    """Check the form of Expiration, and how much is left at `now` (unix seconds)."""
    value = document.get("Expiration")
    if not is_stamp(value):
        return [f"Expiration {_stamp_fault(value)}"]
    left = seconds_left(document, now)
    if left <= MIN_LEFT_SECONDS:
        return [
            f"only {left:.0f} s are left: with {MIN_LEFT_SECONDS} s or less Android and iOS fetch "
            "a token anew for each request"
        ]
    if left > MAX_LEFT_SECONDS + SKEW_SECONDS:
        return [f"{left:.0f} s are left, which is more than STS's longest session"]
    return []


def seconds_left(document: Document, now: float) -> float:
    """Return how long a token with a valid Expiration lasts."""
    return stamp(document["Expiration"]) - now


def key_faults(reply: Reply, document: Document) -> list[str]:
    """Check that the key is temporary, and that no other key is shown."""
    key_id = document.get("AccessKeyId")
    faults = []
    if isinstance(key_id, str) and re.match(_LONG_LIVED, key_id):
        faults.append("AccessKeyId is a long-lived key (LTAI…): disable that key now")
    elif not isinstance(key_id, str) or not key_id.startswith("STS."):
        faults.append("AccessKeyId must be a temporary key's, which begins with STS.")
    shown = len(re.findall(_LONG_LIVED.encode(), reply.body))
    if shown and not faults:
        faults.append("a long-lived key id (LTAI…) is shown in the answer")
    return faults


def clock_faults(reply: Reply, document: Document) -> list[str]:
    """Compare LastUpdated (the function's clock) and Date (the platform's) with this clock."""
    faults = []
    clocks = {"LastUpdated": document.get("LastUpdated"), "Date": reply.header("Date")}
    for name, value in clocks.items():
        seconds = stamp(value) if is_stamp(value) else http_date(value)
        if seconds is None:
            faults.append(
                f"{name} is missing or unreadable: clients cannot correct their clock by it"
            )
            continue
        if fault := skew_fault(name, seconds, reply):
            faults.append(fault)
    return faults


def skew_fault(name: str, seconds: float, reply: Reply) -> str | None:
    """Say how far a server's time (unix seconds) is off, None if it is close enough."""
    # Times are whole seconds, taken at some moment of the exchange.
    skew = seconds - reply.began
    skew = min(skew + 1, 0) if skew < 0 else max(skew - reply.seconds, 0)
    if abs(skew) <= SKEW_SECONDS:
        return None
    side = "ahead of" if skew > 0 else "behind"
    return f"{name} is {abs(skew):.0f} s {side} this machine's clock: one of the two is wrong"


def failure_faults(reply: Reply, status: int) -> list[str]:
    """Check a failure, whose StatusCode must be `status`; its HTTP status may be real."""
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
        faults.append('Code is "Success" in a failure')
    given = [name for name in (*CREDENTIALS, "Expiration") if name in document]
    if given:
        faults.append(f"{', '.join(given)} in a failure")
    return faults


def refusal_of(document: Document) -> str | None:
    """Return the function's own error in words, None if the answer is not one."""
    code, message = document.get("ErrorCode"), document.get("ErrorMessage")
    if code is None and message is None:
        return None
    return f"{code}: {message}"


def is_stamp(value: object) -> bool:
    """Whether it is exactly YYYY-MM-DDTHH:MM:SSZ, and an existing time."""
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
    """Return the unix time of an HTTP Date header, None if it is malformed."""
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
    return f"HTTP {reply.status}: must be 200, Android throws away the body of an error"


def _host_of(location: str | None) -> str:
    """Return only the host, since a URL may have a login."""
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
        return f'{place}{name} is null: Android takes it for the text "null", iOS crashes'
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
        return "has a fraction of a second: iOS then fetches a token anew for each request"
    if re.fullmatch(_STAMP[:-1] + r"[+-][0-9:]+", value):
        return "has an offset, which Android ignores: it would use the token for hours too long"
    if re.fullmatch(_STAMP[:-1], value):
        return "lacks the Z: it must be UTC"
    return "must be exactly like 2026-11-23T03:15:11Z; Android gives any other form 30 s"
