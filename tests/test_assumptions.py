"""Each assumption about the real cloud is in a register, and each text that relies on an assumption
names it by its number.

docs/assumptions.toml names the files that rely on an entry, and these files name the number of the
entry.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops import ROOT
from ops.conform import register
from ops.conform.probes import PROBES
from ops.conform.register import SERVICES, Assumption

ASSUMPTIONS = register.load()
KNOWN = {one.id: one for one in ASSUMPTIONS}

_MARK = re.compile(
    r"\b(unverified|not verified|(?:not|nowhere) documented|"
    r"(?:nobody|no one)(?: here)? has seen|has not been seen|not seen here|not yet seen)\b|\[U\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\(assumptions? (N|[0-9]+(?:(?:, | and )[0-9]+)*)\)")
_NEAR = 300
"""The maximum number of characters between a mark in a text and the number of its assumption."""
# The tests do not check the marks in these files: the register, its page, its tool, all tests and
# past versions.
_LEFT_OUT = re.compile(
    r"docs/assumptions\.|ops/conform/|CHANGELOG\.md|tests/upgrade/[0-9a-f]{7}/|tests/.*\.py$"
)
_ENDINGS = {".py", ".md", ".yml", ".yaml", ".toml", ".txt", ".j2", ".js", ".mjs", ".html", ""}
_FOLDERS = {"node_modules", "build", "dist", "__pycache__"}


def files(root: Path) -> Iterator[Path]:
    """Every text file of the project."""
    for path in sorted(root.iterdir()):
        if path.is_dir():
            if path.name == ".ci" or not (path.name in _FOLDERS or path.name[0] == "."):
                yield from files(path)
        elif path.suffix in _ENDINGS and path.name != ".env":
            yield path


def texts() -> Iterator[tuple[str, str]]:
    """The path of each file below the root, and its text."""
    for path in files(ROOT):
        name = path.relative_to(ROOT).as_posix()
        if not _LEFT_OUT.match(name):
            yield name, path.read_text(encoding="utf-8")


def flat(text: str) -> str:
    """The text as one line, without the characters that begin each line of a comment."""
    return re.sub(r"\s*\n\s*(?:#+ |//+ |\* |> )?\s*", " ", text)


def faults(text: str) -> list[str]:
    """Return the faults of a text: marks without the number of an entry, and numbers of entries
    that do not exist."""
    line = flat(text)
    marks = list(_MARK.finditer(line))
    # The number of a mark must come before the next mark.
    ends = [*(mark.start() for mark in marks[1:]), len(line)]
    found = []
    for mark, end in zip(marks, ends, strict=bool(marks)):
        if not _NUMBER.search(line, mark.end(), min(end, mark.end() + _NEAR)):
            found.append(line[max(mark.start() - 40, 0) : mark.end() + 60])
    return found + [f"(assumption {number})" for number in named(text) - KNOWN.keys()]


def named(text: str) -> set[int]:
    """The entries that a text names."""
    found = (match[1] for match in _NUMBER.finditer(flat(text)) if match[1] != "N")
    return {int(number) for numbers in found for number in re.findall("[0-9]+", numbers)}


def test_every_mark_names_its_entry() -> None:
    wrong = {name: found for name, text in texts() if (found := faults(text))}
    assert wrong == {}


def test_the_files_that_rely_on_an_entry_are_those_that_name_it() -> None:
    naming: dict[int, set[str]] = {number: set() for number in KNOWN}
    for name, text in texts():
        for number in named(text) & KNOWN.keys():
            naming[number].add(name)
    assert naming == {one.id: set(one.depends) for one in ASSUMPTIONS}


@pytest.mark.parametrize(
    "text",
    [
        "This is not verified on the real OSS.",
        "# unverified: that it\n    # does.",
        "Not verified on the real OSS (assumption 999).",
        "It is unverified; and that other thing is not verified either (assumption 1).",
        "Whether it does is not documented.",
        "what nobody here has seen",
        "a fact [U]",
        "not verified (assumption one)",
    ],
)
def test_a_mark_without_its_entry_is_found(text: str) -> None:
    assert faults(text)


@pytest.mark.parametrize(
    "text",
    [
        "Not verified on the real OSS (assumption 1): that it does.",
        "# unverified: that it\n    # does (assumption\n    # 1).",
        "That is not verified on the real OSS, nor is this (assumptions 1, 2 and 3).",
        "jwt.get_unverified_header(login)",
        "marked so: not verified on the real cloud (assumption N)",
    ],
)
def test_a_mark_with_its_entry_is_none(text: str) -> None:
    assert faults(text) == []


def test_ids_are_given_once_and_in_order() -> None:
    """When an assumption is confirmed, its entry is removed, and its id is not used again."""
    ids = [one.id for one in ASSUMPTIONS]
    assert ids == sorted(set(ids))
    assert ids[0] >= 1


@pytest.mark.parametrize("one", ASSUMPTIONS, ids=lambda one: str(one.id))
def test_an_entry_is_whole(one: Assumption) -> None:
    assert one.service in SERVICES
    assert one.claim.endswith(".")
    assert "\n" not in one.claim + one.source
    assert one.source
    assert one.depends
    assert list(one.depends) == sorted(set(one.depends))
    # An entry has either a probe, or the reason why it has none and a command to run instead.
    assert bool(one.probe) is not bool(one.why and one.command)
    assert bool(one.why) is bool(one.command)


def test_each_probe_is_of_one_entry() -> None:
    assert sorted(one.probe for one in ASSUMPTIONS if one.probe) == sorted(PROBES)
