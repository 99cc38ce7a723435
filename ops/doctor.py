"""`python -m ops.doctor` (make doctor): before a deploy, says what is missing or wrong.

The variables are those that a deploy would pass to the function: of the environment, else of .env,
else the catalogue's defaults, as which s.yaml has them too. They are judged by the function's own
settings. Nothing is changed, no value is shown, and nothing is sent but one bare GET to STS (for
its clock) and, with JWT_JWKS_URL, one for the keys. A bucket's own domain is looked up in DNS.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ops import dotenv, misspelt, policies_described, report, rights
from ops.configuration import is_public_in_mainland
from ops.dotenv import Loaded
from ops.entropy import is_weak
from ops.report import Check, Finding, failed, judged, passed, skipped, warned
from ops.smoke import contract, wire
from ops.smoke.wire import unresolved
from token_service import faults, warnings
from token_service.app import ROUTES
from token_service.errors import Misconfiguration, PolicyError
from token_service.grant import grants
from token_service.grant.policies import MAX_CHARACTERS, Policies
from token_service.login import callers
from token_service.login.jwks import KeysUnreachable
from token_service.login.jwt import Jwt
from token_service.login.logins import Logins
from token_service.settings import oss_hosts
from token_service.settings.parsing import Reader
from token_service.settings.reading import Settings
from token_service.settings.values import ROUTE_WORDS
from token_service.settings.variables import (
    CALLBACK_SECRET,
    JWT_SECRET,
    MULTIPART_SECRET,
    UPLOAD_HOOK_SECRET,
    UPLOAD_HOOK_URL,
    VARIABLES,
)

MAX_VARIABLES_BYTES = 4096
"""Of all of a function's variables, names and values (vendor documentation)."""
S_SECONDS = 20
"""For `s --version`, which starts Node.js."""

DEFAULT_REGION = "cn-hangzhou"
"""Where s.yaml deploys without REGION."""
_PLATFORM = ("ALIBABA_CLOUD_", "FC_")
"""What Function Compute itself sets."""
_LOGINS = ("AUTH", "JWT_")
_DEPLOYED = frozenset(v.name for v in VARIABLES if not v.name.startswith(_PLATFORM))
_CHANGES = {
    "#": "a bare # begins a comment; put the value into single quotes",
    "$": "`s` expands $, in quotes too; take a value without $, or set it in the environment only",
    "endless": "it refers to itself, which `s` does not survive; take a value without $",
}


@dataclass(frozen=True)
class Patient:
    """What is examined: the environment of this shell, and what a deploy would make of it."""

    shell: Mapping[str, str]
    variables: Mapping[str, str] = field(repr=False)
    """Those that are not empty: an empty one is one that is not set, to s.yaml too."""
    loaded: Loaded = field(repr=False)
    left_to_s_yaml: frozenset[str]
    """Not set, and worked out by s.yaml from what only it knows."""
    settings: Settings
    """With something sound in the place of what is wrong."""
    faults: Mapping[str, str]
    """By variable: what is wrong with it."""
    python: tuple[int, ...] = tuple(sys.version_info[:3])

    def faults_of(self, *beginnings: str) -> list[str]:
        """What is wrong with the variables whose names begin so."""
        return [text for name, text in self.faults.items() if name.startswith(beginnings)]


def main() -> int:
    """Examine and print the table: 0, or 1 if something must be mended."""
    checks = examine(os.environ, Path())
    print(report.table(checks))
    if report.has_failed(checks):
        return 1
    print("After the deploy: make smoke URL=… checks it, make measure-cold URL=… its cold start.")
    return 0


def examine(shell: Mapping[str, str], folder: Path) -> list[Check]:
    """Run every check; `folder` is the checkout, with .env and s.yaml. Never raises."""
    patient = read(shell, folder)
    return [Check(name, check(patient)) for name, check in _CHECKS]


