"""Compares each English page with its Chinese page, and checks how Chinese pages are written.

`PYTHONPATH=tests/support:. .venv/bin/python -m in_step` prints the differences. With WRITE=1 it
also changes links: if a Chinese page exists, the link leads to this page. It also records which
English text each Chinese page follows. Use WRITE=1 after you have changed the Chinese page, or have
checked that it needs no change. To check some pages only, name them: `-m in_step docs/zh/start.md`.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from running_sandbox import ROOT

README, README_ZH = ROOT / "README.md", ROOT / "README.zh-CN.md"
DOCS = ROOT / "docs"
ZH = DOCS / "zh"
ALONE = {ZH / "terms.md"}
"""Chinese pages that have no English page."""
MADE = "<!-- made by `make docs`"
"""A page that begins like this was written by a program, from a source with both languages."""
FOLLOWS = re.compile(r"^<!-- follows (\S+) at ([0-9a-f]{12}) -->$", re.M)

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.M | re.S)
_LINK = re.compile(r"\]\(([^)\s]+)\)|<(https?://[^>\s]+)>")
_HASH, _SLASHES = r"(^|\s+)#(\s.*|$)", r"(^|\s+)///?(\s.*|$)"
_COMMENT = {
    **dict.fromkeys(("sh", "python", "ruby", "yaml", "toml", "nginx"), _HASH),
    **dict.fromkeys(("js", "ts", "kotlin", "swift", "objc", "java", "go", "dart"), _SLASHES),
}
"""For each language, the pattern of a comment at the end of a line. Comments are translated."""
_DOCUMENTED = {
    "python": r'^ *""".*?"""$',
    **dict.fromkeys(("js", "ts", "kotlin", "java"), r"^ */\*\*.*?\*/$"),
}
"""For each language, the pattern of a comment that says what a function does. Such a comment is
never on the same line as code."""
_WORDS = {"", "text", "mermaid"}
"""The languages of blocks that are text or diagrams, not code. The whole block is translated."""


class Block(NamedTuple):
    """A block of code: its language, and its text without comments."""

    language: str
    code: str


class Section(NamedTuple):
    """The content under one heading. The level is 1 for `#`, 2 for `##`, and so on. The text before
    the first heading has level 0."""

    level: int
    title: str
    blocks: Sequence[Block]
    tables: Sequence[tuple[int, int]]
    links: Sequence[str]
    images: Sequence[str]


def pairs() -> Iterator[tuple[Path, Path]]:
    """Each English page with its Chinese page. A Chinese page must have an English page, except the
    pages in ALONE."""
    if README_ZH.exists():
        yield README, README_ZH
    for chinese in sorted(ZH.rglob("*.md")):
        if chinese not in ALONE:
            yield DOCS / chinese.relative_to(ZH), chinese


def pair_of(english: Path) -> Path:
    """The path of the Chinese page of an English page, whether it exists or not."""
    if english == README:
        return README_ZH
    return ZH / english.relative_to(DOCS) if english.is_relative_to(DOCS) else english


def sections(text: str) -> list[Section]:
    """A page's sections, in order."""
    blocks: list[Block] = []

    def taken(found: re.Match[str]) -> str:
        language = found[2]
        code = "" if language in _WORDS else _bare(found[3], language)
        blocks.append(Block(language, code))
        return f"\0{len(blocks) - 1}\0"

    rest = _FENCE.sub(taken, text)
    parts = re.split(r"^(#+) (.+)$", rest, flags=re.M)
    found = [(0, "", parts[0])]
    found += [(len(parts[i]), parts[i + 1], parts[i + 2]) for i in range(1, len(parts), 3)]
    return [
        Section(
            level,
            title,
            [blocks[int(number)] for number in re.findall("\0([0-9]+)\0", body)],
            list(_tables(body)),
            [one or other for one, other in _LINK.findall(f"{title}\n{body}")],
            re.findall(r'<img src="([^"]+)" width="\d+"', body),
        )
        for level, title, body in found
    ]


def anchors(text: str) -> list[str]:
    """The anchors of a page's headings, in order, as GitHub names them."""
    made: list[str] = []
    for section in sections(text)[1:]:
        title = re.sub(r"\]\([^)]*\)", "]", section.title)
        name = re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        count = sum(1 for one in made if re.fullmatch(rf"{re.escape(name)}(-\d+)?", one))
        made.append(f"{name}-{count}" if name in made else name)
    return made


