"""Checks the Kotlin, Swift and Objective-C code of the docs. No compiler for these languages is
used here. Instead, each name that the code uses from an SDK must be in
tests/golden/mobile_sdk_names.json, with its place in the SDK's source."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from documented_code import blocks

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
KNOWN: dict[str, Any] = json.loads((ROOT / "tests/golden/mobile_sdk_names.json").read_text("utf-8"))
LANGUAGES = ["kotlin", "objc", "swift"]
INTEGRATE = {
    "kotlin": ROOT / "docs" / "integrate" / "android.md",
    "objc": ROOT / "docs" / "integrate" / "other.md",
    "swift": ROOT / "docs" / "integrate" / "ios.md",
}


def names(code: str) -> set[str]:
    r"""Return the names in code, without those in comments. In a string, only the names in `${}`
    and `$name` (Kotlin) or `\\()` (Swift) count."""
    code = re.sub(r"/\*.*?\*/", "", code, flags=re.DOTALL)
    code = re.sub(r'"(.*?)"', lambda text: " ".join(_put_in(text[1])), code)
    return set(re.findall(r"\b[A-Za-z_]\w*", re.sub(r"//.*", "", code)))


def _put_in(text: str) -> list[str]:
    found = re.findall(r"\$\{(.*?)\}|\$([A-Za-z]\w*)|\\\((.*?)\)", text)
    return [part for parts in found for part in parts]


def used(language: str) -> set[str]:
    return {name for page in PAGES for code in blocks(language, page) for name in names(code)}


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_name_in_a_mobile_snippet_is_known(language: str) -> None:
    """If the docs use a name that the SDK lacks, only this test detects it before a reader compiles
    the code."""
    known = KNOWN[language]
    assert used(language) - known["sdk_names"].keys() - set(known["other_names"]) == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_name_is_known_that_no_snippet_has(language: str) -> None:
    known = KNOWN[language]
    assert not known["sdk_names"].keys() & set(known["other_names"])
    assert (known["sdk_names"].keys() | set(known["other_names"])) - used(language) == set()


@pytest.mark.parametrize(
    ("language", "ends"), [("kotlin", "java"), ("objc", "[hm]"), ("swift", "[hm]")]
)
def test_each_name_of_an_sdk_has_its_place_there(language: str, ends: str) -> None:
    for place in KNOWN[language]["sdk_names"].values():
        assert re.fullmatch(rf"[\w/-]+\.{ends}:[1-9]\d*", place), place


@pytest.mark.parametrize("language", LANGUAGES)
def test_its_page_names_the_version_whose_source_was_read(language: str) -> None:
    system, version = KNOWN[language]["system"], KNOWN[language]["version"]
    assert f"{system} {version}" in INTEGRATE[language].read_text(encoding="utf-8")


MUST = {
    # A new bucket refuses V1. The member Endpoint contains the scheme https and, if there is one,
    # the bucket's own domain.
    "kotlin": ["SignVersion.V4", "setRegion", 'getString("Endpoint")', 'getInt("StatusCode")'],
    "objc": ["OSSSignVersionV4", "client.region", '@"Endpoint"', '@"StatusCode"'],
    "swift": ["signVersion = .v4", ".region =", '["Endpoint"]', '["StatusCode"]'],
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_mobile_snippet_signs_with_v4_and_looks_at_the_status(language: str) -> None:
    code = "".join(blocks(language, INTEGRATE[language]))
    assert [text for text in MUST[language] if text not in code] == []


def test_names_in_strings_count_where_kotlin_puts_them_in() -> None:
    assert names('log("not ${refused.errorCode} //") // nor this\nput(x)') == {
        "log",
        "refused",
        "errorCode",
        "put",
        "x",
    }


def test_names_in_strings_count_where_swift_puts_them_in() -> None:
    assert names('log("not \\(refused.code) //") /* nor\nthis */ put(x)') == {
        "log",
        "refused",
        "code",
        "put",
        "x",
    }
