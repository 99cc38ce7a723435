"""Uses a token at OSS as an app does: it uploads, and tries things that the token must not allow.

It uses the real `oss2`, with signature version 4. Every object key that it writes begins with
"smoke-test-" and ends with random digits, so the operator's objects are safe. A token cannot delete
objects, because no policy template allows oss:DeleteObject. The objects are deleted only if the
operator's own key is set.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import oss2

from ops import policies_described
from ops.report import Check, Finding, failed, judged, passed, skipped, warned
from ops.smoke import wire
from ops.smoke.contract import Document
from ops.smoke.wire import GIVE_UP_SECONDS, Address
from token_service.settings.oss_hosts import is_path_style
from token_service.settings.values import DEFAULT_PORTS, AccessKey, Endpoint

NAME = "smoke-test-"
CONTENT = b"Written by `make smoke UPLOAD=1`; it can be deleted.\n"
UNREACHED = "OSS cannot be reached"
"""The result of refusal_of if OSS gives no complete answer."""
DENIED = "AccessDenied"
"""OSS's code for a refusal by a policy or an ACL."""
EMULATORS_HOST = "10.0.2.2"
"""The address at which an Android emulator reaches the machine on which it runs (Android's
documentation)."""
CLOSED = "PublicEndpointForbidden"
"""OSS's code for a call at the public endpoint that the account may not use (vendor documentation,
EC 0048-00000401)."""
_EXISTS = "FileAlreadyExists"

_SAYS_NOTHING_OF_POLICIES = {
    UNREACHED: "no upload reached OSS",
    CLOSED: "OSS refuses data calls at this endpoint",
}
"""Maps results of an upload to reasons. After one of these results, access to other prefixes is not
checked, and the table shows the reason."""


@dataclass(frozen=True)
class Target:
    """Where a token can be used, and for what."""

    bucket: str
    region: str
    endpoint: str
    prefix: str
    policy: str
    is_cname: bool = False

    @classmethod
    def of(cls, token: Document) -> Target:
        """Read a token's Scope, which must be valid."""
        scope = token["Scope"]
        return cls(
            scope["Bucket"],
            scope["Region"],
            scope["Endpoint"],
            scope["Prefix"],
            scope["Policy"],
            scope.get("Cname", False),
        )


def check_upload(
    token: Document, key: AccessKey | None, *, is_insert_only: bool = False
) -> list[Check]:
    """Upload a test object twice. Try to use prefixes that are not in the token (neighbours). Then
    clean up. Returns six lines. Never raises.

    `is_insert_only`: OVERWRITE=no is set, so the second upload must be refused.
    """
    neighbour = ("neighbour: write", "neighbour: read", "neighbour: list")
    names = ("upload", "overwriting", *neighbour, "clean-up")
    scope = token["Scope"]
    fault = _endpoint_fault(scope["Endpoint"])
    if "Object" in scope:
        fault = "the URL asks for one object, which a test must not overwrite"
    if fault:
        return [
            Check(name, failed(fault) if name == names[0] else skipped(fault)) for name in names
        ]
    target = Target.of(token)
    try:
        bucket = bucket_of(target, token_auth(token))
    except oss2.exceptions.ClientError:
        return [Check(names[0], failed("Scope's Bucket or Endpoint is not valid for oss2"))]
    mark = NAME + secrets.token_hex(8)
    own = f"{target.prefix}{mark}.txt"
    refusal = refusal_of(partial(bucket.put_object, own, CONTENT))
    written = [] if refusal else [own]
    findings = [_upload(target, own, refusal)]
    if refusal in _SAYS_NOTHING_OF_POLICIES:
        findings += [skipped(_SAYS_NOTHING_OF_POLICIES[refusal])] * 4
    else:
        findings.append(_overwrite(bucket, written, is_insert_only))
        findings.append(_write(bucket, target, mark, written))
        findings += [_read(bucket, target, mark), _list(bucket, target, mark)]
    findings.append(clean_up(target, written, key))
    return [Check(name, finding) for name, finding in zip(names, findings, strict=True)]


