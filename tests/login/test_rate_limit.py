"""The limit on new tokens for one caller."""

from __future__ import annotations

import inspect
import threading
import time

import pytest

from token_service.login.rate_limit import MAX_CALLERS, WINDOW_SECONDS, RateLimit
from token_service.login.refusals import RateLimited


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_there_is_no_limit_unless_one_is_set(clock: Clock) -> None:
    limit = RateLimit(0, "new tokens", "CALLER_TOKENS_PER_MINUTE", clock)
    for _ in range(10_000):
        limit.take("alice")


def test_a_caller_gets_so_many_tokens_a_minute_and_no_more(clock: Clock) -> None:
    limit = RateLimit(3, "new tokens", "CALLER_TOKENS_PER_MINUTE", clock)
    for _ in range(3):
        limit.take("alice")
        clock.now += 10
    for _ in range(5):
        with pytest.raises(RateLimited) as error:
            limit.take("alice")
    assert error.value.status == 429
    assert error.value.headers == {"Retry-After": "30"}
    assert (
        "at most 3 new tokens a minute (CALLER_TOKENS_PER_MINUTE); try again in 30 s"
        in error.value.message
    )


def test_several_at_once_are_counted_each_and_refused_as_one(clock: Clock) -> None:
    limit = RateLimit(5, "signed URLs and forms", "CALLER_URLS_PER_MINUTE", clock)
    limit.take("alice", 2)
    clock.now += 10
    limit.take("alice", 2)
    with pytest.raises(RateLimited) as error:
        limit.take("alice", 3)
    # The caller can retry when the first two items are a minute old, which is in 50 s. Refused
    # items are not counted.
    assert error.value.headers == {"Retry-After": "50"}
    limit.take("alice", 1)
    with pytest.raises(RateLimited) as error:
        limit.take("alice", 5)
    assert error.value.headers == {"Retry-After": "60"}
    clock.now += 50
    limit.take("alice", 2)


def test_one_callers_limit_is_not_anothers(clock: Clock) -> None:
    limit = RateLimit(1, "new tokens", "CALLER_TOKENS_PER_MINUTE", clock)
    limit.take("alice")
    limit.take("bob")
    with pytest.raises(RateLimited):
        limit.take("alice")


def test_the_minute_slides(clock: Clock) -> None:
    limit = RateLimit(2, "new tokens", "CALLER_TOKENS_PER_MINUTE", clock)
    limit.take("alice")
    clock.now += 40
    limit.take("alice")
    clock.now += WINDOW_SECONDS - 40
    limit.take("alice")
    with pytest.raises(RateLimited):
        limit.take("alice")


def test_being_refused_does_not_prolong_the_wait(clock: Clock) -> None:
    limit = RateLimit(1, "new tokens", "CALLER_TOKENS_PER_MINUTE", clock)
    limit.take("alice")
    for _ in range(59):
        clock.now += 1
        with pytest.raises(RateLimited):
            limit.take("alice")
    clock.now += 1
    limit.take("alice")


def test_many_callers_do_not_fill_the_memory(clock: Clock) -> None:
    limit = RateLimit(1, "new tokens", "CALLER_TOKENS_PER_MINUTE", clock)
    for number in range(MAX_CALLERS + 1):
        limit.take(f"user{number}")
    # Only user0 was evicted, because its request was the oldest.
    limit.take("user0")
    with pytest.raises(RateLimited):
        limit.take("user2")


def test_threads_together_get_no_more_than_the_limit(clock: Clock) -> None:
    limit = RateLimit(100, "new tokens", "CALLER_TOKENS_PER_MINUTE", clock)
    taken: list[int] = []

    def take() -> None:
        for _ in range(50):
            try:
                limit.take("alice")
            except RateLimited:
                continue
            taken.append(1)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 100


def test_an_instance_that_is_frozen_between_requests_counts_what_passes_outside() -> None:
    """RateLimit uses wall time, because the monotonic clock may stop while an instance is
    frozen."""
    assert inspect.signature(RateLimit).parameters["clock"].default is time.time


def test_a_clock_that_is_set_back_locks_nobody_out(clock: Clock) -> None:
    limit = RateLimit(1, "new tokens", None, clock)
    limit.take("alice")
    clock.now -= 100_000
    limit.take("alice")
    with pytest.raises(RateLimited):
        limit.take("alice")


def test_who_comes_back_at_once_waits_a_second_at_least(clock: Clock) -> None:
    limit = RateLimit(1, "new tokens", None, clock)
    limit.take("alice")
    for seconds, wait in ((59.5, "1"), (0.45, "1"), (-1.0, "2")):
        clock.now += seconds
        with pytest.raises(RateLimited) as error:
            limit.take("alice")
        assert error.value.headers == {"Retry-After": wait}


def test_a_limit_that_no_variable_sets_names_none(clock: Clock) -> None:
    limit = RateLimit(1, "new tokens", None, clock)
    limit.take("alice")
    with pytest.raises(RateLimited, match="at most 1 new tokens a minute; try again in 60 s"):
        limit.take("alice")


def test_who_has_not_asked_for_a_minute_takes_no_memory(clock: Clock) -> None:
    limit = RateLimit(1, "new tokens", None, clock)
    for number in range(10):
        limit.take(f"user{number}")
    clock.now += WINDOW_SECONDS
    limit.take("alice")
    assert list(limit._times) == ["alice"]


def test_what_was_given_out_longer_ago_takes_no_memory(clock: Clock) -> None:
    limit = RateLimit(1000, "new tokens", None, clock)
    for _ in range(200):
        limit.take("alice")
        clock.now += 30
    assert len(limit._times["alice"]) <= 2
