"""Reads JSON in base64, which strangers send as the policy of a form and as a callback."""

from __future__ import annotations

import base64
import json


def decode_base64(text: str) -> bytes:
    """Decode standard base64. Raises ValueError for other characters."""
    return base64.b64decode(text.encode("ascii"), validate=True)


def parse_json(raw: bytes | str) -> object:
    """Parse one JSON document. Raises ValueError if it is malformed or nested too deeply, or if one
    of its texts cannot be written as UTF-8.

    A lone "\\ud800" would be parsed, but could not be sent on as UTF-8.
    """
    try:
        value: object = json.loads(raw)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value
