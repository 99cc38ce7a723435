"""Tests which results of an earlier run `make mutants` keeps, how it counts, and how it reads its
table. A small script replaces mutmut, because only `make mutants` installs mutmut."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

import mutants
from mutants import Failed, Listed, Mutant, Results

ROOM = "login"
PYTHON, SUPPORT = sys.executable, Path(mutants.__file__).parent
ONE = Mutant("login/jwt.py", "read", "return a + b", "return a - b")
TEXT = Mutant("login/jwt.py", "read", 'say("no such key")', 'say("XXno such keyXX")')
RULE = Listed({}, texts="for people")
MUTATED = '''
from mutmut.mutation.trampoline import wrap_in_trampoline as _mutmut_mutated, MutantDict

mutants_x_add__mutmut: MutantDict = {}  # type: ignore

@_mutmut_mutated(mutants_x_add__mutmut)
def add(a, b):
    return a + b

def x_add__mutmut_orig(a, b):
    return a + b

def x_add__mutmut_1(a, b):
    return a - b

class Key:
    def xǁKeyǁ_is__mutmut_orig(self):
        """Whether."""
        if self.one:
            return False
        return self.two == 2

    def xǁKeyǁ_is__mutmut_1(self):
        """Whether."""
        if self.one:
            return True
        return self.two == 2

    def xǁKeyǁ_is__mutmut_12(self):
        """Whether."""
        if self.one:
            return False
        return self.two != 2
'''
NAMES = [
    "token_service.login.jwt.x_add__mutmut_1",
    "token_service.login.jwt.xǁKeyǁ_is__mutmut_1",
    "token_service.login.jwt.xǁKeyǁ_is__mutmut_12",
]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one room and the room's test. Its mutmut does nothing."""
    for name, text in {
        "functions/sts_token/index.py": "",
        "functions/sts_token/token_service/app.py": "",
        "functions/sts_token/token_service/login/jwt.py": "def add(a, b):\n    return a + b\n",
        "tests/conftest.py": "",
        "tests/login/test_jwt.py": "",
        "tests/grant/test_grants.py": "",
        "requirements-measure.txt": "",
        "pyproject.toml": "[project]\n",
        "web/node_modules/large.js": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    monkeypatch.setattr(mutants, "WORK", tmp_path / "build" / "mutants")
    monkeypatch.setattr(mutants, "TABLE", tmp_path / "tests" / "mutants.toml")
    (tmp_path / "tests" / "mutants.toml").touch()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    (tmp_path / "bin").mkdir()
    mutmut(tmp_path, "")
    return tmp_path


def mutmut(tree: Path, script: str) -> None:
    program = tree / "bin" / "mutmut"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def with_results(tree: Path, *codes: int | None) -> Path:
    """Return a folder with the results of a run in which the first mutants had these exit codes."""
    folder = tree / "build" / "mutants" / ROOM
    mutants.prepare(ROOM, folder)
    module = folder / "mutants" / "token_service" / "login" / "jwt.py"
    module.parent.mkdir(parents=True, exist_ok=True)
    module.write_text(MUTATED, encoding="utf-8")
    kept = {"exit_code_by_key": dict(zip(NAMES, codes, strict=False)), "more": 1}
    module.with_suffix(".py.meta").write_text(json.dumps(kept), encoding="utf-8")
    (folder / "mutants" / "mutmut-stats.json").touch()
    return folder


def kept(folder: Path) -> list[int | None]:
    """Return the results that are in the folder. The list is empty if the run has started again
    from the beginning and has no results yet."""
    file = folder / "mutants" / "token_service" / "login" / "jwt.py.meta"
    if not file.exists():
        return []
    found = json.loads(file.read_text(encoding="utf-8"))
    assert found["more"] == 1
    return list(found["exit_code_by_key"].values())


# Which room


@pytest.mark.parametrize("room", ["", "attic", "../login"])
def test_who_names_no_room_is_told_the_rooms(
    tree: Path, room: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mutants.main({"ROOM": room}) == 2
    said = capsys.readouterr().err
    assert all(name in said for name in mutants.ROOMS)
    assert not (tree / "build").exists()


def test_every_room_has_its_folder_and_its_tests() -> None:
    package = mutants.ROOT / "functions" / "sts_token" / "token_service"
    for room, tests in mutants.ROOMS.items():
        assert list((package / room).glob("*.py"))
        assert all((mutants.ROOT / name).exists() for name in tests)


# Which results of an earlier run are kept


def test_results_are_kept_while_the_room_and_its_tests_stay(tree: Path) -> None:
    folder = with_results(tree, 0, 1, None)
    (tree / "tests" / "grant" / "test_grants.py").write_text("other")
    mutants.prepare(ROOM, folder)
    assert kept(folder) == [0, 1, None]
    assert (folder / "mutants" / "mutmut-stats.json").exists()


@pytest.mark.parametrize(
    "changed",
    [
        "functions/sts_token/token_service/login/jwt.py",
        "tests/login/test_jwt.py",
        "tests/login/test_new.py",
        "tests/conftest.py",
        "requirements-measure.txt",
    ],
)
def test_a_change_of_the_room_or_its_tests_begins_anew(tree: Path, changed: str) -> None:
    folder = with_results(tree, 0, 1, 1)
    (tree / changed).write_text("other")
    mutants.prepare(ROOM, folder)
    assert kept(folder) == []
    assert not (folder / "mutants" / "mutmut-stats.json").exists()


def test_a_mutant_whose_tests_were_interrupted_is_tried_again(tree: Path) -> None:
    folder = with_results(tree, 2, 255, 1)
    mutants.prepare(ROOM, folder)
    assert kept(folder) == [None, None, 1]


def test_only_survivors_are_tried_again_on_request_with_the_tests_of_now(tree: Path) -> None:
    folder = with_results(tree, 0, -24, 1)
    (tree / "tests" / "login" / "test_jwt.py").write_text("other")
    mutants.prepare(ROOM, folder, only_survivors=True)
    assert kept(folder) == [None, None, 1]
    assert (folder / "mutants" / "tests" / "login" / "test_jwt.py").read_text() == "other"
    assert not (folder / "mutants" / "mutmut-stats.json").exists()


def test_a_run_of_survivors_decides_nothing_for_the_next(tree: Path) -> None:
    """A run with SURVIVORS=1 tries only the mutants that survived. If such a run is
    interrupted, the next run uses no results of the interrupted run."""
    folder = with_results(tree, 1, 1, 1)
    mutmut(tree, "exit 1")
    assert mutants.main({"ROOM": ROOM, "SURVIVORS": "1"}) == 2
    mutants.prepare(ROOM, folder)
    assert kept(folder) == []


def test_survivors_of_other_sources_are_not_tried(tree: Path) -> None:
    folder = with_results(tree, 0, 1, 1)
    (tree / "functions/sts_token/token_service/login/jwt.py").write_text("other")
    with pytest.raises(Failed, match="SURVIVORS=1"):
        mutants.prepare(ROOM, folder, only_survivors=True)
    assert kept(folder) == [0, 1, 1]


def test_the_copy_is_the_tree_with_the_package_that_mutmut_makes(tree: Path) -> None:
    folder = with_results(tree)
    (tree / "functions/sts_token/token_service/app.py").write_text("new = 1")
    mutants.prepare(ROOM, folder)
    assert (folder / "token_service" / "app.py").read_text() == "new = 1"
    copy = folder / "mutants"
    assert (copy / "functions" / "sts_token" / "index.py").exists()
    package = copy / "functions" / "sts_token" / "token_service"
    assert package.resolve() == (copy / "token_service").resolve()
    assert not (copy / "web" / "node_modules").exists()
    assert not (copy / "build").exists()


def test_a_module_that_was_removed_is_no_longer_mutated(tree: Path) -> None:
    folder = with_results(tree)
    other = tree / "functions" / "sts_token" / "token_service" / "grant" / "old.py"
    other.parent.mkdir()
    other.touch()
    mutants.prepare(ROOM, folder)
    other.unlink()
    mutants.prepare(ROOM, folder)
    assert not (folder / "token_service" / "grant" / "old.py").exists()


# mutmut


def test_what_mutmut_said_last_is_told_where_it_fails(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_results(tree, 1, 1, 1)
    mutmut(tree, "echo 1/3  X 1 X 0; echo Failed to run clean test; exit 1")
    assert mutants.main({"ROOM": ROOM}) == 2
    assert "Failed to run clean test" in capsys.readouterr().err


def test_mutmut_runs_in_the_copy_and_says_how_far_it_is(
    tree: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    folder = with_results(tree, 1, 1, 1)
    mutmut(
        tree,
        "printf '\\r⠋ 1200/1300  🎉 1195 🫥 0  ⏰ 0  🤔 0  🙁 5  🔇 0  🧙 0'"
        '; echo; echo "$@ $CI $PYTHONPATH" >said',
    )
    assert mutants.main({"ROOM": ROOM}) == 0
    functions = folder / "mutants" / "functions" / "sts_token"
    assert (folder / "said").read_text() == f"run --max-children=2  {functions}\n"
    assert "login: 1,200 of 1,300 mutants tried, 5 survive\n" in capsys.readouterr().out


def test_mutated_code_gets_no_key_of_the_developers(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code with a mutation may call the real STS, or print the variables that it finds."""
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "a-real-key")
    monkeypatch.setenv("JWT_SECRET", "a-real-secret")
    folder = with_results(tree, 1, 1, 1)
    mutmut(tree, "env >said")
    assert mutants.main({"ROOM": ROOM}) == 0
    said = (folder / "said").read_text()
    assert "PATH=" in said
    assert "a-real" not in said


def test_two_runs_of_one_room_do_not_meddle(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with_results(tree, 1, 1, 1)
    with mutants._alone(ROOM):
        assert mutants.main({"ROOM": ROOM}) == 2
    assert "another run" in capsys.readouterr().err
    assert mutants.main({"ROOM": ROOM}) == 0


def test_mutmut_that_goes_on_alone_keeps_the_room(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_results(tree, 1, 1, 1)
    fifo = tree / "build" / "until"
    os.mkfifo(fifo)
    # The command that mutmut starts in the background inherits mutmut's open files, such as the
    # lock. The command does not keep mutmut's output open, so the run can end before the command.
    mutmut(tree, f"(read line <{fifo}) >/dev/null 2>&1 &")
    assert mutants.main({"ROOM": ROOM}) == 0
    assert mutants.main({"ROOM": ROOM}) == 2
    assert "another run" in capsys.readouterr().err
    fifo.write_text("end\n")


def test_a_run_that_is_interrupted_ends_mutmut_and_says_how_to_go_on(tree: Path) -> None:
    with_results(tree, 1, 1, 1)
    mutmut(tree, "trap 'echo ended >ended; exit 0' INT; echo $$ >pid; echo go; sleep 60 & wait")
    code = (
        "import mutants, pathlib, signal, sys\n"
        f"mutants.ROOT = pathlib.Path({str(tree)!r})\n"
        "mutants.WORK = mutants.ROOT / 'build/mutants'\n"
        "mutants.TABLE = mutants.ROOT / 'tests/mutants.toml'; mutants.INTERRUPT_SECONDS = 0.1\n"
        f"sys.executable = {str(tree / 'bin' / 'python')!r}\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"sys.exit(mutants.main({{'ROOM': {ROOM!r}}}))\n"
    )
    process = subprocess.Popen(
        [PYTHON, "-c", code],
        env={**os.environ, "PYTHONPATH": str(SUPPORT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    pid = tree / "build" / "mutants" / ROOM / "pid"
    while not (pid.exists() and pid.read_text()):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert f"make mutants ROOM={ROOM}` continues" in said
    assert (pid.parent / "ended").exists()


@pytest.mark.parametrize("code", [None, 255])
def test_a_mutant_that_was_not_judged_is_no_result(tree: Path, code: int | None) -> None:
    """The code 255 means that the tests could not run."""
    folder = with_results(tree, 1, code, 1)
    with pytest.raises(Failed, match=r"1 mutants of login/jwt\.py have no result"):
        mutants.results(ROOM, folder)


def test_no_mutant_at_all_is_no_result(tree: Path) -> None:
    with pytest.raises(Failed, match="no mutant"):
        mutants.results(ROOM, with_results(tree))


# How it counts


def test_what_no_test_reaches_has_survived_and_what_never_ends_is_killed(tree: Path) -> None:
    found = mutants.results(ROOM, with_results(tree, 33, -24, 0))
    assert (found.tried, found.killed) == (3, 1)
    assert found.survivors == [
        Mutant("login/jwt.py", "add", "return a + b", "return a - b"),
        Mutant("login/jwt.py", "Key._is", "return self.two == 2", "return self.two != 2"),
    ]
    assert found.out_of_time == [
        Mutant("login/jwt.py", "Key._is", "return False", "return True"),
    ]


def test_a_mutant_keeps_its_name_where_its_lines_move() -> None:
    moved = MUTATED.replace("class Key:", "MORE = 1\n\n\nclass Key:")
    assert mutants.mutants("login/jwt.py", moved) == mutants.mutants("login/jwt.py", MUTATED)


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ('raise Refused("no such key")', 'raise Refused("XXno such keyXX")'),
        ('raise Refused("no such key")', 'raise Refused("NO SUCH KEY")'),
        ('"of A-Z, a key"', '"of a-z, a key"'),
        ('f(x, "no such key", "a")', 'f(x, "NO SUCH KEY", "a")'),
        ('"key"', '"XXkeyXX"'),
    ],
)
def test_a_text_between_xx_or_in_other_letters_is_still_that_text(was: str, now: str) -> None:
    assert mutants.is_of_a_text(Mutant("", "", was, now))


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ('raise Refused("no such key")', "raise Refused(None)"),
        ('raise Refused("no such key")', "raise Refused()"),
        ('f["kid"]', 'f["XXkidXX"]'),
        ('f["kid"]', 'f["KID"]'),
        ('"key",', '"XXkeyXX",'),
        ('"no such key"', "None"),
        ('f("no such key", "a")', 'f("no such key", "A")'),
        ("return a + b", "return a - b"),
        ("x = True", "x = False"),
    ],
)
def test_no_other_change_is_one_of_a_text(was: str, now: str) -> None:
    assert not mutants.is_of_a_text(Mutant("", "", was, now))


@pytest.mark.parametrize(("killed", "code"), [(90, 0), (89, 1)])
def test_under_ninety_percent_fails(
    killed: int, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    found = Results(100, killed, texts=3, texts_killed=0, survivors=[])
    assert mutants.report(ROOM, found, RULE) == code
    assert f"login: {killed} of 100 mutants killed, {killed}.0 %" in capsys.readouterr().out


# The table


def listed(*found: Mutant, texts: str = "") -> Listed:
    return Listed({ROOM: Counter(found)}, texts)


def test_a_survivor_that_is_listed_passes() -> None:
    assert mutants.differences(ROOM, [ONE], listed(ONE)) == ([], [])


def test_a_survivor_that_is_not_listed_fails_and_can_be_pasted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = Results(100, 99, 0, 0, [ONE])
    assert mutants.report(ROOM, found, listed()) == 1
    entry = capsys.readouterr().out.split("reason:\n\n")[1].split("\n\n")[0]
    assert mutants.read_table(entry.replace('""', '"it is the same"')) == listed(ONE)


def test_a_mutant_that_is_listed_and_killed_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert mutants.report(ROOM, Results(100, 100, 0, 0, []), listed(ONE)) == 1
    assert "no longer survive" in capsys.readouterr().out


def test_a_mutant_whose_tests_did_not_end_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert mutants.report(ROOM, Results(1, 1, 0, 0, [], [ONE]), RULE) == 0
    assert "did not end: read: return a + b -> return a - b\n" in capsys.readouterr().out


def test_one_change_in_two_places_is_listed_twice() -> None:
    missing, gone = mutants.differences(ROOM, [ONE, ONE], listed(ONE))
    assert "times = 2" in missing[0]
    assert gone == []
    assert mutants.differences(ROOM, [ONE, ONE], listed(ONE, ONE)) == ([], [])
    missing, gone = mutants.differences(ROOM, [ONE], listed(ONE, ONE))
    assert missing == []
    assert len(gone) == 1


def test_one_reason_stands_for_all_texts_and_only_for_these() -> None:
    assert mutants.differences(ROOM, [TEXT], RULE) == ([], [])
    assert len(mutants.differences(ROOM, [TEXT, ONE], RULE)[0]) == 1
    assert len(mutants.differences(ROOM, [TEXT], listed())[0]) == 1
    assert len(mutants.differences(ROOM, [TEXT], listed(TEXT, texts="why"))[1]) == 1


@pytest.mark.parametrize("text", ["it's", 'say "it\'s"', "a\\b'", "tab\t", "a 'b' \"c\""])
def test_any_line_of_code_can_be_listed(text: str) -> None:
    mutant = ONE._replace(was=text)
    entry = mutants.entry_text(ROOM, mutant, 1).removesuffix('""')
    assert mutants.read_table(f'{entry}"same"') == listed(mutant)


ENTRY = mutants.entry_text(ROOM, ONE, 1)
SOUND = ENTRY.replace('why = ""', 'why = "same"')


@pytest.mark.parametrize(
    "text",
    [
        ENTRY,
        SOUND.replace("[[login]]", "[[attic]]"),
        SOUND.replace("[[login]]", "[[grant]]"),
        SOUND.replace("file", "path"),
        f"{SOUND}\ntimes = 0",
        f"{SOUND}\n{SOUND}",
        f"{SOUND}\nmore = 1",
    ],
    ids=["no reason", "no room", "another room", "a name", "times", "twice", "more"],
)
def test_an_entry_that_is_not_as_the_others_is_refused(text: str) -> None:
    with pytest.raises(Failed):
        mutants.read_table(text)


def test_the_projects_own_table_is_sound() -> None:
    table = mutants.read_table(mutants.TABLE.read_text(encoding="utf-8"))
    assert table.texts
    package = mutants.ROOT / "functions" / "sts_token" / "token_service"
    for survivors in table.survivors.values():
        for mutant in survivors:
            assert (package / mutant.file).exists(), mutant
