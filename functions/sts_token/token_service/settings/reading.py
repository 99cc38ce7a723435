"""Reads the environment, and checks it once. Settings has the values that a token needs.

Settings hold no secrets, as the platform may change secrets at any time. signing/limits.py and
callback/parameters.py read variables that only some routes need. faults.py finds all faults.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from token_service.settings import variables as v
from token_service.settings.parsing import Reader
from token_service.settings.values import ROUTE_WORDS, AccessKey, Endpoint

if TYPE_CHECKING:
    from token_service.login.ways import Auth

DEFAULTS_PER_MINUTE = 60, 6000
"""Tokens and URLs a minute for each named caller. STS allows an account 100 calls a second."""


class Settings(NamedTuple):
    """Checked settings of a token, without secrets. `auth` is read by login/<AUTH>.py. Seconds are
    900 to 43200. A limit of 0 means no limit. The function itself uses the internal endpoint.
    `is_cname`: clients use the operator's own domain, which is bound to the bucket.
    `has_unbound_tokens`: signed uploads have limits, but clients can get tokens without limits."""

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
    is_cname: bool
    sts_endpoint: Endpoint
    caller_tokens_per_minute: int
    caller_urls_per_minute: int
    has_callbacks: bool
    enabled_routes: tuple[str, ...]
    has_unbound_tokens: bool

    @property
    def is_unwise(self) -> bool:
        """Whether warnings.py may have a warning about these settings."""
        is_limited = self.auth.names_callers and self.caller_tokens_per_minute
        return not is_limited or self.has_unbound_tokens or "all_policy" in self.policy_choices


def read_settings(env: Mapping[str, str]) -> Settings:
    """Read and check what a token needs. Raises Misconfiguration for the first fault."""
    return read(Reader(env))


def read(reader: Reader) -> Settings:
    """Read Settings. The reader decides what happens if a variable is wrong."""
    has_own = reader.text(v.OSS_REGION) or not reader.text(v.FC_REGION)
    region = reader.read(v.OSS_REGION if has_own else v.FC_REGION)
    if v.OBJECT_PREFIX.name in reader.env and not reader.text(v.OBJECT_PREFIX):
        # An empty prefix would mean the whole bucket, but an unset prefix has a default.
        reader.fault(v.OBJECT_PREFIX, "must not be empty")
    reader.read(v.HTTP_ERROR_STATUS)
    policy = reader.read(v.POLICY_FILE)
    seconds = reader.read(v.TOKEN_EXPIRE_TIME)
    auth: Auth = import_module(f"token_service.login.{reader.read(v.AUTH)}").read(reader)
    bucket = reader.read(v.BUCKET_NAME)
    oss, internal, is_cname = _oss_endpoints(reader, region, bucket)
    sts = Endpoint("https", f"sts.{region}.aliyuncs.com", 443)
    enabled = reader.optional(v.ENABLED_ROUTES, ROUTE_WORDS)
    has_limits = reader.text(v.UPLOAD_MAX_BYTES) or reader.text(v.UPLOAD_CONTENT_TYPES)
    # Callers without names (AUTH=anonymous) count as one caller, so no default limit is needed.
    tokens, urls = DEFAULTS_PER_MINUTE if auth.names_callers else (0, 0)
    return Settings(
        auth=auth,
        role_arn=reader.read(v.ROLE_ARN),
        token_seconds=seconds,
        max_token_seconds=reader.optional(v.TOKEN_EXPIRE_TIME_MAX, seconds, least=seconds),
        policy=policy,
        policy_choices=tuple(dict.fromkeys([policy, *reader.optional(v.POLICY_CHOICES, ())])),
        bucket=bucket,
        prefix=reader.optional(v.OBJECT_PREFIX, v.OBJECT_PREFIX.default),
        region=region,
        oss_endpoint=oss,
        oss_internal_endpoint=internal,
        is_cname=is_cname,
        sts_endpoint=reader.optional(v.STS_ENDPOINT, sts),
        caller_tokens_per_minute=reader.optional(v.CALLER_TOKENS_PER_MINUTE, tokens),
        caller_urls_per_minute=reader.optional(v.CALLER_URLS_PER_MINUTE, urls),
        has_callbacks=bool(reader.text(v.CALLBACK_URL) or reader.text(v.UPLOAD_HOOK_URL)),
        enabled_routes=enabled,
        has_unbound_tokens="token" in enabled
        and bool(has_limits or reader.text(v.OVERWRITE) == "no"),
    )


def read_access_key(reader: Reader) -> AccessKey:
    """Read the function's credentials. Raises Misconfiguration if one is missing or damaged."""
    return AccessKey(
        access_key_id=reader.read(v.ACCESS_KEY_ID),
        access_key_secret=reader.read(v.ACCESS_KEY_SECRET),
        security_token=reader.optional(v.SECURITY_TOKEN, None),
    )


def _oss_endpoints(reader: Reader, region: str, bucket: str) -> tuple[Endpoint, Endpoint, bool]:
    """Return the endpoints as oss_hosts.read does. Load oss_hosts only if the region does not
    decide them. In the bucket's region the internal endpoint is used, unless OSS_INTERNAL_ENDPOINT
    is set. It is not verified on the real cloud that it works without a VPC (assumption 33)."""
    given = reader.text(v.OSS_ENDPOINT) or reader.text(v.OSS_INTERNAL_ENDPOINT)
    if given or "finance" in region:
        from token_service.settings import oss_hosts

        return oss_hosts.read(reader, region, bucket)
    oss = internal = Endpoint("https", f"oss-{region}.aliyuncs.com", 443)
    if reader.text(v.FC_REGION) == region:
        internal = oss._replace(host=f"oss-{region}-internal.aliyuncs.com")
    return oss, internal, False
