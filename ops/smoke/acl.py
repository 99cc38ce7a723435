"""Checks whether a token can make an object public: it uploads an object with a public ACL, reads
it without a signature, and makes it private again.

An upload may have the header x-oss-object-acl. The vendor's table of PutObject's permissions
requires only oss:PutObject. It is not verified on the real OSS (assumption 1) whether OSS requires
more. The bucket's BlockPublicAccess prevents public objects in any case. The object contains one
fixed text. The object is always made private again, even after Ctrl-C. Only SIGKILL can leave the
object public without a message.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

import oss2

from ops import report
from ops.report import Check, Finding, failed, passed, skipped, warned
from ops.smoke import upload, wire
from ops.smoke.contract import Document
from ops.smoke.upload import DENIED, Target, refusal_of
from token_service.settings.values import AccessKey

NAME = "smoke-test-acl-"
CONTENT = b"Written by `make smoke UPLOAD=1 ACL=1`; it can be deleted.\n"
NAMES = ("public object", "private again", "its clean-up")
"""The names of the lines that this check adds to the table."""

_ACL = "x-oss-object-acl"
_GONE = "NoSuchKey"


@dataclass
class Trial:
    """The check uses one object. Its requests are signed with the token, signed with the operator's
    own key, or not signed."""

    key: str
    bucket: oss2.Bucket
    own: oss2.Bucket | None
    """The bucket with the operator's own key, or None if the operator gave no key."""
    everybody: oss2.Bucket
    """The bucket without a signature."""
    version: str = ""
    """The version of the public object, or "" if the bucket does not keep versions."""
    is_gone: bool = False
    """Whether OSS has answered that the object does not exist."""

    def put(self, acl: str) -> oss2.models.PutObjectResult:
        """Upload the text with the token and this ACL. Raises the errors of oss2."""
        return self.bucket.put_object(self.key, CONTENT, headers={_ACL: acl})

    def publish(self) -> None:
        """Upload the object with a public ACL. Raises the errors of oss2."""
        self.version = self.put("public-read").headers.get("x-oss-version-id", "")


def check_acl(token: Document, key: AccessKey | None, *, uploaded: bool) -> list[Check]:
    """Try to make an object public, and return the three lines of NAMES. `uploaded` says whether
    this token has just uploaded something.

    If a signal is about to end the program, this function prints the lines to stderr, because the
    table is not printed then.
    """
    if not uploaded:
        finding = skipped("nothing could be uploaded, so nothing can be made public")
        return [Check(name, finding) for name in NAMES]
    target = Target.of(token)
    trial = Trial(
        f"{target.prefix}{NAME}{secrets.token_hex(8)}",
        upload.bucket_of(target, upload.token_auth(token)),
        upload.bucket_of(target, upload.key_auth(key)) if key is not None else None,
        upload.bucket_of(target, oss2.AnonymousAuth()),
    )
    public = failed("interrupted")
    may_be_there, is_judged = True, False
    with _signals_held_back() as came:
        try:
            refusal = refusal_of(trial.publish)
            may_be_there = refusal != DENIED
            public = _judged(trial, refusal)
            is_judged = True
        finally:
            private = _taken_back(trial) if may_be_there else skipped("nothing was stored")
            checks = [Check(NAMES[0], public), Check(NAMES[1], private)]
            if came or not is_judged:
                print(report.table(checks, _secrets(token, key)), file=sys.stderr)
    written = [trial.key] if may_be_there and not trial.is_gone else []
    return [*checks, Check(NAMES[2], upload.clean_up(target, written, key))]


def _secrets(token: Document, key: AccessKey | None) -> list[str]:
    own = [] if key is None else [key.access_key_secret, key.security_token or ""]
    return [token["AccessKeySecret"], token["SecurityToken"], *own]


def _judged(trial: Trial, refusal: str | None) -> Finding:
    """Judge the result of the upload. `refusal` is OSS's code, or None if the upload succeeded."""
    if refusal == DENIED:
        return passed("OSS refused the upload, because of a policy or Block Public Access")
    seen = _look(trial)
    if seen is None:
        return failed(
            "a token can make its uploads public, so everybody can read them. Switch Block Public "
            "Access on for the bucket (console: Permission Control > Block Public Access; API: "
            "PutBucketPublicAccessBlock)"
        )
    if refusal is None and seen == DENIED:
        return passed(
            "OSS stored the object with public-read, but refuses to serve it without a signature"
        )
    return failed(f"cannot be judged: {refusal or seen}")


def _taken_back(trial: Trial) -> Finding:
    """Make the object private. Try each possible way until nobody can read the object without a
    signature."""
    token, own = trial.bucket, trial.own
    ways = [
        ("PutObjectACL", partial(token.put_object_acl, trial.key, "private")),
        # A token without the right to change an ACL may still be allowed to upload with an ACL.
        ("overwriting it", partial(trial.put, "private")),
    ]
    if own is not None:
        version = {"versionId": trial.version} if trial.version else None
        ways += [
            ("your own key", partial(own.put_object_acl, trial.key, "private", params=version)),
            ("deleting it", partial(own.delete_object, trial.key, params=version)),
        ]
    tried = []
    for name, way in ways:
        refusal = refusal_of(way)
        trial.is_gone = refusal == _GONE
        if refusal not in (None, _GONE):
            tried.append(f"{name}: {refusal}")
            continue
        seen = _look(trial)
        if seen in (DENIED, _GONE):
            return passed("the object does not exist" if trial.is_gone else f"by {name}")
        if seen is not None:
            return warned(
                f"{trial.key} was changed by {name}, but whether it is still public is unknown: "
                f"{seen}"
            )
        tried.append(f"{name}: the object can still be read")
    return failed(
        f"{trial.key} may be public. Set its ACL to private, or delete it ({'; '.join(tried)})"
    )


def _look(trial: Trial) -> str | None:
    """Return OSS's code if the object cannot be read without a signature, or None if it can.

    It checks the object, and also the version that was public, because OSS keeps this version if
    the object is overwritten.
    """
    # Read the object at the address that oss2 makes, because oss2 uploaded the object there.
    parts = urlsplit(trial.everybody.sign_url("GET", trial.key, 60, slash_safe=True))
    port = parts.port or {"https": 443, "http": 80}[parts.scheme]
    address = wire.Address(parts.scheme, parts.hostname or "", port, "")
    queries: list[dict[str, str]] = [{}]
    if trial.version:
        queries.append({"versionId": trial.version})
    codes = []
    for query in queries:
        try:
            reply = wire.send(address, wire.Call("GET", parts.path, query))
        except wire.NoAnswer as error:
            return str(error)
        if reply.status == 200:
            return None
        code = re.search(rb"<Code>([A-Za-z.]{1,64})</Code>", reply.body)
        codes.append(code[1].decode() if code else f"HTTP {reply.status}")
    return codes[0]


@contextmanager
def _signals_held_back() -> Iterator[list[int]]:
    """Delay SIGINT, SIGTERM and SIGHUP until the block has ended. Yields a list that gets the
    number of each delayed signal."""
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        # Only the main thread handles signals.
        yield came
        return

    def wait(number: int, _: object) -> None:
        came.append(number)
        # Do not use print(), because the signal may have interrupted another print().
        os.write(2, b"make smoke: please wait, the test object is being made private again\n")

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, wait) for number in numbers}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
