"""`make mutants ROOM=login`: changes the code of a room, and lists the changes that no test of the
room detects.

mutmut makes one change (a mutant) at a time in the functions of a room (a folder of
`token_service`). mutmut runs the room's tests that reach the changed code. If all of them pass, the
mutant has survived. Each survivor is in `tests/mutants.toml`, with the reason why it has no test.

Everything happens in a copy of the tree, `build/mutants/<room>`. An interrupted run continues where
it stopped. The results of a room (a folder of token_service) are kept until its sources or its
tests change. mutmut does not change decorated functions, or code outside of functions (constants,
patterns, defaults of classes).
"""

from __future__ import annotations

import ast
import difflib
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import IO, Any, NamedTuple, TextIO

from tried import FEW

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "tests" / "mutants.toml"
WORK = ROOT / "build" / "mutants"

ROOMS: Mapping[str, tuple[str, ...]] = {
    "settings": ("tests/settings",),
    "grant": ("tests/grant",),
    "login": ("tests/login",),
    # Only one route uses signing/multipart.py, so the tests of that route test this module.
    "signing": ("tests/signing", "tests/routes/test_multipart.py"),
    "callback": ("tests/callback",),
    "token": ("tests/token",),
}
"""The folders of token_service ("rooms") that are measured, each with the files or folders of its
tests."""
MIN_SCORE = 90.0
"""The percentage of a room's mutants that the tests must detect. Texts are not counted."""
PROCESSES = 2
MIN_WORDS = 3
"""A string with at least so many words counts as a message."""
INTERRUPT_SECONDS = 5
"""How many seconds mutmut gets to end by itself when the run is interrupted."""
REPORT_SECONDS = 20
"""Seconds between two lines of progress. On a terminal, a single line shows the progress, and is
updated more often."""

_SURVIVED, _REACHED_BY_NO_TEST = 0, 33
_INTERRUPTED, _BROKEN = 2, 255
# The signals that end a test process that takes too long: SIGXCPU, or SIGKILL a second later.
_OUT_OF_TIME = (-24, -9)
_STRING = r"(?:\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')"
_LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", "build", "dist", "node_modules", "__pycache__", ".*_cache", ".hypothesis"
)
_FUNCTION = Path("functions") / "sts_token"
_PACKAGE = "token_service"
_CONFIGURATION = """
[tool.mutmut]
source_paths = ["token_service"]
only_mutate = ["token_service/{room}/*"]
pytest_add_cli_args_test_selection = {tests}
pytest_add_cli_args = {arguments}
# Each mutant has its own process, forked from a process that has loaded the tests but run none.
process_isolation = "forkserver"
# A mutant's tests may take (their normal time + 3 s) * 12. The limit is high, because on a busy
# machine slow tests would count as tests that detect the mutant.
timeout_multiplier = 12.0
timeout_constant = 3.0
track_dependencies = false
use_git_change_detection = false
"""
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")
_ARGUMENTS = ["-m", "not slow and not chaos", "-p", "no:cacheprovider"]
_ARGUMENTS += [f"--hypothesis-profile={FEW}"]


class Failed(Exception):
    """The run could not be completed, or ROOM is not in ROOMS. The text says what is wrong."""


class Mutant(NamedTuple):
    """A change: the module's path below `token_service`, the function (`Class.method`), and the
    changed lines before and after, without indentation. Line numbers do not matter."""

    file: str
    function: str
    was: str
    now: str


class Results(NamedTuple):
    """The results of a room's mutants. Changes of texts are counted separately (`is_of_a_text`).

    `survivors` holds all mutants that the tests missed, including changes of texts. The same change
    may be possible in several places of a function. Then `survivors` has one entry for each place
    that the tests missed. `out_of_time` holds the mutants that count as killed because the tests
    did not end in time.
    """

    tried: int
    killed: int
    texts: int
    texts_killed: int
    survivors: list[Mutant]
    out_of_time: Sequence[Mutant] = ()

    @property
    def score(self) -> float:
        """The percentage of mutants that a test has detected. Mutants that only change a text are
        not counted. If there are no mutants, the score is 100."""
        return 100.0 * self.killed / self.tried if self.tried else 100.0


