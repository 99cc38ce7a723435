"""The sandbox's STS: AssumeRole over HTTP, with the checks of the real STS.

Signatures are in sts_signatures.py. Keys, roles and sessions are in identities.py. Codes and
messages are from the vendor's documentation, but the texts of MissingParameter, InvalidParameter
and RequestEntityTooLarge are the sandbox's own. The HTTP statuses of gateway errors (parameters,
signature, timestamp, nonce, security token) are not verified on the real STS (assumption 23).
ExternalId and SourceIdentity are ignored, because no role here needs them.
"""

from __future__ import annotations

import hashlib
import heapq
import hmac
import logging
import re
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from urllib.parse import parse_qsl
from xml.etree import ElementTree

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from sandbox import refusals
from sandbox.identities import (
    MAX_SESSION_POLICY,
    DisabledAccessKey,
    ExpiredSecurityToken,
    Identities,
    Identity,
    IdentityError,
    InvalidSecurityToken,
    MismatchedSecurityToken,
    MissingSecurityToken,
    Role,
    SessionCredentials,
    UnknownAccessKey,
)
from sandbox.log_lines import RequestLine, path_of
from sandbox.ram import Access, Policy, PolicyGrammarError
from sandbox.sts_signatures import (
    ACS3,
    RPC_DIGESTS,
    acs3_signature,
    acs3_string_to_sign,
    parse_acs3_authorization,
    rpc_signature,
    rpc_string_to_sign,
)

MAX_BODY_BYTES = 64 * 1024  # size of a call's body (the sandbox's own limit)
MAX_NONCES = 200_000  # nonces that are remembered at once (the sandbox's own limit)
VALID_SECONDS = 15 * 60
"""Maximum clock skew between a request's timestamp and now, early or late (vendor
documentation)."""

_VERSION = "2015-04-01"
_MIN_SESSION_SECONDS = 900
_DEFAULT_SESSION_SECONDS = "3600"
_MAX_PARAMETERS = 100
_ROLE_ARN = re.compile(r"acs:ram::[0-9]+:role/[A-Za-z0-9.@_-]{1,64}")
_SESSION_NAME = re.compile(r"[A-Za-z0-9.@_-]{2,64}")
_SECONDS = re.compile(r"[0-9]{1,9}")
# ali-oss's STS client sends milliseconds (seen in 6.23.0, lib/sts.js).
_TIMESTAMP = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})?Z")
_TIMESTAMP_FORMAT = "%Y-%m-%dT%H:%M:%S"

Clock = Callable[[], float]

log = logging.getLogger("sandbox.sts")


