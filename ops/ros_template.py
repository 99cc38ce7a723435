"""Checks offline whether ROS would accept a template.

This module checks parameters, references, conditions and groups by the vendor's documentation of
templates. It checks resources by the vendor's specifications (ros_specifications.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ops.ros_specifications import Property, Specifications

MAX_BYTES = 524_288
"""The limit on a template (vendor documentation of CreateStack)."""

_PSEUDO = frozenset(
    f"ALIYUN::{name}"
    for name in "AccountId NoValue Region ResourceGroupId StackId StackName TenantId".split()
)
_RESOURCE_MEMBERS = frozenset(
    "Type Properties Condition DependsOn DeletionPolicy Metadata Count".split()
)
_PARAMETER_MEMBERS = frozenset(
    "Type Default AllowedValues AllowedPattern MinLength MaxLength MinValue MaxValue NoEcho "
    "Description Label ConstraintDescription Confirm Required AssociationProperty "
    "AssociationPropertyMetadata".split()
)
_PARAMETER_TYPES: dict[str, type | tuple[type, ...]] = {
    "String": str,
    "Number": (int, float),
    "Boolean": bool,
    "CommaDelimitedList": str,
    "Json": (dict, list),
}
_PLAIN: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "number": (int, float),
    "boolean": bool,
    "list": list,
    "map": dict,
    "struct": dict,
}


def faults(template: Mapping[str, Any], size: int, known: Specifications) -> list[str]:
    """Return the faults of a template of `size` bytes, each with its place, or [] if there are no
    faults.

    Intrinsic functions are not computed. But the references in intrinsic functions are checked, and
    both choices of an Fn::If are checked too.
    """
    return list(_Checker(template, known).check(size))


class _Checker:
    def __init__(self, template: Mapping[str, Any], known: Specifications) -> None:
        self._known = known
        self._template = template
        self._parameters = template.get("Parameters", {})
        self._conditions = template.get("Conditions", {})
        self._resources = template.get("Resources", {})
        self._used: set[str] = set()

    def check(self, size: int) -> Iterator[str]:
        if size > MAX_BYTES:
            yield f"the template has {size} bytes, but ROS accepts at most {MAX_BYTES}"
        for name, parameter in self._parameters.items():
            yield from self._parameter(f"Parameters.{name}", parameter)
        yield from self._interface()
        for section in ("Conditions", "Rules"):
            yield from self._references(section, self._template.get(section, {}), frozenset())
        for name, resource in self._resources.items():
            yield from self._resource(f"Resources.{name}", resource)
        for name, output in self._template.get("Outputs", {}).items():
            yield from self._texts(f"Outputs.{name}", output)
            yield from self._references(
                f"Outputs.{name}", output.get("Value"), self._holding(output)
            )
            yield from self._condition(f"Outputs.{name}", output.get("Condition"))
        yield from self._cycles()
        for name in [*self._parameters, *self._conditions]:
            if name not in self._used:
                yield f"{name}: nothing uses it"

    def _parameter(self, place: str, parameter: Mapping[str, Any]) -> Iterator[str]:
        for member in parameter.keys() - _PARAMETER_MEMBERS:
            yield f"{place}: unknown member {member}"
        yield from self._texts(place, parameter)
        wanted = _PARAMETER_TYPES.get(parameter.get("Type", ""))
        if wanted is None:
            yield f"{place}.Type: must be one of {', '.join(_PARAMETER_TYPES)}"
        # null means no value. If a value is needed, a rule of the template requires it.
        elif parameter.get("Default") is not None:
            yield from self._default(place, parameter, wanted)

    def _default(
        self, place: str, parameter: Mapping[str, Any], wanted: type | tuple[type, ...]
    ) -> Iterator[str]:
        default = parameter["Default"]
        if not _is(default, wanted):
            yield f"{place}.Default: not a {parameter['Type']}"
        elif not (
            default in parameter.get("AllowedValues", [default])
            and re.search(parameter.get("AllowedPattern", ""), str(default))
            and parameter.get("MinValue", default) <= default <= parameter.get("MaxValue", default)
            and len(str(default)) <= parameter.get("MaxLength", 10**6)
        ):
            yield f"{place}.Default: the parameter does not accept this value"

    def _texts(self, place: str, described: Mapping[str, Any]) -> Iterator[str]:
        for member in ("Label", "Description"):
            if not _is_in_both_languages(described.get(member)):
                yield f"{place}.{member}: must have texts in en and zh-cn"

    def _interface(self) -> Iterator[str]:
        interface = self._template.get("Metadata", {}).get("ALIYUN::ROS::Interface", {})
        shown = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]
        for name in {*shown, *self._parameters}:
            if name not in self._parameters or shown.count(name) != 1:
                yield f"Metadata: {name} must be a parameter that is in one group"
        for group in interface["ParameterGroups"]:
            if not _is_in_both_languages(group["Label"]["default"]):
                yield f"Metadata: the label {group['Label']['default']} must be in en and zh-cn"
        outputs, listed = self._template.get("Outputs", {}), interface.get("Outputs", [])
        for name in {*listed, *outputs}:
            if name not in outputs or listed.count(name) != 1:
                yield f"Metadata: {name} must be an output that is listed once"

    def _resource(self, place: str, resource: Mapping[str, Any]) -> Iterator[str]:
        for member in resource.keys() - _RESOURCE_MEMBERS:
            yield f"{place}: unknown member {member}"
        type_name = resource.get("Type", "")
        if type_name not in self._known.resources:
            yield f"{place}: unknown type {type_name}"
            return
        yield from self._condition(place, resource.get("Condition"))
        holding = self._holding(resource)
        for name in _listed(resource.get("DependsOn")):
            yield from self._target(f"{place}.DependsOn", name, None, holding)
        properties = resource.get("Properties", {})
        yield from self._references(place, properties, holding)
        known = self._known.resources[type_name].properties
        yield from self._struct(place, properties, known)

    def _struct(
        self, place: str, given: Mapping[str, Any], known: Mapping[str, Property]
    ) -> Iterator[str]:
        for name in given.keys() - known.keys():
            yield f"{place}: unknown property {name}"
        for name, wanted in known.items():
            if name in given:
                yield from self._value(f"{place}.{name}", given[name], wanted)
            elif wanted.required:
                yield f"{place}: missing property {name}"

    def _value(self, place: str, value: Any, wanted: Property) -> Iterator[str]:
        name, arguments = _function(value)
        if name == "Fn::If":
            for branch in arguments[1:]:
                yield from self._value(place, branch, wanted)
            return
        if name or wanted.kind == "any":
            return
        kinds = _PLAIN[wanted.kind]
        if not _is(value, kinds):
            yield f"{place}: must be a {wanted.kind}"
            return
        if wanted.allowed and value not in wanted.allowed:
            yield f"{place}: must be one of {', '.join(wanted.allowed)}"
        if wanted.bounds:
            measured = len(value) if wanted.bounds_length else value
            if not wanted.bounds[0] <= measured <= wanted.bounds[1]:
                yield f"{place}: must be between {wanted.bounds[0]:g} and {wanted.bounds[1]:g}"
        if wanted.kind == "struct":
            yield from self._struct(place, value, self._known.structs[wanted.struct])
        elif wanted.inner is not None:
            pairs = value.items() if isinstance(value, dict) else enumerate(value)
            for key, item in pairs:
                yield from self._value(f"{place}.{key}", item, wanted.inner)

    def _references(self, place: str, value: Any, holding: frozenset[str]) -> Iterator[str]:
        """Check references. `holding` has the conditions that are true at this place."""
        name, arguments = _function(value)
        if name == "Ref":
            yield from self._target(place, arguments, None, holding)
        elif name == "Fn::GetAtt":
            yield from self._target(place, arguments[0], arguments[1], holding)
        elif name in ("Fn::And", "Fn::Or", "Fn::Not"):
            for each in _listed(arguments):
                if isinstance(each, str):
                    yield from self._condition(place, each)
                else:
                    yield from self._references(place, each, holding)
        elif name == "Fn::If":
            yield from self._condition(place, arguments[0])
            yield from self._references(place, arguments[1], holding | self._all_of(arguments[0]))
            yield from self._references(place, arguments[2], holding)
        elif name == "Fn::Sub":
            text, own = arguments if isinstance(arguments, list) else (arguments, {})
            for target in re.findall(r"\$\{([\w:.]+)\}", text):
                if target not in own:
                    resource, _, attribute = target.partition(".")
                    yield from self._target(place, resource, attribute or None, holding)
            yield from self._references(place, own, holding)
        elif isinstance(value, dict):
            for key, item in value.items():
                yield from self._references(f"{place}.{key}", item, holding)
        elif isinstance(value, list):
            for number, item in enumerate(value):
                yield from self._references(f"{place}.{number}", item, holding)

    def _target(
        self, place: str, name: str, attribute: str | None, holding: frozenset[str]
    ) -> Iterator[str]:
        self._used.add(name)
        if name in self._parameters or name in _PSEUDO:
            if attribute is not None:
                yield f"{place}: {name} has no attributes"
        elif name not in self._resources:
            yield f"{place}: there is no {name}"
        else:
            target = self._resources[name]
            known = self._known.resources.get(target.get("Type", ""))
            if attribute is not None and known and attribute not in known.attributes:
                yield f"{place}: {name} has no attribute {attribute}"
            if not self._holding(target) <= holding:
                yield f"{place}: {name} exists only if {target['Condition']} is true"

    def _condition(self, place: str, name: str | None) -> Iterator[str]:
        if name is not None:
            self._used.add(name)
            if name not in self._conditions:
                yield f"{place}: there is no condition {name}"

    def _holding(self, conditional: Mapping[str, Any]) -> frozenset[str]:
        name = conditional.get("Condition")
        return frozenset() if name is None else self._all_of(name)

    def _all_of(self, name: str) -> frozenset[str]:
        """Return the name of a condition. If the condition is an Fn::And, also return the names of
        the conditions that it combines, because all of them must be true."""
        both = self._conditions.get(name, {}).get("Fn::And", [])
        return frozenset([name]).union(*(self._all_of(each) for each in both if type(each) is str))

    def _cycles(self) -> Iterator[str]:
        needs = {
            name: {*_targets(resource.get("Properties", {})), *_listed(resource.get("DependsOn"))}
            & self._resources.keys()
            for name, resource in self._resources.items()
        }
        while free := [name for name, needed in needs.items() if not needed & needs.keys()]:
            for name in free:
                del needs[name]
        if needs:
            yield f"Resources: {', '.join(sorted(needs))} depend on each other"


def _is_in_both_languages(text: Any) -> bool:
    return isinstance(text, dict) and {"en", "zh-cn"} <= text.keys()


def _function(value: Any) -> tuple[str, Any]:
    """Return a value's intrinsic function and its arguments, or ("", None) if the value has no
    function."""
    if isinstance(value, dict) and len(value) == 1:
        name, arguments = next(iter(value.items()))
        if name == "Ref" or str(name).startswith("Fn::"):
            return name, arguments
    return "", None


def _targets(value: Any) -> Iterator[str]:
    name, arguments = _function(value)
    if name == "Ref":
        yield arguments
    elif name == "Fn::GetAtt":
        yield arguments[0]
    elif isinstance(value, dict):
        for item in value.values():
            yield from _targets(item)
    elif isinstance(value, list):
        for item in value:
            yield from _targets(item)


def _is(value: Any, kinds: type | tuple[type, ...]) -> bool:
    # In Python a bool is a number.
    return isinstance(value, kinds) and (kinds is bool or not isinstance(value, bool))


def _listed(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]
