"""Says what is wrong with a policy template. This module is loaded only for a wrong template."""

from __future__ import annotations

import json
import os

from jinja2 import TemplateError

from token_service.errors import Misconfiguration, PolicyError
from token_service.grant.policies import SUFFIX


def unreadable(
    variable: str, file: str, error: OSError | ValueError, folder: str
) -> Misconfiguration:
    """Say why a file cannot be read; `folder` has the bundled templates."""
    if not isinstance(error, OSError):
        return Misconfiguration(variable, f"{file} must be UTF-8 text")
    bundled = sorted(f.removesuffix(SUFFIX) for f in os.listdir(folder))
    return Misconfiguration(
        variable,
        f"cannot read {file} ({error.strerror}); must be a bundled template "
        f"({', '.join(bundled)}) or the path of a template file",
    )


def failed(name: str, error: Exception) -> PolicyError:
    """Say how a template failed to render."""
    is_told = isinstance(error, (TemplateError, TypeError))
    return PolicyError(f"template {name}: {'' if is_told else type(error).__name__ + ': '}{error}")


def unsound(name: str, text: str, most: int) -> PolicyError:
    """Say why STS would refuse a rendered template; it accepts at most `most` characters."""
    try:
        policy = json.loads(text)
    except (ValueError, RecursionError) as error:
        return PolicyError(f"template {name} does not render to JSON: {error}")
    if not isinstance(policy, dict) or policy.get("Version") != "1" or not policy.get("Statement"):
        return PolicyError(f'template {name} must have "Version": "1" and a Statement')
    size = len(json.dumps(policy, ensure_ascii=False, separators=(",", ":")))
    return PolicyError(f"template {name} renders to {size} characters; STS accepts at most {most}")
