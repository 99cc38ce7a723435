"""Cached credentials: how long they are kept, how many are kept, and that requests at the same time
share one call to STS."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from token_service.errors import ServiceError
from token_service.token.assume_role import Credentials, RoleRequest
from token_service.token.cache import (
    MAX_ENTRIES,
    MAX_OF_ONE_CALLER,
    MIN_SECONDS_LEFT,
    CredentialsCache,
    _Flight,
)
from token_service.token.refusals import StsUnreachable

REQUEST = RoleRequest("acs:ram::1:role/upload", "alice", "{}", 900)
START = 1_800_000_000


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = float(START)

    def __call__(self) -> float:
        return self.now


class Sts:
    """A fake STS. It records its calls, and returns credentials that are valid for `life`
    seconds."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.life = 900
        self.requests: list[RoleRequest] = []

    def __call__(self, request: RoleRequest) -> Credentials:
        self.requests.append(request)
        expires = time.gmtime(self.clock.now + self.life)
        number = len(self.requests)
        expiration = time.strftime("%Y-%m-%dT%H:%M:%SZ", expires)
        return Credentials(f"STS.{number}", "secret", "token", expiration)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sts(clock: Clock) -> Sts:
    return Sts(clock)


@pytest.fixture
def cache(clock: Clock) -> CredentialsCache:
    return CredentialsCache(clock)


def test_credentials_are_served_again(cache: CredentialsCache, sts: Sts) -> None:
    first = cache.get(REQUEST, sts)
    again = cache.get(REQUEST, sts)
    assert first == (again[0], False)
    assert again[1]
    assert len(sts.requests) == 1


@pytest.mark.parametrize(
    "other",
    [
        REQUEST._replace(role_arn="acs:ram::2:role/upload"),
        REQUEST._replace(session_name="bob"),
        REQUEST._replace(policy='{"Version":"1"}'),
        REQUEST._replace(seconds=901),
    ],
)
def test_another_caller_or_grant_never_gets_them(
    cache: CredentialsCache, sts: Sts, other: RoleRequest
) -> None:
    cache.get(REQUEST, sts)
    credentials, is_hit = cache.get(other, sts)
    assert (credentials.access_key_id, is_hit) == ("STS.2", False)


@pytest.mark.parametrize(
    ("life", "served"),
    [(900, 450), (3600, 1800), (700, 350), (600, 300), (500, 200), (43200, 21600)],
)
def test_they_are_served_while_more_than_half_of_their_life_is_left(
    cache: CredentialsCache, sts: Sts, clock: Clock, life: int, served: int
) -> None:
    sts.life = life
    cache.get(REQUEST, sts)
    clock.now = START + served - 1
    assert cache.get(REQUEST, sts)[1]
    clock.now = START + served
    assert not cache.get(REQUEST, sts)[1]


@given(life=st.integers(-1000, 50_000), passed=st.integers(0, 50_000))
def test_nobody_is_given_credentials_with_300_s_or_less(life: int, passed: int) -> None:
    """If a token has 300 s or less left, the mobile SDKs request a new one at once (seen in their
    source)."""
    clock = Clock()
    cache, sts = CredentialsCache(clock), Sts(clock)
    sts.life = life
    cache.get(REQUEST, sts)
    clock.now += passed
    if cache.get(REQUEST, sts)[1]:
        assert life - passed > MIN_SECONDS_LEFT
        assert life - passed > life / 2


def test_what_sts_shortened_is_kept_by_what_sts_says(
    cache: CredentialsCache, sts: Sts, clock: Clock
) -> None:
    sts.life = 900
    asked = REQUEST._replace(seconds=43200)
    cache.get(asked, sts)
    clock.now += 451
    assert not cache.get(asked, sts)[1]


def test_a_clock_that_is_set_back_does_not_prolong_a_life(
    cache: CredentialsCache, sts: Sts, clock: Clock
) -> None:
    cache.get(REQUEST, sts)
    clock.now -= 100_000
    assert cache.get(REQUEST, sts)[0].expires == START + 900


def test_an_error_is_not_kept(cache: CredentialsCache, sts: Sts) -> None:
    def fail(request: RoleRequest) -> Credentials:
        raise StsUnreachable("no answer")

    with pytest.raises(StsUnreachable):
        cache.get(REQUEST, fail)
    assert cache.get(REQUEST, sts)[0].access_key_id == "STS.1"


def test_the_number_kept_is_bounded_and_the_least_used_goes_first(
    cache: CredentialsCache, sts: Sts
) -> None:
    def request(number: int) -> RoleRequest:
        return REQUEST._replace(session_name=f"user{number}")

    for number in range(MAX_ENTRIES):
        cache.get(request(number), sts)
    assert cache.get(request(0), sts)[1]
    cache.get(request(MAX_ENTRIES), sts)
    assert cache.get(request(0), sts)[1]
    assert not cache.get(request(1), sts)[1]


