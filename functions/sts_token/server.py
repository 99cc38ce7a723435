"""The entry point of Function Compute's custom runtimes, where an instance serves many requests at
a time (RUNTIME=custom): started as a program, it is an HTTP server over an App as index.py's."""

from __future__ import annotations

import logging
import os
import sys
import threading
from types import SimpleNamespace
from typing import Any

import index  # noqa: F401 - for what it does about garbage and the log
from token_service.app import App
from token_service.errors import InvalidEvent
from token_service.http import http_server, wsgi_event
from token_service.http.messages import Request, Response

_NAMES = ("ACCESS_KEY_ID", "ACCESS_KEY_SECRET", "SECURITY_TOKEN")
_current = threading.local()


class _App(App):
    @property
    def given_key(self) -> dict[str, str]:  # type: ignore[override]
        """Newer than the environment of the process's start (a role's key ends after 36 hours), and
        used for this request alone, whoever sent it: nobody with another key waits for its call."""
        key: dict[str, str] = _current.key
        return key


def answer(environ: Any) -> Response:
    """Answer a request (http_server.Answer). Headers x-fc-* are the platform's: that a client's own
    do not arrive is vendor documentation, and not verified on the real cloud (assumption 68)."""

    def read() -> Request:
        if environ is None:
            raise InvalidEvent("the request must be HTTP/1.1, with its length in Content-Length")
        key = {f"ALIBABA_CLOUD_{name}": environ.get(f"HTTP_X_FC_{name}", "") for name in _NAMES}
        # One that came twice has a comma.
        if all(key.values()) and "," not in "".join(key.values()):
            _current.key = key
        request_id = environ.get("HTTP_X_FC_REQUEST_ID", "")[:64]
        environ["fc.context"] = SimpleNamespace(request_id=request_id)
        return wsgi_event.read(environ)

    _current.key = {}
    if environ and environ.get("HTTP_X_FC_CONTROL_PATH") == "/initialize":
        # The initializer that s.yaml names: it has run, before anything was accepted.
        return Response(200, {}, "{}")
    return _app.respond(read)


_app = _App(os.environ)

if __name__ == "__main__":
    # The platform makes its log of what is printed.
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    http_server.serve(int(os.environ.get("FC_SERVER_PORT") or 9000), answer, _app.warm)
