"""Tests the stand-in for Function Compute's instances: its cap on instances, its concurrency, and
its own 429."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from bench.fc import REFUSAL, Answer, Instance, Platform

TOKEN = Answer(200, b"{}")


class Held(Instance):
    """An instance that answers only after the test releases `go_on`."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)

    def answer(self, headers: Mapping[str, str]) -> Answer:
        self.asked.release()
        assert self.go_on.acquire(timeout=20)
        return TOKEN

    def end(self) -> None:
        """Do nothing, because no process has been started."""


@pytest.fixture
def started() -> list[Held]:
    return []


@pytest.fixture
def clients() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as clients:
        yield clients


def platform(started: list[Held], cap: int, concurrency: int) -> Platform:
    def start() -> Held:
        started.append(Held())
        return started[-1]

    return Platform(start, cap=cap, concurrency=concurrency)


def wait_for(started: list[Held], requests: int) -> None:
    """Wait until this many requests are in progress."""
    while requests:
        requests -= sum(one.asked.acquire(timeout=0.01) for one in list(started))


def test_one_request_at_a_time_needs_an_instance_each(
    started: list[Held], clients: ThreadPoolExecutor
) -> None:
    fc = platform(started, 2, 1)
    under_way = [clients.submit(fc.answer, {}) for _ in range(2)]
    wait_for(started, 2)
    # The platform refuses the third request with its own answer.
    assert fc.answer({}) == Answer(429, REFUSAL)
    assert b"StatusCode" not in REFUSAL
    for one in started:
        one.go_on.release()
    assert [one.result() for one in under_way] == [TOKEN, TOKEN]
    assert fc.instances == 2


def test_a_place_that_is_free_again_is_taken() -> None:
    held = Held()
    fc = Platform(lambda: held, cap=1, concurrency=1)
    for _ in range(3):
        held.go_on.release()
        assert fc.answer({}) == TOKEN
    assert fc.instances == 1


def test_requests_share_an_instance_while_it_has_places(
    started: list[Held], clients: ThreadPoolExecutor
) -> None:
    fc = platform(started, 2, 3)
    under_way = [clients.submit(fc.answer, {}) for _ in range(5)]
    wait_for(started, 5)
    assert fc.instances == 2
    for one in started:
        one.go_on.release(5)
    assert [one.result() for one in under_way] == [TOKEN] * 5
