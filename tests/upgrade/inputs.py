"""The inputs of deployments of b291437: environments, parameters and requests.

All inputs are in b291437/ and never change, because they stand for existing deployments.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

from ops import dotenv
from ros_stack import Stack
from tests.upgrade import serverless

OLD = Path(__file__).parent / "b291437"

Env = dict[str, str]

DOTENV = ("minimal", "anonymous", "full", "callbacks", "jwks_file", "jwks_url", "broken")
"""The deployments that were made with s.yaml and a .env."""
BY_HAND = ("by_hand",)
"""The deployments with variables that were set in the console, as docs/deploy.md describes."""
PARAMETERS: dict[str, dict[str, Any]] = json.loads((OLD / "parameters.json").read_text("utf-8"))
"""The parameters of stacks, by name."""
STACKS = tuple(name for name in PARAMETERS if name != "stack_without_function")
"""The stacks that have a function."""
NAMES = (*DOTENV, *BY_HAND, *STACKS)

REQUEST_ID = "1-6740c5a0-1b2c3d4e-5f6071829304"


def dotenv_of(name: str) -> Env:
    """The variables of the .env with this name. For the name "", there are no variables."""
    path = OLD / "environments" / f"{name}.env"
    return dotenv.parse(path.read_text("utf-8")) if name else {}


def environment(name: str, folder: Path = OLD) -> Env:
    """The function's environment, which depends on the s.yaml or template.yml of `folder`.

    `folder` is OLD for the old files of the deployment, or ROOT for the new files.
    """
    platform = dotenv.parse((OLD / "platform.env").read_text("utf-8"))
    if name in BY_HAND:
        return {**platform, **dotenv_of(name)}
    if name in STACKS:
        stack = stack_of(template(folder), PARAMETERS[name])
        return {**platform, **stack.properties("Function")["EnvironmentVariables"]}
    text = (folder / "s.yaml").read_text("utf-8")
    made = serverless.function_variables(serverless.rendered(text, dotenv_of(name)))
    return {**platform, **made}


@functools.cache
def template(folder: Path) -> dict[str, Any]:
    """template.yml of OLD or ROOT, parsed once. Do not change the result."""
    found: dict[str, Any] = yaml.safe_load((folder / "template.yml").read_text("utf-8"))
    return found


def stack_of(template: Mapping[str, Any], parameters: Mapping[str, Any]) -> Stack:
    """A stack with these parameters. Parameters that the template no longer has are left out."""
    known = {name: value for name, value in parameters.items() if name in template["Parameters"]}
    return Stack(template, **known)


def events(name: str) -> list[dict[str, Any]]:
    """The requests that are sent to a deployment, in their order."""
    found = json.loads((OLD / "events.json").read_text("utf-8"))
    return [event for event in found if name in event["in"]]


def route(event: dict[str, Any]) -> str:
    """The name of an event's route in the ids of docs/upgrade.md. If a route has several paths,
    all ids name the same path."""
    path = event["path"].rstrip("/") or "/"
    return {"/sts": "/", "/oss/callback": "/callback"}.get(path, path)


def fc_event(event: dict[str, Any]) -> dict[str, Any]:
    """An event in the form of Function Compute 3.0."""
    made: dict[str, Any] = json.loads((OLD / "fc_event.json").read_text("utf-8"))
    method = event.get("method", "GET")
    made["rawPath"] = event["path"]
    made["requestContext"]["http"].update(method=method, path=event["path"])
    made["headers"].update(event.get("headers", {}))
    made["queryParameters"] = event.get("query", {})
    made["body"] = event.get("body", "")
    return made


def environ(event: dict[str, Any]) -> dict[str, Any]:
    """An event in the form of Function Compute 2.0 (PEP 3333); runner.py fills in the streams."""
    made: dict[str, Any] = {
        "REQUEST_METHOD": event.get("method", "GET"),
        "SCRIPT_NAME": "",
        "PATH_INFO": event["path"],
        "QUERY_STRING": urlencode(event.get("query", {})),
        "HTTP_HOST": "1234567890123456.cn-hangzhou.fc.aliyuncs.com",
        "CONTENT_LENGTH": str(len(event.get("body", "").encode())),
        "wsgi.input": event.get("body", ""),
        "fc.request_uri": event["path"],
        "request id": REQUEST_ID,
    }
    for header, value in event.get("headers", {}).items():
        upper = header.upper().replace("-", "_")
        made["CONTENT_TYPE" if upper == "CONTENT_TYPE" else f"HTTP_{upper}"] = value
    return made
