"""AUTH=anonymous: everybody is one caller, who shares one folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from token_service.http.messages import Request
from token_service.login.callers import ANONYMOUS, Caller
from token_service.settings import variables as v
from token_service.settings.parsing import Reader


class Anonymous(NamedTuple):
    """There is nothing to set."""

    brakes: None = None
    names_callers: bool = False

    def identify(self, env: Mapping[str, str]) -> Anonymous:  # noqa: ARG002 - as Auth has it
        """Nothing is needed to tell who asks."""
        return self

    def caller(self, request: Request) -> Caller:  # noqa: ARG002 - as Identify has it
        """Everybody is the same caller."""
        return ANONYMOUS

    def warm(self) -> None:
        """There is nothing to fetch."""


def read(reader: Reader) -> Anonymous:
    """Read what AUTH=anonymous needs: nothing; a brake is a fault, since it would seem to work."""
    for variable in (v.LOGINS_NOT_BEFORE, v.DENIED_CALLERS):
        if reader.text(variable):
            reader.fault(
                variable,
                "must be empty with AUTH=anonymous, where nobody has a name; AUTH=jwt has it",
            )
    return Anonymous()
