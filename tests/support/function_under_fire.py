"""The function with all servers that it calls. A test decides what each of the servers answers."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from ops import ROOT
from oss_signer import PRODUCTION_KEY_URL, OssSigner, about
from scripted_sts import CREDENTIALS, Move, ScriptedSts, answer, raw, scripted_sts, success
from signed_logins import RSA_KEY, jwk, jwks, login
from token_service.app import App
from token_service.http.messages import Request, Response

Env = dict[str, str]
Code = tuple[int, str]
"""StatusCode and ErrorCode of an answer."""

SECRETS = {"CALLBACK_SECRET": "s" * 32, "UPLOAD_HOOK_SECRET": "h" * 32}
KEY, ETAG, SIZE = "uploads/alice/a.jpg", "5D41402ABC4B2A76B9719D911017C592", 5
SIGNER = OssSigner()
LISTING = (
    b"<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>"
    b"<Contents><Key>uploads/alice/a.jpg</Key><Size>5</Size><ETag>" + ETAG.encode() + b"</ETag>"
    b"<LastModified>2026-11-24T10:00:00.000Z</LastModified></Contents></ListBucketResult>"
)
HEAD = (
    f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\nETag: {ETAG}\r\nContent-Type: image/jpeg\r\n"
    "Last-Modified: Tue, 24 Nov 2026 10:00:00 GMT\r\n\r\n"
).encode()


class Link(NamedTuple):
    """A server that the function calls. `variable` is the name of the variable that holds the
    server's address, and `path` is the end of this address. `body` is a valid answer of this
    server. `route` is a route that calls the server. If the server does not answer, the function
    answers with the status and the error code in `none`. If the server's answer is wrong, the
    function answers with the status and the error code in `wrong`."""

    name: str
    server: str
    variable: str
    path: str
    body: bytes
    route: str
    none: Code
    wrong: Code


_STS = json.dumps({"RequestId": "R", "Credentials": CREDENTIALS}).encode()
_KEYS = jwks(jwk("RS256", "one")).encode()
_HOOK = (502, "HookFailed")
_NO_KEY = (403, "CallbackRefused")
_NO_KEYS = (503, "KeysUnreachable")
STS, OSS, JWKS, WEBHOOK, OSS_KEY = LINKS = (
    Link(
        "STS",
        "sts",
        "STS_ENDPOINT",
        "",
        _STS,
        "/",
        (503, "StsUnreachable"),
        (503, "StsInvalidAnswer"),
    ),
    Link(
        "OSS",
        "oss",
        "OSS_ENDPOINT",
        "",
        LISTING,
        "/uploads",
        (503, "OssUnreachable"),
        (503, "OssInvalidAnswer"),
    ),
    Link("JWKS", "jwks", "JWT_JWKS_URL", "/keys.json", _KEYS, "/", _NO_KEYS, _NO_KEYS),
    Link("webhook", "hook", "UPLOAD_HOOK_URL", "/up", b'{"Id": 7}', "/callback", _HOOK, _HOOK),
    Link(
        "OSS's public key",
        "key",
        "CALLBACK_PUBLIC_KEY_URL",
        "/key.pem",
        SIGNER.pem,
        "/callback",
        _NO_KEY,
        _NO_KEY,
    ),
)


@dataclass(frozen=True)
class Function:
    """The function and the servers that it calls. `login` is a login of alice."""

    app: App
    servers: Mapping[str, ScriptedSts]
    login: str
    signer: OssSigner

    def ask(self, route: str, *, token: str = "") -> Response:
        """Send a request as the route's client does: a phone, or OSS after an upload."""
        if route == "/callback":
            request = self.callback()
        else:
            request = Request("GET", route, {"access_token": token or self.login})
        return self.app.respond(lambda: request)

    def callback(self) -> Request:
        """The callback that OSS posts. A callback needs the seal of a token, so get one first."""
        scope = json.loads(self.ask("/").body)["Scope"]
        return self.signer.call(scope, **about("my-bucket", KEY, ETAG, SIZE))

    @property
    def inner(self) -> list[str]:
        """Texts that no error answer may contain."""
        ports = [str(server.port) for server in self.servers.values()]
        keys = [self.app.env[f"ALIBABA_CLOUD_ACCESS_KEY_{half}"] for half in ("ID", "SECRET")]
        made = [*keys, *SECRETS.values(), *list(CREDENTIALS.values())[:3], self.login]
        return [*made, *ports, "127.0.0.1", "localhost", "Traceback", ".py", str(ROOT)]


def members(response: Response) -> dict[str, Any]:
    """The answer's JSON."""
    document: dict[str, Any] = json.loads(response.body)
    return document


@contextmanager
def function(
    env: Env,
    link: Link | None = None,
    *moves: Move,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    address: Callable[[ScriptedSts], str] | None = None,
) -> Iterator[Function]:
    """Run the function and the servers that it calls. `link` names one of these servers. This
    server listens at `host`, answers with `moves`, and uses TLS if `tls` is given. `address` may
    return another URL for this server, or "" if the variable with its URL must not be set."""
    at_uploads = link is not None and link.route == "/uploads"
    sound: dict[str, Move] = {
        "sts": success(),
        "oss": answer(200, LISTING) if at_uploads else raw(HEAD, goes_on=True),
        "jwks": answer(200, _KEYS),
        "hook": answer(200, WEBHOOK.body),
        "key": answer(200, SIGNER.pem),
    }
    with ExitStack() as stack:
        made = {**env, "AUTH": "jwt", **SECRETS, "CALLBACK_URL": "https://app.example.com/callback"}
        servers = {}
        for at in LINKS:
            is_it = at is link
            played = moves if is_it and moves else (sound[at.server],)
            server = stack.enter_context(scripted_sts(*played, tls=tls if is_it else None))
            servers[at.server] = server
            scheme = "https" if is_it and tls else "http"
            url = f"{scheme}://{host if is_it else '127.0.0.1'}:{server.port}"
            if is_it and address is not None:
                url = address(server)
            if url:
                made[at.variable] = url + at.path
        signer = OssSigner(made.get(OSS_KEY.variable, PRODUCTION_KEY_URL), SIGNER.key)
        app = stack.enter_context(closing(App(made)))
        yield Function(app, servers, login(RSA_KEY, "RS256", "one"), signer)
