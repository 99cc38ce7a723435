"""JSON in base64, as forms (their policy) and callbacks carry it: read from a stranger."""

from __future__ import annotations

import base64
import json


def decode_base64(text: str) -> bytes:
    """Decode standard base64. Raises ValueError for anything else in it."""
    return base64.b64decode(text.encode("ascii"), validate=True)


def parse_json(raw: bytes | str) -> object:
    """Parse one JSON document whose texts can all be written as UTF-8. Raises ValueError.

    "\\ud800" alone would parse, and fail where it is sent on.
    """
    try:
        value: object = json.loads(raw)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value
