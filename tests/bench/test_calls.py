"""Tests the events that the benchmark sends to copies of the function. The function answers
each event with status 200, and calls STS only for the events that need a new token."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

import index
from bench.calls import CALLS, SCENARIOS, Scenario, cold_event, environment, slices
from scripted_sts import scripted_sts, success
from token_service.app import App


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.auth)
def test_everything_is_granted_and_new_tokens_are_new(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    with scripted_sts(success()) as sts:
        app = App(environment(scenario, str(sts.port)))
        monkeypatch.setattr(index, "_app", app)
        calls_of_sts = {}
        assert ask(cold_event(scenario, now))["Code"] == "Success"
        for kind, parts in slices(scenario, 2, now).items():
            before = len(sts.requests)
            events = [event for part in parts for event in part.events * part.repeat]
            assert len(events) == 2 * CALLS
            for event in events:
                assert ask(event)["StatusCode"] == 200, kind
            calls_of_sts[kind] = len(sts.requests) - before
        app.close()
    assert calls_of_sts == {
        "a new token": 2 * CALLS,
        "a token served again": 0,
        "a signed URL (PUT)": 0,
        "a signed URL (GET)": 0,
    }


def ask(event: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(str(index.handler(event.encode(), None)["body"]))
    return answer
