"""Policy templates by Jinja2, loaded where a template is not ready: to import it and to compile one
takes a third of a cold start."""

from __future__ import annotations

from jinja2 import Environment, StrictUndefined, TemplateSyntaxError

from token_service.errors import Misconfiguration
from token_service.grant.policies import escaped, values_of


def _printed(value: object) -> str:
    # str() of an undefined name raises, as StrictUndefined promises.
    if not isinstance(value, str):
        raise TypeError(f"a template may print text only, not {type(value).__name__}: {value}")
    return escaped(value)


_ENVIRONMENT = Environment(
    undefined=StrictUndefined,
    finalize=_printed,
    autoescape=False,  # noqa: S701 - `finalize` escapes for JSON, what is rendered here
    auto_reload=False,
)


class CompiledTemplate:
    """A template that Jinja2 has compiled."""

    def __init__(self, text: str, file: str, variable: str) -> None:
        """Compile. Raises Misconfiguration of the variable that names the file."""
        self._file = file
        try:
            self._template = _ENVIRONMENT.from_string(text)
        except TemplateSyntaxError as error:
            fault = f"{file}, line {error.lineno}: {error.message}"
            raise Misconfiguration(variable, fault) from None

    def render(self, bucket: str, prefix: str, object_key: str | None) -> str:
        """Print the values into it. Raises PolicyError."""
        try:
            return self._template.render(values_of(bucket, prefix, object_key))
        except Exception as error:  # noqa: BLE001 - a template is code, and may raise anything
            from token_service.grant.template_faults import failed

            raise failed(self._file, error) from None
