"""How each client asks for a token, and the demands that only this client makes on the answer.

contract.py has the demands that all clients make. The behaviour of the clients was seen in runs or
in their source. The behaviour of browsers is from the Fetch Standard.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from ops.smoke import contract
from ops.smoke.contract import CREDENTIALS, Document, NotADocument
from ops.smoke.wire import Reply

ANDROID_HEADERS: Mapping[str, str] = {}
"""OSSAuthCredentialsProvider sends no headers, so a login can only be in the URL."""

IOS_HEADERS: Mapping[str, str] = {
    "Accept": "*/*",
    "Accept-Language": "en-GB,en;q=0.9",
    "Accept-Encoding": "gzip, deflate",
    "User-Agent": "Smoke/1 CFNetwork/1568.200.51 Darwin/24.1.0",
}
"""The headers that NSURLSession adds. OSSAuthCredentialProvider adds no headers."""

BACK_END_HEADERS: Mapping[str, str] = {"Accept-Encoding": "identity", "Connection": "close"}
"""The vendor's SDKs with a `credentials_uri` send a plain GET with these headers."""

STRANGER = "https://smoke-test.invalid"
"""An origin that nobody can have (RFC 2606)."""


def android_faults(reply: Reply, now: float) -> list[str]:
    """Check the answer as OSSAuthCredentialsProvider 2.9.20 does, which reads five members one by
    one."""
    if reply.status >= 400:
        return [f"HTTP {reply.status}: the SDK throws before it reads the body"]
    if reply.status != 200:
        return [f"HTTP {reply.status}: must be 200"]
    return _faults(reply.body, now, unparseable="counts as 30 s from now")


def ios_faults(reply: Reply, now: float) -> list[str]:
    """Check the answer as OSSAuthCredentialProvider 2.11.1 does: it ignores the HTTP status, and
    needs a JSON object."""
    try:
        body = _unpacked(reply)
    except zlib.error:
        return ["the compressed body cannot be unpacked"]
    return _faults(body, now, unparseable="makes the SDK fetch a new token for each request")


def credentials_uri_faults(reply: Reply, now: float) -> list[str]:
    """Check what the vendor's CLI and its SDKs for Python, Java, Node and Go need: the status HTTP
    200, the member Code, and the four members of the credentials."""
    if reply.status != 200:
        return [f"HTTP {reply.status}: must be 200"]
    try:
        document = contract.read(reply)
    except NotADocument as error:
        return [str(error)]
    if document.get("Code") != "Success":
        return ['Code must be "Success"']
    faults = _member_faults(document)
    if not contract.is_stamp(document.get("Expiration")):
        faults.append("Expiration cannot be parsed")
    elif contract.seconds_left(document, now) <= 0:
        faults.append("the token has expired")
    return faults


def preflight_headers(origin: str) -> dict[str, str]:
    """Return the headers of a preflight. A browser sends this preflight before a request that has
    its login in a header."""
    return {
        "Origin": origin,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }


def preflight_faults(reply: Reply, origin: str) -> list[str]:
    """Return the faults that prevent a page of `origin` from sending `Authorization`."""
    faults = []
    if not 200 <= reply.status < 300:
        faults.append(
            f"HTTP {reply.status}: must be 2xx (is OPTIONS one of the trigger's methods?)"
        )
    faults += _origin_faults(reply, origin)
    methods = _listed(reply, "Access-Control-Allow-Methods")
    # GET, POST and HEAD need no permission; a browser asks only for other methods.
    headers = _listed(reply, "Access-Control-Allow-Headers")
    # "*" never covers Authorization.
    if "authorization" not in headers:
        faults.append("Access-Control-Allow-Headers lacks authorization")
    if methods and not methods & {"get", "*"}:
        faults.append("Access-Control-Allow-Methods lacks GET")
    return faults


def page_faults(reply: Reply, origin: str) -> list[str]:
    """Return the faults that prevent a page of `origin` from reading the answer or the server's
    time."""
    faults = _origin_faults(reply, origin)
    if not _listed(reply, "Access-Control-Expose-Headers") & {"date", "*"}:
        faults.append("Access-Control-Expose-Headers lacks Date: pages cannot see a wrong clock")
    if reply.header("Access-Control-Allow-Origin") == origin and "origin" not in _listed(
        reply, "Vary"
    ):
        faults.append("Vary lacks Origin: a cache could give one page the answer for another page")
    return faults


def strangers_leave(reply: Reply) -> str | None:
    """Return "*" or "any origin" if pages of any origin can read the answer, otherwise None."""
    allowed = reply.header("Access-Control-Allow-Origin")
    if allowed == "*":
        return "*"
    return "any origin" if allowed == STRANGER else None


def _origin_faults(reply: Reply, origin: str) -> list[str]:
    faults = []
    allowed = reply.header("Access-Control-Allow-Origin")
    if allowed is None:
        faults.append(f"no Access-Control-Allow-Origin for {origin}: does ALLOWED_ORIGINS have it?")
    elif allowed not in ("*", origin):
        faults.append("Access-Control-Allow-Origin names another origin")
    if reply.header("Access-Control-Allow-Credentials") is not None:
        faults.append("Access-Control-Allow-Credentials is set, but no cookies are used")
    return faults


def _faults(body: bytes, now: float, *, unparseable: str) -> list[str]:
    try:
        document = contract.parse(body)
    except NotADocument as error:
        return [str(error)]
    refusal = contract.refusal_of(document)
    if refusal is not None:
        return [f"the SDK reports {refusal}"]
    faults = _member_faults(document)
    if document.get("StatusCode") != 200:
        faults.append("StatusCode is not the number 200: the SDK treats it as a failure")
    expiration = document.get("Expiration")
    if isinstance(expiration, str) and not contract.is_stamp(expiration):
        faults.append(f"an Expiration of this form {unparseable}")
    elif contract.is_stamp(expiration):
        left = contract.seconds_left(document, now)
        if left <= contract.MIN_LEFT_SECONDS:
            faults.append(f"{left:.0f} s left: the SDK fetches a new token for each request")
    return faults


def _member_faults(document: Document) -> list[str]:
    return [
        f"{name} must be text that is not empty"
        for name in (*CREDENTIALS, "Expiration")
        if not isinstance(document.get(name), str) or not document[name]
    ]


def _unpacked(reply: Reply) -> bytes:
    encoding = (reply.header("Content-Encoding") or "").lower()
    if encoding not in ("gzip", "deflate"):
        return reply.body
    # The flag 32 lets zlib detect from the header whether the format is gzip or zlib.
    return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(reply.body, 1 << 20)


def _listed(reply: Reply, name: str) -> set[str]:
    return {part.strip().lower() for part in (reply.header(name) or "").split(",")} - {""}
