"""Tests that deployments of commit b291437 also start with the current code, and that
docs/upgrade.md lists all changes.

b291437/ has the inputs of these deployments (s.yaml, .env files, a stack's parameters, requests),
and the results of b291437's code. golden.py says how these golden files were made, and how to add
one. docs/upgrade.md says in "How the table is checked" how to write a row.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ops import ROOT
from tests.upgrade import deployed, golden, inputs, serverless
from tests.upgrade.inputs import OLD
from tests.upgrade.table import (
    ROUTED,
    Difference,
    Row,
    differences,
    event_differences,
    require_rows,
)
from tests.upgrade.today import settings_of

SOUND = [name for name in inputs.NAMES if name != golden.REFUSED]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What we see of each deployment: its entry points, the result of its check, and its answers to
    events. Several deployments start at once, because starting is slow."""
    code = deployed.laid_out(tmp_path_factory.mktemp("function") / "code")
    with ThreadPoolExecutor(max_workers=4) as pool:
        found = pool.map(lambda name: deployed.observed(name, code), inputs.NAMES)
        return dict(zip(inputs.NAMES, found, strict=True))


@pytest.mark.parametrize("name", SOUND)
def test_a_deployment_starts(shown: dict[str, Any], name: str) -> None:
    assert shown[name]["check"] is None
    health = shown[name]["events"]["health"]["answer"]
    assert (health["http"]["status"], health["StatusCode"]) == (200, 200)


def settings_differences() -> list[Difference]:
    """The differences between each deployment's settings today and at b291437. The settings are
    compared twice: with the deployment's old files, and with the new s.yaml or template.yml."""
    found: list[Difference] = []
    for name, old in golden.read(golden.SETTINGS).items():
        for folder in (OLD, ROOT):
            new = settings_of(inputs.environment(name, folder))
            where = f"{name}, with the {'old' if folder == OLD else 'new'} files"
            found += differences("setting", where, old, new)
    return found


def test_every_setting_that_differs_has_a_row_and_every_row_its_difference(
    rows: list[Row],
) -> None:
    require_rows(["setting"], settings_differences(), rows)


def test_every_answer_that_differs_has_a_row_and_every_row_its_difference(
    shown: dict[str, Any], rows: list[Row]
) -> None:
    """The test compares answers, log lines, and the requests to STS, OSS and the back end."""
    found: list[Difference] = []
    for name in inputs.NAMES:
        then = golden.read(golden.ANSWERS / f"{name}.json")
        for event in inputs.events(name):
            where = f"{name}, {event['name']}"
            old, new = then[event["name"]], shown[name]["events"][event["name"]]
            found += event_differences(inputs.route(event), where, old, new)
    require_rows(ROUTED, found, rows)


def test_every_entry_point_that_differs_has_a_row_and_every_row_its_difference(
    shown: dict[str, Any], rows: list[Row]
) -> None:
    then = golden.read(golden.ENTRY_POINTS)
    found = differences("entry", "any", then, shown["minimal"]["entry_points"])
    require_rows(["entry"], found, rows)


# Whether the inputs cover everything


def test_every_variable_that_b291437_documents_is_set_somewhere() -> None:
    documented = set((OLD / "variables.txt").read_text(encoding="utf-8").split())
    assert len(documented) > 30
    known = [*inputs.DOTENV, *inputs.BY_HAND]
    given = {variable for name in known for variable in inputs.dotenv_of(name)}
    platforms = {name for name in documented if name.startswith("ALIBABA_CLOUD_")}
    assert documented - platforms <= given


def test_the_full_environment_leaves_no_default() -> None:
    text = (OLD / "s.yaml").read_text(encoding="utf-8")
    plain, full = (
        serverless.function_variables(serverless.rendered(text, variables))
        for variables in ({}, inputs.dotenv_of("full"))
    )
    same = {name for name, value in plain.items() if full[name] == value}
    # JWT_SECRET is set, so the two variables of key sets must not be set. AUTH keeps its default,
    # jwt, so that the function reads the variables of jwt.
    assert same == {"JWT_JWKS_FILE", "JWT_JWKS_URL", "AUTH"}


def test_every_parameter_of_the_old_template_is_given_somewhere() -> None:
    given = {name for parameters in inputs.PARAMETERS.values() for name in parameters}
    assert given == inputs.template(OLD)["Parameters"].keys()


def test_every_route_and_every_kind_of_log_line_is_among_the_events() -> None:
    asked = {
        (inputs.route(event), event["name"])
        for name in inputs.NAMES
        for event in inputs.events(name)
    }
    assert {route for route, _ in asked} >= {"/", "/signed-url", "/form", "/callback", "/uploads"}
    lines = [
        event["log"]
        for name in inputs.NAMES
        for event in golden.read(golden.ANSWERS / f"{name}.json").values()
    ]
    fields = {field for line in lines for field in line}
    assert fields == {
        *("requestId", "route", "status", "error", "reason", "caller", "policy", "cache"),
        *("stsMs", "stsRequestId", "upload", "totalMs"),
    }


def test_an_event_has_a_name_of_its_own_in_a_deployment() -> None:
    for name in inputs.NAMES:
        names = [event["name"] for event in inputs.events(name)]
        assert len(names) == len(set(names))
