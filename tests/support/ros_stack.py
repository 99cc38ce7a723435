"""Simulates the stack that ROS makes from a template, with computed values and with roles for the
sandbox.

This supports only what our templates use: Ref, Fn::GetAtt, Fn::Sub, Fn::Join, Fn::If, Fn::Split,
Fn::Replace, conditions and rules.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from sandbox.identities import Role
from sandbox.ram import Policy

ACCOUNT = "1234567890123456"
REGION = "cn-hangzhou"
URL = "https://sts-token-abcdefghij.cn-hangzhou.fcapp.run"

EVERYTHING = {
    "PolicyFile": "bucket_read_write_policy",
    "MultipartSecret": "m" * 32,
    "CallbackUrl": "https://uploads.example.com/callback",
    "CallbackSecret": "c" * 32,
}
"""Parameters that switch on all features of the function, so its roles have all rights."""

_NO_VALUE = object()


def statements_of(template: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The statements of a role, as they are written in a template. They may contain Fn::If."""
    found: list[dict[str, Any]]
    found, *_ = _found("Statement", template["Resources"][name]["Properties"]["Policies"])
    return found


def _found(member: str, value: Any) -> list[Any]:
    if isinstance(value, list):
        return [one for item in value for one in _found(member, item)]
    if not isinstance(value, dict):
        return []
    if member in value:
        return [value[member]]
    return [one for item in value.values() for one in _found(member, item)]


class Stack:
    """The resources of a template with these parameters. `parameters` must have a value for each
    parameter of the template that has no default."""

    def __init__(self, template: Mapping[str, Any], **parameters: object) -> None:
        self._resources: dict[str, Any] = template["Resources"]
        self._conditions: dict[str, Any] = template["Conditions"]
        self._outputs: dict[str, Any] = template["Outputs"]
        self._rules: dict[str, Any] = template["Rules"]
        unknown = parameters.keys() - template["Parameters"].keys()
        assert not unknown, unknown
        self._values: dict[str, Any] = {
            "ALIYUN::Region": REGION,
            "ALIYUN::TenantId": ACCOUNT,
            "ALIYUN::NoValue": _NO_VALUE,
            **{
                name: parameters.get(name, parameter.get("Default"))
                for name, parameter in template["Parameters"].items()
            },
        }

    def properties(self, name: str) -> dict[str, Any]:
        """The properties of a resource. Functions like Ref and Fn::Sub are replaced by their
        values."""
        assert name in self, name
        found: dict[str, Any] = self._value(self._resources[name].get("Properties", {}))
        return found

    def __contains__(self, name: str) -> bool:
        condition = self._resources[name].get("Condition")
        return condition is None or self._holds(condition)

    def policies(self, role: str) -> list[dict[str, Any]]:
        """The documents of all policies that the stack gives a role."""
        found = self.properties(role)
        policies = [policy["PolicyDocument"] for policy in found.get("Policies", [])]
        for other, resource in self._resources.items():
            if resource["Type"] == "ALIYUN::RAM::ManagedPolicy" and other in self:
                attached = self.properties(other)
                if found["RoleName"] in attached["Roles"]:
                    policies.append(attached["PolicyDocument"])
        return policies

    def role(self, name: str) -> Role:
        """A role with all policies that the stack gives it. The role trusts the names in
        Principal.RAM."""
        found = self.properties(name)
        trusted = [
            arn
            for statement in found["AssumeRolePolicyDocument"]["Statement"]
            for arn in statement["Principal"].get("RAM", [])
        ]
        return Role(
            self._attribute(name, "Arn"),
            tuple(trusted),
            tuple(Policy.parse(json.dumps(policy)) for policy in self.policies(name)),
            found.get("MaxSessionDuration", 3600),
        )

    def outputs(self) -> dict[str, Any]:
        """The outputs that the console shows when the stack is made."""
        return {
            name: self._value(output["Value"])
            for name, output in self._outputs.items()
            if "Condition" not in output or self._holds(output["Condition"])
        }

    def broken_rules(self) -> list[str]:
        """The messages that the console shows if it refuses the parameters."""
        return [
            assertion["AssertDescription"]
            for rule in self._rules.values()
            if self._holds(rule["RuleCondition"])
            for assertion in rule["Assertions"]
            if not self._holds(assertion["Assert"])
        ]

    def _value(self, value: Any) -> Any:
        if isinstance(value, list):
            computed_items = map(self._value, value)
            return [item for item in computed_items if item is not _NO_VALUE]
        if not isinstance(value, dict):
            return value
        name = next(iter(value), "")
        if name == "Ref":
            return self._values[value[name]]
        if str(name).startswith("Fn::"):
            return getattr(self, "_" + name[4:].lower())(value[name])
        computed = {key: self._value(item) for key, item in value.items()}
        return {key: item for key, item in computed.items() if item is not _NO_VALUE}

    def _getatt(self, arguments: list[str]) -> str:
        return self._attribute(*arguments)

    def _attribute(self, name: str, attribute: str) -> str:
        found = self.properties(name)
        known = {
            "FunctionRole.Arn": f"acs:ram::{ACCOUNT}:role/{found.get('RoleName')}",
            "UploadRole.Arn": f"acs:ram::{ACCOUNT}:role/{found.get('RoleName')}",
            "Bucket.Name": found.get("BucketName"),
            "Function.ARN": f"acs:fc:{REGION}:{ACCOUNT}:functions/{found.get('FunctionName')}",
            "HttpTrigger.UrlInternet": URL,
        }
        value = known.get(f"{name}.{attribute}", found.get(attribute))
        assert isinstance(value, str), (name, attribute)
        return value

    def _sub(self, arguments: Any) -> str:
        text, own = arguments if isinstance(arguments, list) else (arguments, {})
        values = {**self._values, **self._value(own)}
        return re.sub(r"\$\{([\w:]+)\}", lambda match: str(values[match[1]]), text)

    def _join(self, arguments: list[Any]) -> str:
        return str(arguments[0]).join(self._value(arguments[1]))

    def _split(self, arguments: list[Any]) -> list[str]:
        return str(self._value(arguments[1])).split(arguments[0])

    def _replace(self, arguments: list[Any]) -> str:
        text = str(self._value(arguments[1]))
        for old, new in arguments[0].items():
            text = text.replace(old, new)
        return text

    def _if(self, arguments: list[Any]) -> Any:
        chosen = arguments[1] if self._holds(arguments[0]) else arguments[2]
        return self._value(chosen)

    def _holds(self, condition: Mapping[str, Any] | str) -> bool:
        if isinstance(condition, str):
            return self._holds(self._conditions[condition])
        name, arguments = next(iter(condition.items()))
        if name == "Fn::Not":
            return not self._holds(arguments)
        if name in ("Fn::And", "Fn::Or"):
            return {"Fn::And": all, "Fn::Or": any}[name](map(self._holds, arguments))
        assert name == "Fn::Equals", name
        one, other = self._value(arguments)
        return bool(one == other)
