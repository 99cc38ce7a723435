"""Each query of docs/monitoring.md finds the log lines that the page describes. In these tests, the
function itself writes the lines."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import oss2
import pytest
import yaml

import documented_code
from log_queries import Row, ask, search
from ops import ROOT, errors_page
from running_cloud import RunningCloud, Token, running_cloud
from scripted_sts import ScriptedSts, answer, reset, scripted_sts
from token_service.app import App
from token_service.http import fc_event

PAGE = documented_code.DOCS / "monitoring.md"
TEXT = PAGE.read_text(encoding="utf-8")
QUERIES = [block.strip() for block in documented_code.blocks("sls", PAGE)]
CHINESE = "日本.txt"
ID = "1-6740c5a0-1b2c3d4e-5f6071829304"

# Log rows that the platform writes itself, in the same log as our lines. They were seen in public
# logs of other people, and in the vendor's documentation.
PLATFORM: list[Row] = [
    {"message": f"FC Invoke Start RequestId: {ID}", "__topic__": "FCLogs:sts-token"},
    {"message": f"FC Invoke End RequestId: {ID}", "__topic__": "FCLogs:sts-token"},
    {
        "functionName": "sts-token",
        "hasFunctionError": "false",
        "requestURI": "/callback",
        "statusCode": "200",
        "durationMs": "503.12",
        "__topic__": "FCRequestMetrics:/sts-token",
    },
]


@pytest.fixture(scope="module")
def rows(
    tmp_path_factory: pytest.TempPathFactory, session_log: list[logging.LogRecord]
) -> list[Row]:
    """The rows of the log store after a day with all kinds of requests."""
    with (
        scripted_sts(answer(200, {})) as hook,
        running_cloud(tmp_path_factory.mktemp("cloud"), AUTH="jwt", JWT_SECRET="j" * 32) as cloud,
    ):
        cloud.env.update(
            CALLBACK_URL=f"{cloud.url}/callback",
            CALLBACK_SECRET="s" * 32,
            UPLOAD_HOOK_URL=f"{hook.url}/uploaded",
            UPLOAD_HOOK_SECRET="h" * 32,
        )
        _a_day(cloud, hook)
    return [*PLATFORM, *(_delivered(record) for record in session_log)]


@pytest.fixture(scope="module")
def session_log() -> Iterator[list[logging.LogRecord]]:
    """The records that the function logs while the fixtures of this module run."""
    kept: list[logging.LogRecord] = []

    def keep(record: logging.LogRecord) -> bool:
        kept.append(record)
        return True

    log = logging.getLogger("sts_token")
    before = log.level
    log.setLevel(logging.INFO)
    log.addFilter(keep)
    yield kept
    log.removeFilter(keep)
    log.setLevel(before)


def _a_day(cloud: RunningCloud, hook: ScriptedSts) -> None:
    def ask_as(user: str, path: str = "/", **wishes: str) -> dict[str, Any]:
        return cloud.answer(path=path, access_token=cloud.login(user), **wishes)

    def upload(user: str, name: str) -> None:
        token = ask_as(user)
        scope = token["Scope"]
        headers = {"x-oss-callback": scope["Callback"], "x-oss-callback-var": scope["CallbackVar"]}
        Token.of(token).oss2("v4").put_object(scope["Prefix"] + name, b"Hello", headers)

    for name in ("hello.txt", CHINESE):
        upload("alice", name)
    upload("bob", "hello.txt")
    # The function refuses these wishes.
    for duration in ("899", "901", "1000000"):
        assert ask_as("alice", duration=duration)["StatusCode"] == 400
    assert ask_as("bob", policy="all_policy")["StatusCode"] == 400
    assert ask_as("bob", "/signed-url", object="../x")["StatusCode"] == 400
    # These requests have no caller.
    assert cloud.answer()["ErrorCode"] == "MissingToken"
    assert cloud.answer(access_token="x.y.z")["ErrorCode"] == "InvalidToken"
    assert cloud.answer(path="/nowhere")["StatusCode"] == 404
    cloud.answer("POST", "/callback")
    cloud.answer(path="/health")
    # The operator's webhook fails. The object is stored, but the upload is not confirmed.
    hook.moves[:] = [reset] * 4
    upload("bob", "unheard.txt")
    # DENIED_CALLERS refuses this caller.
    _respond({**cloud.env, "DENIED_CALLERS": "carol"}, cloud.login("carol"))
    # Faults of the network and of the cloud.
    for moves, code in (
        ([reset] * 4, "StsUnreachable"),
        ([answer(429, {"RequestId": "R", "Code": "Throttling.User", "Message": "m"})] * 4, "Thr"),
        ([answer(403, {"RequestId": "R", "Code": "NoPermission", "Message": "m"})] * 4, "NoPer"),
    ):
        with scripted_sts(*moves) as sts:
            failed = _respond({**cloud.env, "STS_ENDPOINT": sts.url}, cloud.login("carol"))
        assert code in failed


def _respond(env: dict[str, str], login: str) -> str:
    """Return the body of the answer to a request with this login. The function has this
    environment."""
    event = json.loads((ROOT / "tests" / "events" / "get_token.json").read_text())
    event["queryParameters"] = {"access_token": login}
    app = App(env)
    answered = app.respond(lambda: fc_event.read(json.dumps(event).encode()))
    app.close()
    return answered.body


def _delivered(record: logging.LogRecord) -> Row:
    """A row of the log store. The built-in runtime puts the time, the request id and the level
    before each line."""
    text = f"2026-11-28T10:15:11.123Z {ID} [{record.levelname}] {record.getMessage()}"
    return {
        "message": text,
        "functionName": "sts-token",
        "qualifier": "LATEST",
        "__topic__": "FCLogs:sts-token",
    }


def lines(rows: list[Row]) -> list[dict[str, Any]]:
    """Return the rows that hold the line of a request, each parsed from JSON."""
    return [
        json.loads(row["message"].partition("] ")[2])
        for row in rows
        if row.get("message", "").endswith("}")
    ]


Line = dict[str, Any]
SEARCHES: dict[str, Callable[[Line], bool]] = {
    "alice and error": lambda line: line.get("caller") == "alice" and "error" in line,
    f'"{ID}"': lambda line: line.get("requestId") == ID,
    "MissingToken or InvalidToken or ExpiredToken": lambda line: line["status"] == 401,
    'callback and "uploads/alice/hello.txt"': (
        lambda line: line.get("upload", {}).get("Object") == "uploads/alice/hello.txt"
    ),
    "error": lambda line: line["status"] != 200,
    "error and (500 or 502 or 503 or 504)": lambda line: line["status"] >= 500,
    "(InvalidToken or ExpiredToken) and error": lambda line: line.get("error") == "InvalidToken",
    'callback and error not "no such path"': lambda line: (
        line.get("route") == "/callback" and "error" in line
    ),
    "CallerDenied and error": lambda line: line.get("error") == "CallerDenied",
    "NoPermission and error": lambda line: line.get("error") == "NoPermission",
    "Throttling* and error": lambda line: line.get("error", "").startswith("Throttling."),
}
"""For each query: a function that returns whether the query has to find a line. The query must find
no other lines."""
OF_OTHER_PAGES = {"CallerDenied and error"}
"""The queries of docs/incident.md."""


@pytest.mark.parametrize("query", SEARCHES)
def test_a_search_finds_the_lines_that_the_page_says(query: str, rows: list[Row]) -> None:
    assert query in {*QUERIES, *OF_OTHER_PAGES}
    found = search(query, rows)
    if query == f'"{ID}"':
        # The id is before each line, so the search finds all lines of the request.
        assert {row["message"][:3] for row in found} == {"FC ", "202"}
        return
    wanted = [line for line in lines(rows) if SEARCHES[query](line)]
    assert 0 < len(wanted) < len(lines(rows))
    assert lines(found) == wanted
    # The search finds only lines that are JSON, and no rows of the platform.
    assert len(found) == len(wanted)


def test_the_query_that_errors_md_has_for_a_code_finds_its_lines_and_no_others(
    rows: list[Row],
) -> None:
    texts = errors_page.load()
    seen = {line["error"] for line in lines(rows) if "error" in line}
    met = {code.partition(".")[0] if code not in texts else code for code in seen}
    assert len(met) > 8
    for code in met:
        assert texts[code]["log"] == "function", code
        found = lines(search(errors_page.query(code), rows))
        wanted = [
            line
            for line in lines(rows)
            if line.get("error") == code or line.get("error", "").startswith(f"{code}.")
        ]
        assert found == wanted, code


def test_each_query_of_errors_md_is_one_that_the_service_reads() -> None:
    for code in errors_page.load():
        line = {"message": json.dumps({"status": 500, "error": code})}
        assert search(errors_page.query(code), [line]) == [line]


def test_the_line_for_people_names_the_page_that_explains_the_code(rows: list[Row]) -> None:
    said = [row["message"] for row in rows if "StsUnreachable: " in row.get("message", "")]
    assert said
    assert all(message.endswith(" (docs/errors.md)") for message in said)


def analysis(start: str) -> str:
    (found,) = (query for query in QUERIES if query.startswith(start))
    return found


def test_who_uploaded_an_object_is_found_whatever_its_name(rows: list[Row]) -> None:
    assert ask(analysis("callback | SELECT"), rows) == [
        {"caller": "alice", "size": "5", "etag": oss2.utils.md5_string(b"Hello").upper()}
    ]


def test_what_was_refused_is_counted_by_reason(rows: list[Row]) -> None:
    found = ask(analysis("error | SELECT"), rows)
    counted = Counter(
        (str(line["status"]), line["error"], line.get("reason"))
        for line in lines(rows)
        if "error" in line
    )
    assert {(r["status"], r["error"], r["reason"]): r["requests"] for r in found} == counted
    assert [row["requests"] for row in found] == sorted(counted.values(), reverse=True)
    assert next(row["reason"] for row in found if row["requests"] == 3).startswith("duration")


def test_who_asks_most_is_counted(rows: list[Row]) -> None:
    found = ask(analysis("caller | SELECT"), rows)
    asked = Counter(line["caller"] for line in lines(rows) if "caller" in line)
    failed = Counter(line["caller"] for line in lines(rows) if {"caller", "error"} <= line.keys())
    assert {row["caller"]: (row["requests"], row["failed"]) for row in found} == {
        caller: (asked[caller], failed[caller]) for caller in asked
    }


def test_how_long_sts_takes_is_of_the_calls_that_were_made(rows: list[Row]) -> None:
    (found,) = ask(analysis("miss | SELECT"), rows)
    times = [line["stsMs"] for line in lines(rows) if line.get("cache") == "miss"]
    assert found == {"calls": len(times), "p95_ms": sorted(times)[-1]}


def test_each_query_of_another_page_is_one_of_those() -> None:
    others = {
        page.name: [block.strip() for block in documented_code.blocks("sls", page)]
        for page in documented_code.DOCS.rglob("*.md")
        if page != PAGE
    }
    assert others["incident.md"]
    for name, queries in others.items():
        assert set(queries) <= {*QUERIES, *SEARCHES}, name


def test_no_query_of_the_page_is_left_out() -> None:
    analyses = {query for query in QUERIES if "|" in query}
    assert len(analyses) == 4
    assert set(QUERIES) - analyses == SEARCHES.keys() - OF_OTHER_PAGES


def test_the_table_names_the_members_of_a_line_and_no_others(rows: list[Row]) -> None:
    table = TEXT.partition("| member | what it says |\n|---|---|\n")[2].partition("\n\n")[0]
    named = {name for row in table.splitlines() for name in _names(row.split("|")[1])}
    assert named == {name for line in lines(rows) for name in line}


def _names(cell: str) -> list[str]:
    return [part.strip("` ") for part in cell.split(",")]


def test_the_stack_makes_the_indexes_that_the_queries_need() -> None:
    template = yaml.safe_load((ROOT / "template.yml").read_text(encoding="utf-8"))
    index = template["Resources"]["LogIndex"]["Properties"]
    assert index["FullTextIndex"] == {"Enable": True}
    assert index["KeyIndices"] == [{"Name": "message", "Type": "text", "EnableAnalytics": True}]


def test_a_caller_cannot_hide_in_another_ones_results(rows: list[Row]) -> None:
    """A search for alice compares whole words, so it must not find alice-2, who is another user."""
    row = {"message": '{"route":"/","status":400,"error":"NotAllowed","caller":"alice-2"}'}
    assert row not in search("alice and error", [*rows, row])


@pytest.mark.parametrize(
    "query", ["", "alice error", "not error", "(alice", "alice)", "error and", "a:b", "and error"]
)
def test_a_query_that_the_service_would_read_otherwise_is_no_query(query: str) -> None:
    with pytest.raises(SyntaxError):
        search(query, [])


def test_the_page_is_found_from_deploy() -> None:
    assert "](monitoring.md)" in Path(PAGE.with_name("deploy.md")).read_text(encoding="utf-8")
