"""Replaces values that differ between two runs: times, signatures, and the expiry of seals.

Base64 and URLs are decoded, so that a change of one member in them shows as one difference. A time
near the present becomes the number of seconds from now, so a lifetime stays visible.
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
"""A time that is nearer to now than this is written as a number of seconds from now. In these
tests, every time that depends on the present is nearer, and every fixed date is farther away."""
_GRAIN_SECONDS = 60
"""Lifetimes are rounded to whole minutes. A slow machine makes a lifetime longer, by less than
half a minute."""

_SIGNATURES = ("x-oss-signature", "signature")
_MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.000)?Z"
_SEAL = r"\b1\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]{43}"


def normalised(value: Any, now: float, name: str = "") -> Any:
    """Normalise a JSON value that was made at `now` (Unix seconds); `name` is its member name."""
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
    """Decode a text that is a JSON object in base64; None for another text."""
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
    # Replace the day in the credential of a V4 signature.
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
    """Return a time (Unix seconds) as text with the seconds from `now`, or None if the time is far
    away."""
    seconds = moment - now
    if abs(seconds) > _NEAR_SECONDS:
        return None
    return f"<now + {round(seconds / _GRAIN_SECONDS) * _GRAIN_SECONDS} s>"
