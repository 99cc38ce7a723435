"""The environment -> Settings: each variable is read, checked and defaulted here, once.

Secrets are not part of Settings: the platform may change the credentials of a living instance, so
`read_access_key` reads them at each use. No error shows a variable's value: it may be a secret
that was pasted into the wrong place.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

import keys
from errors import Misconfiguration

MIN_SECONDS = 900
"""STS's shortest session (vendor documentation of AssumeRole)."""
MAX_SECONDS = 43200
"""STS's longest session, where the role's MaxSessionDuration allows it."""

MAX_URL_SECONDS = 604800
"""OSS's longest signature V4, in a URL or a form: seven days (vendor documentation)."""
DEFAULT_MAX_BYTES = 1024**3
MAX_BYTES = 5 * 1024**3
"""OSS's largest object of one upload (vendor documentation of PutObject and PostObject)."""

MIN_SECRET_BYTES = 32
DEFAULT_TOKENS_PER_MINUTE = 60
"""New tokens of one caller, with AUTH=jwt: STS takes 100 calls a second from a whole account."""
DEFAULT_URLS_PER_MINUTE = 6000
"""Signed URLs and forms of one caller, together, with AUTH=jwt."""
MAX_DENIED_CALLERS = 50
CLOCK_SKEW_SECONDS = 30
"""How far the clocks of two machines may be apart."""
TYPE_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
"""Each half of a content type, as a pattern (RFC 6838)."""
_KEY_SOURCES = ("JWT_SECRET", "JWT_JWKS_FILE", "JWT_JWKS_URL")

# How public keys begin, whole or without their PEM lines, and where they are: who takes one for the
# secret lets everybody sign.
_PUBLIC = ("MII", "MFkw", "MCow", "MFww", "ssh-", "{", "http://", "https://")

# As text: what a cold start does not meet, it does not compile.
_ROLE_ARN = r"acs:ram::[0-9]{1,32}:role/[A-Za-z0-9.@_-]{1,64}"
# A segment, or the name of the caller's sessions, which a callback's log line has.
_CALLER = r"[A-Za-z0-9_-]{1,64}|[~@][a-z2-7]{32}|\.[A-Za-z0-9_-]"
_BUCKET = r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]"
_REGION = r"(?!oss-)[a-z]{2,}(?:-[a-z0-9]+)+"
_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[::1\]"
# No percent-encoding: what OSS signs is then the same text before and after decoding.
_CALLBACK_PATH = "(?:/[A-Za-z0-9._~-]{1,50}){0,4}/callback"
# Whole numbers only: "127.evil.example" and "10.0.0.1.evil.example" are names like any other.
_ORIGIN = r"https?://[a-z0-9.-]+(?::[0-9]{1,5})?|https?://\[[0-9a-f:]+\](?::[0-9]{1,5})?"
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


class Url(NamedTuple):
    """Where something is fetched from: the endpoint, and path and query as sent."""

    endpoint: Endpoint
    path: str

    def __str__(self) -> str:
        return f"{self.endpoint}{self.path}"


class CallbackSettings(NamedTuple):
    """Where OSS calls back after an upload, and what happens then.

    Seals are made with CALLBACK_SECRET, the hook's signatures with UPLOAD_HOOK_SECRET: both are
    read at each use.
    """

    url: Url
    public_key_url: Url | None
    """A loopback URL that takes the place of OSS's own; None everywhere but in a sandbox."""
    hook: Url | None


class LoginSettings(NamedTuple):
    """How logins are verified (AUTH=jwt).

    With neither `keys_file` nor `keys_url` by JWT_SECRET, which is read at each use.
    `not_before` (unix seconds; 0: not set) and `denied` (segments, see callers.py) are the brakes.
    """

    keys_file: str
    keys_url: Url | None
    issuer: str | None
    audience: tuple[str, ...]
    user_claim: str
    not_before: int = 0
    denied: frozenset[str] = frozenset()


class Settings(NamedTuple):
    """The whole configuration, checked. Holds no secret."""

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
    """Where the function itself reaches OSS."""
    sts_endpoint: Endpoint
    logins: LoginSettings | None
    """None with AUTH=anonymous."""
    allowed_origins: tuple[str, ...]
    caller_tokens_per_minute: int
    """New tokens, 0 to 9999; 0: no limit."""
    caller_urls_per_minute: int
    """Signed URLs and forms together, 0 to 99999; 0: no limit."""
    url_seconds: int
    max_url_seconds: int
    upload_max_bytes: int
    upload_content_types: tuple[str, ...]
    """Exact types, or one pattern like "image/*"; empty: any."""
    callback: CallbackSettings | None
    """None without CALLBACK_URL."""