def read(shell: Mapping[str, str], folder: Path) -> Patient:
    """Put the variables together, and judge all of them."""
    loaded = dotenv.load(folder, shell)
    variables = {name: value for name, value in loaded.variables.items() if value}
    left = frozenset[str]()
    if (folder / "s.yaml").exists():
        # It makes the role's name of the account's, which only it knows.
        left = frozenset({"ROLE_ARN"} - variables.keys())
        variables.setdefault("REGION", DEFAULT_REGION)
    # The region of the deploy is what the platform will set.
    if variables.get("REGION"):
        variables.setdefault("FC_REGION", variables["REGION"])
    examined = faults.examine(variables, with_credentials=False)
    found = {f.variable: f.message for f in examined.faults if f.variable not in left}
    return Patient(shell, variables, loaded, left, examined.settings, found)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


# This machine


def _python(patient: Patient) -> Finding:
    version = ".".join(map(str, patient.python))
    if patient.python < (3, 10):
        return failed(f"{version}: must be 3.10 or newer")
    return passed(f"{version}; the function runs on 3.10")


def _pip(patient: Patient) -> Finding:  # noqa: ARG001 - checks have one signature
    if importlib.util.find_spec("pip") is None:
        return failed("missing: it fetches what the function needs; python3 -m ensurepip")
    return passed()


def _make(patient: Patient) -> Finding:
    found = shutil.which("make", path=patient.shell.get("PATH", ""))
    return passed() if found else failed("missing: s.yaml builds with it; apt-get install make")


