"""The token function's environment on a laptop: what a deployment would set, filled in.

What the environment names must exist somewhere: cloud.py makes it.

The sandbox answers every page and every process of the machine, so it holds nothing real. A shell
may hold the deployment's variables, though: RULES says of each one from where it is taken. With
CLOUD=1 all of them are.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from token_service.errors import Misconfiguration

ACCOUNT = "1234567890123456"
REGION = "cn-hangzhou"
BUCKET = "sandbox-bucket"
CNAME = "files.localhost"
"""The bucket's own domain. Browsers and curl take each name below localhost for loopback (RFC 6761,
section 6.3); the C library, and so Python and Node.js, may know no such name."""
RUN_POLICY = "bucket_read_write_policy"
"""POLICY_FILE of `make run` where nobody sets one: a newcomer sees what was uploaded."""
PUBLIC_KEY_PATH = "/sandbox/callback_pub_key.pem"

CREDENTIALS = (
    "ALIBABA_CLOUD_ACCESS_KEY_ID",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
    "ALIBABA_CLOUD_SECURITY_TOKEN",
)
"""The function's key: id, secret, and the token of a temporary one."""
CLOUD_VARIABLES = (*CREDENTIALS[:2], "ROLE_ARN")
"""What CLOUD=1 cannot do without."""
LOGIN_KEYS = ("JWT_SECRET", "JWT_JWKS_FILE", "JWT_JWKS_URL")

_LOOPBACK = tuple(map(ipaddress.ip_network, ("127.0.0.0/8", "::1/128")))
PRIVATE = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))


def _any(value: str) -> bool:  # noqa: ARG001 - one signature for all
    return True


def _none(value: str) -> bool:  # noqa: ARG001
    return False


def _is_loopback(url: str) -> bool:
    return _is_in(url, _LOOPBACK)


def _is_local(url: str) -> bool:
    """For where clients send data: there a name below localhost is local too."""
    is_below = re.fullmatch(r"([a-z0-9-]+\.)+localhost", _host(url))
    return bool(is_below) or _is_in(url, (*_LOOPBACK, *PRIVATE))


