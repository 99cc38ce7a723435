"""Why no answer came, in words; loaded when that happens."""

from __future__ import annotations

import http.client
import socket
import ssl


def reason(error: Exception) -> str:
    """Say what went wrong, without what was sent."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        # Up to the comma: behind it may stand the host, which is not a client's to know.
        return f"its certificate cannot be trusted ({error.verify_message.partition(',')[0]})"
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    if isinstance(error, ConnectionRefusedError):
        return "it refused the connection"
    if isinstance(error, http.client.IncompleteRead):
        return "its answer ended half-way"
    if isinstance(error, ConnectionError):
        return "it closed the connection"
    # Ours (connection.py); the text of another may be the server's.
    if str(error).startswith("its answer exceeds"):
        return str(error)
    return f"its answer was not understood ({type(error).__name__})"
