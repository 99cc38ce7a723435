"""Which module may import which, which modules a request loads, and how large the code may grow.

docs/architecture.md says why. Each check reads the text of the code. Therefore a test can run the
check on a copy of the code that is broken on purpose, and show that it fails.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import architecture
from architecture import FLOORS
from bench import core
from bench.core import Asked
from ops import ROOT
from token_service.settings.variables import VARIABLES

FUNCTION = ROOT / "functions" / "sts_token"
PACKAGE = FUNCTION / "token_service"

COMPUTED_IMPORTS = {
    # The routes. The module of a route is loaded at the first request for this route.
    "token_service.app": 1,
    # variables.py names some parsers as elsewhere("module:function"). Few deployments need these
    # parsers, so each parser is in the folder of the code that uses it.
    "token_service.settings.parsing": 1,
    # Each way to log in has its own module. AUTH names the way, and only its module is loaded.
    "token_service.settings.reading": 1,
}
"""Only these modules may load modules of a higher floor. They compute the name of the module that
they load, so their callers do not know which module is loaded."""

OUR_OWN = {"sandbox", "ops", "bench", "tests"}
FORMER = set(
    "app assume_role cache callback_parameters callback_seals callbacks callers connection"
    " content_types cors errors fc_event forms grants hook jwks keys limits logins messages"
    " oss_keys oss_requests percent permissions policies presign request_log rsa settings"
    " signing sts tokens uploads vendor_policies".split()
)
"""Top-level modules of 1.0.0. An installed package with the same name as one of these modules
could not be imported."""

MAX_MODULE_LINES = 300
MAX_CLASS_LINES = 150
MAX_LINES = 7350
"""The maximum number of lines of the whole function, with comments and docstrings."""
MAX_VARIABLES = 41
MAX_FIRST = 12
"""The maximum number of variables that are meant for every operator."""
MIN_MODULES = 3
"""The minimum number of modules in a folder. If there are fewer modules, write one module and no
folder."""


@pytest.fixture(scope="module")
def asked() -> dict[str, Asked]:
    """The results of one request to each route, each in a new process, as deployed."""
    return core.ask_all()


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A copy of the function's code, to break."""
    copy = tmp_path / "sts_token"
    shutil.copytree(FUNCTION, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def write(folder: Path, module: str, text: str) -> None:
    """Put text at the end of a module."""
    with (folder / module).open("a", encoding="utf-8") as file:
        file.write(f"\n\n{text}\n")


def test_the_function_imports_nothing_of_what_is_not_deployed() -> None:
    support = set(architecture.modules(ROOT / "tests" / "support"))
    assert architecture.imports_of(FUNCTION, OUR_OWN | support) == []


def test_an_import_of_the_sandbox_is_found_wherever_it_stands(broken: Path) -> None:
    write(broken, "token_service/app.py", "def later():\n    from sandbox import ram")
    (found,) = architecture.imports_of(broken, OUR_OWN)
    assert found.endswith("imports sandbox")


def test_imports_lead_down() -> None:
    assert architecture.against_the_floors(FUNCTION, FLOORS) == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("token_service/login/callers.py", "from token_service.grant.grants import Grant"),
        ("token_service/login/callers.py", "def later():\n    from token_service import instance"),
        ("token_service/errors.py", "import token_service.settings.values"),
        ("token_service/oss_client.py", "from token_service.token import cache"),
    ],
    ids=["up", "up, in a function", "up, whole", "across"],
)
def test_an_import_that_leads_up_is_found(broken: Path, module: str, line: str) -> None:
    write(broken, module, line)
    assert len(architecture.against_the_floors(broken, FLOORS)) == 1


def test_what_only_the_type_checker_imports_may_lead_up(broken: Path) -> None:
    write(broken, "token_service/errors.py", "if TYPE_CHECKING:\n    import token_service.app")
    assert architecture.against_the_floors(broken, FLOORS) == []


def test_a_room_without_a_floor_is_found(broken: Path) -> None:
    (broken / "token_service" / "attic").mkdir()
    write(broken, "token_service/attic/box.py", "")
    assert architecture.against_the_floors(broken, FLOORS) == ["attic has no floor"]


