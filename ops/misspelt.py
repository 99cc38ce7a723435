"""Finds misspelt names where people type them: the shell, .env, make's command line.

find() is for the shell and .env. It knows the function's own variables and the variables of s.yaml
and s.domain.yaml. It does not know the variables of the sandbox and the tools (PORT, CALLER, URL),
because other programs also use such short names.

typed() is for make's command line, where each name is meant for a command of this project. So it
also knows short names.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Collection, Iterable, Mapping

from token_service import misspelt
from token_service.settings.variables import VARIABLES

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

OF_TOOLS = (
    *("ACL", "BARE", "CALLER", "CALLS", "CLOUD", "DOCUMENT", "FC2", "HOW", "IDLE_MINUTES", "LOGIN"),
    *("OBJECT", "ORIGIN", "POLICY", "ROUTE", "SECONDS", "SIGN", "TRANSCRIPT", "UPLOAD", "URL"),
)
"""Variables that the tools which call refuse() read, besides those of the deployment."""

_OF_DEPLOYMENT = ("PYTHON", *S_YAMLS_OWN, *(variable.name for variable in VARIABLES))
_OF_SYSTEM = ("LANG",)
"""Names of other programs that look like one of ours (LAN)."""

_LIKENESS = 0.9
"""The least similarity to a known name (a ratio of difflib)."""
_SHORT, _SHORT_LIKENESS = 8, 0.8
"""A name of at most 8 letters with one letter too many, or one too few, has a ratio of 0.8 or more.
PATH and AUTH have 0.75."""

# MAKEFLAGS has the variables of make's command line as NAME=value, with blanks between them. In a
# value, make puts a backslash before a blank and before a backslash, but not before a line feed.
_IN_MAKEFLAGS = re.compile(r"(?<!\\)(?:\\\\)*(?:^|[ \t])([A-Za-z_][A-Za-z0-9_]*)[:?+!]*=")


def find(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return unknown names, each with the variable that was probably meant."""
    return misspelt.find(names, S_YAMLS_OWN)


def weakens(variable: str) -> bool:
    """Whether a check or a limit may be missing because this variable is misspelt."""
    return variable.startswith(_WEAKENING)


def typed(names: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Return the misspelt names on make's command line, each with the variable that was meant.

    `known` are the command's own variables; those of the deployment and PYTHON are known too. A
    name is left out if it looks like no variable, or like two variables equally.
    """
    everything = {*known, *_OF_DEPLOYMENT}
    found = {name: _meant(name, everything) for name in names if name not in everything}
    return {name: meant for name, meant in found.items() if meant}


def refusal(name: str, meant: str) -> str:
    """Return the line for a name that typed() found."""
    return f"there is no variable {name}; did you mean {meant}? Nothing was started"


def on_command_line(env: Mapping[str, str]) -> list[str]:
    """Return the names of the variables that MAKEFLAGS has, in its order."""
    return _IN_MAKEFLAGS.findall(env.get("MAKEFLAGS", ""))


def refuse(command: str) -> None:
    """End `make <command>` if a name on make's command line is misspelt, before the tool does
    anything. If another make runs this make, the names may be meant for that other make."""
    if os.environ.get("MAKELEVEL", "1") > "1":
        return
    found = typed(on_command_line(os.environ), OF_TOOLS)
    if found:
        sys.exit("\n".join(f"make {command}: {refusal(*pair)}" for pair in sorted(found.items())))


def _meant(name: str, known: Collection[str]) -> str:
    """Return the known name that is most like `name`, or "" if there is none, or more than one."""
    if name.upper() in _OF_SYSTEM:
        return ""
    alike = sorted(((_likeness(name.upper(), other), other) for other in known), reverse=True)
    (first, meant), (second, _) = alike[:2]
    return meant if first > second else ""


def _likeness(name: str, known: str) -> float:
    """Return the similarity of two names, or 0 if it may be an accident."""
    ratio = difflib.SequenceMatcher(None, name, known).ratio()
    is_short = len(known) <= _SHORT and abs(len(name) - len(known)) <= 1
    is_alike = ratio >= (_SHORT_LIKENESS if is_short else _LIKENESS)
    # Two letters that changed places lower the ratio of a short name too much: ATUH has 0.75.
    return ratio if is_alike or sorted(name) == sorted(known) else 0
