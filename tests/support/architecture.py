"""Checks of the source text: which module imports which, and how long modules are.

The checks parse the text with `ast`, so they can check a broken copy of the tree without running
it. Each check returns one sentence for each fault.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

PACKAGE = "token_service"
FLOORS = (
    ("base64url", "encoding", "errors", "imports", "token_service"),
    ("settings", "request_log"),
    ("http",),
    ("login",),
    ("grant",),
    ("signing",),
    ("token", "oss_client"),
    ("callback",),
    # These rooms read a whole configuration.
    ("warnings", "faults", "misspelt"),
    ("instance",),
    ("routes",),
    ("app",),
    ("index",),
    ("wsgi", "server"),
)
"""The floors of the package, the lowest first. A module may import only from lower floors, also
within a function. The entry `token_service` is the `__init__.py` of the package, which holds the
version. The diagram in docs/architecture.md shows the floors."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Import(NamedTuple):
    """An import: the module, what it imports, and the line. `when_loaded` is false for an import in
    a function."""

    importer: str
    imported: str
    line: int
    when_loaded: bool

    @property
    def place(self) -> str:
        return f"{self.importer}:{self.line}"


def modules(folder: Path) -> dict[str, Path]:
    """Return the path of each module below `folder`, by the name of the module. `folder` is on
    sys.path."""
    paths = (path.relative_to(folder) for path in sorted(folder.rglob("*.py")))
    return {_name(path): folder / path for path in paths if "node_modules" not in path.parts}


def imports(folder: Path) -> list[Import]:
    """Every import of the modules below `folder`. Imports for the type checker are left out."""
    found = modules(folder)
    return [one for name, path in found.items() for one in _imports(name, path, found.keys())]


def room(module: str) -> str:
    """The folder of the package that holds a module, or the module's name if it is in no folder."""
    return module.removeprefix(f"{PACKAGE}.").partition(".")[0]


def against_the_floors(folder: Path, floors: Sequence[Sequence[str]]) -> list[str]:
    """Return a sentence for each forbidden import, for each room without a floor, and for each room
    in `floors` that does not exist. A room may import from itself and from rooms on lower floors.
    """
    floor = {name: number for number, names in enumerate(floors) for name in names}
    ours = modules(folder)
    rooms = {room(name) for name in ours}
    wrong = [f"{name} has no floor" for name in sorted(rooms - set(floor))]
    wrong += [f"{name} has a floor, but does not exist" for name in sorted(set(floor) - rooms)]
    for one in imports(folder):
        upper, lower = room(one.importer), room(one.imported)
        known = one.imported in ours and upper in floor and lower in floor
        if known and upper != lower and floor[upper] <= floor[lower]:
            wrong.append(f"{one.place}: {upper} imports {lower}, which is not below it")
    return wrong


def circles(folder: Path) -> list[str]:
    """Modules that import each other in a circle while they are loaded."""
    needs: dict[str, set[str]] = {name: set() for name in modules(folder)}
    for one in imports(folder):
        if one.when_loaded and one.imported in needs:
            needs[one.importer].add(one.imported)
    wrong = []
    # Remove each module that imports no module in `needs`. Repeat this until none can be removed.
    # Every module that remains is in a circle of imports, or leads to one by its imports.
    while free := {name for name, needed in needs.items() if not needed}:
        needs = {name: needed - free for name, needed in needs.items() if name not in free}
    for name, needed in needs.items():
        wrong.append(f"{name} is in a circle, or needs one: it imports {', '.join(sorted(needed))}")
    return wrong


def imports_of(folder: Path, names: set[str]) -> list[str]:
    """Imports of one of these top-level modules, or of a module below it."""
    ours = modules(folder)
    # Parsing is slow, so a module is parsed only if one of its lines looks like an import of
    # `names`.
    words = "|".join(sorted(names))
    line = re.compile(rf"^\s*(from\s+({words})|import\b.*\b({words}))\b", re.MULTILINE)
    return [
        f"{one.place} imports {one.imported}"
        for name, path in ours.items()
        if line.search(path.read_text(encoding="utf-8"))
        for one in _imports(name, path, ours.keys())
        if one.imported.partition(".")[0] in names
    ]


def computed_imports(folder: Path) -> dict[str, int]:
    """How often each module calls import_module or __import__."""
    found: dict[str, int] = {}
    for name, path in modules(folder).items():
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__"):
                found[name] = found.get(name, 0) + 1
    return found


