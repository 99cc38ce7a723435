"""Misspelt names where a person types them: the shell, .env, make's command line.

To the function's own variables come those of s.yaml and s.domain.yaml. Not those of the sandbox and
the tools (PORT, CALLER, URL): such short words are other programs' names too.
"""

from __future__ import annotations

from collections.abc import Iterable

from token_service import misspelt

S_YAMLS_OWN = (
    *("FUNCTION_NAME", "FUNCTION_ROLE_ARN", "LOG_PROJECT", "LOG_STORE", "MAX_INSTANCES"),
    *("REGION", "RUNTIME", "TRIGGER_AUTH"),
    *("DOMAIN_NAME", "CERT_NAME", "CERT_FILE", "CERT_KEY_FILE"),
)
"""What s.yaml and s.domain.yaml read and do not pass on to the function."""

_WEAKENING = (
    *("AUTH", "JWT_", "LOGINS_", "DENIED_", "ALLOWED_ORIGINS", "CALLER_", "TOKEN_EXPIRE_"),
    *("URL_EXPIRE_", "UPLOAD_MAX_", "UPLOAD_CONTENT_", "ENABLED_", "MAX_INSTANCES", "TRIGGER_AUTH"),
)


def find(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return the names that nothing reads, each with the variable that may be meant."""
    return misspelt.find(names, S_YAMLS_OWN)


def weakens(variable: str) -> bool:
    """Whether a check or a limit may be missing where this variable is not read."""
    return variable.startswith(_WEAKENING)
