"""Tests the four recipes of CONTRIBUTING.md: whether their steps are enough, and whether a
forgotten step is detected.

Each recipe is followed on a copy of the tree, and the function of the copy gets a request. Then the
recipe is followed again with one step left out, and the check must report that this step is
missing.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import recipes
from ops import ROOT
from token_service.app import ROUTES, App, Route
from token_service.http.messages import Request

Env = dict[str, str]

_ROOM = "functions/sts_token/token_service"
_HELLO = '''
"""`/hello`."""

def answer(request, at, record):
    return {"StatusCode": 200, "Caller": at.caller(request, record).session_name}
'''
_HEADER = '''
"""AUTH=header: a caller is whom a header names."""

from __future__ import annotations
from typing import NamedTuple
from token_service.login.callers import named

class Header(NamedTuple):
    brakes: None = None
    names_callers: bool = True

    def identify(self, env) -> Header:
        return self

    def caller(self, request):
        return named(request.headers["accept-encoding"])

    def warm(self):
        pass

def read(reader) -> Header:
    return Header()
'''
_TOKENS_ROW = "| `/` | GET, POST, HEAD, OPTIONS | callers |"


class Step(NamedTuple):
    """One step of a recipe: the file that it changes, and the change."""

    place: str
    take: Callable[[Path], None]


class Recipe(NamedTuple):
    """One recipe of CONTRIBUTING.md: `check` reports missing steps, and `steps` maps the name of
    each step to what it does. `env`, `path` and `member` show that the addition works: with this
    environment, the answer at this path has this member."""

    check: Callable[[Path], list[str]]
    steps: Mapping[str, Step]
    env: Env
    path: str
    member: tuple[str, str]


def create(place: str, text: str) -> Step:
    """Write a new file."""

    def take(root: Path) -> None:
        (root / place).write_text(text, encoding="utf-8")

    return Step(place, take)


def append(place: str, text: str) -> Step:
    """Append text to the file."""

    def take(root: Path) -> None:
        with (root / place).open("a", encoding="utf-8") as file:
            file.write(text)

    return Step(place, take)


def insert(place: str, before: str, text: str) -> Step:
    """Insert text at the beginning of the file."""

    def take(root: Path) -> None:
        old = (root / place).read_text(encoding="utf-8")
        assert old.count(before) >= 1, (place, before)
        (root / place).write_text(old.replace(before, text + before, 1), encoding="utf-8")

    return Step(place, take)


def insert_after(place: str, pattern: str, text: str) -> Step:
    """Insert text after the match of a pattern."""

    def take(root: Path) -> None:
        old = (root / place).read_text(encoding="utf-8")
        found = re.search(pattern, old)
        assert found, (place, pattern)
        new = old[: found.end()] + text + old[found.end() :]
        (root / place).write_text(new, encoding="utf-8")

    return Step(place, take)


SETTING = Recipe(
    recipes.forgotten_of_a_setting,
    {
        "the declaration": insert(
            f"{_ROOM}/settings/variables.py",
            "\nVARIABLES: ",
            'UPLOAD_MAX_PARTS = Variable("UPLOAD_MAX_PARTS", Whole(1, 10000, "parts"), "1000")\n',
        ),
        "the text": append(recipes.DESCRIBED, "\n[UPLOAD_MAX_PARTS]\n"),
        "s.yaml": insert(
            "s.yaml",
            "        HTTP_ERROR_STATUS: ",
            "        UPLOAD_MAX_PARTS: ${env('UPLOAD_MAX_PARTS', '1000')}\n",
        ),
        "template.yml": insert(
            "template.yml",
            "        HTTP_ERROR_STATUS:\n",
            "        UPLOAD_MAX_PARTS:\n          Ref: UploadMaxParts\n",
        ),
        "the sandbox's rule": insert(
            "sandbox/environment.py", "HTTP_ERROR_STATUS JWT_AUDIENCE", "UPLOAD_MAX_PARTS "
        ),
    },
    {"UPLOAD_MAX_PARTS": "10"},
    "/health",
    ("Status", "OK"),
)

POLICY = Recipe(
    recipes.forgotten_of_a_policy,
    {
        "the template": create(
            "policies/bucket_append_policy.json.j2",
            '{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "oss:AppendObject",'
            ' "Resource": "acs:oss:*:*:{{ bucket }}/{{ prefix }}*"}]}\n',
        ),
        "the row of the page": insert(
            recipes.POLICIES_PAGE, "| `all_policy` |", "| `bucket_append_policy` | | | |\n"
        ),
        "the value of PolicyFile": insert(
            "template.yml", "      - bucket_read_policy\n", "      - bucket_append_policy\n"
        ),
        "the pattern of PolicyChoices": insert_after(
            "template.yml",
            r"\n  PolicyChoices:\n(    .*\n)*?    AllowedPattern: ['\"]?",
            "^bucket_append_policy$|",
        ),
    },
    {"POLICY_FILE": "bucket_append_policy"},
    "/health",
    ("Status", "OK"),
)

ROUTE = Recipe(
    recipes.forgotten_of_a_route,
    {
        "the module": create(
            f"{_ROOM}/routes/hello.py",
            _HELLO,
        ),
        "the row of ROUTES": insert(
            f"{_ROOM}/app.py", '    Route("/sts", ', '    Route("/hello", ("GET",), "hello"),\n'
        ),
        "the row of the page": insert(
            recipes.ROUTES_PAGE, _TOKENS_ROW, "| `/hello` | GET | callers | x |\n"
        ),
    },
    {},
    "/hello",
    ("Caller", "anonymous"),
)

LOGIN = Recipe(
    recipes.forgotten_of_a_way_to_log_in,
    {
        "the module": create(
            f"{_ROOM}/login/header.py",
            _HEADER,
        ),
        "the word of AUTH": insert_after(
            f"{_ROOM}/settings/variables.py", r'\nAUTH = Variable\("AUTH", one_of\(', '"header", '
        ),
        "the value of Auth": insert("template.yml", "      - anonymous\n", "      - header\n"),
        "the text": append(recipes.DESCRIBED, "\n# `header`: whom a header names\n"),
    },
    {"AUTH": "header"},
    "/form",
    ("Prefix", "uploads/gzip/"),
)

RECIPES = {"setting": SETTING, "policy": POLICY, "route": ROUTE, "login": LOGIN}
EVERY_STEP = [
    pytest.param(recipe, step, id=f"{name}: {step}")
    for name, recipe in RECIPES.items()
    for step in recipe.steps
]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the files that the recipes change."""
    leave_out = shutil.ignore_patterns("__pycache__", "node_modules", "upgrade")
    for name in ("functions", "policies", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=leave_out)
    (tmp_path / "sandbox").mkdir()
    for name in ("s.yaml", "template.yml", "sandbox/environment.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def ask(tree: Path, env: Mapping[str, str], path: str) -> dict[str, Any]:
    """Return the answer of the function in this tree, which runs in its own process."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import index; "
        "sys.stdout.write(index.handler(sys.stdin.read(), None)['body'])"
    )
    event = json.loads((ROOT / "tests" / "events" / "get_token.json").read_text())
    event["requestContext"]["http"]["path"] = path
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, tree / "functions" / "sts_token"],
        input=json.dumps(event),
        env=dict(env),
        capture_output=True,
        text=True,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_nothing_is_forgotten(recipe: Recipe) -> None:
    """In the repository as it is now, no step of the recipe was forgotten."""
    assert recipe.check(ROOT) == []


@pytest.mark.parametrize("name", RECIPES)
def test_contributing_says_which_files_a_step_touches(name: str) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    heading = {"login": "### A new way to log in\n"}.get(name, f"### A new {name}\n")
    recipe = text.partition(heading)[2].partition("\n#")[0]
    for step in RECIPES[name].steps.values():
        # If a step makes a new file, CONTRIBUTING.md writes its name as <name> or <word>.
        place = Path(step.place)
        known = place.name if (ROOT / place).exists() else f"{place.parent}/<"
        assert known in recipe, step.place


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_its_steps_are_enough(recipe: Recipe, tree: Path, env: Env) -> None:
    for step in recipe.steps.values():
        step.take(tree)
    assert recipe.check(tree) == []
    name, value = recipe.member
    answer = ask(tree, {**env, **recipe.env}, recipe.path)
    assert answer.get(name) == value, answer


@pytest.mark.parametrize(("recipe", "forgotten"), EVERY_STEP)
def test_a_step_that_is_forgotten_is_missed(recipe: Recipe, forgotten: str, tree: Path) -> None:
    for name, step in recipe.steps.items():
        if name != forgotten:
            step.take(tree)
    assert recipe.check(tree) != []


def test_a_route_that_imports_another_is_found(tree: Path) -> None:
    with (tree / _ROOM / "routes" / "form.py").open("a", encoding="utf-8") as file:
        file.write("\nfrom token_service.routes import token\n")
    (found,) = recipes.forgotten_of_a_route(tree)
    assert "imports another route, " in found


def test_a_row_with_other_methods_is_found(tree: Path) -> None:
    page = tree / recipes.ROUTES_PAGE
    text = page.read_text(encoding="utf-8")
    assert _TOKENS_ROW in text
    page.write_text(text.replace(_TOKENS_ROW, _TOKENS_ROW.replace("POST, ", "")), "utf-8")
    assert len(recipes.forgotten_of_a_route(tree)) == 2


@pytest.mark.parametrize("member", ["brakes: None = None", "names_callers: bool = True"])
def test_a_way_to_log_in_that_lacks_a_member_is_found(member: str, tree: Path) -> None:
    """A new way to log in needs these members, because the sandbox, `make doctor` and `make
    explain` use them."""
    for step in LOGIN.steps.values():
        step.take(tree)
    module = tree / _ROOM / "login" / "header.py"
    module.write_text(module.read_text().replace(member, "other: int = 0"))
    assert len(recipes.forgotten_of_a_way_to_log_in(tree)) == 1


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_for_whom_a_route_is_holds(route: Route, env: Env) -> None:
    """With AUTH=jwt, a route for callers refuses a request without a login. Other routes accept
    it."""
    app = App({**env, "AUTH": "jwt", "JWT_SECRET": "s" * 32})
    query = {"object": "a.jpg"} if route.path == "/signed-url" else {}
    request = Request(route.methods[0], route.path, {}, query, b"")
    answer = json.loads(app.respond(lambda: request).body)
    assert (answer.get("ErrorCode") == "MissingToken") == route.needs_login
