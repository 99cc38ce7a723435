"""AssumeRole over the wire -> Credentials.

The vendor's AssumeRoleRequest (aliyun-python-sdk-sts, 3.1.0 and 3.1.3 alike) builds and signs it;
connection.py sends it. The vendor's AcsClient opens a connection for each client, never retries,
can fall back to plain HTTP, and prints secrets at DEBUG. The parameters travel in the POST's body.
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
"""For everything, unless the caller has less left; for one attempt: the retry has as long."""
WARM_SECONDS = 1.0
"""A first request waits for it as well."""
CLOCK_SECONDS = 900
"""How far the clock here may be ahead of STS's, which refuses signatures that are farther off."""

_HEADERS = {
    "Content-Type": "application/x-www-form-urlencoded",
    "Accept": "application/json",
    # Both SDKs of the vendor send them; under ACS3 they would be the only carriers.
    "x-acs-action": "AssumeRole",
    "x-acs-version": "2015-04-01",
}


class RoleRequest(NamedTuple):
    """The parameters of one AssumeRole: seconds 900 to 43,200, policy 1 to 2,048 characters."""

    role_arn: str
    session_name: str
    policy: str
    seconds: int


class Credentials(NamedTuple):
    """What STS issued; `expiration` is UTC as the mobile SDKs parse it, `YYYY-MM-DDTHH:MM:SSZ`."""

    access_key_id: str
    access_key_secret: str
    security_token: str
    expiration: str
    request_id: str = ""

    @property
    def expires(self) -> int:
        """When they end, in unix seconds."""
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
        """Ask for credentials; at most 4.5 s, one retry included, and not beyond `end`, a
        time.monotonic() value. Raises StsRefused with STS's own code and message, StsUnreachable,
        StsInvalidAnswer."""
        now = time.monotonic()
        end = min(now + TOTAL_SECONDS, end or now + TOTAL_SECONDS)
        try:
            reply = self._attempt(request, key, min(end, now + ATTEMPT_SECONDS))
            if reply.status < 500 and reply.status != 429 and b'"Throttling' not in reply.body:
                return _credentials(reply, key)
        except ConnectionFault:
            pass
        # Jitter: the instances that were throttled together shall not come back together.
        time.sleep(random.uniform(0.05, 0.2))  # noqa: S311 - not a secret
        try:
            return _credentials(self._attempt(request, key, end), key)
        except ConnectionFault as fault:
            raise _refusals().StsUnreachable.of(fault) from None

    def _attempt(self, request: RoleRequest, key: AccessKey, deadline: float) -> Reply:
        def make() -> Exchange:
            # Signed each time: STS accepts a nonce once.
            body = _signed_form(request, key, self._region)
            return Exchange("POST", "/", body, _HEADERS, deadline)

        return self._connection.request(make)


def _signed_form(request: RoleRequest, key: AccessKey, region: str) -> bytes:
    """The form to post: just what the SDK signed, so that nothing is encoded in two ways."""
    rpc = AssumeRoleRequest()
    rpc.set_method("POST")  # 3.1.0 defaults to GET
    rpc.set_accept_format("JSON")
    # As parameters of the body: the SDK signs them, and makes no URL of them.
    rpc.add_body_params("RoleArn", request.role_arn)
    rpc.add_body_params("RoleSessionName", request.session_name)
    rpc.add_body_params("DurationSeconds", request.seconds)
    rpc.add_body_params("Policy", request.policy)
    if key.security_token is not None:
        rpc.add_body_params("SecurityToken", key.security_token)
    url: str = rpc.get_url(region, key.access_key_id, key.access_key_secret)
    # The string to sign is the sorted form, percent-encoded as a whole (vendor documentation). Each
    # "%" of the form is "%25" in it, so that goes back last.
    signed: str = rpc.string_to_sign.removeprefix("POST&%2F&")
    form = signed.replace("%26", "&").replace("%3D", "=").replace("%25", "%")
    return f"{form}&Signature={url.rpartition('&Signature=')[2]}".encode()


def _credentials(reply: Reply, key: AccessKey) -> Credentials:
    """Check the answer before any of it is passed on."""
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
            "STS's answer has expired already, or the clock here is wrong"
        )
    return credentials


def _is_expiration(text: str) -> bool:
    """Anything else the mobile SDKs misread: an offset, a fraction, local time."""
    # Not by a pattern: this is met at each cold start, and to compile one takes 0.3 ms.
    try:
        return f"{datetime.fromisoformat(text[:-1]).isoformat()}Z" == text
    except ValueError:
        return False


def _checked(given: Mapping[str, object], name: str, sound: Callable[[str], object]) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not value or not sound(value):
        raise _refusals().StsInvalidAnswer(f"STS's answer has no sound {name}")
    return value


def _refusals() -> ModuleType:
    """The errors: loaded when one is raised."""
    from token_service.token import refusals

    return refusals


def request_id(answer: Mapping[str, object]) -> str:
    """STS's own id of a request, for the log; "" for what is none."""
    found = answer.get("RequestId")
    if not isinstance(found, str) or len(found) > 64:
        return ""
    plain = found.replace("-", "")
    return found if plain.isascii() and plain.isalnum() else ""
