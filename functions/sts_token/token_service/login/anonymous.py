"""With AUTH=anonymous, everybody is the same caller, and all share one folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from token_service.http.messages import Request
from token_service.login.callers import ANONYMOUS, Caller
from token_service.settings import variables as v
from token_service.settings.parsing import Reader


class Anonymous(NamedTuple):
    """The settings of AUTH=anonymous. Their values are fixed."""

    brakes: None = None
    names_callers: bool = False

    def identify(self, env: Mapping[str, str]) -> Anonymous:  # noqa: ARG002 - as Auth has it
        """Return this object, because every request is from the same caller."""
        return self

    def caller(self, request: Request) -> Caller:  # noqa: ARG002 - as Identify has it
        """Return the one caller that stands for everybody."""
        return ANONYMOUS

    def warm(self) -> None:
        """There is nothing to fetch."""


def read(reader: Reader) -> Anonymous:
    """Check that LOGINS_NOT_BEFORE and DENIED_CALLERS are empty. They need AUTH=jwt."""
    for variable in (v.LOGINS_NOT_BEFORE, v.DENIED_CALLERS):
        if reader.text(variable):
            reader.fault(
                variable,
                "must be empty with AUTH=anonymous, because only AUTH=jwt gives callers names",
            )
    return Anonymous()
