"""Lets Python resolve names below localhost, as browsers and curl do (RFC 6761, 6.3).

Some C libraries cannot resolve these names. This changes neither the machine nor other names.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def localhost_names() -> Iterator[None]:
    """Let this process resolve every name below localhost to 127.0.0.1."""
    find = socket.getaddrinfo

    def found(host: Any, *arguments: Any, **options: Any) -> Any:
        is_below = isinstance(host, str) and host.endswith(".localhost")
        return find("127.0.0.1" if is_below else host, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", found)
        yield
