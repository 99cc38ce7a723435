"""AssumeRole over the wire -> Credentials.

The request is built and signed by the vendor's AssumeRoleRequest (aliyun-python-sdk-sts, 3.1.0
and 3.1.3 alike), and sent by connection.py instead of the vendor's AcsClient, which opens a
connection for each client, never retries AssumeRole, can fall back to plain HTTP, and prints
secrets at DEBUG. The parameters travel in the POST's body, where no access log shows them; the
signature (RPC version 1) covers them there as it does in the query.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple

from assume_role import AssumeRoleRequest
from connection import ConnectionFault, KeptConnection, Reply, StaleConnection
from errors import StsInvalidAnswer, StsRefused, StsUnreachable
from settings import AccessKey, Endpoint, is_plain

TOTAL_SECONDS = 4.5
"""For everything, unless the caller has less left."""
CLOCK_SECONDS = 900
"""How far the clock here may be ahead of STS's, which refuses signatures that are farther off."""
ATTEMPT_SECONDS = 2.2
"""For one attempt, so that the retry has as long."""
WARM_SECONDS = 1.0
"""A first request waits for it as well."""

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
    """What STS issued. `expiration` is UTC as `YYYY-MM-DDTHH:MM:SSZ`, the form that the mobile
    SDKs parse."""

    access_key_id: str
    access_key_secret: str
    security_token: str
    expiration: str
    request_id: str = ""
    """STS's own, for the log."""

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
            raise _unreachable(fault) from None

    def close(self) -> None:
        """Close the kept connection."""
        self._connection.close()

    def assume_role(
        self, request: RoleRequest, key: AccessKey, end: float | None = None
    ) -> Credentials:
        """Ask for credentials; at most 4.5 s, one retry included, and not beyond `end`.

        `end` is a time.monotonic() value, in seconds. Raises StsRefused with STS's own code and
        message, StsUnreachable, StsInvalidAnswer.
        """
        now = time.monotonic()
        end = min(now + TOTAL_SECONDS, end or now + TOTAL_SECONDS)
        try:
            reply = self._attempt(request, key, min(end, now + ATTEMPT_SECONDS))
            if not _worth_a_retry(reply):
                return _credentials(reply, key)
        except ConnectionFault:
            pass
        # Jitter: the instances that were throttled together shall not come back together.
        time.sleep(random.uniform(0.05, 0.2))  # noqa: S311 - not a secret
        try:
            return _credentials(self._attempt(request, key, end), key)
        except ConnectionFault as fault:
            raise _unreachable(fault) from None

    def _attempt(self, request: RoleRequest, key: AccessKey, deadline: float) -> Reply:
        try:
            return self._post(request, key, deadline, fresh=False)
        except StaleConnection:
            return self._post(request, key, deadline, fresh=True)

    def _post(self, request: RoleRequest, key: AccessKey, deadline: float, *, fresh: bool) -> Reply:
        # Signed each time: STS accepts a nonce once.
        body = _signed_form(request, key, self._region)
        return self._connection.request("POST", "/", body, _HEADERS, deadline, fresh=fresh)


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
    # The string to sign is the sorted form, percent-encoded as a whole (vendor documentation).
    signed: str = rpc.string_to_sign.removeprefix("POST&%2F&")
    form = signed.replace("%26", "&").replace("%3D", "=").replace("%25", "%")
    return f"{form}&Signature={url.rpartition('&Signature=')[2]}".encode()


def _worth_a_retry(reply: Reply) -> bool:
    return reply.status >= 500 or reply.status == 429 or b'"Throttling' in reply.body


def _credentials(reply: Reply, key: AccessKey) -> Credentials:
    """Check the answer before any of it is passed on."""
    try:
        answer = json.loads(reply.body.decode())
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise StsInvalidAnswer(f"STS answered HTTP {reply.status} without JSON")
    if reply.status != 200:
        raise _refusal(reply.status, answer, key)
    given = answer.get("Credentials")
    if not isinstance(given, dict):
        raise StsInvalidAnswer("STS's answer has no Credentials")
    credentials = Credentials(
        access_key_id=_checked(given, "AccessKeyId", is_plain),
        access_key_secret=_checked(given, "AccessKeySecret", is_plain),
        security_token=_checked(given, "SecurityToken", is_plain),
        expiration=_checked(given, "Expiration", _is_expiration),
        request_id=_request_id(answer),
    )
    if credentials.expires < time.time() - CLOCK_SECONDS:
        raise StsInvalidAnswer("STS's answer has expired already, or the clock here is wrong")
    return credentials


def _is_expiration(text: str) -> bool:
    """Anything else the mobile SDKs misread: an offset, a fraction, local time."""
    # Not by a pattern: this is met at each cold start, and to compile one takes 0.3 ms.
    digits = text[:4] + text[5:7] + text[8:10] + text[11:13] + text[14:16] + text[17:19]
    shape = len(text) == 20 and text[4::3] == "--T::Z"
    if not shape or not (digits.isascii() and digits.isdecimal()):
        return False
    try:
        datetime.fromisoformat(text[:-1])
    except ValueError:
        return False
    return True


def _checked(given: Mapping[str, object], name: str, sound: Callable[[str], object]) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not value or not sound(value):
        raise StsInvalidAnswer(f"STS's answer has no sound {name}")
    return value


def _refusal(status: int, answer: Mapping[str, object], key: AccessKey) -> Exception:
    code, message = answer.get("Code"), answer.get("Message")
    if (
        not isinstance(code, str)
        or not re.fullmatch("[A-Za-z0-9._-]{1,128}", code)
        or not isinstance(message, str)
    ):
        return StsInvalidAnswer(f"STS answered HTTP {status} without a Code and a Message")
    ours = 429 if code.startswith("Throttling") else 503 if status >= 500 else 500
    text = _without_secrets(message, key) or code
    return StsRefused(ours, code, text, _request_id(answer))


def _request_id(answer: Mapping[str, object]) -> str:
    found = answer.get("RequestId")
    if not isinstance(found, str) or len(found) > 64:
        return ""
    plain = found.replace("-", "")
    return found if plain.isascii() and plain.isalnum() else ""


def _without_secrets(message: str, key: AccessKey) -> str:
    """SignatureDoesNotMatch quotes the whole string to sign, our security token included."""
    message = message.partition("server string to sign is")[0].strip()[:1000]
    for secret in (key.access_key_secret, key.security_token, key.access_key_id):
        # What is shorter is no secret of STS's, and stands in every other word.
        if secret and len(secret) >= 8:
            message = message.replace(secret, "***")
    return message


def _unreachable(fault: ConnectionFault) -> StsUnreachable:
    return StsUnreachable(f"STS cannot be reached: {fault}")
