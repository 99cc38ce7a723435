"""The wishes of each route, and a check of names that are not wishes of the route.

Clients may add other parameters, which are ignored. But a wish that is misspelt, or belongs to
another route, is refused, because it was meant to narrow the grant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from token_service.grant.grants import LOGIN, TOKEN_WISHES
from token_service.grant.refusals import InvalidParameter

NAMED = ("object", "name", "ext")  # they name the object
OWN_VARIABLES = "callback_variables"
UPLOAD = ("content_type", "disposition", "size")  # they say what is uploaded
DOWNLOAD = ("response-content-disposition", "x-oss-process")
SIGNED_URL = ("policy", *NAMED, "method", "expires", OWN_VARIABLES, *UPLOAD, *DOWNLOAD)
FORM = ("policy", *NAMED, "expires", "content_type", "disposition", "max_bytes", OWN_VARIABLES)
MULTIPART_START = (*NAMED, *UPLOAD)
MULTIPART_STEP = ("upload_id", "parts", OWN_VARIABLES, "action", "after")
MULTIPART = ("policy", "expires", *MULTIPART_START, "Upload", *MULTIPART_STEP)
UPLOADS = ("limit", "marker", "details")
ROUTES: Mapping[str, Sequence[str]] = {
    "/": TOKEN_WISHES,
    "/signed-url": SIGNED_URL,
    "/form": FORM,
    # "action" and "after" are left out: many clients send these names, so other routes ignore them.
    "/multipart": MULTIPART[:-2],
    "/uploads": UPLOADS,
}

_LIKENESS = 0.81
"""The least ratio of difflib: "objct" has 0.91, "obejct" has 0.83, and "resize" (size) has 0.8."""
_LEAST_LETTERS = 4
"""Shorter wishes are not compared: "text" is like "ext", but means something else."""
_CLIENTS_OWN = ("market", "position", "objectId", "object_id", "policyId", "Action")
"""Apps send these names, which resemble our wishes. Names that begin with "_" also pass."""
_MOST = 64  # the limit for unknown names in a request: each is compared with all wishes


def check(given: Iterable[str], own: Sequence[str]) -> None:
    """Raise InvalidParameter for a wish that only other routes have, and for a misspelt name of one
    of this route's `own` wishes. Case, "-" and "_" do not matter, so `maxBytes` is max_bytes."""
    known = {LOGIN, *_CLIENTS_OWN, *own}
    strange = [name for name in given if name not in known and name[:1] != "_"]
    if not strange:
        return
    if len(strange) > _MOST:
        raise InvalidParameter("body", f"must have at most {_MOST} unknown parameters")
    folded = {_folded(name): name for name in own}
    paths: dict[str, list[str]] = {}
    for path, names in ROUTES.items():
        for name in names:
            paths.setdefault(_folded(name), []).append(path)
    for name in map(_folded, strange):
        if name in folded:
            raise InvalidParameter(folded[name], "must be given once, with exactly this name")
        if name in paths:
            wish = next(one for one in ROUTES[paths[name][0]] if _folded(one) == name)
            where = ", ".join(paths[name])
            raise InvalidParameter(wish, f"is for other routes: {where}")
    # The import is here because few clients send unknown names.
    import difflib

    long = [name for name in folded if len(name) >= _LEAST_LETTERS]
    for name in map(_folded, strange):
        for meant in difflib.get_close_matches(name, long, 1, _LIKENESS):
            raise InvalidParameter(folded[meant], "is misspelt: the request has a similar name")


def _folded(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
