"""Tests the byte code in the zip, in a Python 3.10 like Function Compute's.

Python uses the byte code even if the times of the files differ. The byte code is complete, and it
matches the sources."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from fetched import preinstalled, runtime_python
from ops import ROOT, byte_code, template
from ops.byte_code import beside
from ops.package import FUNCTION, PackageError
from ops.runtime import TAG, Python
from ops.serving import ENVIRONMENT, event
from scripted_sts import scripted_sts, success
from signed_logins import KEYS, SECRET, jwk, jwks, login

SERVE_ONCE = ROOT / "ops" / "serve_once.py"
pytestmark = pytest.mark.slow

# Runs ops/serve_once.py. At the end, prints to stderr the names of all code that Python compiled
# during the run.
AUDITED = """
import atexit, json, runpy, sys
names = set()
def hook(event, arguments):
    if event == "compile":
        names.add(str(arguments[1]))
sys.addaudithook(hook)
atexit.register(lambda: print(json.dumps(sorted(names)), file=sys.stderr))
del sys.argv[0]
exec(compile(open(sys.argv[0]).read(), "serve_once", "exec"))
"""

# This program prints each file of byte code in a folder, and what is wrong with the file.
JUDGED = """
import importlib.util, json, marshal, pathlib, sys
def same(one, other):
    codes = [[each for each in code.co_consts if hasattr(each, "co_code")] for code in (one, other)]
    return (
        one == other and one.co_filename == other.co_filename and len(codes[0]) == len(codes[1])
        and one.co_linetable == other.co_linetable and all(map(same, *codes))
    )
folder = pathlib.Path(sys.argv[1])
faults = {}
for path in sorted(folder.rglob("*.pyc")):
    source = path.parent.parent / (path.name.partition(".")[0] + ".py")
    name = str(source.relative_to(folder))
    text, data = source.read_bytes(), path.read_bytes()
    meant = compile(text, "/code/" + name, "exec", dont_inherit=True, optimize=0)
    faults[name] = [
        fault for fault, sound in {
            "magic": data[:4] == importlib.util.MAGIC_NUMBER,
            "not unchecked": data[4:8] == bytes([1, 0, 0, 0]),
            "hash": data[8:16] == importlib.util.source_hash(text),
            "code": same(marshal.loads(data[16:]), meant),
        }.items() if not sound
    ]
print(json.dumps(faults))
"""


@pytest.fixture(scope="module")
def python() -> Python:
    return runtime_python()


@pytest.fixture(scope="module")
def unpacked(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The unpacked zip. The folder is read-only, and each file has a different time."""
    folder = tmp_path_factory.mktemp("unpacked") / "code"
    with zipfile.ZipFile(package.with_suffix(".zip")) as archive:
        archive.extractall(folder)
    for number, path in enumerate(sorted(folder.rglob("*"))):
        os.utime(path, (1_900_000_000 - number, 1_900_000_000 - number))
        path.chmod(0o555 if path.is_dir() else 0o444)
    folder.chmod(0o555)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def cold_start(
    python: Python, folder: Path, env: Mapping[str, str], bearer: str, *others: Path
) -> set[str]:
    """Return the names of all code that Python compiles until a new process has answered with a
    token."""
    with scripted_sts(success()) as server:
        done = subprocess.run(
            # Python runs without -B here, so it would write a new file for each module that it
            # compiles.
            [python.path, "-I", "-S", "-c", AUDITED, str(SERVE_ONCE), *map(str, [folder, *others])],
            input=json.dumps([event("/", bearer)]),
            env={**ENVIRONMENT, **env, "STS_ENDPOINT": server.url},
            capture_output=True,
            encoding="utf-8",
            check=True,
        )
    (answer,) = json.loads(done.stdout)
    assert json.loads(answer["body"])["StatusCode"] == 200, answer
    compiled: list[str] = json.loads(done.stderr.splitlines()[-1])
    return set(compiled) - {"serve_once"}


