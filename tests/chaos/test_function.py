"""Faults between the function and what it asks: its answer follows the interface within 5 s, says
nothing that is inner, and leaves neither a descriptor nor a thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faults import FAULTS, Fault
from function_under_fire import LINKS, Code, Env, Function, Link, function, members
from running_sandbox import wait_for
from scripted_sts import answer

Tries = Any
BY_LINK = pytest.mark.parametrize("link", LINKS, ids=lambda link: link.name)


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Hold that descriptors and threads are as many after the fault as before."""

    def open_now() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    before = open_now()
    yield
    wait_for(lambda: all(now <= was for now, was in zip(open_now(), before, strict=True)))


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are fetched again at once after a failure: tests do not wait for that."""
    for module in ("login.jwks", "callback.public_keys"):
        monkeypatch.setattr(f"token_service.{module}.RETRY_SECONDS", 0)


def check(at: Function, link: Link, expected: Code, tries: Tries) -> None:
    """Ask through the link's route, and hold that the answer is this one and tells no secret."""
    response = tries.ask(lambda: at.ask(link.route))
    found = members(response)
    tries.note(f"{found['StatusCode']} {found.get('ErrorCode', 'OK')}")
    assert (found["StatusCode"], found.get("ErrorCode", "")) == expected, found
    # The interface: OSS is told the true status, phones are not.
    assert response.status == (expected[0] if link.route == "/callback" else 200)
    if expected[0] != 200:
        assert found["ErrorMessage"]
        assert [inner for inner in at.inner if inner in response.body] == []


def check_sound(at: Function, link: Link, tries: Tries) -> None:
    """The fault is over: the same function answers."""
    response = tries.ask(lambda: at.ask(link.route))
    assert response.status == 200, response.body
    assert members(response).get("StatusCode", 200) == 200, response.body


def expected_of(link: Link, fault: Fault) -> Code:
    return link.wrong if fault.is_whole else link.none


def try_fault(
    env: Env, link: Link, name: str, tries: Tries, caplog: pytest.LogCaptureFixture
) -> None:
    tries.name(f"function and {link.name}", name)
    fault = FAULTS[name]
    with function(env, link, fault.make(link.body)) as at, caplog.at_level(logging.DEBUG):
        check(at, link, expected_of(link, fault), tries)
        at.servers[link.server].moves[:] = [answer(200, link.body)]
        check_sound(at, link, tries)
    secrets = [secret for secret in at.inner[:7] if secret in caplog.text]
    assert secrets == []


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if not fault.waits])
@BY_LINK
def test_a_fault_is_answered_by_the_contract_and_is_over_with_its_cause(
    env: Env, link: Link, name: str, tries: Tries, caplog: pytest.LogCaptureFixture
) -> None:
    try_fault(env, link, name, tries, caplog)


@pytest.mark.chaos
@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.waits])
@BY_LINK
def test_a_fault_that_lasts_is_answered_in_time(
    env: Env, link: Link, name: str, tries: Tries, caplog: pytest.LogCaptureFixture
) -> None:
    try_fault(env, link, name, tries, caplog)
