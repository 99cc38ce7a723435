"""The interface of a way to log in, for the type checker only. Each way to log in is a module of
this folder. AUTH names the module, and its `read(Reader)` returns an Auth (CONTRIBUTING.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from token_service.http.messages import Request
from token_service.login.brakes import Brakes
from token_service.login.callers import Caller


class Identify(Protocol):
    """Tells who sent a request. Thread-safe."""

    def caller(self, request: Request) -> Caller:
        """Return the caller. Raises MissingToken, InvalidToken, ExpiredToken, KeysUnreachable."""

    def warm(self) -> None:
        """Fetch keys, so that the first request need not wait. Raises KeysUnreachable."""


class Auth(Protocol):
    """The settings of one way to log in. The function read(Reader) of its module returns them."""

    @property
    def names_callers(self) -> bool:
        """Whether callers have names, and folders of their own."""

    @property
    def brakes(self) -> Brakes | None:
        """The values of LOGINS_NOT_BEFORE and DENIED_CALLERS, or None."""

    def identify(self, env: Mapping[str, str]) -> Identify:
        """Make the Identify. Raises Misconfiguration."""
