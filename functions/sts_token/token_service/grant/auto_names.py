"""Names that are made here: `name=auto`. So two phones' image.jpg are two objects."""

from __future__ import annotations

import base64
import re
import secrets
import time
from collections.abc import Mapping

from token_service.grant.extensions import EXTENSION
from token_service.grant.refusals import InvalidParameter


def wished(wishes: Mapping[str, str]) -> str | None:
    """Return the name that an object is wished to have, under the prefix; None: none is wished. A
    name that is made here is YYYY/MM/DD/ in UTC, 26 characters of base32 for 128 random bits, and
    the extension. Raises InvalidParameter for wishes that do not fit together."""
    name, extension = wishes.get("name"), wishes.get("ext")
    if name is None:
        if extension is not None:
            raise InvalidParameter("ext", "is for name=auto only")
        return wishes.get("object")
    if name != "auto":
        raise InvalidParameter("name", "must be auto; a name of your own is the wish object")
    if "object" in wishes:
        raise InvalidParameter("name", "must not be given together with object")
    if wishes.get("method", "PUT").upper() != "PUT":
        raise InvalidParameter("name", "is for uploads only")
    if extension is not None and not re.fullmatch(EXTENSION, extension):
        raise InvalidParameter("ext", "must be 1 to 8 of a-z and 0-9, without a dot")
    day = time.strftime("%Y/%m/%d/", time.gmtime())
    bits = base64.b32encode(secrets.token_bytes(16)).decode().rstrip("=").lower()
    return day + bits + ("" if extension is None else f".{extension}")
