"""The token function's environment on a laptop, with the variables that a deployment would set.

cloud.py creates the things that the environment names.

Every page and every process on the machine can call the sandbox, so it must not use real keys,
names or addresses. But the developer's shell may hold the deployment's variables, so RULES says
where the value of each variable may come from. With CLOUD=1 no variable is ignored.
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
"""The bucket's own domain. Browsers and curl resolve each name below localhost to loopback (RFC
6761, section 6.3). If the C library does not resolve names below localhost, Python and Node.js
cannot resolve them either."""
RUN_POLICY = "bucket_read_write_policy"
"""The default POLICY_FILE of `make run`. This policy allows reading, so a newcomer can see the
uploads."""
PUBLIC_KEY_PATH = "/sandbox/callback_pub_key.pem"

CREDENTIALS = (
    "ALIBABA_CLOUD_ACCESS_KEY_ID",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
    "ALIBABA_CLOUD_SECURITY_TOKEN",
)
"""The variables of the function's key: id, secret, and the token of a temporary key."""
CLOUD_VARIABLES = (*CREDENTIALS[:2], "ROLE_ARN")
"""The variables that CLOUD=1 requires."""
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
    """Whether a URL is local: at a loopback or private address, or at a name below localhost."""
    is_below = re.fullmatch(r"([a-z0-9-]+\.)+localhost", _host(url))
    return bool(is_below) or _is_in(url, (*_LOOPBACK, *PRIVATE))


def _is_in(url: str, networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    """Whether the host in `url` is an address in `networks`. `url` may also be a host without a
    scheme, with or without a port.

    For a host name the result is False, because a name may resolve to any address. Only the name
    localhost counts as loopback.
    """
    host = _host(url)
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        return False
    return any(address in network for network in networks)


def _host(url: str) -> str:
    """The host of a URL or of a text that begins with a host, in lower case; "" if there is
    none."""
    text = url.strip()
    try:
        return urlsplit(text if "://" in text else f"https://{text}").hostname or ""
    except ValueError:
        return ""


class Ports(NamedTuple):
    """The ports of all servers, in sequence. `internal` is set only if the public endpoint is
    closed."""

    gateway: int
    oss: int
    sts: int
    internal: int | None = None


class Rule(NamedTuple):
    """Which values of a variable the sandbox takes from the environment and from the command line.

    Other values of the environment are ignored, and the log names the variable. Other values of the
    command line are refused, and `accepts` says what is accepted.
    """

    from_environment: Callable[[str], bool]
    from_command_line: Callable[[str], bool]
    accepts: str = ""


_HARMLESS = Rule(_any, _any)
_GIVEN = Rule(_none, _any)

RULES: Mapping[str, Rule] = {
    # The key that signs tokens, URLs and forms.
    **dict.fromkeys(
        CREDENTIALS, Rule(_none, _none, "cannot be set, because the sandbox has its own key")
    ),
    # Where signed requests go, and where the function sends its own requests.
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
    # Names of a real role and a real bucket. The sandbox ignores these variables if they come from
    # the environment, because the names would appear in signatures and answers.
    **dict.fromkeys(("ROLE_ARN", "BUCKET_NAME"), _GIVEN),
    # Secrets. If production used the same secrets, it would accept the logins, seals and webhook
    # signatures that are made here.
    **dict.fromkeys(
        ("JWT_SECRET", "CALLBACK_SECRET", "MULTIPART_SECRET", "UPLOAD_HOOK_SECRET"), _GIVEN
    ),
    # Addresses that the function fetches, trusts or calls.
    **dict.fromkeys(
        ("JWT_JWKS_FILE", "JWT_JWKS_URL", "CALLBACK_PUBLIC_KEY_URL", "UPLOAD_HOOK_URL"), _GIVEN
    ),
    "CALLBACK_URL": Rule(_is_loopback, _any),
    # Settings for an incident. These settings name real callers, and cannot be combined with
    # AUTH=anonymous.
    **dict.fromkeys(("LOGINS_NOT_BEFORE", "DENIED_CALLERS"), _GIVEN),
    # These variables decide who the callers are, what tokens allow, and how long they are valid.
    # They contain no secret, and no address or name of a real resource.
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
"""Every variable of the function, and which of its values the sandbox uses."""


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
    """The function's variables for the sandbox. RULES decides which values come from `env`; all
    others are generated.

    `given` has the names of those variables in `env` that were set on the command line. The gateway
    serves the public key of the sandbox's callbacks at `gateway_port`. If `gateway_port` is None,
    no server serves this key. The credentials are always `key`. With an `internal_port`, OSS
    simulates the region's internal endpoint at that port. The public endpoint is then closed, and
    clients use the bucket's own domain.

    `jwt_secret` is used only if `env` gives no other key that verifies logins. Raises
    Misconfiguration for a refused value on the command line.
    """
    taken = _taken(env, given)
    public = "127.0.0.1" if internal_port is None else CNAME
    made = {
        **_common(taken),
        **dict(zip(CREDENTIALS, key, strict=False)),
        "ROLE_ARN": f"acs:ram::{ACCOUNT}:role/sandbox-upload",
        "OSS_ENDPOINT": f"http://{public}:{oss_port}",
        # The Android emulator's address for this machine would not work for the function.
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
    """Return the variables in `taken` that may have effects outside the sandbox, because other
    systems may then trust what the function gives out. If there is such a variable, pages and demo
    logins are refused. For example, tokens of another STS may allow anything. Seals and webhook
    signatures may be made with the developer's own secret, and webhooks may reach the developer's
    own back end."""
    given = ("STS_ENDPOINT", "CALLBACK_SECRET", "MULTIPART_SECRET", "UPLOAD_HOOK_SECRET")
    found = [name for name in given if taken.get(name)]
    hook = taken.get("UPLOAD_HOOK_URL", "")
    return [*found, "UPLOAD_HOOK_URL"] if hook and not _is_loopback(hook) else found


def ignored(env: Mapping[str, str], given: Collection[str] = ()) -> list[str]:
    """Return the names that are set in the environment but ignored by the sandbox."""
    return [name for name in RULES if env.get(name, "").strip() and not _takes(name, env, given)]


def _taken(env: Mapping[str, str], given: Collection[str]) -> dict[str, str]:
    """Return `env` without the variables that RULES ignores. Raises Misconfiguration."""
    left_out = {name for name in RULES.keys() & env.keys() if not _takes(name, env, given)}
    for name in RULES:
        if name in left_out and name in given and env[name].strip():
            raise Misconfiguration(name, f"{RULES[name].accepts}. With CLOUD=1 your value is used")
    return {name: value for name, value in env.items() if name not in left_out}


def _takes(name: str, env: Mapping[str, str], given: Collection[str]) -> bool:
    rule = RULES[name]
    accepted = rule.from_command_line if name in given else rule.from_environment
    return accepted(env[name])


def public_key_url(gateway_port: int) -> str:
    """The URL at which the gateway serves the public key of the sandbox's callbacks."""
    return f"http://127.0.0.1:{gateway_port}{PUBLIC_KEY_PATH}"


def cloud_environment(env: Mapping[str, str]) -> dict[str, str]:
    """The function's variables for the real STS (CLOUD=1); `env` overrides the defaults.

    Only ALLOWED_ORIGINS of `env` is ignored, because no web page may get real tokens on a
    developer's machine.
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
    # For these two variables, an empty value means something else than a missing value.
    filled.update({n: env[n] for n in ("ALLOWED_ORIGINS", "OBJECT_PREFIX") if n in env})
    return {**env, **filled}
