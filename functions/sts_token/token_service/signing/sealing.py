"""Bytes of ours that come back through strangers' hands: sealed under a secret, not hidden."""

from __future__ import annotations

import hmac
import re
from collections.abc import Collection

from token_service import base64url

_FORM = r"([0-9])\.([A-Za-z0-9_-]{1,8000})\.([A-Za-z0-9_-]{43})"


def seal(content: bytes, kind: str, version: str, secret: bytes) -> str:
    """Return version, content and MAC as ASCII text of `[A-Za-z0-9._-]`: it survives headers, URLs
    and forms. `kind` is what is sealed, like "callback", and `version` a digit: what the secret
    signs is only ever a seal of that kind, should somebody use one secret for two things."""
    payload = base64url.encode(content)
    return f"{version}.{payload}.{_mac(kind, version, payload, secret)}"


def unseal(
    text: str, kind: str, versions: Collection[str], secrets: tuple[bytes, ...]
) -> bytes | None:
    """Return what was sealed with one of the secrets, None for anything else. Each character
    counts: a text with one altered is no other spelling of the same seal."""
    form = re.fullmatch(_FORM, text)
    if form is None or form[1] not in versions:
        return None
    macs = [_mac(kind, form[1], form[2], secret) for secret in secrets]
    # All of them, whichever fits: how long it takes tells nothing.
    fits = sum(hmac.compare_digest(mac, form[3]) for mac in macs)
    return base64url.decode(form[2]) if fits else None


def _mac(kind: str, version: str, payload: str, secret: bytes) -> str:
    text = f"{kind} seal {version}\n{payload}"
    return base64url.encode(hmac.digest(secret, text.encode(), "sha256"))
