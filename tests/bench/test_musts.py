"""Tests the tables of `make bench`. Each ratio is compared with its limit, and the tables show only
values that were measured."""

from __future__ import annotations

import pytest

from bench.deployed import MIXED, State
from bench.musts import Figure, Results, figures, table, tables
from bench.ratios import Ratio

COLD = {
    "anonymous": 50.0,
    "anonymous again": 51.0,
    "hs256": 60.0,
    "hs256 again": 60.0,
    "jwks": 95.0,
    "template": 70.0,
    "base": 200.0,
    "base template": 100.0,
    "52 lines": 30.0,
    "AcsClient": 100.0,
    "sts20150401": 400.0,
}
WARM = {
    "new token": 1.3,
    "new token again": 1.3,
    "served again": 0.12,
    "signed URL": 0.2,
    "signed URL, signing alone": 0.1,
    "floor": 1.0,
    "AcsClient": 4.0,
    "sts20150401": 3.0,
    "oss2": 2.0,
    "oss-v2": 0.5,
}


def results(more_mb: float = 0.5, *, is_slow_measured: bool = True) -> Results:
    cold, warm = ({name: [ms] * 6 for name, ms in each.items()} for each in (COLD, WARM))
    held = [State(1, 20, 21, 4, 1), State(1000, 24, 28, 5, 1)]
    return Results(
        cold,
        {0.1: {name: [10 * ms for ms in each] for name, each in cold.items()}}
        if is_slow_measured
        else {0.1: None},
        warm,
        {
            "hs256": held,
            MIXED: [*held, State(100_000, 24 + more_mb, 29, 6, 1)],
            "AcsClient": [held[0], State(1000, 39, 40, 5, 1)],
        },
        {"package": 2_300_000},
        "A CPU, 2 cores",
        "Six rounds.",
    )


def verdicts(found: Results) -> dict[str, str]:
    return {figure.title: figure.verdict() for figure in figures(found)}


def test_a_must_is_met_or_missed_and_an_aim_is_said_beside() -> None:
    said = verdicts(results())
    assert said["cold start (anonymous) / `AcsClient`"] == "met"
    assert said["cold start (JWKS by URL) / `AcsClient`"] == "MISSED"
    assert said["cold start (HS256) / 52 lines of standard library"] == "met; aim 2 met"
    assert said["new token / bare `http.client` + `hmac`"] == "met; aim 1.25 MISSED"
    assert said["cold start (HS256) / `alibabacloud-sts20150401`"] == ""
    assert said["first token at 0.1 vCPU (HS256) / earlier version"] == "met"
    assert said["memory, peak of 1,000 requests / `AcsClient`"] == "met; aim 0.65 MISSED"


def test_what_a_process_gathers_is_judged() -> None:
    said = verdicts(results(1.5))
    assert said["MB more after 100,000 requests than after 1,000"] == "MISSED"
    assert said["descriptors more"] == "MISSED"
    assert said["threads more"] == "met"
    assert verdicts(results(-2.0))["MB more after 100,000 requests than after 1,000"] == "met"


def test_without_a_share_of_a_cpu_nothing_is_claimed() -> None:
    found = results(is_slow_measured=False)
    assert verdicts(found)["first token at 0.1 vCPU (HS256) / earlier version"] == "not measured"
    assert "not measured |" in "\n".join(tables(found))


@pytest.mark.parametrize(
    ("value", "verdict"), [(Ratio(0.5, 0.4, 0.9), "met"), (Ratio(0.51, 0.5, 0.52), "MISSED")]
)
def test_the_median_is_judged(value: Ratio, verdict: str) -> None:
    assert Figure("-", value, 0.5).verdict() == verdict


def test_the_machine_comes_first_then_the_ratios_with_their_spread() -> None:
    lines = tables(results())
    assert lines[0] == "A CPU, 2 cores. Six rounds."
    assert lines[2].startswith("| ours, divided by a peer's")
    assert "0.50 (0.50 to 0.50)" in lines[4]
    assert any("two equal copies" in line and "1.02 (1.02 to 1.02)" in line for line in lines)


def test_a_table_is_padded() -> None:
    assert table(("a", "long"), [("word", "b")]) == [
        "| a    | long |",
        "|------|------|",
        "| word | b    |",
    ]