def neighbours(prefix: str, mark: str) -> tuple[str, ...]:
    """Return prefixes to which a token for `prefix` must give no access.

    These are a sibling folder, a longer prefix with the same beginning, and the root of the bucket.
    If a policy lacks the last slash of `prefix`, the policy also gives access to the longer prefix.
    """
    parent, _, _ = prefix.rstrip("/").rpartition("/")
    above = f"{parent}/" if parent else ""
    return (f"{above}{mark}/", f"{prefix.rstrip('/')}-{mark}/", "")


def _upload(target: Target, key: str, refusal: str | None) -> Finding:
    if refusal is None:
        return passed(f"{key} in {target.bucket}, signed with V4")
    if refusal == UNREACHED:
        return failed(_unreached(target))
    policy = policies_described.bundled().get(target.policy)
    if refusal == DENIED and policy is not None and not policy.can_upload:
        return skipped(f"{target.policy} does not allow uploads")
    if refusal == CLOSED:
        return failed(
            f"{refusal}: in mainland China the public endpoint is closed to accounts that began "
            "to use OSS on 2025-03-20 or later. Bind your own domain to the bucket, and set "
            "OSS_ENDPOINT to this domain (docs/deploy.md, A domain for the bucket)"
        )
    return failed(f"OSS refused the upload under the token's own prefix: {refusal}")


def _overwrite(bucket: oss2.Bucket, written: list[str], is_insert_only: bool) -> Finding:
    """Try to replace an object that this run has just uploaded, by a second upload with its key."""
    if not written:
        return skipped("nothing was written")
    refusal = refusal_of(partial(bucket.put_object, written[0], CONTENT))
    if refusal == _EXISTS:
        return passed("a second upload of the same name is refused")
    if refusal is not None:
        return failed(f"cannot be judged: {refusal}")
    if is_insert_only:
        return failed(
            "OVERWRITE=no is set, but a token replaced an object: the bucket has no rule against "
            "overwriting, or it has versioning (docs/deploy.md, Insert-only)"
        )
    return passed("a token may replace an object that it uploaded, as OVERWRITE=yes says")


def _unreached(target: Target) -> str:
    """Say why OSS cannot be reached and what to do. To find the reason, this opens one more
    connection to OSS, but sends no request."""
    parts = urlsplit(target.endpoint)
    host, port = parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]
    if not target.is_cname and not is_path_style(Endpoint(parts.scheme, host, port)):
        host = f"{target.bucket}.{host}"
    where = f"{UNREACHED}: {Endpoint(parts.scheme, host, port)}"
    try:
        wire.reach(Address(parts.scheme, host, port, ""))
    except wire.NoAnswer as error:
        return f"{where}: {error}{_advice(host, str(error), is_cname=target.is_cname)}"
    return f"{where} accepts the connection, but gives no complete answer"


def _advice(host: str, reason: str, *, is_cname: bool) -> str:
    page = "(docs/deploy.md, A domain for the bucket)"
    if reason == wire.UNRESOLVED and host.endswith(".localhost"):
        line = f'add the line "127.0.0.1 {host}" to /etc/hosts'
        return f": {line} (docs/sandbox.md, An account of today)"
    if reason == wire.UNRESOLVED and is_cname:
        return f": does the CNAME record exist? {page}"
    if reason.startswith(wire.UNTRUSTED) and is_cname:
        return f"; does OSS have a certificate for {host}? {page}"
    return ""


def _write(bucket: oss2.Bucket, target: Target, mark: str, written: list[str]) -> Finding:
    faults = []
    for prefix in neighbours(target.prefix, mark):
        key = f"{prefix}{mark}.txt"
        refusal = refusal_of(partial(bucket.put_object, key, CONTENT))
        if refusal is None:
            written.append(key)
        faults += _faults(refusal, f"the token may write {key}")
    return judged(
        faults, "refused: another folder, a prefix with the same beginning, the root of the bucket"
    )


def _read(bucket: oss2.Bucket, target: Target, mark: str) -> Finding:
    faults = []
    for prefix in neighbours(target.prefix, mark):
        # If the object does not exist, OSS could also answer "not found".
        key = f"{prefix}{mark}.txt"
        refusal = refusal_of(partial(bucket.get_object, key))
        faults += _faults(refusal, f"the token may read {key}")
    return judged(
        faults, "refused: another folder, a prefix with the same beginning, the root of the bucket"
    )


