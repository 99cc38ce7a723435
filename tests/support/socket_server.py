"""A socket that listens on 127.0.0.1, with a thread for each connection. The caller of
socket_server() reads and writes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def socket_server(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Pass each connection to `serve`, in its own thread; yields the port, which is a free one."""
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
        # close() alone does not wake accept(), so this connects to it.
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
