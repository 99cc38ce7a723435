"""Tests that docs/sizing.md agrees with docs/sizing.toml and with the formula. The tests compute
the numbers again."""

from __future__ import annotations

import math
import re
from itertools import product

import pytest

from ops import ROOT, sizing
from ops.sizing import DEVICES, PAGE, Line, Way
from token_service.token.cache import MIN_SECONDS_LEFT

READ = sizing.read()
VALUE = READ.value
TEXT = PAGE.read_text("utf-8")
YAML = (ROOT / "s.yaml").read_text("utf-8")


def rows(name: str) -> list[list[str]]:
    """Return the cells of one of the page's tables, without its head."""
    table = TEXT.partition(f"<!-- {name}: made by `make docs` -->")[2].partition("<!-- until")[0]
    return [line.strip("| ").split(" | ") for line in table.strip().splitlines()[2:]]


def number(cell: str) -> float:
    """Return the first number in a cell."""
    found = re.search(r"[0-9][0-9,]*(?:\.[0-9]+)?", cell)
    assert found, cell
    return float(found[0].replace(",", ""))


def test_the_tables_are_those_of_today() -> None:
    """If this test fails, run `make docs`."""
    assert sizing.page(TEXT, READ) == TEXT


def test_a_table_without_its_place_is_told() -> None:
    with pytest.raises(ValueError, match="devices"):
        sizing.page(TEXT.replace("<!-- devices: made", "<!-- nothing: made"), READ)


@pytest.mark.parametrize("name", sorted({one.name for one in (*READ.facts, *READ.inputs)}))
def test_each_number_is_on_the_page(name: str) -> None:
    """If a number changes, the test above must fail."""

    def changed(lines: tuple[Line, ...]) -> tuple[Line, ...]:
        return tuple(
            one._replace(value=one.value * 3 + 7) if one.name == name else one for one in lines
        )

    other = READ._replace(facts=changed(READ.facts), inputs=changed(READ.inputs))
    assert sizing.page(TEXT, other) != TEXT


def test_the_table_by_devices_is_what_the_formula_says() -> None:
    """This test computes the table with its own copy of the page's formula."""
    found = iter(rows("devices"))
    seconds_kept = [VALUE["token_seconds"] - 300, VALUE["long_token_seconds"] - 300]
    for devices, way in product(DEVICES, range(4)):
        row = next(found)
        asks = VALUE["uploads_a_day"]
        if way in (1, 2):
            asks = min(asks, max(1, VALUE["active_seconds_a_day"] / seconds_kept[way - 1]))
        peak = devices * asks / 86_400 * VALUE["peak_factor"]
        sts = peak * (1 - VALUE["served_again"]) if way < 3 else 0
        cpu = (
            VALUE["cpu_seconds_signed_url" if way == 3 else "cpu_seconds_new_token"] / VALUE["vcpu"]
        )
        seconds = cpu + (VALUE["sts_seconds"] * (1 - VALUE["served_again"]) if way < 3 else 0)
        alone = max(math.ceil(peak * seconds), math.ceil(peak * cpu), 1)
        shared = max(math.ceil(peak * seconds / VALUE["custom_at_once"]), math.ceil(peak * cpu), 1)
        assert number(row[0]) == devices
        assert number(row[2]) == pytest.approx(peak, rel=0.05)
        assert number(row[3]) == pytest.approx(sts, rel=0.05)
        assert ("too many" in row[3]) == (sts > 100)
        assert [number(row[4]), number(row[5])] == [alone, shared]
    assert next(found, None) is None


def test_the_price_is_that_of_the_published_factors() -> None:
    """The expected numbers were computed by hand for a million calls of 0.1 s each, at 0.1 vCPU and
    128 MB."""
    units = sizing.cu(VALUE, 0.1, calls=1e6, busy=1e5, idle=0)
    assert units == pytest.approx(7_500 + 10_000 + 1_875)
    assert sizing.usd(VALUE, units) == pytest.approx(0.3875)
    # docs/deploy.md names the same price.
    assert "0.39 USD" in (ROOT / "docs" / "deploy.md").read_text("utf-8")


def test_a_kept_instance_is_billed_for_its_memory() -> None:
    assert sizing.kept_usd(VALUE, 0.1) == pytest.approx(0.125 * 0.15 * 2_592_000 * 0.00002)
    assert sizing.kept_usd(VALUE, 1) == pytest.approx(8 * sizing.kept_usd(VALUE, 0.1))


@pytest.mark.parametrize(
    ("units", "price"), [(0, 0), (1e8, 2000), (5e8, 2000 + 6800), (6e8, 2000 + 6800 + 1400)]
)
def test_a_tier_is_for_what_is_in_it(units: float, price: float) -> None:
    assert sizing.usd(VALUE, units) == pytest.approx(price)


@pytest.mark.parametrize(
    ("vcpu", "megabytes"), [(0.05, 128), (0.1, 128), (0.15, 192), (0.25, 256), (1, 1024)]
)
def test_the_memory_is_the_least_that_goes_with_the_vcpu(vcpu: float, megabytes: float) -> None:
    assert sizing.memory_gb(VALUE, vcpu) * 1024 == megabytes


def test_longer_tokens_and_signed_urls_ask_sts_for_less() -> None:
    asked = [sizing.load(VALUE, way, 1e6, 0.1).sts_peak for way in sizing.ways(VALUE)]
    assert asked == sorted(asked, reverse=True)
    assert asked[-1] == 0
    served_again = {**VALUE, "served_again": 1}
    assert sizing.load(served_again, sizing.ways(VALUE)[0], 1e6, 0.1).sts_peak == 0


def test_a_device_asks_at_least_once_a_day_and_at_most_for_each_upload() -> None:
    for life in (300, 901, 43_200):
        asks = sizing.asks_a_day(VALUE, Way("", life, asks_sts=True))
        assert 1 <= asks <= VALUE["uploads_a_day"]


def test_the_own_figures_are_those_of_the_templates() -> None:
    assert f"&& {VALUE['vcpu']:g} || 0.5}}" in YAML
    assert f"&& 1 || {VALUE['custom_at_once']:g}}}" in YAML
    assert f"env('MAX_INSTANCES', {VALUE['cap']:g})" in YAML
    assert f"&& {sizing.memory_gb(VALUE, VALUE['vcpu']) * 1024:.0f} || 512}}" in YAML


def test_the_formula_on_the_page_has_todays_factors() -> None:
    formula = TEXT.partition("```text\n")[2].partition("```")[0]
    call, memory = VALUE["cu_a_call"], VALUE["cu_a_gb_second"]
    assert (
        f"requests x {call:g} + busy x (vCPU + {memory:g} x GB) + idle x {memory:g} x GB" in formula
    )
    assert f"{VALUE['released_after_seconds']:g} after each request" in formula
    assert f"(life - {MIN_SECONDS_LEFT})" in formula
    month = sizing.cu(VALUE, VALUE["vcpu"], calls=0, busy=0, idle=30 * 86_400)
    assert f"({month:,.0f} CU)" in TEXT


def test_a_fact_has_its_page_and_date() -> None:
    for one in READ.facts:
        assert one.source, one.name
        assert re.fullmatch(r"20[0-9]{2}-[0-9]{2}|undated", one.dated), one.name