class Listed(NamedTuple):
    """The content of `tests/mutants.toml`. `survivors` maps each room to its listed mutants, with
    the number of entries for each mutant. If survivors that change only a text are not listed,
    `texts` is the reason. Otherwise `texts` is ""."""

    survivors: Mapping[str, Counter[Mutant]]
    texts: str


def main(environ: Mapping[str, str] = os.environ) -> int:
    """Try the mutants of the room that ROOM names. Return 0 for success. Return 1 if too many
    mutants survive, or if the table does not list the survivors exactly. Return 2 if the run
    failed, or 130 if it was interrupted."""
    room = environ.get("ROOM", "")
    try:
        if room not in ROOMS:
            said = f"there is no room {room}" if room else "which room?"
            raise Failed(f"{said} ROOM is one of {', '.join(ROOMS)}")
        listed = read_table(TABLE.read_text(encoding="utf-8"))
        only_survivors = environ.get("SURVIVORS", "") not in {"", "0", "no"}
        folder = WORK / room
        with _alone(room) as lock:
            prepare(room, folder, only_survivors=only_survivors)
            run(room, folder, lock)
            found = results(room, folder)
    except Failed as error:
        _say(f"make mutants: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        _say(f"\nInterrupted. `make mutants ROOM={room}` continues from here.", file=sys.stderr)
        return 130
    if only_survivors:
        _say("Only earlier survivors were tried. For the final result, run without SURVIVORS=1.")
    return report(room, found, listed)


# The table


def read_table(text: str) -> Listed:
    """Read `tests/mutants.toml`. Raises Failed if an entry is not valid."""
    toml = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    table = dict(toml.loads(text))
    texts = table.pop("texts", {}).get("why", "")
    rooms: dict[str, Counter[Mutant]] = {}
    for room, entries in table.items():
        if room not in ROOMS:
            raise Failed(f"{TABLE.name} has a table {room}, but no room has this name")
        rooms[room] = Counter()
        for entry in entries:
            mutant, times = _entry(entry)
            if mutant.file.partition("/")[0] != room or mutant in rooms[room]:
                raise Failed(f"{TABLE.name}: this is of another room, or listed twice: {entry}")
            rooms[room][mutant] = times
    return Listed(rooms, texts)


def _entry(entry: Any) -> tuple[Mutant, int]:
    texts = {"file", "function", "was", "now", "why"}
    is_sound = isinstance(entry, dict) and set(entry) | {"times"} == texts | {"times"}
    if not is_sound or not all(isinstance(entry[name], str) for name in texts):
        raise Failed(f"{TABLE.name}: an entry must have file, function, was, now, why: {entry}")
    times = entry.get("times", 1)
    if not entry["why"].strip() or type(times) is not int or times < 1:
        raise Failed(f"{TABLE.name}: `why` is empty, or `times` is not 1 or more: {entry}")
    fields = {name: entry[name] for name in ("file", "function", "was", "now")}
    return Mutant(**fields), times


def differences(room: str, found: Iterable[Mutant], listed: Listed) -> tuple[list[str], list[str]]:
    """Compare the survivors with the table. Return two lists: the survivors that are not in the
    table, as entries to paste into it, and the entries of the table whose mutants no longer
    survive. If `listed.texts` has a reason, this reason explains all survivors that change only a
    text, and the table must have no entries for these survivors."""
    lives, table = Counter(found), listed.survivors.get(room, Counter())
    by_rule = {mutant for mutant in lives if listed.texts and is_of_a_text(mutant)}
    missing = [
        entry_text(room, mutant, lives[mutant])
        for mutant in sorted(lives)
        if mutant not in by_rule and lives[mutant] > table[mutant]
    ]
    gone = [
        entry_text(room, mutant, table[mutant])
        for mutant in sorted(table)
        if mutant in by_rule or lives[mutant] < table[mutant]
    ]
    return missing, gone


def entry_text(room: str, mutant: Mutant, times: int) -> str:
    """Return the entry of the table for a mutant that no test detects. Its reason (`why`) is empty,
    so that a person fills it in."""
    lines = [f"[[{room}]]"]
    lines += [f"{name} = {_toml(value)}" for name, value in mutant._asdict().items()]
    lines += [f"times = {times}"] if times > 1 else []
    return "\n".join([*lines, 'why = ""'])


def _toml(value: str) -> str:
    if "'" not in value and value.isprintable():
        return f"'{value}'"
    # JSON and TOML have the same escapes.
    return json.dumps(value, ensure_ascii=False)


# The copy of the tree


def prepare(room: str, folder: Path, *, only_survivors: bool = False) -> None:
    """Make the copy that mutmut works in. Earlier results are kept if the room's sources and tests
    have not changed. With `only_survivors`, mutants that were killed before are not run again, even
    if tests have changed. Raises Failed if there are no results for these sources."""
    now = fingerprint(room)
    before = folder / "fingerprint"
    old = before.read_text(encoding="utf-8") if before.exists() else None
    sources = folder / "sources"
    same = sources.exists() and sources.read_text(encoding="utf-8") == now.partition(" ")[0]
    if only_survivors and not same:
        raise Failed("SURVIVORS=1 needs an earlier run with the present sources")
    if not only_survivors and old != now:
        shutil.rmtree(folder, ignore_errors=True)
    _copy_tree(folder, room)
    _forget(folder, survivors=only_survivors)
    # Write the fingerprint now, because the run may fail. With `only_survivors` the fingerprint
    # stays empty, because the results that are kept come from earlier versions of the tests.
    before.write_text("" if only_survivors else now, encoding="utf-8")
    sources.write_text(now.partition(" ")[0], encoding="utf-8")


def fingerprint(room: str) -> str:
    """Two digests: one of the room's sources, and one of its tests and their packages."""
    source = _digest([ROOT / _FUNCTION / _PACKAGE / room])
    lock = ROOT / "requirements-measure.txt"
    tests = _digest([*(ROOT / name for name in ROOMS[room]), ROOT / "tests" / "conftest.py", lock])
    return f"{source} {tests}"


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        for file in files:
            digest.update(f"{file.relative_to(ROOT)}\n".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _copy_tree(folder: Path, room: str) -> None:
    """Copy the tree into `mutants`, where mutmut runs the tests. Copy the package into `folder`,
    because mutmut makes the names of mutants from the paths of files in this folder. A link in the
    tree leads to the mutated package."""
    tree = folder / "mutants"
    for path in ROOT.iterdir():
        if path.name in _LEFT_OUT(str(ROOT), [path.name]) or path.name.startswith("."):
            continue
        if path.is_dir():
            shutil.rmtree(tree / path.name, ignore_errors=True)
            skip = _LEFT_OUT if path.name != "functions" else _without_package
            shutil.copytree(path, tree / path.name, ignore=skip)
        else:
            tree.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, tree / path.name)
    link = tree / _FUNCTION / _PACKAGE
    link.symlink_to(Path("..") / ".." / _PACKAGE)
    for copy in (folder / _PACKAGE).rglob("*.py"):
        name = copy.relative_to(folder)
        if not (ROOT / _FUNCTION / name).exists():
            copy.unlink()
            (tree / name).unlink(missing_ok=True)
    for path in (ROOT / _FUNCTION / _PACKAGE).rglob("*.py"):
        copy = folder / path.relative_to(ROOT / _FUNCTION)
        # If a file has not changed, keep its time, because with a new time mutmut would make the
        # mutants of the file again.
        if not copy.exists() or copy.read_bytes() != path.read_bytes():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8") + _CONFIGURATION.format(
        room=room, tests=list(ROOMS[room]), arguments=json.dumps(_ARGUMENTS)
    )
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")


