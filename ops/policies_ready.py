"""Makes policies/ready.json (make docs): bundled policies, rendered in advance as far as possible.

A template can be rendered in advance only if it does just two things: it prints values, and it
tests whether there is a prefix. For such a template, the file has one text for a prefix and one
text for an object. When the values are filled in, each text is equal to the policy that Jinja2
would print (tests/ops/test_policies_ready.py). The file leaves out templates that template.yml does
not offer. Jinja2 renders these at run time. The check of the package (build.py) uses a template
that is not offered, to test that Jinja2 works.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re

from jinja2 import Environment, nodes

from ops.package import POLICIES
from ops.policies_described import offered
from token_service.encoding import compact_unicode
from token_service.errors import ServiceError
from token_service.grant.policies import READY, SUFFIX
from token_service.grant.templates import compiled

PAGE = POLICIES / READY

_VALUES = ("bucket", "keys", "prefix")
_PLACE = re.compile(f"<({'|'.join(_VALUES)})>")
# The template may have no loops, no filters and no variables of its own.
_PLAIN = (nodes.Output, nodes.TemplateData, nodes.Name, nodes.If, nodes.Test)


def write() -> bool:
    """Write the file, and return whether it changed."""
    made = text()
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == made:
        return False
    PAGE.write_text(made, encoding="utf-8")
    return True


def text() -> str:
    """Return the text of the file."""
    found = {}
    for name in offered():
        template = (POLICIES / f"{name}{SUFFIX}").read_text(encoding="utf-8")
        # A template that cannot be rendered in advance is left out. Jinja2 renders it at run time.
        # If a template cannot be rendered for an object, Jinja2 reports this when a request needs
        # it.
        with contextlib.suppress(ServiceError, ValueError):
            if is_plain(template):
                digest = hashlib.sha256(template.encode()).hexdigest()
                found[digest] = ready(template)
    return json.dumps(found, indent=1) + "\n"


def is_plain(template: str) -> bool:
    """Whether a template can be rendered in advance. Such a template has only values, conditions on
    whether there is a prefix, and fixed text that has no "<"."""
    found = list(Environment(autoescape=False).parse(template).find_all(nodes.Node))  # noqa: S701
    return "<" not in template and all(
        isinstance(node, _PLAIN)
        and (not isinstance(node, nodes.Name) or node.name in _VALUES)
        and (not isinstance(node, nodes.If) or _asks_for_a_prefix(node.test))
        for node in found
    )


def _asks_for_a_prefix(test: nodes.Node) -> bool:
    return (
        isinstance(test, nodes.Test)
        and test.name == "defined"
        and isinstance(test.node, nodes.Name)
        and test.node.name == "prefix"
    )


def ready(template: str) -> list[str]:
    """Render a template in advance, once for a prefix and once for one object. policies.filled()
    later puts the values into these two texts. Raises PolicyError and ValueError."""
    render = compiled(template, "", "POLICY_FILE")
    for_prefix, for_one = render("<bucket>", "<prefix>", None), render("<bucket>", "", "<keys>")
    return [_text(for_prefix), _text(for_one)]


def _text(rendered: str) -> str:
    return _PLACE.sub(r"%(\1)s", compact_unicode(json.loads(rendered)).replace("%", "%%"))
