"""Grant -> RAM policy: Jinja2 templates, rendered so that no value can leave its JSON string.

The bundled templates lie in policies/. Operators may name a file of their own in POLICY_FILE.
What a template may print: `bucket`; `keys`, the resource pattern of what may be touched (the
prefix and "*", or the one object); and `prefix`, only where the grant is for a whole prefix: a
template that prints the prefix for a grant of one object fails, instead of opening more.

A path that ends with ".txt" is a policy file of the vendor's: vendor_policies.py.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from jinja2 import Environment, StrictUndefined, Template, TemplateError, TemplateSyntaxError

import keys
from errors import Misconfiguration, PolicyError
from grants import Grant

if TYPE_CHECKING:
    from vendor_policies import VendorPolicy

MAX_CHARACTERS = 2048
"""STS's limit on the Policy parameter (vendor documentation of AssumeRole)."""

_HERE = os.path.dirname(os.path.abspath(__file__))
# In the package that is deployed the templates lie beside the code, in a checkout at its top.
_BUNDLED = os.path.join(_HERE, "policies")
if not os.path.isdir(_BUNDLED):
    _BUNDLED = os.path.join(_HERE, "..", "..", "policies")
_SUFFIX = ".json.j2"
_NAME = r"[A-Za-z0-9_-]{1,64}"
# Kept: json.dumps makes an encoder at each call that is not all defaults. Not \uXXXX, which would
# spend six of the policy's characters on one.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _json_escaped(value: object) -> str:
    """Escape for the inside of a JSON string; nothing but text may be printed."""
    # str() of an undefined name raises, as StrictUndefined promises.
    if not isinstance(value, str):
        raise TypeError(f"a template may print text only, not {type(value).__name__}: {value}")
    return _encode(value)[1:-1]


class Policies:
    """The policy templates that are configured, compiled once."""

    def __init__(self, names: Sequence[str]) -> None:
        """Load the templates: the first is POLICY_FILE's, the others are of POLICY_CHOICES.

        Raises Misconfiguration for one that is missing or malformed.
        """
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
        """Render the grant's policy as compact JSON, at most 2,048 characters.

        Raises PolicyError when the template fails or makes something that STS would refuse,
        InvalidParameter for an object that a vendor's policy does not open.
        """
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
        except (TemplateError, TypeError) as error:
            raise PolicyError(f"template {name}: {error}") from None
        except Exception as error:  # noqa: BLE001 - a template is code, and may raise anything
            fault = f"{type(error).__name__}: {error}"
            raise PolicyError(f"template {name}: {fault}") from None
        return _compact(name, text)


def _load(environment: Environment, name: str, variable: str) -> Template | VendorPolicy:
    path = os.path.join(_BUNDLED, name + _SUFFIX) if re.fullmatch(_NAME, name) else name
    if not os.path.exists(path):
        # From the folder above policies/, which is the package's top: policies/own.txt.
        path = os.path.join(os.path.dirname(_BUNDLED), path)
    file = os.path.basename(path)
    try:
        with open(path, encoding="utf-8") as template:
            text = template.read()
    except OSError as error:
        bundled = sorted(f.removesuffix(_SUFFIX) for f in os.listdir(_BUNDLED))
        raise Misconfiguration(
            variable,
            f"cannot read {file} ({error.strerror}); must be a bundled template "
            f"({', '.join(bundled)}) or the path of a template file",
        ) from None
    except ValueError:
        raise Misconfiguration(variable, f"{file} must be UTF-8 text") from None
    if path.endswith(".txt"):
        return _vendor_policy(text, file, variable)
    try:
        return environment.from_string(text)
    except TemplateSyntaxError as error:
        raise Misconfiguration(variable, f"{file}, line {error.lineno}: {error.message}") from None


def _vendor_policy(text: str, file: str, variable: str) -> VendorPolicy:
    # Imported where it is needed, like its regular expressions.
    from vendor_policies import VendorPolicy

    try:
        # Windows' editor puts a byte order mark there.
        return VendorPolicy(text.removeprefix("\ufeff"))
    except ValueError as error:
        raise Misconfiguration(variable, f"{file}: {error}") from None


def _plain(key: str) -> str:
    """The second look at what a policy embeds: settings and grants have looked before."""
    fault = keys.fault(key)
    if fault:
        raise PolicyError(f"the object key or prefix {fault}")
    return key


def _compact(name: str, text: str) -> str:
    try:
        policy = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PolicyError(f"template {name} does not render to JSON: {error}") from None
    if not isinstance(policy, dict) or policy.get("Version") != "1" or not policy.get("Statement"):
        raise PolicyError(f'template {name} must have "Version": "1" and a Statement')
    compact = _encode(policy)
    if len(compact) > MAX_CHARACTERS:
        raise PolicyError(
            f"template {name} renders to {len(compact)} characters; "
            f"STS accepts at most {MAX_CHARACTERS}"
        )
    return compact
