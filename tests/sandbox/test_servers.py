"""Listening; what is served, ports in use and signals are in test_run.py."""

from __future__ import annotations

import socket

from sandbox.servers import listen


def test_no_answer_waits_for_the_acknowledgement_of_its_head() -> None:
    """asyncio sets TCP_NODELAY only on these; else a kept connection takes 40 ms an answer."""
    with listen(0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.proto == socket.IPPROTO_TCP
