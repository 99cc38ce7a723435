"""AssumeRole over the wire -> Credentials.

The vendor's AssumeRoleRequest (aliyun-python-sdk-sts, 3.1.0 or 3.1.3) builds and signs the request.
connection.py sends it as the body of a POST. The vendor's AcsClient is not used, because it opens a
connection per client, never retries, may use plain HTTP, and prints secrets at DEBUG.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from types import ModuleType
from typing import NamedTuple

from token_service.http.connection import ConnectionFault, Exchange, KeptConnection, Reply
from token_service.settings.values import AccessKey, Endpoint, is_plain
from token_service.token.vendor_request import AssumeRoleRequest

TOTAL_SECONDS, ATTEMPT_SECONDS = 4.5, 2.2
"""Time limits for the whole call (`end` may be earlier), and for the first of two attempts."""
WARM_SECONDS = 1.0
"""The time limit for warm(). It is short, because the first request waits for warm()."""
CLOCK_SECONDS = 900
"""STS refuses a signature if our clock and the clock of STS differ by more than this time."""

_HEADERS = {
    "Content-Type": "application/x-www-form-urlencoded",
    "Accept": "application/json",
    # Both SDKs of the vendor send these two headers. ACS3 requests name the action only here.
    "x-acs-action": "AssumeRole",
    "x-acs-version": "2015-04-01",
}


class RoleRequest(NamedTuple):
    """Parameters of one AssumeRole. `seconds`: 900 to 43,200. `policy`: 1 to 2,048 characters."""

    role_arn: str
    session_name: str
    policy: str
    seconds: int


class Credentials(NamedTuple):
    """Credentials of STS. `expiration` is UTC as mobile SDKs parse it, `YYYY-MM-DDTHH:MM:SSZ`."""

    access_key_id: str
    access_key_secret: str
    security_token: str
    expiration: str
    request_id: str = ""

    @property
    def expires(self) -> int:
        """When the credentials expire, in unix seconds."""
        return int(datetime.fromisoformat(f"{self.expiration[:-1]}+00:00").timestamp())

    def __repr__(self) -> str:
        return f"Credentials(***, expiration={self.expiration!r})"


class StsClient:
    """Calls one STS endpoint. Thread-safe."""

    def __init__(self, endpoint: Endpoint, region: str) -> None:
        self._connection = KeptConnection(endpoint)
        self._region = region

    def warm(self) -> None:
        """Open the connection before it is needed, within 1 s. Raises StsUnreachable."""
        try:
            self._connection.connect(time.monotonic() + WARM_SECONDS)
        except ConnectionFault as fault:
            raise _refusals().StsUnreachable.of(fault) from None

    def close(self) -> None:
        """Close the kept connection."""
        self._connection.close()

    def assume_role(
        self, request: RoleRequest, key: AccessKey, end: float | None = None
    ) -> Credentials:
        """Ask for credentials within 4.5 s, including one retry, and before `end` (a
        time.monotonic() value). Raises StsRefused (with STS's own code and message),
        StsUnreachable or StsInvalidAnswer."""
        now = time.monotonic()
        end = min(now + TOTAL_SECONDS, end or now + TOTAL_SECONDS)
        try:
            reply = self._attempt(request, key, min(end, now + ATTEMPT_SECONDS))
            if reply.status < 500 and reply.status != 429 and b'"Throttling' not in reply.body:
                return _credentials(reply, key)
        except ConnectionFault:
            pass
        # The random wait keeps instances that were throttled together from retrying together.
        time.sleep(random.uniform(0.05, 0.2))  # noqa: S311 - not a secret
        try:
            return _credentials(self._attempt(request, key, end), key)
        except ConnectionFault as fault:
            raise _refusals().StsUnreachable.of(fault) from None

    def _attempt(self, request: RoleRequest, key: AccessKey, deadline: float) -> Reply:
        def make() -> Exchange:
            # Each attempt is signed again, because STS accepts a nonce only once.
            body = _signed_form(request, key, self._region)
            return Exchange("POST", "/", body, _HEADERS, deadline)

        return self._connection.request(make)


def _signed_form(request: RoleRequest, key: AccessKey, region: str) -> bytes:
    """Return the form to post: exactly the text that the SDK signed, in the SDK's encoding."""
    rpc = AssumeRoleRequest()
    rpc.set_method("POST")  # 3.1.0 defaults to GET
    rpc.set_accept_format("JSON")
    # The SDK signs the parameters of the body. They do not become a part of the URL.
    rpc.add_body_params("RoleArn", request.role_arn)
    rpc.add_body_params("RoleSessionName", request.session_name)
    rpc.add_body_params("DurationSeconds", request.seconds)
    rpc.add_body_params("Policy", request.policy)
    if key.security_token is not None:
        rpc.add_body_params("SecurityToken", key.security_token)
    url: str = rpc.get_url(region, key.access_key_id, key.access_key_secret)
    # The string to sign is the whole sorted form, percent-encoded (vendor documentation). In the
    # string to sign, each "%" of the form is "%25", which must be decoded last.
    signed: str = rpc.string_to_sign.removeprefix("POST&%2F&")
    form = signed.replace("%26", "&").replace("%3D", "=").replace("%25", "%")
    return f"{form}&Signature={url.rpartition('&Signature=')[2]}".encode()


def _credentials(reply: Reply, key: AccessKey) -> Credentials:
    """Read the credentials of an answer. Each value is checked before it is passed on."""
    try:
        answer = json.loads(reply.body.decode())
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict) or reply.status != 200:
        raise _refusals().refusal(reply.status, answer, key)
    given = answer.get("Credentials")
    if not isinstance(given, dict):
        raise _refusals().StsInvalidAnswer("STS's answer has no Credentials")
    credentials = Credentials(
        access_key_id=_checked(given, "AccessKeyId", is_plain),
        access_key_secret=_checked(given, "AccessKeySecret", is_plain),
        security_token=_checked(given, "SecurityToken", is_plain),
        expiration=_checked(given, "Expiration", _is_expiration),
        request_id=request_id(answer),
    )
    if credentials.expires < time.time() - CLOCK_SECONDS:
        raise _refusals().StsInvalidAnswer(
            "STS's credentials have expired already, or this clock is wrong"
        )
    return credentials


def _is_expiration(text: str) -> bool:
    """Whether a time has the form that mobile SDKs read: no offset, no fraction, no local time."""
    # No pattern is used here, because compiling it would add 0.3 ms to each cold start.
    try:
        return f"{datetime.fromisoformat(text[:-1]).isoformat()}Z" == text and len(text) == 20
    except ValueError:
        return False


def _checked(given: Mapping[str, object], name: str, sound: Callable[[str], object]) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not value or not sound(value):
        raise _refusals().StsInvalidAnswer(f"STS's answer has no valid {name}")
    return value


def _refusals() -> ModuleType:
    """Load the module that makes the errors. It is loaded only if an error is raised."""
    from token_service.token import refusals

    return refusals


def request_id(answer: Mapping[str, object]) -> str:
    """Return STS's own id of a request, for the log, or "" if it is malformed."""
    found = answer.get("RequestId")
    if not isinstance(found, str) or len(found) > 64:
        return ""
    plain = found.replace("-", "")
    return found if plain.isascii() and plain.isalnum() else ""