def differences(english: Path, chinese: Path) -> Iterator[str]:
    """Return the differences between the two pages. Each difference is one sentence."""
    if not english.exists():
        yield f"{_name(chinese)} has no English page: {_name(english)}"
        return
    ours, theirs = _read(english), _read(chinese)
    left, right = sections(ours), sections(theirs)
    if [one.level for one in left] != [one.level for one in right]:
        yield from _headings(left, right)
        return
    for one, other in zip(left, right, strict=True):
        where = f"{one.title or 'the beginning'} / {other.title or '开头'}"
        yield from _blocks(where, one.blocks, other.blocks)
        if list(one.tables) != list(other.tables):
            yield f"{where}: tables (rows, columns) {one.tables}, {other.tables}"
        if _targets(english, one.images) != _targets(chinese, other.images):
            yield f"{where}: the pictures differ"
        yield from _links(where, english, one.links, chinese, other.links)


def follows(english: Path, chinese: Path) -> str:
    """Return what is wrong with a line of a Chinese page, or "". The line says which version of the
    English page the Chinese page follows."""
    if MADE in _read(chinese):
        return ""
    expected = (os.path.relpath(english, chinese.parent), fingerprint(english))
    if FOLLOWS.findall(_read(chinese)) == [expected]:
        return ""
    return (
        f"{_name(english)} has changed since {_name(chinese)} followed it (git log -p says how). "
        "Change the Chinese page, or check that it needs no change. Then write at its end:\n"
        f"<!-- follows {expected[0]} at {expected[1]} -->"
    )


def fingerprint(english: Path) -> str:
    """A digest of the page's text. The digest does not depend on the line breaks."""
    words = " ".join(_read(english).split())
    return hashlib.sha256(words.encode()).hexdigest()[:12]


def prose(text: str) -> str:
    """A page's sentences, without code and the targets of links. `x` replaces code in a line."""
    text = re.sub(r"<!--.*?-->", "", _FENCE.sub("", text), flags=re.S)
    text = re.sub(r"`[^`\n]+`", "`x`", text)
    text = re.sub(r"\[([^\]]*)\]\([^)\s]*\)", r"\1", text)
    text = re.sub(r"<https?:[^>\n]+>", "`x`", text)
    return re.sub(r"<[^>\n]+>", "", text).replace("**", "").replace("*", "")


CHINESE = r"[\u4e00-\u9fff]"
_STYLE = {
    "a space between Chinese and Latin": rf"{CHINESE}[A-Za-z0-9`]|[A-Za-z0-9`]{CHINESE}",
    "punctuation of full width behind Chinese": rf"{CHINESE} ?[,;:?!.](?=\s|$|{CHINESE})",
    "brackets of full width around Chinese": rf"{CHINESE} ?\((?=.*{CHINESE})"
    rf"|\([^)]*{CHINESE}[^)]*\)",
    "no space beside punctuation of full width": r"[，。；：？！、（）“”](?<!\|) (?!\|)\S"
    r"|[^\s|#>*-] [，。；：？！、（）]",
    "你, not 您": "您",
}


_BEGINS = re.compile(r"\s*([-*] |\d+\. |#|\|)")
"""Lines that begin like this do not continue a paragraph: list items, headings and table rows."""


def style(chinese: Path) -> Iterator[str]:
    """The places where a Chinese page breaks a rule of Chinese style, one line each."""
    # In docs/zh/terms.md this word has no space, because the vendor writes it without one.
    text = _read(chinese).replace("签名URL", "签名 URL") if chinese in ALONE else _read(chinese)
    lines = prose(text).splitlines()
    for line, after in itertools.pairwise(lines):
        if line.strip() and after.strip() and not (_BEGINS.match(after) or line.startswith("#")):
            yield f"write a paragraph on one line: a line break shows as a space: …{line[-12:]}…"
    for line in lines:
        for rule, pattern in _STYLE.items():
            found = re.search(pattern, line)
            if found:
                yield f"{rule}: …{line[max(0, found.start() - 12) : found.end() + 12]}…"


def _bare(code: str, language: str) -> str:
    comment, documented = _COMMENT.get(language), _DOCUMENTED.get(language)
    if documented:
        code = re.sub(documented, "", code, flags=re.M | re.S)
    lines = code.splitlines()
    if comment:
        lines = [re.sub(comment, "", line) for line in lines]
    return "\n".join(line.strip() for line in lines if line.strip())


def _tables(body: str) -> Iterator[tuple[int, int]]:
    for table in re.findall(r"(?:^ *\|.*\n?)+", body, re.M):
        rows = table.strip().splitlines()
        if len(rows) > 1 and re.match(r" *\|[-:|]+\|$", rows[1]):
            yield len(rows) - 2, rows[1].count("|") - 1


