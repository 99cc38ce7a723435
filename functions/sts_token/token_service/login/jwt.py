"""The settings of AUTH=jwt, where a login (a JWT) names the caller; logins.py verifies it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from token_service.settings import variables as v
from token_service.settings.parsing import Reader, texts

if TYPE_CHECKING:
    from token_service.login.brakes import Brakes
    from token_service.login.logins import Logins
    from token_service.login.required import Required
    from token_service.settings.addresses import Url

_KEY_SOURCES = (v.JWT_SECRET, v.JWT_JWKS_FILE, v.JWT_JWKS_URL)


class Jwt(NamedTuple):
    """How logins are verified. If JWT_SECRET verifies logins, the secret is read at each use."""

    keys_file: str
    keys_url: Url | None
    issuer: tuple[str, ...] | None
    audience: tuple[str, ...]
    user_claim: str
    required: Required | None = None
    brakes: Brakes | None = None
    names_callers: bool = True

    def identify(self, env: Mapping[str, str]) -> Logins:
        """Load the keys. Raises Misconfiguration."""
        # The import is here because AUTH=anonymous does not need PyJWT.
        from token_service.login.logins import Logins

        return Logins(self, env)


def read(reader: Reader) -> Jwt:
    """Read the variables of AUTH=jwt."""
    given = [variable for variable in _KEY_SOURCES if reader.text(variable)]
    if len(given) != 1:
        others = " and ".join(variable.name for variable in given[1:])
        fault = f"set together with {others}" if given else "not set"
        fault += "; AUTH=jwt, the default, needs one of JWT_SECRET, JWT_JWKS_FILE, JWT_JWKS_URL"
        reader.fault(given[0] if given else v.JWT_SECRET, fault)
    reader.optional(v.JWT_SECRET, ())
    brakes = None
    if reader.text(v.LOGINS_NOT_BEFORE) or reader.text(v.DENIED_CALLERS):
        from token_service.login.brakes import read_brakes

        brakes = read_brakes(reader)
    return Jwt(
        keys_file=reader.text(v.JWT_JWKS_FILE),
        keys_url=reader.optional(v.JWT_JWKS_URL, None),
        issuer=texts(reader.optional(v.JWT_ISSUER, "")) or None,
        audience=reader.optional(v.JWT_AUDIENCE, ()),
        user_claim=reader.read(v.JWT_USER_CLAIM),
        required=reader.optional(v.JWT_REQUIRE, None),
        brakes=brakes,
    )
