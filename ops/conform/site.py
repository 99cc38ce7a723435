"""The requests of the probes: signed requests to OSS, STS and the function.

Every object that the probes write is under `prefix`, and is noted so that it will be deleted. Keys
are relative to `prefix`: "link/target" is `prefix` + "link/target".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from email.utils import formatdate
from typing import NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import oss2

from ops.conform.account import Account
from ops.conform.exchanges import Answer, Exchanges, OverBudget, Signed
from ops.conform.verdicts import NotTried
from ops.smoke.wire import Address, Call
from sandbox.sts_signatures import rpc_signature, rpc_string_to_sign
from token_service.settings.oss_hosts import bucket_address, is_cname
from token_service.settings.values import AccessKey, Endpoint
from token_service.signing.signer import ALGORITHM, UNSIGNED_PAYLOAD, Signer, canonical_query

NAME = "conform-"
"""The beginning of the temporary prefix, below OBJECT_PREFIX."""
_BOUNDARY = "conform-9431149156168"
_SECONDS = 300
_UPLOAD = "a multipart upload of "
_BUSY = (0, 500, 502, 503, 504)


class Reply(NamedTuple):
    """The result of AssumeRole. `key` is None if STS refused the call."""

    answer: Answer
    key: AccessKey | None


class Site:
    """The account on which the probes run. Its methods send the requests of the probes.

    Every request may raise OverBudget. A request to STS or OSS raises NotTried if no answer came,
    or if the service is busy.
    """

    def __init__(self, account: Account, exchanges: Exchanges) -> None:
        self.account = account
        self.exchanges = exchanges
        self.mark = f"{NAME}{secrets.token_hex(8)}"
        self.prefix = f"{account.prefix}{self.mark}/"
        self.written: dict[str, None] = {}
        """The full keys of objects that may exist, in the order of the requests."""
        self.uploads: dict[str, str] = {}
        """Multipart uploads that may be open: this dict maps each upload id to an object's full
        key."""
        self.unanswered: list[str] = []
        """Requests that got no answer. Their result may still appear."""
        self.secrets: set[str] = set()
        """Secrets of all sessions. No transcript may contain them."""

    def may_write(self, key: str) -> str:
        """Return the full key of an object, which contains `mark`. Record that this object may
        exist."""
        whole = key if self.mark in key else self.prefix + key
        self.written[whole] = None
        return whole

    # STS

    def session(self, *statements: Mapping[str, object]) -> AccessKey:
        """Return credentials of the role under a session policy. Raises NotTried if STS refuses."""
        reply = self.assume_role(statements)
        if reply.key is None:
            raise NotTried(f"STS gives no session: {reply.answer}")
        return reply.key

    def assume_role(self, statements: Iterable[Mapping[str, object]]) -> Reply:
        """Call AssumeRole with the operator's key."""
        policy = json.dumps({"Version": "1", "Statement": list(statements)})
        answer = self.sts({"Policy": policy})
        try:
            given = json.loads(answer.body)["Credentials"]
            key = AccessKey(given["AccessKeyId"], given["AccessKeySecret"], given["SecurityToken"])
        except (ValueError, KeyError, TypeError):
            return Reply(answer, None)
        self.secrets.update(filter(None, key))
        return Reply(answer, key)

    def sts(self, parameters: Mapping[str, str | None], signature: str = "") -> Answer:
        """Call AssumeRole with changed parameters, or with another signature.

        None as a value leaves out the parameter.
        """
        account = self.account
        standard = {
            "Action": "AssumeRole",
            "Version": "2015-04-01",
            "Format": "JSON",
            "AccessKeyId": account.key.access_key_id,
            "SignatureMethod": "HMAC-SHA1",
            "SignatureVersion": "1.0",
            "SignatureNonce": secrets.token_hex(16),
            "Timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "SecurityToken": account.key.security_token,
            "RoleArn": account.role_arn,
            "RoleSessionName": "conform",
            "DurationSeconds": "900",
            **parameters,
        }
        sent = {name: value for name, value in standard.items() if value is not None}
        text = rpc_string_to_sign("POST", sent)
        sent["Signature"] = signature or rpc_signature(text, account.key.access_key_secret)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode(sent, quote_via=quote).encode()
        changed = " ".join(name for name in parameters if name != "Policy")
        asked = f"STS POST AssumeRole {changed or sent.get('Policy', '')}".rstrip()
        return self._asked(asked, account.sts, Call("POST", "/", {}, headers, body))

    # OSS

    def oss(
        self,
        key: AccessKey,
        method: str,
        name: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        additional: Iterable[str] = (),
        sent: Mapping[str, str] | None = None,
        body: bytes = b"",
        endpoint: Endpoint | None = None,
    ) -> Answer:
        """Send a request that is signed with V4 in its URL; `headers` are signed.

        `name` is an object key of the probe, or "" for the bucket. `additional` names headers that
        are signed in addition to those that V4 always signs. `sent` are the headers that are really
        sent, if they differ from the signed ones.
        """
        whole = self._whole(method, name)
        query, headers = query or {}, dict(headers or {})
        address, path = bucket_address(endpoint or self.account.oss, self.account.bucket)
        line = _signed_query(
            Signer.at(time.time(), key, self.account.region),
            method,
            f"/{self.account.bucket}/{whole}",
            query,
            {n.lower(): v for n, v in headers.items()},
            sorted(additional),
        )
        asked = f"OSS {method} /{whole}{_shown(query)} (URL signed by V4)"
        real = dict(headers if sent is None else sent)
        # The real length of the body is sent, even if another length was signed.
        real.pop("content-length", None)
        if not body and method == "PUT":
            real.setdefault("Content-Length", "0")
        target = f"{path}{quote(whole)}?{line}"
        writes = whole if method in ("PUT", "POST") else ""
        if writes and "uploads" in query:
            writes = f"{_UPLOAD}{whole}"
        return self._asked(asked, address, Signed(method, "/", {}, real, body, target), writes)

    def oss_v1(self, key: AccessKey, name: str, *, in_header: bool) -> Answer:
        """Send a PutObject that oss2 signs with V1, in the URL or in the header Authorization."""
        whole = self._whole("PUT", name)
        endpoint = self.account.oss
        address, path = bucket_address(endpoint, self.account.bucket)
        provider = oss2.credentials.StaticCredentialsProvider(*key)
        auth = oss2.ProviderAuth(provider)
        name = self.account.bucket
        bucket = oss2.Bucket(auth, str(endpoint), name, is_cname=is_cname(endpoint))
        headers = {"Content-Type": "text/plain"}
        if in_header:
            request = oss2.http.Request("PUT", "http://unused", headers=headers)
            request.headers["date"] = formatdate(usegmt=True)
            auth._sign_request(request, self.account.bucket, whole)
            names = ("content-type", "date", "authorization", "x-oss-security-token")
            headers = {n: request.headers[n] for n in names if n in request.headers}
            target = path + quote(whole)
        else:
            url = urlsplit(bucket.sign_url("PUT", whole, 60, headers=headers, slash_safe=True))
            target = f"{url.path}?{url.query}"
        where = "header" if in_header else "URL"
        call = Signed("PUT", "/", {}, headers, b"conform", target)
        return self._asked(f"OSS PUT /{whole} ({where} signed by V1)", address, call, whole)

    def form(
        self,
        key: AccessKey,
        name: str,
        conditions: Iterable[object] = (),
        fields: Iterable[tuple[str, str]] = (),
        *,
        file_type: str = "text/plain",
        version: str = "V4",
    ) -> Answer:
        """Send a form (PostObject) that is signed with V1 or V4.

        The policy of a V4 form has the conditions that the vendor documents for V4. With the
        version "V4 unbound", the form is signed with V4, but its policy lacks these conditions.
        """
        whole = self._whole("PUT", name)
        signer = Signer.at(time.time(), key, self.account.region)
        bound = {
            "x-oss-signature-version": ALGORITHM,
            "x-oss-credential": signer.credential,
            "x-oss-date": signer.timestamp,
        }
        policy = {
            "expiration": signer.expiration(_SECONDS).replace("Z", ".000Z"),
            "conditions": [
                {"bucket": self.account.bucket},
                ["eq", "$key", whole],
                *([{n: v} for n, v in bound.items()] if version == "V4" else []),
                *conditions,
            ],
        }
        text = base64.b64encode(json.dumps(policy).encode()).decode()
        if version == "V1":
            digest = hmac.digest(key.access_key_secret.encode(), text.encode(), "sha1")
            signature = base64.b64encode(digest).decode()
            signed = {"OSSAccessKeyId": key.access_key_id, "Signature": signature}
        else:
            signed = {**bound, "x-oss-signature": signer.signature(text)}
        if key.security_token:
            signed["x-oss-security-token"] = key.security_token
        body = _multipart([("key", whole), ("policy", text), *signed.items(), *fields], file_type)
        address, path = bucket_address(self.account.oss, self.account.bucket)
        shown = " ".join(f"{n}={v}" for n, v in fields)
        asked = f"OSS POST form key={whole} {shown} ({version})"
        headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
        return self._asked(asked, address, Call("POST", path, {}, headers, body), whole)

    def _asked(self, asked: str, endpoint: Endpoint, call: Call, writes: str = "") -> Answer:
        """Send the request. `writes` is the full key that the request creates.

        If the request starts a multipart upload, `writes` is _UPLOAD, followed by the full key.
        """
        address = Address(endpoint.scheme, endpoint.host, endpoint.port, "")
        # The request is noted before it is sent, because the run may be interrupted after that.
        self.unanswered.append(writes)
        try:
            answer = self.exchanges.send(asked, address, call)
        except OverBudget:
            self.unanswered.remove(writes)
            raise
        upload = re.search(rb"<UploadId>([^<]+)</UploadId>", answer.body)
        if upload and writes.startswith(_UPLOAD):
            self.uploads[upload[1].decode()] = writes.removeprefix(_UPLOAD)
        if answer.status or not writes:
            self.unanswered.remove(writes)
        if answer.status in _BUSY or answer.code.startswith("Throttling"):
            # If the network failed or the service was busy, the answer neither confirms nor refutes
            # the assumption.
            raise NotTried(f"{asked}: {answer}")
        return answer

    def _whole(self, method: str, name: str) -> str:
        if not name:
            return ""
        if method in ("PUT", "POST"):
            return self.may_write(name)
        return name if self.mark in name else self.prefix + name

    # The function

    def function(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        *,
        plain: bool = False,
    ) -> Answer:
        """Call the deployed function, with LOGIN if there is one. Raises NotTried without URL.

        With `plain` it uses http://, and sends no login.
        """
        address = self.account.function
        if address is None:
            raise NotTried("needs a deployed function: set URL=https://…")
        own = dict(headers or {})
        if plain and address.scheme == "https":
            address = replace(address, scheme="http", port=80)
        if self.account.login and not plain:
            own["Authorization"] = f"Bearer {self.account.login}"
        call = Call(method, path, {**address.query, **(query or {})}, own)
        asked = f"FC {method} {path}{_shown(query or {})}"
        answer = self.exchanges.send(asked, address, call)
        if path == "/":
            # The answer is a token, which no transcript may contain.
            members = token_of(answer)
            names = ("AccessKeyId", "AccessKeySecret", "SecurityToken")
            self.secrets.update(str(members[name]) for name in names if name in members)
        return answer


