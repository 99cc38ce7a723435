"""Listens on 127.0.0.1, and starts a thread for each connection. The thread calls `serve`, a
function that reads from the connection and writes to it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def socket_server(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Pass each connection to `serve`, in its own thread. Yields the port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(sock,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        # close() alone does not end accept(), so call shutdown() first.
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