def test_a_floor_of_a_room_that_is_gone_is_found(broken: Path) -> None:
    (broken / "wsgi.py").unlink()
    found = architecture.against_the_floors(broken, FLOORS)
    assert found == ["wsgi has a floor, but does not exist"]


def test_imports_go_in_no_circle() -> None:
    assert architecture.circles(FUNCTION) == []


def test_a_circle_is_found(broken: Path) -> None:
    write(broken, "token_service/login/callers.py", "from token_service.login import logins")
    assert any("login.callers" in line for line in architecture.circles(broken))


def test_no_module_of_1_0_0_is_imported_by_its_old_name() -> None:
    for folder in (FUNCTION, *(ROOT / name for name in OUR_OWN)):
        assert architecture.imports_of(folder, FORMER) == []


def test_an_old_name_is_found(broken: Path) -> None:
    write(broken, "token_service/app.py", "def later():\n    import settings")
    assert len(architecture.imports_of(broken, FORMER)) == 1


def test_the_package_is_the_functions_only_name_beside_its_entry_points() -> None:
    assert {name.partition(".")[0] for name in architecture.modules(FUNCTION)} == {
        "index",
        "server",
        "wsgi",
        "token_service",
    }


def test_only_declared_modules_compute_what_they_import() -> None:
    assert architecture.computed_imports(FUNCTION) == COMPUTED_IMPORTS


def test_what_the_catalogue_finds_elsewhere_is_there() -> None:
    assert len(architecture.places_elsewhere(FUNCTION)) > 5
    assert architecture.elsewhere_that_is_nowhere(FUNCTION) == []


@pytest.mark.parametrize("place", ["http.cors:nothing", "http.nothing:origins"])
def test_a_parser_that_is_nowhere_is_found(broken: Path, place: str) -> None:
    write(broken, "token_service/settings/variables.py", f'_X = elsewhere("{place}")')
    assert architecture.elsewhere_that_is_nowhere(broken) == [f'elsewhere("{place}") is nowhere']


@pytest.mark.parametrize("folder", ["functions/sts_token", "sandbox", "ops"])
def test_every_public_definition_has_a_docstring(folder: str) -> None:
    assert architecture.without_docstring(ROOT / folder) == []


def test_a_definition_without_a_docstring_is_found(broken: Path) -> None:
    write(broken, "token_service/errors.py", 'class Odd:\n    """Odd."""\n    def f(self): ...')
    assert architecture.without_docstring(broken) == ["token_service.errors.Odd.f"]


@pytest.mark.parametrize("folder", ["functions/sts_token", "sandbox", "ops"])
def test_every_public_number_says_its_unit_or_its_source(folder: str) -> None:
    assert architecture.numbers_without_a_word(ROOT / folder) == []


@pytest.mark.parametrize(
    "line",
    [
        "MAX_BYTES = 5 * 1024",
        "MAX_BYTES, MAX_SAID = 5, 6",
        "MAX_BYTES: int = 5",
        "MAX_ODD = 5  # it is so",
        '# A unit above something else: bytes.\nX = ""\nMAX_BYTES = 5',
    ],
    ids=["no text", "two", "annotated", "no unit", "a comment further up"],
)
def test_a_number_without_unit_and_source_is_found(tmp_path: Path, line: str) -> None:
    write(tmp_path, "odd.py", line)
    found = architecture.numbers_without_a_word(tmp_path)
    assert len(found) == line.count("MAX_")
    assert all(name.startswith("odd.MAX_") for name in found)


@pytest.mark.parametrize(
    "text",
    [
        "MAX_BYTES = 5  # of one body",
        'MAX_BYTES = 5\n"""Of one body."""',
        "# Of one body.\nMAX_BYTES = 5",
        "MAX_ODD = 5  # vendor documentation",
        "_MAX_BYTES = 5",
        'MAX_BYTES = "5"',
    ],
    ids=["beside", "below", "above", "its source", "private", "no number"],
)
def test_a_number_with_unit_or_source_passes(tmp_path: Path, text: str) -> None:
    write(tmp_path, "odd.py", text)
    assert architecture.numbers_without_a_word(tmp_path) == []


