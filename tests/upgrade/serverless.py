"""Renders s.yaml as Serverless Devs does, but without Node.js.

It supports `${env('NAME', fallback)}`, `${config('AccountID')}` and `${vars.name}`, joined by `+`,
`&&`, `||`, `!==` and `* 1`. It also supports a resource that extends a template.
tests/deploy/test_serverless_devs.py compares the result with the real command line.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Mapping
from typing import Any

import yaml

from serverless_devs import ACCOUNT

_EXPRESSION = r"\$\{([^{}]*)\}"


def rendered(text: str, variables: Mapping[str, str]) -> dict[str, Any]:
    """Return what an s.yaml says, filled in with these environment variables. A resource that
    extends a template gets the properties of the template. `vars` and `template` are removed.

    Raises ValueError for an unknown expression, and if a variable that must be set is missing.
    """
    document = _parsed(text)
    names = _evaluated(document.get("vars", {}), variables, {})
    found: dict[str, Any] = _evaluated(document, variables, names)
    templates = found.pop("template", {})
    found.pop("vars", None)
    for resource in found["resources"].values():
        if "extend" in resource:
            template = templates[resource.pop("extend")["name"]]
            resource["props"] = {**template, **resource["props"]}
    return found


def function_variables(document: Mapping[str, Any]) -> dict[str, str]:
    """The environment that a rendered s.yaml gives its only function."""
    (resource,) = document["resources"].values()
    found: dict[str, str] = resource["props"]["environmentVariables"]
    return found


@functools.lru_cache(maxsize=4)
def _parsed(text: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def _evaluated(value: Any, variables: Mapping[str, str], names: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _evaluated(item, variables, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_evaluated(item, variables, names) for item in value]
    if not isinstance(value, str):
        return value
    whole = re.fullmatch(_EXPRESSION, value)
    if whole:
        # If the whole value is one expression, the result keeps its type. For example, a number
        # stays a number.
        return _Evaluator(variables, names).text(whole[1])
    return re.sub(
        _EXPRESSION, lambda found: str(_Evaluator(variables, names).text(found[1])), value
    )


class _Evaluator:
    def __init__(self, variables: Mapping[str, str], names: Mapping[str, Any]) -> None:
        self._variables = variables
        self._names = names

    def text(self, javascript: str) -> Any:
        python = javascript.replace("&&", " and ").replace("||", " or ").replace("!==", "!=")
        try:
            return self._value(ast.parse(python.strip(), mode="eval").body)
        except SyntaxError:
            raise ValueError(f"this expression is not supported here: {javascript}") from None

    def _value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant():
                return node.value
            case ast.Attribute(value=ast.Name(id="vars"), attr=name):
                return self._names[name]
            case ast.Call(func=ast.Name(id="config"), args=[ast.Constant(value="AccountID")]):
                return ACCOUNT
            case ast.Call(func=ast.Name(id="env"), args=[ast.Constant(value=str(name)), *fallback]):
                # An empty variable counts as not set (seen with the real command line).
                if self._variables.get(name):
                    return self._variables[name]
                if not fallback:
                    raise ValueError(f"{name} is not set, and has no fallback")
                return self._value(fallback[0])
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._value(left) + self._value(right)
            case ast.BinOp(left=left, op=ast.Mult(), right=ast.Constant(value=1)):
                return int(self._value(left))
            case ast.BoolOp(op=ast.And(), values=[left, right]):
                return self._value(left) and self._value(right)
            case ast.BoolOp(op=ast.Or(), values=[left, right]):
                return self._value(left) or self._value(right)
            case ast.Compare(left=left, ops=[ast.NotEq()], comparators=[right]):
                return bool(self._value(left) != self._value(right))
        raise ValueError(f"this expression is not supported here: {ast.unparse(node)}")
