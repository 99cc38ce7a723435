"""Reads and checks the callback of an upload before anything is stored. delivery.py sends it.

Parameters, limits and codes are from the vendor's documentation. An EC of "" means that no page
about the error was found.

Three things are not verified on the real OSS. An unknown system variable is refused (assumption
16). In a body, a custom variable without a value becomes empty text, and values that are not text
are written as in JSON (assumption 17).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, quote, urlsplit

from sandbox.oss.call import Site
from sandbox.oss.encoded import decode_base64, parse_json
from sandbox.oss.errors import OssError, invalid_argument, not_implemented

MAX_PARAMETER_BYTES = 5 * 1024  # size of each parameter: callback, callback-var
MAX_URLS = 5  # URLs in one callbackUrl, separated by semicolons
IMAGE_VARIABLES = ("imageInfo.height", "imageInfo.width", "imageInfo.format")
SYSTEM_VARIABLES = (
    *("bucket", "object", "etag", "size", "mimeType", "crc64", "contentMd5"),
    *("vpcId", "clientIp", "reqId", "operation"),
    *IMAGE_VARIABLES,
)

_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"
_CUSTOM = re.compile(r"x:[a-z0-9._-]+")
_VARIABLE = re.compile(r"\$\{([^${}]*)\}")
_HOST = re.compile(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?")
_URL = re.compile(r"[\x21-\x7e]+")

Value = str | int


@dataclass(frozen=True)
class Callback:
    """The callback of an upload: its URLs and its body; `template` holds ${variables}.

    `host` is the value of the Host header, or "" for the host of the URL. `custom` holds the
    client's own variables. Their names begin with "x:".
    """

    urls: tuple[SplitResult, ...]
    host: str
    template: str
    content_type: str
    custom: Mapping[str, str] = field(repr=False)

    @property
    def wants_image(self) -> bool:
        """Whether the callback's body contains variables about an image, such as its width."""
        return not set(IMAGE_VARIABLES).isdisjoint(_VARIABLE.findall(self.template))

    def body(self, system: Mapping[str, Value]) -> bytes:
        """Return the body. `system` holds SYSTEM_VARIABLES; missing variables become ""."""
        known = {**system, **self.custom}
        is_json = self.content_type == _JSON

        def value(match: re.Match[str]) -> str:
            found = known.get(match[1], "")
            if is_json:
                return json.dumps(found, ensure_ascii=False)
            return quote(str(found), safe="")

        return _VARIABLE.sub(value, self.template).encode()


def names_in(headers: Mapping[str, str], query: Mapping[str, str]) -> list[str]:
    """Return the names of those headers and query parameters of a request that ask for a
    callback."""
    in_headers = [name for name in ("x-oss-callback", "x-oss-callback-var") if name in headers]
    return in_headers + [name for name in ("callback", "callback-var") if name in query]


def requested(headers: Mapping[str, str], query: Mapping[str, str]) -> Callback | None:
    """Return the callback that a request asks for in its headers or its query, or None. Raises
    InvalidArgument."""
    in_headers, in_query = names_in(headers, {}), names_in({}, query)
    if in_headers and in_query:
        message = f"{in_headers[0]} and the parameter {in_query[0]} must not be sent together."
        raise invalid_argument(message, in_query[0], ec="0007-00000027")
    text = headers.get("x-oss-callback", query.get("callback", ""))
    custom = headers.get("x-oss-callback-var", query.get("callback-var", ""))
    return _callback(text, _custom(custom) if custom else {}) if text else None


def requested_by_form(
    fields: Mapping[str, str], headers: Mapping[str, str], query: Mapping[str, str]
) -> Callback | None:
    """Return the callback that a form asks for: each custom variable is a separate field.

    Raises InvalidArgument for a wrong callback, and for a form whose callback is in its headers or
    its URL.
    """
    names = names_in(headers, query)
    names += [name for name in ("x-oss-callback", "callback-var") if name in fields]
    if names:
        message = "A form can ask for a callback only with its fields callback and x:name."
        raise invalid_argument(message, names[0])
    text = fields.get("callback", "")
    custom = {name: value for name, value in fields.items() if _CUSTOM.fullmatch(name)}
    return _callback(text, custom) if text else None


