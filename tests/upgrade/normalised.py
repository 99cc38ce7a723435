"""What differs from one run to the next, put out of sight: times, signatures, seals' ends.

What is inside of base64 and URLs is taken out, so that a change of one member is a change of one
member. Times near the present become seconds from it, so a lifetime stays visible.
"""

from __future__ import annotations

import base64
import calendar
import json
import re
import time
from typing import Any
from urllib.parse import parse_qsl

_NEAR_SECONDS = 8 * 86400
"""Longer than all that is signed here lives. A fixed date of a test is farther away."""
_GRAIN_SECONDS = 60
"""Lifetimes here are whole minutes; a slow machine takes less than half of one."""

_SIGNATURES = ("x-oss-signature", "signature")
_MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.000)?Z"
_SEAL = r"\b1\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]{43}"


def normalised(value: Any, now: float, name: str = "") -> Any:
    """A JSON value that was made at `now` (unix seconds); `name` is the member that it is."""
    if isinstance(value, dict):
        return {key: normalised(item, now, key) for key, item in value.items()}
    if isinstance(value, list):
        return [normalised(item, now) for item in value]
    if not isinstance(value, str):
        return value
    if name in _SIGNATURES and re.fullmatch("[0-9a-f]{64}", value):
        return "<signature>"
    if name == "Url" and "?" in value:
        address, _, query = value.partition("?")
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
        return {"address": address, "query": normalised(dict(pairs), now)}
    document = _decoded(value)
    if document is not None:
        return {"base64": normalised(document, now)}
    return _text(value, now)


def _decoded(text: str) -> dict[str, Any] | None:
    """The JSON object that a text is the base64 of."""
    if not text.startswith("eyJ"):
        return None
    try:
        document = json.loads(base64.b64decode(text, validate=True))
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _text(text: str, now: float) -> str:
    text = re.sub(_SEAL, lambda found: _seal(found, now), text)
    text = re.sub(_MOMENT, lambda found: _moment(found, now), text)
    text = re.sub(r"^\d{8}T\d{6}Z$", "<now>", text)
    # The day of a credential of signature V4.
    text = re.sub(r"/\d{8}/(?=[a-z0-9-]+/oss/)", "/<today>/", text)
    return re.sub(r"try again in \d+ s", "try again in <some> s", text)


def _seal(found: re.Match[str], now: float) -> str:
    try:
        payload = base64.urlsafe_b64decode(found[1] + "=" * (-len(found[1]) % 4))
        *content, expires = json.loads(payload)
    except ValueError:
        return found[0]
    return f"<seal of {json.dumps([*content, _relative(expires, now) or expires])}>"


def _moment(found: re.Match[str], now: float) -> str:
    parsed = time.strptime(found[0][:19], "%Y-%m-%dT%H:%M:%S")
    return _relative(calendar.timegm(parsed), now) or found[0]


def _relative(moment: int, now: float) -> str | None:
    """A moment (unix seconds) as seconds from `now`; None where it is far away."""
    seconds = moment - now
    if abs(seconds) > _NEAR_SECONDS:
        return None
    return f"<now + {round(seconds / _GRAIN_SECONDS) * _GRAIN_SECONDS} s>"