def test_every_public_field_of_a_time_or_a_size_has_its_unit() -> None:
    assert architecture.fields_without_a_unit(FUNCTION) == []


def test_a_field_without_a_unit_is_found(tmp_path: Path) -> None:
    fields = 'class Odd(NamedTuple):\n    """Odd, in bytes."""\n    size: int\n    seconds: int'
    write(tmp_path, "odd.py", fields)
    assert architecture.fields_without_a_unit(tmp_path) == ["odd.Odd.seconds"]


def test_the_name_of_a_test_is_a_claim(tmp_path: Path) -> None:
    """The name of a test says what is true. The name has a subject and a statement about this
    subject, so it needs at least three words."""
    assert architecture.short_test_names(ROOT / "tests", 3) == []
    (tmp_path / "test_odd.py").write_text("def test_it_works(): ...\ndef test_it_works_well(): ...")
    assert architecture.short_test_names(tmp_path, 3) == ["test_odd.py::test_it_works"]


def test_a_folder_holds_three_modules_at_least() -> None:
    assert architecture.small_folders(FUNCTION, MIN_MODULES) == []


def test_what_a_route_loads_is_what_the_golden_file_says(asked: dict[str, Asked]) -> None:
    """A request loads only the modules that its route needs. If a route loads even one more module,
    the test fails."""
    expected = json.loads(core.GOLDEN.read_text(encoding="utf-8"))
    found = {path: one.names for path, one in asked.items()}
    differ = {
        path: {
            "new": sorted(set(found.get(path, ())) - set(expected.get(path, ()))),
            "gone": sorted(set(expected.get(path, ())) - set(found.get(path, ()))),
        }
        for path in sorted({*found, *expected})
        if found.get(path) != expected.get(path)
    }
    assert not differ, f"if it should be so: make core WRITE=1\n{json.dumps(differ, indent=1)}"


def test_the_token_path_loads_what_is_only_for_others_never(asked: dict[str, Asked]) -> None:
    names = asked["/"].names
    only = ("callback", "oss_client", "faults", "misspelt", "signing.signer", "login.jwks")
    foreign = [f"token_service.{name}" for name in only]
    assert [name for name in names if name.startswith(tuple(foreign))] == []
    routes = [name for name in names if name.startswith("token_service.routes.")]
    assert routes == ["token_service.routes.token"]


def test_the_token_path_is_read_in_an_afternoon(asked: dict[str, Asked]) -> None:
    """`make core` prints the modules of the token path and their lines."""
    lines = asked["/"].lines
    assert lines <= core.MAX_TOKEN_PATH_LINES
    path = {name: architecture.modules(FUNCTION)[name] for name in asked["/"].names}
    assert architecture.longer(path, MAX_MODULE_LINES) == []
    assert architecture.longer_classes(path, MAX_CLASS_LINES) == []


def test_the_whole_function_is_read_in_a_day() -> None:
    paths = architecture.modules(FUNCTION)
    lines = sum(map(architecture.lines, paths.values()))
    assert lines <= MAX_LINES
    assert architecture.longer(paths, MAX_MODULE_LINES) == []


def test_what_is_too_long_is_found(broken: Path) -> None:
    write(broken, "token_service/app.py", "class Long:" + "\n    x = 1" * 150 + "\nx = 1" * 150)
    paths = {"app": broken / "token_service" / "app.py"}
    assert architecture.longer_classes(paths, MAX_CLASS_LINES) == ["app.Long has 151 lines"]
    assert len(architecture.longer(paths, MAX_MODULE_LINES)) == 1


def test_settings_are_few() -> None:
    assert len(VARIABLES) <= MAX_VARIABLES
    assert sum(variable.first for variable in VARIABLES) <= MAX_FIRST


def test_contributing_says_how_large_things_may_grow() -> None:
    text = " ".join((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split())
    path = f"the token path has at most {core.MAX_TOKEN_PATH_LINES:,} lines"
    assert f"{path}, and the function at most {MAX_LINES:,}" in text
    assert f"{MAX_VARIABLES} variables at most. {MAX_FIRST} of these variables are" in text
