"""Checks the variables that no other module here checks, and the size of all variables."""

from __future__ import annotations

import re

from ops import misspelt
from ops.doctor.patient import LOGINS, Patient, passed_on
from ops.report import Finding, failed, judged, passed, warned
from token_service import warnings
from token_service.settings.values import ROUTE_WORDS

SURE_INSTANCES = 100
"""The number of instances that an account may have in a region. The vendor also names 300."""
MAX_VARIABLES_BYTES = 4096
"""The limit for the names and values of all variables of a function (vendor documentation)."""


def names(patient: Patient) -> Finding:
    """Looks for variables that nothing reads, with names that resemble names of our variables."""
    faults, others = list[str](), list[str]()
    for name, meant in misspelt.find(patient.loaded.variables):
        where = ".env" if name in patient.loaded.names else "the environment"
        text = f"{name} ({where}): nothing reads it; did you mean {meant}?"
        (faults if misspelt.weakens(meant) else others).append(text)
    if faults:
        return failed("; ".join([*faults, *others]))
    return warned("; ".join(others)) if others else passed("no name is misspelt")


def runtime(patient: Patient) -> Finding:
    """Whether RUNTIME is one of the two runtimes of s.yaml."""
    runtime = patient.variables.get("RUNTIME", "python3.10")
    if runtime not in ("python3.10", "custom"):
        return failed(f"RUNTIME={runtime}: must be python3.10 (the default) or custom")
    if runtime == "custom":
        return passed("custom: 100 requests at a time on each instance")
    return passed("python3.10: one request at a time on each instance (RUNTIME=custom: 100)")


def instances(patient: Patient) -> Finding:
    """Whether every new account may have MAX_INSTANCES instances."""
    name = "MAX_INSTANCES"
    value = patient.variables.get(name, "10")
    if not re.fullmatch(r"\s*[0-9]{1,6}\s*", value):
        return failed(f"{name}: must be a whole number, such as 10 (the default)")
    number = int(value)
    if not number:
        return warned(f"{name}=0: the platform would refuse every call")
    if number <= SURE_INSTANCES:
        return passed(
            f"at most {number} instances, which other functions of the account then cannot use"
        )
    return warned(
        f"{name}={number}: one page of the vendor allows {SURE_INSTANCES} instances for all "
        "functions of an account in a region together, and another page allows 300. It is not "
        "verified on the real cloud (assumption 81) which page is right. If the quota is less "
        "than MAX_INSTANCES, `s deploy` fails and sets no limit on instances, so look up the "
        "quota in the console first"
    )


def overwriting(patient: Patient) -> Finding:
    """Whether uploads may replace objects. The operator has to check the bucket's own rule."""
    wrong = patient.faults_of("OVERWRITE")
    if wrong:
        return judged(wrong)
    if patient.variables.get("OVERWRITE") != "no":
        return passed("an upload may replace an existing object")
    return passed(
        "signed URLs and forms cannot replace an object. For tokens, the bucket needs its own rule "
        "(the stack's Overwrite=no), which has no effect in a bucket with versioning. If several "
        "uploads create one object at the same time, more than one may succeed"
    )


def upload_limits(patient: Patient) -> Finding:
    """Whether upload limits are set, and a client with a token can bypass them."""
    settings = patient.settings
    if settings.has_unbound_tokens:
        return warned(warnings.UNBOUND)
    closed = [word for word in ROUTE_WORDS if word not in settings.enabled_routes]
    return passed(f"closed: {', '.join(closed)}" if closed else "no limits; all routes are open")


def others(patient: Patient) -> Finding:
    """What is wrong with the variables that have no check of their own."""
    apart = (
        *("OSS_", "FC_REGION", "ROLE_ARN", "BUCKET_NAME", "OBJECT_PREFIX", "POLICY_"),
        *("CALLER_", "OVERWRITE"),
    )
    wrong = [
        text for name, text in patient.faults.items() if not name.startswith((*apart, *LOGINS))
    ]
    return judged(wrong)


def size(patient: Patient) -> Finding:
    """The size of all variables together."""
    total = sum(len(name.encode()) + len(value.encode()) for name, value in passed_on(patient))
    detail = f"{total} of {MAX_VARIABLES_BYTES} bytes"
    if total > MAX_VARIABLES_BYTES:
        return failed(f"{detail}: more than Function Compute accepts for all variables together")
    return passed(detail)