def test_one_caller_evicts_nobody_elses_credentials(cache: CredentialsCache, sts: Sts) -> None:
    """One caller sends 1,000 requests with different wishes (finding A4)."""
    others = [REQUEST._replace(session_name=f"user{n}") for n in range(MAX_ENTRIES - 100)]
    for other in others:
        cache.get(other, sts)
    for number in range(1000):
        cache.get(REQUEST._replace(policy=str(number)), sts)
    assert all(cache.get(other, sts)[1] for other in others)
    # The caller's most recent credentials are kept.
    kept = [n for n in range(1000) if REQUEST._replace(policy=str(n)) in cache._entries]
    assert kept == list(range(1000 - MAX_OF_ONE_CALLER, 1000))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), max_size=200))
def test_a_share_is_counted_right_whatever_is_evicted(asked: list[tuple[int, int]]) -> None:
    clock = Clock()
    cache = CredentialsCache(clock, share=5)
    for caller, wish in asked:
        cache.get(REQUEST._replace(session_name=f"user{caller}", policy=str(wish)), Sts(clock))
        clock.now += 30
    counted = Counter(request.session_name for request in cache._entries)
    assert cache._counts == dict(counted)
    assert max(counted.values(), default=0) <= 5


def test_of_one_callers_share_the_oldest_goes_and_the_count_stays(clock: Clock, sts: Sts) -> None:
    for share in (1, 2):
        cache = CredentialsCache(clock, share)
        for number in range(5):
            cache.get(REQUEST._replace(policy=str(number)), sts)
        kept = [request.policy for request in cache._entries]
        assert kept == ["0", "1", "2", "3", "4"][-share:]
        assert cache._counts == {"alice": share}


def test_who_has_no_entry_left_is_not_counted(clock: Clock, sts: Sts) -> None:
    cache = CredentialsCache(clock)
    for number in range(MAX_ENTRIES + 1):
        cache.get(REQUEST._replace(session_name=f"user{number}"), sts)
    assert "user0" not in cache._counts
    assert cache._counts["user1"] == 1
    assert len(cache._counts) == len(cache._entries) == MAX_ENTRIES


def at_once(count: int, ask: Callable[[], object]) -> None:
    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_those_who_ask_at_once_share_one_call(cache: CredentialsCache, sts: Sts) -> None:
    answers: list[tuple[Credentials, bool]] = []
    others_wait = threading.Event()

    def fetch(request: RoleRequest) -> Credentials:
        others_wait.wait(0.2)
        return sts(request)

    at_once(20, lambda: answers.append(cache.get(REQUEST, fetch)))
    assert sts.requests == [REQUEST]
    assert {credentials.access_key_id for credentials, _ in answers} == {"STS.1"}
    # Only one request fetched the credentials. All others got them from the cache.
    assert sorted(is_hit for _, is_hit in answers) == [False] + [True] * 19


def test_those_who_ask_at_once_share_the_error_and_the_next_asks_again(
    cache: CredentialsCache, sts: Sts
) -> None:
    errors: list[ServiceError] = []
    calls: list[RoleRequest] = []

    def fail(request: RoleRequest) -> Credentials:
        calls.append(request)
        time.sleep(0.2)
        raise StsUnreachable("no answer")

    def ask() -> None:
        try:
            cache.get(REQUEST, fail)
        except ServiceError as error:
            errors.append(error)

    at_once(20, ask)
    assert (len(errors), len(calls)) == (20, 1)
    assert not cache.get(REQUEST, sts)[1]


def test_who_waited_for_a_call_that_was_cut_off_is_told_so(cache: CredentialsCache) -> None:
    """A call can end without a result, for example by an exception like SystemExit, which is not a
    subclass of Exception."""
    cut_off = _Flight()
    cache._flights[REQUEST, ()] = cut_off
    cut_off.under_way.release()
    with pytest.raises(RuntimeError, match="without a result"):
        cache.get(REQUEST, Sts(Clock()))


def test_those_who_ask_for_different_things_do_not_wait_for_each_other(
    cache: CredentialsCache, sts: Sts
) -> None:
    both_are_here = threading.Barrier(2, timeout=5)

    def fetch(request: RoleRequest) -> Credentials:
        both_are_here.wait()
        return sts(request)

    names = iter(("alice", "bob"))
    at_once(2, lambda: cache.get(REQUEST._replace(session_name=next(names)), fetch))
    assert len(sts.requests) == 2


def test_those_who_ask_by_different_keys_do_not_wait_for_each_other(
    cache: CredentialsCache, sts: Sts
) -> None:
    """If two requests use different access keys, each request makes its own call to STS. Neither
    request gets the result or the error of the other request."""
    both_are_here = threading.Barrier(2, timeout=5)

    def fetch(request: RoleRequest) -> Credentials:
        both_are_here.wait()
        return sts(request)

    keys = iter((("mine",), ()))
    at_once(2, lambda: cache.get(REQUEST, fetch, next(keys)))
    assert len(sts.requests) == 2
