"""docs/errors.json has a row for each code that our code can answer, and docs/errors.md says it."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ops import ROOT, errors_page
from ops.errors_page import PAGE, SOURCES, WHO

ROWS = errors_page.load()
FUNCTION = ROOT / "functions" / "sts_token"
SANDBOX = ROOT / "sandbox"
CLIENT = ROOT / "web" / "client"
CODE = re.compile(r"[A-Z][A-Za-z0-9]+(?:\.[A-Z][A-Za-z]+)*")
MAX_CHARACTERS = 160


def trees(folder: Path) -> Iterator[tuple[Path, ast.AST]]:
    for path in sorted(folder.rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def of_function(folder: Path = FUNCTION) -> set[str]:
    """What an error class calls `code`; of one that is made up, what stands before its dot."""
    found = set()
    for _, tree in trees(folder):
        classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
        for node in (node for one in classes for node in ast.walk(one)):
            if not isinstance(node, ast.Assign) or not _is_code(node.targets[0]):
                continue
            value = node.value
            if isinstance(value, ast.JoinedStr):
                value = value.values[0]
                assert isinstance(value, ast.Constant)
                assert str(value.value).endswith("."), "a code that is made up begins with a word"
            # What is passed on has no text here.
            if isinstance(value, ast.Constant):
                found.add(str(value.value).rstrip("."))
    return found


def _is_code(target: ast.expr) -> bool:
    """`code = …` of a class, `self.code = …` of its instances."""
    return ast.unparse(target) in ("code", "self.code")


def _status_and_code(values: list[ast.expr]) -> str | None:
    """The code behind an HTTP status: OssError(404, "NoSuchKey", …), "NoPermission": (403, …)."""
    constants = [value.value for value in values[:2] if isinstance(value, ast.Constant)]
    if len(constants) < 2 or not isinstance(constants[0], int):
        return None
    status, code = constants[0], str(constants[1])
    return code if 200 <= status < 600 and CODE.fullmatch(code) else None


def of_sandbox(folder: Path = SANDBOX) -> dict[str, set[str]]:
    """The codes of its OSS (oss/), of its STS (sts.py), and of what stands before the function."""
    found: dict[str, set[str]] = {"function": set(), "STS": set(), "OSS": set()}
    for path, tree in trees(folder):
        place = path.relative_to(folder).parts[0]
        codes = found[{"oss": "OSS", "sts.py": "STS"}.get(place, "function")]
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and (code := _status_and_code(node.args)):
                codes.add(code)
            if isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    if isinstance(key, ast.Constant) and isinstance(value, ast.Tuple):
                        code = _status_and_code([value.elts[0], key])
                        codes.update([code] if code else [])
    return found


def of_client(folder: Path = CLIENT) -> set[str]:
    """The codes that the JavaScript client gives by itself."""
    lines = [
        line
        for path in sorted(folder.glob("*.js"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"\bcode =|new UploadError\(", line)
    ]
    # Not the names of XML elements, nor what a code is compared with.
    given = re.compile(r"(?:new UploadError\(|\?\? |\? |: )'([A-Z][A-Za-z]+)'")
    return {code for line in lines for code in given.findall(line)}


@cache
def in_code() -> dict[str, set[str]]:
    """Every code that our own code has, with where it comes from."""
    sources = of_sandbox()
    sources["function"] |= of_function()
    sources["page"] = of_client()
    found: dict[str, set[str]] = {}
    for source, codes in sources.items():
        for code in codes:
            found.setdefault(code, set()).add(source)
    return found


def faults(rows: dict[str, Any], found: dict[str, set[str]]) -> list[str]:
    """What is wrong with the rows, a sentence each."""
    wrong = [f"{code} has no row" for code in found.keys() - rows.keys()]
    for code, row in rows.items():
        sources = {row["from"], *row.get("also", ())}
        if "documented" in row:
            if code in found or not row["documented"].startswith("https://"):
                wrong.append(f"{code} is documented elsewhere only where our code has none")
        elif found.get(code) != sources:
            wrong.append(f"{code} comes from {found.get(code)}, not from {sources}")
        if not sources <= SOURCES.keys():
            wrong.append(f"{code}: from must be among {', '.join(SOURCES)}")
        if row["who"] not in WHO:
            wrong.append(f"{code}: who must be one of {', '.join(WHO)}")
        if row.keys() - {"also", "documented"} != {"from", "who", "en", "zh"}:
            wrong.append(f"{code} must have from, who, en and zh")
            continue
        wrong += (f"{code}: {text}" for text in _faults_of_texts(code, row))
    return wrong


def _faults_of_texts(code: str, row: dict[str, Any]) -> Iterator[str]:
    for language, stop in (("en", "."), ("zh", "。")):
        texts = row[language]
        if texts.keys() != {"what", "do"}:
            yield f"{language} must have what and do"
            continue
        for text in texts.values():
            if not text.endswith(stop) or len(text) > MAX_CHARACTERS:
                yield f"{language}: a sentence ends with a full stop, at most 160 characters"
            if len(text.replace(code, "").strip(" .。")) < 4:
                yield f"{language}: a sentence is more than a code"
    if not all(text.isascii() for text in row["en"].values()):
        yield "en must be English"
    for text in row.get("zh", {}).values():
        if not re.search("[\u4e00-\u9fff]", text):
            yield "zh must be Chinese"
        # Chinese has punctuation of its own.
        if re.search("[\u4e00-\u9fff] ?[,;:?!.]", text):
            yield "zh must have Chinese punctuation"


def test_each_code_has_its_row_and_each_row_its_code() -> None:
    assert faults(ROWS, in_code()) == []


def test_what_is_read_of_the_code_is_not_nothing() -> None:
    found = in_code()
    for source, codes in {
        "function": {"MissingToken", "InvalidParameter", "Throttling.Caller", "InvocationError"},
        "STS": {"NoPermission", "EntityNotExist.Role", "Throttling.User"},
        "OSS": {"AccessDenied", "FileAlreadyExists", "CallbackFailed", "SecurityTokenExpired"},
    }.items():
        assert codes <= {code for code, sources in found.items() if source in sources}


def test_a_new_code_is_found(tmp_path: Path) -> None:
    (tmp_path / "oss").mkdir()
    (tmp_path / "oss" / "new.py").write_text('raise OssError(\n    409, "NewOfOss", "Text."\n)\n')
    (tmp_path / "sts.py").write_text('_ERRORS = {"New.OfSts": (400, "Text.")}\n')
    (tmp_path / "guard.py").write_text('_error(403, "NewOfTheGuard", "text")\n')
    assert of_sandbox(tmp_path) == {
        "OSS": {"NewOfOss"},
        "STS": {"New.OfSts"},
        "function": {"NewOfTheGuard"},
    }
    (tmp_path / "errors.py").write_text(
        'class A(E):\n    code = "NewOfOurs"\n\n'
        'class B(E):\n    def __init__(self, x):\n        self.code = f"Made.{x}"\n\n'
        "class C(E):\n    def __init__(self, code):\n        self.code = code\n"
    )
    assert of_function(tmp_path) == {"NewOfOurs", "Made"}
    (tmp_path / "client.js").write_text("const code = a ?? 'NewOfClient';\n")
    assert of_client(tmp_path) == {"NewOfClient"}


def changed(**changes: Any) -> dict[str, Any]:
    rows = copy.deepcopy(ROWS)
    rows["NotAllowed"].update(changes)
    return rows


ENGLISH = {"what": "The policy forbids it.", "do": "Ask the operator."}


@pytest.mark.parametrize(
    "rows",
    [
        {code: row for code, row in ROWS.items() if code != "NotAllowed"},
        {**ROWS, "NobodysCode": ROWS["NotAllowed"]},
        changed(who="nobody"),
        changed(**{"from": "OSS"}),
        changed(**{"from": "elsewhere"}),
        changed(also=["STS"]),
        changed(documented="https://example.com/"),
        changed(en={"what": "", "do": "Ask the operator."}),
        changed(en={"what": "NotAllowed.", "do": "Ask the operator."}),
        changed(en={"what": "The policy forbids it", "do": "Ask the operator."}),
        changed(en={"what": "It is forbidden. " * 10, "do": "Ask the operator."}),
        changed(en={"what": "The policy forbids it."}),
        changed(zh=ENGLISH),
        changed(zh={}),
        changed(en=ROWS["NotAllowed"]["zh"]),
        {code: {k: v for k, v in row.items() if k != "zh"} for code, row in ROWS.items()},
    ],
    ids=[
        "a code without a row",
        "a row without a code",
        "who",
        "another source",
        "no source",
        "a source too many",
        "documented elsewhere",
        "empty",
        "a code alone",
        "no full stop",
        "too long",
        "nothing to do",
        "English as Chinese",
        "no Chinese texts",
        "Chinese as English",
        "no Chinese",
    ],
)
def test_a_broken_row_is_found(rows: dict[str, Any]) -> None:
    assert faults(rows, in_code())


def test_the_page_is_that_of_today() -> None:
    """Else: make docs."""
    assert PAGE.read_text("utf-8") == errors_page.page(ROWS)


def test_each_text_is_on_the_page() -> None:
    for language in ("en", "zh"):
        for part in ("what", "do"):
            texts = {**ROWS["NotAllowed"][language], part: "Something else."}
            assert errors_page.page(changed(**{language: texts})) != errors_page.page(ROWS)


def test_each_code_is_on_the_page_once_for_each_source() -> None:
    text = PAGE.read_text("utf-8")
    for code, row in ROWS.items():
        assert text.count(f"\n| `{code}` ") == 1 + len(row.get("also", ()))