def files(folder: Path) -> dict[str, int]:
    return {f"{path}": path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize("way", ["anonymous", "HS256", "RS256", "ES256", "EdDSA"])
def test_nothing_is_compiled_for_a_first_token(
    python: Python, unpacked: Path, tmp_path: Path, way: str
) -> None:
    env, bearer = way_in(tmp_path, way)
    before = files(unpacked)
    # At run time Python compiles only two kinds of text that are not files: the code that the
    # standard library makes for classes (<string>), and the template of a policy (<template>).
    assert cold_start(python, unpacked, env, bearer) <= {"<string>", "<template>"}
    assert files(unpacked) == before


def test_a_module_without_byte_code_would_show(
    python: Python, package: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "code"
    shutil.copytree(package, folder)
    missing = Path("token_service", "app.py")
    (folder / beside(missing)).unlink()
    compiled = cold_start(python, folder, {"AUTH": "anonymous"}, "")
    assert [name for name in compiled if name.endswith(".py")] == [str(folder / missing)]


def judged(python: Python, folder: Path) -> dict[str, list[str]]:
    command = [python.path, "-I", "-S", "-B", "-c", JUDGED, str(folder)]
    faults: dict[str, list[str]] = json.loads(subprocess.check_output(command))
    return faults


def test_each_file_is_what_its_source_compiles_to(python: Python, unpacked: Path) -> None:
    found = judged(python, unpacked)
    assert {name: faults for name, faults in found.items() if faults} == {}
    own = {str(path.relative_to(FUNCTION)) for path in FUNCTION.rglob("*.py")}
    assert found.keys() > own
    assert {"jinja2/environment.py", "jwt/api_jwt.py"} <= found.keys()
    assert "cryptography/hazmat/primitives/asymmetric/rsa.py" in found
    # A module of a package has byte code only if it is imported.
    assert "jwt/help.py" not in found


def test_byte_code_of_another_source_would_show(
    python: Python, package: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "code"
    shutil.copytree(package, folder)
    # A comment is added at the end of index.py. The code of the file does not change.
    with (folder / "index.py").open("a") as source:
        source.write("# Edited.\n")
    shutil.copyfile(folder / beside(Path("index.py")), folder / beside(Path("wsgi.py")))
    found = judged(python, folder)
    assert {name: faults for name, faults in found.items() if faults} == {
        "index.py": ["hash"],
        "wsgi.py": ["hash", "code"],
    }


def test_a_source_that_was_edited_is_not_looked_at(
    python: Python, package: Path, tmp_path: Path
) -> None:
    """If a source is edited, Python ignores the change, as docs/runtime.md says. Python reads the
    source only if there is no __pycache__."""
    folder = tmp_path / "code"
    shutil.copytree(package, folder)
    env = {"AUTH": "anonymous"}
    (folder / "token_service" / "app.py").write_text("raise SystemExit('edited')")
    cold_start(python, folder, env, "")
    shutil.rmtree(folder / "token_service" / "__pycache__")
    with pytest.raises(subprocess.CalledProcessError):
        cold_start(python, folder, env, "")


def health(python: Python, folder: Path, *flags: str) -> bool:
    env = {**ENVIRONMENT, "AUTH": "anonymous"}
    command = [python.path, "-I", "-S", "-B", *flags, str(SERVE_ONCE), str(folder)]
    asked = json.dumps([event("/health")])
    done = subprocess.run(
        command, input=asked, env=env, stdout=subprocess.PIPE, text=True, check=True
    )
    (answer,) = json.loads(done.stdout)
    said: bool = json.loads(answer["body"])["ByteCode"]
    return said


def test_health_says_whether_python_finds_it(
    python: Python, unpacked: Path, package: Path, tmp_path: Path
) -> None:
    """/health tells an operator whether Python uses the byte code of the package (assumption
    37)."""
    assert health(python, unpacked)
    # With these options, Python looks for byte code in another folder, or in a file with another
    # name.
    assert not health(python, unpacked, "-X", f"pycache_prefix={tmp_path}")
    assert not health(python, unpacked, "-O")
    folder = tmp_path / "code"
    shutil.copytree(package, folder, ignore=shutil.ignore_patterns("__pycache__"))
    assert not health(python, folder)


# In the template


@pytest.mark.parametrize("way", ["anonymous", "HS256", "RS256"])
def test_none_of_our_modules_in_the_template_is_compiled_for_a_first_token(
    python: Python, inlined_code: Path, tmp_path: Path, way: str
) -> None:
    env, bearer = way_in(tmp_path, way)
    folder = tmp_path / "code"
    shutil.copytree(inlined_code, folder)
    # The policy is the default, which is bundled, so the request needs no Jinja2.
    names = cold_start(python, folder, {**env, "POLICY_CHOICES": ""}, bearer, preinstalled())
    inside = [Path(name).relative_to(folder) for name in names if name.startswith(f"{folder}/")]
    assert [path for path in inside if (FUNCTION / path).exists()] == []
    assert len(list(inlined_code.rglob("*.pyc"))) > 40


def test_the_templates_byte_code_is_what_its_sources_compile_to(
    python: Python, inlined_code: Path
) -> None:
    found = judged(python, inlined_code)
    assert {name: faults for name, faults in found.items() if faults} == {}
    assert not [name for name in found if not (FUNCTION / name).exists()]


def test_where_there_is_no_room_what_a_first_request_does_without_goes_first_then_the_smallest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = {Path("index.py"): 10_000, Path("wsgi.py"): 4_000, Path("token_service/app.py"): 8_000}
    sizes = {**first, Path("token_service/faults.py"): 20_000}

    def write(_: Python, folder: Path, targets: Mapping[Path, Path]) -> None:
        for source, target in targets.items():
            (folder / target).parent.mkdir(parents=True, exist_ok=True)
            (folder / target).write_bytes(os.urandom(sizes[source]))

    python = Python("", "3.10.0", TAG)
    monkeypatch.setattr(byte_code, "compiler", lambda: (python, ""))
    monkeypatch.setattr(
        byte_code,
        "imported",
        lambda *_, cold: [*(first if cold else sizes), Path("jwt/a.py")],
    )
    monkeypatch.setattr(byte_code, "write", write)
    said = template._put_byte_code(tmp_path, 19_000)
    assert said.startswith(
        "2 of our 4 modules have byte code from Python 3.10.0. "
        "A first request imports 3 of our modules, and 2 of them have byte code."
    )
    held = {path.name.partition(".")[0] for path in tmp_path.rglob("*.pyc")}
    assert held == {"index", "app"}


# Without it


def test_without_a_python_3_10_it_says_what_that_costs_and_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(byte_code, "find", lambda: None)
    said = byte_code.put(tmp_path)
    for words in ("no byte code", "CPU time", "uv python install 3.10", "RUNTIME_PYTHON"):
        assert words in said
    assert not list(tmp_path.iterdir())


def test_byte_code_no_leaves_it_out_and_any_other_word_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BYTE_CODE", "no")
    for said in (byte_code.put(tmp_path), template._put_byte_code(tmp_path, 1)):
        assert said.startswith("no byte code (BYTE_CODE=no): ")
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("BYTE_CODE", "0")
    with pytest.raises(PackageError, match=r"BYTE_CODE=0: must be yes \(the default\) or no"):
        byte_code.put(tmp_path)


def test_a_source_that_does_not_compile_is_named(python: Python, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def f(:\n")
    with pytest.raises(PackageError, match=r"/code/a\.py"):
        byte_code.write(python, tmp_path, {Path("a.py"): Path("a.pyc")})


def way_in(folder: Path, way: str) -> tuple[dict[str, str], str]:
    if way == "anonymous":
        return {"AUTH": way}, ""
    if way == "HS256":
        return {"JWT_SECRET": SECRET}, login()
    keys = folder / "keys.json"
    keys.write_text(jwks(jwk(way, "k")))
    return {"JWT_JWKS_FILE": str(keys)}, login(KEYS[way], way, "k")