def token_of(answer: Answer) -> dict[str, object]:
    """Return the members of the function's answer, or {} if the answer is not a JSON object."""
    try:
        members = json.loads(answer.body)
    except ValueError:
        return {}
    return members if isinstance(members, dict) else {}


def _shown(query: Mapping[str, str]) -> str:
    pairs = (f"{name}={value}" if value else name for name, value in query.items())
    return f"?{'&'.join(pairs)}" if query else ""


def _signed_query(
    signer: Signer,
    method: str,
    resource: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    additional: list[str],
) -> str:
    """Return the query of a URL that is signed with V4 (vendor documentation). The header names are
    in lower case."""
    parameters = {
        **query,
        "x-oss-signature-version": ALGORITHM,
        "x-oss-credential": signer.credential,
        "x-oss-date": signer.timestamp,
        "x-oss-expires": str(_SECONDS),
    }
    if signer.key.security_token:
        parameters["x-oss-security-token"] = signer.key.security_token
    if additional:
        parameters["x-oss-additional-headers"] = ";".join(additional)
    line = canonical_query(parameters)
    lines = "".join(
        f"{name}:{headers[name].strip()}\n"
        for name in sorted(headers)
        if name.startswith("x-oss-") or name in ("content-type", "content-md5", *additional)
    )
    names = ";".join(additional)
    canonical = f"{method}\n{quote(resource)}\n{line}\n{lines}\n{names}\n{UNSIGNED_PAYLOAD}"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"{ALGORITHM}\n{signer.timestamp}\n{signer.scope}\n{digest}"
    return f"{line}&x-oss-signature={signer.signature(text)}"


def _multipart(fields: Iterable[tuple[str, str]], file_type: str) -> bytes:
    parts = [
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields
    ]
    file = 'Content-Disposition: form-data; name="file"; filename="conform.txt"'
    parts.append(f"--{_BOUNDARY}\r\n{file}\r\nContent-Type: {file_type}\r\n\r\nconform\r\n")
    return "".join([*parts, f"--{_BOUNDARY}--\r\n"]).encode()
