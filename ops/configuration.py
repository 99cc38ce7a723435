"""Settings for tools that look at a part of the configuration: the rest need not be there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from settings import Settings, read_settings

# Good for every check, used for nothing.
_UNUSED = {
    "ROLE_ARN": "acs:ram::1:role/unused",
    "BUCKET_NAME": "unused",
    "OSS_REGION": "cn-hangzhou",
    "JWT_SECRET": "unused" * 6,
}


def settings_of(env: Mapping[str, str], needed: Sequence[str], optional: Sequence[str]) -> Settings:
    """Read the settings from these variables of `env` alone, whatever else is set or wrong.

    Raises Misconfiguration for the first one that is wrong, or missing though needed.
    """
    unused = {name: value for name, value in _UNUSED.items() if name not in needed}
    return read_settings({**unused, **{n: env[n] for n in (*needed, *optional) if n in env}})
