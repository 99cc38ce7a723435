"""Grant -> RAM policy: Jinja2 templates, rendered so that no value can leave its JSON string.

A template may print `bucket`; `keys`, the resource pattern of what may be touched (the prefix and
"*", or the one object); and `prefix`, only where the grant is for a whole prefix: for one object
that fails, instead of opening more. Operators may name a file of their own.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from jinja2 import Environment, StrictUndefined, Template, TemplateSyntaxError

from token_service import TOP
from token_service.encoding import compact_unicode
from token_service.errors import Misconfiguration, PolicyError
from token_service.grant import object_keys
from token_service.grant.grants import Grant

if TYPE_CHECKING:
    from token_service.grant.vendor_policies import VendorPolicy

MAX_CHARACTERS = 2048
"""STS's limit on the Policy parameter (vendor documentation of AssumeRole)."""

# In the package that is deployed the templates lie beside the code, in a checkout at its top.
_BUNDLED = os.path.join(TOP, "policies")
if not os.path.isdir(_BUNDLED):
    _BUNDLED = os.path.join(TOP, "..", "..", "policies")
SUFFIX = ".json.j2"
NAME = r"[A-Za-z0-9_-]{1,64}"
"""Of a bundled policy, as a pattern. Any other is the path of a template file."""


def _json_escaped(value: object) -> str:
    """Escape for the inside of a JSON string; nothing but text may be printed."""
    # str() of an undefined name raises, as StrictUndefined promises.
    if not isinstance(value, str):
        raise TypeError(f"a template may print text only, not {type(value).__name__}: {value}")
    return compact_unicode(value)[1:-1]


class Policies:
    """The policy templates that are configured, compiled once."""

    def __init__(self, names: Sequence[str]) -> None:
        """Load the templates: the first is POLICY_FILE's, the others are of POLICY_CHOICES. Raises
        Misconfiguration for one that is missing or malformed."""
        environment = Environment(
            undefined=StrictUndefined,
            finalize=_json_escaped,
            autoescape=False,  # noqa: S701 - `finalize` escapes for JSON, what is rendered here
            auto_reload=False,
        )
        self._templates = {
            name: _load(environment, name, "POLICY_CHOICES" if place else "POLICY_FILE")
            for place, name in enumerate(names)
        }
        self._cached = lru_cache(maxsize=256)(self._render)

    def render(self, grant: Grant) -> str:
        """Render the grant's policy as compact JSON, at most 2,048 characters. Raises PolicyError
        for what STS would refuse, InvalidParameter for what a vendor's policy does not open."""
        return self._cached(grant.policy, grant.bucket, grant.prefix, grant.object_key)

    def _render(self, name: str, bucket: str, prefix: str, object_key: str | None) -> str:
        values = {"bucket": bucket}
        if object_key is None:
            values["prefix"] = _plain(prefix)
            values["keys"] = f"{prefix}*"
        else:
            values["keys"] = _plain(object_key)
        template = self._templates[name]
        if not isinstance(template, Template):
            return _compact(name, template.render(bucket, _plain(prefix), object_key))
        try:
            text = template.render(values)
        except Exception as error:  # noqa: BLE001 - a template is code, and may raise anything
            from token_service.grant.template_faults import failed

            raise failed(os.path.basename(name), error) from None
        return _compact(name, text)


def _load(environment: Environment, name: str, variable: str) -> Template | VendorPolicy:
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

        return vendor_policy(text, file, variable)
    try:
        return environment.from_string(text)
    except TemplateSyntaxError as error:
        raise Misconfiguration(variable, f"{file}, line {error.lineno}: {error.message}") from None


def _plain(key: str) -> str:
    """The second look at what a policy embeds: settings and grants have looked before."""
    fault = object_keys.fault(key)
    if fault:
        raise PolicyError(f"the object key or prefix {fault}")
    return key


def _compact(name: str, text: str) -> str:
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
