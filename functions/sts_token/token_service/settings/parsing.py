"""Parsers of variables' texts, and the Reader that applies the parsers to an environment.

A parser returns the value or raises Refused. Refused never quotes the text, which may be a secret
in the wrong place. A variable that few deployments set has its parser in the module that needs it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, NamedTuple

from token_service.errors import Misconfiguration

MIN_SECRET_BYTES = 32
"""The minimum for HS256 (RFC 7518, section 3.2)."""
# A public key without its PEM lines, or the URL of a key, begins with one of these texts. If a
# public key is used as the HMAC secret, anyone can sign.
_PUBLIC = ("MII", "MFkw", "MCow", "MFww", "ssh-", "{", "http://", "https://")


class Refused(Exception):
    """Raised by a parser. The message says what is valid. `sound` has the valid items of a list."""

    sound: tuple[str, ...] = ()


class Variable(NamedTuple):
    """One environment variable, declared only in variables.py. If it is not set, `default` is used.
    Without a default, Reader.read raises the fault `missing`. Reader.optional returns `other`.
    A `secret` is never shown. `first` marks the variables that everybody needs to know."""

    name: str
    parse: Callable[[str], Any]
    default: str | None = None
    secret: bool = False
    first: bool = False
    missing: str = "not set"


class Reader:
    """Reads variables of one environment. Raises Misconfiguration for the first fault."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = env

    def text(self, variable: Variable) -> str:
        """Return a variable's text without blanks around it, or "" if it is not set."""
        return self.env.get(variable.name, "").strip()

    def read(self, variable: Variable) -> Any:
        """Return a variable's value or default. If it has neither, raise Misconfiguration."""
        value = self.text(variable) or variable.default
        if value is None:
            raise Misconfiguration(variable.name, variable.missing)
        return _parsed(variable, value, None)

    def optional(self, variable: Variable, other: Any, least: int | None = None) -> Any:
        """Return a variable's value, or `other` if it is not set. `least` replaces Whole.least."""
        value = self.text(variable)
        return _parsed(variable, value, least) if value else other

    def fault(self, variable: Variable, message: str) -> None:
        """Report a fault of a variable: raise Misconfiguration."""
        raise Misconfiguration(variable.name, message)


def _parsed(variable: Variable, value: str, least: int | None) -> Any:
    parse: Any = variable.parse
    try:
        return parse(value) if least is None else Whole(least, parse.most, parse.unit)(value)
    except Refused as refused:
        raise Misconfiguration(variable.name, str(refused)) from None


class Whole:
    """Parses a whole number from `least` to `most`, both included. `zero` says what 0 means."""

    def __init__(self, least: int, most: int, unit: str = "", zero: str = "") -> None:
        self.least, self.most, self.unit, self.zero = least, most, unit, zero

    def __call__(self, text: str) -> int:
        value = whole(text, self.least, self.most)
        if value is None:
            raise Refused(f"must be {self}")
        return value

    def __str__(self) -> str:
        of_unit, at_zero = self.unit and f" of {self.unit}", self.zero and f" ({self.zero})"
        return f"a whole number{of_unit}, {self.least}{at_zero} to {self.most}"


def whole(text: str, least: int, most: int) -> int | None:
    """Read a whole number in ASCII digits. Return None for other text or a number out of range."""
    # The length is limited, since int() raises an error for a very long text.
    if not text.isascii() or not text.isdecimal() or len(text) > len(str(most)):
        return None
    return int(text) if least <= int(text) <= most else None


def checked(accepts: str, is_sound: Callable[[str], object]) -> Callable[[str], str]:
    """Make a parser of texts that pass a check. `accepts` describes these texts."""

    def parse(value: str) -> str:
        if not is_sound(value):
            raise Refused(f"must be {accepts}")
        return value

    return parse


def matching(pattern: str, accepts: str) -> Callable[[str], str]:
    """Make a parser of texts that match the whole `pattern`, which is compiled at the first use."""
    return checked(accepts, lambda value: re.fullmatch(pattern, value))


def one_of(*choices: str) -> Callable[[str], str]:
    """Make a parser that accepts one of a few words."""
    return checked(f"one of {', '.join(choices)}", choices.__contains__)


def texts(value: str) -> tuple[str, ...]:
    """Parse a list with commas. Strip each part, and remove empty and repeated parts."""
    return tuple(dict.fromkeys(filter(None, (part.strip() for part in value.split(",")))))


def secrets(value: str) -> tuple[bytes, ...]:
    """Parse one secret, or several during a rotation. Only the first one signs. All can verify."""
    if value.startswith(_PUBLIC) or "-----BEGIN" in value:
        raise Refused("must be a secret, not a public key, a JWKS or its URL")
    # Python reads bytes of the environment that are not UTF-8 as surrogates.
    found = [part.strip().encode("utf-8", "surrogateescape") for part in value.split(",")]
    if any(len(secret) < MIN_SECRET_BYTES for secret in found):
        raise Refused(
            f"each secret must have at least {MIN_SECRET_BYTES} bytes; separate secrets with commas"
        )
    return tuple(found)


def elsewhere(place: str) -> Callable[[str], Any]:
    """Make a parser that calls a function of another room, given as `module:function`."""

    def parse(value: str) -> Any:
        module, _, name = place.partition(":")
        return getattr(import_module(f"token_service.{module}"), name)(value)

    return parse
