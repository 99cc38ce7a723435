"""A bucket's CORS rules: parsed, stored as JSON, and applied to browsers' requests."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from xml.etree import ElementTree

from sandbox.oss.errors import OssError, invalid_argument, malformed_xml
from sandbox.oss.xml import parse

METHODS = ("GET", "PUT", "POST", "DELETE", "HEAD")
MAX_RULES = 20  # of one bucket (vendor documentation)

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True)
class Rule:
    """One rule: which origins may send which requests. Origins and headers may hold one "*" each.

    An origin may have an app's scheme (capacitor://localhost). This is not verified on the real OSS
    (assumption 88).

    `vary` is the bucket's ResponseVary, so it is equal in all rules of a bucket.
    """

    origins: Sequence[str]
    methods: Sequence[str]
    headers: Sequence[str] = ()
    expose: Sequence[str] = ()
    max_age: int | None = None
    vary: bool = False

    def allows(self, origin: str, method: str, headers: Sequence[str]) -> bool:
        """Whether a page of `origin` may send this method and these headers. The names of the
        headers may be in upper or lower case."""
        return (
            any(_matches(pattern, origin) for pattern in self.origins)
            and method in self.methods
            and all(
                any(_matches(pattern.lower(), name.lower()) for pattern in self.headers)
                for name in headers
            )
        )


ANY_ORIGIN = Rule(
    ("*",),
    METHODS,
    ("*",),
    # Without ETag ali-oss cannot upload in parts (seen in ali-oss 6.23.0).
    (
        "ETag",
        "Content-Length",
        "x-oss-request-id",
        "x-oss-hash-crc64ecma",
        "x-oss-next-append-position",
    ),
    600,
)
"""The usual rule of a bucket for browser uploads."""


def store_rules(rules: Sequence[Rule]) -> str:
    """Return the rules as the text that is stored for a bucket."""
    return json.dumps([asdict(rule) for rule in rules])


def parse_rules(body: bytes) -> str:
    """Read PutBucketCors's document, and return the text that is stored for a bucket.

    Raises MalformedXML, or InvalidArgument for MaxAgeSeconds.
    """
    document = parse(body, "CORSConfiguration")
    vary = document.findtext("ResponseVary", "false").strip().lower()
    if vary not in ("true", "false"):
        raise malformed_xml("ResponseVary must be true or false")
    rules = [_rule(element, vary == "true") for element in document.findall("CORSRule")]
    if not 1 <= len(rules) <= MAX_RULES:
        raise malformed_xml(f"from 1 to {MAX_RULES} CORSRule elements are accepted")
    return store_rules(rules)


def rules_content(stored: str) -> list[tuple[str, object]]:
    """Return the stored rules as the content of GetBucketCors's document. The content is empty if
    there is no rule.

    Names of headers come back in lower case, as from real OSS (test_set_bucket_cors of
    aliyun-oss-go-sdk and oss2).
    """
    rules = _stored(stored)
    content: list[tuple[str, object]] = []
    for rule in rules:
        elements = [("AllowedOrigin", origin) for origin in rule.origins]
        elements += [("AllowedMethod", method) for method in rule.methods]
        elements += [("AllowedHeader", header.lower()) for header in rule.headers]
        elements += [("ExposeHeader", header) for header in rule.expose]
        if rule.max_age is not None:
            elements.append(("MaxAgeSeconds", str(rule.max_age)))
        content.append(("CORSRule", elements))
    if rules:
        content.append(("ResponseVary", "true" if rules[0].vary else "false"))
    return content


def preflight(stored: str, request: Mapping[str, str]) -> dict[str, str]:
    """Answer a browser's OPTIONS with headers. Raises AccessForbidden.

    A preflight is not authenticated, because it is never signed and reveals only the rules.
    """
    origin = request.get("origin", "")
    method = request.get("access-control-request-method", "")
    asked = request.get("access-control-request-headers", "")
    names = [name.strip() for name in asked.split(",") if name.strip()]
    for rule in _stored(stored) if origin else ():
        if rule.allows(origin, method, names):
            # The answer lists all methods of the rule, not only the method of the request
            # (alibabacloud-oss-v2, tests/integration/test_bucket_cors_client.py).
            methods = ", ".join(rule.methods)
            headers = {**_allow(rule, origin), "access-control-allow-methods": methods}
            if asked:
                headers["access-control-allow-headers"] = asked
            if rule.max_age is not None:
                headers["access-control-max-age"] = str(rule.max_age)
            return headers
    message = (
        "CORSResponse: This CORS request is not allowed. This is usually because the evaluation of "
        "Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers "
        "are not whitelisted by the resource's CORS spec."
    )
    raise OssError(403, "AccessForbidden", message)


def answer_headers(stored: str, request: Mapping[str, str], method: str) -> dict[str, str]:
    """Return the headers that let a page read the answer, even if it is an error. If no rule allows
    the request, there are no headers."""
    origin = request.get("origin", "")
    for rule in _stored(stored) if origin else ():
        if rule.allows(origin, method, ()):
            headers = _allow(rule, origin)
            if rule.expose:
                headers["access-control-expose-headers"] = ", ".join(rule.expose)
            return headers
    return {}


def _allow(rule: Rule, origin: str) -> dict[str, str]:
    if "*" in rule.origins:
        always = {"vary": "Origin"} if rule.vary else {}
        return {"access-control-allow-origin": "*", **always}
    return {"access-control-allow-origin": origin, "vary": "Origin"}


def _stored(stored: str) -> list[Rule]:
    return [Rule(**rule) for rule in json.loads(stored)]


def _rule(element: ElementTree.Element, vary: bool) -> Rule:
    def texts(name: str) -> list[str]:
        found = [child.text or "" for child in element.findall(name)]
        if any(text.count("*") > 1 for text in found):
            raise malformed_xml(f"{name} may hold one *")
        return found

    origins, methods, ages = (
        texts(name) for name in ("AllowedOrigin", "AllowedMethod", "MaxAgeSeconds")
    )
    if not origins or not methods or not set(methods) <= set(METHODS):
        raise malformed_xml(
            "a CORSRule must have AllowedOrigin and AllowedMethod, and each AllowedMethod must be "
            f"one of {', '.join(METHODS)}"
        )
    if len(ages) > 1:
        raise malformed_xml("MaxAgeSeconds must be one number")
    for age in ages:
        if not re.fullmatch("[0-9]{1,9}", age):
            message = "MaxAgeSeconds must be a number of seconds, from 0 to 999999999."
            raise invalid_argument(message, "MaxAgeSeconds", age)
    exposed = texts("ExposeHeader")
    # Answers list these names in the header Access-Control-Expose-Headers.
    if not all(_HEADER_NAME.fullmatch(name) for name in exposed):
        raise malformed_xml("ExposeHeader must be a header's name")
    return Rule(
        origins,
        methods,
        texts("AllowedHeader"),
        exposed,
        int(ages[0]) if ages else None,
        vary,
    )


def _matches(pattern: str, text: str) -> bool:
    head, star, tail = pattern.partition("*")
    if not star:
        return pattern == text
    long_enough = len(text) >= len(head) + len(tail)
    return long_enough and text.startswith(head) and text.endswith(tail)
