"""The sandbox's cloud: the account, key, role and bucket that the function's environment names.

The whole cloud is stored in one folder (.sandbox/), so objects and tokens are still valid in the
next run.
"""

from __future__ import annotations

import hmac
import json
import secrets
import socket
import sqlite3
import tempfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp

from sandbox import ROOT, oss, sts
from sandbox.environment import CNAME, Ports, sandbox_environment
from sandbox.identities import AccessKey, Identities, Role
from sandbox.oss import Storage, overwrite
from sandbox.oss.callback_signer import CallbackSigner, make_private_key
from sandbox.oss.cors import ANY_ORIGIN, store_rules
from sandbox.oss.room import Limits
from sandbox.ram import Policy
from sandbox.request_notes import RequestNotes
from sandbox.servers import Service
from token_service.settings.parsing import Reader
from token_service.settings.reading import read_access_key, read_settings

RULE_ID = "uploads-are-kept"
"""The ID of the bucket's rule against overwriting, the same ID as in template.yml."""


class Damaged(Exception):
    """Raised for a stored file with content that the sandbox did not write. The message names the
    file."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is damaged; `make clean` removes it, with all stored objects")


@dataclass(frozen=True)
class Secrets:
    """Secrets that the sandbox generated once: the function's key, and the key that seals
    tokens."""

    access_key_id: str
    access_key_secret: str
    seal_key: str

    @property
    def jwt_secret(self) -> str:
        """The key of demo logins (AUTH=jwt), 64 hexadecimal digits.

        The key is derived from the seal key. Every secrets.json has the seal key, even if an
        earlier version wrote the file. Therefore all processes compute the same key.
        """
        return hmac.digest(bytes.fromhex(self.seal_key), b"demo logins", "sha256").hex()

    @property
    def callback_secret(self) -> str:
        """The secret for callbacks if CALLBACK_SECRET is not set, derived from the seal key."""
        return hmac.digest(bytes.fromhex(self.seal_key), b"callback seals", "sha256").hex()

    @property
    def multipart_secret(self) -> str:
        """The secret for resumable uploads if MULTIPART_SECRET is not set, derived from the seal
        key."""
        return hmac.digest(bytes.fromhex(self.seal_key), b"multipart seals", "sha256").hex()

    @property
    def account_key(self) -> tuple[str, str]:
        """The id and the secret of the account's own key, derived from the seal key."""
        digest = hmac.digest(bytes.fromhex(self.seal_key), b"account key", "sha256").hex()
        return f"LTAI5t{digest[:18]}", digest[18:48]

    def environment(
        self, variables: Mapping[str, str], given: Collection[str], ports: Ports
    ) -> dict[str, str]:
        """The function's variables for a sandbox on `ports` (sandbox_environment)."""
        return sandbox_environment(
            variables,
            given,
            key=(self.access_key_id, self.access_key_secret),
            oss_port=ports.oss,
            sts_port=ports.sts,
            jwt_secret=self.jwt_secret,
            callback_secret=self.callback_secret,
            multipart_secret=self.multipart_secret,
            gateway_port=ports.gateway,
            internal_port=ports.internal,
        )

    def __repr__(self) -> str:
        return "Secrets(***)"


@dataclass(frozen=True)
class Cloud:
    """The identities and the storage behind the sandbox's STS and OSS."""

    identities: Identities
    storage: Storage
    region: str
    bucket: str


def state_folder(env: Mapping[str, str]) -> Path:
    """The folder of all stored files: SANDBOX_DIR, or .sandbox in the checkout."""
    return Path(env.get("SANDBOX_DIR") or ROOT / ".sandbox")


def load_secrets(folder: Path) -> Secrets:
    """Read the secrets, or make them on the first run. Only the file's owner can read them.

    Raises Damaged.
    """

    def make() -> str:
        made = Secrets(
            "LTAI5t" + secrets.token_hex(9), secrets.token_urlsafe(22), secrets.token_hex(32)
        )
        return json.dumps(vars(made))

    path = folder / "secrets.json"
    try:
        made = Secrets(**json.loads(_made_once(path, make)))
        bytes.fromhex(made.seal_key)
    except (ValueError, TypeError):
        raise Damaged(path) from None
    return made


def load_signer(folder: Path, public_key_url: str) -> CallbackSigner:
    """Read the key that signs OSS's callbacks (PEM), or make it. Only the file's owner can read it.

    Raises Damaged.
    """
    path = folder / "callback_key.pem"
    try:
        pem = _made_once(path, lambda: make_private_key().decode())
        return CallbackSigner(pem.encode(), public_key_url)
    except ValueError:
        raise Damaged(path) from None


def _made_once(path: Path, make: Callable[[], str]) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    made = make()
    # This file is readable by its owner only, and its name is unique.
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(made)
    draft = Path(file.name)
    try:
        # hardlink_to() fails if the file exists. If two processes make the first secrets at the
        # same time, both use the secrets of the faster process.
        path.hardlink_to(draft)
    except FileExistsError:
        return path.read_text()
    finally:
        draft.unlink()
    return made