def _is_in(url: str, networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    """Whether a URL, or a bare host with or without a port, is at an address of `networks`.

    Names are in none: nobody knows where they lead. But for localhost, which is loopback.
    """
    host = _host(url)
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        return False
    return any(address in network for network in networks)


def _host(url: str) -> str:
    """The host of a URL, or of what begins with it, in lower case; "" where there is none."""
    text = url.strip()
    try:
        return urlsplit(text if "://" in text else f"https://{text}").hostname or ""
    except ValueError:
        return ""


class Ports(NamedTuple):
    """Where everything listens, one behind the other; `internal` only where the public endpoint is
    closed."""

    gateway: int
    oss: int
    sts: int
    internal: int | None = None


class Rule(NamedTuple):
    """Which values of a variable the sandbox takes, by where the variable stands.

    A value of the environment that is not taken is left out, and its name is said. One of the
    command line is refused, and `accepts` says what is accepted.
    """

    from_environment: Callable[[str], bool]
    from_command_line: Callable[[str], bool]
    accepts: str = ""


_HARMLESS = Rule(_any, _any)
_GIVEN = Rule(_none, _any)

RULES: Mapping[str, Rule] = {
    # What tokens, URLs and forms are signed with.
    **dict.fromkeys(
        CREDENTIALS, Rule(_none, _none, "the sandbox has a key of its own, and takes no other")
    ),
    # Where the signatures lead, and who gets the function's own requests.
    **dict.fromkeys(
        ("OSS_ENDPOINT", "OSS_INTERNAL_ENDPOINT"),
        Rule(
            _none,
            _is_local,
            "must be a loopback or private address, like http://10.0.2.2:7081, or a name below "
            "localhost; the sandbox does not sign for the real OSS",
        ),
    ),
    "STS_ENDPOINT": Rule(
        _none, _is_loopback, "must be a loopback address; the sandbox does not call the real STS"
    ),
    # What a signature, and each answer, would name.
    **dict.fromkeys(("ROLE_ARN", "BUCKET_NAME"), _GIVEN),
    # What makes a login, a seal, or a webhook's signature that production believes.
    **dict.fromkeys(
        ("JWT_SECRET", "CALLBACK_SECRET", "MULTIPART_SECRET", "UPLOAD_HOOK_SECRET"), _GIVEN
    ),
    # What the function fetches, believes or calls.
    **dict.fromkeys(
        ("JWT_JWKS_FILE", "JWT_JWKS_URL", "CALLBACK_PUBLIC_KEY_URL", "UPLOAD_HOOK_URL"), _GIVEN
    ),
    "CALLBACK_URL": Rule(_is_loopback, _any),
    # The brakes of an incident: they name real callers, and are a fault with AUTH=anonymous.
    **dict.fromkeys(("LOGINS_NOT_BEFORE", "DENIED_CALLERS"), _GIVEN),
    # What a token may do, for whom and how long: no secret, no address, no name of a real thing.
    **dict.fromkeys(
        """
        ALLOWED_HEADERS ALLOWED_ORIGINS AUTH CALLER_TOKENS_PER_MINUTE CALLER_URLS_PER_MINUTE
        ENABLED_ROUTES FC_REGION HTTP_ERROR_STATUS JWT_AUDIENCE JWT_ISSUER JWT_REQUIRE
        JWT_USER_CLAIM
        OBJECT_PREFIX OSS_REGION OVERWRITE POLICY_CHOICES POLICY_FILE TOKEN_EXPIRE_TIME
        TOKEN_EXPIRE_TIME_MAX UPLOAD_CONTENT_TYPES UPLOAD_MAX_BYTES URL_EXPIRE_TIME
        URL_EXPIRE_TIME_MAX
        """.split(),
        _HARMLESS,
    ),
}
"""Every variable of the function, and from where the sandbox takes it."""


def sandbox_environment(
    env: Mapping[str, str],
    given: Collection[str] = (),
    *,
    key: tuple[str, str],
    oss_port: int,
    sts_port: int,
    jwt_secret: str = "",
    callback_secret: str = "",
    multipart_secret: str = "",
    gateway_port: int | None = None,
    internal_port: int | None = None,
) -> dict[str, str]:
    """The function's variables for the sandbox: what RULES takes of `env`, and else what is made.

    `given` are the names in `env` that stand on the command line. At `gateway_port` the key of the
    sandbox's callbacks is served, None: nowhere. The credentials are always `key`.
    With an `internal_port`, where OSS plays the region's internal endpoint, the public one is
    closed, and clients go by the bucket's own domain.

    The keys that logins are verified with are one thing: `jwt_secret` is there only where nobody
    gave one. Raises Misconfiguration for what is given and not taken.
    """
    taken = _taken(env, given)
    public = "127.0.0.1" if internal_port is None else CNAME
    made = {
        **_common(taken),
        **dict(zip(CREDENTIALS, key, strict=False)),
        "ROLE_ARN": f"acs:ram::{ACCOUNT}:role/sandbox-upload",
        "OSS_ENDPOINT": f"http://{public}:{oss_port}",
        # An emulator's address of this machine is none of the function's.
        "OSS_INTERNAL_ENDPOINT": f"http://127.0.0.1:{internal_port or oss_port}",
        "STS_ENDPOINT": f"http://127.0.0.1:{sts_port}",
        "CALLBACK_SECRET": callback_secret,
        "MULTIPART_SECRET": multipart_secret,
    }
    if gateway_port is not None:
        made["CALLBACK_PUBLIC_KEY_URL"] = public_key_url(gateway_port)
    if not believed_elsewhere(taken):
        made["ALLOWED_ORIGINS"] = "*"
        if not any(taken.get(name) for name in LOGIN_KEYS):
            made["JWT_SECRET"] = jwt_secret
    return _overlaid(made, taken)


def believed_elsewhere(taken: Mapping[str, str]) -> list[str]:
    """Which variables make that somebody else may believe what the function makes: that is not for
    every page, or every demo login. Of another STS nobody knows what its tokens open; seals and
    webhooks are made with a secret of somebody's own, or sent to somebody's own back end."""
    given = ("STS_ENDPOINT", "CALLBACK_SECRET", "MULTIPART_SECRET", "UPLOAD_HOOK_SECRET")
    found = [name for name in given if taken.get(name)]
    hook = taken.get("UPLOAD_HOOK_URL", "")
    return [*found, "UPLOAD_HOOK_URL"] if hook and not _is_loopback(hook) else found


def ignored(env: Mapping[str, str], given: Collection[str] = ()) -> list[str]:
    """Return the names that are set in the environment, and that the sandbox does not take."""
    return [name for name in RULES if env.get(name, "").strip() and not _takes(name, env, given)]


def _taken(env: Mapping[str, str], given: Collection[str]) -> dict[str, str]:
    """`env` without what RULES leaves out. Raises Misconfiguration."""
    left_out = {name for name in RULES.keys() & env.keys() if not _takes(name, env, given)}
    for name in RULES:
        if name in left_out and name in given and env[name].strip():
            raise Misconfiguration(name, f"{RULES[name].accepts}; CLOUD=1 takes yours")
    return {name: value for name, value in env.items() if name not in left_out}


def _takes(name: str, env: Mapping[str, str], given: Collection[str]) -> bool:
    rule = RULES[name]
    accepted = rule.from_command_line if name in given else rule.from_environment
    return accepted(env[name])


def public_key_url(gateway_port: int) -> str:
    """Where the gateway serves the public key of the sandbox's callbacks."""
    return f"http://127.0.0.1:{gateway_port}{PUBLIC_KEY_PATH}"


def cloud_environment(env: Mapping[str, str]) -> dict[str, str]:
    """The function's variables for the real STS (CLOUD=1); what `env` sets wins.

    But for ALLOWED_ORIGINS: real tokens on a developer's machine are for no page.
    """
    return {**_overlaid(_common(env), env), "ALLOWED_ORIGINS": ""}


def _common(env: Mapping[str, str]) -> dict[str, str]:
    return {
        "AUTH": "anonymous",
        "BUCKET_NAME": BUCKET,
        "OBJECT_PREFIX": "uploads/",
        "OSS_REGION": env.get("FC_REGION") or REGION,
    }


def _overlaid(made: Mapping[str, str], env: Mapping[str, str]) -> dict[str, str]:
    filled = {name: env.get(name) or value for name, value in made.items()}
    # Empty, these two say something else than not set.
    filled.update({n: env[n] for n in ("ALLOWED_ORIGINS", "OBJECT_PREFIX") if n in env})
    return {**env, **filled}
