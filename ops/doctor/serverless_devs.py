"""Checks the program `s`, and finds the variables whose values `s` would change."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from ops import deploy_key, misspelt, roles
from ops.doctor.patient import DEPLOYED, Patient, passed_on, text_of
from ops.report import Finding, failed, noted, passed, skipped, warned
from token_service.errors import Misconfiguration
from token_service.settings.parsing import Reader

S_SECONDS = 20
"""The time limit for `s --version`, which starts Node.js."""
_VERSION = "serverless_devs_version"
"""`s` sets this variable for the programs that it runs (seen in the CLI)."""
_ACCESS = ("access.yaml", "access.yml")
_CHANGES = {
    "#": "a # without quotes begins a comment; put the value into single quotes",
    "$": "`s` expands $, in quotes too; use a value without $, or set it in the environment only",
    "endless": "the value refers to itself, which makes `s` crash; use a value without $",
}


def cli(patient: Patient) -> Finding:
    """Whether `s` is Serverless Devs, in a version that understands s.yaml."""
    if patient.is_under_s:
        return passed(f"{patient.shell.get(_VERSION, 'it')} runs this check")
    found = _program(patient)
    if found is None:
        return noted(
            "missing: `s deploy` needs it (`npm install -g @serverless-devs/s`). A stack in the "
            "console (`make template`) and a deploy by hand do not need it"
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
        return failed("this `s` is not Serverless Devs; run `npm install -g @serverless-devs/s`")
    name = b".".join(version.groups()).decode()
    if int(version[1]) < 3:
        return failed(f"{name}: s.yaml needs 3 or newer; run `npm install -g @serverless-devs/s`")
    return passed(name)


def access(patient: Patient) -> Finding:
    """Report whether `s` has an AccessKey: in the environment, .env, or an alias of access.yaml.

    We saw that the real CLI reads the key from these three places. This check never fails, because
    a deploy may work without this key: `s deploy -a` names another key, and other ways to deploy
    need no key. `s` itself stops at once if it has no key.
    """
    if patient.is_under_s:
        return passed("`s` has a key, since it runs this check")
    if _program(patient) is None:
        return skipped("there is no `s`")
    own = ("AccountID", "AccessKeyID", "AccessKeySecret")
    if all(patient.loaded.variables.get(name) for name in own):
        return passed("in the environment")
    text = next(filter(None, (text_of(home_of(patient.shell) / name) for name in _ACCESS)), "")
    aliases = re.findall(r"^([^\s#:]+):", text, re.MULTILINE)
    if "default" in aliases:
        return passed("the alias default is configured")
    if not aliases:
        return warned("none: `s deploy` needs a key; run `s config add -a default`")
    return warned(
        f"there is no alias default, only {', '.join(aliases[:3])}: run `s config add -a default`, "
        f"or deploy with `s deploy -y -a {aliases[0]}`"
    )


def rights_of_key(patient: Patient) -> Finding:
    """The rights that the key of `s` needs. The operator compares them with the rights of the RAM
    user who has the key."""
    if _program(patient) is None and not patient.is_under_s:
        return skipped("there is no `s`")
    try:
        # If the function's name contained *, the listed rights would cover other functions too.
        Reader(patient.variables).read(roles.NAME)
        Reader(patient.variables).optional(roles.FUNCTION_ROLE, "")
    except Misconfiguration as error:
        return failed(error.message)
    return noted(f"the key of `s` needs {deploy_key.said(deploy_key.needed(patient.variables))}")


def _program(patient: Patient) -> str | None:
    return shutil.which("s", path=patient.shell.get("PATH", ""))


def home_of(shell: Mapping[str, str]) -> Path:
    """Return the folder where `s` keeps its data: ~/.s, or the folder that its settings name (seen
    in the CLI)."""
    above = shell.get("serverless_devs_config_home") or shell.get("HOME") or Path.home()
    home = Path(above, ".s")
    try:
        named = json.loads(text_of(home / "config" / "s.json"))["workspace"]
        return Path(named.replace("~", str(above), 1)) if named else home
    except (ValueError, LookupError, TypeError, AttributeError):
        return home


def env_file(patient: Patient) -> Finding:
    """Report the values of .env that `s` would cut or change. The function would get the changed
    value. A comment after a blank is not a fault."""
    loaded = patient.loaded
    if loaded.path is None:
        return passed("there is no .env")
    read = DEPLOYED.union(misspelt.S_YAMLS_OWN)
    faults = [
        f"{name} has {written} characters, but the function would get {arrives}: {_CHANGES[why]}"
        for name, written, arrives, why in loaded.changes
        if name in read
    ]
    if faults:
        return failed("; ".join(faults))
    return passed(
        f"{len(read.intersection(loaded.names))} variables; the environment wins over .env"
    )


def shell_signs(patient: Patient) -> Finding:
    """Whether `s local` would change a value. `s local` passes values through a shell, where
    {"a":1} lost its quotes and $NAME disappeared."""
    names = [name for name, value in passed_on(patient) if re.search("[$`\"'\\\\]", value)]
    if names:
        return warned(f"{', '.join(sorted(names))}: `s local` changes $, quotes and backslashes")
    return passed("no value has a character that `s local` changes")
