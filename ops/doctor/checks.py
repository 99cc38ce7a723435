"""All checks, in the order in which they are printed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ops.doctor import logins, machine, oss, rights, serverless_devs, variables
from ops.doctor.patient import Patient, read
from ops.report import Check, Finding


def examine(shell: Mapping[str, str], folder: Path) -> list[Check]:
    """Run every check; `folder` is the checkout, with .env and s.yaml. Never raises."""
    patient = read(shell, folder)
    return [Check(name, check(patient)) for name, check in _CHECKS]


_CHECKS: tuple[tuple[str, Callable[[Patient], Finding]], ...] = (
    ("Python", machine.python),
    ("pip", machine.pip),
    ("make", machine.make),
    ("s CLI", serverless_devs.cli),
    ("s access", serverless_devs.access),
    ("env file", serverless_devs.env_file),
    ("names", variables.names),
    ("runtime", variables.runtime),
    ("region", oss.region),
    ("endpoints", oss.endpoints),
    ("own calls", oss.own_calls),
    ("role", oss.role),
    ("bucket", oss.bucket),
    ("policies", rights.policies),
    ("roles", rights.roles),
    ("logins", logins.logins),
    ("rate limits", logins.rate_limits),
    ("overwriting", variables.overwriting),
    ("upload limits", variables.upload_limits),
    ("secrets", logins.secrets),
    ("other variables", variables.others),
    ("variables' size", variables.size),
    ("shell signs", serverless_devs.shell_signs),
    ("clock", machine.clock),
)
