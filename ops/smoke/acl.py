"""Whether a token can make an object public: tries it, looks without a signature, takes it back.

The vendor's table of PutObject's permissions asks for oss:PutObject alone, and an upload may carry
x-oss-object-acl: what comes of it is not verified on the real OSS (assumption 1). What holds in
any case is the bucket's BlockPublicAccess. The object is one fixed text, and it is made private
again whatever happens in between: an interruption waits for that. Nothing but SIGKILL leaves it
public without a word.
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
"""The lines of the table."""

_ACL = "x-oss-object-acl"
_GONE = "NoSuchKey"


@dataclass
class Trial:
    """One object, as the token, the operator and everybody reach it."""

    key: str
    bucket: oss2.Bucket
    own: oss2.Bucket | None
    """Signs with the operator's own key; None without one."""
    everybody: oss2.Bucket
    """Signs nothing."""
    version: str = ""
    """Of the public object, in a bucket that keeps versions; "" in others."""
    is_gone: bool = False
    """OSS has said that there is no such object."""

    def put(self, acl: str) -> oss2.models.PutObjectResult:
        """Upload the text with the token and this ACL. Raises what oss2 does."""
        return self.bucket.put_object(self.key, CONTENT, headers={_ACL: acl})

    def publish(self) -> None:
        """Upload it for everybody to read. Raises what oss2 does."""
        self.version = self.put("public-read").headers.get("x-oss-version-id", "")


def check_acl(token: Document, key: AccessKey | None, *, uploaded: bool) -> list[Check]:
    """Try it with a token that has just `uploaded` something; three lines, NAMES.

    Prints them to stderr where a signal is about to end the program, after which nobody else would.
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
    public = failed("broken off")
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
    """What it means, after the upload was refused so (None: it was not)."""
    if refusal == DENIED:
        return passed("OSS refused the upload: by its policies, or by Block Public Access")
    seen = _look(trial)
    if seen is None:
        return failed(
            "a token can make its uploads public, and everybody can read them: switch Block Public "
            "Access on for the bucket (console: Permission Control > Block Public Access; API: "
            "PutBucketPublicAccessBlock)"
        )
    if refusal is None and seen == DENIED:
        return passed("stored with public-read, and refused without a signature all the same")
    return failed(f"cannot be judged: {refusal or seen}")


def _taken_back(trial: Trial) -> Finding:
    """Make it private by all means there are, until nobody can read it without a signature."""
    token, own = trial.bucket, trial.own
    ways = [
        ("PutObjectACL", partial(token.put_object_acl, trial.key, "private")),
        # Who may not change an ACL may still have been let to set one with an upload.
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
            return passed("nothing is there" if trial.is_gone else f"by {name}")
        if seen is not None:
            return warned(f"{trial.key}, by {name}; but a look at it failed: {seen}")
        tried.append(f"{name}: it can still be read")
    return failed(
        f"{trial.key} may be public: set its ACL to private, or delete it ({'; '.join(tried)})"
    )


def _look(trial: Trial) -> str | None:
    """Why it cannot be read without a signature, in OSS's code; None where it can be.

    Both the object and the version that was public, which an overwritten one leaves behind.
    """
    # As oss2 addresses the bucket: it is the place that was written to.
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
    """Let Ctrl-C and the like wait until the block has ended; yields what has come so far."""
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        # Signals are the main thread's.
        yield came
        return

    def wait(number: int, _: object) -> None:
        came.append(number)
        # Not print: the signal may have come in the middle of another.
        os.write(2, b"make smoke: wait, the test object is made private again\n")

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, wait) for number in numbers}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
