"""Serves the page at /app/: the built page (dist/web/) if it exists, else the small page
(web/small/). Both use the client (web/client/) at /app/client/.

The page is served in front of the function and is not part of it. No page of another origin can
read these files, or show them in a frame.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox import ROOT, demo_login, gateway, request_notes
from token_service.settings.oss_hosts import bucket_address
from token_service.settings.reading import Settings

PATH = "/app/"
_METHODS = ("GET", "HEAD")
# The machine's own table of content types may differ, so this table is used. Files with other
# endings are not served.
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
_SEGMENT = r"[A-Za-z0-9_-][A-Za-z0-9._-]*"


def create_app(
    function: ASGIApp,
    settings: Settings,
    *,
    has_demo_logins: bool,
    shows_refusals: Callable[[Scope], bool] = lambda _: False,
    root: Path = ROOT,
) -> ASGIApp:
    """Answer GET and HEAD of everything below PATH, and pass other requests to `function`.

    `shows_refusals` says whether the client of a request may read the refusals at
    request_notes.PATH. `root` has the folders dist/web/, web/small/ and web/client/.
    """
    built = root / "dist" / "web"
    page = StaticFiles(directory=built, check_dir=False)
    # Both folders are served, since the small page may load its script after the full page was
    # built.
    page.all_directories = [built, root / "web" / "small"]
    client = StaticFiles(directory=root / "web" / "client", check_dir=False)
    headers = headers_of(settings)

    def config(scope: Scope) -> dict[str, object]:
        return {
            "appServer": "/",
            "signIn": demo_login.PATH if has_demo_logins else "",
            "refusals": request_notes.PATH if shows_refusals(scope) else "",
            "fullPage": (built / "index.html").is_file(),
        }

    async def answer(request: Request) -> Response:
        refusal = gateway.refusal_of_host(request)
        if refusal is not None:
            return refusal
        if request.method not in _METHODS:
            allow = ", ".join(_METHODS)
            return PlainTextResponse(f"must be one of {allow}\n", 405, {"Allow": allow})
        path: str = request.scope["path"]
        if not path.startswith(PATH):
            return RedirectResponse(PATH)
        name = path.removeprefix(PATH) or "index.html"
        if name == "config.json":
            return JSONResponse(config(request.scope), headers={"Cache-Control": "no-store"})
        files, _, rest = name.partition("/")
        if files == "client":
            return await _file(client, rest, request.scope)
        return await _file(page, name, request.scope)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if f"{scope['path']}/".startswith(PATH):
            response = await answer(Request(scope))
            response.headers.update(headers)
            await response(scope, receive, send)
        else:
            await function(scope, receive, send)

    return app


def headers_of(settings: Settings) -> dict[str, str]:
    """The headers of each answer. The page may ask its own server and other servers for tokens, and
    may show pictures from the bucket."""
    oss, _ = bucket_address(settings.oss_endpoint, settings.bucket)
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; "
        f"img-src 'self' blob: data: {oss}; "
        f"connect-src 'self' {oss} https: http://127.0.0.1:* http://localhost:*; "
        "media-src blob:; manifest-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


def is_name(name: str) -> bool:
    """Whether a path may name a file: each segment is plain, and does not begin with a dot."""
    return re.fullmatch(f"(?:{_SEGMENT}/)*{_SEGMENT}", name) is not None


async def _file(files: StaticFiles, name: str, scope: Scope) -> Response:
    """The file with this name. A missing file, or a link that leads out of the folder, gets the
    answer 404."""
    suffix = PurePosixPath(name).suffix
    if suffix not in _TYPES or not is_name(name):
        return _not_found()
    try:
        response = await files.get_response(name, scope)
    except (HTTPException, OSError):
        # OSError: the file cannot be read, or is a link that leads in a circle.
        return _not_found()
    if response.status_code == 200:
        response.headers["Content-Type"] = _TYPES[suffix]
    # Without caching, the full page appears as soon as it is built.
    response.headers["Cache-Control"] = "no-store" if suffix == ".html" else "no-cache"
    return response


def _not_found() -> Response:
    return PlainTextResponse("the page has no such file\n", 404, {"Cache-Control": "no-store"})
