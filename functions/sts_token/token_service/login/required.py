"""JWT_REQUIRE: what a login must say beside whose it is. Loaded only where it is set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from token_service.login.refusals import InvalidToken
from token_service.settings.parsing import Refused


class Required(NamedTuple):
    """By claim the texts of which it must be one; all claims must be there."""

    values: Mapping[str, tuple[str, ...]]

    def check(self, claims: Mapping[str, Any]) -> None:
        """Let verified claims pass. Raises InvalidToken, which names the claim and no value. Text
        is compared as it is, a boolean as true or false, an integer in decimal; nothing else ever
        fits: 1.0, 1e3, a list that has the text in it."""
        for name, accepted in self.values.items():
            found = claims.get(name)
            text = str(found).lower() if isinstance(found, bool) else str(found)
            if not isinstance(found, (str, int)) or text not in accepted:
                fault = (
                    f"it lacks the claim {name}" if found is None else f"its claim {name} differs"
                )
                raise InvalidToken(f"the login is not accepted: {fault} (JWT_REQUIRE)")


def required(value: str) -> Required:
    """Read JWT_REQUIRE. Raises Refused."""
    found: dict[str, tuple[str, ...]] = {}
    for part in value.split(","):
        name, _, texts = (text.strip() for text in part.partition("="))
        values = tuple(text.strip() for text in texts.split("|"))
        is_sound = re.fullmatch("[A-Za-z0-9_.:/-]{1,128}", name) and "=" not in texts
        if not is_sound or name in found or not all(values):
            raise Refused(
                "must be claim=value or claim=value|value, several joined by commas, each claim "
                "once: azp=web|phone,email_verified=true; no value is empty or has a '='"
            )
        found[name] = values
    return Required(found)
