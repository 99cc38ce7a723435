"""This machine: its programs, and its clock."""

from __future__ import annotations

import importlib.util
import shutil

from ops.doctor.patient import Patient
from ops.report import Finding, failed, passed, skipped
from ops.smoke import contract, wire


def python(patient: Patient) -> Finding:
    """It runs this, and nothing of what is deployed."""
    version = ".".join(map(str, patient.python))
    if patient.python < (3, 10):
        return failed(f"{version}: must be 3.10 or newer")
    return passed(f"{version}; the function runs on 3.10")


def pip(patient: Patient) -> Finding:  # noqa: ARG001 - checks have one signature
    """It fetches what `make build` packs."""
    if importlib.util.find_spec("pip") is None:
        return failed("missing: it fetches what the function needs; python3 -m ensurepip")
    return passed()


def make(patient: Patient) -> Finding:
    """s.yaml builds with it."""
    found = shutil.which("make", path=patient.shell.get("PATH", ""))
    return passed() if found else failed("missing: s.yaml builds with it; apt-get install make")


def clock(patient: Patient) -> Finding:
    """Whether it is that of STS, which refuses signatures by a wrong one."""
    endpoint = patient.settings.sts_endpoint
    address = wire.Address(endpoint.scheme, endpoint.host, endpoint.port, "")
    try:
        reply = wire.send(address, wire.Call("GET", "/"))
    except wire.NoAnswer as error:
        return skipped(f"not checked: {endpoint}: {error}")
    seconds = contract.http_date(reply.header("Date"))
    if seconds is None:
        return skipped(f"not checked: {endpoint} says no Date")
    fault = contract.skew_fault(f"the Date of {endpoint}", seconds, reply)
    return failed(f"{fault}; STS refuses signatures by a wrong clock") if fault else passed()
