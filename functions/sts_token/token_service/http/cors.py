"""CORS headers for requests from pages of other origins. Cookies are never used, so "*" is allowed.
The bucket has its own CORS rules. A wrong entry of a variable is left out, and the other entries
still work. The log reports the wrong entry once, and /health reports it in each answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from token_service.errors import ServiceError
from token_service.http.messages import Request
from token_service.request_log import log
from token_service.settings import variables as v
from token_service.settings.parsing import Reader, Refused, texts
from token_service.settings.values import DEFAULT_PORTS

if TYPE_CHECKING:
    from token_service.instance import Instance

METHODS = ("GET", "POST", "HEAD")  # pages may use these
REQUEST_HEADERS = ("authorization", "content-type")  # pages may always send these
MAX_HEADERS, MAX_PORT = 20, 65535  # our own limit for ALLOWED_HEADERS, and TCP's last port
MAX_AGE_SECONDS = 600
"""How long a browser may cache a preflight's answer. Chromium's own limit is 7,200."""
# OSS refuses wrong times, so clients read the right time in Date. Our 429 sends Retry-After.
_EXPOSED = "Date, Retry-After, X-Fc-Request-Id"
# An origin as browsers send it: scheme (RFC 3986, section 3.1), host and port (URL Standard).
_ORIGIN = r"([a-z][a-z0-9+.-]*)://([A-Za-z0-9._-]+|\[[0-9a-f:]+\])(?::([1-9][0-9]{0,4}))?"
_ORIGINS = (
    "origins as browsers send them, like https://app.example.com or capacitor://localhost, "
    "separated by commas, without path; or *"
)
# No origin has these schemes: either no page has such a URL, or browsers send "null" as origin.
_NO_APPS = "file data blob about javascript filesystem content view-source ftp ws wss".split()
# A field name (RFC 9110, section 5.1) without "*". Some names that no page can set are left out.
# The Fetch Standard ("forbidden request-header") lists more such names, which do no harm here.
_NAME = r"(?!(?:cookie|host|origin)$|sec-|proxy-)[!#$%&'+.^_`|~0-9a-z-]+"
_NAMES = (
    f"names of headers (RFC 9110), separated by commas, {MAX_HEADERS} at most; no *, cookie, host, "
    "origin, sec-… or proxy-…"
)


def origins(value: str) -> tuple[str, ...]:
    """Read ALLOWED_ORIGINS. Raises Refused, which gives the number of each wrong entry."""
    return _read(value, _ORIGINS, _origin_fault)


def header_names(value: str) -> tuple[str, ...]:
    """Read ALLOWED_HEADERS in lower case, as browsers send them. Raises Refused like origins()."""
    return _read(value.lower(), _NAMES, _name_fault, MAX_HEADERS)


def _read(value: str, like: str, fault_of: Callable[[str], str], most: int = -1) -> tuple[str, ...]:
    sound, wrong = dict[str, None](), list[str]()
    for number, entry in enumerate(filter(None, map(str.strip, value.split(","))), 1):
        more = f"more than {most}" if len(sound) == most and entry not in sound else ""
        if fault := fault_of(entry) or more:
            wrong.append(f"entry {number} is left out: {fault}")
        else:
            sound[entry] = None
    if wrong:
        wrong[5:] = wrong[5:] and ["and more"]
        refused = Refused(f"must be {like}; {'; '.join(wrong)}")
        refused.sound = tuple(sound)
        raise refused
    return tuple(sound)


def _origin_fault(origin: str) -> str:
    """Say what is wrong with an origin, or "". The origin is not quoted, as it may be a secret."""
    found = re.fullmatch(_ORIGIN, origin)
    if not found or int(found[3] or 1) > MAX_PORT:
        return {"*": "", "null": "any page can send null"}.get(origin, "it is not an origin")
    scheme, host, port = found.groups()
    if scheme in _NO_APPS or scheme.rpartition("-")[2] == "extension":
        return "no web site or app has its scheme"
    if port == str(DEFAULT_PORTS.get(scheme)):
        return f"browsers leave out port {port} for {scheme}"
    # By the URL Standard, hosts of http and https are in lower case. Hosts of apps may differ.
    is_sent_so = scheme not in DEFAULT_PORTS or host == host.lower()
    return "" if is_sent_so else "browsers send its host in lower case"


def _name_fault(name: str) -> str:
    return "" if re.fullmatch(_NAME, name) else "it is not a valid name"


class CorsRefused(ServiceError):
    """Raised when a preflight asks for a request that is not allowed."""

    status = 403
    code = "CorsRefused"


class Cors:
    """CORS by ALLOWED_ORIGINS (exact origins, or "*" for all) and ALLOWED_HEADERS (`more`)."""

    def __init__(self, origins: tuple[str, ...], more: tuple[str, ...] = ()) -> None:
        self._any = "*" in origins
        self._origins = frozenset(origins)
        self._request_headers = tuple(dict.fromkeys([*REQUEST_HEADERS, *more]))
        self._preflight = {
            "Access-Control-Allow-Methods": ", ".join(METHODS),
            "Access-Control-Allow-Headers": ", ".join(self._request_headers),
            "Access-Control-Max-Age": str(MAX_AGE_SECONDS),
        }
        # If origins are listed, every answer, also a refusal, depends on the request's origin.
        self._vary = {} if self._any or not origins else {"Vary": "Origin"}

    def headers(self, request: Request) -> dict[str, str]:
        """Return the headers that let a page of an allowed origin read the answer."""
        origin = request.headers.get("origin")
        if origin is None or not self._allows(origin):
            return self._vary
        allowed = "*" if self._any else origin
        return {
            **self._vary,
            "Access-Control-Allow-Origin": allowed,
            "Access-Control-Expose-Headers": _EXPOSED,
        }

    def preflight(self, request: Request) -> dict[str, str]:
        """Return the headers that allow the request that a browser is about to send. An OPTIONS
        without Origin is no preflight, and gets none of these headers. Raises CorsRefused,
        which says what failed."""
        headers = request.headers
        if "origin" not in headers:
            return self._vary
        faults, hints = [], []
        if not self._allows(headers["origin"]):
            faults.append("the origin is not allowed")
            hints.append("ALLOWED_ORIGINS does not name it")
        if headers.get("access-control-request-method", "GET") not in METHODS:
            faults.append(f"the method must be one of {', '.join(METHODS)}")
        asked = texts(headers.get("access-control-request-headers", "").lower())
        if not set(asked) <= set(self._request_headers):
            faults.append(f"headers must be among {', '.join(self._request_headers)}")
            hints.append("ALLOWED_HEADERS can allow more")
        if faults:
            raise CorsRefused("; ".join(faults), "; ".join(hints), self._vary)
        return {**self.headers(request), **self._preflight}

    def _allows(self, origin: str) -> bool:
        return self._any or origin in self._origins


def of(at: Instance) -> Cors:
    """Make the Cors, for Instance.get. Pages can read errors even if other settings are wrong."""
    found = []
    for variable in (v.ALLOWED_ORIGINS, v.ALLOWED_HEADERS):
        try:
            found.append(variable.parse(Reader(at.env).text(variable)))
        except Refused as refused:
            log.warning("%s: %s", variable.name, refused)
            found.append(refused.sound)
    return Cors(*found)