def _headings(left: Sequence[Section], right: Sequence[Section]) -> Iterator[str]:
    said = [["#" * one.level + " " + one.title for one in side] for side in (left, right)]
    for number in range(max(map(len, said))):
        one, other = (side[number] if number < len(side) else "nothing" for side in said)
        if one.partition(" ")[0] != other.partition(" ")[0]:
            yield f"heading {number}: {one!r} is {other!r} on the Chinese page"
            return


def _blocks(where: str, left: Sequence[Block], right: Sequence[Block]) -> Iterator[str]:
    if [one.language for one in left] != [one.language for one in right]:
        yield f"{where}: blocks of code {[b.language for b in left]}, {[b.language for b in right]}"
        return
    for one, other in zip(left, right, strict=True):
        if one.code != other.code:
            lines = zip(one.code.splitlines(), other.code.splitlines(), strict=False)
            first = next(
                (pair for pair in lines if pair[0] != pair[1]), ("", "more or fewer lines")
            )
            yield f"{where}: the code differs: {first[0]!r}, {first[1]!r}"


def _links(
    where: str, english: Path, left: Sequence[str], chinese: Path, right: Sequence[str]
) -> Iterator[str]:
    """The differences of the links. The order of the links may differ."""
    wanted = Counter(_target(english, link) for link in left)
    found = Counter(_target(chinese, link) for link in right)
    for target in (wanted - found).elements():
        yield f"{where}: no link to {target}"
    for target in (found - wanted).elements():
        yield f"{where}: a link to {target}, which the English page does not have"
    for link in right:
        path = path_of(chinese, link)
        if path and path not in (english, chinese) and _has_pair(path):
            yield f"{where}: {link} leads to an English page; write {repointed(chinese, link)}"


def repointed(chinese: Path, link: str) -> str:
    """The link, changed so that it leads to the same heading of the Chinese page."""
    path = path_of(chinese, link)
    assert path is not None
    target, (_, hash_sign, anchor) = pair_of(path), link.partition("#")
    if anchor:
        anchor = anchors(_read(target))[anchors(_read(path)).index(anchor)]
    return os.path.relpath(target, chinese.parent) + hash_sign + anchor


def _has_pair(path: Path) -> bool:
    """Whether an English page has a Chinese page."""
    return path.suffix == ".md" and pair_of(path) != path and pair_of(path).exists()


def path_of(page: Path, link: str) -> Path | None:
    """The file that a link leads to; None if the link leads out of the project."""
    if re.match("[a-z]+:", link):
        return None
    name = link.partition("#")[0]
    return Path(os.path.normpath(page.parent / name)) if name else page


def _target(page: Path, link: str) -> str:
    """Return the target of a link. The result is the same for both languages: the path of the
    English page, and the position of the heading in the page."""
    path = path_of(page, link)
    if path is None:
        return link
    anchor = link.partition("#")[2]
    if anchor and path.exists():
        known = anchors(_read(path))
        anchor = str(known.index(anchor)) if anchor in known else f"no heading {anchor}"
    if path == README_ZH:
        path = README
    elif path.is_relative_to(ZH) and path not in ALONE:
        path = DOCS / path.relative_to(ZH)
    return f"{_name(path)}{'#' if anchor else ''}{anchor}"


def _targets(page: Path, names: Sequence[str]) -> list[str]:
    return [_target(page, name) for name in names]


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def main() -> int:
    """Print all differences and faults; return 1 if there are any, otherwise 0."""
    wrong = 0
    for english, chinese in pairs():
        if sys.argv[1:] and _name(chinese) not in sys.argv[1:]:
            continue
        if os.environ.get("WRITE"):
            _write(english, chinese)
        said = [*differences(english, chinese), *style(chinese)]
        said += filter(None, [follows(english, chinese)])
        wrong += len(said)
        for one in said:
            print(f"{_name(chinese)}: {one}")
    return int(wrong > 0)


def _write(english: Path, chinese: Path) -> None:
    text = _read(chinese)
    for section in sections(text):
        for link in set(section.links):
            path = path_of(chinese, link)
            if path and path != english and _has_pair(path):
                text = text.replace(f"]({link})", f"]({repointed(chinese, link)})")
    line = f"<!-- follows {os.path.relpath(english, chinese.parent)} at {fingerprint(english)} -->"
    if MADE not in text:
        text = FOLLOWS.sub("", text).rstrip() + f"\n\n{line}\n"
    chinese.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
