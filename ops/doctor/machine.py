"""Checks of this machine: its programs and its clock."""

from __future__ import annotations

import importlib.util
import shutil

from ops.byte_code import compiler
from ops.doctor.patient import Patient
from ops.package import PackageError
from ops.report import Finding, failed, passed, skipped, warned
from ops.smoke import contract, wire


def python(patient: Patient) -> Finding:
    """The version of the Python that runs this check. The deployed function runs on the Python of
    its runtime."""
    version = ".".join(map(str, patient.python))
    if patient.python < (3, 10):
        return failed(f"{version}: must be 3.10 or newer")
    return passed(f"{version}; the function runs on 3.10")


def pip(patient: Patient) -> Finding:  # noqa: ARG001 - checks have one signature
    """Whether pip is installed, which `make build` needs to fetch packages."""
    if importlib.util.find_spec("pip") is None:
        return failed("missing: `make build` needs it; run `python3 -m ensurepip`")
    return passed()


def make(patient: Patient) -> Finding:
    """Whether make is installed, which s.yaml needs for the build."""
    found = shutil.which("make", path=patient.shell.get("PATH", ""))
    return passed() if found else failed("missing: s.yaml needs it; run `apt-get install make`")


def byte_code(patient: Patient) -> Finding:  # noqa: ARG001 - checks have one signature
    """Whether the package will have byte code. `make build` reports this too, but people often
    discard its output, as with `s deploy -y >/dev/null`."""
    try:
        found, why = compiler()
    except PackageError as error:
        return failed(str(error))
    if found is None:
        return warned(f"the package will have no byte code, so each cold start takes longer: {why}")
    return passed(f"compiled by Python {found.version}")


def clock(patient: Patient) -> Finding:
    """Whether the clock agrees with the clock of STS. STS refuses signatures with a wrong time."""
    endpoint = patient.settings.sts_endpoint
    address = wire.Address(endpoint.scheme, endpoint.host, endpoint.port, "")
    try:
        reply = wire.send(address, wire.Call("GET", "/"))
    except wire.NoAnswer as error:
        return skipped(f"not checked: {endpoint}: {error}")
    seconds = contract.http_date(reply.header("Date"))
    if seconds is None:
        return skipped(f"not checked: the answer of {endpoint} has no Date")
    fault = contract.skew_fault(f"the Date of {endpoint}", seconds, reply)
    return failed(f"{fault}; STS refuses signatures with a wrong time") if fault else passed()
