"""policies/ready.json (make docs): bundled policies, rendered in advance as far as possible.

If a template only prints values, and asks whether there is a prefix, it has one text for a prefix
and one for an object. With the values filled in, each is what Jinja2 would render
(tests/ops/test_policies_ready.py). Templates that are not offered are left out, so that the
package's check (build.py) can use them to see that Jinja2 is there.
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
# No loops, filters or variables of the template's own.
_PLAIN = (nodes.Output, nodes.TemplateData, nodes.Name, nodes.If, nodes.Test)


def write() -> bool:
    """Write the file; return whether it changed."""
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
        # One may fail for an object; then Jinja2 reports that at the request.
        with contextlib.suppress(ServiceError, ValueError):
            if is_plain(template):
                digest = hashlib.sha256(template.encode()).hexdigest()
                found[digest] = ready(template)
    return json.dumps(found, indent=1) + "\n"


def is_plain(template: str) -> bool:
    """Whether a template renders to the same text for all values, apart from the values in it."""
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
    """Return a template's two texts for policies.filled. Raises PolicyError and ValueError."""
    render = compiled(template, "", "POLICY_FILE")
    for_prefix, for_one = render("<bucket>", "<prefix>", None), render("<bucket>", "", "<keys>")
    return [_text(for_prefix), _text(for_one)]


def _text(rendered: str) -> str:
    return _PLACE.sub(r"%(\1)s", compact_unicode(json.loads(rendered)).replace("%", "%%"))