def _without_package(folder: str, names: list[str]) -> set[str]:
    own = {_PACKAGE} if Path(folder).name == _FUNCTION.name else set()
    return own | set(_LEFT_OUT(folder, names))


def _forget(folder: Path, *, survivors: bool) -> None:
    """Remove the results of mutants if their tests were interrupted or could not run. With
    `survivors`, also remove the results of survivors, and of mutants whose tests did not end."""
    codes = {_INTERRUPTED, _BROKEN}
    codes |= {_SURVIVED, _REACHED_BY_NO_TEST, *_OUT_OF_TIME} if survivors else set()
    for file in _metas(folder):
        meta = json.loads(file.read_text(encoding="utf-8"))
        found = meta["exit_code_by_key"]
        meta["exit_code_by_key"] = {
            name: None if code in codes else code for name, code in found.items()
        }
        file.write_text(json.dumps(meta, indent=4), encoding="utf-8")
    if survivors:
        # The tests may have changed, so mutmut has to find again which test reaches which code.
        (folder / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)


def _metas(folder: Path) -> list[Path]:
    return sorted((folder / "mutants" / _PACKAGE).rglob("*.py.meta"))


# mutmut


@contextmanager
def _alone(room: str) -> Iterator[int]:
    """Hold the lock of a room while the block runs. mutmut inherits the lock. If this process is
    killed, mutmut continues and keeps the lock, so no second run writes into the files of the first
    run. Raises Failed if another run has the lock."""
    WORK.mkdir(parents=True, exist_ok=True)
    with (WORK / f"{room}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failed(f"another run of {room} is still running in this folder") from None
        yield file.fileno()


def run(room: str, folder: Path, lock: int) -> None:
    """Let mutmut try all mutants that have no result yet. Raises Failed with mutmut's last lines if
    mutmut fails. Raises KeyboardInterrupt after an interrupted mutmut has ended. `lock` is a
    descriptor that mutmut keeps open."""
    # Mutated code gets only these variables, so it gets none of the developer's keys. The copy has
    # no packages of Node.js, so tests that need these packages are skipped. If the variable CI were
    # passed on, the same tests would fail.
    environ = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    environ |= {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    # The tests start processes, which must import the mutants and not an installed package.
    environ["PYTHONPATH"] = str(folder / "mutants" / _FUNCTION)
    program = Path(sys.executable).parent / "mutmut"
    command = [str(program), "run", f"--max-children={PROCESSES}"]
    _say(f"{room}: the tests are run once without a mutant (up to a minute) ...")
    began = time.monotonic()
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=[lock],
    ) as process:
        assert process.stdout
        try:
            last = list(_progress(room, process.stdout, sys.stdout.isatty()))
        except KeyboardInterrupt:
            # A terminal sends the signal to mutmut too. mutmut then saves the results that it has.
            try:
                process.wait(INTERRUPT_SECONDS)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)
            raise
    if process.returncode:
        said = "\n".join(last[-40:])
        raise Failed(f"mutmut ended with {process.returncode}:\n{said}")
    _say(f"{room}: {(time.monotonic() - began) / 60:.1f} minutes")


