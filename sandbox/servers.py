"""Several HTTP servers in one process, on loopback (except lan.py), started and stopped together.

The applications that the servers run are in other modules (gateway.py, sts.py, oss/).
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from email.utils import formatdate

import uvicorn
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Ctrl-C must end everything within 3 s, including uploads in progress.
SHUTDOWN_SECONDS = 1


class PortInUse(Exception):
    """Raised when a port cannot be bound. `port` is the number of the port, and the message gives
    the reason."""

    def __init__(self, port: int, reason: str) -> None:
        super().__init__(f"port {port} cannot be used: {reason}")
        self.port = port


@dataclass(frozen=True)
class Service:
    """One ASGI application and the bound socket that it is served on."""

    app: ASGIApp
    listener: socket.socket

    @property
    def port(self) -> int:
        """The real TCP port, even if the listener was bound to port 0."""
        port: int = self.listener.getsockname()[1]
        return port


def listen(port: int, address: str = "127.0.0.1") -> socket.socket:
    """Bind `port` (0 means any free port) of an IPv4 address of this machine. Raises PortInUse."""
    # The socket must name TCP. Without IPPROTO_TCP, asyncio leaves Nagle's algorithm on, and the
    # body of an answer comes 40 ms late.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    # Without this option, connections in TIME_WAIT would make a restart within a minute fail.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
        listener.listen(2048)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = error.strerror if isinstance(error, OSError) else None
        raise PortInUse(port, reason or str(error)) from error
    return listener


def allow_connections() -> None:
    """Let this process open as many files as the system allows. With the usual limit of 1,024
    files, a few hundred silent connections are enough to leave other clients without an answer."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS may report "no limit" as the maximum, but then refuses this value.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class _Server(uvicorn.Server):
    """A server that does not handle signals. One process runs several servers, so the code that
    starts them handles the signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _dated(app: ASGIApp) -> ASGIApp:
    """Add the current Date to each answer, since uvicorn's own Date may be a second old.

    Clients send this Date back as If-Unmodified-Since (ali-oss's tests do), so it must not be
    earlier than the Last-Modified in the answer.
    """

    async def dated(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = (b"date", formatdate(usegmt=True).encode())
                message = {**message, "headers": [date, *message.get("headers", [])]}
            await send(message)

        # ClientDisconnect is ignored, because a client that has disconnected needs no answer.
        with contextlib.suppress(ClientDisconnect):
            await app(scope, receive, send_dated)

    return dated


def _server(service: Service) -> _Server:
    config = uvicorn.Config(
        _dated(service.app),
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        # The client is always the socket's peer, even if the shell sets FORWARDED_ALLOW_IPS.
        proxy_headers=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    return _Server(config)


async def serve(services: Sequence[Service], stop: asyncio.Event) -> None:
    """Serve until `stop` is set. Then close listeners and connections within SHUTDOWN_SECONDS."""
    servers = [_server(service) for service in services]

    async def end_when_told() -> None:
        await stop.wait()
        for server in servers:
            server.should_exit = True

    async with contextlib.AsyncExitStack() as stack:
        ender = asyncio.create_task(end_when_told())
        stack.callback(ender.cancel)
        await asyncio.gather(
            *(
                server.serve(sockets=[service.listener])
                for server, service in zip(servers, services, strict=True)
            )
        )


@contextlib.contextmanager
def in_background(services: Sequence[Service]) -> Iterator[None]:
    """Serve from another thread until the block ends, for tests and `make token`."""
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(serve(services, stop))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()

    thread = threading.Thread(target=run, name="sandbox", daemon=True)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
