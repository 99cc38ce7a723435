"""An app's own variables of a callback: named by the client, verified by nobody.

OSS puts what came with the upload as `x:name` in the place of `${x:name}`, and takes such names in
lower case only (vendor documentation, "Callback"). The field of the body that carries it is the
app's own text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

MAX_VARIABLES = 10
MAX_BYTES = 1024
"""Of names and values, in UTF-8: beside the longest seal they stay within OSS's 5 KB."""
_NAME = "(?:x:)?([A-Za-z0-9._-]{1,32})"
_OURS = frozenset(
    "bucket object etag size height width request seal id legacyid caller contenttype variables"
    " status statuscode".split()
)
"""The fields of our body and the members of our answer: no reader takes one for the other."""


def read(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return own variables by their names, without "x:". Raises ValueError; the text quotes no
    value, and no name that is malformed."""
    found: dict[str, str] = {}
    for number, (name, value) in enumerate(pairs, 1):
        form = re.fullmatch(_NAME, name)
        if form is None:
            of = "1 to 32 of A-Z, a-z, 0-9 and ._-, with x: before it or not"
            raise ValueError(f"own variable {number}: its name must be {of}")
        folded = form[1].lower()
        if folded in _OURS:
            raise ValueError(f"own variable {form[1]}: the name is one of the function's own")
        if folded in map(str.lower, found):
            raise ValueError(f"own variable {form[1]}: must be there once, in one spelling")
        found[form[1]] = value
    size = sum(len(text.encode()) for pair in found.items() for text in pair)
    if len(found) > MAX_VARIABLES or size > MAX_BYTES:
        raise ValueError(f"own variables: at most {MAX_VARIABLES}, of {MAX_BYTES} bytes in all")
    return found
