"""Runs the function and the sandbox's STS and OSS in this process, connected as in `make run`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import alibabacloud_oss_v2
import oss2

from configuration import jwt_settings
from running_oss import callback_key
from sandbox import cloud, demo_login, gateway
from sandbox.environment import Ports, public_key_url
from sandbox.servers import Service, in_background, listen
from token_service.app import App
from token_service.http.messages import Request


@dataclass(frozen=True)
class Token:
    """A client's token, with all that an SDK needs."""

    access_key_id: str
    access_key_secret: str
    security_token: str
    bucket: str
    region: str
    endpoint: str
    prefix: str
    is_cname: bool = False

    @classmethod
    def of(cls, answer: dict[str, Any]) -> Token:
        assert answer["StatusCode"] == 200, answer
        scope = answer["Scope"]
        return cls(
            answer["AccessKeyId"],
            answer["AccessKeySecret"],
            answer["SecurityToken"],
            scope["Bucket"],
            scope["Region"],
            scope["Endpoint"],
            scope["Prefix"],
            scope.get("Cname", False),
        )

    def oss2(self, version: str, bucket: str = "") -> oss2.Bucket:
        auth = oss2.StsAuth(
            self.access_key_id, self.access_key_secret, self.security_token, auth_version=version
        )
        return oss2.Bucket(
            auth,
            self.endpoint,
            bucket or self.bucket,
            is_cname=self.is_cname,
            region=self.region,
        )

    def oss_v2(self) -> alibabacloud_oss_v2.Client:
        config = alibabacloud_oss_v2.config.load_default()
        config.credentials_provider = alibabacloud_oss_v2.credentials.StaticCredentialsProvider(
            self.access_key_id, self.access_key_secret, self.security_token
        )
        config.region = self.region
        config.endpoint = self.endpoint
        config.use_cname = self.is_cname
        return alibabacloud_oss_v2.Client(config)


@dataclass(frozen=True)
class RunningCloud:
    """The running function and sandbox, with their URLs and settings."""

    app: App
    cloud: cloud.Cloud
    env: dict[str, str]
    url: str
    """The URL at which the function answers HTTP requests."""

    def answer(self, method: str = "GET", path: str = "/", **query: str) -> dict[str, Any]:
        """The function's answer to a request."""
        request = Request(method=method, path=path, query=query, headers={}, body=b"")
        response = self.app.respond(lambda: request)
        decoded: dict[str, Any] = json.loads(response.body)
        return decoded

    def token(self, **wishes: str) -> Token:
        """Get a token as a client does."""
        return Token.of(self.answer(**wishes))

    def login(self, user_id: str) -> str:
        """Make a login of this user (AUTH=jwt). The test sends it as the parameter
        `access_token`."""
        logins = jwt_settings(self.env)
        return demo_login.make_login(user_id, logins, self.env["JWT_SECRET"])


@contextmanager
def running_cloud(
    folder: Path, *, is_public_closed: bool = False, **variables: str
) -> Iterator[RunningCloud]:
    """Run the function and the sandbox with these variables, like `make run NAME=value`.

    `is_public_closed` means PUBLIC_ENDPOINT=closed. With SIGNATURE_V1="1" the OSS accepts V1.
    """
    takes_v1 = variables.pop("SIGNATURE_V1", "") == "1"
    listeners = [listen(0) for _ in range(4 if is_public_closed else 3)]
    ports = Ports(*(listener.getsockname()[1] for listener in listeners))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "callback_key.pem").write_bytes(callback_key())
    secrets = cloud.load_secrets(folder)
    env = secrets.environment(variables, variables.keys(), ports)
    if not any(variables.get(name) for name in ("JWT_SECRET", "JWT_JWKS_FILE", "JWT_JWKS_URL")):
        # The test gives no keys for logins, so the function accepts the logins of the sandbox's
        # sign-in.
        env["JWT_SECRET"] = secrets.jwt_secret
    made = cloud.create(env, folder, secrets)
    with closing(made.storage), closing(App(env)) as app:
        signer = cloud.load_signer(folder, public_key_url(ports.gateway))
        function = gateway.of_app(app, public_key=signer.public_key)
        oss_and_sts = cloud.services(made, signer, *listeners[1:], takes_v1=takes_v1)
        with in_background([Service(function, listeners[0]), *oss_and_sts]):
            yield RunningCloud(app, made, env, f"http://127.0.0.1:{ports.gateway}")
