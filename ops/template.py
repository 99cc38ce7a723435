"""`make template`: makes dist/template.yml, which is template.yml with the function's code inside.

The runtime python3.10 preinstalls aliyun-python-sdk-sts, its core, and cryptography (vendor
documentation). The template contains the other packages. A template is text and has a size limit,
so compiled modules, comments and docstrings are left out. If the limit allows it, the template also
contains byte code of our own modules. If there is too little space for all byte code, the modules
that a first request imports come first. The template's own comments are also left out, because of
the size limit.
"""

from __future__ import annotations

import ast
import base64
import io
import re
import sys
import sysconfig
import tempfile
import tokenize
from collections.abc import Iterator
from pathlib import Path

from ops import ROOT, byte_code
from ops.package import FUNCTION, PackageError, fill, pinned, zipped
from ops.runtime import this

TEMPLATE = ROOT / "template.yml"
OUTPUT = ROOT / "dist" / "template.yml"
PLACE = "make-template-puts-the-code-here"

INLINED = ("Jinja2", "MarkupSafe", "PyJWT", "typing_extensions")
MAX_BYTES = 510_000
"""Our own limit. ROS accepts 524,288 bytes (vendor documentation)."""

_LEFT_OUT = (
    "*.pyi",
    "py.typed",
    # The function never loads these files. The licence files of Jinja2 and PyJWT are not left out.
    *(f"jinja2/{name}.py" for name in ("ext", "meta", "nativetypes", "sandbox")),
    "jwt/help.py",
    # A stand-in replaces this module while PyJWT is imported (login/logins.py).
    "typing_extensions.py",
    *(f"*.dist-info/{name}" for name in ("METADATA", "WHEEL", "top_level.txt", "entry_points.txt")),
)


def main() -> int:
    """Write dist/template.yml and report. Returns 0, or 1 with the fault on stderr."""
    try:
        text, said = inlined(TEMPLATE.read_text(encoding="utf-8"))
    except PackageError as error:
        print(f"make template: {error}", file=sys.stderr)
        return 1
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(text, encoding="utf-8")
    size = len(text.encode())
    print(
        f"{OUTPUT}: {size} bytes, {MAX_BYTES - size} below our limit of {MAX_BYTES}. In the ROS "
        f"console, choose Create Stack and upload this template.\n{said}"
    )
    return 0


def inlined(template: str) -> tuple[str, str]:
    """Put the code into a template's text. Also return the line of the report about byte code.
    Raises PackageError, also if the template becomes too large."""
    if template.count(PLACE) != 1:
        raise PackageError(f"the template must contain {PLACE} exactly once")
    template = re.sub(r"^ *#.*\n", "", template, flags=re.MULTILINE)
    left = MAX_BYTES - len(template.encode()) + len(PLACE)
    # Base64 turns three bytes into four characters.
    archive, said = code(left // 4 * 3)
    text = template.replace(PLACE, base64.b64encode(archive).decode())
    if len(text.encode()) > MAX_BYTES:
        raise PackageError(
            f"the template has {len(text.encode())} bytes, more than our limit of {MAX_BYTES}"
        )
    return text, said


def code(max_bytes: int) -> tuple[bytes, str]:
    """Return the zip for the template, and the line of the report about byte code. The zip has as
    much byte code as `max_bytes` allows. Raises PackageError."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder, pinned(INLINED), native=False)
        for pattern in _LEFT_OUT:
            for path in folder.rglob(pattern):
                path.unlink()
        for path in folder.rglob("*.py"):
            # The function's own files stay readable: people read them in the console.
            if not (FUNCTION / path.relative_to(folder)).exists():
                path.write_text(bare(path.read_text(encoding="utf-8")), encoding="utf-8")
        said = _put_byte_code(folder, max_bytes)
        return zipped(folder), said


def _put_byte_code(folder: Path, max_bytes: int) -> str:
    python, why_not = byte_code.compiler()
    if python is None:
        return f"no byte code ({why_not}): {byte_code.COST}"
    # The runtime's preinstalled packages are not on this machine, so the packages of this Python
    # are used.
    folders = [folder, Path(sysconfig.get_paths()["purelib"])]
    own, first = (
        [
            each
            for each in byte_code.imported(this(), folders, cold=cold)
            if (FUNCTION / each).exists()
        ]
        for cold in (False, True)
    )
    byte_code.write(python, folder, {each: byte_code.beside(each) for each in own})

    def worth(module: Path) -> tuple[bool, int]:
        # Byte code that a first request does not need is removed first. Small files come before
        # large ones, because each file in the zip costs 200 additional bytes.
        return module in first, (folder / byte_code.beside(module)).stat().st_size

    held = sorted(own, key=worth)
    while held and len(zipped(folder)) > max_bytes:
        (folder / byte_code.beside(held.pop(0))).unlink()
    return (
        f"{len(held)} of our {len(own)} modules have byte code from Python {python.version}. A "
        f"first request imports {len(first)} of our modules, and {len({*held} & {*first})} of them "
        "have byte code. The packages have no byte code"
    )


def bare(source: str) -> str:
    """Return Python source without comments and docstrings. All lines keep their line numbers."""
    lines = source.encode().splitlines(keepends=True)
    for (row, column), (last_row, last_column), instead in sorted(_unneeded(source), reverse=True):
        after = lines[last_row - 1][last_column:]
        text = lines[row - 1][:column] + instead + b"\n" * (last_row - row) + after
        lines[row - 1 : last_row] = text.splitlines(keepends=True)
    return b"".join(lines).decode()


_Place = tuple[int, int]
"""A line, counted from 1, and a column in bytes, counted from 0."""


def _unneeded(source: str) -> Iterator[tuple[_Place, _Place, bytes]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start[0], len(token.line[: token.start[1]].encode())
            yield (row, column), (row, column + len(token.string.encode())), b""
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
            and ast.get_docstring(node, clean=False) is not None
        ):
            found = node.body[0]
            end = (found.end_lineno or 0, found.end_col_offset or 0)
            yield (found.lineno, found.col_offset), end, b'""'


if __name__ == "__main__":
    sys.exit(main())
