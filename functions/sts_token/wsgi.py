"""The entry points for Function Compute 2.0 (WSGI). They use the App that index.py makes.

Configure `wsgi.handler` as the handler, and `wsgi.initialize` as the initializer.
"""

from __future__ import annotations

from collections.abc import Callable
from http.client import responses

import index
from token_service.http import wsgi_event

StartResponse = Callable[[str, list[tuple[str, str]]], object]

initialize = index.initialize


def handler(environ: object, start_response: StartResponse) -> list[bytes]:
    """Answer one HTTP request. Every failure becomes an answer, so this never raises."""
    response = index._app.respond(lambda: wsgi_event.read(environ))
    # The platform sets Content-Length.
    start_response(
        f"{response.status} {responses.get(response.status, 'Unknown')}",
        list(response.headers.items()),
    )
    return [response.body.encode()]
