"""Signs requests, URLs and forms with OSS's signature V4, and decides how long they are valid.

signed_urls.py and forms.py decide what URLs and forms contain. The sources are vendor
documentation, and the signers of oss2 2.19.1 and alibabacloud-oss-v2 1.4.1.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

from token_service.grant.refusals import whole_wish
from token_service.login.callers import Login
from token_service.settings.oss_hosts import bucket_address
from token_service.settings.values import AccessKey, Endpoint
from token_service.signing import percent
from token_service.signing.limits import Limits

ALGORITHM = "OSS4-HMAC-SHA256"  # the name of signature V4 (vendor documentation)
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"  # how V4 says that the body is not signed
_SIGNED = ("content-type", "content-md5")
"""V4 signs these headers and all x-oss-* headers that a request has."""

MAX_TEMPORARY_SECONDS = 3600
"""How long a signature by a temporary key is valid at most. It also expires when its key expires.

We cannot know when a key expires, since Function Compute passes no expiration, and the security
token is opaque. Temporary keys are valid for 36 hours (vendor documentation), and part of this time
may have passed. It is not verified on the real cloud how early the platform replaces them
(assumption 34). This limit is our choice.
"""


class Signer(NamedTuple):
    """A key, with the region and the time of its signatures."""

    key: AccessKey
    region: str
    """Like cn-hangzhou."""
    moment: int
    """Unix seconds."""
    timestamp: str
    """The moment as V4 writes it, like 20231216T162057Z."""

    @classmethod
    def at(cls, now: float, key: AccessKey, region: str) -> Signer:
        """Make a signer for the time `now`, in unix seconds."""
        moment = int(now)
        return cls(key, region, moment, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(moment)))

    @property
    def scope(self) -> str:
        """The scope of a signature: a day and a region."""
        return f"{self.timestamp[:8]}/{self.region}/oss/aliyun_v4_request"

    @property
    def credential(self) -> str:
        """The value of x-oss-credential: the id of the key, and the scope."""
        return f"{self.key.access_key_id}/{self.scope}"

    def expiration(self, seconds: int) -> str:
        """Return the UTC time `seconds` after signing, in the format of the member Expiration."""
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.moment + seconds))

    def signature(self, text: str) -> str:
        """Sign V4's "string to sign", or a form's policy in base64. Returns 64 hex digits."""
        key = _signing_key(self.key.access_key_secret, self.scope)
        return hmac.digest(key, text.encode(), "sha256").hex()

    def url(
        self,
        endpoint: Endpoint,
        bucket: str,
        object_key: str,
        seconds: int,
        method: str,
        parameters: Mapping[str, str],
        headers: Mapping[str, str],
    ) -> str:
        """Sign an object's URL, which is valid for `seconds`. `parameters` are query parameters of
        the operation. The client must send `headers` unchanged."""
        signed = {name.lower(): value for name, value in headers.items()}
        pairs = {
            **parameters,
            "x-oss-credential": self.credential,
            "x-oss-date": self.timestamp,
            "x-oss-expires": str(seconds),
            "x-oss-signature-version": ALGORITHM,
        }
        names = _additional(signed)
        if names:
            pairs["x-oss-additional-headers"] = names
        if self.key.security_token is not None:
            pairs["x-oss-security-token"] = self.key.security_token
        query = canonical_query(pairs)
        signature = self.request_signature(method, f"/{bucket}/{object_key}", query, signed)
        address, path = bucket_address(endpoint, bucket)
        return f"{address}{path}{_quoted(object_key)}?{query}&x-oss-signature={signature}"

    def request_signature(
        self, method: str, resource: str, query: str, headers: Mapping[str, str]
    ) -> str:
        """Sign a request. `resource` is /bucket/key, not encoded, for every style of URL. `query`
        is `canonical_query` of all parameters except the signature. `headers` are signed; their
        names are in lower case. Headers that V4 does not always sign become additional headers."""
        lines = "".join(f"{name}:{headers[name].strip()}\n" for name in sorted(headers))
        names = _additional(headers)
        canonical = f"{method}\n{_quoted(resource)}\n{query}\n{lines}\n{names}\n{UNSIGNED_PAYLOAD}"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        return self.signature(f"{ALGORITHM}\n{self.timestamp}\n{self.scope}\n{digest}")


_quoted = lru_cache(maxsize=4)(quote)


@lru_cache(maxsize=2)
def _signing_key(secret: str, scope: str) -> bytes:
    """Derive the signing key, cached because up to a hundred parts are signed with one key."""
    key = f"aliyun_v4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _additional(names: Iterable[str]) -> str:
    """Return the list of additional headers. V4 signs these headers only if they are listed."""
    found = [name for name in names if name not in _SIGNED and not name.startswith("x-oss-")]
    return ";".join(sorted(found))


def canonical_query(parameters: Mapping[str, str]) -> str:
    """Encode and sort parameters as V4 signs them; an empty value has no "="."""
    pairs = sorted((percent.kept(name), percent.kept(value)) for name, value in parameters.items())
    return "&".join(f"{name}={value}" if value else name for name, value in pairs)


MIN_CUT_SECONDS = 60
"""If a login ends soon, its URLs and forms get a shorter life, but at least this many seconds."""


def lifetime(wish: str | None, limits: Limits, key: AccessKey | None, login: Login | None) -> int:
    """Return the seconds that a URL or form is valid: 1 to URL_EXPIRE_TIME_MAX or the key's limit.

    `key` is the function's own key, or None if a session signs. The key's limit does not apply to a
    session, because the function knows when a session ends. If the login ends before the wished
    time (`expires`), the result is shorter, but at least a minute. Raises InvalidParameter for a
    wish that is malformed, or longer than the operator allows.
    """
    longest, by = limits.max_url_seconds, "URL_EXPIRE_TIME_MAX"
    if key is not None and key.security_token is not None and longest > MAX_TEMPORARY_SECONDS:
        longest, by = MAX_TEMPORARY_SECONDS, "the function's key is temporary"
    if wish is None:
        return min(limits.url_seconds, longest)
    seconds = whole_wish("expires", wish, "seconds", 1, longest, by)
    return seconds if login is None else min(seconds, max(login.seconds_left, MIN_CUT_SECONDS))
