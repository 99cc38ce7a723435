"""The environment -> Settings: what a token needs, read and checked once.

Secrets are no part of it: the platform may change them in a living instance. What only some routes
need is read by signing/limits.py and callback/parameters.py; faults.py finds all that is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from token_service.settings import variables as v
from token_service.settings.parsing import Reader, Variable
from token_service.settings.values import AccessKey, Endpoint

if TYPE_CHECKING:
    from token_service.login.ways import Auth

DEFAULT_TOKENS_PER_MINUTE, DEFAULT_URLS_PER_MINUTE = 60, 6000
"""Of one caller who has a name: STS takes 100 calls a second from a whole account."""


class Settings(NamedTuple):
    """What a token needs, checked; no secret. `auth` are the settings of login/<AUTH>.py. Seconds
    are 900 to 43200, a limit of 0 is none. The function itself reaches OSS by the internal one."""

    auth: Auth
    role_arn: str
    token_seconds: int
    max_token_seconds: int
    policy: str
    policy_choices: tuple[str, ...]
    bucket: str
    prefix: str
    region: str
    oss_endpoint: Endpoint
    oss_internal_endpoint: Endpoint
    sts_endpoint: Endpoint
    allowed_origins: tuple[str, ...]
    caller_tokens_per_minute: int
    caller_urls_per_minute: int
    has_callbacks: bool

    @property
    def is_unwise(self) -> bool:
        """Whether there is something to warn of (warnings.py)."""
        is_limited = self.auth.names_callers and self.caller_tokens_per_minute
        return not is_limited or "all_policy" in self.policy_choices


def read_settings(env: Mapping[str, str]) -> Settings:
    """Read and check what a token needs. Raises Misconfiguration for the first fault."""
    return read(Reader(env))


def read(reader: Reader) -> Settings:
    """Read Settings; what is wrong is the reader's matter."""
    region = _region(reader)
    policy = reader.read(v.POLICY_FILE)
    seconds = reader.read(v.TOKEN_EXPIRE_TIME)
    auth: Auth = import_module(f"token_service.login.{reader.read(v.AUTH)}").read(reader)
    oss = Endpoint("https", f"oss-{region}.aliyuncs.com", 443)
    oss = reader.optional(v.OSS_ENDPOINT, oss)
    sts = Endpoint("https", f"sts.{region}.aliyuncs.com", 443)
    # Without names all callers are one, who shares with nobody.
    tokens, urls = DEFAULT_TOKENS_PER_MINUTE, DEFAULT_URLS_PER_MINUTE
    if not auth.names_callers:
        tokens = urls = 0
    return Settings(
        auth=auth,
        role_arn=reader.read(v.ROLE_ARN),
        token_seconds=seconds,
        max_token_seconds=reader.optional(v.TOKEN_EXPIRE_TIME_MAX, seconds, least=seconds),
        policy=policy,
        policy_choices=tuple(dict.fromkeys([policy, *reader.optional(v.POLICY_CHOICES, ())])),
        bucket=reader.read(v.BUCKET_NAME),
        prefix=_prefix(reader),
        region=region,
        oss_endpoint=oss,
        oss_internal_endpoint=reader.optional(v.OSS_INTERNAL_ENDPOINT, oss),
        sts_endpoint=reader.optional(v.STS_ENDPOINT, sts),
        allowed_origins=reader.optional(v.ALLOWED_ORIGINS, ()),
        caller_tokens_per_minute=reader.optional(v.CALLER_TOKENS_PER_MINUTE, tokens),
        caller_urls_per_minute=reader.optional(v.CALLER_URLS_PER_MINUTE, urls),
        has_callbacks=bool(reader.text(v.CALLBACK_URL) or reader.text(v.UPLOAD_HOOK_URL)),
    )


def read_access_key(reader: Reader) -> AccessKey:
    """Read the function's credentials. Raises Misconfiguration for what is missing or damaged."""
    return AccessKey(
        access_key_id=reader.read(v.ACCESS_KEY_ID),
        access_key_secret=reader.read(v.ACCESS_KEY_SECRET),
        security_token=reader.optional(v.SECURITY_TOKEN, None),
    )


def read_secrets(env: Mapping[str, str], variable: Variable) -> tuple[bytes, ...]:
    """Read secrets; the first one signs, all of them verify. Raises Misconfiguration for a missing
    one, for one of less than 32 bytes, and for a public key."""
    secrets: tuple[bytes, ...] = Reader(env).read(variable)
    return secrets


def real_error_status(env: Mapping[str, str]) -> bool:
    """Whether errors have a real HTTP status, wrong settings too. Raises Misconfiguration."""
    return bool(Reader(env).read(v.HTTP_ERROR_STATUS) == "real")


def _region(reader: Reader) -> str:
    # The platform's own stands in its place.
    is_given = reader.text(v.OSS_REGION) or not reader.env.get("FC_REGION", "").strip()
    variable = v.OSS_REGION if is_given else v.OSS_REGION._replace(name="FC_REGION")
    region: str = reader.read(variable)
    return region


def _prefix(reader: Reader) -> str:
    """An empty one is not one that is not set: it would be the whole bucket."""
    if v.OBJECT_PREFIX.name in reader.env and not reader.text(v.OBJECT_PREFIX):
        reader.fault(v.OBJECT_PREFIX, "must not be empty")
    prefix: str = reader.optional(v.OBJECT_PREFIX, v.OBJECT_PREFIX.default)
    return prefix
