"""Renders policy templates with Jinja2. This module is loaded only for templates that are not
rendered in advance, because importing Jinja2 and compiling take a third of a cold start."""

from __future__ import annotations

from collections.abc import Callable

from jinja2 import Environment, StrictUndefined, TemplateSyntaxError

from token_service.errors import Misconfiguration
from token_service.grant.policies import escaped, values_of


def _printed(value: object) -> str:
    """Escape a value for JSON. Only text may be printed."""
    # The message converts `value` to text. For an undefined name, this raises UndefinedError.
    if not isinstance(value, str):
        raise TypeError(f"a template may print text only, not {type(value).__name__}: {value}")
    return escaped(value)


# Jinja2 calls `finalize` for every value that a template prints. Here it escapes for JSON.
_ENVIRONMENT = Environment(undefined=StrictUndefined, finalize=_printed, autoescape=False)  # noqa: S701


def compiled(text: str, file: str, variable: str) -> Callable[[str, str, str | None], str]:
    """Compile a template into a function that renders it or raises PolicyError. If the template
    has a fault, raise Misconfiguration for `variable`, which names the file."""
    try:
        template = _ENVIRONMENT.from_string(text)
    except TemplateSyntaxError as error:
        raise Misconfiguration(variable, f"{file}, line {error.lineno}: {error.message}") from None

    def render(bucket: str, prefix: str, object_key: str | None) -> str:
        try:
            return template.render(values_of(bucket, prefix, object_key))
        except Exception as error:  # noqa: BLE001 - a template is code, and may raise anything
            from token_service.grant.template_faults import failed

            raise failed(file, error) from None

    return render
