"""Tests that the rights of each bundled policy are read from its template, and that all lists of
policies agree.

A new policy is a file in policies/. If a policy is added, these tests fail. The messages of the
tests say what to write into docs/policies.md and template.yml, or how to mark the policy as not
offered.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from ops import ROOT, policies_described, serving
from ops.policies_described import LISTS, READS, WRITES, bundled, describe, names, offered

READING = {*READS, *LISTS, "image processing"}
COPYING = {"copy within", "copy from there", "copy to there"}
PAGE = "docs/policies.md"
HEADING = "| template | put, append, multipart, resume, abort | get, head | list under the prefix |"
MARK = "or begin the file with {#- not offered … -#}"


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("bucket_write_policy", {*WRITES}),
        ("bucket_read_policy", READING),
        ("bucket_read_write_policy", {*WRITES, *READING, *COPYING}),
    ],
)
def test_a_policy_is_described_by_what_its_tokens_may_do(name: str, allowed: set[str]) -> None:
    """All tools use these descriptions. Earlier, four tools and one page had separate lists of
    policies (finding Code 13)."""
    described = describe(name)
    assert described.allowed == allowed
    assert described.is_confined
    assert described.is_offered
    assert described.can_upload == ("write" in name)


def test_the_policy_for_everything_is_neither_confined_nor_offered() -> None:
    described = describe("all_policy")
    assert described.allowed >= {*WRITES, *READING, "delete"}
    assert (described.is_confined, described.is_offered) == (False, False)


def test_every_bundled_policy_can_be_judged() -> None:
    """bundled() silently leaves out a policy that the evaluator does not understand. This test
    checks that it leaves out none of our own policies."""
    assert set(bundled()) == set(names())
    assert len(names()) >= 4


def test_a_policy_that_cannot_be_judged_hides_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`make smoke` and `make import-config` must also work if operators have put files of their own
    into policies/."""
    monkeypatch.setattr(policies_described, "names", lambda: ("bucket_read_policy", "no_such"))
    assert list(bundled()) == ["bucket_read_policy"]


@pytest.mark.parametrize("name", names())
def test_what_is_offered_stays_in_the_callers_folder(name: str) -> None:
    described = describe(name)
    assert described.is_confined or not described.is_offered, (
        f"policies/{name}.json.j2 opens more than the caller's folder: {MARK.removeprefix('or ')}"
    )


def test_what_allows_most_is_named_last() -> None:
    """`make import-config` suggests the last policy in place of an unknown policy."""
    most = max(map(describe, offered()), key=lambda described: len(described.allowed))
    assert offered()[-1] == most.name == "bucket_read_write_policy"


def test_the_table_says_what_each_policy_allows() -> None:
    table = (ROOT / PAGE).read_text(encoding="utf-8").partition(f"{HEADING}\n")[2]
    assert table, f"{PAGE} has no table with the heading {HEADING}"
    rows = table.partition("\n\n")[0].splitlines()[1:]
    wanted = {described.row() for described in bundled().values()}
    assert wanted - set(rows) == set(), f"add these rows to the table of templates in {PAGE}"
    assert sorted(rows) == sorted(wanted), f"the table of templates in {PAGE} has rows of nothing"


@pytest.mark.parametrize("name", offered())
def test_the_table_has_a_column_for_all_that_a_policy_allows(name: str) -> None:
    """Image processing counts as reading, and copying counts as reading and writing."""
    more = describe(name).allowed - {*WRITES, *READING, *COPYING}
    assert not more, f"the table in {PAGE}, and Described.row, have no column for {more} of {name}"


@pytest.fixture(scope="module")
def parameters() -> dict[str, Any]:
    """The parameters of template.yml."""
    template = yaml.safe_load((ROOT / "template.yml").read_text(encoding="utf-8"))
    found: dict[str, Any] = template["Parameters"]
    return found


def test_the_template_offers_the_policies_that_are_to_be_offered(
    parameters: dict[str, Any],
) -> None:
    allowed = set(parameters["PolicyFile"]["AllowedValues"])
    missing, wrong = set(offered()) - allowed, allowed - set(offered())
    assert not missing, f"add to AllowedValues of PolicyFile in template.yml: {missing}; {MARK}"
    assert not wrong, f"AllowedValues of PolicyFile in template.yml has no such policy: {wrong}"
    assert len(allowed) == len(parameters["PolicyFile"]["AllowedValues"])


def test_the_template_lets_callers_choose_among_the_same(parameters: dict[str, Any]) -> None:
    pattern = parameters["PolicyChoices"]["AllowedPattern"]
    for name in names():
        takes = bool(re.search(pattern, name))
        assert takes == (name in offered()), (
            f"AllowedPattern of PolicyChoices in template.yml must take {', '.join(offered())} "
            f"and no other; {name} is wrong; {MARK}"
        )
    assert re.search(pattern, ",".join(offered()))
    for wrong in ("all_policy", f"{offered()[0]},all_policy", "no_such_policy", ","):
        assert not re.search(pattern, wrong), wrong


def test_a_build_is_served_once_with_every_policy() -> None:
    chosen = serving.ENVIRONMENT["POLICY_CHOICES"].split(",")
    assert sorted(chosen) == sorted(names())
