"""Checks who may call and how often, and whether somebody could guess the secrets."""

from __future__ import annotations

import contextlib

from ops.doctor.patient import LOGINS, Patient
from ops.entropy import is_weak
from ops.report import Finding, failed, judged, passed, skipped, warned
from token_service.errors import Misconfiguration
from token_service.login.jwks import KeysUnreachable
from token_service.login.jwt import Jwt
from token_service.login.logins import Logins
from token_service.settings.parsing import Reader
from token_service.settings.variables import (
    CALLBACK_SECRET,
    JWT_SECRET,
    MULTIPART_SECRET,
    UPLOAD_HOOK_SECRET,
    UPLOAD_HOOK_URL,
)


def logins(patient: Patient) -> Finding:
    """Whether logins can be verified."""
    wrong, settings = patient.faults_of(*LOGINS), patient.settings
    if wrong:
        return judged(wrong)
    if not isinstance(settings.auth, Jwt):
        return warned("AUTH=anonymous: anyone who knows the URL will get a token")
    try:
        Logins(settings.auth, patient.variables).warm()
    except Misconfiguration as error:
        return failed(error.message)
    except KeysUnreachable as error:
        return warned(f"{error.message} (from this machine)")
    if settings.auth.keys_file and "/" in settings.auth.keys_file:
        return failed(
            "JWT_JWKS_FILE is not in the package: put the file into functions/sts_token, and set "
            "JWT_JWKS_FILE to its name"
        )
    if settings.auth.keys_url:
        return passed(
            "the keys of JWT_JWKS_URL can be fetched; your sign-in server makes the logins"
        )
    if settings.auth.keys_file:
        return passed("JWT_JWKS_FILE has keys; your sign-in server makes the logins")
    return passed("JWT_SECRET is set; `make login CALLER=alice` makes a first login")


def rate_limits(patient: Patient) -> Finding:
    """Whether one caller can use up the limits that all callers share."""
    wrong, settings = patient.faults_of("CALLER_"), patient.settings
    if wrong:
        return judged(wrong)
    if not settings.auth.names_callers:
        return passed("not needed: with AUTH=anonymous all callers count as one")
    off = [
        name
        for name, limit in (
            ("CALLER_TOKENS_PER_MINUTE", settings.caller_tokens_per_minute),
            ("CALLER_URLS_PER_MINUTE", settings.caller_urls_per_minute),
        )
        if not limit
    ]
    if off:
        return warned(
            f"{' and '.join(off)}=0: one caller can use up the limits that all callers share, like "
            "the STS calls of the whole account. For the default limit, leave the value empty"
        )
    return passed(
        f"{settings.caller_tokens_per_minute} new tokens, {settings.caller_urls_per_minute} URLs "
        "and forms per caller and minute"
    )


def secrets(patient: Patient) -> Finding:
    """Whether somebody could guess the secrets.

    Other checks report a variable with a malformed secret.
    """
    used = _used_secrets(patient)
    weak, users = [], dict[bytes, list[str]]()
    for name, secrets in used.items():
        count = sum(is_weak(secret.decode("utf-8", "replace")) for secret in secrets)
        if count:
            weak.append(name if len(secrets) == 1 else f"{name} ({count} of {len(secrets)})")
        for secret in set(secrets):
            users.setdefault(secret, []).append(name)
    shared = [" and ".join(names) for names in users.values() if len(names) > 1]
    faults = []
    if weak:
        faults.append(
            f"{', '.join(weak)}: can be guessed, because the secret is mostly repetitions, runs "
            "(abc, 123) or common words. Make a new secret with `openssl rand -base64 32`"
        )
    if shared:
        faults.append(
            f"{', '.join(shared)} have the same secret, so anyone who learns it can use it for all "
            "of them. Give each variable its own secret"
        )
    if weak:
        return judged(faults)
    if shared:
        return warned(faults[0])
    return passed(", ".join(used)) if used else skipped("the function uses no valid secret")


def _used_secrets(patient: Patient) -> dict[str, tuple[bytes, ...]]:
    """Return the secrets of each variable. A malformed variable is left out."""
    settings, used = patient.settings, []
    if settings.auth.names_callers:
        used.append(JWT_SECRET)
    used.append(MULTIPART_SECRET)
    if settings.has_callbacks:
        used.append(CALLBACK_SECRET)
        if patient.variables.get(UPLOAD_HOOK_URL.name):
            used.append(UPLOAD_HOOK_SECRET)
    found = {}
    for variable in used:
        if patient.variables.get(variable.name):
            with contextlib.suppress(Misconfiguration):
                found[variable.name] = Reader(patient.variables).read(variable)
    return found
