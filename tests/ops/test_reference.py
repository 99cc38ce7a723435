"""Tests that the tables of variables agree with the catalogue. If the catalogue changes, the tables
must be made again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ops import reference
from ops.reference import PAGE, PAGE_ZH, Introductions, Texts
from token_service.settings.parsing import Variable, Whole
from token_service.settings.variables import JWT_ISSUER, TOKEN_EXPIRE_TIME, VARIABLES

TEXTS, INTRODUCTIONS = reference.load()


def test_every_variable_has_its_texts_and_nothing_else_has() -> None:
    assert set(TEXTS) == {variable.name for variable in VARIABLES}


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_one_line_in_each_language(name: str) -> None:
    texts = TEXTS[name]
    assert all(line and "\n" not in line for line in (texts.en, texts.zh, texts.accepts_zh))
    assert re.search("[\u4e00-\u9fff]", texts.zh)
    assert re.search("[\u4e00-\u9fff]", texts.accepts_zh)
    assert bool(texts.default_en) == bool(texts.default_zh)
    assert texts.en.isascii()
    assert not re.search("[\u4e00-\u9fff]", texts.accepts + texts.default_en)
    # Chinese text must have Chinese punctuation.
    chinese = (texts.zh, texts.accepts_zh, texts.default_zh)
    assert not any(re.search("[\u4e00-\u9fff] ?[,;:?!.]", text) for text in chinese)


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.name)
def test_the_chinese_has_the_numbers_and_names_of_the_english(variable: Variable) -> None:
    """If a range in the catalogue changes, this test fails until the Chinese text has the new
    range."""
    texts = TEXTS[variable.name]

    def facts(text: str) -> list[str]:
        return sorted(re.findall(r"[0-9](?:[0-9,]*[0-9])?|[A-Z]+_[A-Z_]+|`[a-z:/*.-]+`", text))

    assert facts(reference.accepts(variable, texts)) == facts(texts.accepts_zh)
    assert facts(texts.default_en) == facts(texts.default_zh)


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.name)
def test_an_example_is_sound_and_a_secrets_is_a_placeholder(variable: Variable) -> None:
    example = TEXTS[variable.name].example
    assert variable.parse(example)
    if variable.secret:
        assert re.match("example-|replace-this-", example)


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.name)
def test_a_default_is_said_and_sound(variable: Variable) -> None:
    assert variable.default or TEXTS[variable.name].default_en
    if variable.default:
        assert variable.parse(variable.default)


@pytest.mark.parametrize("path", [PAGE, PAGE_ZH], ids=["en", "zh"])
def test_at_most_twelve_come_first(path: Path) -> None:
    first, others = (
        re.findall(r"^\| `([A-Z_]+)`", part, re.M)
        for part in path.read_text("utf-8").partition("\n## ")[2].split("\n## ")
    )
    assert first == [variable.name for variable in VARIABLES if variable.first]
    assert len(first) <= 12
    assert others == [variable.name for variable in VARIABLES if not variable.first]


def test_the_tables_are_those_of_today() -> None:
    """If this test fails, run `make docs`."""
    assert PAGE.read_text("utf-8") == reference.page(TEXTS, INTRODUCTIONS)
    assert PAGE_ZH.read_text("utf-8") == reference.page(TEXTS, INTRODUCTIONS, "zh")


@pytest.mark.parametrize("field", Texts._fields)
def test_each_text_is_on_its_page_and_no_other(field: str) -> None:
    """A changed text appears on the pages of its own language, and on no other page."""
    changed = {**TEXTS, "JWT_ISSUER": TEXTS["JWT_ISSUER"]._replace(**{field: "Something else."})}
    is_chinese, is_english = field.endswith("zh"), not field.endswith("zh")
    both = field == "example"
    english = "Something else." in reference.page(changed, INTRODUCTIONS)
    chinese = "Something else." in reference.page(changed, INTRODUCTIONS, "zh")
    assert (english, chinese) == (is_english or both, is_chinese or both)


def test_each_page_begins_with_its_own_introduction() -> None:
    begin = Introductions("English.", "\u4e2d\u6587")
    assert "English." in reference.page(TEXTS, begin)
    assert "English." not in reference.page(TEXTS, begin, "zh")
    assert "\u4e2d\u6587" in reference.page(TEXTS, begin, "zh")


def test_a_page_is_in_one_language() -> None:
    """In the English page, only the link to the Chinese page may have Chinese text."""
    text = re.sub(r"\[[^]]*\]\(zh/[^)]*\)", "", PAGE.read_text("utf-8"))
    assert not re.search("[\u4e00-\u9fff]", text)


def test_a_changed_range_default_or_name_is_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    page = PAGE.read_text("utf-8")
    other = Variable("TOKEN_EXPIRE_TIME", Whole(901, 43200, "seconds"), "901", first=True)
    variables = [other if v is TOKEN_EXPIRE_TIME else v for v in VARIABLES]
    monkeypatch.setattr(reference, "VARIABLES", variables)
    changed = reference.page(TEXTS, INTRODUCTIONS)
    assert "a whole number of seconds, 901 to 43200 | `901`" in changed
    assert changed != page
    monkeypatch.setattr(reference, "VARIABLES", [*VARIABLES, Variable("NEW", str)])
    with pytest.raises(KeyError, match="NEW"):
        reference.page(TEXTS, INTRODUCTIONS)


def test_a_parser_that_takes_everything_needs_words() -> None:
    texts = TEXTS["JWT_ISSUER"]._replace(accepts="")
    with pytest.raises(ValueError, match="JWT_ISSUER"):
        reference.accepts(JWT_ISSUER, texts)


def test_links_of_the_chinese_page_lead_out_of_its_folder() -> None:
    changed = {**TEXTS, "JWT_ISSUER": TEXTS["JWT_ISSUER"]._replace(zh="[一](users.md#keys)")}
    page = reference.page(changed, INTRODUCTIONS, "zh")
    assert "[一](../users.md#keys)" in page
