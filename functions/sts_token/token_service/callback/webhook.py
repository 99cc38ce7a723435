"""Reports an upload to the webhook: the operator's back end (UPLOAD_HOOK_URL), which may refuse it.

docs/callbacks.md documents the signed text and the headers, so back ends rely on them.
"""

from __future__ import annotations

import hmac
import json
import time
from typing import Any

from token_service.callback.verify import Upload
from token_service.encoding import compact
from token_service.errors import ServiceError
from token_service.http.connection import ConnectionFault, Exchange, KeptConnection
from token_service.settings.addresses import Url

MAX_ANSWER_BYTES = 64 * 1024
"""OSS would pass on 1 MB, but an app needs far less."""


class HookFailed(ServiceError):
    """Raised when the operator's back end (UPLOAD_HOOK_URL) did not accept a verified upload."""

    status = 502
    code = "HookFailed"


class Webhook:
    """Calls one webhook. Thread-safe."""

    def __init__(self, url: Url) -> None:
        self._path = url.path
        self._connection = KeptConnection(url.endpoint)

    def deliver(self, upload: Upload, secret: bytes, end: float) -> dict[str, object]:
        """Post an upload and return the back end's answer. OSS passes this JSON object on. `end`
        is a time.monotonic() value, in seconds. Raises HookFailed if the answer is not 2xx (no
        redirect is followed), not a JSON object, over 64 KB, or late."""
        body = compact(upload.members()).encode()
        moment = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Idempotency-Key": upload.id,
            "X-Upload-Time": moment,
            "X-Upload-Signature": f"sha256={signature(moment, body, secret)}",
        }
        try:
            # The request may be sent twice; the back end detects this by the Idempotency-Key.
            reply = self._connection.request(
                lambda: Exchange("POST", self._path, body, headers, end, MAX_ANSWER_BYTES)
            )
        except ConnectionFault as fault:
            raise HookFailed(f"UPLOAD_HOOK_URL: {fault}") from None
        if not 200 <= reply.status < 300:
            raise HookFailed(f"UPLOAD_HOOK_URL answered HTTP {reply.status}")
        return _answer(reply.body)

    def close(self) -> None:
        """Close the kept connection."""
        self._connection.close()


def signature(moment: str, body: bytes, secret: bytes) -> str:
    """Return the HMAC-SHA256, in hex, of the time (unix seconds as text), "." and the body."""
    return hmac.digest(secret, moment.encode() + b"." + body, "sha256").hex()


def _answer(body: bytes) -> dict[str, object]:
    fault = HookFailed("UPLOAD_HOOK_URL did not answer with a JSON object")
    try:
        answer: Any = json.loads(body, parse_constant=_refuse)
        # compact() raises an error for JSON that is nested too deeply to be written again.
        compact(answer)
    except (ValueError, RecursionError):
        raise fault from None
    if not isinstance(answer, dict):
        raise fault
    return answer


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
