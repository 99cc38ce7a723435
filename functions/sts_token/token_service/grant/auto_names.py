"""Makes unique object names (`name=auto`), so that image.jpg of two phones becomes two objects."""

from __future__ import annotations

import base64
import re
import secrets
import time
from collections.abc import Mapping

from token_service.grant.extensions import EXTENSION
from token_service.grant.refusals import InvalidParameter


def wished(wishes: Mapping[str, str]) -> str | None:
    """Return the object name that the wishes ask for, under the prefix, or None. A name made here
    is YYYY/MM/DD/ in UTC, 26 characters of base32 (128 random bits) and the extension. Raises
    InvalidParameter for wishes that do not fit together."""
    name, extension = wishes.get("name"), wishes.get("ext")
    if name is None:
        if extension is not None:
            raise InvalidParameter("ext", "can only be used with name=auto")
        return wishes.get("object")
    if name != "auto":
        raise InvalidParameter("name", "must be auto; send a name of your own as object")
    if "object" in wishes:
        raise InvalidParameter("name", "must not be given together with object")
    if wishes.get("method", "PUT").upper() != "PUT":
        raise InvalidParameter("name", "can only be used for uploads")
    if extension is not None and not re.fullmatch(EXTENSION, extension):
        raise InvalidParameter("ext", "must be 1 to 8 characters (a-z, 0-9), without a dot")
    day = time.strftime("%Y/%m/%d/", time.gmtime())
    bits = base64.b32encode(secrets.token_bytes(16)).decode().rstrip("=").lower()
    return day + bits + ("" if extension is None else f".{extension}")
