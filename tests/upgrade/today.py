"""Reads settings with today's code. In the result, the name of each setting is the name of its
environment variable.

Only this module imports the function. If modules of the function move or Settings change, only this
module has to change. The golden files and the tests need no change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from token_service.callback import parameters
from token_service.login.jwt import Jwt
from token_service.settings.parsing import Reader
from token_service.settings.reading import (
    read_access_key,
    read_settings,
)
from token_service.settings.variables import (
    ALLOWED_HEADERS,
    ALLOWED_ORIGINS,
    CALLBACK_SECRET,
    HTTP_ERROR_STATUS,
    JWT_SECRET,
    MULTIPART_SECRET,
    UPLOAD_HOOK_SECRET,
)
from token_service.signing import limits as signing_limits

_PLATFORM = {"FC_REGION"}
"""The function reads this variable if OSS_REGION is not set. FC_REGION is set by the platform, so
it is not listed as a setting."""


class _Recorder(dict[str, str]):
    """An environment that records which variables were read."""

    def __init__(self, env: Mapping[str, str]) -> None:
        super().__init__(env)
        self.asked: set[str] = set()

    def get(self, name: str, default: str = "") -> str:  # type: ignore[override]
        self.asked.add(name)
        return super().get(name, default)

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return super().__getitem__(name)


def settings_of(env: Mapping[str, str]) -> dict[str, Any]:
    """The settings that the function reads from an environment, as JSON: a value for each variable.

    A variable that is not in use is None. If this module does not know a variable, the result has
    the variable and its text from the environment. Therefore the tests detect a new variable of the
    function. A wrong environment raises the function's error.
    """
    seen = _Recorder(env)
    made = read_settings(seen)
    key = read_access_key(Reader(seen))
    limits = signing_limits.read(Reader(seen))
    for variable in (MULTIPART_SECRET, ALLOWED_HEADERS):
        Reader(seen).text(variable)
    logins = made.auth if isinstance(made.auth, Jwt) else None
    callback = parameters.read(Reader(seen)) if made.has_callbacks else None
    by_secret = logins is not None and not logins.keys_file and logins.keys_url is None
    hook = callback.hook if callback else None
    known = {
        "ALIBABA_CLOUD_ACCESS_KEY_ID": key.access_key_id,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": key.access_key_secret,
        "ALIBABA_CLOUD_SECURITY_TOKEN": key.security_token,
        "ROLE_ARN": made.role_arn,
        "BUCKET_NAME": made.bucket,
        "OBJECT_PREFIX": made.prefix,
        "POLICY_FILE": made.policy,
        # The choices include POLICY_FILE.
        "POLICY_CHOICES": list(made.policy_choices),
        "TOKEN_EXPIRE_TIME": made.token_seconds,
        "TOKEN_EXPIRE_TIME_MAX": made.max_token_seconds,
        "URL_EXPIRE_TIME": limits.url_seconds,
        "URL_EXPIRE_TIME_MAX": limits.max_url_seconds,
        "UPLOAD_MAX_BYTES": limits.max_bytes,
        "UPLOAD_CONTENT_TYPES": list(limits.content_types),
        "AUTH": "jwt" if logins else "anonymous",
        "JWT_SECRET": _texts(Reader(seen).read(JWT_SECRET)) if by_secret else None,
        "JWT_JWKS_FILE": logins.keys_file or None if logins else None,
        "JWT_JWKS_URL": _text(logins.keys_url) if logins else None,
        "JWT_ISSUER": ",".join(logins.issuer or ()) or None if logins else None,
        "JWT_AUDIENCE": list(logins.audience) if logins else None,
        "JWT_USER_CLAIM": logins.user_claim if logins else None,
        "ALLOWED_ORIGINS": list(Reader(seen).optional(ALLOWED_ORIGINS, ())),
        "CALLER_TOKENS_PER_MINUTE": made.caller_tokens_per_minute,
        "OSS_REGION": made.region,
        "OSS_ENDPOINT": str(made.oss_endpoint),
        "OSS_INTERNAL_ENDPOINT": str(made.oss_internal_endpoint),
        "STS_ENDPOINT": str(made.sts_endpoint),
        "CALLBACK_URL": _text(callback.url) if callback else None,
        "CALLBACK_SECRET": _texts(Reader(seen).read(CALLBACK_SECRET)) if callback else None,
        "CALLBACK_PUBLIC_KEY_URL": _text(callback.public_key_url) if callback else None,
        "UPLOAD_HOOK_URL": _text(hook),
        "UPLOAD_HOOK_SECRET": _texts(Reader(seen).read(UPLOAD_HOOK_SECRET)) if hook else None,
        "HTTP_ERROR_STATUS": Reader(seen).text(HTTP_ERROR_STATUS) or "ok",
    }
    new = seen.asked - known.keys() - _PLATFORM
    return {**known, **{name: env.get(name, "") for name in new}}


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _texts(secrets: tuple[bytes, ...]) -> list[str]:
    return [secret.decode() for secret in secrets]