def reached(module: str, found: Mapping[str, Path]) -> set[str]:
    """All modules that a module imports, directly or through other modules, also within functions.
    If a module is not in `found`, the result has the name that the import statement uses."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            if name in found:
                waiting += [one.imported for one in _imports(name, found[name], found)]
    return seen


def elsewhere_that_is_nowhere(folder: Path) -> list[str]:
    """Return a message for each call elsewhere("module:function") whose module or function does not
    exist."""
    wrong = []
    for place in places_elsewhere(folder):
        module, _, function = place.partition(":")
        path = modules(folder).get(f"{PACKAGE}.{module}")
        if path is None or function not in functions(path):
            wrong.append(f'elsewhere("{place}") is nowhere')
    return wrong


def places_elsewhere(folder: Path) -> list[str]:
    """The text "module:function" in each call of elsewhere() in settings/variables.py."""
    tree = _tree(folder / PACKAGE / "settings" / "variables.py")
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return [ast.literal_eval(call.args[0]) for call in calls if _called(call) == "elsewhere"]


def without_docstring(folder: Path) -> list[str]:
    """Public modules, classes, functions and methods that have no docstring."""
    wrong = []
    for name, path in modules(folder).items():
        tree = _tree(path)
        if path.name != "__init__.py" and not ast.get_docstring(tree):
            wrong.append(name)
        wrong += [f"{name}.{inner}" for inner in _undocumented(tree)]
    return wrong


def numbers_without_a_word(folder: Path) -> list[str]:
    """Return the public constants that have numbers, but no text that names a unit or a source.

    The text may be a docstring below the constant, a comment on its line, or a comment above it. A
    text is needed even if the constant's name contains the unit, like MAX_BYTES.
    """
    wrong = []
    for name, path in modules(folder).items():
        rows = path.read_text(encoding="utf-8").splitlines()
        body = _tree(path).body
        for node, below in zip(body, [*body[1:], ast.Pass()], strict=False):
            for constant in _constants(node):
                text = _words_of(node, below, rows)
                if not (text and (_UNIT.search(f"{constant} {text}") or _SOURCE.search(text))):
                    wrong.append(f"{name}.{constant}")
    return wrong


def fields_without_a_unit(folder: Path) -> list[str]:
    """Fields of public classes that need a unit and have none. A field needs a unit if its name
    means a time or a size. The unit must be in the docstring of the class."""
    wrong = []
    for name, path in modules(folder).items():
        for kind in classes(path).values():
            said = ast.get_docstring(kind) or ""
            for inner in kind.body:
                if kind.name.startswith("_") or not isinstance(inner, ast.AnnAssign):
                    continue
                field = ast.unparse(inner.target)
                unit = next((unit for part, unit in _FIELD_UNITS.items() if part in field), "")
                is_number = re.match("int|float", ast.unparse(inner.annotation))
                if is_number and not field.startswith("_") and unit.lower() not in said.lower():
                    wrong.append(f"{name}.{kind.name}.{field}")
    return wrong


_FIELD_UNITS = {"seconds": "second", "expires": "second", "bytes": "byte", "size": "byte"}
_UNIT = re.compile(
    r"(?<![a-z])(second|minute|hour|byte|bit|character|pixel|port|percent|part|element|entr(?:y|ie)"
    r"|frame|key|caller|connection|thread|warning|object|login|token|url|header|name|variable|row"
    r"|rule|session|field|parameter|nonce|page|listing|request|piece|day|file|version|digit|call"
    r"|line|action|device|instance)s?(?![a-z])",
    re.IGNORECASE,
)
_SOURCE = re.compile(r"vendor documentation|RFC \d|\bours\b|\b[A-Z]{2,4}'s\b", re.IGNORECASE)


def _constants(node: ast.stmt) -> list[str]:
    """Return the constants (public names in capitals) that a statement sets to numbers."""
    if isinstance(node, ast.Assign):
        target, value = node.targets[0], node.value
    elif isinstance(node, ast.AnnAssign) and node.value:
        target, value = node.target, node.value
    else:
        return []
    if not _is_numeric(value):
        return []
    names = [one.id for one in ast.walk(target) if isinstance(one, ast.Name)]
    return [name for name in names if name.isupper() and not name.startswith("_")]


def _is_numeric(value: ast.expr) -> bool:
    """Whether an expression is a number, or a collection with only numbers. In a dict, only
    the values must be numbers."""
    if isinstance(value, ast.Constant):
        return isinstance(value.value, int | float) and not isinstance(value.value, bool)
    if isinstance(value, ast.BinOp):
        return _is_numeric(value.left) and _is_numeric(value.right)
    if isinstance(value, ast.UnaryOp):
        return _is_numeric(value.operand)
    if isinstance(value, ast.Tuple | ast.List | ast.Set):
        return bool(value.elts) and all(map(_is_numeric, value.elts))
    return (
        isinstance(value, ast.Dict) and bool(value.values) and all(map(_is_numeric, value.values))
    )


def _words_of(node: ast.stmt, below: ast.stmt, rows: Sequence[str]) -> str:
    """Return all text that explains a statement: its docstring, the comments in it, and the
    comments above it."""
    assert node.end_lineno is not None
    found = []
    if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
        found.append(str(below.value.value))
    found += re.findall(r"  # (.*)", "\n".join(rows[node.lineno - 1 : node.end_lineno]))
    above = node.lineno - 2
    while above >= 0 and rows[above].startswith("# "):
        found.append(rows[above])
        above -= 1
    return " ".join(found)


def short_test_names(folder: Path, least: int) -> list[str]:
    """Tests whose names have fewer than `least` words. The name of a test must say what the test
    shows, and that needs at least `least` words."""
    # A regular expression reads the text, because parsing all tests takes two seconds.
    defined = re.compile(r"^ *(?:async )?def (test_\w+)\(", re.MULTILINE)
    return [
        f"{path.relative_to(folder).as_posix()}::{name}"
        for path in sorted(folder.rglob("test_*.py"))
        for name in defined.findall(path.read_text(encoding="utf-8"))
        if len(name.split("_")) <= least
    ]


def longer(paths: Mapping[str, Path], most: int) -> list[str]:
    """Modules with more than `most` lines."""
    counted = {name: lines(path) for name, path in paths.items()}
    return [f"{name} has {count} lines" for name, count in counted.items() if count > most]


def longer_classes(paths: Mapping[str, Path], most: int) -> list[str]:
    """Classes that have more lines than the number `most`."""
    wrong = []
    for name, path in paths.items():
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.ClassDef) and _length(node) > most:
                wrong.append(f"{name}.{node.name} has {_length(node)} lines")
    return wrong


def small_folders(folder: Path, least: int) -> list[str]:
    """Folders of the package that hold fewer than `least` modules."""
    wrong = []
    for path in sorted((folder / PACKAGE).rglob("__init__.py")):
        count = len([*path.parent.glob("*.py")]) - 1
        if count < least:
            wrong.append(f"{path.parent.name} holds {count} modules")
    return wrong


def lines(path: Path) -> int:
    """The number of lines of a file, with comments and docstrings."""
    return len(path.read_text(encoding="utf-8").splitlines())


def functions(path: Path) -> dict[str, Function]:
    """The functions of a module, by name."""
    return {node.name: node for node in _tree(path).body if isinstance(node, Function)}


def classes(path: Path) -> dict[str, ast.ClassDef]:
    """The classes of a module, by name."""
    return {node.name: node for node in _tree(path).body if isinstance(node, ast.ClassDef)}


def members(node: ast.ClassDef) -> set[str]:
    """The names of a class's methods, properties and annotated fields."""
    names = {inner.name for inner in node.body if isinstance(inner, Function)}
    fields = (inner.target for inner in node.body if isinstance(inner, ast.AnnAssign))
    return names | {field.id for field in fields if isinstance(field, ast.Name)}


