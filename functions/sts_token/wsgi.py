"""Function Compute 2.0's entry points (WSGI); the App is the one that index.py makes.

The handler to configure is `wsgi.handler`, the initializer `wsgi.initialize`.
"""

from __future__ import annotations

from collections.abc import Callable
from http.client import responses

import index
from token_service.http import wsgi_event

StartResponse = Callable[[str, list[tuple[str, str]]], object]

initialize = index.initialize


def handler(environ: object, start_response: StartResponse) -> list[bytes]:
    """Answer one HTTP request; never raises, whatever the environment."""
    response = index._app.respond(lambda: wsgi_event.read(environ))
    # The platform sets Content-Length.
    start_response(
        f"{response.status} {responses.get(response.status, 'Unknown')}",
        list(response.headers.items()),
    )
    return [response.body.encode()]
