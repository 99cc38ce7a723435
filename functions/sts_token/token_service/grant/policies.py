"""Grant -> RAM policy: templates, rendered so that no value can leave its JSON string.

A template may print `bucket`; `keys`, the resource pattern of what may be touched (the prefix and
"*", or the one object); and `prefix`, only where the grant is for a whole prefix: for one object
that fails, instead of opening more. Operators may name a file of their own. What Jinja2 renders
of a bundled one lies ready (`make docs`), by the template's SHA-256; of any other it does so here.
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

# In the package that is deployed the templates lie beside the code, in a checkout at its top.
_BUNDLED = os.path.join(TOP, "policies")
if not os.path.isdir(_BUNDLED):
    _BUNDLED = os.path.join(TOP, "..", "..", "policies")
SUFFIX = ".json.j2"
NAME = r"[A-Za-z0-9_-]{1,64}"
"""Of a bundled policy, as a pattern. Any other is the path of a template file."""
READY = "ready.json"

_Render = Callable[[str, str, "str | None"], str]


def values_of(bucket: str, prefix: str, object_key: str | None) -> dict[str, str]:
    """What a template may print."""
    if object_key is not None:
        return {"bucket": bucket, "keys": object_key}
    return {"bucket": bucket, "keys": f"{prefix}*", "prefix": prefix}


def escaped(value: str) -> str:
    """Escape for the inside of a JSON string."""
    return compact_unicode(value)[1:-1]


def filled(ready: Sequence[str], bucket: str, prefix: str, object_key: str | None) -> str:
    """What Jinja2 would render: `ready` has the texts for a prefix and for one object, in which
    `%(bucket)s` and so on stand for the values."""
    values = values_of(bucket, prefix, object_key).items()
    return ready[object_key is not None] % {name: escaped(value) for name, value in values}


class Policies:
    """The policy templates that are configured, loaded once."""

    def __init__(self, names: Sequence[str]) -> None:
        """Load the templates: the first is POLICY_FILE's, the others are of POLICY_CHOICES. Raises
        Misconfiguration for one that is missing or malformed."""
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
        for what STS would refuse, InvalidParameter for what a vendor's policy does not open."""
        return self._cached(grant.policy, grant.bucket, grant.prefix, grant.object_key)

    def _render(self, name: str, bucket: str, prefix: str, object_key: str | None) -> str:
        # The second look at what a policy embeds: settings and grants have looked before.
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
        # From the folder above policies/, which is the package's top: policies/own.txt.
        path = os.path.join(os.path.dirname(_BUNDLED), path)
    file = os.path.basename(path)
    try:
        with open(path, encoding="utf-8") as template:
            text = template.read()
    except (OSError, ValueError) as error:
        from token_service.grant.template_faults import unreadable

        raise unreadable(variable, file, error, _BUNDLED) from None
    if path.endswith(".txt"):
        # Imported where it is needed, like its regular expressions.
        from token_service.grant.vendor_policies import vendor_policy

        return vendor_policy(text, file, variable).render
    found = ready.get(hashlib.sha256(text.encode()).hexdigest())
    if found:
        return partial(filled, found)
    from token_service.grant.templates import compiled

    return compiled(text, file, variable)
