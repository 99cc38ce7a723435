"""Runs the sandbox's OSS, and makes all kinds of keys and real SDK clients for this OSS."""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import alibabacloud_oss_v2 as v2
import oss2
import requests
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox.identities import AccessKey, Identities, Role, SessionCredentials
from sandbox.oss import Storage, create_app
from sandbox.oss.callback_signer import CallbackSigner, make_private_key
from sandbox.oss.room import Limits
from sandbox.ram import Policy
from sandbox.servers import Service, in_background, listen

ACCOUNT = "1234567890123456"
REGION = "cn-hangzhou"
BUCKET = "my-bucket"
ROLE_ARN = f"acs:ram::{ACCOUNT}:role/upload"


def policy(*statements: Mapping[str, object]) -> str:
    """The text of a policy. A statement without an Effect allows."""
    return json.dumps({"Version": "1", "Statement": [{"Effect": "Allow", **s} for s in statements]})


EVERYTHING = policy({"Action": "oss:*", "Resource": "acs:oss:*:*:*"})


PUBLIC_KEY_URL = "http://127.0.0.1:9/sandbox/callback_pub_key.pem"


@functools.cache
def callback_key() -> bytes:
    """A key for callbacks, shared by all tests, because making a key for each test is slow."""
    return make_private_key()


@functools.cache
def callback_signer() -> CallbackSigner:
    """A signer with callback_key(). All tests share it, because loading a key takes 50 ms."""
    return CallbackSigner(callback_key(), PUBLIC_KEY_URL)


class Clock:
    """The time of day, which a test can move forward by `ahead` seconds."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass(frozen=True)
class Oss:
    """A running OSS with one bucket. `root` is the account's own key, which may do everything."""

    port: int
    storage: Storage
    identities: Identities
    clock: Clock
    folder: Path
    root: AccessKey
    connections: contextlib.ExitStack

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def session(self, text: str | None = EVERYTHING, seconds: int = 900) -> SessionCredentials:
        """Credentials of the upload role (which may do everything) under a session policy."""
        role = self.identities.role(ROLE_ARN)
        assert role is not None
        return self.identities.assume(role, "phone", text, seconds)

    def oss2(
        self,
        credentials: SessionCredentials | None = None,
        *,
        version: str = "v4",
        bucket: str = BUCKET,
    ) -> oss2.Bucket:
        """The real SDK oss2, with these credentials, or with the root key."""
        if credentials is None:
            made = {"v1": oss2.Auth, "v4": oss2.AuthV4}[version]
            auth = made(self.root.access_key_id, self.root.access_key_secret)
        else:
            auth = oss2.StsAuth(
                credentials.access_key_id,
                credentials.access_key_secret,
                credentials.security_token,
                auth_version=version,
            )
        return oss2.Bucket(auth, self.endpoint, bucket, region=REGION, session=self.oss2_session())

    def oss_v2(self, credentials: SessionCredentials | None = None) -> v2.Client:
        """The real SDK alibabacloud-oss-v2, with a session's credentials, or with the root key."""
        key = credentials or self.root
        config = v2.config.load_default()
        config.credentials_provider = v2.credentials.StaticCredentialsProvider(
            key.access_key_id,
            key.access_key_secret,
            credentials.security_token if credentials else None,
        )
        config.region, config.endpoint = REGION, self.endpoint
        return v2.Client(config)

    def oss2_session(self) -> object:
        """A connection pool for oss2. All answers are closed at the end, because oss2 does not
        read and close every answer."""
        session = oss2.Session()
        self.connections.callback(session.session.close)

        def close_later(answer: requests.Response, **_: object) -> None:
            self.connections.callback(answer.close)

        session.session.hooks["response"].append(close_later)
        return session

    def raw(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        """Send one request unchanged; return status, headers (in lower case) and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, names, answer.read()
        finally:
            connection.close()


class Server:
    """A listening server with an application that a test can replace. Tests share the server,
    because starting one for each test is slow."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app is not None
        await self.app(scope, receive, send)


@contextmanager
def running_server() -> Iterator[Server]:
    """Run a server. A test sets the application that the server serves."""
    listener = listen(0)
    server = Server(listener.getsockname()[1])
    with in_background([Service(server, listener)]):
        yield server


@contextmanager
def running_oss(
    folder: Path,
    server: Server | None = None,
    default_bucket: str | None = None,
    *,
    takes_v1: bool = False,
    cname: str = "",
    is_public_closed: bool = False,
    limits: Limits | None = None,
    callback_urls: frozenset[str] | None = None,
) -> Iterator[Oss]:
    """Serve an OSS with a bucket, in `server` or in a new server.

    `takes_v1` means SIGNATURE_V1=1. `cname` is the bucket's own domain. With `is_public_closed`,
    data calls need this domain. `limits` and `callback_urls` are the settings that the sandbox uses
    with LAN=1.
    """
    with contextlib.ExitStack() as stack:
        if server is None:
            server = stack.enter_context(running_server())
        clock = Clock()
        root = AccessKey("LTAI5tRoot", "root-secret", f"acs:ram::{ACCOUNT}:root", None)
        role = Role(ROLE_ARN, (), (Policy.parse(EVERYTHING),), 43200)
        identities = Identities(ACCOUNT, b"seal key", [root], [role], clock)
        storage = Storage(folder, clock, limits)
        stack.callback(storage.close)
        storage.create_bucket(BUCKET)
        server.app = create_app(
            storage,
            identities,
            region=REGION,
            default_bucket=default_bucket,
            clock=clock,
            callback_signer=callback_signer(),
            takes_v1=takes_v1,
            cnames={cname: BUCKET} if cname else {},
            is_public_closed=is_public_closed,
            callback_urls=callback_urls,
        )
        yield Oss(server.port, storage, identities, clock, folder, root, stack)
