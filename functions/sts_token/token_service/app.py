"""Event -> route -> answer. Each route is a module of routes/, loaded at its first request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import NamedTuple

from token_service.encoding import compact
from token_service.http.messages import Request, Response
from token_service.instance import Instance
from token_service.request_log import Record
from token_service.settings.variables import ALLOWED_ORIGINS

_HEADERS = {
    "Content-Type": "application/json; charset=utf-8",
    # iOS keeps a shared URL cache.
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


class Route(NamedTuple):
    """A path, its methods, and the module of routes/ that answers. `word` is the route's name in
    ENABLED_ROUTES; a route without a name is always open. `needs_login`: a caller must log in.
    `true_status`: errors have their true HTTP status, because mobile apps do not use the route."""

    path: str
    methods: tuple[str, ...]
    module: str
    word: str | None = None
    needs_login: bool = True
    true_status: bool = False


_ANY = ("GET", "POST", "HEAD", "OPTIONS")
CALLBACK = Route("/callback", ("POST",), "callback", needs_login=False, true_status=True)
ROUTES = (
    Route("/", _ANY, "token", "token"),
    Route("/sts", _ANY, "token", "token"),
    Route("/signed-url", _ANY, "signed_url", "signed-url"),
    Route("/form", _ANY, "form", "form"),
    Route("/multipart", ("POST", "OPTIONS"), "multipart", "multipart"),
    CALLBACK,
    Route("/uploads", ("GET", "HEAD", "OPTIONS"), "uploads", "uploads"),
    Route("/health", _ANY, "health", needs_login=False, true_status=True),
)
_BY_PATH = {route.path: route for route in ROUTES}
# import_module takes 10 us even for a loaded module. A token from the cache takes 60 us in all.
_module = cache(lambda name: import_module(f"token_service.routes.{name}"))


class App(Instance):
    """The token service of one environment. Thread-safe; `respond` never raises."""

    _answers = 0

    def respond(self, read: Callable[[], Request]) -> Response:
        """Read a request and answer it. Every failure becomes a JSON error."""
        record = Record()
        method = ""
        headers: Mapping[str, str] = {}
        route: Route | None = None
        try:
            request = read()
            method = request.method
            record.request_id = request.request_id
            route = _find(request.path)
            # The import is here because apps send no Origin, and need no CORS.
            if self.env.get(ALLOWED_ORIGINS.name) or method == "OPTIONS":
                from token_service.http import cors

                headers = self.get(cors.of).headers(request)
            answer, status = self._answer(request, route, record), 200
            if method == "OPTIONS":
                headers = self.get(cors.of).preflight(request)
            record.status = status
        except Exception as caught:  # noqa: BLE001 - a client must always get JSON
            from token_service.routes import refusals

            error = refusals.refusal(caught, record, self, is_callback=route is CALLBACK)
            answer, status = refusals.members(error), refusals.http_status(error, route, self.env)
            headers = {**headers, **error.headers}
        record.write()
        self._answers = answers = self._answers + 1
        if answers == 2:
            # This check is not made at the first answer, because it would make a cold start longer.
            from token_service import misspelt

            misspelt.warn(self.env)
        body = "" if method == "HEAD" else compact(answer)
        return Response(status, {**_HEADERS, **headers}, body)

    def _answer(self, request: Request, route: Route | None, record: Record) -> dict[str, object]:
        if request.method == "OPTIONS":
            record.route = "OPTIONS"
            return {"StatusCode": 200}
        record.route = route.path if route else ""
        if (
            route is None
            or request.method not in route.methods
            or (route.word and route.word not in self.settings.enabled_routes)
        ):
            from token_service.routes import refusals

            raise refusals.no_route(request, route, _BY_PATH, self, record)
        answer: dict[str, object] = _module(route.module).answer(request, self, record)
        return answer


def _find(path: str) -> Route | None:
    """Find the route of a path. Every path that ends with /callback is OSS's callback, because a
    gateway may add a prefix. OSS would read another route's HTTP 200 as a success."""
    path = path.rstrip("/") or "/"
    return CALLBACK if path.endswith(CALLBACK.path) else _BY_PATH.get(path)
