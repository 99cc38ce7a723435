"""The sandbox's cloud: the account, key, role and bucket that the function's environment names.

It lives in one folder (.sandbox/), so that objects, and tokens in people's hands, outlive a run.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox import ROOT
from sandbox.identities import AccessKey, Identities, Role
from sandbox.oss import Storage
from sandbox.ram import Policy


@dataclass(frozen=True)
class Secrets:
    """What the sandbox made up once: the function's key, and the key that seals tokens."""

    access_key_id: str
    access_key_secret: str
    seal_key: str

    def __repr__(self) -> str:
        return "Secrets(***)"


@dataclass(frozen=True)
class Cloud:
    """What STS and OSS of the sandbox serve."""

    identities: Identities
    storage: Storage
    region: str
    bucket: str


def state_folder(env: Mapping[str, str]) -> Path:
    """Where everything is kept: SANDBOX_DIR, or .sandbox in the checkout."""
    return Path(env.get("SANDBOX_DIR") or ROOT / ".sandbox")


def load_secrets(folder: Path) -> Secrets:
    """Read the secrets, or make them on the first run; readable by their owner only."""
    path = folder / "secrets.json"
    try:
        return Secrets(**json.loads(path.read_text()))
    except FileNotFoundError:
        folder.mkdir(parents=True, exist_ok=True)
    made = Secrets(
        "LTAI5t" + secrets.token_hex(9), secrets.token_urlsafe(22), secrets.token_hex(32)
    )
    draft = folder / f"secrets.{os.getpid()}"
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(vars(made)))
    try:
        # Not replace: of two first runs at once, both shall use what the first one wrote.
        path.hardlink_to(draft)
    except FileExistsError:
        return load_secrets(folder)
    finally:
        draft.unlink()
    return made


def identities(function_env: Mapping[str, str], seal_key: str) -> Identities:
    """The function's key, and the upload role that it may assume.

    The role may do everything under the prefix, and nothing outside: what a token may do is then
    up to its policy, and no policy can lead further.
    """
    role_arn = function_env["ROLE_ARN"]
    account = role_arn.split(":")[3]
    user_arn = f"acs:ram::{account}:user/token-function"
    bucket = f"acs:oss:*:*:{function_env['BUCKET_NAME']}"
    prefix = function_env["OBJECT_PREFIX"]
    may_assume = _policy(
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role_arn},
    )
    may_upload = _policy(
        {"Effect": "Allow", "Action": "oss:*", "Resource": f"{bucket}/{prefix}*"},
        {
            "Effect": "Allow",
            "Action": "oss:ListObjects",
            "Resource": bucket,
            "Condition": {"StringLike": {"oss:Prefix": f"{prefix}*"}},
        },
    )
    key = AccessKey(
        access_key_id=function_env["ALIBABA_CLOUD_ACCESS_KEY_ID"],
        access_key_secret=function_env["ALIBABA_CLOUD_ACCESS_KEY_SECRET"],
        arn=user_arn,
        policies=(may_assume,),
        security_token=function_env.get("ALIBABA_CLOUD_SECURITY_TOKEN") or None,
    )
    role = Role(
        arn=role_arn, trusted=(user_arn,), policies=(may_upload,), max_session_seconds=43200
    )
    return Identities(account, bytes.fromhex(seal_key), [key], [role])


def create(function_env: Mapping[str, str], folder: Path, made: Secrets) -> Cloud:
    """Make what the function's (already checked) environment names."""
    storage = Storage(folder / "oss")
    storage.create_bucket(function_env["BUCKET_NAME"])
    return Cloud(
        identities(function_env, made.seal_key),
        storage,
        function_env["OSS_REGION"],
        function_env["BUCKET_NAME"],
    )


def _policy(*statements: object) -> Policy:
    return Policy.parse(json.dumps({"Version": "1", "Statement": list(statements)}))
