"""An app's own variables in a callback. They come from the client, and nobody verifies them. OSS
fills in `${x:name}`, with names in lower case only (vendor documentation, "Callback")."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl, quote

from token_service.callback.parameters import BODY
from token_service.callback.seals import CallbackRefused
from token_service.grant.refusals import InvalidParameter
from token_service.grant.wish_names import OWN_VARIABLES

MAX_VARIABLES = 10  # of one upload; our choice
MAX_BYTES = 1024
"""The limit for all names and values in UTF-8. With a usual seal they fit into OSS's 5 KB."""
_NAME = "(?:x:)?([A-Za-z0-9._-]{1,32})"
_FIELD = r"\$\{x:[a-z0-9._-]{1,32}\}"
FIELDS = tuple(field.partition("=")[0] for field in BODY.split("&"))
MEMBERS = "Id LegacyId Caller Bucket Object Size ETag ContentType Width Height".split()
"""The members of our answer. Names in MEMBERS or FIELDS are refused for an app's variables."""
_OURS = {name.lower() for name in (*FIELDS, *MEMBERS, "Variables", "Status", "StatusCode")}


def read(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return the app's own variables by name, without "x:". Raises CallbackRefused, with a
    message that does not quote values or malformed names."""
    found: dict[str, str] = {}
    # Read at most one variable more than allowed: this one is enough for a refusal.
    for number, (name, value) in enumerate(pairs[: MAX_VARIABLES + 1], 1):
        form, what = re.fullmatch(_NAME, name), f"own variable {number}"
        if form is None:
            raise CallbackRefused(f"{what}: its name must be 1 to 32 characters (A-Za-z0-9._-)")
        if form[1].lower() in (*_OURS, *map(str.lower, found)):
            raise CallbackRefused(f"{what}, {form[1]}: that name is reserved, or used twice")
        found[form[1]] = value
    size = sum(len(f"{name}{value}".encode()) for name, value in found.items())
    if len(found) > MAX_VARIABLES or size > MAX_BYTES:
        most = f"{MAX_VARIABLES}, with {MAX_BYTES} bytes in all"
        raise CallbackRefused(f"own variables: there must be at most {most}")
    return found


def wished(text: str) -> str:
    """Return what a wish like "order=7&color=${x:color}" adds to the callback's body. A value that
    is not `${x:name}` is a constant. Raises InvalidParameter."""
    try:
        own = read(parse_qsl(text, keep_blank_values=True)).items()
    # JSON can hold a lone surrogate, which cannot be encoded.
    except (CallbackRefused, UnicodeError) as fault:
        raise InvalidParameter(OWN_VARIABLES, f"must be like order=7&color=red: {fault}") from None
    return "".join(f"&{n}={v if re.fullmatch(_FIELD, v) else quote(v, safe='')}" for n, v in own)
