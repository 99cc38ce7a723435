"""OSS's answers: the headers that every answer has, XML documents, and errors."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from email.utils import formatdate

from starlette.responses import Response

from sandbox.oss.errors import OssError
from sandbox.oss.xml import render

_HELP = "https://api.alibabacloud.com/troubleshoot?q="


def common_headers(request_id: str, seconds: float) -> dict[str, str]:
    """Return the headers of every answer. `seconds` is the time that the request took."""
    return {
        "server": "AliyunOSS",
        "x-oss-request-id": request_id,
        "x-oss-server-time": str(int(seconds * 1000)),
    }


def empty(status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer without a body."""
    return Response(status_code=status, headers=headers)


def document(
    name: str, content: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with an XML document. `content` is a value that xml.render() accepts."""
    return Response(render(name, content), status, headers, media_type="application/xml")


def error_response(error: OssError, *, method: str, request_id: str, host: str) -> Response:
    """Answer with an error in XML. A HEAD answer has no body, so its XML is in x-oss-err.

    The SDKs for Android and Python V2 read this header (seen in their source).
    """
    content: list[tuple[str, object]] = [
        ("Code", error.code),
        ("Message", error.message),
        ("RequestId", request_id),
        ("HostId", host),
        *error.details.items(),
    ]
    headers = dict(error.headers)
    if error.ec:
        content += [("EC", error.ec), ("RecommendDoc", f"{_HELP}{error.ec}")]
        headers["x-oss-ec"] = error.ec
    if error.status == 304:
        return empty(304, headers)
    if method != "HEAD":
        return document("Error", content, error.status, headers)
    headers["x-oss-err"] = base64.b64encode(render("Error", content)).decode()
    return empty(error.status, headers)


def http_date(moment: float) -> str:
    """Format unix seconds as RFC 1123."""
    return formatdate(moment, usegmt=True)


def iso_date(moment: float) -> str:
    """Format unix seconds as 2026-11-24T10:00:00.000Z. The seconds are always whole, because oss2
    cannot read fractions."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(moment))
