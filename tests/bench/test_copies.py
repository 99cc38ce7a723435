"""Tests the copies of a comparison. Each tree builds its own copy, and no files are left behind."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench import copies as copies_module
from bench.copies import CompareError, Python, find_python, make_copies, put_base
from repositories import git

THIS = Python(sys.executable, "3.11.0")
# A simple ops/build.py for the test's repository. It copies the text of index.txt, which is in the
# same tree, into index.py.
BUILD = """\
from pathlib import Path
ROOT = Path(__file__).parents[1]
def build(output):
    output.mkdir()
    (output / "index.py").write_text((ROOT / "index.txt").read_text())
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A tree with an ops/build.py, like each of our commits."""
    tree = tmp_path / "checkout"
    (tree / "ops").mkdir(parents=True)
    (tree / "ops" / "__init__.py").touch()
    (tree / "ops" / "build.py").write_text(BUILD)
    (tree / "index.txt").write_text("AGE = 'old'\n")
    return tree


@pytest.fixture
def repository(checkout: Path) -> Path:
    """The tree is committed and tagged, and then changed."""
    git(checkout, "init", "--quiet")
    git(checkout, "add", ".")
    git(checkout, "commit", "--quiet", "--message=old")
    git(checkout, "tag", "v1")
    (checkout / "index.txt").write_text("AGE = 'new'\n")
    return checkout


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_commit_is_built_as_it_was(repository: Path, tmp_path: Path) -> None:
    before = names(repository)
    for number, base in enumerate(["HEAD", "v1", git(repository, "rev-parse", "HEAD").strip()]):
        target = tmp_path / f"target{number}"
        put_base(base, target, repository)
        assert (target / "index.py").read_text() == "AGE = 'old'\n"
    assert names(repository) == before
    assert git(repository, "worktree", "list").count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {
        "checkout",
        "target0",
        "target1",
        "target2",
    }


def test_a_checkout_is_built_as_it_is(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    before = names(checkout)
    put_base(str(checkout), tmp_path / "target", checkout)
    assert names(tmp_path / "target") == {"index.py"}
    assert names(checkout) == before


def test_a_built_package_is_taken_without_its_byte_code(tmp_path: Path) -> None:
    package = tmp_path / "package"
    (package / "__pycache__").mkdir(parents=True)
    (package / "__pycache__" / "index.cpython-310.pyc").touch()
    (package / "index.py").touch()
    put_base(str(package), tmp_path / "target", tmp_path)
    assert names(tmp_path / "target") == {"index.py"}


@pytest.mark.parametrize("base", ["no-such-commit", "--all", "HEAD~100", "ops"])
def test_a_base_that_is_nothing_is_said_in_one_line(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: str
) -> None:
    """The folder `ops` has no package, and no branch is called `ops`."""
    monkeypatch.chdir(repository)
    with pytest.raises(CompareError) as caught:
        put_base(base, tmp_path / "target", repository)
    assert str(caught.value).startswith(f"BASE={base} must be a commit here, or a folder with ")
    assert "\n" not in str(caught.value)


def test_a_folder_of_a_branchs_name_hides_no_branch(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(repository, "branch", "ops")
    monkeypatch.chdir(repository)
    put_base("ops", tmp_path / "target", repository)
    assert names(tmp_path / "target") == {"index.py"}


def test_a_tree_that_cannot_be_built_says_why_in_one_line(checkout: Path, tmp_path: Path) -> None:
    (checkout / "ops" / "build.py").write_text("raise SystemExit('no pins\\nno wheels')")
    with pytest.raises(CompareError, match=r"^BASE=\S+ cannot be built: no wheels$"):
        put_base(str(checkout), tmp_path / "target", tmp_path)


@pytest.mark.parametrize("byte_code", [True, False])
def test_all_copies_are_compiled_or_none(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, byte_code: bool
) -> None:
    base = tmp_path / "base"
    put_base(str(checkout), base, tmp_path)
    (checkout / "index.txt").write_text("AGE = 'new'\n")
    monkeypatch.setattr(copies_module, "ROOT", checkout)
    made = make_copies(str(base), THIS, tmp_path, byte_code=byte_code)
    assert [(each / "index.py").read_text() for each in made] == [
        *["AGE = 'old'\n"] * 2,
        "AGE = 'new'\n",
    ]
    assert len(set(made)) == 3
    assert [len(names(each)) for each in made] == [2 if byte_code else 1] * 3


def test_the_python_that_measures_is_known_by_its_path(tmp_path: Path) -> None:
    program = tmp_path / "python3.10"
    program.write_text("#!/bin/sh\nprintf '3.10.4 /opt/python 3.10/bin/python3.10'\n")
    program.chmod(0o755)
    found = find_python(str(program))
    assert found == Python("/opt/python 3.10/bin/python3.10", "3.10.4")
    assert found.minor == "3.10"


def test_a_python_that_does_not_run_is_said_in_one_line(tmp_path: Path) -> None:
    program = tmp_path / "python3.10"
    with pytest.raises(CompareError, match=r"^BENCH_PYTHON=.* cannot be run: No such file"):
        find_python(str(program))
    program.write_text("#!/bin/sh\necho 'pyenv: not found' >&2\necho 'Note: more' >&2\nexit 127\n")
    program.chmod(0o755)
    with pytest.raises(CompareError, match=r"^BENCH_PYTHON=.* does not run: pyenv: not found$"):
        find_python(str(program))
