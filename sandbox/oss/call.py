"""The input of an operation (Call), its OSS (Site), and the accesses that it needs.

No decisions are made here: authentication.py finds the caller, and the operations do the work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sandbox.identities import Identities, Identity
from sandbox.oss.callback_signer import CallbackSigner
from sandbox.oss.storage import Storage


@dataclass(frozen=True)
class Site:
    """The OSS of one region. `default_bucket` is used if a URL names no bucket.

    Without a `callback_signer` OSS sends no callbacks. With `takes_v1` OSS accepts signature V1, as
    for old buckets of old accounts. `cnames` maps each domain (a host name in lower case, without a
    port) to the bucket that it is bound to. With `is_public_closed`, data calls through a host that
    is not in `cnames` are refused (public_endpoint.py). Callbacks are sent only to `callback_urls`.
    If `callback_urls` is None, callbacks may be sent to all loopback addresses.
    """

    storage: Storage
    identities: Identities
    region: str
    default_bucket: str | None = None
    clock: Callable[[], float] = time.time
    callback_signer: CallbackSigner | None = None
    takes_v1: bool = False
    cnames: Mapping[str, str] = field(default_factory=dict)
    is_public_closed: bool = False
    callback_urls: frozenset[str] | None = None


@dataclass(frozen=True)
class Target:
    """The target of a URL: the service (no bucket), a bucket (no key), or an object."""

    bucket: str = ""
    key: str = ""

    @property
    def resource(self) -> str:
        """The resource that signatures cover: "/", "/bucket/" or "/bucket/key"."""
        return f"/{self.bucket}/{self.key}" if self.bucket else "/"


@dataclass(frozen=True)
class Call:
    """A request with a valid signature, or without any signature (then `identity` is None).

    Header names are in lower case, and header values are latin-1 text. If a query parameter is
    repeated, only the first one counts (vendor documentation).
    """

    method: str
    target: Target
    query: Mapping[str, str]
    headers: Mapping[str, str]
    identity: Identity | None = field(repr=False)
    client: str
    request_id: str

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self.target.bucket

    @property
    def key(self) -> str:
        """The object key, decoded."""
        return self.target.key


@dataclass(frozen=True)
class Need:
    """One permission that a request needs: the right to an action on a target. `context` has the
    values of the condition keys, as in ram.Access."""

    action: str
    target: Target
    context: Mapping[str, str] = field(default_factory=dict)

    def resource(self, account_id: str) -> str:
        """The name of the target in policies. Policies name the OSS service itself "*"."""
        path = f"{self.target.bucket}/{self.target.key}" if self.target.key else self.target.bucket
        return f"acs:oss:*:{account_id}:{path or '*'}"
