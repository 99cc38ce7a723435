"""What is examined: the variables that a deploy would pass to the function, judged.

They are of the environment, else of .env, else the catalogue's defaults, as which s.yaml has them
too. They are judged by the function's own settings.
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
"""Where s.yaml deploys without REGION."""
LOGINS = ("AUTH", "JWT_")
"""How the names of the variables of logins begin."""
_RUN_BY_S = "serverless_devs_traceid"
"""Set for what `s` runs (seen in the CLI)."""
_PLATFORM = ("ALIBABA_CLOUD_", "FC_")
"""What Function Compute itself sets."""
DEPLOYED = frozenset(v.name for v in VARIABLES if not v.name.startswith(_PLATFORM))
"""The function's variables that a deploy sets."""


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
    folder: Path
    """The checkout; `s` and its components read files from here."""
    python: tuple[int, ...] = tuple(sys.version_info[:3])

    @property
    def is_under_s(self) -> bool:
        """Whether `s deploy` runs this, before the build."""
        return bool(self.shell.get(_RUN_BY_S))

    def faults_of(self, *beginnings: str) -> list[str]:
        """What is wrong with the variables whose names begin so."""
        return [text for name, text in self.faults.items() if name.startswith(beginnings)]


def read(shell: Mapping[str, str], folder: Path) -> Patient:
    """Put the variables together, and judge all of them."""
    loaded = dotenv.load(folder, _before_s(shell, folder))
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
    return Patient(shell, variables, loaded, left, examined.settings, found, folder)


def _before_s(shell: Mapping[str, str], folder: Path) -> dict[str, str]:
    """A shell as it was before `s` put .env into it: what is cut there would not be seen."""
    if not shell.get(_RUN_BY_S):
        return dict(shell)
    names = dotenv.load(folder, {}).names
    without = {name: value for name, value in shell.items() if name not in names}
    arrived = dotenv.load(folder, without).variables
    others = {name: shell[name] for name in names if shell.get(name) not in (None, arrived[name])}
    return {**without, **others}


def passed_on(patient: Patient) -> Iterator[tuple[str, str]]:
    """The variables that a deploy sets."""
    for variable in sorted(VARIABLES, key=lambda variable: variable.name):
        value = patient.variables.get(variable.name) or variable.default
        if value and variable.name in DEPLOYED:
            yield variable.name, value


def text_of(path: Path) -> str:
    """What is in a small file, "" where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
