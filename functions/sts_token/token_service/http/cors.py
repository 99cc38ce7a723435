"""What browsers ask before and along with a request from another origin's page. Cookies are never
used, so "*" is allowed. The bucket has CORS rules of its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from token_service.errors import Misconfiguration, ServiceError
from token_service.http.messages import Request
from token_service.settings.parsing import Refused, texts

if TYPE_CHECKING:
    from token_service.instance import Instance

METHODS = ("GET", "POST", "HEAD")
REQUEST_HEADERS = ("authorization", "content-type")
MAX_AGE_SECONDS = 600
"""How long a browser may keep a preflight's answer: Chromium's own limit is 7,200."""
# Date: a client mends its clock by it, or OSS refuses its signatures. Retry-After: of our 429.
_EXPOSED = "Date, Retry-After, X-Fc-Request-Id"
# In lower case, as browsers send them.
_ORIGIN = r"\*|https?://[a-z0-9.-]+(?::[0-9]{1,5})?|https?://\[[0-9a-f:]+\](?::[0-9]{1,5})?"


def origins(value: str) -> tuple[str, ...]:
    """Read ALLOWED_ORIGINS. Raises Refused."""
    found = texts(value)
    if not all(re.fullmatch(_ORIGIN, origin) for origin in found):
        raise Refused(
            "must be origins as browsers send them, like https://app.example.com, separated by "
            "commas, without path; or *"
        )
    return found


class CorsRefused(ServiceError):
    """Raised for a preflight of what a browser may not send."""

    status = 403
    code = "CorsRefused"


class Cors:
    """Answers for the origins of ALLOWED_ORIGINS: exact ones, or "*" for all."""

    def __init__(self, origins: tuple[str, ...]) -> None:
        self._any = "*" in origins
        self._origins = frozenset(origins)
        self._preflight = {
            "Access-Control-Allow-Methods": ", ".join(METHODS),
            "Access-Control-Allow-Headers": ", ".join(REQUEST_HEADERS),
            "Access-Control-Max-Age": str(MAX_AGE_SECONDS),
        }
        # With exact origins the answer depends on who asks, also where it is a refusal.
        self._vary = {} if self._any or not origins else {"Vary": "Origin"}

    def headers(self, request: Request) -> dict[str, str]:
        """Return what lets a page of an allowed origin read the answer."""
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
        """Return the headers that allow what a browser is about to send. An OPTIONS without Origin
        is nobody's preflight, and gets none. Raises CorsRefused, which names what failed."""
        headers = request.headers
        if "origin" not in headers:
            return self._vary
        faults = []
        hint = "" if self._allows(headers["origin"]) else "ALLOWED_ORIGINS does not name it"
        if hint:
            faults.append("the origin is not allowed")
        if headers.get("access-control-request-method", "GET") not in METHODS:
            faults.append(f"the method must be one of {', '.join(METHODS)}")
        asked = texts(headers.get("access-control-request-headers", "").lower())
        if not set(asked) <= set(REQUEST_HEADERS):
            faults.append(f"headers must be among {', '.join(REQUEST_HEADERS)}")
        if faults:
            raise CorsRefused("; ".join(faults), hint, self._vary)
        return {**self.headers(request), **self._preflight}

    def _allows(self, origin: str) -> bool:
        return self._any or origin in self._origins


def of(at: Instance) -> Cors:
    """Whose pages may ask; for Instance.get."""
    return Cors(at.settings.allowed_origins)


def headers(request: Request, at: Instance) -> dict[str, str]:
    """Headers for the answer; none if the settings themselves are wrong."""
    try:
        return at.get(of).headers(request)
    except Misconfiguration:
        return {}
