"""Says why no answer came. This module is loaded only after a failed request."""

from __future__ import annotations

import http.client
import socket
import ssl


def reason(error: Exception) -> str:
    """Say what went wrong, without quoting the request."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        # The text after the comma may name the host, which clients must not learn.
        return f"its certificate cannot be trusted ({error.verify_message.partition(',')[0]})"
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    if isinstance(error, ConnectionRefusedError):
        return "it refused the connection"
    if isinstance(error, http.client.IncompleteRead):
        return "its answer was cut off"
    if isinstance(error, ConnectionError):
        return "it closed the connection"
    # connection.py wrote this text. The text of any other error may quote the server's answer.
    if str(error).startswith("its answer exceeds"):
        return str(error)
    return f"its answer was not understood ({type(error).__name__})"
