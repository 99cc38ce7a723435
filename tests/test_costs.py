"""Tests that the formula in docs/costs.md really gives the numbers of the example on that page."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = (Path(__file__).parents[1] / "docs" / "costs.md").read_text(encoding="utf-8")
USERS, PICTURES, MEGABYTES, MONTHS, LOOKS = 10_000, 10, 2, 12, 3


def number(text: str) -> float:
    """The first number of a cell, for example 2,400 or **101.96**."""
    found = re.search(r"\d[\d,]*(?:\.\d+)?", text)
    assert found, text
    return float(found[0].replace(",", ""))


def rows() -> dict[str, list[str]]:
    table = PAGE.partition("| | how much | price, as an example | USD |\n|---|---|---|---|\n")[2]
    lines = [line.strip("| ").split(" | ") for line in table.partition("\n\n")[0].splitlines()]
    return {cells[0]: cells for cells in lines}


def test_the_amounts_follow_from_the_sentence_above_the_table() -> None:
    sentence = f"{USERS:,} users upload {PICTURES} pictures of {MEGABYTES} MB each"
    assert sentence in PAGE
    uploads = USERS * PICTURES
    table = rows()
    assert number(table["tokens"][1]) == uploads
    assert number(table["stored"][1]) == uploads * MEGABYTES * MONTHS / 1000
    assert number(table["downloaded"][1]) == uploads * MEGABYTES * LOOKS / 1000
    assert number(table["requests"][1]) == uploads * (1 + LOOKS)


def test_each_line_is_amount_times_price_and_the_sum_is_theirs() -> None:
    table = rows()
    units = {"tokens": 1_000_000, "stored": 1, "downloaded": 1, "requests": 10_000}
    dollars = {}
    for name, unit in units.items():
        amount, price, said = (number(cell) for cell in table[name][1:4])
        dollars[name] = amount / unit * price
        assert said == round(dollars[name], 2), name
    assert number(table["**sum**"][-1]) == round(sum(dollars.values()), 2)


def test_the_price_of_a_token_is_that_of_the_deploy_page() -> None:
    deploy = (Path(__file__).parents[1] / "docs" / "deploy.md").read_text(encoding="utf-8")
    assert "**0.39 USD" in deploy
    assert number(rows()["tokens"][2]) == 0.39