_ERRORS = {
    "EntityNotExist.Role": (404, "The specified Role not exists."),
    "IncompleteSignature": (400, "The request signature does not conform to Aliyun standards."),
    "InternalError": (500, "STS Server Internal Error happened."),
    "InvalidAccessKeyId.Inactive": (403, "Specified access key is disabled."),
    "InvalidAccessKeyId.NotFound": (404, "Specified access key is not found."),
    "InvalidAction.NotFound": (
        404,
        "Specified api is not found, please check your url and method.",
    ),
    "InvalidParameter": (
        400,
        "A parameter is given more than once, or there are too many parameters.",
    ),
    "InvalidParameter.DurationSeconds": (
        400,
        "The Min/Max value of DurationSeconds is 15min/{longest}.",
    ),
    "InvalidParameter.Format": (400, "The specified Format is not supported."),
    "InvalidParameter.PolicyGrammar": (400, "The parameter Policy has not passed grammar check."),
    "InvalidParameter.PolicySize": (
        400,
        f"The size of Policy must be smaller than {MAX_SESSION_POLICY} bytes.",
    ),
    "InvalidParameter.RoleArn": (400, "The parameter RoleArn is wrongly formed."),
    "InvalidParameter.RoleSessionName": (400, "The parameter RoleSessionName is wrongly formed."),
    "InvalidSecurityToken.Expired": (400, "Specified SecurityToken is expired."),
    "InvalidSecurityToken.Malformed": (400, "Specified SecurityToken is malformed."),
    "InvalidSecurityToken.MismatchWithAccessKey": (
        400,
        "Specified SecurityToken mismatch with the AccessKey.",
    ),
    "InvalidSignatureMethod": (400, "Specified signature method is not supported."),
    "InvalidTimeStamp.Expired": (400, "Specified time stamp or date value is expired."),
    "InvalidTimeStamp.Format": (400, "Specified time stamp or date value is not well formatted."),
    "InvalidVersion": (400, "Specified parameter Version is not valid."),
    "MissingParameter": (400, "{name} is mandatory for this action."),
    "MissingSecurityToken": (400, "SecurityToken is mandatory for this action."),
    "NoPermission": (403, "{reason}"),
    "RequestEntityTooLarge": (413, "The request body is too large."),
    "SignatureDoesNotMatch": (
        400,
        # The SDK splits this text at ":" and compares the second part with its own string to sign
        # (seen in aliyun-python-sdk-core 2.16.1).
        "Specified signature is not matched with our calculation. "
        "server string to sign is:{string_to_sign}",
    ),
    "SignatureNonceUsed": (400, "Specified signature nonce was used already."),
    "Throttling.User": (400, "Request was denied due to user flow control."),
    "UnsupportedHTTPMethod": (405, "This http method is not supported."),
}
_IDENTITY_ERRORS: dict[type[IdentityError], str] = {
    UnknownAccessKey: "InvalidAccessKeyId.NotFound",
    DisabledAccessKey: "InvalidAccessKeyId.Inactive",
    MissingSecurityToken: "MissingSecurityToken",
    InvalidSecurityToken: "InvalidSecurityToken.Malformed",
    MismatchedSecurityToken: "InvalidSecurityToken.MismatchWithAccessKey",
    ExpiredSecurityToken: "InvalidSecurityToken.Expired",
}
_ROOT = "Roles may not be assumed by root accounts."
_NOT_ALLOWED = (
    "No permission perform sts:AssumeRole on this Role. Maybe you are not authorized to perform "
    "sts:AssumeRole or the specified role does not trust you"
)


class _Refusal(Exception):
    """An error answer. `code` is a key of _ERRORS, and `details` are the values for its message.

    `why` is for the sandbox's user and is not part of the answer.
    """

    def __init__(self, code: str, *, why: str = "", **details: str) -> None:
        super().__init__(code)
        self.code = code
        self.why = why
        self.status, message = _ERRORS[code]
        self.message = message.format(**details)


@dataclass(frozen=True)
class _Call:
    """A request as it arrived. `parameters` are from the query and the form together."""

    method: str
    headers: Mapping[str, str]
    repeated_headers: frozenset[str]
    query: Mapping[str, str]
    parameters: Mapping[str, str]
    body: bytes
    client: str


@dataclass(frozen=True)
class _Claim:
    """The identity that a request claims. `sign` takes a secret, and returns the signature that the
    request must have if its access key has this secret."""

    access_key_id: str
    security_token: str | None
    timestamp: str
    nonce: str
    signature: str
    string_to_sign: str
    sign: Callable[[str], str]


