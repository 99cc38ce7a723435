"""Finds what new versions of s.yaml, s.domain.yaml and template.yml change for an existing
deployment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ros_stack import Stack
from tests.upgrade import inputs, serverless
from tests.upgrade.table import Difference, differences

Document = dict[str, Any]

_CODE = "make-template-puts-the-code-here"


def serverless_differences(
    kind: str, old: str, new: str, environments: Mapping[str, Mapping[str, str]]
) -> list[Difference]:
    """The differences between two files of Serverless Devs, rendered with each environment."""
    found: list[Difference] = []
    for name, variables in environments.items():
        before, after = (serverless.rendered(text, variables) for text in (old, new))
        found += differences(kind, name or "no .env", _short(before), _short(after))
    return [difference for difference in found if not _is_unset(difference)]


def template_differences(
    old: Document,
    new: Document,
    parameters: Mapping[str, Mapping[str, Any]],
    accepted: Mapping[str, Iterable[Any]],
) -> list[Difference]:
    """Return the differences between two templates. The function compares their parameters, and
    the stacks that they make from the same `parameters`. For each parameter, `accepted` has values
    that `old` accepts. If `new` refuses one of these values, this is a difference."""
    found = _parameter_differences(old["Parameters"], new["Parameters"], accepted)
    for name, given in parameters.items():
        before, after = (_made(document, given) for document in (old, new))
        found += differences("template", name, before, after)
    return [difference for difference in found if not _is_unset(difference)]


def accepts(parameter: Mapping[str, Any], value: Any) -> bool:
    """Whether a parameter accepts a value, by the rules of ROS."""
    text = str(value)
    number = value if isinstance(value, int) else 0
    return (
        bool(re.search(parameter.get("AllowedPattern", ""), text))
        and value in parameter.get("AllowedValues", [value])
        and parameter.get("MinLength", 0) <= len(text) <= parameter.get("MaxLength", len(text))
        and parameter.get("MinValue", number) <= number <= parameter.get("MaxValue", number)
    )


def _short(document: Document) -> Document:
    """Return the document with the content of its first resource at the top level. This makes the
    ids of differences shorter."""
    (name, resource), *others = document["resources"].items()
    rest = {key: value for key, value in document.items() if key != "resources"}
    return {**rest, **resource, "resources": [name, *(other for other, _ in others)]}


def _is_unset(difference: Difference) -> bool:
    """Return True if this difference is a new variable that a deployment sets to an empty value.
    The function treats an empty variable as not set. A second difference, of the kind `setting`,
    reports that the variable is new."""
    is_variable = ".environmentvariables." in difference.id.lower()
    return is_variable and difference.what == 'was missing, is ""'


def _parameter_differences(
    old: Document, new: Document, accepted: Mapping[str, Iterable[Any]]
) -> list[Difference]:
    found: list[Difference] = []
    for name, parameter in old.items():
        place = f"template:Parameters.{name}"
        if name not in new:
            found.append(Difference(place, "parameters", "was there, is missing"))
            continue
        for member in ("Type", "NoEcho", "Default"):
            before, after = parameter.get(member), new[name].get(member)
            found += differences(f"{place}.{member}", "parameters", before, after)
        values = [
            *parameter.get("AllowedValues", []),
            *(parameter[member] for member in ("Default",) if member in parameter),
            *accepted[name],
        ]
        refused = [value for value in values if not accepts(new[name], value)]
        if refused:
            what = f"no longer accepts {', '.join(map(repr, refused))}"
            found.append(Difference(f"{place}.Accepts", "parameters", what))
    for name in new.keys() - old.keys():
        # A new parameter with a default is no difference, because nobody has to enter it.
        if "Default" not in new[name]:
            place = f"template:Parameters.{name}"
            found.append(Difference(place, "parameters", "is new, and has no default"))
    return found


def _made(template: Document, parameters: Mapping[str, Any]) -> Document:
    stack = inputs.stack_of(template, parameters)
    return {
        "Resources": {
            name: _resource(resource, stack, name)
            for name, resource in template["Resources"].items()
            if name in stack
        },
        "Outputs": stack.outputs(),
        # ROS refuses to update a stack that breaks a rule.
        "Rules": stack.broken_rules(),
    }


def _resource(resource: Mapping[str, Any], stack: Stack, name: str) -> Document:
    kept = ("Type", "DeletionPolicy", "UpdateReplacePolicy")
    declared = {member: resource[member] for member in kept if member in resource}
    return {**declared, **stack.properties(name)}