def read_settings(env: Mapping[str, str]) -> Settings:
    """Read and check the configuration variables. Raises Misconfiguration for the first bad one."""
    region = _region(env)
    policy = _text(env, "POLICY_FILE") or "bucket_write_policy"
    token_seconds = _seconds(env, "TOKEN_EXPIRE_TIME", MIN_SECONDS)
    url_seconds = _whole(env, "URL_EXPIRE_TIME", 900, 1, MAX_URL_SECONDS, "seconds")
    oss_endpoint = f"https://oss-{region}.aliyuncs.com"
    logins = _logins(env) if _one_of(env, "AUTH", ("jwt", "anonymous")) == "jwt" else None
    if logins is None:
        _refuse_brakes(env)
    return Settings(
        role_arn=_match(env, "ROLE_ARN", _ROLE_ARN, "acs:ram::<account id>:role/<role name>"),
        token_seconds=token_seconds,
        max_token_seconds=_seconds(env, "TOKEN_EXPIRE_TIME_MAX", token_seconds),
        policy=policy,
        policy_choices=_choices(env, policy),
        bucket=_match(env, "BUCKET_NAME", _BUCKET, "3 to 63 of a-z, 0-9 and inner '-'"),
        prefix=_prefix(env),
        region=region,
        # A phone reaches a sandbox by the laptop's private address, an emulator by 10.0.2.2.
        oss_endpoint=_endpoint(env, "OSS_ENDPOINT", oss_endpoint, _LOCAL),
        oss_internal_endpoint=_endpoint(
            env, "OSS_INTERNAL_ENDPOINT", _text(env, "OSS_ENDPOINT") or oss_endpoint, _LOCAL
        ),
        sts_endpoint=_endpoint(
            env, "STS_ENDPOINT", f"https://sts.{region}.aliyuncs.com", _LOOPBACK
        ),
        logins=logins,
        allowed_origins=_origins(env),
        # Without logins all callers are one, who shares with nobody.
        caller_tokens_per_minute=_limit(
            env, "CALLER_TOKENS_PER_MINUTE", DEFAULT_TOKENS_PER_MINUTE if logins else 0, 9999
        ),
        caller_urls_per_minute=_limit(
            env, "CALLER_URLS_PER_MINUTE", DEFAULT_URLS_PER_MINUTE if logins else 0, 99999
        ),
        url_seconds=url_seconds,
        max_url_seconds=_whole(
            env, "URL_EXPIRE_TIME_MAX", url_seconds, url_seconds, MAX_URL_SECONDS, "seconds"
        ),
        upload_max_bytes=_whole(env, "UPLOAD_MAX_BYTES", DEFAULT_MAX_BYTES, 1, MAX_BYTES, "bytes"),
        upload_content_types=_content_types(env),
        callback=_callback(env),
    )


def is_plain(text: str) -> bool:
    """Whether it is printable ASCII without spaces: what the SDKs can put into a header, and all
    that a credential has."""
    return text.isascii() and text.isprintable() and " " not in text


def read_access_key(env: Mapping[str, str]) -> AccessKey:
    """Read the function's credentials. Raises Misconfiguration for what is missing or damaged."""
    return AccessKey(
        access_key_id=_credential(env, "ALIBABA_CLOUD_ACCESS_KEY_ID"),
        access_key_secret=_credential(env, "ALIBABA_CLOUD_ACCESS_KEY_SECRET"),
        security_token=_plain(env, "ALIBABA_CLOUD_SECURITY_TOKEN") or None,
    )


def read_jwt_secrets(env: Mapping[str, str]) -> tuple[bytes, ...]:
    """Read JWT_SECRET: one secret, or several separated by commas while they are rotated.

    Raises Misconfiguration for one of less than 32 bytes (RFC 7518, section 3.2), and for a key in
    PEM: whoever has a public one could sign.
    """
    return _secrets(env, "JWT_SECRET")


def read_callback_secrets(env: Mapping[str, str]) -> tuple[bytes, ...]:
    """Read CALLBACK_SECRET, as JWT_SECRET; the first one seals, all of them open.

    Raises Misconfiguration.
    """
    return _secrets(env, "CALLBACK_SECRET")


def read_hook_secrets(env: Mapping[str, str]) -> tuple[bytes, ...]:
    """Read UPLOAD_HOOK_SECRET, as JWT_SECRET; the first one signs. Raises Misconfiguration."""
    return _secrets(env, "UPLOAD_HOOK_SECRET")


def real_error_status(env: Mapping[str, str]) -> bool:
    """Whether errors have a real HTTP status; apart from Settings, since wrong settings need it."""
    return _one_of(env, "HTTP_ERROR_STATUS", ("ok", "real")) == "real"


def _text(env: Mapping[str, str], name: str) -> str:
    return env.get(name, "").strip()