def _s_cli(patient: Patient) -> Finding:
    found = shutil.which("s", path=patient.shell.get("PATH", ""))
    if found is None:
        return failed(
            "missing: npm install -g @serverless-devs/s (the console's template does without)"
        )
    try:
        done = subprocess.run(
            [found, "--version"],
            env=dict(patient.shell),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=S_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return failed(f"does not run ({type(error).__name__})")
    version = re.search(rb"@serverless-devs/s[0-9]?: ([0-9]+)\.([0-9.]+)", done.stdout)
    if version is None:
        return failed("this `s` is not Serverless Devs: npm install -g @serverless-devs/s")
    name = b".".join(version.groups()).decode()
    if int(version[1]) < 3:
        return failed(f"{name}: s.yaml needs 3 or newer; npm install -g @serverless-devs/s")
    return passed(name)


def _s_access(patient: Patient) -> Finding:
    """An alias in ~/.s/access.yaml, or the key in the environment (both seen in the CLI)."""
    own = ("AccountID", "AccessKeyID", "AccessKeySecret")
    if all(patient.shell.get(name) for name in own):
        return passed("in the environment")
    home = patient.shell.get("serverless_devs_config_home") or patient.shell.get("HOME", "")
    aliases = re.findall(r"^([^\s#:]+):", _text(Path(home) / ".s" / "access.yaml"), re.MULTILINE)
    if "default" in aliases:
        return passed("the alias default is configured")
    others = f"; there is {', '.join(aliases[:3])}" if aliases else ""
    return failed(f"no alias default{others}: s config add -a default")


# The function's variables


def _env_file(patient: Patient) -> Finding:
    """What of it arrives as it stands there. A comment after a blank is one, and no fault."""
    loaded = patient.loaded
    if loaded.path is None:
        return passed("there is none")
    read = _DEPLOYED.union(misspelt.S_YAMLS_OWN)
    faults = [
        f"{name}: {written} characters are written and {arrives} arrive: {_CHANGES[why]}"
        for name, written, arrives, why in loaded.changes
        if name in read
    ]
    if faults:
        return failed("; ".join(faults))
    return passed(f"{len(read.intersection(loaded.names))} variables; the environment wins")


def _names(patient: Patient) -> Finding:
    faults, others = list[str](), list[str]()
    for name, meant in misspelt.find(patient.loaded.variables):
        where = ".env" if name in patient.loaded.names else "the environment"
        text = f"{name} ({where}): nothing reads it; is {meant} meant?"
        (faults if misspelt.weakens(meant) else others).append(text)
    if faults:
        return failed("; ".join([*faults, *others]))
    return warned("; ".join(others)) if others else passed("none is nearly one of ours")


def _runtime(patient: Patient) -> Finding:
    runtime = patient.variables.get("RUNTIME", "python3.10")
    if runtime not in ("python3.10", "custom"):
        return failed(f"RUNTIME={runtime}: must be python3.10, which is the default, or custom")
    if runtime == "custom":
        return passed("custom: 100 requests at a time on each instance")
    return passed("python3.10: one request at a time on each instance (RUNTIME=custom: 100)")


def _region(patient: Patient) -> Finding:
    wrong, settings = patient.faults_of("OSS_REGION", "FC_REGION"), patient.settings
    if wrong:
        return judged(wrong)
    return passed(settings.region)


def _endpoints(patient: Patient) -> Finding:
    """Source of the date: vendor documentation, "Regions and endpoints"."""
    wrong, settings = patient.faults_of("OSS_ENDPOINT"), patient.settings
    if wrong:
        return judged(wrong)
    if patient.faults_of("OSS_REGION", "FC_REGION", "BUCKET_NAME"):
        return skipped("not known: region or bucket is wrong")
    where = f"clients reach OSS at {settings.oss_endpoint}"
    page = "(docs/deploy.md, A domain for the bucket)"
    if oss_hosts.is_cname(settings.oss_endpoint):
        host = settings.oss_endpoint.host
        fault = unresolved(host)
        if fault:
            return warned(f"{host}: {fault}; is the CNAME record there? {page}")
        return passed(
            f"{where}; whether it is bound to the bucket, and its certificate, is not looked at: "
            "make smoke UPLOAD=1 does"
        )
    if is_public_in_mainland(settings.oss_endpoint, settings.region):
        return warned(
            "uploads fail (PublicEndpointForbidden) if you began with OSS on 2025-03-20 or later: "
            f"it then needs a domain of yours as OSS_ENDPOINT {page}; {where}"
        )
    return passed(where)


def _own_calls(patient: Patient) -> Finding:
    wrong, own = patient.faults_of("OSS_INTERNAL_"), patient.settings.oss_internal_endpoint
    if wrong:
        return judged(wrong)
    if patient.faults_of("OSS_", "FC_REGION", "BUCKET_NAME"):
        return skipped("not known: region, bucket or OSS_ENDPOINT is wrong")
    where = f"the function itself reaches OSS at {own}"
    if "-internal." in own.host:
        where += " (not verified on the real cloud (assumption 33): that it does so without a VPC)"
    return passed(where)


def _role(patient: Patient) -> Finding:
    wrong, settings = patient.faults_of("ROLE_ARN"), patient.settings
    if wrong:
        return judged(wrong)
    left = "ROLE_ARN" in patient.left_to_s_yaml
    return passed("not set: s.yaml names it" if left else settings.role_arn)


def _bucket(patient: Patient) -> Finding:
    wrong, settings = patient.faults_of("BUCKET_NAME", "OBJECT_PREFIX"), patient.settings
    if wrong:
        return judged(wrong)
    return passed(f"{settings.prefix} of {settings.bucket}")


def _policies(patient: Patient) -> Finding:
    """Each one, rendered for a user id of the greatest length."""
    wrong, settings = patient.faults_of("POLICY_"), patient.settings
    if wrong:
        return judged(wrong)
    caller = callers.named("u" * 64) if settings.auth.names_callers else callers.ANONYMOUS
    sizes = []
    try:
        policies = Policies(settings.policy_choices)
        for name in settings.policy_choices:
            policy = policies.render(grants.decide(caller, {"policy": name}, settings))
            sizes.append(f"{os.path.basename(name)} {len(policy)}")  # noqa: PTH119
    except (Misconfiguration, PolicyError) as error:
        return failed(error.message)
    elsewhere = [name for name in settings.policy_choices if "/" in name and not _is_packed(name)]
    if elsewhere:
        return failed(f"{elsewhere[0]} is not deployed: put it into policies/, say policies/<file>")
    detail = f"{', '.join(sizes)} of {MAX_CHARACTERS} characters"
    described = policies_described.bundled()
    for name in settings.policy_choices:
        if name in described and not described[name].is_confined:
            return warned(f"{name} opens whatever the upload role may do; {detail}")
    return passed(detail)


def _roles(patient: Patient) -> Finding:
    """For the operator to compare with what the roles have: nothing here can look at them."""
    settings, variables = patient.settings, patient.variables
    project, store = variables.get("LOG_PROJECT"), variables.get("LOG_STORE") or "function"
    options = rights.Options(
        bucket=settings.bucket,
        prefix=settings.prefix,
        upload_role=settings.role_arn,
        log_store=f"acs:log:*:*:project/{project}/logstore/{store}" if project else "",
        has_callbacks=settings.has_callbacks,
        names_callers=settings.auth.names_callers,
        has_multipart=bool(variables.get(MULTIPART_SECRET.name)),
    )
    if patient.faults_of("POLICY_", "BUCKET_NAME", "OBJECT_PREFIX"):
        return skipped("not known: bucket or policies are wrong")
    try:
        needed = rights.rights(settings.policy_choices, [r.path for r in ROUTES], options)
    except (Misconfiguration, PolicyError):
        return skipped("not known: a policy is wrong")
    of_tokens = [rights.said(needed.upload_role, options)] if needed.upload_role else []
    for name in needed.unbounded:
        of_tokens.append(f"what a token under {os.path.basename(name)} is meant to do")  # noqa: PTH119
    return passed(
        f"the function role needs {rights.said(needed.function_role, options)}. "
        f"The upload role needs {'; '.join(of_tokens) or 'nothing'}"
    )


def _logins(patient: Patient) -> Finding:
    wrong, settings = patient.faults_of(*_LOGINS), patient.settings
    if wrong:
        return judged(wrong)
    if not isinstance(settings.auth, Jwt):
        return warned("AUTH=anonymous: whoever knows the URL will get a token")
    try:
        Logins(settings.auth, patient.variables).warm()
    except Misconfiguration as error:
        return failed(error.message)
    except KeysUnreachable as error:
        return warned(f"{error.message} (from this machine)")
    if settings.auth.keys_file and "/" in settings.auth.keys_file:
        return failed("JWT_JWKS_FILE is not deployed: put it into functions/sts_token, by its name")
    if settings.auth.keys_url:
        return passed("the keys of JWT_JWKS_URL can be fetched")
    return passed("JWT_JWKS_FILE has keys" if settings.auth.keys_file else "JWT_SECRET")


def _overwriting(patient: Patient) -> Finding:
    """For the operator to compare with the bucket: nothing here can look at it."""
    wrong = patient.faults_of("OVERWRITE")
    if wrong:
        return judged(wrong)
    if patient.variables.get("OVERWRITE") != "no":
        return passed("an upload may replace what exists")
    return passed(
        "refused by what the function signs. Tokens need the bucket's rule (the stack's "
        "Overwrite=no), which does nothing where the bucket has versioning; of several first "
        "writes at once more than one may pass"
    )


def _limits(patient: Patient) -> Finding:
    wrong, settings = patient.faults_of("CALLER_"), patient.settings
    if wrong:
        return judged(wrong)
    if not settings.auth.names_callers:
        return passed("none needed: with AUTH=anonymous all callers are one")
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
            f"{' and '.join(off)}=0: one caller can take what all share, as the STS calls of the "
            "whole account; empty, there is a limit"
        )
    return passed(
        f"{settings.caller_tokens_per_minute} new tokens, {settings.caller_urls_per_minute} URLs "
        "and forms of one caller a minute"
    )


