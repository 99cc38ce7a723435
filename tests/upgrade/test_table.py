"""The comparison with b291437 finds faults that are made on purpose: a difference without a row,
and a row without a difference."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest

from ops import ROOT
from tests.upgrade import golden, inputs
from tests.upgrade.normalised import normalised
from tests.upgrade.table import (
    Difference,
    differences,
    event_differences,
    problems,
    read_rows,
    require_rows,
)
from tests.upgrade.today import settings_of

Event = dict[str, Any]

HEAD = """
## Unreleased

| id | what changed | how it shows | what keeps the old behaviour |
|---|---|---|---|
"""


def table(*ids: str) -> str:
    """Return a page like docs/upgrade.md, whose table has one row for each of these first cells."""
    return HEAD + "".join(f"| {cell} | a | b | c |\n" for cell in ids)


def judged(kinds: list[str], found: list[Difference], *ids: str) -> list[str]:
    return problems(kinds, found, read_rows(table(*ids)))


# Faults that the check reports: a difference that has no row, and a row that has no difference

SEEN = [Difference("setting:AUTH", "minimal", 'was "jwt", is "none"')]


def test_a_difference_with_a_row_is_no_problem() -> None:
    assert judged(["setting"], SEEN, "`setting:AUTH`") == []
    assert judged(["setting"], SEEN, "`setting:AUTH`, `s.yaml:props.timeout`") == []


def test_a_difference_without_a_row_is_named_with_what_it_is_and_where() -> None:
    (problem,) = judged(["setting"], SEEN)
    assert problem == 'no row for `setting:AUTH` (minimal): was "jwt", is "none"'
    # Only a row with exactly the same id counts.
    for other in ("`setting:AUTHS`", "`setting:auth`", "`template:AUTH`", "`other:AUTH`"):
        assert problem in judged(["setting"], SEEN, other)


def test_all_that_is_wrong_is_said_at_once() -> None:
    rows = read_rows(table("`setting:JWT_ISSUER`"))
    with pytest.raises(AssertionError) as caught:
        require_rows(["setting"], SEEN, rows)
    assert [line.split("`")[1] for line in str(caught.value).splitlines()[1:]] == [
        "setting:AUTH",
        "setting:JWT_ISSUER",
    ]
    require_rows(["setting"], SEEN, read_rows(table("`setting:AUTH`")))


def test_a_difference_that_is_seen_often_is_one_problem() -> None:
    assert len(judged(["setting"], SEEN * 3)) == 1


def test_a_row_whose_difference_is_gone_is_named() -> None:
    rows = ("`setting:AUTH`, `setting:JWT_ISSUER`",)
    assert judged(["setting"], SEEN, *rows) == [
        "the row `setting:JWT_ISSUER` no longer has a difference"
    ]


def test_a_row_of_another_kind_is_judged_elsewhere() -> None:
    assert judged(["setting"], SEEN, "`setting:AUTH`", "`template:Rules`", "`other:time`") == []


def test_a_star_stands_for_a_route_and_for_nothing_else() -> None:
    found = [Difference("answer:/form:Scope.Cname", "full", "")]
    assert judged(["answer"], found, "`answer:*:Scope.Cname`") == []
    assert len(judged(["answer"], found, "`answer:*:Scope`")) == 2
    assert len(judged(["answer"], found, "`answer:/form:*`")) == 2
    assert len(judged(["setting"], SEEN, "`setting:*`")) == 2
    assert judged(["sts"], [Difference("sts:/signed-url", "full", "")], "`sts:*`") == []


def test_a_star_that_matches_no_route_any_more_is_named() -> None:
    assert judged(["log"], [], "`log:*:version`") == [
        "the row `log:*:version` no longer has a difference"
    ]


# What is a row


def test_the_document_has_a_table_for_the_next_version() -> None:
    text = (ROOT / "docs" / "upgrade.md").read_text(encoding="utf-8")
    assert HEAD in text


def test_a_table_without_rows_is_none() -> None:
    assert read_rows(table()) == []


def test_other_tables_and_texts_are_left_alone() -> None:
    text = (
        "| a | b |\n|---|---|\n| `x` | y |\n\nwords\n" + table("`setting:AUTH`") + "\n| `z` | y |\n"
    )
    (row,) = read_rows(text)
    assert row.ids == ("setting:AUTH",)


def test_rows_of_several_versions_are_read() -> None:
    rows = read_rows(table("`setting:A`") + table("`setting:B`<br>`setting:C`"))
    assert [row.ids for row in rows] == [("setting:A",), ("setting:B", "setting:C")]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (HEAD + "| `setting:A` | a | b |\n", "must have 4 cells"),
        (HEAD + "| `setting:A` | a | | c |\n", "no empty cell"),
        (table("setting:A"), "ids in backticks"),
        (table("`setting:A` and others"), "ids in backticks"),
        (table("`settings:A`"), "kinds are"),
        (table("`A`"), "must be <kind>:<what>"),
        (table("`setting:A`", "`setting:A`"), "has a row already"),
    ],
)
def test_a_malformed_row_is_refused_by_its_line(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=rf"line \d+: .*{fault}"):
        read_rows(text)


def test_a_bar_may_stand_in_a_cell() -> None:
    assert len(read_rows(HEAD + "| `setting:A` | a \\| b | b | c |\n")) == 1


# What is a difference


@pytest.mark.parametrize(
    ("old", "new", "ids"),
    [
        ({"a": 1}, {"a": 1}, set()),
        ({"a": 1}, {"a": 2}, {"x:a"}),
        # 1 and true differ in JSON, but are equal in Python.
        ({"a": 1}, {"a": True}, {"x:a"}),
        ({"a": 1}, {"a": 1.0}, {"x:a"}),
        ({"a": 1}, {"a": "1"}, {"x:a"}),
        ({"a": None}, {}, {"x:a"}),
        ({}, {"a": ""}, {"x:a"}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3, "d": 4}}, {"x:a.c", "x:a.d"}),
        ({"a": {"b": 1}}, {"a": "b"}, {"x:a"}),
        ({"a": [1, 2]}, {"a": [2, 1]}, {"x:a"}),
        ({"a": [{"b": 1}, {"c": 1}]}, {"a": [{"b": 1}, {"c": 2}]}, {"x:a.1.c"}),
        ({"a": [{"b": 1}]}, {"a": [{"b": 1}, {"b": 1}]}, {"x:a"}),
        ("whole", "another", {"x"}),
    ],
)
def test_every_member_that_differs_is_named(old: object, new: object, ids: set[str]) -> None:
    assert {found.id for found in differences("x", "", old, new)} == ids


# Functions that change the results of b291437. The comparison must find each change.


def another_default(env: dict[str, str]) -> None:
    env["TOKEN_EXPIRE_TIME"] = "1000"


def a_forgotten_variable(env: dict[str, str]) -> None:
    del env["UPLOAD_HOOK_URL"]


def another_default_region(env: dict[str, str]) -> None:
    # This endpoint belongs to no region. The function refuses an endpoint of another region.
    env.update(OSS_REGION="cn-beijing", OSS_INTERNAL_ENDPOINT="oss-accelerate.aliyuncs.com")


SETTINGS: dict[Callable[[dict[str, str]], None], set[str]] = {
    another_default: {"TOKEN_EXPIRE_TIME"},
    a_forgotten_variable: {"UPLOAD_HOOK_URL", "UPLOAD_HOOK_SECRET"},
    another_default_region: {"OSS_REGION", "OSS_INTERNAL_ENDPOINT"},
}


@pytest.mark.parametrize("plant", SETTINGS)
def test_a_planted_setting_is_found(plant: Callable[[dict[str, str]], None]) -> None:
    env = inputs.environment("full")
    old = settings_of(env)
    plant(env)
    found = {difference.id for difference in differences("setting", "full", old, settings_of(env))}
    assert found == {f"setting:{name}" for name in SETTINGS[plant]}


def a_member_more(event: Event) -> None:
    event["answer"]["Scope"]["Cname"] = False


def a_member_less(event: Event) -> None:
    del event["answer"]["LastUpdated"]


def another_header(event: Event) -> None:
    event["answer"]["http"]["headers"]["Cache-Control"] = "no-cache"


def another_http_status(event: Event) -> None:
    event["answer"]["http"]["status"] = 500


def another_outcome(event: Event) -> None:
    # If the outcome changes, the report names only the new status and error code. All other
    # differences result from the new outcome, so the report leaves them out.
    event["answer"] = {"http": {"status": 200}, "StatusCode": 429, "ErrorCode": "Throttling.Caller"}
    event["log"] = {}
    del event["sts"]


def another_answer_of_wsgi_only(event: Event) -> None:
    event["wsgi"]["Code"] = "OK"


def a_log_field_more(event: Event) -> None:
    event["log"]["version"] = "1.1.0"


def a_log_field_less(event: Event) -> None:
    del event["log"]["stsMs"]


def a_log_field_of_another_type(event: Event) -> None:
    event["log"]["status"] = "200"


def two_log_lines(event: Event) -> None:
    event["log"] = [event["log"], event["log"]]


def another_session_name(event: Event) -> None:
    event["sts"]["RoleSessionName"] = "app-alice"


def a_wider_policy(event: Event) -> None:
    event["sts"]["Policy"]["Statement"][0]["Action"].append("oss:GetObject")


def a_call_of_oss(event: Event) -> None:
    event["oss"] = "HEAD /my-bucket/"


EVENTS: dict[Callable[[Event], None], str] = {
    a_member_more: "answer:/:Scope.Cname",
    a_member_less: "answer:/:LastUpdated",
    another_header: "answer:/:http.headers.Cache-Control",
    another_http_status: "answer:/:http.status",
    another_outcome: "answer:/:StatusCode:200->429",
    another_answer_of_wsgi_only: "answer:/:Code",
    a_log_field_more: "log:/:version",
    a_log_field_less: "log:/:stsMs",
    a_log_field_of_another_type: "log:/:status",
    two_log_lines: "log:/",
    another_session_name: "sts:/:RoleSessionName",
    a_wider_policy: "sts:/:Policy.Statement.0.Action",
    a_call_of_oss: "oss:/",
}


@pytest.mark.parametrize("plant", EVENTS)
def test_a_planted_difference_of_an_event_is_found(plant: Callable[[Event], None]) -> None:
    old = golden.read(golden.ANSWERS / "minimal.json")["a token"]
    new = copy.deepcopy({**old, "wsgi": old["answer"]})
    assert event_differences("/", "minimal", old, new) == []
    plant(new)
    assert {found.id for found in event_differences("/", "minimal", old, new)} == {EVENTS[plant]}


def test_another_error_code_is_one_difference() -> None:
    old = golden.read(golden.ANSWERS / "minimal.json")["no login"]
    new = copy.deepcopy({**old, "wsgi": old["answer"]})
    for handler in ("answer", "wsgi"):
        new[handler].update(ErrorCode="NoLogin", ErrorMessage="Who are you?")
    (found,) = event_differences("/", "minimal", old, new)
    assert found.id == "answer:/:ErrorCode:MissingToken->NoLogin"


# Which values are replaced, and which are not

NOW = 1795511728.0  # 2026-11-24T09:15:28Z


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"Expiration": "2026-11-24T09:30:28Z"}, {"Expiration": "<now + 900 s>"}),
        ({"Expiration": "2026-11-24T09:30:33.000Z"}, {"Expiration": "<now + 900 s>"}),
        # Another lifetime shows as a difference.
        ({"Expiration": "2026-11-24T09:31:28Z"}, {"Expiration": "<now + 960 s>"}),
        ({"Expiration": "2036-01-01T00:00:00Z"}, {"Expiration": "2036-01-01T00:00:00Z"}),
        ({"x-oss-date": "20261124T091528Z"}, {"x-oss-date": "<now>"}),
        (
            {"x-oss-credential": "KEY/20261124/cn-hangzhou/oss/aliyun_v4_request"},
            {"x-oss-credential": "KEY/<today>/cn-hangzhou/oss/aliyun_v4_request"},
        ),
        ({"x-oss-signature": "0f" * 32}, {"x-oss-signature": "<signature>"}),
        # Only a signature in hexadecimal digits is replaced. Any other text is a difference.
        ({"x-oss-signature": "abc="}, {"x-oss-signature": "abc="}),
        # The id of an upload is the same in every run, so it is not replaced.
        ({"Id": "0f" * 32}, {"Id": "0f" * 32}),
        ({"policy": "eyJhIjoiYiJ9"}, {"policy": {"base64": {"a": "b"}}}),
        ({"policy": "eyJ-no-base64"}, {"policy": "eyJ-no-base64"}),
        (
            {"Url": "https://a/b?c=d%2Fe"},
            {"Url": {"address": "https://a/b", "query": {"c": "d/e"}}},
        ),
        ({"Url": "https://a/"}, {"Url": "https://a/"}),
        ({"a": [1, None, True, "b"]}, {"a": [1, None, True, "b"]}),
    ],
)
def test_times_and_signatures_are_put_out_of_sight_and_nothing_else(
    value: object, shown: object
) -> None:
    assert normalised(value, NOW) == shown


def test_of_a_seal_its_content_is_shown_and_its_end_from_now() -> None:
    sealed = "1.WyJhbGljZSIsImIiLCJ1LyIsdHJ1ZSwxNzk1NTE2MjI4XQ." + "A" * 43
    shown = '<seal of ["alice", "b", "u/", true, "<now + 4500 s>"]>'
    assert normalised({"x:seal": sealed, "body": f"a=b&seal={sealed}"}, NOW) == {
        "x:seal": shown,
        "body": f"a=b&seal={shown}",
    }


# The changelog


def not_named(changelog: str, upgrade: str) -> list[str]:
    """The faults of the lists under the heading "Upgrade": ids that are missing, ids that are
    listed twice, and ids without a row in docs/upgrade.md."""
    lists = re.findall(r"^### Upgrade\n(.*?)(?=^##|\Z)", changelog, re.MULTILINE | re.DOTALL)
    named = [one.replace("\n  ", " ") for one in re.findall("`([^`]+:[^`]+)`", "".join(lists))]
    rows = [row.ids[0] for row in read_rows(upgrade)]
    return [
        *(f"{one} is not named under Upgrade in CHANGELOG.md" for one in rows if one not in named),
        *(f"{one} is named {named.count(one)} times" for one in rows if named.count(one) > 1),
        *(f"{one} is not the first id of a row" for one in named if one not in rows),
    ]


def test_the_changelog_names_every_row() -> None:
    documents = [ROOT / "CHANGELOG.md", ROOT / "docs" / "upgrade.md"]
    assert not_named(*(path.read_text(encoding="utf-8") for path in documents)) == []


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ("- A: `other:a`,\n  `other:b`.", []),
        ("- A: `other:a`.", ["other:b is not named under Upgrade in CHANGELOG.md"]),
        ("- A: `other:a`, `other:b`.\n- B: `other:b`.", ["other:b is named 2 times"]),
        ("- A: `other:a`, `other:b`, `other:c`.", ["other:c is not the first id of a row"]),
    ],
    ids=["each", "one lacks", "one twice", "one too many"],
)
def test_a_row_that_the_changelog_does_not_name_once_is_found(listed: str, said: list[str]) -> None:
    changelog = (
        f"## [Unreleased]\n\n### Added\n\n- `other:d`\n\n### Upgrade\n\n{listed}\n\n## [1.0.0]\n"
    )
    assert not_named(changelog, table("`other:a`", "`other:b`, `other:c`")) == said
