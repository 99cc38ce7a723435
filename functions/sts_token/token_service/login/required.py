"""Checks the claims that JWT_REQUIRE names. This module is loaded only if JWT_REQUIRE is set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from token_service.login.refusals import InvalidToken
from token_service.settings.parsing import Refused


class Required(NamedTuple):
    """For each claim that a login must have (JWT_REQUIRE): the texts that are accepted."""

    values: Mapping[str, tuple[str, ...]]

    def check(self, claims: Mapping[str, Any]) -> None:
        """Raise InvalidToken (without the values) if the claims do not match. Text is compared
        as it is, a boolean as true or false, an integer in decimal. Other types never match."""
        for name, accepted in self.values.items():
            found = claims.get(name)
            text = str(found) if isinstance(found, (str, int)) else ""
            if (text.lower() if isinstance(found, bool) else text) not in accepted:
                differs = "lacks" if found is None else "does not have an accepted value of"
                fault = f"it {differs} the claim {name} (JWT_REQUIRE)"
                raise InvalidToken(f"the login is not accepted: {fault}")


def required(value: str) -> Required:
    """Read JWT_REQUIRE. Raises Refused."""
    found: dict[str, tuple[str, ...]] = {}
    for part in value.split(","):
        name, _, texts = (text.strip() for text in part.partition("="))
        values = tuple(text.strip() for text in texts.split("|"))
        is_sound = re.fullmatch("[A-Za-z0-9_.:/-]{1,128}", name) and "=" not in texts
        if not is_sound or name in found or not all(values):
            raise Refused(
                "must be claims like azp=web|phone,email_verified=true, with '|' between accepted "
                "values. Each claim must occur once, and no value may be empty or contain '='"
            )
        found[name] = values
    return Required(found)
