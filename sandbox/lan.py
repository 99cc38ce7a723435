"""`make run LAN=1`: a phone on the same Wi-Fi reaches the gateway and OSS at this machine's
address.

Everybody else in that network can reach the gateway and OSS too, so only the parts that a phone
needs are open. STS and the sandbox's own routes are closed. A request whose Host header is not this
address is refused. Otherwise a stranger's web page could give this address a name of its own (DNS
rebinding), and read all answers. Stored bytes are limited.
"""

from __future__ import annotations

import io
import ipaddress
import os
import shutil
import socket
from collections.abc import Collection, Mapping, Sequence
from typing import TextIO

import segno
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox import cloud, demo_login, page, private_url
from sandbox.environment import LOGIN_KEYS, PRIVATE, Ports, believed_elsewhere
from sandbox.oss.callback_signer import CallbackSigner
from sandbox.oss.room import Limits
from sandbox.request_notes import FROM_NETWORK, RequestNotes
from sandbox.servers import Service, listen
from token_service.callback.parameters import callback_url
from token_service.errors import Misconfiguration
from token_service.settings.reading import Settings
from token_service.settings.values import Endpoint

LIMITS = Limits(object_bytes=100 * 1024**2, total_bytes=1024**3)
"""At most 100 MB for each file, and at most 1 GB for the files of all users together."""
MAX_BODY_BYTES = 64 * 1024
"""The largest body of a request to the gateway; wishes and logins are far smaller."""
EMULATOR = "10.0.2.2"
"""The Android emulator's address for this machine's loopback."""
NETWORKS = PRIVATE
_ACCEPTS = (
    "must be 1 (the address of the default route), a private IPv4 address of this machine like "
    "192.168.1.5 (in 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16), or 0 (this machine only)"
)
_DOCUMENTATION_ADDRESS = ("203.0.113.1", 9)


def read(env: Mapping[str, str], given: Collection[str]) -> str:
    """Return the address that LAN selects, or "" if LAN is not set.

    `given` are the names in `env` that are set on the command line of make. LAN has an effect only
    on this command line, not as an environment variable, because LAN lets others in the network
    reach this machine. Raises Misconfiguration, also for settings that cannot be combined with LAN.
    """
    if "HOST" in given:
        raise Misconfiguration(
            "HOST",
            "is not a variable of the sandbox, which listens on 127.0.0.1; LAN=1 lets a phone in "
            "your network reach the sandbox",
        )
    text = env.get("LAN", "").strip() if "LAN" in given else ""
    if text in ("", "0"):
        return ""
    _check(env, given)
    return _of_default_route() if text == "1" else _own(text)


def is_ignored(env: Mapping[str, str], given: Collection[str]) -> bool:
    """Whether the environment sets LAN, but the command line does not. Then LAN is ignored."""
    return "LAN" not in given and env.get("LAN", "").strip() not in ("", "0")


def _of_default_route() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # `connect` on a UDP socket sends nothing and only looks up a route. No network has this
            # address (RFC 5737 reserves it for examples). So the system takes the default route.
            probe.connect(_DOCUMENTATION_ADDRESS)
        except OSError:
            raise Misconfiguration(
                "LAN",
                "this machine has no default route, so it is not in a network; join the Wi-Fi, or "
                "set an address of this machine, like LAN=192.168.1.5",
            ) from None
        address: str = probe.getsockname()[0]
    if not _is_private(address):
        raise Misconfiguration(
            "LAN",
            f"{address}, the address of the default route, is not private (10.0.0.0/8, "
            "172.16.0.0/12, 192.168.0.0/16); choose another address of this machine, like "
            "LAN=192.168.1.5",
        )
    return address


def _own(text: str) -> str:
    if not _is_private(text):
        raise Misconfiguration("LAN", _ACCEPTS)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((text, 0))
        except OSError:
            message = f"{text} is not an address of this machine; {_ACCEPTS}"
            raise Misconfiguration("LAN", message) from None
    return text


def _is_private(text: str) -> bool:
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return any(address in network for network in NETWORKS)


def _check(env: Mapping[str, str], given: Collection[str]) -> None:
    """Refuse settings that no phone could use or that would give strangers in the network too many
    rights."""
    if env.get("CLOUD") == "1":
        raise Misconfiguration(
            "LAN", "CLOUD=1 gives out real tokens, so only this machine may use it"
        )
    if env.get("PUBLIC_ENDPOINT") == "closed":
        raise Misconfiguration(
            "LAN",
            "cannot be combined with PUBLIC_ENDPOINT=closed, because uploads would need "
            "files.localhost, which a phone cannot resolve",
        )
    set_here = {name: env[name] for name in given if env.get(name, "").strip()}
    if "OSS_ENDPOINT" in set_here:
        raise Misconfiguration("LAN", "sets OSS_ENDPOINT by itself; leave OSS_ENDPOINT out")
    real = [name for name in LOGIN_KEYS if name in set_here] + believed_elsewhere(set_here)
    if real:
        raise Misconfiguration(
            "LAN",
            f"cannot be combined with {real[0]}, because others in the network would get logins, "
            f"seals or webhook calls that other systems trust",
        )


def variables(
    env: Mapping[str, str], given: Collection[str], address: str, ports: Ports
) -> tuple[Mapping[str, str], Collection[str]]:
    """Return `env` with an OSS_ENDPOINT that a phone reaches, and `given` with this variable's
    name. If `address` is empty, return both unchanged."""
    if not address:
        return env, given
    endpoint = f"http://{address}:{ports.oss}"
    return {**env, "OSS_ENDPOINT": endpoint}, {*given, "OSS_ENDPOINT"}


