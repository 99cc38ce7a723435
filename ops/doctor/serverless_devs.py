"""The command line `s`, and what of the variables it would change on the way."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from ops import misspelt
from ops.doctor.patient import DEPLOYED, Patient, passed_on, text_of
from ops.report import Finding, failed, passed, warned

S_SECONDS = 20
"""For `s --version`, which starts Node.js."""
_CHANGES = {
    "#": "a bare # begins a comment; put the value into single quotes",
    "$": "`s` expands $, in quotes too; take a value without $, or set it in the environment only",
    "endless": "it refers to itself, which `s` does not survive; take a value without $",
}


def cli(patient: Patient) -> Finding:
    """Whether it is Serverless Devs, of a version that knows s.yaml."""
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


def access(patient: Patient) -> Finding:
    """An alias in ~/.s/access.yaml, or the key in the environment (both seen in the CLI)."""
    own = ("AccountID", "AccessKeyID", "AccessKeySecret")
    if all(patient.shell.get(name) for name in own):
        return passed("in the environment")
    home = patient.shell.get("serverless_devs_config_home") or patient.shell.get("HOME", "")
    aliases = re.findall(r"^([^\s#:]+):", text_of(Path(home) / ".s" / "access.yaml"), re.MULTILINE)
    if "default" in aliases:
        return passed("the alias default is configured")
    others = f"; there is {', '.join(aliases[:3])}" if aliases else ""
    return failed(f"no alias default{others}: s config add -a default")


def env_file(patient: Patient) -> Finding:
    """What of it arrives as it stands there. A comment after a blank is one, and no fault."""
    loaded = patient.loaded
    if loaded.path is None:
        return passed("there is none")
    read = DEPLOYED.union(misspelt.S_YAMLS_OWN)
    faults = [
        f"{name}: {written} characters are written and {arrives} arrive: {_CHANGES[why]}"
        for name, written, arrives, why in loaded.changes
        if name in read
    ]
    if faults:
        return failed("; ".join(faults))
    return passed(f"{len(read.intersection(loaded.names))} variables; the environment wins")


def shell_signs(patient: Patient) -> Finding:
    """`s local` passes values through a shell: {"a":1} lost its quotes there, $NAME vanished."""
    names = [name for name, value in passed_on(patient) if re.search("[$`\"'\\\\]", value)]
    if names:
        return warned(
            f"{', '.join(sorted(names))}: $, quotes and backslashes do not survive `s local`"
        )
    return passed("nothing in a value that `s local` would expand")