def check_callback(callback: Callback | None, site: Site) -> None:
    """Refuse a callback that the sandbox cannot sign, or whose URL a client in the network may not
    use.

    Raises NotImplemented, InvalidArgument.
    """
    if callback is None:
        return
    if site.callback_signer is None:
        raise not_implemented("callbacks without a key to sign them")
    if site.callback_urls is not None:
        for url in callback.urls:
            # Without this check, a stranger could send requests to every server on this machine.
            if url.geturl() not in site.callback_urls:
                message = "For clients in the network, the sandbox calls only CALLBACK_URL."
                raise invalid_argument(message, "callbackUrl", url.geturl())


def _callback(text: str, custom: Mapping[str, str]) -> Callback | None:
    document = _document(text, "callback", "0007-00000001", "0007-00000002", "0007-00000003")
    url = _member(document, "callbackUrl")
    host = _member(document, "callbackHost")
    template = _member(document, "callbackBody")
    kind = _member(document, "callbackBodyType", _FORM)
    if not url:
        # "If it is empty, no callback is configured" (vendor documentation).
        return None
    if host and not _HOST.fullmatch(host):
        raise invalid_argument("callbackHost must be a host.", "callbackHost", host)
    if not template:
        message = "callbackBody must not be empty."
        raise invalid_argument(message, "callbackBody", ec="0007-00000011")
    if kind not in (_FORM, _JSON):
        message = f"callbackBodyType must be {_FORM} or {_JSON}."
        raise invalid_argument(message, "callbackBodyType", kind)
    _check_template(template)
    callback = Callback(tuple(_urls(url)), host, template, kind, custom)
    if kind == _JSON:
        try:
            parse_json(callback.body({}))
        except ValueError:
            message = "The callback configuration is not json format."
            raise invalid_argument(message, "callbackBody", template) from None
    return callback


def _member(document: Mapping[str, object], name: str, default: str = "") -> str:
    value = document.get(name, default)
    if not isinstance(value, str):
        raise invalid_argument(f"{name} must be text.", name)
    return value


def _custom(text: str) -> dict[str, str]:
    document = _document(text, "callback-var", "", "0007-00000102", "0007-00000103")
    custom: dict[str, str] = {}
    for name, value in document.items():
        if not name.lower().startswith("x:"):
            # The real OSS accepts a name without "x:", although no body can use it
            # (test_sign_url_with_callback of oss2).
            continue
        if not _CUSTOM.fullmatch(name) or not isinstance(value, str):
            message = 'callback-var must be like {"x:name":"value"}, with names in lower case.'
            raise invalid_argument(message, "callback-var", name)
        custom[name] = value
    return custom


def _document(
    text: str, name: str, too_long: str, not_base64: str, not_json: str
) -> dict[str, object]:
    """Read a parameter. The last three arguments are the error codes (EC) of three faults: the text
    is too long, is not base64, or is not JSON."""
    if len(text) > MAX_PARAMETER_BYTES:
        message = f"The {name} parameter exceeds {MAX_PARAMETER_BYTES} bytes."
        raise invalid_argument(message, name, ec=too_long)
    try:
        raw = decode_base64(text)
    except ValueError:
        message = f"The {name} parameter is not base64."
        raise invalid_argument(message, name, ec=not_base64) from None
    try:
        document = parse_json(raw)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        message = f"The {name} configuration is not json format."
        raise invalid_argument(message, name, ec=not_json)
    return document


def _check_template(template: str) -> None:
    rest = _VARIABLE.sub("", template)
    if "$" in rest:
        raise _bad_template("Left brace must be adjacent to dollar sign.", template)
    for name in _VARIABLE.findall(template):
        if name not in SYSTEM_VARIABLES and not _CUSTOM.fullmatch(name):
            raise _bad_template(f"There is no variable {name}.", template)


def _bad_template(message: str, template: str) -> OssError:
    return invalid_argument(message, "callbackBody", template, "0007-00000105")


def _urls(text: str) -> Iterable[SplitResult]:
    urls = [url for url in (part.strip() for part in text.split(";")) if url]
    if not 1 <= len(urls) <= MAX_URLS:
        message = f"callbackUrl must hold from 1 to {MAX_URLS} URLs."
        raise invalid_argument(message, "callbackUrl", text, "0007-00000005")
    for url in urls:
        # A URL may lack the scheme, as in the vendor's own samples.
        full = url if "://" in url else f"http://{url}"
        try:
            parts = urlsplit(full)
            if (
                not _URL.fullmatch(full)
                or parts.scheme not in ("http", "https")
                or not parts.hostname
                or "@" in parts.netloc
                or parts.port == 0
            ):
                raise ValueError
        except ValueError:
            message = "callbackUrl must hold URLs, percent-encoded."
            raise invalid_argument(message, "callbackUrl", url, "0007-00000004") from None
        yield parts
