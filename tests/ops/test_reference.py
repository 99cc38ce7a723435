"""The tables of variables say what the catalogue says, and were made again when it changed."""

from __future__ import annotations

import re

import pytest

from ops import reference
from ops.reference import PAGE, Texts
from token_service.settings.parsing import Variable, Whole
from token_service.settings.variables import JWT_ISSUER, TOKEN_EXPIRE_TIME, VARIABLES

TEXTS, INTRODUCTION = reference.load()


def test_every_variable_has_its_texts_and_nothing_else_has() -> None:
    assert set(TEXTS) == {variable.name for variable in VARIABLES}


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_one_line_in_each_language(name: str) -> None:
    texts = TEXTS[name]
    assert all(line and "\n" not in line for line in (texts.en, texts.zh))
    assert re.search("[\u4e00-\u9fff]", texts.zh)
    assert texts.en.isascii()
    # Chinese has punctuation of its own.
    assert not re.search("[\u4e00-\u9fff] ?[,;:?!.]", texts.zh)


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


def test_at_most_twelve_come_first() -> None:
    first, others = (
        re.findall(r"^\| `([A-Z_]+)`", part, re.M)
        for part in PAGE.read_text("utf-8").partition("\n## ")[2].split("\n## ")
    )
    assert first == [variable.name for variable in VARIABLES if variable.first]
    assert len(first) <= 12
    assert others == [variable.name for variable in VARIABLES if not variable.first]


def test_the_tables_are_those_of_today() -> None:
    """Else: make docs."""
    assert PAGE.read_text("utf-8") == reference.page(TEXTS, INTRODUCTION)


@pytest.mark.parametrize("field", Texts._fields)
def test_each_text_is_on_the_page(field: str) -> None:
    """So that a changed one makes the test above red."""
    changed = {**TEXTS, "JWT_ISSUER": TEXTS["JWT_ISSUER"]._replace(**{field: "Something else."})}
    assert reference.page(changed, INTRODUCTION) != PAGE.read_text("utf-8")


def test_a_changed_range_default_or_name_is_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    page = PAGE.read_text("utf-8")
    other = Variable("TOKEN_EXPIRE_TIME", Whole(901, 43200, "seconds"), "901", first=True)
    variables = [other if v is TOKEN_EXPIRE_TIME else v for v in VARIABLES]
    monkeypatch.setattr(reference, "VARIABLES", variables)
    changed = reference.page(TEXTS, INTRODUCTION)
    assert "a whole number of seconds, 901 to 43200 | `901`" in changed
    assert changed != page
    monkeypatch.setattr(reference, "VARIABLES", [*VARIABLES, Variable("NEW", str)])
    with pytest.raises(KeyError, match="NEW"):
        reference.page(TEXTS, INTRODUCTION)


def test_a_parser_that_takes_everything_needs_words() -> None:
    texts = TEXTS["JWT_ISSUER"]._replace(accepts="")
    with pytest.raises(ValueError, match="JWT_ISSUER"):
        reference.accepts(JWT_ISSUER, texts)
