"""Checks the steps of the four recipes of CONTRIBUTING.md, and describes each forgotten step.

The checks read the text of the tree, so they can also check a copy in which one step is undone.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

import architecture
from ops.policies_described import NOT_OFFERED
from token_service.grant.policies import SUFFIX

FUNCTION = Path("functions", "sts_token", "token_service")

DESCRIBED = "docs/variables.toml"
"""The file that explains each variable. docs/configuration.md is made from it."""
POLICIES_PAGE = "docs/policies.md"
ROUTES_PAGE = "docs/http.md"
"""The pages with the table of templates and with the table of routes."""

PLATFORMS = ("ALIBABA_CLOUD_",)
"""Variables with this prefix are set by Function Compute. No template passes them on."""
SANDBOX_ONLY = {"CALLBACK_PUBLIC_KEY_URL"}
"""Variables that the function refuses in the cloud. No template passes them on."""
NOT_IN_THE_TEMPLATE = {"STS_ENDPOINT", "JWT_JWKS_FILE"}
"""Variables that have no parameter in the template. A stack always uses the STS of its region, and
its package cannot contain an operator's file, such as a JWKS."""

_WAY = {"names_callers", "brakes", "identify"}
_IDENTIFY = {"caller", "warm"}


class Route(NamedTuple):
    """A row of ROUTES."""

    path: str
    methods: tuple[str, ...]
    module: str
    needs_login: bool


def forgotten_of_a_setting(root: Path) -> list[str]:
    """Return one line for each variable and each place that must name the variable but does not.
    Also return one line for each variable of s.yaml that is not declared in variables.py."""
    wrong = []
    for name in declared(root):
        places = [DESCRIBED, "sandbox/environment.py"]
        if not name.startswith(PLATFORMS) and name not in SANDBOX_ONLY:
            places.append("s.yaml")
            if name not in NOT_IN_THE_TEMPLATE:
                places.append("template.yml")
        for place in places:
            if not re.search(rf"\b{name}\b", _text(root / place)):
                wrong.append(f"{name} is not in {place}")
    passed_on = re.findall(r"^        ([A-Z_]+): \$\{env\(", _text(root / "s.yaml"), re.MULTILINE)
    unknown = sorted(set(passed_on) - set(declared(root)))
    return wrong + [f"{name} of s.yaml is not declared in variables.py" for name in unknown]


def forgotten_of_a_policy(root: Path) -> list[str]:
    """Policy templates that policies/, docs/policies.md or template.yml lacks."""
    wrong = []
    offered = yaml.safe_load(_text(root / "template.yml"))["Parameters"]
    values = offered["PolicyFile"]["AllowedValues"]
    names = {
        path.name.removesuffix(SUFFIX): NOT_OFFERED.match(_text(path)) is None
        for path in sorted((root / "policies").glob(f"*{SUFFIX}"))
    }
    for name, is_offered in names.items():
        if not re.search(rf"^\| `{name}` \|", _text(root / POLICIES_PAGE), re.MULTILINE):
            wrong.append(f"{name} has no row in {POLICIES_PAGE}")
        if not is_offered:
            continue
        if name not in values:
            wrong.append(f"{name} is not a value of PolicyFile in template.yml")
        if not re.search(offered["PolicyChoices"]["AllowedPattern"], name):
            wrong.append(f"{name} does not match PolicyChoices in template.yml")
    return wrong + [f"policies/ has no {name}" for name in sorted(set(values) - names.keys())]


def forgotten_of_a_route(root: Path) -> list[str]:
    """Return one line for each fault of a route, for example if it has no module, no row in ROUTES,
    or no row in docs/http.md."""
    wrong = []
    folder = root / FUNCTION / "routes"
    routes = routes_of(root)
    for path in sorted(folder.glob("*.py")):
        if "answer" in architecture.functions(path) and path.stem not in {r.module for r in routes}:
            wrong.append(f"routes/{path.name} has answer(), but no row in ROUTES")
    for route in routes:
        path = folder / f"{route.module}.py"
        answer = architecture.functions(path).get("answer") if path.exists() else None
        if answer is None or len(answer.args.args) != 3:
            wrong.append(f"routes/{path.name} has no answer(request, at, record)")
    for one in architecture.imports(root / FUNCTION.parent):
        is_route = one.imported.rpartition(".")[2] in {route.module for route in routes}
        parents = {name.rpartition(".")[0] for name in (one.importer, one.imported)}
        if is_route and parents == {"token_service.routes"}:
            wrong.append(f"{one.place} imports another route, {one.imported}")
    expected = [(r.path, r.methods, r.needs_login) for r in routes]
    documented = [*_documented_routes(root)]
    for row in expected:
        if row not in documented:
            wrong.append(
                f"{ROUTES_PAGE} has no row for {row[0]} with {', '.join(row[1])} and its `for`"
            )
    for row in documented:
        if row not in expected:
            wrong.append(f"{ROUTES_PAGE} has a row for {row[0]} that differs from ROUTES")
    return wrong


