"""Answers a browser that opens the function's URL with a short text instead of keys.

A browser that opens a URL asks for text/html by name. Apps, curl and the scripts of a page do not
name text/html, so they get the function's JSON. A deployed function answers everybody with JSON.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox import gateway

_OURS = "/sandbox/"
# Java's HttpURLConnection is no browser, but its Accept header begins with this text (seen with
# Java 17). Newer versions of Java send */*.
_JAVA = "text/html, image/gif, image/jpeg, *"
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    # This URL may hold a login.
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept, Accept-Language",
    "X-Content-Type-Options": "nosniff",
}
_HTML = """<!doctype html>
<html lang="{language}">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<main>
<h1>{title}</h1>
<p>{text}</p>
{link}</main>
</html>
"""
_TEXTS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "title": "This address is for apps",
        "text": "The answers are JSON that may hold keys, so a browser does not show them. To see "
        "the JSON, use <code>curl</code>.",
        "link": "To upload by hand, open <a href='{}'>the page</a>.",
    },
    "zh-CN": {
        "title": "此地址供应用程序调用",
        "text": "它以 JSON 应答，其中可能含有密钥，因此不在浏览器中显示。"
        "如需查看 JSON，请使用 <code>curl</code>。",
        "link": "如需手动上传，请打开<a href='{}'>上传页面</a>。",
    },
}


def create_app(function: ASGIApp, page: str | None) -> ASGIApp:
    """Answer browsers' GET and HEAD, and pass all other requests to `function`, the gateway.

    `page` is the path of the upload page; None if there is no page.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        if request.method not in ("GET", "HEAD") or scope["path"].startswith(_OURS):
            await function(scope, receive, send)
        # A request with a foreign Host goes to the gateway, which refuses it.
        elif is_browser(request.headers) and gateway.refusal_of_host(request) is None:
            await _line(request.headers, page)(scope, receive, send)
        else:
            await function(scope, receive, _varying(send))

    return app


def is_browser(headers: Headers) -> bool:
    """Whether Accept lists text/html by name, with a q above 0."""
    accept = ",".join(headers.getlist("accept"))
    if accept.startswith(_JAVA):
        return False
    return _qualities(accept).get("text/html", 0) > 0


def _line(headers: Headers, page: str | None) -> Response:
    language = "zh-CN" if _prefers_chinese(headers) else "en"
    texts = _TEXTS[language]
    link = "" if page is None else f"<p>{texts['link'].format(page)}</p>\n"
    body = _HTML.format(language=language, title=texts["title"], text=texts["text"], link=link)
    return HTMLResponse(body, headers=_HEADERS)


def _prefers_chinese(headers: Headers) -> bool:
    qualities = _qualities(",".join(headers.getlist("accept-language")))
    best = {"en": 0.0, "zh": 0.0}
    for tag, quality in qualities.items():
        language = tag.partition("-")[0]
        if language in best:
            best[language] = max(best[language], quality)
    return best["zh"] > best["en"]


def _qualities(listed: str) -> dict[str, float]:
    """The items of a header like Accept-Language. The names are in lower case, and each item has
    its weight (q). An item whose q is not a number has the weight 1."""
    qualities: dict[str, float] = {}
    for entry in listed.lower().split(","):
        name, *parameters = (part.strip() for part in entry.split(";"))
        found = [re.fullmatch(r"q\s*=\s*([01](?:\.[0-9]*)?)", text) for text in parameters]
        quality = next((float(match[1]) for match in found if match), 1.0)
        qualities[name] = max(quality, qualities.get(name, 0))
    return qualities


def _varying(send: Send) -> Send:
    """Add `Vary: Accept`, since browsers and other clients get different answers."""

    async def varying(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).add_vary_header("Accept")
        await send(message)

    return varying