def check_endpoint(endpoint: Endpoint, address: str, ports: Ports) -> None:
    """Refuse an OSS_ENDPOINT where no OSS listens. Raises Misconfiguration."""
    host = endpoint.host
    is_here = host in ("127.0.0.1", "localhost", EMULATOR, address) or host.endswith(".localhost")
    if not is_here or endpoint.port not in (ports.oss, ports.internal):
        raise Misconfiguration(
            "OSS_ENDPOINT",
            f"the sandbox's OSS does not listen on {endpoint.authority}. It is at "
            f"http://127.0.0.1:{ports.oss}. A phone in your network can reach it if LAN=1 is set. "
            f"A phone on a cable can use `adb reverse`. The Android emulator can use "
            f"http://{EMULATOR}:{ports.oss}",
        )
    if endpoint.scheme != "http":
        here = endpoint._replace(scheme="http")
        raise Misconfiguration(
            "OSS_ENDPOINT", f"the sandbox's OSS accepts only http, so use {here}"
        )


# The servers for the network


def listeners(address: str, ports: Ports) -> list[socket.socket]:
    """Bind the ports of the gateway and OSS at this address. Without an address, bind no port.
    Raises PortInUse."""
    return [listen(port, address) for port in (ports.gateway, ports.oss)] if address else []


def services(
    gateway: ASGIApp,
    made: cloud.Cloud,
    signer: CallbackSigner,
    env: Mapping[str, str],
    bound: Sequence[socket.socket],
    *,
    takes_v1: bool = False,
    notes: RequestNotes | None = None,
) -> list[Service]:
    """The two services that the network reaches, the gateway and OSS. They use the sockets that
    listeners() made. `env` is the function's environment."""
    if not bound:
        return []
    own = env.get("CALLBACK_URL", "").strip()
    urls = frozenset([str(callback_url(own))] if own else [])
    oss = cloud.oss_app(made, signer, takes_v1=takes_v1, callback_urls=urls, notes=notes)
    return [
        Service(_by_address_only(app, listener), listener)
        for app, listener in zip((_without_own_routes(gateway), oss), bound, strict=True)
    ]


def _by_address_only(app: ASGIApp, listener: socket.socket) -> ASGIApp:
    """Answer only requests whose Host is the listener's own address and port."""
    address, port = listener.getsockname()
    expected = f"{address}:{port}"

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        # A request whose target is a whole URL is refused, because the host in this URL would count
        # instead of the header Host.
        is_path = scope["raw_path"].startswith(b"/")
        if is_path and Headers(scope=scope).getlist("host") == [expected]:
            await app({**scope, FROM_NETWORK: True}, receive, send)
        else:
            refusal = private_url.error(403, "ForbiddenHost", f"Host must be {expected}")
            await refusal(scope, receive, send)

    return guarded


def _without_own_routes(app: ASGIApp) -> ASGIApp:
    """Refuse all paths under /sandbox/ except the sign-in. Refuse large bodies too, since the
    gateway holds them in memory. The sandbox sends callbacks, and fetches their public key, over
    loopback, so others in the network do not need these paths."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if f"{path}/".startswith("/sandbox/") and path.rstrip("/") != demo_login.PATH:
            await private_url.error(404, "NotFound", "nothing is served here")(scope, receive, send)
        elif not _has_small_body(Headers(scope=scope)):
            text = f"with LAN a body must have a Content-Length of at most {MAX_BODY_BYTES}"
            await private_url.error(413, "RequestEntityTooLarge", text)(scope, receive, send)
        else:
            await app(scope, receive, send)

    return guarded


def _has_small_body(headers: Headers) -> bool:
    length = headers.get("content-length", "0")
    is_said = "transfer-encoding" not in headers and length.isdigit()
    return is_said and int(length) <= MAX_BODY_BYTES


# Lines at the start


def lines(address: str, ports: Ports, settings: Settings, stream: TextIO) -> list[str]:
    """Lines that say how a phone reaches the sandbox, and who else can reach it. They are meant for
    `stream`. Without an address there are no lines."""
    if not address:
        return []
    url = f"http://{address}:{ports.gateway}{page.PATH}"
    named = settings.auth.names_callers
    who = "and sign in as any user" if named else "and everybody shares one folder"
    return [
        f"On a phone in the same network: {url}",
        f"Everybody in this network can reach the sandbox, {who}.",
        *_qr_lines(url, stream),
        "",
    ]


def _qr_lines(url: str, stream: TextIO) -> list[str]:
    """The lines of a QR code with the URL, and of the empty margin around it. There are no lines if
    `stream` is not a terminal, if the terminal is too narrow, or if its encoding lacks the
    characters of the code.

    The output sets its own colours, black on white, since the terminal's colours are unknown. With
    NO_COLOR the QR code looks normal on a dark terminal, and inverted on a light terminal. Most
    phones read an inverted QR code too.
    """
    code = segno.make_qr(url)
    width, _ = code.symbol_size()
    if not stream.isatty() or shutil.get_terminal_size().columns < width:
        return []
    drawn = io.StringIO()
    code.terminal(drawn, compact=True)
    rows = drawn.getvalue().splitlines()
    try:
        drawn.getvalue().encode(stream.encoding)
    except UnicodeEncodeError:
        return []
    if os.environ.get("NO_COLOR"):
        return ["", *rows]
    return ["", *(f"\x1b[38;5;231;48;5;16m{row}\x1b[0m" for row in rows)]
