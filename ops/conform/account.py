"""Reads the Account from the environment: the bucket and role to test, and the operator's key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ops.configuration import is_public_in_mainland, settings_of
from ops.smoke.options import UsageError, read_options
from ops.smoke.wire import Address
from token_service.errors import Misconfiguration
from token_service.settings.addresses import LOCAL
from token_service.settings.oss_hosts import public
from token_service.settings.parsing import Reader
from token_service.settings.reading import read_access_key
from token_service.settings.values import AccessKey, Endpoint

NEEDED = (
    "ALIBABA_CLOUD_ACCESS_KEY_ID",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
    "ROLE_ARN",
    "BUCKET_NAME",
    "OSS_REGION",
)
_OPTIONAL = ("OBJECT_PREFIX", "OSS_ENDPOINT", "STS_ENDPOINT")


@dataclass(frozen=True)
class Account:
    """The account that the probes use. `key` is the operator's key; `prefix` is OBJECT_PREFIX.

    `public` is the region's public endpoint of OSS. `function` is a deployed function, or None.
    """

    key: AccessKey
    role_arn: str
    bucket: str
    region: str
    prefix: str
    oss: Endpoint
    public: Endpoint
    sts: Endpoint
    function: Address | None = None
    login: str = field(default="", repr=False)


def read_account(env: Mapping[str, str]) -> Account:
    """Read the variables that CLOUD=1 needs. Raises UsageError, which names all missing
    variables."""
    missing = [name for name in NEEDED if not env.get(name, "").strip()]
    if missing:
        hint = (
            "" if env.get("OSS_ENDPOINT", "").strip() else _hint(env.get("OSS_REGION", "").strip())
        )
        raise UsageError(f"CLOUD=1 needs {', '.join(missing)} in the environment or in .env{hint}")
    try:
        # AUTH is replaced, because it makes no difference here how callers log in.
        settings = settings_of(
            {**env, "AUTH": "anonymous"}, needed=NEEDED[2:], optional=(*_OPTIONAL, "AUTH")
        )
        key = read_access_key(Reader(env))
    except Misconfiguration as error:
        raise UsageError(error.message) from None
    of_function = {name: env.get(name, "") for name in ("URL", "LOGIN")}
    options = read_options(of_function) if of_function["URL"].strip() else None
    if options and options.address.scheme == "http" and not options.address.is_loopback:
        raise UsageError(
            "URL must begin with https://. Only a loopback host may have http://, because others "
            "in the network could read the login and the token"
        )
    oss = settings.oss_endpoint
    is_local = re.fullmatch(LOCAL, oss.host)
    return Account(
        key=key,
        role_arn=settings.role_arn,
        bucket=settings.bucket,
        region=settings.region,
        prefix=settings.prefix,
        oss=oss,
        public=oss if is_local else public(settings.region),
        sts=settings.sts_endpoint,
        function=options.address if options else None,
        login=options.login if options else "",
    )


def _hint(region: str) -> str:
    if region and not is_public_in_mainland(public(region), region):
        return ""
    return (
        "; if you began to use OSS on 2025-03-20 or later, a bucket in mainland China also needs "
        "its own domain: set OSS_ENDPOINT to this domain (docs/deploy.md, A domain for the bucket)"
    )


def is_cloud(env: Mapping[str, str]) -> bool:
    """Whether CLOUD is 1. Raises UsageError if CLOUD is set, but is not 1 or 0."""
    value = env.get("CLOUD", "").strip()
    if not re.fullmatch("[01]?", value):
        raise UsageError("CLOUD must be 1 (your own account) or 0 (the sandbox)")
    return value == "1"
