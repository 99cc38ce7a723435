"""Seals: content that clients or OSS send back to us, authenticated but not encrypted."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Collection, Sequence
from typing import Any

from token_service import base64url
from token_service.encoding import compact_unicode

_FORM = r"([0-9])\.([A-Za-z0-9_-]{1,8000})\.([A-Za-z0-9_-]{43})"


def seal(content: Sequence[object], kind: str, version: str, secret: bytes) -> str:
    """Return version, content (JSON) and MAC, in ASCII of `[A-Za-z0-9._-]`: headers, URLs and forms
    allow it. The MAC covers `kind` and `version` (a digit), so two kinds may share a secret."""
    payload = base64url.encode(compact_unicode(content).encode())
    return f"{version}.{payload}.{_mac(kind, version, payload, secret)}"


def unseal(
    text: str, kind: str, versions: Collection[str], secrets: tuple[bytes, ...]
) -> list[Any] | None:
    """Return the content of a seal that one of the secrets made, or None for any other text. A seal
    has only one spelling, so each changed character makes it invalid."""
    form = re.fullmatch(_FORM, text)
    if form is None or form[1] not in versions:
        return None
    macs = [_mac(kind, form[1], form[2], secret) for secret in secrets]
    # Every MAC is compared, in constant time, so timing does not reveal which secret fits.
    fits = sum(hmac.compare_digest(mac, form[3]) for mac in macs)
    return json.loads(base64url.decode(form[2])) if fits else None


def _mac(kind: str, version: str, payload: str, secret: bytes) -> str:
    text = f"{kind} seal {version}\n{payload}"
    return base64url.encode(hmac.digest(secret, text.encode(), "sha256"))