def _bounds(patient: Patient) -> Finding:
    settings = patient.settings
    if settings.has_unbound_tokens:
        return warned(warnings.UNBOUND)
    closed = [word for word in ROUTE_WORDS if word not in settings.enabled_routes]
    return passed(f"closed: {', '.join(closed)}" if closed else "none are set; all routes answer")


def _secrets(patient: Patient) -> Finding:
    """What the function uses, each of a list; a damaged one is its own variable's fault."""
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
            f"{', '.join(weak)}: can be guessed, it is mostly repetitions, runs (abc, 123) or "
            "common words; make one with openssl rand -base64 32"
        )
    if shared:
        faults.append(
            f"{', '.join(shared)}: the same secret, so that who knows it for one knows it for the "
            "other; give each its own"
        )
    if weak:
        return judged(faults)
    if shared:
        return warned(faults[0])
    return passed(", ".join(used)) if used else skipped("the function uses none that can be read")


def _used_secrets(patient: Patient) -> dict[str, tuple[bytes, ...]]:
    """By variable: the secrets in it, where they can be read."""
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


def _is_packed(name: str) -> bool:
    """Whether make build puts a policy's file into the package."""
    return re.fullmatch(r"policies/[^/]+\.(j2|txt)", name) is not None


def _others(patient: Patient) -> Finding:
    apart = (
        *("OSS_", "FC_REGION", "ROLE_ARN", "BUCKET_NAME", "OBJECT_PREFIX", "POLICY_"),
        *("CALLER_", "OVERWRITE"),
    )
    wrong = [
        text for name, text in patient.faults.items() if not name.startswith((*apart, *_LOGINS))
    ]
    return judged(wrong)