def _secrets(env: Mapping[str, str], name: str) -> tuple[bytes, ...]:
    text = _text(env, name)
    if not text:
        raise Misconfiguration(
            name, f"not set; must be a secret of at least {MIN_SECRET_BYTES} bytes"
        )
    if text.startswith(_PUBLIC) or "-----BEGIN" in text:
        raise Misconfiguration(name, "must be a secret, not a public key, a JWKS or its URL")
    # What is no UTF-8 in the environment comes as surrogates.
    parts = (part.strip() for part in text.split(","))
    secrets = tuple(part.encode("utf-8", "surrogateescape") for part in parts)
    if any(len(secret) < MIN_SECRET_BYTES for secret in secrets):
        raise Misconfiguration(
            name,
            f"each secret must have at least {MIN_SECRET_BYTES} bytes; commas separate several",
        )
    return secrets


def _credential(env: Mapping[str, str], name: str) -> str:
    value = _plain(env, name)
    if not value:
        raise Misconfiguration(
            name, "not set; Function Compute sets it for a function that has a role"
        )
    return value


def _plain(env: Mapping[str, str], name: str) -> str:
    value = _text(env, name)
    if not is_plain(value):
        raise Misconfiguration(name, "must be printable ASCII without spaces")
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


def _seconds(env: Mapping[str, str], name: str, least: int) -> int:
    value = _text(env, name) or str(least)
    if not re.fullmatch("[0-9]{1,6}", value) or not least <= int(value) <= MAX_SECONDS:
        raise Misconfiguration(name, f"must be a whole number of seconds, {least} to {MAX_SECONDS}")
    return int(value)


def _whole(
    env: Mapping[str, str], name: str, default: int, least: int, most: int, unit: str
) -> int:
    value = _text(env, name)
    if not value:
        return default
    # Bounded digits: int() of a very long text is an error of its own.
    if not re.fullmatch("[0-9]{1,10}", value) or not least <= int(value) <= most:
        raise Misconfiguration(name, f"must be a whole number of {unit}, {least} to {most}")
    return int(value)


def _content_types(env: Mapping[str, str]) -> tuple[str, ...]:
    """Exact types, or one pattern: a form's conditions have no "or" between patterns."""
    name = "UPLOAD_CONTENT_TYPES"
    parts = (part.strip() for part in _text(env, name).split(","))
    types = tuple(dict.fromkeys(filter(None, parts)))
    exact = all(re.fullmatch(f"{TYPE_NAME}/{TYPE_NAME}", one) for one in types)
    if not exact and not (len(types) == 1 and re.fullmatch(rf"{TYPE_NAME}/\*", types[0])):
        raise Misconfiguration(
            name,
            "must be content types like image/jpeg, separated by commas, or one like image/*",
        )
    return types


def _limit(env: Mapping[str, str], name: str, default: int, most: int) -> int:
    value = _text(env, name)
    if not value:
        return default
    # Bounded digits, as above.
    if not re.fullmatch("[0-9]{1,5}", value) or int(value) > most:
        raise Misconfiguration(name, f"must be a whole number, 0 (no limit) to {most}")
    return int(value)


def _logins(env: Mapping[str, str]) -> LoginSettings:
    given = [name for name in _KEY_SOURCES if _text(env, name)]
    if len(given) != 1:
        fault = "not set" if not given else f"set together with {' and '.join(given[1:])}"
        raise Misconfiguration(
            given[0] if given else "JWT_SECRET",
            f"{fault}; AUTH=jwt, the default, needs one of {', '.join(_KEY_SOURCES)}",
        )
    if given == ["JWT_SECRET"]:
        read_jwt_secrets(env)
    audience = (part.strip() for part in _text(env, "JWT_AUDIENCE").split(","))
    return LoginSettings(
        keys_file=_text(env, "JWT_JWKS_FILE"),
        keys_url=_url(env, "JWT_JWKS_URL") if given == ["JWT_JWKS_URL"] else None,
        issuer=_text(env, "JWT_ISSUER") or None,
        audience=tuple(filter(None, audience)),
        user_claim=_text(env, "JWT_USER_CLAIM") or "sub",
        not_before=_not_before(env),
        denied=_denied(env),
    )


def _not_before(env: Mapping[str, str]) -> int:
    """LOGINS_NOT_BEFORE, 0 where it is not set. A brake that brakes nothing, or everything for
    ever, is a fault: milliseconds, a date of 8 digits, a time in the future."""
    value = _text(env, "LOGINS_NOT_BEFORE")
    if not value:
        return 0
    if not re.fullmatch("[1-9][0-9]{9}", value) or int(value) > time.time() + CLOCK_SKEW_SECONDS:
        raise Misconfiguration(
            "LOGINS_NOT_BEFORE",
            "must be a time that has passed, in unix seconds (10 digits, as `date +%s` prints; "
            "not milliseconds)",
        )
    return int(value)


