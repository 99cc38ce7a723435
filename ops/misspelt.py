"""Finds misspelt names where people type them: the shell, .env, make's command line.

It knows the function's own variables and the variables of s.yaml and s.domain.yaml. It does not
know the variables of the sandbox and the tools (PORT, CALLER, URL), because other programs also use
such short names.
"""

from __future__ import annotations

from collections.abc import Iterable

from token_service import misspelt

S_YAMLS_OWN = (
    *("FUNCTION_NAME", "FUNCTION_ROLE_ARN", "LOG_PROJECT", "LOG_STORE", "MAX_INSTANCES"),
    *("REGION", "RUNTIME", "TRIGGER_AUTH"),
    *("DOMAIN_NAME", "CERT_NAME", "CERT_FILE", "CERT_KEY_FILE"),
)
"""Variables that s.yaml and s.domain.yaml read but do not pass on to the function."""

_WEAKENING = (
    *("AUTH", "JWT_", "LOGINS_", "DENIED_", "ALLOWED_ORIGINS", "CALLER_", "TOKEN_EXPIRE_"),
    *("URL_EXPIRE_", "UPLOAD_MAX_", "UPLOAD_CONTENT_", "ENABLED_", "MAX_INSTANCES", "TRIGGER_AUTH"),
)


def find(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return unknown names, each with the variable that was probably meant."""
    return misspelt.find(names, S_YAMLS_OWN)


def weakens(variable: str) -> bool:
    """Whether a check or a limit may be missing because this variable is misspelt."""
    return variable.startswith(_WEAKENING)
