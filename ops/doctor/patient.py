"""The variables that a deploy would pass to the function, and what is wrong with them.

The values come from the environment, then from .env, then from the defaults. The function and
s.yaml have the same defaults. The function's own code (token_service/settings) checks the values.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ops import dotenv
from ops.dotenv import Loaded
from token_service import faults
from token_service.settings.reading import Settings
from token_service.settings.variables import VARIABLES

DEFAULT_REGION = "cn-hangzhou"
"""The region that s.yaml uses if REGION is not set."""
LOGINS = ("AUTH", "JWT_")
"""The names of all variables for logins begin with one of these texts."""
_RUN_BY_S = "serverless_devs_traceid"
"""`s` sets this variable for the programs that it runs (seen in the CLI)."""
_PLATFORM = ("ALIBABA_CLOUD_", "FC_")
"""Function Compute itself sets the variables whose names begin with one of these texts."""
DEPLOYED = frozenset(v.name for v in VARIABLES if not v.name.startswith(_PLATFORM))
"""The function's variables that a deploy sets."""


@dataclass(frozen=True)
class Patient:
    """`shell` is the environment of this shell. `variables` are the variables that a deploy would
    set."""

    shell: Mapping[str, str]
    variables: Mapping[str, str] = field(repr=False)
    """The variables that are not empty. s.yaml also treats an empty variable as not set."""
    loaded: Loaded = field(repr=False)
    left_to_s_yaml: frozenset[str]
    """Variables that the operator left out. s.yaml derives their values from the account's id."""
    settings: Settings
    """The settings. A wrong variable is replaced by a valid value."""
    faults: Mapping[str, str]
    """The fault of each wrong variable."""
    folder: Path
    """The folder of the checkout. `s` and its components read files from there."""
    python: tuple[int, ...] = tuple(sys.version_info[:3])

    @property
    def is_under_s(self) -> bool:
        """Whether `s deploy` has started this `make doctor`, which it does before the build."""
        return bool(self.shell.get(_RUN_BY_S))

    def faults_of(self, *beginnings: str) -> list[str]:
        """Return what is wrong with the variables whose names begin with one of `beginnings`."""
        return [text for name, text in self.faults.items() if name.startswith(beginnings)]


def read(shell: Mapping[str, str], folder: Path) -> Patient:
    """Collect the variables, and check all of them."""
    loaded = dotenv.load(folder, _before_s(shell, folder))
    variables = {name: value for name, value in loaded.variables.items() if value}
    left = frozenset[str]()
    if (folder / "s.yaml").exists():
        # s.yaml derives the role's name from the account's id, which is not known here.
        left = frozenset({"ROLE_ARN"} - variables.keys())
        variables.setdefault("REGION", DEFAULT_REGION)
    # The platform will set FC_REGION to the region of the deploy.
    if variables.get("REGION"):
        variables.setdefault("FC_REGION", variables["REGION"])
    examined = faults.examine(variables, with_credentials=False)
    found = {f.variable: f.message for f in examined.faults if f.variable not in left}
    return Patient(shell, variables, loaded, left, examined.settings, found, folder)


def _before_s(shell: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return the shell's variables as they were before `s` added .env, to see what .env changes."""
    if not shell.get(_RUN_BY_S):
        return dict(shell)
    names = dotenv.load(folder, {}).names
    without = {name: value for name, value in shell.items() if name not in names}
    arrived = dotenv.load(folder, without).variables
    others = {name: shell[name] for name in names if shell.get(name) not in (None, arrived[name])}
    return {**without, **others}


def passed_on(patient: Patient) -> Iterator[tuple[str, str]]:
    """Yield the variables that a deploy sets."""
    for variable in sorted(VARIABLES, key=lambda variable: variable.name):
        value = patient.variables.get(variable.name) or variable.default
        if value and variable.name in DEPLOYED:
            yield variable.name, value


def text_of(path: Path) -> str:
    """Return the text of a small file, or "" if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
