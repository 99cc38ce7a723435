"""The environment -> Settings: each variable is read, checked and defaulted here, once.

Secrets are not part of Settings: the platform may change the credentials of a living instance, so
`read_access_key` reads them at each use. No error shows a variable's value: it may be a secret
that was pasted into the wrong place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

import keys
from errors import Misconfiguration

MIN_SECONDS = 900
"""STS's shortest session (vendor documentation of AssumeRole)."""
MAX_SECONDS = 43200
"""STS's longest session, where the role's MaxSessionDuration allows it."""

# As text: what a cold start does not meet, it does not compile.
_ROLE_ARN = r"acs:ram::[0-9]{1,32}:role/[A-Za-z0-9.@_-]{1,64}"
_BUCKET = r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]"
_REGION = r"(?!oss-)[a-z]{2,}(?:-[a-z0-9]+)+"
_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[::1\]"
# Whole numbers only: "127.evil.example" and "10.0.0.1.evil.example" are names like any other.
_LOOPBACK = r"localhost|127(?:\.[0-9]{1,3}){3}|::1"
_LOCAL = (
    rf"{_LOOPBACK}|10(?:\.[0-9]{{1,3}}){{3}}|192\.168(?:\.[0-9]{{1,3}}){{2}}"
    r"|172\.(?:1[6-9]|2[0-9]|3[01])(?:\.[0-9]{1,3}){2}"
)


class Endpoint(NamedTuple):
    """Where a service answers: scheme (https, or http where allowed), host and TCP port."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """The Host header: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


_DEFAULT_PORTS = {"https": 443, "http": 80}


class AccessKey(NamedTuple):
    """The function's own credentials; `security_token` is there when they are temporary."""

    access_key_id: str
    access_key_secret: str
    security_token: str | None

    def __repr__(self) -> str:
        return "AccessKey(***)"


class Settings(NamedTuple):
    """The whole configuration, checked. Holds no secret."""

    role_arn: str
    token_seconds: int
    policy: str
    policy_choices: tuple[str, ...]
    bucket: str
    prefix: str
    region: str
    oss_endpoint: Endpoint
    sts_endpoint: Endpoint
    auth: str


def read_settings(env: Mapping[str, str]) -> Settings:
    """Read and check the configuration variables. Raises Misconfiguration for the first bad one."""
    region = _region(env)
    policy = _text(env, "POLICY_FILE") or "bucket_write_policy"
    return Settings(
        role_arn=_match(env, "ROLE_ARN", _ROLE_ARN, "acs:ram::<account id>:role/<role name>"),
        token_seconds=_seconds(env, "TOKEN_EXPIRE_TIME"),
        policy=policy,
        policy_choices=_choices(env, policy),
        bucket=_match(env, "BUCKET_NAME", _BUCKET, "3 to 63 of a-z, 0-9 and inner '-'"),
        prefix=_prefix(env),
        region=region,
        # A phone reaches a sandbox by the laptop's private address, an emulator by 10.0.2.2.
        oss_endpoint=_endpoint(env, "OSS_ENDPOINT", f"https://oss-{region}.aliyuncs.com", _LOCAL),
        sts_endpoint=_endpoint(
            env, "STS_ENDPOINT", f"https://sts.{region}.aliyuncs.com", _LOOPBACK
        ),
        auth=_one_of(env, "AUTH", ("jwt", "anonymous")),
    )


def read_access_key(env: Mapping[str, str]) -> AccessKey:
    """Read the function's credentials. Raises Misconfiguration, naming the variable that lacks."""
    return AccessKey(
        access_key_id=_credential(env, "ALIBABA_CLOUD_ACCESS_KEY_ID"),
        access_key_secret=_credential(env, "ALIBABA_CLOUD_ACCESS_KEY_SECRET"),
        security_token=_text(env, "ALIBABA_CLOUD_SECURITY_TOKEN") or None,
    )


def real_error_status(env: Mapping[str, str]) -> bool:
    """Whether errors have a real HTTP status; apart from Settings, since wrong settings need it."""
    return _one_of(env, "HTTP_ERROR_STATUS", ("ok", "real")) == "real"


def _text(env: Mapping[str, str], name: str) -> str:
    return env.get(name, "").strip()


def _credential(env: Mapping[str, str], name: str) -> str:
    value = _text(env, name)
    if not value:
        raise Misconfiguration(
            name, "not set; Function Compute sets it for a function that has a role"
        )
    return value


def _match(env: Mapping[str, str], name: str, pattern: str, accepts: str) -> str:
    value = _text(env, name)
    if not value:
        raise Misconfiguration(name, f"not set; must be {accepts}")
    if not re.fullmatch(pattern, value):
        raise Misconfiguration(name, f"must be {accepts}")
    return value


def _one_of(env: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    """One of the choices; the first is the default."""
    value = _text(env, name) or choices[0]
    if value not in choices:
        raise Misconfiguration(name, f"must be one of {', '.join(choices)}")
    return value


def _seconds(env: Mapping[str, str], name: str) -> int:
    value = _text(env, name) or str(MIN_SECONDS)
    if not re.fullmatch("[0-9]{1,6}", value) or not MIN_SECONDS <= int(value) <= MAX_SECONDS:
        raise Misconfiguration(
            name, f"must be a whole number of seconds, {MIN_SECONDS} to {MAX_SECONDS}"
        )
    return int(value)


def _region(env: Mapping[str, str]) -> str:
    name = "OSS_REGION" if _text(env, "OSS_REGION") or not _text(env, "FC_REGION") else "FC_REGION"
    return _match(env, name, _REGION, "a region id like cn-hangzhou, without 'oss-'")


def _choices(env: Mapping[str, str], policy: str) -> tuple[str, ...]:
    """POLICY_FILE and what POLICY_CHOICES adds, each once."""
    names = (name.strip() for name in env.get("POLICY_CHOICES", "").split(","))
    return tuple(dict.fromkeys([policy, *filter(None, names)]))


def _prefix(env: Mapping[str, str]) -> str:
    prefix = env.get("OBJECT_PREFIX", "uploads/")
    fault = keys.fault(prefix)
    if fault or not prefix.endswith("/"):
        raise Misconfiguration("OBJECT_PREFIX", fault or "must end with '/'")
    return prefix


def _endpoint(env: Mapping[str, str], name: str, default: str, plain_http: str) -> Endpoint:
    """An https URL or a bare host name; plain http only for hosts that `plain_http` matches."""
    value = _text(env, name) or default
    accepts = "must be a host name or https://host[:port], without path or user"
    try:
        parts = urlsplit(value if "://" in value else f"https://{value}")
        port = parts.port
    except ValueError:
        raise Misconfiguration(name, accepts) from None
    bare = parts.netloc.rpartition(":")[0] if port is not None else parts.netloc
    if (
        parts.scheme not in _DEFAULT_PORTS
        or not re.fullmatch(_HOST, bare)
        or parts.path not in ("", "/")
        or parts.query
        or parts.fragment
        or port == 0
    ):
        raise Misconfiguration(name, accepts)
    host = (parts.hostname or "").lower()
    if parts.scheme == "http" and not re.fullmatch(plain_http, host):
        allowed = "loopback" if plain_http is _LOOPBACK else "loopback and private"
        raise Misconfiguration(name, f"{accepts}; plain http only for {allowed} addresses")
    return Endpoint(parts.scheme, host, port or _DEFAULT_PORTS[parts.scheme])
