"""`python -m ops.jwks` (make jwks): finds where an identity provider publishes its public keys.

It uses OpenID Connect Discovery 1.0, section 4, for ISSUER, and prints JWT_JWKS_URL and JWT_ISSUER
for .env. stderr says which keys the function could use. The operator runs this once. The function
itself does no discovery, because an answer could then change which issuer the function trusts.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Mapping
from math import inf
from typing import Any, NamedTuple

from ops import report
from token_service.errors import Misconfiguration, ServiceError
from token_service.http.connection import ConnectionFault
from token_service.http.fetch import fetch
from token_service.login.jwks import KeySet
from token_service.login.jwt import Jwt
from token_service.settings.addresses import Url, url
from token_service.settings.parsing import Refused

PATH = "/.well-known/openid-configuration"
# The pattern allows no character that a shell or `s` treats specially (import_config.py). It also
# allows no comma, because commas separate issuers.
_PLAIN = "[A-Za-z0-9@%+=:./?_-]+"
_ACCEPTS = (
    "must be https://host[:port]/path as the provider spells it. It may have no query or fragment, "
    "and only A-Z, a-z, 0-9 and @%+=:./_-"
)
_JSON = "application/json"


class Found(NamedTuple):
    """The contents of a provider's document, and the number of usable keys for each algorithm."""

    keys_url: str
    issuer: str
    algorithms: Mapping[str, int]


def main() -> int:
    """Print the variables for .env. Returns 0, or 1 with one clear line on stderr."""
    try:
        found = discover(os.environ.get("ISSUER", "").strip())
    except ServiceError as error:
        print(f"make jwks: {report.plain(error.message, [])}", file=sys.stderr)
        return 1
    kinds = ", ".join(f"{number} for {name}" for name, number in sorted(found.algorithms.items()))
    print(f"make jwks: keys that the function can use: {kinds}", file=sys.stderr)
    print(f"JWT_JWKS_URL={found.keys_url}\nJWT_ISSUER={found.issuer}")
    return 0


def discover(issuer: str) -> Found:
    """Ask a provider with two requests. Each request may take at most 1.5 s, and its answer may
    have at most 64 KB, as in the function.

    Raises Misconfiguration if ISSUER or the provider's answer is wrong, and KeysUnreachable if the
    function could not use any key.
    """
    asked = _https(f"{issuer.removesuffix('/')}{PATH}") if "?" not in issuer else None
    if asked is None:
        raise Misconfiguration("ISSUER", f"{_ACCEPTS}. Example: ISSUER=https://login.example.com")
    document = _document(asked)
    named = document.get("issuer")
    # The issuer in the document must be equal to ISSUER (section 4.3). Otherwise one provider could
    # answer in the name of another.
    if named != issuer:
        raise Misconfiguration(
            "ISSUER",
            f"the document at {asked} is for another issuer, {_shown(named)}; if the document "
            "is your provider's, spell ISSUER exactly as the document does",
        )
    keys_url = document.get("jwks_uri")
    fetched = _https(keys_url) if isinstance(keys_url, str) else None
    if fetched is None:
        raise Misconfiguration(
            "ISSUER",
            f"the document at {asked} must have a jwks_uri that is an https URL with only A-Z, "
            "a-z, 0-9 and @%+=:./?_-",
        )
    keys = KeySet(Jwt("", fetched, None, (), "sub"))
    keys.warm()
    # KeySet may have the same key under several names. Such a key counts once.
    algorithms = {id(key.key): key.algorithm for key in keys._keys.values()}
    return Found(str(keys_url), issuer, Counter(algorithms.values()))


def _https(text: str) -> Url | None:
    """Return the URL if it is https and all programs read it from .env in the same way. Otherwise
    return None."""
    try:
        found = url(text)
    except Refused:
        return None
    return found if found.endpoint.scheme == "https" and re.fullmatch(_PLAIN, text) else None


def _document(asked: Url) -> dict[str, Any]:
    try:
        found = json.loads(fetch(asked, _JSON, inf).decode("utf-8-sig"))
    except (ConnectionFault, ValueError, RecursionError) as error:
        # The error message of the json module may quote the document, and does not help.
        is_json = isinstance(error, (json.JSONDecodeError, UnicodeDecodeError, RecursionError))
        fault = "is not JSON" if is_json else f"cannot be fetched: {error}"
        raise Misconfiguration(
            "ISSUER",
            f"{asked} {fault}; if the provider has no OpenID Connect Discovery, look for the URL "
            "of its JWKS in its documentation",
        ) from None
    return found if isinstance(found, dict) else {}


def _shown(named: object) -> str:
    return repr(named[:200]) if isinstance(named, str) else "which it does not name"


if __name__ == "__main__":
    sys.exit(main())
