"""Reads `.env`, the deployment's file, as Serverless Devs (`s`) reads it before it reads s.yaml.

`s` 3.1 bundles two npm packages: dotenv 16.3.1 parses the file, and dotenv-expand 10 then expands
`$NAME`, also in quotes. `s` reads two files in this way: .env in the folder in which `s` starts,
and .env in the folder of s.yaml. In this project `s` starts in the folder of s.yaml. If a variable
is in the environment and in the file, `s` takes the value from the environment, and also expands
`$` in this value. tests/deploy/test_dotenv.py compares this module with the real command line.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

NAME = ".env"

# JavaScript's \s, ^ and $ differ from Python's.
_SPACES = "\t\n\v\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(
    map(chr, range(0x2000, 0x200B))
)
_S = rf"[{_SPACES}]"
_START, _END = "(?:\\A|(?<=[\n\u2028\u2029]))", "(?=[\n\u2028\u2029]|\\Z)"
_LINE = re.compile(
    rf"{_START}{_S}*(?:export{_S}+)?([A-Za-z0-9_.-]+)(?:{_S}*={_S}*?|:{_S}+?)"
    rf"({_S}*'(?:\\'|[^'])*'|{_S}*\"(?:\\\"|[^\"])*\"|{_S}*`(?:\\`|[^`])*`|[^#\r\n]+)?"
    rf"{_S}*(#[^\n\r\u2028\u2029]*)?{_END}"
)
_QUOTED = re.compile(rf"{_START}(['\"`])([\s\S]*)\1{_END}")
_REFERENCE = re.compile(r"(?<!\\)(\$\{?(\w+)(?::-([^}\\]*))?\}?)", re.ASCII)
_READINGS = 2
_MOST_ROUNDS = 100
"""The limit for the expansion of one value. `s` itself has no limit, and continues until its stack
overflows."""


class Entry(NamedTuple):
    """One variable of the file. `cut` is the number of characters that `s` drops at a bare `#`."""

    name: str
    value: str
    cut: int


class Change(NamedTuple):
    """A variable whose value `s` changes. `written` is the length of the value before the change,
    and `arrives` is its length after the change, in characters."""

    name: str
    written: int
    arrives: int
    why: str
    """The cause: "#", "$", or "endless". With "endless" the value refers to itself, and `s` stops
    with an error."""


class Loaded(NamedTuple):
    """The variables of the environment, together with those of a .env. `names` lists the variables
    that came from the .env."""

    variables: dict[str, str]
    path: Path | None
    """The file that was read, or None if there is no file."""
    names: tuple[str, ...]
    changes: tuple[Change, ...]


def load(folder: Path, environment: Mapping[str, str]) -> Loaded:
    """Read the .env of `folder`, if it exists, into a copy of `environment`. Never raises."""
    path = folder / NAME
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return Loaded(dict(environment), None, (), ())
    entries = {entry.name: entry for entry in _entries(text)}
    names = tuple(name for name in entries if name not in environment)
    variables = {**{name: entry.value for name, entry in entries.items()}, **environment}
    before, endless = dict(variables), set[str]()
    for _ in range(_READINGS):
        expanded = {name: _expanded(variables[name], variables) for name in entries}
        endless.update(name for name, value in expanded.items() if value is None)
        variables.update({name: value for name, value in expanded.items() if value is not None})
    changes = []
    for name, entry in entries.items():
        cut = entry.cut if name in names else 0
        # `s` may cut a value at "#" and also expand a "$" in it. The reported cause is then "$",
        # because quotes prevent the cut, but `s` would still expand the "$".
        is_expanded = variables[name] != before[name]
        why = "endless" if name in endless else "$" if is_expanded else "#" if cut else ""
        if why:
            changes.append(Change(name, len(before[name]) + cut, len(variables[name]), why))
    return Loaded(variables, path, names, tuple(changes))


def told(loaded: Loaded) -> str:
    """Return one line that says what was read. The Loaded must have a path."""
    return f"{loaded.path} is read: {len(loaded.names)} variables; the environment wins over it"


def environment(command: str) -> dict[str, str]:
    """Return the environment for `make <command>`, with the variables of this folder's .env. If
    there is a .env, a line on stderr says that it was read."""
    loaded = load(Path(), os.environ)
    if loaded.path is not None:
        print(f"make {command}: {told(loaded)}", file=sys.stderr)
    return loaded.variables


def parse(text: str) -> dict[str, str]:
    """Read the text of a .env, without expanding anything."""
    return {entry.name: entry.value for entry in _entries(text)}


def _entries(text: str) -> Iterator[Entry]:
    text = re.sub("\r\n?", "\n", text)
    for found in _LINE.finditer(text):
        written = (found[2] or "").strip(_SPACES)
        value = _QUOTED.sub(lambda quoted: quoted[2], written)
        if written.startswith('"'):
            value = value.replace("\\n", "\n").replace("\\r", "\r")
        is_cut = found[3] and value == written and text[found.start(3) - 1] not in _SPACES
        yield Entry(found[1], value, len(found[3]) if is_cut else 0)


def _expanded(value: str, variables: Mapping[str, str]) -> str | None:
    """Replace the last reference that begins with `$` by its value, until no `$` is left. Return
    None if this would take _MOST_ROUNDS replacements or more."""
    for _ in range(_MOST_ROUNDS):
        dollars = [found.start() for found in re.finditer(r"(?<!\\)\$", value)]
        found = _REFERENCE.search(value[dollars[-1] :]) if dollars else None
        if found is None:
            return value.replace("\\$", "$")
        whole, name, default = found.groups()
        value = _replaced(value, whole, variables.get(name) or default or "")
    return None


def _replaced(value: str, part: str, by: str) -> str:
    """Do the same as JavaScript's value.replace(part, by): $$, $&, $` and $' in `by` are
    special."""
    before, _, after = value.partition(part)
    special = {"$$": "$", "$&": part, "$`": before, "$'": after}
    return before + re.sub(r"\$[$&`']", lambda found: special[found[0]], by) + after
