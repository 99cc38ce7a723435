"""The token function's environment on a laptop: what a deployment would set, filled in.

What the environment names must exist somewhere: cloud.py makes it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

from sandbox import ROOT

ACCOUNT = "1234567890123456"
REGION = "cn-hangzhou"
BUCKET = "sandbox-bucket"
PUBLIC_KEY_PATH = "/sandbox/callback_pub_key.pem"

_CREDENTIALS = (
    "ALIBABA_CLOUD_ACCESS_KEY_ID",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
    "ALIBABA_CLOUD_SECURITY_TOKEN",
)
CLOUD_VARIABLES = (*_CREDENTIALS[:2], "ROLE_ARN")
"""What CLOUD=1 cannot do without."""
_LOGIN_KEYS = ("JWT_SECRET", "JWT_JWKS_FILE", "JWT_JWKS_URL")


def sandbox_environment(
    env: Mapping[str, str],
    *,
    key: tuple[str, str],
    oss_port: int,
    sts_port: int,
    jwt_secret: str = "",
    gateway_port: int | None = None,
) -> dict[str, str]:
    """The function's variables for the sandbox; what `env` sets wins.

    At `gateway_port` the key of the sandbox's callbacks is served, None: nowhere.

    The credentials are one thing: a developer's own key never meets the sandbox's secret. So are
    the keys that logins are verified with: `jwt_secret` is there only where `env` gives none.
    """
    made = {
        **_common(env),
        "ROLE_ARN": f"acs:ram::{ACCOUNT}:role/sandbox-upload",
        "OSS_ENDPOINT": f"http://127.0.0.1:{oss_port}",
        # An emulator's address of this machine is none of the function's.
        "OSS_INTERNAL_ENDPOINT": f"http://127.0.0.1:{oss_port}",
        "STS_ENDPOINT": f"http://127.0.0.1:{sts_port}",
    }
    if gateway_port is not None:
        made["CALLBACK_PUBLIC_KEY_URL"] = public_key_url(gateway_port)
    if not any(env.get(name) for name in _CREDENTIALS):
        made.update(zip(_CREDENTIALS, key, strict=False))
    if not env.get("STS_ENDPOINT"):
        # Tokens of another STS may be real: those are not for every page, or every demo login.
        made["ALLOWED_ORIGINS"] = "*"
        if not any(env.get(name) for name in _LOGIN_KEYS):
            made["JWT_SECRET"] = jwt_secret
    return _overlaid(made, env)


def misspelt(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return the names that are almost a variable's, each with that variable's: nobody reads them.

    What variables there are is known from s.yaml, which passes all of them on.
    """
    text = (ROOT / "s.yaml").read_text(encoding="utf-8")
    known = sorted({*re.findall(r"\benv\('(\w+)'", text), *_CREDENTIALS})
    meant = {name: difflib.get_close_matches(name, known, 1, 0.9) for name in sorted(names)}
    return [(name, close[0]) for name, close in meant.items() if close and name not in known]


def public_key_url(gateway_port: int) -> str:
    """Where the gateway serves the public key of the sandbox's callbacks."""
    return f"http://127.0.0.1:{gateway_port}{PUBLIC_KEY_PATH}"


def cloud_environment(env: Mapping[str, str]) -> dict[str, str]:
    """The function's variables for the real STS (CLOUD=1); what `env` sets wins."""
    return _overlaid(_common(env), env)


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
