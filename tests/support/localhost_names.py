"""Names below localhost, found inside of Python as browsers and curl find them (RFC 6761, 6.3).

Of the C library not every one knows them. The machine is not changed, and no other name is.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def localhost_names() -> Iterator[None]:
    """Let this process find every name below localhost at 127.0.0.1."""
    find = socket.getaddrinfo

    def found(host: Any, *arguments: Any, **options: Any) -> Any:
        is_below = isinstance(host, str) and host.endswith(".localhost")
        return find("127.0.0.1" if is_below else host, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", found)
        yield
