"""Tests that the locks are complete and have hashes, for each supported Python and machine. uv
writes the locks. In these tests a script replaces uv, and the network is not used."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ops import ROOT, install, lock

LOCKS = lock.read()
PYTHONS = ("3.10", "3.11", "3.12", "3.13")


def requirement(package: str) -> Requirement:
    return Requirement(package.partition(" \\\n")[0])


def names(set_: str, python: str) -> dict[str, str]:
    """Return the packages and versions that pip installs for a set on this Python."""
    environment = {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    found = map(requirement, lock.packages_with(set_, lock.SETS, LOCKS))
    return {
        canonicalize_name(each.name): str(each.specifier)
        for each in found
        if each.marker is None or each.marker.evaluate(environment)
    }


def wanted(set_: str) -> list[str]:
    """Return the lines of an input file that name a package."""
    lines = (ROOT / f"{set_}.in").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if re.match(r"\w", line)]


@pytest.mark.parametrize("set_", lock.SETS)
def test_every_package_of_a_lock_has_one_version_and_its_hashes(set_: str) -> None:
    assert lock.packages(LOCKS[set_])
    for package in lock.packages(LOCKS[set_]):
        assert re.fullmatch(
            r"[\w.-]+==[\w.]+( ; [^\n]+)? \\\n(    --hash=sha256:[0-9a-f]{64}( \\)?\n)+", package
        )


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("set_", lock.SETS)
def test_what_is_asked_for_is_locked(set_: str, python: str) -> None:
    """If this test fails after a change of an input file, run `make lock`."""
    locked = names(set_, python)
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    for line in wanted(set_):
        asked = Requirement(line)
        if asked.marker is None or asked.marker.evaluate(environment):
            assert asked.specifier.contains(locked[canonicalize_name(asked.name)].strip("="))


@pytest.mark.parametrize("set_", lock.SETS)
def test_one_package_has_one_version_in_all_sets(set_: str) -> None:
    versions: dict[str, set[str]] = {}
    for package in lock.packages_with(set_, lock.SETS, LOCKS):
        each = requirement(package)
        versions.setdefault(each.name, set()).add(str(each.specifier))
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


@pytest.mark.parametrize("set_", lock.SETS)
def test_wheels_only_but_for_those_that_are_named(set_: str) -> None:
    """pip reads options in their order, so a later `--only-binary :all:` would cancel an earlier
    `--no-binary`."""
    options: list[str] = []
    base = set_
    while base:
        lines = LOCKS[base].splitlines()
        options = [line for line in lines if line.startswith("--")] + options
        base = lock.SETS[base]
    assert options[0] == "--only-binary :all:"
    assert {line.partition(" ")[0] for line in options[1:]} <= {"--no-binary"}
    sources = {line.partition(" ")[2] for line in options[1:]}
    assert sources <= {"aliyun-fc2", "crcmod", "oss2"}


def test_no_lock_names_an_index() -> None:
    assert not any(re.search(r"index|://|find-links", text) for text in LOCKS.values())


# make lock


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree with two sets of packages. The second set extends the first. A script takes the place
    of uv."""
    monkeypatch.setattr(lock, "ROOT", tmp_path)
    monkeypatch.setattr(lock, "SETS", {"run": "", "dev": "run"})
    monkeypatch.setattr(install, "python", lambda folder, *_: folder.mkdir(parents=True))
    (tmp_path / "run.in").write_text("--only-binary :all:\na\n")
    (tmp_path / "dev.in").write_text("-r run.in\n--no-binary b\nb\n")
    programs = tmp_path / "build" / "lock" / "bin"
    programs.mkdir(parents=True)
    monkeypatch.setattr(install, "python", lambda *_: None)
    return tmp_path


def uv(tree: Path, script: str) -> None:
    """Write a script that replaces uv. In `script`, $output is the output file."""
    program = tree / "build" / "lock" / "bin" / "uv"
    program.write_text(
        '#!/bin/sh\necho "$@" >>said\nfor each; do case $each in --output-file=*) '
        f"output=${{each#--output-file=}};; esac; done\n{script}\n"
    )
    program.chmod(0o755)


A = "a==1 \\\n    --hash=sha256:aa\n"
B = "b==2 \\\n    --hash=sha256:bb\n"


def test_a_set_says_only_what_its_base_does_not(tree: Path) -> None:
    uv(tree, f"case $* in *run.in) printf '%s' '{A}';; *) printf '%s' '{A}{B}';; esac >$output")
    assert lock.main() == 0
    assert (tree / "run.txt").read_text() == (
        f"# `make lock` writes this file from run.in.\n--only-binary :all:\n{A}"
    )
    assert (tree / "dev.txt").read_text() == (
        f"# `make lock` writes this file from dev.in.\n-r run.txt\n--no-binary b\n{B}"
    )


def test_what_is_locked_stays_and_the_larger_set_takes_the_smallers_versions(tree: Path) -> None:
    (tree / "run.txt").write_text(A)
    (tree / "dev.txt").write_text(B)
    # uv keeps the versions that are in its output file. --constraint names the versions of the base
    # set.
    uv(
        tree,
        "cat $output >>said; for each; do case $each in "
        "--constraint=*) cat ${each#--constraint=} >>said;; esac; done",
    )
    assert lock.main() == 0
    first, second = (tree / "said").read_text().split("pip compile")[1:]
    assert A in first
    assert B in second
    assert second.count(A) == 2


def test_where_one_set_cannot_be_locked_nothing_is_written(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uv(tree, f"case $* in *run.in) echo '{A}' >$output;; *) echo 'no such b' >&2; exit 1;; esac")
    assert lock.main() == 1
    assert "make lock: dev.in cannot be locked:\nno such b" in capsys.readouterr().err
    assert not (tree / "run.txt").exists()


@pytest.mark.parametrize(
    ("wish", "options"),
    [
        ("", []),
        ("1", ["--upgrade"]),
        ("PyJWT, cryptography", ["--upgrade-package=PyJWT", "--upgrade-package=cryptography"]),
    ],
)
def test_versions_are_renewed_for_whoever_asks(wish: str, options: list[str]) -> None:
    assert lock.upgrades(wish) == options