def _size(patient: Patient) -> Finding:
    total = sum(len(name.encode()) + len(value.encode()) for name, value in _passed_on(patient))
    detail = f"{total} of {MAX_VARIABLES_BYTES} bytes"
    if total > MAX_VARIABLES_BYTES:
        return failed(f"{detail}: Function Compute takes no more for all variables together")
    return passed(detail)


def _shell_signs(patient: Patient) -> Finding:
    """`s local` passes values through a shell: {"a":1} lost its quotes there, $NAME vanished."""
    names = [name for name, value in _passed_on(patient) if re.search("[$`\"'\\\\]", value)]
    if names:
        return warned(
            f"{', '.join(sorted(names))}: $, quotes and backslashes do not survive `s local`"
        )
    return passed("nothing in a value that `s local` would expand")


def _passed_on(patient: Patient) -> Iterator[tuple[str, str]]:
    """The variables that a deploy sets."""
    for variable in sorted(VARIABLES, key=lambda variable: variable.name):
        value = patient.variables.get(variable.name) or variable.default
        if value and variable.name in _DEPLOYED:
            yield variable.name, value


# The clock


def _clock(patient: Patient) -> Finding:
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


_CHECKS: tuple[tuple[str, Callable[[Patient], Finding]], ...] = (
    ("Python", _python),
    ("pip", _pip),
    ("make", _make),
    ("s CLI", _s_cli),
    ("s access", _s_access),
    ("env file", _env_file),
    ("names", _names),
    ("runtime", _runtime),
    ("region", _region),
    ("endpoints", _endpoints),
    ("own calls", _own_calls),
    ("role", _role),
    ("bucket", _bucket),
    ("policies", _policies),
    ("roles", _roles),
    ("logins", _logins),
    ("rate limits", _limits),
    ("overwriting", _overwriting),
    ("upload limits", _bounds),
    ("secrets", _secrets),
    ("other variables", _others),
    ("variables' size", _size),
    ("shell signs", _shell_signs),
    ("clock", _clock),
)


if __name__ == "__main__":
    sys.exit(main())