def _denied(env: Mapping[str, str]) -> frozenset[str]:
    name = "DENIED_CALLERS"
    parts = (part.strip() for part in _text(env, name).split(","))
    segments = frozenset(filter(None, parts))
    if len(segments) > MAX_DENIED_CALLERS:
        raise Misconfiguration(name, f"must be at most {MAX_DENIED_CALLERS} callers")
    if not all(re.fullmatch(_CALLER, segment) for segment in segments):
        raise Misconfiguration(
            name,
            "must be callers as the log names them, separated by commas: 1 to 64 of A-Z, a-z, "
            "0-9, _ and -, or ~ or @ and 32 of a-z and 2-7",
        )
    return frozenset(segment.replace("@", "~").removeprefix(".") for segment in segments)


def _refuse_brakes(env: Mapping[str, str]) -> None:
    """Raise Misconfiguration for a brake that needs logins: it would seem to work."""
    for name in ("LOGINS_NOT_BEFORE", "DENIED_CALLERS"):
        if _text(env, name):
            raise Misconfiguration(
                name, "must be empty with AUTH=anonymous, where nobody has a name; AUTH=jwt has it"
            )


def _callback(env: Mapping[str, str]) -> CallbackSettings | None:
    if not _text(env, "CALLBACK_URL"):
        if _text(env, "UPLOAD_HOOK_URL"):
            raise Misconfiguration(
                "CALLBACK_URL", "not set; UPLOAD_HOOK_URL is called for callbacks, so it needs one"
            )
        return None
    url = _url(env, "CALLBACK_URL")
    if not re.fullmatch(_CALLBACK_PATH, url.path):
        raise Misconfiguration(
            "CALLBACK_URL",
            "must have no query, and end with /callback after at most 4 segments of A-Z, a-z, 0-9 "
            "and ._~-",
        )
    read_callback_secrets(env)
    key_url = hook = None
    if _text(env, "CALLBACK_PUBLIC_KEY_URL"):
        key_url = _url(env, "CALLBACK_PUBLIC_KEY_URL")
        if not re.fullmatch(_LOOPBACK, key_url.endpoint.host):
            raise Misconfiguration(
                "CALLBACK_PUBLIC_KEY_URL",
                "must be a loopback URL: it is for a sandbox, and OSS's own key needs no setting",
            )
    if _text(env, "UPLOAD_HOOK_URL"):
        hook = _url(env, "UPLOAD_HOOK_URL")
        read_hook_secrets(env)
    return CallbackSettings(url, key_url, hook)


def _origins(env: Mapping[str, str]) -> tuple[str, ...]:
    names = (part.strip() for part in _text(env, "ALLOWED_ORIGINS").split(","))
    origins = tuple(dict.fromkeys(filter(None, names)))
    for origin in origins:
        if origin != "*" and not re.fullmatch(_ORIGIN, origin):
            raise Misconfiguration(
                "ALLOWED_ORIGINS",
                "must be origins as browsers send them, like https://app.example.com, separated "
                "by commas, without path; or *",
            )
    return origins


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
    url = _parsed_url(name, value if "://" in value else f"https://{value}", accepts, plain_http)
    if url.path not in ("", "/"):
        raise Misconfiguration(name, accepts)
    return url.endpoint


def _url(env: Mapping[str, str], name: str) -> Url:
    accepts = "must be https://host[:port]/path, without user or fragment"
    url = _parsed_url(name, _text(env, name), accepts, _LOOPBACK)
    # It becomes a request line.
    if not re.fullmatch("/[!-~]*", url.path):
        raise Misconfiguration(name, accepts)
    return url


def _parsed_url(name: str, value: str, accepts: str, plain_http: str) -> Url:
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise Misconfiguration(name, accepts) from None
    bare = parts.netloc.rpartition(":")[0] if port is not None else parts.netloc
    if (
        parts.scheme not in _DEFAULT_PORTS
        or not re.fullmatch(_HOST, bare)
        or parts.fragment
        or port == 0
    ):
        raise Misconfiguration(name, accepts)
    host = (parts.hostname or "").lower()
    if parts.scheme == "http" and not re.fullmatch(plain_http, host):
        allowed = "loopback" if plain_http is _LOOPBACK else "loopback and private"
        raise Misconfiguration(name, f"{accepts}; plain http only for {allowed} addresses")
    endpoint = Endpoint(parts.scheme, host, port or _DEFAULT_PORTS[parts.scheme])
    return Url(endpoint, f"{parts.path}?{parts.query}" if parts.query else parts.path)
