"""Renders a grant's RAM policy from a template. No value can break out of its JSON string.

A template may print `bucket` and `keys`. `keys` is the prefix with "*", or the key of one object.
If a grant is for one object, a template that prints `prefix` fails: it could allow too much.
Operators may use their own file. `make docs` renders the bundled templates in advance, and the
function finds the result by the template's SHA-256. Jinja2 renders any other template here.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial

from token_service import TOP
from token_service.encoding import compact_unicode
from token_service.errors import PolicyError
from token_service.grant import object_keys
from token_service.grant.grants import Grant

MAX_CHARACTERS = 2048
"""STS's limit on the Policy parameter (vendor documentation of AssumeRole)."""

# A package has the folder policies/ beside the code. A checkout has it in its top folder.
_BUNDLED = os.path.join(TOP, "policies")
if not os.path.isdir(_BUNDLED):
    _BUNDLED = os.path.join(TOP, "..", "..", "policies")
SUFFIX = ".json.j2"  # of a template file
NAME = r"[A-Za-z0-9_-]{1,64}"
"""A pattern for names of bundled policies. Any other name is the path of a template file."""
READY = "ready.json"

_Render = Callable[[str, str, "str | None"], str]


def values_of(bucket: str, prefix: str, object_key: str | None) -> dict[str, str]:
    """Return the values that a template may print."""
    if object_key is not None:
        return {"bucket": bucket, "keys": object_key}
    return {"bucket": bucket, "keys": f"{prefix}*", "prefix": prefix}


def escaped(value: str) -> str:
    """Escape a value for the inside of a JSON string."""
    return compact_unicode(value)[1:-1]


def filled(ready: Sequence[str], bucket: str, prefix: str, object_key: str | None) -> str:
    """Return what Jinja2 would render. `ready` has two texts with placeholders like `%(bucket)s`:
    first the policy for a prefix, then the policy for an object."""
    values = values_of(bucket, prefix, object_key).items()
    return ready[object_key is not None] % {name: escaped(value) for name, value in values}


class Policies:
    """The configured policy templates, loaded once."""

    def __init__(self, names: Sequence[str]) -> None:
        """Load the templates: first the one of POLICY_FILE, then those of POLICY_CHOICES. Raises
        Misconfiguration if one is missing or malformed."""
        try:
            with open(os.path.join(_BUNDLED, READY), encoding="utf-8") as file:
                ready = json.load(file)
        except (OSError, ValueError):
            ready = {}
        self._templates = {
            name: _load(ready, name, "POLICY_CHOICES" if place else "POLICY_FILE")
            for place, name in enumerate(names)
        }
        self._cached = lru_cache(maxsize=256)(self._render)

    def render(self, grant: Grant) -> str:
        """Render the grant's policy as compact JSON, at most 2,048 characters. Raises PolicyError
        if STS would refuse it, InvalidParameter if a vendor's policy allows nothing on the key."""
        return self._cached(grant.policy, grant.bucket, grant.prefix, grant.object_key)

    def _render(self, name: str, bucket: str, prefix: str, object_key: str | None) -> str:
        # Settings and grants have checked the key. Check it again before it goes into a policy.
        key = prefix if object_key is None else object_key
        fault = object_keys.fault(prefix) or object_keys.fault(key)
        if fault:
            raise PolicyError(f"the object key or prefix {fault}")
        text = self._templates[name](bucket, prefix, object_key)
        try:
            policy = json.loads(text)
            if policy["Version"] == "1" and policy["Statement"]:
                compact = compact_unicode(policy)
                if len(compact) <= MAX_CHARACTERS:
                    return compact
        except (ValueError, RecursionError, LookupError, TypeError):
            pass
        from token_service.grant.template_faults import unsound

        raise unsound(os.path.basename(name), text, MAX_CHARACTERS)


def _load(ready: Mapping[str, Sequence[str]], name: str, variable: str) -> _Render:
    path = os.path.join(_BUNDLED, name + SUFFIX) if re.fullmatch(NAME, name) else name
    if not os.path.exists(path):
        # A path like policies/own.txt is relative to the package's top, the folder above policies/.
        path = os.path.join(os.path.dirname(_BUNDLED), path)
    file = os.path.basename(path)
    try:
        with open(path, encoding="utf-8") as template:
            text = template.read()
    except (OSError, ValueError) as error:
        from token_service.grant.template_faults import unreadable

        raise unreadable(variable, file, error, _BUNDLED) from None
    if path.endswith(".txt"):
        # The import is here because few deployments need this module and its regular expressions.
        from token_service.grant.vendor_policies import vendor_policy

        return vendor_policy(text, file, variable).render
    found = ready.get(hashlib.sha256(text.encode()).hexdigest())
    if found:
        return partial(filled, found)
    from token_service.grant.templates import compiled

    return compiled(text, file, variable)