def _list(bucket: oss2.Bucket, target: Target, mark: str) -> Finding:
    faults = []
    for prefix in neighbours(target.prefix, mark):
        refusal = refusal_of(partial(bucket.list_objects_v2, prefix, max_keys=1))
        faults += _faults(refusal, f"the token may list {prefix or 'the whole bucket'}")
    return judged(
        faults, "refused: another folder, a prefix with the same beginning, the whole bucket"
    )


def clean_up(target: Target, written: list[str], key: AccessKey | None) -> Finding:
    """Delete objects with the operator's own key, or say that they stay."""
    if not written:
        return skipped("nothing was written")
    left = " and ".join(written)
    if key is None:
        return warned(
            f"{left} stays in {target.bucket}: a token cannot delete it. Delete it yourself. "
            "With your own key in the environment (ALIBABA_CLOUD_ACCESS_KEY_ID, _SECRET), the next "
            "run deletes what it uploads"
        )
    bucket = bucket_of(target, key_auth(key))
    for name in written:
        refusal = refusal_of(partial(bucket.delete_object, name))
        if refusal is not None:
            return warned(f"{left} stays in {target.bucket}: OSS refused your own key: {refusal}")
    return passed("deleted with the operator's own key")


def refusal_of(use: Callable[[], object]) -> str | None:
    """Return OSS's code if OSS refused the call, otherwise None. Errors of the SDK are caught."""
    try:
        use()
    except oss2.exceptions.ServerError as error:
        return str(error.code or f"HTTP {error.status}")
    except (oss2.exceptions.RequestError, OSError):
        # The library `requests` raises an OSError of its own if an error answer is cut off.
        return UNREACHED
    except oss2.exceptions.InconsistentError:
        return "the checksum in OSS's answer does not match the data"
    except oss2.exceptions.OssError:
        return "the SDK refused to send it"
    return None


def _faults(refusal: str | None, opened: str) -> list[str]:
    """Return what is wrong if a policy did not deny an access. Only AccessDenied is a refusal by a
    policy. NoSuchKey means that the policy allowed the access, but the object does not exist."""
    if refusal == DENIED:
        return []
    if refusal in (None, "NoSuchKey"):
        return [opened]
    return [f"cannot be judged: {refusal}"]


def token_auth(token: Document) -> oss2.StsAuth:
    """Return the signer for a token."""
    return oss2.StsAuth(
        token["AccessKeyId"], token["AccessKeySecret"], token["SecurityToken"], auth_version="v4"
    )


def key_auth(key: AccessKey) -> Any:
    """Return the signer for the operator's own key."""
    if key.security_token:
        return oss2.StsAuth(
            key.access_key_id, key.access_key_secret, key.security_token, auth_version="v4"
        )
    return oss2.AuthV4(key.access_key_id, key.access_key_secret)


def bucket_of(target: Target, auth: Any) -> oss2.Bucket:
    """Return the bucket with `auth`. Raises oss2's ClientError for an invalid name."""
    return oss2.Bucket(
        auth,
        target.endpoint,
        target.bucket,
        is_cname=target.is_cname,
        connect_timeout=GIVE_UP_SECONDS,
        region=target.region,
    )


def _endpoint_fault(endpoint: str) -> str | None:
    fault = "nothing is sent, because Scope.Endpoint must be https://… or a loopback address"
    try:
        # oss2 would add http:// to a name without a scheme.
        parts = urlsplit(endpoint)
    except ValueError:
        return fault
    loopback = Address(parts.scheme, parts.hostname or "", 0, "").is_loopback
    sound = parts.scheme == "https" or (parts.scheme == "http" and loopback)
    if parts.hostname == EMULATORS_HOST:
        return (
            f"Scope.Endpoint is {endpoint}. Only an Android emulator reaches this machine at this "
            "address. To try uploads from here, start the sandbox without this OSS_ENDPOINT"
        )
    return None if sound else fault
