"""Tests that docs/runbook.md has a row for each line that `make smoke` and `make doctor` print, and
has no other rows. Also tests that the steps of docs/incident.md have the effects that the page
describes."""

from __future__ import annotations

import json
import re
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import oss2
import pytest

from documented_code import DOCS
from ops.doctor.checks import examine
from ops.report import Check, failed, passed, pointer
from running_cloud import RunningCloud, Token, running_cloud
from running_function import running_function
from smoke_test import smoke
from token_service.app import App
from token_service.http.messages import Request
from token_service.settings.variables import VARIABLES

RUNBOOK = (DOCS / "runbook.md").read_text("utf-8")
CHINESE = (DOCS / "zh" / "runbook.md").read_text("utf-8")
INCIDENT = (DOCS / "incident.md").read_text("utf-8")
ONLY_IF_NOTHING_ANSWERS = "all else"


def rows(command: str, text: str = RUNBOOK) -> list[str]:
    """docs/runbook.md has a table for each command, with a row for each line that the command
    prints. Return the names of these lines, in the order of the table."""
    section = text.partition(f"\n## make {command}\n")[2].partition("\n## ")[0]
    table = section.partition("|---|---|---|\n")[2].partition("\n\n")[0]
    cells = [re.split(r" \| ", row.strip("| \n")) for row in table.splitlines()]
    assert all(len(row) == 3 and all(row) for row in cells), cells
    return [row[0].strip("`") for row in cells]


def test_the_runbook_has_each_line_of_smoke_in_its_order(tmp_path: Path) -> None:
    with running_function(tmp_path) as running:
        whole = smoke(running.url, UPLOAD="1", ACL="1", ORIGIN="https://app.example.com")
    nothing = smoke("http://127.0.0.1:9", UPLOAD="1")
    assert set(nothing.lines) - set(whole.lines) == {ONLY_IF_NOTHING_ANSWERS}
    found = rows("smoke")
    assert [name for name in found if name != ONLY_IF_NOTHING_ANSWERS] == list(whole.lines)
    assert found.index(ONLY_IF_NOTHING_ANSWERS) == found.index("connection") + 1


def test_the_runbook_has_each_line_of_doctor_in_its_order(tmp_path: Path) -> None:
    assert rows("doctor") == [check.name for check in examine({"PATH": "/nowhere"}, tmp_path)]


@pytest.mark.parametrize("command", ["smoke", "doctor"])
def test_the_chinese_runbook_has_the_same_lines(command: str) -> None:
    assert rows(command, CHINESE) == rows(command)


@pytest.mark.parametrize("command", ["smoke", "doctor"])
def test_what_failed_leads_to_the_tables(command: str) -> None:
    wrong, right = Check("token", failed("NoPermission: no")), Check("token", passed())
    assert pointer([right], command) == ""
    said = pointer([right, wrong], command)
    assert f"docs/runbook.md#make-{command} " in said
    assert f"\n## make {command}\n" in RUNBOOK
    assert said.endswith(" docs/errors.md each code")


def test_what_the_runbook_and_the_incident_page_set_are_variables() -> None:
    ours = {variable.name for variable in VARIABLES}
    named = set(re.findall(r"`([A-Z]+_[A-Z_]*[A-Z])(?:=[^`]*)?`", RUNBOOK + INCIDENT))
    assert named >= {"DENIED_CALLERS", "LOGINS_NOT_BEFORE"}
    assert named - ours == {"MAX_INSTANCES"}


def asked(cloud: RunningCloud, login: str, **changes: str) -> dict[str, Any]:
    """Send a login to a function whose variables have these changes. Return the answer."""
    request = Request("GET", "/", {"access_token": login}, {}, b"")
    with closing(App({**cloud.env, **changes})) as app:
        answer: dict[str, Any] = json.loads(app.respond(lambda: request).body)
    return answer


def test_the_variables_of_the_incident_page_do_what_it_says(tmp_path: Path) -> None:
    with running_cloud(tmp_path, AUTH="jwt", JWT_SECRET="old" * 12) as cloud:
        mallory, alice = cloud.login("mallory"), cloud.login("alice")
        token = Token.of(asked(cloud, mallory))
        assert asked(cloud, mallory, DENIED_CALLERS="mallory")["ErrorCode"] == "CallerDenied"
        assert asked(cloud, alice, DENIED_CALLERS="mallory")["StatusCode"] == 200
        # The page says: "It works until its Expiration."
        token.oss2("v4").put_object(f"{token.prefix}a", b"x")
        assert asked(cloud, alice, JWT_SECRET="new" * 12)["ErrorCode"] == "InvalidToken"
        soon = str(int(time.time()) + 1)
        while time.time() < int(soon) + 1:
            time.sleep(0.1)
        assert asked(cloud, alice, LOGINS_NOT_BEFORE=soon)["ErrorCode"] == "ExpiredToken"
        # The page says: "detach every policy from the upload role"
        identities, account = cloud.cloud.identities, "acs:ram::1234567890123456"
        identities.attach(cloud.env["ROLE_ARN"])
        with pytest.raises(oss2.exceptions.AccessDenied):
            token.oss2("v4").put_object(f"{token.prefix}b", b"x")
        identities.attach(f"{account}:user/token-function")
        assert asked(cloud, alice)["ErrorCode"] == "NoPermission"


def test_after_both_roles_are_detached_smoke_fails_where_the_page_says(tmp_path: Path) -> None:
    with running_function(tmp_path) as running:
        cloud = running.cloud
        assert not smoke(running.url, UPLOAD="1").failed
        identities = cloud.cloud.identities
        identities.attach("acs:ram::1234567890123456:user/token-function")
        identities.attach(cloud.env["ROLE_ARN"])
        assert smoke(running.url, UPLOAD="1").failed & {"token", "upload"}