def identities(function_env: Mapping[str, str], made: Secrets) -> Identities:
    """The account's own key, the function's key, and the upload role that the function may assume.

    The role may do everything under the prefix, and nothing outside. Under the prefix, the policy
    of a token decides what the token may do. No policy can allow more than the role. The function's
    key also signs URLs and forms, and lists uploads. Therefore this key may upload objects (also in
    parts), read them and list them, but only under the prefix.
    """
    # read_settings() and read_access_key() strip spaces around values, as the token function does.
    settings, access_key = read_settings(function_env), read_access_key(Reader(function_env))
    account = settings.role_arn.split(":")[3]
    user_arn = f"acs:ram::{account}:user/token-function"
    bucket = f"acs:oss:*:*:{settings.bucket}"
    may_assume = _policy(
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": settings.role_arn},
    )
    objects = f"{bucket}/{settings.prefix}*"
    list_objects = {
        "Effect": "Allow",
        "Action": "oss:ListObjects",
        "Resource": bucket,
        "Condition": {"StringLike": {"oss:Prefix": f"{settings.prefix}*"}},
    }
    may_sign = _policy(
        {
            "Effect": "Allow",
            "Action": [
                "oss:PutObject",
                "oss:ListParts",
                "oss:AbortMultipartUpload",
                "oss:GetObject",
            ],
            "Resource": objects,
        },
        list_objects,
    )
    may_upload = _policy({"Effect": "Allow", "Action": "oss:*", "Resource": objects}, list_objects)
    key = AccessKey(
        access_key_id=access_key.access_key_id,
        access_key_secret=access_key.access_key_secret,
        arn=user_arn,
        policies=(may_assume, may_sign),
        security_token=access_key.security_token,
    )
    role = Role(
        arn=settings.role_arn,
        trusted=(user_arn,),
        policies=(may_upload,),
        max_session_seconds=43200,
    )
    owner = AccessKey(*made.account_key, arn=f"acs:ram::{account}:root", policies=None)
    return Identities(account, bytes.fromhex(made.seal_key), [key, owner], [role])


def create(
    function_env: Mapping[str, str], folder: Path, made: Secrets, limits: Limits | None = None
) -> Cloud:
    """Create the account, roles and bucket that the function's (already checked) environment names.

    Pages of any origin may upload to the bucket, because they need a token in any case. With
    OVERWRITE=no the bucket gets the rule of template.yml against overwriting; otherwise that rule
    is removed. Other rules of the bucket stay. Raises Damaged.
    """
    settings = read_settings(function_env)
    try:
        storage = Storage(folder / "oss", limits=limits)
    except sqlite3.OperationalError:
        # The database is locked or the disk is full, so `make clean` would not help.
        raise
    except sqlite3.DatabaseError:
        raise Damaged(folder / "oss") from None
    storage.create_bucket(settings.bucket, cors=store_rules([ANY_ORIGIN]))
    found = storage.bucket(settings.bucket)
    rules = [r for r in overwrite.read_rules(found.overwrite) if r.id != RULE_ID] if found else []
    if function_env.get("OVERWRITE", "").strip() == "no":
        role = overwrite.of_role(settings.role_arn)
        rules.append(overwrite.OverwriteRule(RULE_ID, settings.prefix, principals=[role]))
    storage.set_overwrite_rules(settings.bucket, overwrite.store_rules(rules))
    return Cloud(identities(function_env, made), storage, settings.region, settings.bucket)


def oss_app(
    made: Cloud,
    signer: CallbackSigner,
    *,
    takes_v1: bool = False,
    is_public_closed: bool = False,
    callback_urls: frozenset[str] | None = None,
    notes: RequestNotes | None = None,
) -> ASGIApp:
    """The application of OSS, with the options of oss.Site. OSS's answers to pages are kept in
    `notes`."""
    app = oss.create_app(
        made.storage,
        made.identities,
        region=made.region,
        default_bucket=made.bucket,
        callback_signer=signer,
        takes_v1=takes_v1,
        cnames={CNAME: made.bucket},
        is_public_closed=is_public_closed,
        callback_urls=callback_urls,
    )
    return app if notes is None else notes.watched(app, "OSS")


def services(
    made: Cloud,
    signer: CallbackSigner,
    oss_listener: socket.socket,
    sts_listener: socket.socket,
    internal_listener: socket.socket | None = None,
    *,
    takes_v1: bool = False,
    notes: RequestNotes | None = None,
) -> list[Service]:
    """OSS and STS, each with the bound socket that it is served on.

    With an `internal_listener` OSS has two endpoints, as for a new account: a public endpoint that
    is closed to data calls, and the region's internal endpoint. `takes_v1` says whether OSS accepts
    signature V1. OSS's answers to pages are kept in `notes`.
    """
    is_closed = internal_listener is not None
    public = oss_app(made, signer, takes_v1=takes_v1, is_public_closed=is_closed, notes=notes)
    served = [
        Service(public, oss_listener),
        Service(sts.create_app(made.identities), sts_listener),
    ]
    if internal_listener is not None:
        internal = oss_app(made, signer, takes_v1=takes_v1, notes=notes)
        served.append(Service(internal, internal_listener))
    return served


def _policy(*statements: object) -> Policy:
    return Policy.parse(json.dumps({"Version": "1", "Statement": list(statements)}))
