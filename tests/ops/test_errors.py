"""Tests that docs/errors.json has a complete row in both languages for each error code that our
code can return. docs/errors.md and docs/zh/errors.md have the same rows. Each link in a symptom
leads to an existing row."""

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
from ops.errors_page import LOGS, PAGES, PARTS, SOURCES, WHO

ROWS = errors_page.load()
WORDS = errors_page.load_words()
SEEN = WORDS["symptoms"]
FUNCTION = ROOT / "functions" / "sts_token"
SANDBOX = ROOT / "sandbox"
CLIENT = ROOT / "web" / "client"
CODE = re.compile(r"[A-Z][A-Za-z0-9]+(?:\.[A-Z][A-Za-z]+)*")
MAX_CHARACTERS = {"what": 160, "do": 160, "look": 400, "mended": 160}
"""The maximum number of characters of each text about an error code in docs/errors.json. The web
page shows `what` and `do`, so these two must be short."""


def trees(folder: Path) -> Iterator[tuple[Path, ast.AST]]:
    for path in sorted(folder.rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def of_function(folder: Path = FUNCTION) -> set[str]:
    """Return the values of `code` in error classes. If a code has a part after a dot, only the part
    before the dot is returned."""
    return {code.rstrip(".") for code in _of_classes(folder)}


def made_up(folder: Path = FUNCTION) -> set[str]:
    """Some error codes are joined from two parts, such as `InvalidParameter.` and a name. Return
    the first parts, without the dot."""
    return {code.rstrip(".") for code in _of_classes(folder) if code.endswith(".")}


def _of_classes(folder: Path) -> set[str]:
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
            # A code that is passed on from another service is a variable in the source, not a
            # constant. Such codes are skipped.
            if isinstance(value, ast.Constant):
                found.add(str(value.value))
    return found


def _is_code(target: ast.expr) -> bool:
    """Return whether an assignment is `code = …` in a class, or `self.code = …` in a method."""
    return ast.unparse(target) in ("code", "self.code")


def _status_and_code(values: list[ast.expr]) -> str | None:
    """Return the code that follows an HTTP status, as in OssError(404, "NoSuchKey", …)."""
    constants = [value.value for value in values[:2] if isinstance(value, ast.Constant)]
    if len(constants) < 2 or not isinstance(constants[0], int):
        return None
    status, code = constants[0], str(constants[1])
    return code if 200 <= status < 600 and CODE.fullmatch(code) else None


def of_sandbox(folder: Path = SANDBOX) -> dict[str, set[str]]:
    """Return the codes of the sandbox's OSS (oss/), of its STS (sts.py), and of its gateway to the
    function."""
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
    """Return the codes that the JavaScript client itself makes."""
    lines = [
        line
        for path in sorted(folder.glob("*.js"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"\bcode =|new UploadError\(", line)
    ]
    # The pattern finds only the codes that the client gives to an error. It skips the names of XML
    # elements, and the codes in comparisons.
    given = re.compile(r"(?:new UploadError\(|\?\? |\? |: )'([A-Z][A-Za-z]+)'")
    return {code for line in lines for code in given.findall(line)}


@cache
def in_code() -> dict[str, set[str]]:
    """Return all error codes of our own programs, and for each error code the programs that use
    it."""
    sources = of_sandbox()
    sources["function"] |= of_function()
    sources["page"] = of_client()
    found: dict[str, set[str]] = {}
    for source, codes in sources.items():
        for code in codes:
            found.setdefault(code, set()).add(source)
    return found


def faults(rows: dict[str, Any], found: dict[str, set[str]]) -> list[str]:
    """Return a sentence for each fault in the rows."""
    wrong = [f"{code} has no row" for code in found.keys() - rows.keys()]
    for code, row in rows.items():
        sources = {row["from"], *row.get("also", ())}
        if "documented" in row:
            if code in found or not row["documented"].startswith("https://"):
                wrong.append(f"{code} is documented elsewhere only where our code has none")
        elif found.get(code) != sources:
            wrong.append(f"{code} comes from {found.get(code)}, not from {sources}")
        if not sources <= set(SOURCES):
            wrong.append(f"{code}: from must be among {', '.join(SOURCES)}")
        if row["who"] not in WHO:
            wrong.append(f"{code}: who must be one of {', '.join(WHO)}")
        if row.keys() - {"also", "documented"} != {"from", "who", "log", "en", "zh"}:
            wrong.append(f"{code} must have from, who, log, en and zh")
            continue
        if row["log"] not in LOGS:
            wrong.append(f"{code}: log must be one of {', '.join(LOGS)}")
        if row["from"] == "STS" and row["log"] != "function":
            wrong.append(f"{code}: the function logs what STS refuses")
        wrong += (f"{code}: {text}" for text in _faults_of_texts(code, row))
    return wrong


def _faults_of_texts(code: str, row: dict[str, Any]) -> Iterator[str]:
    for language, stop in (("en", "."), ("zh", "。")):
        texts = row[language]
        if texts.keys() != set(PARTS):
            yield f"{language} must have {', '.join(PARTS)}"
            continue
        for part, text in texts.items():
            if not text.endswith(stop) or len(text) > MAX_CHARACTERS[part]:
                yield f"{language}: {part} ends with a full stop, and is at most so long"
            if len(text.replace(code, "").strip(" .。")) < 4:
                yield f"{language}: a sentence is more than a code"
    if re.search("[\u3000-\u9fff\uff00-\uffef]", "".join(row["en"].values())):
        yield "en must be English"
    for text in row.get("zh", {}).values():
        if not re.search("[\u4e00-\u9fff]", text):
            yield "zh must be Chinese"
        # Chinese text must have Chinese punctuation. Only the addresses of links may have other
        # punctuation.
        if re.search("[\u4e00-\u9fff] ?[,;:?!.]", re.sub(r"\]\([^)]*\)", "", text)):
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


def without(texts: dict[str, str], part: str) -> dict[str, str]:
    return {name: text for name, text in texts.items() if name != part}


def changed(**changes: Any) -> dict[str, Any]:
    rows = copy.deepcopy(ROWS)
    rows["NotAllowed"].update(changes)
    return rows


ENGLISH = ROWS["NotAllowed"]["en"]
CHINESE = ROWS["NotAllowed"]["zh"]


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
        changed(log="elsewhere"),
        changed(en={**ENGLISH, "what": ""}),
        changed(en={**ENGLISH, "what": "NotAllowed."}),
        changed(en={**ENGLISH, "what": "The policy forbids it"}),
        changed(en={**ENGLISH, "what": "It is forbidden. " * 10}),
        *(changed(en=without(ENGLISH, part)) for part in PARTS),
        *(changed(zh=without(CHINESE, part)) for part in PARTS),
        *(changed(en={**ENGLISH, part: ""}) for part in PARTS),
        *(changed(zh={**CHINESE, part: ENGLISH[part]}) for part in PARTS),
        changed(zh=ENGLISH),
        changed(zh={}),
        changed(en=CHINESE),
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
        "no log",
        "empty",
        "a code alone",
        "no full stop",
        "too long",
        *(f"no English {part}" for part in PARTS),
        *(f"no Chinese {part}" for part in PARTS),
        *(f"an empty {part}" for part in PARTS),
        *(f"an English {part} as Chinese" for part in PARTS),
        "English as Chinese",
        "no Chinese texts",
        "Chinese as English",
        "no Chinese",
    ],
)
def test_a_broken_row_is_found(rows: dict[str, Any]) -> None:
    assert faults(rows, in_code())


