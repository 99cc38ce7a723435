"""What is allowed and unwise: the log says it once, /health at each call."""

from __future__ import annotations

import logging

from token_service.settings.reading import Settings

log = logging.getLogger("sts_token")

UNBOUND = (
    "UPLOAD_MAX_BYTES and UPLOAD_CONTENT_TYPES do not bind tokens, OVERWRITE=no by a bucket's rule "
    "only, and a signed PUT may be of any size: leave token out of ENABLED_ROUTES"
)


def of(settings: Settings) -> list[str]:
    """Return the warnings, a sentence each. Strangers read them: no value is in them."""
    found = []
    if not settings.auth.names_callers:
        found.append(
            "AUTH=anonymous: whoever knows the URL gets a token for everything under OBJECT_PREFIX"
        )
    elif not settings.caller_tokens_per_minute:
        found.append(
            "CALLER_TOKENS_PER_MINUTE=0: one caller can spend the STS calls of the whole account"
        )
    if settings.has_unbound_tokens:
        found.append(UNBOUND)
    if "all_policy" in settings.policy_choices:
        found.append("all_policy: tokens may do whatever the upload role may, in every folder")
    return found


def write(settings: Settings) -> None:
    """Write them into the log."""
    for text in of(settings):
        log.warning("%s", text)