def _progress(room: str, output: IO[bytes], is_terminal: bool) -> Iterator[str]:
    """Print the progress of mutmut, and yield the other lines of the output of mutmut."""
    shown, rest = 0.0, b""
    while chunk := os.read(output.fileno(), 65536):
        *lines, rest = re.split(rb"[\r\n]", rest + chunk)
        for line in (line.decode("utf-8", "replace").strip() for line in lines):
            count = re.search(r"(\d+)/(\d+) .*?\U0001f641 (\d+)", line)
            if not count:
                if line:
                    yield line
                continue
            now = time.monotonic()
            if now - shown >= (0.2 if is_terminal else REPORT_SECONDS):
                shown = now
                done, of, alive = map(int, count.groups())
                text = f"{room}: {done:,} of {of:,} mutants tried, {alive:,} survive"
                _say(f"\r{text}" if is_terminal else text, end="" if is_terminal else "\n")
    if is_terminal:
        _say("")


# What mutmut found


def results(room: str, folder: Path) -> Results:
    """Read the result of each mutant. Raises Failed if a mutant was not tried, or if its tests
    could not run."""
    killed, of_texts, texts_killed, tried = 0, 0, 0, 0
    survivors: list[Mutant] = []
    out_of_time: list[Mutant] = []
    for meta in _metas(folder):
        source = meta.with_suffix("").read_text(encoding="utf-8")
        file = str(meta.with_suffix("").relative_to(folder / "mutants" / _PACKAGE))
        codes = json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"]
        open_ = [name for name, code in codes.items() if code is None or code == _BROKEN]
        if open_:
            raise Failed(
                f"{len(open_)} mutants of {file} have no result, for example {open_[0]}."
                " Run it again. If that does not help, a test may have an id that a function makes"
                " and that is not ASCII: pytest may not find that test by its id"
            )
        changes = mutants(file, source)
        for name, code in codes.items():
            mutant = changes[name.rpartition(".")[2]]
            is_killed = code not in (_SURVIVED, _REACHED_BY_NO_TEST)
            if is_of_a_text(mutant):
                of_texts, texts_killed = of_texts + 1, texts_killed + is_killed
            else:
                tried, killed = tried + 1, killed + is_killed
            if not is_killed:
                survivors.append(mutant)
            elif code in _OUT_OF_TIME:
                out_of_time.append(mutant)
    if not tried:
        raise Failed(f"mutmut made no mutant of {room}")
    return Results(tried, killed, of_texts, texts_killed, survivors, out_of_time)


