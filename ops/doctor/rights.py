"""Checks what tokens may do, and which rights the two roles need for it."""

from __future__ import annotations

import os
import re

from ops import policies_described, rights
from ops import roles as by_hand
from ops.doctor.patient import Patient
from ops.report import Finding, failed, judged, passed, skipped, warned
from token_service.errors import Misconfiguration, PolicyError
from token_service.grant import grants
from token_service.grant.policies import MAX_CHARACTERS, Policies
from token_service.login import callers


def policies(patient: Patient) -> Finding:
    """Each policy, rendered for a user id of the maximum length."""
    wrong, settings = patient.faults_of("POLICY_"), patient.settings
    if wrong:
        return judged(wrong)
    caller = callers.named("u" * 64) if settings.auth.names_callers else callers.ANONYMOUS
    longest = ", with the longest user id" if settings.auth.names_callers else ""
    sizes = []
    try:
        policies = Policies(settings.policy_choices)
        for name in settings.policy_choices:
            policy = policies.render(grants.decide(caller, {"policy": name}, settings))
            sizes.append(f"{os.path.basename(name)} {len(policy):,}")  # noqa: PTH119
    except (Misconfiguration, PolicyError) as error:
        return failed(error.message)
    elsewhere = [name for name in settings.policy_choices if "/" in name and not _is_packed(name)]
    if elsewhere:
        return failed(
            f"{elsewhere[0]} is not in the package: put it into policies/, and write "
            "policies/<file> in the variable"
        )
    detail = f"{', '.join(sizes)} of {MAX_CHARACTERS:,} characters{longest}"
    described = policies_described.bundled()
    for name in settings.policy_choices:
        if name in described and not described[name].is_confined:
            return warned(f"{name} allows everything that the upload role may do; {detail}")
    return passed(detail)


def _is_packed(name: str) -> bool:
    """Whether make build puts a policy's file into the package."""
    return re.fullmatch(r"policies/[^/]+\.(j2|txt)", name) is not None


def roles(patient: Patient) -> Finding:
    """The rights that the two roles need. This check cannot read the roles. So the operator has to
    compare the roles with these rights."""
    settings, variables = patient.settings, patient.variables
    if patient.faults_of("POLICY_", "BUCKET_NAME", "OBJECT_PREFIX"):
        return skipped("not known: set a valid BUCKET_NAME and policy first")
    try:
        needed, options = by_hand.needed(settings, variables)
    except (Misconfiguration, PolicyError) as error:
        if isinstance(error, Misconfiguration) and error.variable.startswith("LOG_"):
            return failed(error.message)
        return skipped("not known: a policy is wrong")
    of_tokens = [rights.said(needed.upload_role, options)] if needed.upload_role else []
    for name in needed.unbounded:
        of_tokens.append(f"each right that {os.path.basename(name)} should give")  # noqa: PTH119
    return passed(
        "`make roles` prints the rights in full: the function role needs "
        f"{rights.said(needed.function_role, options) or 'nothing'}. "
        f"The upload role needs {'; '.join(of_tokens) or 'nothing'}"
    )