def test_the_pages_are_those_of_today() -> None:
    """If this test fails, run `make docs`."""
    for language, path in PAGES.items():
        assert path.read_text("utf-8") == errors_page.page(ROWS, WORDS, language)


def test_the_families_are_the_codes_that_are_made_up() -> None:
    """The page shows a log query for each code. A composed code ends with a dot and a part that
    varies. The query for a composed code has a star in place of this ending."""
    assert made_up() == errors_page.FAMILIES


def test_each_text_is_on_its_page() -> None:
    for language in PAGES:
        page = errors_page.page(ROWS, WORDS, language)
        for part in PARTS:
            texts = {**ROWS["NotAllowed"][language], part: "Something else."}
            other = errors_page.page(changed(**{language: texts}), WORDS, language)
            assert "Something else." in other
            assert other != page


@pytest.mark.parametrize("language", PAGES)
def test_each_code_is_one_heading_with_what_a_link_needs(language: str) -> None:
    text = PAGES[language].read_text("utf-8")
    headings = re.findall(r"^### (.+)$", text, re.MULTILINE)
    assert sorted(headings) == sorted(ROWS)
    anchors = [errors_page.anchor(code) for code in ROWS]
    assert len(set(anchors)) == len(ROWS)
    assert set(re.findall(r"\]\(#([a-z0-9-]+)\)", text)) - {"by-symptom"} <= set(anchors)


def faults_of_symptoms(seen: list[dict[str, Any]]) -> list[str]:
    wrong = []
    for row in seen:
        if row.keys() != {"codes", "en", "zh"} or set(row["codes"]) - ROWS.keys():
            wrong.append(f"{row} must have codes with a row, en and zh")
            continue
        for language in PAGES:
            texts = row[language]
            if texts.keys() - {"go"} != {"seen", "means"} or not all(texts.values()):
                return [f"{texts} must have seen and means"]
            if not row["codes"] and "go" not in texts:
                wrong.append(f"{texts} leads nowhere")
        if re.search("[\u3000-\u9fff\uff00-\uffef]", "".join(row["en"].values())):
            wrong.append(f"{row['en']} must be English")
        if not re.search("[\u4e00-\u9fff]", row["zh"]["means"]):
            wrong.append(f"{row['zh']} must be Chinese")
        if re.findall("`[^`]+`", row["en"]["seen"]) != re.findall("`[^`]+`", row["zh"]["seen"]):
            wrong.append(f"{row['en']['seen']}: the words that are seen must be the same in both")
    return wrong


def test_each_symptom_leads_to_a_row_or_a_page() -> None:
    assert faults_of_symptoms(SEEN) == []


@pytest.mark.parametrize(
    "change",
    [
        {"codes": ["NobodysCode"]},
        {"codes": []},
        {"en": {"seen": "`a`", "means": ""}},
        {"en": {"seen": "`other words`", "means": "It fails."}},
        {"zh": {"seen": SEEN[0]["zh"]["seen"], "means": "It fails."}},
        {"zh": {}},
    ],
    ids=["no such code", "nowhere", "empty", "other words", "English as Chinese", "no Chinese"],
)
def test_a_broken_symptom_is_found(change: dict[str, Any]) -> None:
    assert faults_of_symptoms([{**copy.deepcopy(SEEN[0]), **change}])