def mutants(file: str, source: str) -> dict[str, Mutant]:
    """Return the mutants in `source`, a file that mutmut wrote. The key of a mutant is the name of
    the function that contains it.

    mutmut replaces a function by several: `x_name__mutmut_orig`, `x_name__mutmut_1` and so on. For
    a method of a class, the names are like `xǁClassǁname__mutmut_1`.
    """
    texts: dict[str, list[str]] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and "__mutmut_" in node.name:
            lines = source.splitlines()[node.lineno - 1 : node.end_lineno]
            texts[node.name] = [line.strip().replace(node.name, "") for line in lines]
    found = {}
    for name, lines in texts.items():
        stem, _, number = name.rpartition("_")
        if number != "orig":
            was, now = _changed(texts[f"{stem}_orig"], lines)
            function = stem.removesuffix("__mutmut").removeprefix("x").strip("ǁ")
            function = function.removeprefix("_") if "ǁ" not in stem else function
            found[name] = Mutant(file, function.replace("ǁ", "."), was, now)
    return found


def _changed(before: Sequence[str], after: Sequence[str]) -> tuple[str, str]:
    """Return two texts: the lines of `before` that differ from `after`, and the lines of `after`
    that differ from `before`. In each text, the lines are joined by spaces."""
    parts = [
        (before[one:two], after[three:four])
        for kind, one, two, three, four in difflib.SequenceMatcher(
            None, before, after, autojunk=False
        ).get_opcodes()
        if kind != "equal"
    ]
    was, now = ([line for part in parts for line in part[side]] for side in (0, 1))
    return " ".join(was), " ".join(now)


def is_of_a_text(mutant: Mutant) -> bool:
    """Whether the mutant changes only how a message is written. In such a mutant, the message is in
    upper case, in lower case, or between XX and XX. The result is False for a mutant that
    removes or replaces the message."""
    was, now = (re.sub(r"XX(?=[\"'])|(?<=[\"'])XX", "", text) for text in mutant[2:])
    if was.lower() != now.lower():
        return False
    changed = [
        one
        for one, other in zip(_strings(mutant.was), _strings(mutant.now), strict=False)
        if one != other
    ]
    # If a line has only strings, they are parts of a longer text. These parts may have few words.
    is_line = re.fullmatch(f"({_STRING} ?)+", mutant.was) is not None
    return bool(changed) and all(is_line or len(text.split()) >= MIN_WORDS for text in changed)


def _strings(code: str) -> list[str]:
    """The string literals in a piece of code, in their order."""
    return re.findall(_STRING, code)


def report(room: str, found: Results, listed: Listed) -> int:
    """Print the score and all faults; return 1 if there is a fault, otherwise 0."""
    missing, gone = differences(room, found.survivors, listed)
    code = 0
    for mutant in found.out_of_time:
        _say(f"The tests did not end: {mutant.function}: {mutant.was} -> {mutant.now}")
    if missing:
        code = 1
        _say("\nThese survive. Write a test, or list them in tests/mutants.toml with a reason:\n")
        _say("\n\n".join(missing))
    if gone:
        code = 1
        _say("\nThese are in tests/mutants.toml, but no longer survive, or not as often:\n")
        _say("\n\n".join(gone))
    _say(
        f"\n{room}: {found.killed:,} of {found.tried:,} mutants killed, {found.score:.1f} %;"
        f" also {found.texts_killed:,} of {found.texts:,} mutants that only change a text"
    )
    if found.score < MIN_SCORE:
        code = 1
        _say(f"That is less than {MIN_SCORE:.0f} %.")
    return code


def _say(text: str, *, end: str = "\n", file: TextIO | None = None) -> None:
    print(text, end=end, file=file, flush=True)


if __name__ == "__main__":
    # If a shell started this process in the background, Python ignores SIGINT (Ctrl-C). Therefore
    # this code sets a handler for SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
