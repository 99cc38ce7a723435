"""The Chinese pages say the same as the English pages, and follow the rules of Chinese style.

tests/support/in_step.py says what is compared, and how to update a page.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import in_step
from in_step import ALONE, ZH, anchors, differences, follows, pairs, style
from ops import ROOT

PAIRS = [
    pytest.param(english, chinese, id=chinese.relative_to(ROOT).as_posix())
    for english, chinese in pairs()
]
TERMS = (ZH / "terms.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("english", "chinese"), PAIRS)
def test_a_page_is_in_step(english: Path, chinese: Path) -> None:
    """The two pages have the same headings, commands, code, tables, links and pictures."""
    assert list(differences(english, chinese)) == []


@pytest.mark.parametrize(("english", "chinese"), PAIRS)
def test_a_page_follows_the_english_text_of_today(english: Path, chinese: Path) -> None:
    """A program cannot compare the meaning of sentences. Therefore a person who changes one page
    has to check the other page."""
    assert follows(english, chinese) == ""


@pytest.mark.parametrize(("english", "chinese"), PAIRS)
def test_each_page_leads_to_the_other_language(english: Path, chinese: Path) -> None:
    """Without a link to the page in the other language, readers do not find that page."""
    for page, other in ((english, chinese), (chinese, english)):
        top = page.read_text(encoding="utf-8").partition("\n## ")[0]
        links = in_step.sections(top)[-1].links
        assert other in [in_step.path_of(page, link) for link in links], f"no link in {page.name}"


@pytest.mark.parametrize(
    "page",
    [*(pair.values[1] for pair in PAIRS), *sorted(ALONE)],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_a_page_is_written_as_chinese_is(page: Path) -> None:
    assert list(style(page)) == []


def avoided() -> set[str]:
    """The words in the last column of the first two tables of terms.md. Pages should not use these
    words."""
    rows = re.findall(r"^\|(?:[^|\n]*\|){3}([^|\n]+)\|$", TERMS, re.M)
    words = {word.strip() for row in rows for word in row.split("、")} - {"不用", "---"}
    return {word for word in words if word}


@pytest.mark.parametrize(("english", "chinese"), PAIRS)
def test_a_page_has_one_word_for_one_idea(english: Path, chinese: Path) -> None:
    text = in_step.prose(chinese.read_text(encoding="utf-8"))
    assert len(avoided()) > 15
    assert [word for word in avoided() if word in text] == []


ELSEWHERE = ["template.yml", "web/small/small.js"]
ELSEWHERE += [path.relative_to(ROOT).as_posix() for path in ROOT.glob("web/page/texts/*.zh.json")]


@pytest.mark.parametrize("name", ELSEWHERE)
def test_the_form_and_the_page_have_the_same_words(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert re.search(in_step.CHINESE, text)
    assert [word for word in {*avoided(), "您"} if word in text] == []


def test_terms_has_each_of_our_words_and_of_the_vendors() -> None:
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = contributing.partition("| word | means |\n|---|---|\n")[2].partition("\n\n")[0]
    words = re.findall(r"^\| ([^|]+) \|", table, re.M)
    assert len(words) > 15
    ours = TERMS.partition("## 本项目的概念")[2].partition("\n## ")[0]
    assert [word for word in words if f"| {word} |" not in ours] == []
    vendors = "临时访问凭证 签名URL 表单上传 分片上传 上传回调 自定义域名"
    assert [word for word in vendors.split() if f"| {word} |" not in TERMS] == []


ENGLISH = """\
# Start

[中文](zh/start.md)