class _Nonces:
    """The used nonces. Each nonce is kept until the timestamp of its call is too old to be
    accepted.

    If MAX_NONCES nonces are stored, further calls are throttled. No nonce is evicted to make room,
    because then the call with this nonce could be replayed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._used: set[bytes] = set()
        self._by_end: list[tuple[float, bytes]] = []

    def use(self, access_key_id: str, nonce: str, timestamp: float, now: float) -> None:
        """Mark the nonce as used. Raises SignatureNonceUsed or Throttling.User."""
        # The nonce is hashed, because it may be as long as a body.
        name = hashlib.sha256(f"{access_key_id}\0{nonce}".encode()).digest()
        with self._lock:
            while self._by_end and self._by_end[0][0] < now:
                self._used.remove(heapq.heappop(self._by_end)[1])
            if name in self._used:
                raise _Refusal("SignatureNonceUsed")
            if len(self._used) >= MAX_NONCES:
                raise _Refusal("Throttling.User")
            self._used.add(name)
            # Keep the nonce a minute longer, because the timestamp may have been checked just
            # before it became too old.
            heapq.heappush(self._by_end, (timestamp + VALID_SECONDS + 60, name))


def create_app(identities: Identities, *, clock: Clock = time.time) -> Starlette:
    """Serve AssumeRole for these identities at "/". `clock` returns unix seconds.

    The used nonces are only in the memory of this application. Another process, or the next run,
    would accept the same nonce again.
    """
    nonces = _Nonces()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await _answer(request, identities, nonces, clock)
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    def failed(request: Request, error: Exception) -> Response:  # noqa: ARG001 - Starlette's form
        return _error(
            _Refusal("InternalError"),
            str(uuid.uuid4()).upper(),
            request.headers.get("host", ""),
            xml=False,
        )

    application = Starlette(exception_handlers={Exception: failed})
    # The router of Starlette is not used, because it would answer some paths ("*", a line feed) in
    # plain text.
    application.router.default = app
    return application


async def _answer(
    request: Request, identities: Identities, nonces: _Nonces, clock: Clock
) -> Response:
    request_id = str(uuid.uuid4()).upper()
    xml = False
    try:
        call = await _read(request)
        xml = _wants_xml(call)
        _check_operation(call)
        now = clock()
        identity = _authenticated(call, identities, nonces, now)
        role, credentials = _assume_role(call, identity, identities, now)
    except _Refusal as refusal:
        # Only refusals are logged here. If STS issues a token, the function that asked for it
        # writes a log line.
        line = RequestLine(
            request.method,
            path_of(request.scope.get("raw_path") or b"/"),
            refusal.status,
            refusal.code,
            why=refusal.why,
        )
        log.info(line)
        return _error(refusal, request_id, request.headers.get("host", ""), xml)
    return _success(request_id, role, call.parameters["RoleSessionName"], credentials, xml)


async def _read(request: Request) -> _Call:
    if request.method not in ("GET", "POST"):
        raise _Refusal("UnsupportedHTTPMethod")
    if request.scope["path"] != "/":
        raise _Refusal("InvalidAction.NotFound")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise _Refusal("RequestEntityTooLarge")
    headers: dict[str, str] = {}
    repeated = set()
    for raw_name, value in request.scope["headers"]:
        name = raw_name.decode("latin-1").lower()
        if name in headers:
            repeated.add(name)
        headers[name] = value.decode("utf-8", "replace")
    query = _pairs(request.scope["query_string"])
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    is_form = content_type == "application/x-www-form-urlencoded"
    form = _pairs(bytes(body)) if is_form else []
    parameters = dict(query + form)
    # A repeated parameter is refused, since it would be unclear which value counts.
    if len(parameters) != len(query) + len(form):
        raise _Refusal("InvalidParameter")
    return _Call(
        request.method,
        headers,
        frozenset(repeated),
        dict(query),
        parameters,
        bytes(body),
        request.client.host if request.client else "",
    )


def _pairs(encoded: bytes) -> list[tuple[str, str]]:
    text = encoded.decode("utf-8", "replace")
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
    except ValueError:
        raise _Refusal("InvalidParameter") from None


def _wants_xml(call: _Call) -> bool:
    wanted = call.parameters.get("Format", "JSON").upper()
    if wanted not in ("JSON", "XML"):
        raise _Refusal("InvalidParameter.Format")
    return wanted == "XML"


def _check_operation(call: _Call) -> None:
    # With ACS3, SDKs send action and version only as headers. Otherwise, SDKs send them twice: as
    # parameters and as headers.
    action = call.parameters.get("Action") or call.headers.get("x-acs-action")
    version = call.parameters.get("Version") or call.headers.get("x-acs-version")
    if not action or not version:
        raise _Refusal("MissingParameter", name="Version" if action else "Action")
    if version != _VERSION:
        raise _Refusal("InvalidVersion")
    if action != "AssumeRole":
        raise _Refusal("InvalidAction.NotFound")


def _authenticated(call: _Call, identities: Identities, nonces: _Nonces, now: float) -> Identity:
    claim = _rpc_claim(call) if "authorization" not in call.headers else _acs3_claim(call)
    timestamp = _timestamp(claim.timestamp)
    if abs(now - timestamp) > VALID_SECONDS:
        raise _Refusal("InvalidTimeStamp.Expired")
    try:
        identity = identities.find(claim.access_key_id, claim.security_token)
    except IdentityError as error:
        raise _Refusal(_IDENTITY_ERRORS[type(error)]) from None
    expected = claim.sign(identity.access_key_secret)
    if not hmac.compare_digest(expected.encode(), claim.signature.encode()):
        raise _Refusal("SignatureDoesNotMatch", string_to_sign=claim.string_to_sign)
    nonces.use(claim.access_key_id, claim.nonce, timestamp, now)
    return identity


def _rpc_claim(call: _Call) -> _Claim:
    def required(name: str) -> str:
        return _required(call.parameters, name)

    method = required("SignatureMethod")
    plain = call.parameters.get("SignatureType", "") == ""
    if required("SignatureVersion") != "1.0" or method not in RPC_DIGESTS or not plain:
        raise _Refusal("InvalidSignatureMethod")
    string_to_sign = rpc_string_to_sign(call.method, call.parameters)
    return _Claim(
        required("AccessKeyId"),
        call.parameters.get("SecurityToken"),
        required("Timestamp"),
        required("SignatureNonce"),
        required("Signature"),
        string_to_sign,
        lambda secret: rpc_signature(string_to_sign, secret, method),
    )


def _acs3_claim(call: _Call) -> _Claim:
    header = call.headers["authorization"]
    if header.partition(" ")[0] != ACS3:
        raise _Refusal("InvalidSignatureMethod")
    try:
        authorization = parse_acs3_authorization(header)
    except ValueError:
        raise _Refusal("IncompleteSignature") from None
    timestamp = _required(call.headers, "x-acs-date")
    nonce = _required(call.headers, "x-acs-signature-nonce")
    said_sha256 = _required(call.headers, "x-acs-content-sha256")
    signed = set(authorization.signed_headers)
    must_be_signed = {name for name in call.headers if name.startswith("x-acs-")} | {"host"}
    if call.body:
        # If content-type were not signed, somebody could change it and so hide a form and the
        # Policy in it.
        must_be_signed.add("content-type")
    ours = call.headers.get("x-acs-accesskey-id", authorization.access_key_id)
    if (
        not must_be_signed <= signed <= call.headers.keys()
        or signed & call.repeated_headers
        or "authorization" in call.repeated_headers
        or ours != authorization.access_key_id
    ):
        raise _Refusal("IncompleteSignature")
    content_sha256 = hashlib.sha256(call.body).hexdigest()
    string_to_sign = acs3_string_to_sign(
        call.method, call.query, call.headers, authorization.signed_headers, content_sha256
    )
    if said_sha256 != content_sha256:
        raise _Refusal("SignatureDoesNotMatch", string_to_sign=string_to_sign)
    return _Claim(
        authorization.access_key_id,
        call.headers.get("x-acs-security-token"),
        timestamp,
        nonce,
        authorization.signature,
        string_to_sign,
        lambda secret: acs3_signature(string_to_sign, secret),
    )


def _timestamp(text: str) -> float:
    try:
        if found := _TIMESTAMP.fullmatch(text):
            moment = datetime.strptime(found[1], _TIMESTAMP_FORMAT)
            return moment.replace(tzinfo=timezone.utc).timestamp() + float(found[2] or 0)
    except ValueError:
        pass
    raise _Refusal("InvalidTimeStamp.Format")


def _assume_role(
    call: _Call, identity: Identity, identities: Identities, now: float
) -> tuple[Role, SessionCredentials]:
    role_arn = _business(call, "RoleArn", _ROLE_ARN)
    session_name = _business(call, "RoleSessionName", _SESSION_NAME)
    policy = call.parameters.get("Policy")
    _check_policy(policy)
    role = identities.role(role_arn)
    if role is None:
        raise _Refusal("EntityNotExist.Role")
    seconds = _duration(call.parameters.get("DurationSeconds", _DEFAULT_SESSION_SECONDS), role)
    if identity.policies is None:
        raise _Refusal("NoPermission", reason=_ROOT)
    context = {
        "acs:AccessId": identity.access_key_id,
        "acs:CurrentTime": _iso(now),
        "acs:SecureTransport": "false",
        "acs:SourceIp": call.client,
        "acs:UserAgent": call.headers.get("user-agent", ""),
    }
    access = Access("sts:AssumeRole", role.arn, context)
    decision = identity.decide(access)
    if not decision.allowed:
        why = str(refusals.of(identity, access, decision))
        raise _Refusal("NoPermission", reason=_NOT_ALLOWED, why=why)
    if not role.trusts(identity):
        why = f"the trust policy of {role.arn} does not name {identity.arn}"
        raise _Refusal("NoPermission", reason=_NOT_ALLOWED, why=why)
    return role, identities.assume(role, session_name, policy, seconds)


def _business(call: _Call, name: str, form: re.Pattern[str]) -> str:
    value = call.parameters.get(name)
    if value is None:
        raise _Refusal("MissingParameter", name=name)
    if not form.fullmatch(value):
        raise _Refusal(f"InvalidParameter.{name}")
    return value


def _check_policy(policy: str | None) -> None:
    if policy is None:
        return
    if len(policy) > MAX_SESSION_POLICY:
        raise _Refusal("InvalidParameter.PolicySize")
    try:
        Policy.parse(policy)
    except PolicyGrammarError:
        raise _Refusal("InvalidParameter.PolicyGrammar") from None


def _duration(text: str, role: Role) -> int:
    if _SECONDS.fullmatch(text) and _MIN_SESSION_SECONDS <= int(text) <= role.max_session_seconds:
        return int(text)
    hours, rest = divmod(role.max_session_seconds, 3600)
    longest = f"{hours}hr" if not rest else f"{role.max_session_seconds // 60}min"
    raise _Refusal("InvalidParameter.DurationSeconds", longest=longest)


def _required(values: Mapping[str, str], name: str) -> str:
    value = values.get(name)
    if not value:
        raise _Refusal("MissingParameter", name=name)
    return value


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime(f"{_TIMESTAMP_FORMAT}Z")


def _success(
    request_id: str, role: Role, session_name: str, credentials: SessionCredentials, xml: bool
) -> Response:
    # On the real STS, the id of a role has 18 digits, and is the same for all sessions of the role.
    role_id = int(hashlib.sha256(role.arn.encode()).hexdigest(), 16) % 10**18
    content = {
        "RequestId": request_id,
        "AssumedRoleUser": {
            "Arn": f"{role.arn}/{session_name}",
            "AssumedRoleId": f"{role_id:018}:{session_name}",
        },
        "Credentials": {
            "AccessKeyId": credentials.access_key_id,
            "AccessKeySecret": credentials.access_key_secret,
            "SecurityToken": credentials.security_token,
            "Expiration": _iso(credentials.expiration),
        },
    }
    return _xml("AssumeRoleResponse", content, 200) if xml else JSONResponse(content)


def _error(refusal: _Refusal, request_id: str, host: str, xml: bool) -> Response:
    content = {
        "RequestId": request_id,
        "HostId": host,
        "Code": refusal.code,
        "Message": refusal.message,
    }
    return _xml("Error", content, refusal.status) if xml else JSONResponse(content, refusal.status)


def _xml(root: str, content: Mapping[str, object], status: int) -> Response:
    def fill(element: ElementTree.Element, members: Mapping[str, object]) -> None:
        for name, value in members.items():
            child = ElementTree.SubElement(element, name)
            if isinstance(value, dict):
                fill(child, value)
            else:
                child.text = str(value)

    tree = ElementTree.Element(root)
    fill(tree, content)
    text = ElementTree.tostring(tree, encoding="unicode")
    return Response(f'<?xml version="1.0" encoding="UTF-8"?>{text}', status, media_type="text/xml")
