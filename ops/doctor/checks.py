"""All checks, in the order in which they are printed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from pathlib import Path

from ops.doctor import domain, logins, logs_of_s, machine, oss, rights, serverless_devs, variables
from ops.doctor.patient import Patient, read
from ops.report import Check, Finding, skipped

ASKING_SECONDS = 5.0
"""The time limit for the checks that send requests. These checks run at the same time, and `s
deploy` waits for them."""

_Judge = Callable[[Patient], Finding]


def examine(shell: Mapping[str, str], folder: Path) -> list[Check]:
    """Run every check; `folder` is the checkout, with .env and s.yaml. Never raises."""
    patient = read(shell, folder)
    # The checks that send requests run in threads, at the same time as all other checks.
    asked = {check: _begun(check, patient) for check in _ASKING}
    found = {check: check(patient) for _, check in _CHECKS if check not in asked}
    wait(asked.values(), ASKING_SECONDS)
    found.update({check: _answer(future) for check, future in asked.items()})
    return [Check(name, found[check]) for name, check in _CHECKS]


def _begun(check: _Judge, patient: Patient) -> Future[Finding]:
    """Run the check in a daemon thread, because a name look-up has no timeout."""
    future = Future[Finding]()

    def work() -> None:
        try:
            future.set_result(check(patient))
        except Exception as error:  # noqa: BLE001 - raised again when the result is read
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return future


def _answer(future: Future[Finding]) -> Finding:
    if future.done():
        return future.result()
    return skipped(f"not checked: no answer within {ASKING_SECONDS:g} s")


_ASKING: tuple[_Judge, ...] = (machine.byte_code, logins.logins, machine.clock, oss.endpoints)
_CHECKS: tuple[tuple[str, _Judge], ...] = (
    ("Python", machine.python),
    ("byte code", machine.byte_code),
    ("pip", machine.pip),
    ("make", machine.make),
    ("s CLI", serverless_devs.cli),
    ("s access", serverless_devs.access),
    ("deploy key", serverless_devs.rights_of_key),
    ("s logs", logs_of_s.logs_of_s),
    ("env file", serverless_devs.env_file),
    ("names", variables.names),
    ("runtime", variables.runtime),
    ("instances", variables.instances),
    ("region", oss.region),
    ("endpoints", oss.endpoints),
    ("own calls", oss.own_calls),
    ("own domain", domain.own_domain),
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