Read [users](users.md#the-login).

## Run it

```sh
make run    # starts it
```

| a | b |
|---|---|
| 1 | 2 |
"""
CHINESE = """\
# 开始

[English](../start.md)

先看[用户](../users.md#the-login)。

## 运行

```sh
make run  # 启动
```

| 甲 | 乙 |
|---|---|
| 1 | 2 |
"""


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """An English page and its Chinese page, in a project that has only these two pages."""
    for name, value in {"ROOT": tmp_path, "DOCS": tmp_path / "docs"}.items():
        monkeypatch.setattr(in_step, name, value)
    monkeypatch.setattr(in_step, "ZH", tmp_path / "docs" / "zh")
    monkeypatch.setattr(in_step, "README", tmp_path / "README.md")
    monkeypatch.setattr(in_step, "README_ZH", tmp_path / "README.zh-CN.md")
    english, chinese = tmp_path / "docs" / "start.md", tmp_path / "docs" / "zh" / "start.md"
    chinese.parent.mkdir(parents=True)
    english.write_text(ENGLISH, encoding="utf-8")
    (english.parent / "users.md").write_text("# Users\n\n## The login\n\n## Keys\n")
    line = f"\n<!-- follows ../start.md at {in_step.fingerprint(english)} -->\n"
    chinese.write_text(CHINESE + line, encoding="utf-8")
    return english, chinese


def test_a_pair_that_says_the_same_is_in_step(made: tuple[Path, Path]) -> None:
    assert list(differences(*made)) == []
    assert follows(*made) == ""
    assert list(style(made[1])) == []


CHANGES = {
    "a heading": ("## Run it", "## Run it\n\n## More"),
    "a heading's level": ("## Run it", "### Run it"),
    "a command": ("make run ", "make run LAN=1 "),
    "a second block": ("| a | b |", "```sh\nls\n```\n\n| a | b |"),
    "a block's language": ("```sh", "```python"),
    "a row": ("| 1 | 2 |", "| 1 | 2 |\n| 3 | 4 |"),
    "a column": ("| a | b |\n|---|---|", "| a | b | c |\n|---|---|---|"),
    "a link": ("](users.md#the-login)", "](start.md)"),
    "an anchor": ("#the-login", "#keys"),
    "one link more": ("Read ", "Read [this](https://example.com), "),
    "a picture": ("Read ", '<img src="a.png" width="9" alt="A"> Read '),
}


@pytest.mark.parametrize(("old", "new"), CHANGES.values(), ids=CHANGES)
def test_a_change_of_one_is_seen(made: tuple[Path, Path], old: str, new: str) -> None:
    english, _ = made
    assert old in ENGLISH
    english.write_text(ENGLISH.replace(old, new), encoding="utf-8")
    assert len(list(differences(*made))) > 0
    assert "has changed since" in follows(*made)


@pytest.mark.parametrize(
    ("language", "english", "chinese"),
    [
        ("js", "/** Says. */\nf(); // now\n", "/** 说 */\nf(); // 现在\n"),
        ("kotlin", "  /**\n   * Says\n   */\n  f('a/*')\n", "  /** 说 */\n  f('a/*')\n"),
        ("swift", "/// Says.\nf()\n", "/// 说\nf()\n"),
        ("python", 'def f():\n    """Says."""\n', 'def f():\n    """说"""\n'),
    ],
)
def test_comments_may_be_chinese_and_code_may_not(
    language: str, english: str, chinese: str
) -> None:
    one, other, changed = (
        in_step.sections(f"```{language}\n{code}```\n")[0].blocks
        for code in (english, chinese, chinese.replace("f(", "g("))
    )
    assert one == other
    assert one != changed


def test_a_changed_word_is_seen_and_a_broken_line_is_none(made: tuple[Path, Path]) -> None:
    english, _ = made
    english.write_text(ENGLISH.replace("Read [users]", "Read\n[users]"), encoding="utf-8")
    assert follows(*made) == ""
    english.write_text(ENGLISH.replace("Read", "Never read"), encoding="utf-8")
    assert list(differences(*made)) == []
    assert "has changed since" in follows(*made)


def test_a_link_leads_to_the_chinese_page_as_soon_as_there_is_one(made: tuple[Path, Path]) -> None:
    english, chinese = made
    (chinese.parent / "users.md").write_text("# 用户\n\n## 登录令牌\n\n## 密钥\n", encoding="utf-8")
    (said,) = differences(english, chinese)
    assert "write users.md#登录令牌" in said
    link = "../users.md#the-login"
    text = chinese.read_text("utf-8").replace(link, in_step.repointed(chinese, link))
    chinese.write_text(text, encoding="utf-8")
    assert list(differences(english, chinese)) == []


@pytest.mark.parametrize(
    "sentence",
    [
        "用curl上传",
        "用 curl上传",
        "运行`make run`",
        "先登录,再上传。",
        "先登录.",
        "上传(可选)",
        "先登录， 再上传。",
        "请联系您的管理员。",
        "先登录，\n再上传。",
    ],
)
def test_what_is_not_written_as_chinese_is_is_seen(made: tuple[Path, Path], sentence: str) -> None:
    _, chinese = made
    chinese.write_text(f"{CHINESE}\n{sentence}\n", encoding="utf-8")
    assert len(list(style(chinese))) > 0


def test_anchors_are_named_as_github_names_them() -> None:
    text = "# 一\n\n## 开始之前：准备\n\n## `/form`\n\n## A `b` c\n\n## A b c\n"
    assert anchors(text) == ["一", "开始之前准备", "form", "a-b-c", "a-b-c-1"]
