"""Lines of a .env, and the values that Serverless Devs reads from them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Row(NamedTuple):
    """A variable in .env: `text` is what follows `NAME=`, and `arrives` is the value that is read.
    If a "#" or a "$" makes the value shorter, `why` is this character."""

    name: str
    text: str
    arrives: str
    why: str = ""


SHELL = {"SHELLED": "in$$shell", "LOGINS_NOT_BEFORE": "a$SHELLED"}
"""Variables that are in the environment already."""

ROWS = (
    Row("ROLE_ARN", "ab#cd", "ab", "#"),
    Row("BUCKET_NAME", "'ab#cd'", "ab#cd"),
    Row("OBJECT_PREFIX", "pa$$word", "pa$", "$"),
    Row("POLICY_CHOICES", "'pa$$word'", "pa$", "$"),
    Row("JWT_SECRET", "pa$OSS_X-y", "pa-y", "$"),
    # The text is expanded twice. A backslash protects a "$" only from the first expansion.
    Row("JWT_JWKS_URL", r"pa\$OSS_X-y", "pa-y", "$"),
    Row("JWT_AUDIENCE", "a${NOPE:-dflt}b", "adfltb", "$"),
    Row("ALLOWED_ORIGINS", r'"a\nb"', "a\nb"),
    Row("DENIED_CALLERS", "`x#y`", "x#y"),
    Row("CALLBACK_URL", "abc # comment", "abc"),
    Row("CALLBACK_SECRET", "'un#balanced", "'un", "#"),
    Row("UPLOAD_HOOK_URL", "a$", "a$"),
    Row("UPLOAD_HOOK_SECRET", "$PATHX$", "$PATHX$"),
    Row("OSS_ENDPOINT", "#all", "", "#"),
    Row("STS_ENDPOINT", "a b 'c'", "a b 'c'"),
    Row("URL_EXPIRE_TIME", "x$SHELLED", "xin", "$"),
    Row("UPLOAD_MAX_BYTES", "  '5'  ", "5"),
    # A variable of the environment overrides the file, and its value is expanded too.
    Row("LOGINS_NOT_BEFORE", "file", "ain", "$"),
)


def written(rows: Iterable[Row]) -> str:
    """The text of a .env."""
    return "".join(f"{row.name}={row.text}\n" for row in rows)