def assigned(path: Path) -> dict[str, ast.expr]:
    """The assignments of a module, as syntax trees that are not evaluated."""
    found = {}
    for node in _tree(path).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node.value
    return found


def _called(call: ast.Call) -> str:
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _undocumented(tree: ast.Module | ast.ClassDef) -> Iterator[str]:
    """The public definitions without a docstring."""
    for node in tree.body:
        if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
            continue
        if not ast.get_docstring(node):
            yield node.name
        if isinstance(node, ast.ClassDef):
            yield from (f"{node.name}.{inner}" for inner in _undocumented(node))


def _name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _length(node: ast.ClassDef) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


@cache
def _parsed(path: Path, _changed: int) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def _tree(path: Path) -> ast.Module:
    return _parsed(path, path.stat().st_mtime_ns)


def _imports(name: str, path: Path, ours: Container[str]) -> Iterator[Import]:
    def walk(node: ast.AST, when_loaded: bool) -> Iterator[Import]:
        for inner in ast.iter_child_nodes(node):
            if isinstance(inner, ast.Import):
                for alias in inner.names:
                    yield Import(name, alias.name, inner.lineno, when_loaded)
            elif isinstance(inner, ast.ImportFrom):
                base = "." * inner.level + (inner.module or "")
                for alias in inner.names:
                    whole = f"{base}.{alias.name}"
                    yield Import(name, whole if whole in ours else base, inner.lineno, when_loaded)
            elif isinstance(inner, ast.If) and ast.unparse(inner.test) == "TYPE_CHECKING":
                yield from walk(ast.Module(inner.orelse, []), when_loaded)
            else:
                later = isinstance(inner, Function | ast.Lambda)
                yield from walk(inner, when_loaded and not later)

    yield from walk(_tree(path), True)
