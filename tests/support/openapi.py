"""Reads docs/openapi.yaml for tests: its operations, and a check of their answers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml

FILE = Path(__file__).parents[2] / "docs" / "openapi.yaml"
DOCUMENT: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
COMPONENTS: dict[str, dict[str, Any]] = DOCUMENT["components"]
METHODS = ("get", "post", "head", "options", "put", "patch", "delete", "trace")


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """Return the node. If the node has a `$ref`, return the target of the `$ref`."""
    while "$ref" in node:
        place: Any = DOCUMENT
        for name in node["$ref"].removeprefix("#/").split("/"):
            place = place[name]
        node = place
    return node


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the path, the method (in upper case) and the description of each operation."""
    for path, item in DOCUMENT["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method.upper(), item[method]


def answers(path: str, method: str, status: int) -> dict[str, Any]:
    """The content that an operation documents for an HTTP status: media types and schemas."""
    responses = DOCUMENT["paths"][path][method.lower()]["responses"]
    response = responses.get(str(status), responses["default"])
    content: dict[str, Any] = resolved(response).get("content", {})
    return content


def faults(schema: dict[str, Any], value: object) -> list[str]:
    """Check a value against a schema, and return the faults. A valid value has none."""
    return [error.message for error in _validator(repr(schema)).iter_errors(value)]


@cache
def _validator(schema: str) -> jsonschema_rs.Draft202012Validator:
    # The schema is passed as a text, because a function with @cache needs arguments that can be
    # hashed. The schema refers to the components, so add them.
    document = {**yaml.safe_load(schema), "components": COMPONENTS}
    return jsonschema_rs.Draft202012Validator(document)


def named(name: str) -> dict[str, Any]:
    """The schema of that name."""
    return {"$ref": f"#/components/schemas/{name}"}
