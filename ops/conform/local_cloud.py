"""A sandbox for `make conform`: STS, OSS and the function, in a temporary folder.

The operator's key has exactly the rights that docs/assumptions.md asks for.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from starlette.types import ASGIApp

from ops.conform.account import Account
from ops.smoke.wire import Address
from sandbox import cloud, gateway
from sandbox.cloud import Cloud
from sandbox.environment import Ports, public_key_url
from sandbox.identities import AccessKey as HeldKey
from sandbox.identities import Identities
from sandbox.ram import Policy
from sandbox.servers import Service, in_background, listen
from token_service.app import App
from token_service.settings.reading import read_settings
from token_service.settings.values import AccessKey, Endpoint

_KEY = AccessKey("LTAI5tConformOperator", "conform-operators-secret", None)
Wrap = Callable[[str, ASGIApp], ASGIApp]
"""Wraps a service so that tests can change its answers. The services are "oss", "sts", "function"
and "public", which is OSS at its public endpoint."""


def rights(bucket: str, prefix: str, role_arn: str) -> dict[str, object]:
    """Return the policy that the operator's key needs, as docs/assumptions.md shows it."""
    objects = f"acs:oss:*:*:{bucket}/{prefix}*conform-*"
    listing = {"StringLike": {"oss:Prefix": f"{prefix}*conform-*"}}
    on_bucket = f"acs:oss:*:*:{bucket}"
    return {
        "Version": "1",
        "Statement": [
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role_arn},
            {
                "Effect": "Allow",
                "Action": ["oss:DeleteObject", "oss:AbortMultipartUpload"],
                "Resource": objects,
            },
            {
                "Effect": "Allow",
                "Action": "oss:ListObjects",
                "Resource": on_bucket,
                "Condition": listing,
            },
            {"Effect": "Allow", "Action": "oss:GetBucketInfo", "Resource": on_bucket},
        ],
    }


@contextmanager
def local_cloud(wrap: Wrap | None = None, **variables: str) -> Iterator[Account]:
    """Run the sandbox with these variables of the function. Yields the Account for the probes."""
    around = wrap or (lambda _, app: app)
    listeners = [listen(0) for _ in range(4)]
    ports = Ports(*(listener.getsockname()[1] for listener in listeners))
    url = f"http://127.0.0.1:{ports.gateway}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = cloud.load_secrets(folder)
        wanted = {
            "ALLOWED_ORIGINS": "https://app.example.com",
            "CALLBACK_URL": f"{url}/callback",
            "TOKEN_EXPIRE_TIME_MAX": "7200",
            **variables,
        }
        env = made.environment(wanted, wanted.keys(), ports)
        created = _with_operator(cloud.create(env, folder, made), env)
        signer = cloud.load_signer(folder, public_key_url(ports.gateway))
        app = App(env)
        function = gateway.of_app(app, public_key=signer.public_key)
        # The public endpoint is closed, as it is for a new account.
        public, sts, oss = cloud.services(created, signer, *listeners[1:])
        services = [
            Service(around("function", function), listeners[0]),
            replace(public, app=around("public", public.app)),
            replace(oss, app=around("oss", oss.app)),
            replace(sts, app=around("sts", sts.app)),
        ]
        settings = read_settings(env)
        try:
            with in_background(services):
                yield Account(
                    key=_KEY,
                    role_arn=settings.role_arn,
                    bucket=settings.bucket,
                    region=settings.region,
                    prefix=settings.prefix,
                    # This is an IP address, because some machines cannot resolve the domain's name.
                    oss=settings.oss_internal_endpoint,
                    public=Endpoint("http", "127.0.0.1", ports.oss),
                    sts=settings.sts_endpoint,
                    function=Address("http", "127.0.0.1", ports.gateway, ""),
                )
        finally:
            app.close()
            created.storage.close()


def _with_operator(made: Cloud, env: Mapping[str, str]) -> Cloud:
    """Return the cloud with the operator's key added. This key may assume the upload role."""
    settings = read_settings(env)
    account = made.identities.account_id
    function = made.identities.find(env["ALIBABA_CLOUD_ACCESS_KEY_ID"], None)
    arn = f"acs:ram::{account}:user/conform"
    policy = Policy.parse(json.dumps(rights(settings.bucket, settings.prefix, settings.role_arn)))
    role = made.identities.role(settings.role_arn)
    if role is None:
        raise LookupError(settings.role_arn)
    keys = [
        HeldKey(
            function.access_key_id, function.access_key_secret, function.arn, function.policies
        ),
        HeldKey(_KEY.access_key_id, _KEY.access_key_secret, arn, (policy,)),
    ]
    trusting = replace(role, trusted=(*role.trusted, arn))
    return replace(made, identities=Identities(account, b"conform", keys, [trusting]))