def forgotten_of_a_way_to_log_in(root: Path) -> list[str]:
    """The steps that were forgotten when a way to log in was added. For example, AUTH has a value
    without a complete module in login/, or AUTH has no value for a module in login/."""
    wrong = []
    words = auth_words(root)
    paths = {path.stem: path for path in sorted((root / FUNCTION / "login").glob("*.py"))}
    classes = {
        name: node for path in paths.values() for name, node in architecture.classes(path).items()
    }
    for name, path in paths.items():
        ways = [node for node in architecture.classes(path).values() if _is_way(node)]
        if ways and name not in (*words, "ways"):
            wrong.append(f"login/{name}.py is a way to log in, but AUTH does not name it")
    for word in words:
        path = paths.get(word, root / "nowhere")
        read = architecture.functions(path).get("read") if path.exists() else None
        if read is None or len(read.args.args) != 1:
            wrong.append(f"login/{word}.py has no read(reader)")
            continue
        settings = classes.get(_returned(read))
        if settings is None or _WAY - architecture.members(settings):
            wrong.append(f"login/{word}.py: the result of read() lacks some of {sorted(_WAY)}")
            continue
        (identify,) = (
            node
            for node in settings.body
            if isinstance(node, ast.FunctionDef) and node.name == "identify"
        )
        teller = classes.get(_returned(identify))
        if teller is None or _IDENTIFY - architecture.members(teller):
            lacks = sorted(_IDENTIFY)
            wrong.append(f"login/{word}.py: the result of identify() lacks some of {lacks}")
    allowed = yaml.safe_load(_text(root / "template.yml"))["Parameters"]["Auth"]["AllowedValues"]
    if sorted(allowed) != sorted(words):
        wrong.append(f"Auth of template.yml accepts {allowed}, but AUTH accepts {words}")
    place = DESCRIBED
    text = _text(root / place)
    return wrong + [f"{place} does not name {word}" for word in words if f"`{word}`" not in text]


def declared(root: Path) -> list[str]:
    """The names of all variables that settings/variables.py declares."""
    tree = ast.parse(_text(root / FUNCTION / "settings" / "variables.py"))
    calls = (node.value for node in tree.body if isinstance(node, ast.Assign))
    return [
        ast.literal_eval(call.args[0])
        for call in calls
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("Variable", "_needed")
    ]


def routes_of(root: Path) -> list[Route]:
    """The rows of ROUTES in app.py."""
    names = architecture.assigned(root / FUNCTION / "app.py")

    def value(node: ast.expr) -> Any:
        return value(names[node.id]) if isinstance(node, ast.Name) else node

    found = []
    for row in value(names["ROUTES"]).elts:
        call = value(row)
        path, methods, module, *_ = (ast.literal_eval(value(argument)) for argument in call.args)
        more = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
        found.append(Route(path, methods, module, more.get("needs_login", True)))
    return found


def auth_words(root: Path) -> list[str]:
    """The values that AUTH may have, from the declaration of AUTH."""
    auth = architecture.assigned(root / FUNCTION / "settings" / "variables.py")["AUTH"]
    (call,) = (
        node
        for node in ast.walk(auth)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "one_of"
    )
    return [ast.literal_eval(word) for word in call.args]


def _documented_routes(root: Path) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    """The rows of the page: path, methods, and whether the route needs a login."""
    table = _text(root / ROUTES_PAGE).partition("| path | methods | for | answers |")[2]
    for line in table.partition("\n\n")[0].splitlines()[2:]:
        path, methods, whom, _ = (cell.strip() for cell in line.strip("|").split("|"))
        yield path.strip("`"), tuple(methods.split(", ")), whom == "callers"


def _is_way(node: ast.ClassDef) -> bool:
    return architecture.members(node) >= {"names_callers", "identify"}


def _returned(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    return ast.unparse(function.returns) if function.returns else ""


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
