"""The entry point for Function Compute's custom runtimes (RUNTIME=custom). This program is an HTTP
server. The server uses App, as index.py does, and answers many requests at a time."""

from __future__ import annotations

import logging
import os
import sys
import threading
from types import SimpleNamespace
from typing import Any

import index  # noqa: F401 - it sets up garbage collection and the log
from token_service.app import App
from token_service.errors import InvalidEvent
from token_service.http import http_server, wsgi_event
from token_service.http.messages import Request, Response

_NAMES = ("ACCESS_KEY_ID", "ACCESS_KEY_SECRET", "SECURITY_TOKEN")
_current = threading.local()


class _App(App):
    @property
    def given_key(self) -> dict[str, str]:  # type: ignore[override]
        """The key that came with this request. Only requests with the same key share an STS call.
        The environment's key may be too old, because a role's key expires after 36 hours."""
        key: dict[str, str] = _current.key
        return key


def answer(environ: Any) -> Response:
    """Answer a request (http_server.Answer). The vendor documents that the platform drops a
    client's own x-fc-* headers. This is not verified on the real cloud (assumption 68)."""

    def read() -> Request:
        if environ is None:
            raise InvalidEvent("the request must be HTTP/1.1, with its length in Content-Length")
        key = {f"ALIBABA_CLOUD_{name}": environ.get(f"HTTP_X_FC_{name}", "") for name in _NAMES}
        # Commas join the values of a repeated header, so a key with a comma is not used.
        if all(key.values()) and "," not in "".join(key.values()):
            _current.key = key
        request_id = environ.get("HTTP_X_FC_REQUEST_ID", "")[:64]
        environ["fc.context"] = SimpleNamespace(request_id=request_id)
        return wsgi_event.read(environ)

    _current.key = {}
    if environ and environ.get("HTTP_X_FC_CONTROL_PATH") == "/initialize":
        # s.yaml names this initializer. The server warmed up before it accepted any request.
        return Response(200, {}, "{}")
    return _app.respond(read)


_app = _App(os.environ)

if __name__ == "__main__":
    # The platform writes printed lines to its log.
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    http_server.serve(int(os.environ.get("FC_SERVER_PORT") or 9000), answer, _app.warm)
