"""AssumeRole over real sockets: the request, the accepted answers, and the time limits."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from scripted_sts import (
    CREDENTIALS,
    Move,
    ScriptedSts,
    answer,
    drip,
    hang,
    raw,
    refusal,
    reset,
    scripted_sts,
    success,
    then_close,
)
from token_service.errors import ServiceError
from token_service.http import connection
from token_service.http.connection import ConnectionFault, Exchange, Reply
from token_service.settings.values import AccessKey, Endpoint
from token_service.token import assume_role as sts
from token_service.token.refusals import StsInvalidAnswer, StsRefused, StsUnreachable

ClientOf = Callable[[ScriptedSts], sts.StsClient]

KEY = AccessKey("LTAI5tFunctionKeyId", "function-access-key-secret", None)
TEMPORARY_KEY = AccessKey("STS.FunctionKeyId", "function-access-key-secret", "CAISfunction+token/=")
REQUEST = sts.RoleRequest("acs:ram::1:role/upload", "anonymous", '{"Version":"1"}', 900)


@pytest.fixture
def client_of() -> Iterator[ClientOf]:
    """Return a function that makes clients. The clients are closed after the test."""
    with ExitStack() as stack:

        def make(server: ScriptedSts) -> sts.StsClient:
            endpoint = Endpoint("http", "127.0.0.1", server.port)
            return stack.enter_context(closing(sts.StsClient(endpoint, "cn-hangzhou")))

        yield make


@contextmanager
def within_five_seconds() -> Iterator[None]:
    """Assert that a test takes less than 5 s. This limit exists because Android stops all its
    uploads until we answer."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < 5


def test_credentials_are_passed_on_as_sts_issued_them(client_of: ClientOf) -> None:
    with scripted_sts(success()) as server:
        credentials = client_of(server).assume_role(REQUEST, KEY)
    assert credentials == (*CREDENTIALS.values(), "R")


def test_the_request_says_what_is_asked_in_the_body_and_nothing_in_the_url(
    client_of: ClientOf,
) -> None:
    with scripted_sts(success()) as server:
        client_of(server).assume_role(REQUEST, KEY)
    sent = server.requests[0]
    assert sent["AccessKeyId"] == KEY.access_key_id
    assert sent["RegionId"] == "cn-hangzhou"
    assert sent["Action"] == "AssumeRole"
    assert sent["Version"] == "2015-04-01"
    assert sent["Format"] == "JSON"
    assert sent["RoleArn"] == REQUEST.role_arn
    assert sent["RoleSessionName"] == REQUEST.session_name
    assert sent["DurationSeconds"] == "900"
    assert sent["Policy"] == REQUEST.policy
    assert "SecurityToken" not in sent


def test_a_temporary_key_sends_its_security_token(client_of: ClientOf) -> None:
    with scripted_sts(success()) as server:
        client_of(server).assume_role(REQUEST, TEMPORARY_KEY)
    assert server.requests[0]["SecurityToken"] == TEMPORARY_KEY.security_token


def test_one_kept_connection_carries_many_calls(client_of: ClientOf) -> None:
    with scripted_sts(success()) as server:
        client = client_of(server)
        for _ in range(5):
            client.assume_role(REQUEST, KEY)
    assert server.connections == 1


def test_warming_up_opens_the_connection_that_the_first_call_uses(client_of: ClientOf) -> None:
    with scripted_sts(success()) as server:
        client = client_of(server)
        client.warm()
        client.assume_role(REQUEST, KEY)
    assert server.connections == 1


def test_a_kept_connection_gone_stale_is_replaced_and_the_request_signed_anew(
    client_of: ClientOf,
) -> None:
    with scripted_sts(then_close(success()), success()) as server:
        client = client_of(server)
        client.assume_role(REQUEST, KEY)
        client.assume_role(REQUEST, KEY)
    assert server.connections == 2
    nonces = [request["SignatureNonce"] for request in server.requests]
    assert len(set(nonces)) == len(nonces)


def test_a_stale_connection_does_not_use_up_the_retry(client_of: ClientOf) -> None:
    faults = (then_close(success()), answer(500, b""), success())
    with scripted_sts(*faults) as server:
        client = client_of(server)
        client.assume_role(REQUEST, KEY)
        client.assume_role(REQUEST, KEY)
    assert len(server.requests) == 3


def test_a_connection_idle_for_long_is_not_trusted(
    client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scripted_sts(success()) as server:
        client = client_of(server)
        client.assume_role(REQUEST, KEY)
        later = time.time() + connection.MAX_IDLE_SECONDS + 1
        monkeypatch.setattr("token_service.http.connection.time.time", lambda: later)
        client.assume_role(REQUEST, KEY)
    assert server.connections == 2


def test_a_connection_that_sts_closes_is_not_kept(client_of: ClientOf) -> None:
    body = {"RequestId": "R", "Credentials": CREDENTIALS}
    with scripted_sts(answer(200, body, close=True)) as server:
        client = client_of(server)
        client.assume_role(REQUEST, KEY)
        client.assume_role(REQUEST, KEY)
    assert server.connections == 2
    assert len(server.requests) == 2


HALF = b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"Credentials": {"AccessKeyId'
PASSING_FAULTS = {
    "reset": reset,
    "closed without an answer": raw(b""),
    "500": answer(500, b"<html>Internal Server Error</html>"),
    "503 of STS": refusal(503, "ServiceUnavailable", "busy"),
    "throttled": refusal(400, "Throttling.User", "Request was denied due to user flow control."),
    "429 of a gateway": answer(429, b"<html>Too Many Requests</html>"),
    "half an answer": raw(HALF),
    "half a chunk": raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{"),
    "not HTTP": raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
}


@pytest.mark.parametrize("fault", PASSING_FAULTS.values(), ids=PASSING_FAULTS.keys())
def test_a_passing_fault_is_retried_once(client_of: ClientOf, fault: Move) -> None:
    with scripted_sts(fault, success()) as server:
        credentials = client_of(server).assume_role(REQUEST, KEY)
    assert credentials.access_key_id == CREDENTIALS["AccessKeyId"]
    assert len(server.requests) == 2


@pytest.mark.parametrize("fault", PASSING_FAULTS.values(), ids=PASSING_FAULTS.keys())
def test_a_lasting_fault_is_an_error_after_two_requests(client_of: ClientOf, fault: Move) -> None:
    with (
        scripted_sts(fault) as server,
        within_five_seconds(),
        pytest.raises(ServiceError) as caught,
    ):
        client_of(server).assume_role(REQUEST, KEY)
    assert caught.value.status in (429, 503)
    assert len(server.requests) == 2


LASTING_FAULTS = {
    "HTML with 200": answer(200, b"<html>Welcome to the hotel's network</html>"),
    "empty": answer(200, b""),
    "an array": answer(200, []),
    "null": answer(200, None),
    "no Credentials": answer(200, {"RequestId": "R"}),
    "null Credentials": answer(200, {"Credentials": None}),
    "nulls": success(SecurityToken=None),
    "a number": success(AccessKeyId=5),
    "an empty secret": success(AccessKeySecret=""),
    "a line break in the key id": success(AccessKeyId="STS.x\r\nX-Evil: 1"),
    "not ASCII": success(SecurityToken="CAIS\u00e9"),
    "a fraction of a second": success(Expiration="2036-01-01T00:00:00.000Z"),
    "microseconds": success(Expiration="2036-01-01T00:00:00.123456Z"),
    "an offset": success(Expiration="2036-01-01T08:00:00+08:00"),
    "an offset and a Z": success(Expiration="2036-01-01T08:00:00+08:00Z"),
    "an expiration as a number": success(Expiration=2082758400),
    "credentials that have expired": success(Expiration="2020-11-23T03:15:11Z"),
    "a day that does not exist": success(Expiration="2036-02-30T00:00:00Z"),
    "a letter behind the expiration": success(Expiration="2036-01-01T00:00:00Zx"),
    "digits of another script": success(Expiration="\uff12\uff10\uff13\uff16-01-01T00:00:00Z"),
    "an expiration without its Z": success(Expiration="2036-01-01T00:00:00"),
    "a deep nest": answer(200, b"[" * 60000),
    "an error without a code": answer(400, {"Message": "what"}),
    "HTML with 403": answer(403, b"<html>Forbidden</html>"),
}


@pytest.mark.parametrize("fault", LASTING_FAULTS.values(), ids=LASTING_FAULTS.keys())
def test_an_unsound_answer_is_not_passed_on(client_of: ClientOf, fault: Move) -> None:
    with scripted_sts(fault) as server, pytest.raises(StsInvalidAnswer) as caught:
        client_of(server).assume_role(REQUEST, KEY)
    assert caught.value.status == 503
    assert len(server.requests) == 1


def from_now(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


def test_credentials_that_ended_long_ago_are_not_passed_on(client_of: ClientOf) -> None:
    """If our clock is more than 15 minutes wrong, STS refuses our requests. If STS answers, our
    clock is at most 15 minutes wrong. By this clock, new credentials may have expired, but at most
    15 minutes ago."""
    assert sts.CLOCK_SECONDS == 900
    just_ended = success(Expiration=from_now(60 - sts.CLOCK_SECONDS))
    with scripted_sts(just_ended, success(Expiration=from_now(-sts.CLOCK_SECONDS - 1))) as server:
        client = client_of(server)
        assert client.assume_role(REQUEST, KEY).access_key_id == CREDENTIALS["AccessKeyId"]
        with pytest.raises(StsInvalidAnswer):
            client.assume_role(REQUEST, KEY)


def test_an_endless_answer_is_cut_off(client_of: ClientOf) -> None:
    def endless(sock: object) -> bool:
        head = raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", goes_on=True)
        head(sock)  # type: ignore[arg-type]
        for _ in range(2000):
            raw(b"x" * 65536)(sock)  # type: ignore[arg-type]
        return False

    with scripted_sts(endless) as server, pytest.raises(StsUnreachable, match="exceeds 64 KB"):
        client_of(server).assume_role(REQUEST, KEY)


def test_a_huge_content_length_is_refused_before_it_is_read(client_of: ClientOf) -> None:
    huge = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n")
    with (
        scripted_sts(huge) as server,
        pytest.raises(StsUnreachable, match="exceeds 64 KB"),
    ):
        client_of(server).assume_role(REQUEST, KEY)


def test_a_refused_connection_is_an_error(client_of: ClientOf) -> None:
    with scripted_sts(success()) as server:
        client = client_of(server)
    with within_five_seconds(), pytest.raises(StsUnreachable, match="refused the connection"):
        client.assume_role(REQUEST, KEY)


def test_silence_ends_in_time(client_of: ClientOf) -> None:
    with (
        scripted_sts(hang) as server,
        within_five_seconds(),
        pytest.raises(StsUnreachable, match="no answer in time"),
    ):
        client_of(server).assume_role(REQUEST, KEY)


def test_an_answer_drop_by_drop_ends_in_time(client_of: ClientOf) -> None:
    slow = drip(b"HTTP/1.1 200 OK\r\n" + b"X-Padding: x\r\n" * 50)
    with (
        scripted_sts(slow) as server,
        within_five_seconds(),
        pytest.raises(StsUnreachable, match="no answer in time"),
    ):
        client_of(server).assume_role(REQUEST, KEY)


def test_a_kept_connection_that_went_silent_is_given_up_for_a_fresh_one(
    client_of: ClientOf,
) -> None:
    """While an instance is frozen, the network may drop its connection, and the instance does not
    learn of it."""
    with scripted_sts(success(), hang, success()) as server, within_five_seconds():
        client = client_of(server)
        client.assume_role(REQUEST, KEY)
        client.assume_role(REQUEST, KEY)
    assert server.connections == 2


def test_stss_own_code_and_message_are_passed_on(client_of: ClientOf) -> None:
    """The vendor documents 404 InvalidAccessKeyId.NotFound."""
    move = refusal(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
    with scripted_sts(move) as server, pytest.raises(StsRefused) as caught:
        client_of(server).assume_role(REQUEST, KEY)
    assert (caught.value.status, caught.value.code) == (500, "InvalidAccessKeyId.NotFound")
    assert caught.value.message == "Specified access key is not found."
    assert len(server.requests) == 1


def test_throttling_is_429(client_of: ClientOf) -> None:
    move = refusal(400, "Throttling.User", "Request was denied due to user flow control.")
    with scripted_sts(move) as server, pytest.raises(StsRefused) as caught:
        client_of(server).assume_role(REQUEST, KEY)
    assert (caught.value.status, caught.value.code) == (429, "Throttling.User")


def test_the_string_to_sign_that_sts_quotes_is_cut_off(client_of: ClientOf) -> None:
    """STS quotes the string to sign, which contains our key id and our security token."""

    def quote(sock: object) -> bool:
        to_sign = f"POST&%2F&AccessKeyId%3D{TEMPORARY_KEY.access_key_id}"
        message = (
            "Specified signature is not matched with our calculation. "
            f"server string to sign is:{to_sign}"
        )
        return refusal(400, "SignatureDoesNotMatch", message)(sock)  # type: ignore[arg-type]

    with scripted_sts(quote) as server, pytest.raises(StsRefused) as caught:
        client_of(server).assume_role(REQUEST, TEMPORARY_KEY)
    assert caught.value.code == "SignatureDoesNotMatch"
    assert caught.value.message == "Specified signature is not matched with our calculation."


def test_a_secret_in_stss_message_is_blotted_out(client_of: ClientOf) -> None:
    said = " ".join(str(part) for part in TEMPORARY_KEY)
    with (
        scripted_sts(refusal(403, "NoPermission", f"No: {said}")) as server,
        pytest.raises(StsRefused) as caught,
    ):
        client_of(server).assume_role(REQUEST, TEMPORARY_KEY)
    assert caught.value.message == "No: *** *** ***"


@pytest.mark.parametrize("secret", ["1234567", "12345678"])
def test_what_is_too_short_for_a_secret_stays_in_the_message(
    client_of: ClientOf, secret: str
) -> None:
    """Only texts of eight or more characters are hidden, because shorter ones may be part of the
    message's words."""
    move = refusal(403, "NoPermission", f"No: {secret}")
    with scripted_sts(move) as server, pytest.raises(StsRefused) as caught:
        client_of(server).assume_role(REQUEST, KEY._replace(access_key_secret=secret))
    assert caught.value.message == f"No: {secret if len(secret) < 8 else '***'}"


# When and how often STS is called. The connection is a fake that only records requests


class Recording:
    """A fake of the kept connection. Each request takes the next of `replies`: a Reply is returned,
    and a ConnectionFault is raised."""

    def __init__(self, *replies: Reply | ConnectionFault) -> None:
        self.replies = [*replies]
        self.exchanges: list[Exchange] = []
        self.connects: list[float] = []
        self.is_closed = False

    def request(self, make: Callable[[], Exchange]) -> Reply:
        self.exchanges.append(make())
        reply = self.replies.pop(0)
        if isinstance(reply, ConnectionFault):
            raise reply
        return reply

    def connect(self, deadline: float) -> None:
        self.connects.append(deadline)

    def close(self) -> None:
        self.is_closed = True


SOUND = Reply(200, json.dumps({"RequestId": "R", "Credentials": CREDENTIALS}).encode())
FAULT = ConnectionFault(TimeoutError())


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Stop the clock at 1,000. Return the list of sleeps."""
    naps: list[float] = []
    stand_in = SimpleNamespace(monotonic=lambda: 1000.0, time=time.time, sleep=naps.append)
    monkeypatch.setattr(sts, "time", stand_in)
    return naps


def over(connection: Recording) -> sts.StsClient:
    client = sts.StsClient(Endpoint("https", "sts.example.com", 443), "cn-hangzhou")
    monkeyed: Any = client
    monkeyed._connection = connection
    return client


@pytest.mark.parametrize(
    ("end", "deadlines"),
    [
        (None, [1002.2, 1004.5]),
        (1003.0, [1002.2, 1003.0]),
        (1001.0, [1001.0, 1001.0]),
        (1060.0, [1002.2, 1004.5]),
    ],
)
def test_the_retry_has_what_the_first_attempt_left(
    slept: list[float], end: float | None, deadlines: list[float]
) -> None:
    connection = Recording(FAULT, SOUND)
    over(connection).assume_role(REQUEST, KEY, end)
    assert [exchange.deadline for exchange in connection.exchanges] == deadlines
    assert [exchange[:2] for exchange in connection.exchanges] == [("POST", "/")] * 2


def test_a_retry_waits_a_moment_that_differs_from_instance_to_instance(
    slept: list[float],
) -> None:
    for _ in range(200):
        over(Recording(FAULT, SOUND)).assume_role(REQUEST, KEY)
    assert 0.05 <= min(slept) < 0.07
    assert 0.18 < max(slept) <= 0.2


PASSING = [Reply(status, b"") for status in (429, 500, 503)]
PASSING += [Reply(400, b'{"Code":"Throttling.User","Message":"m"}')]


@pytest.mark.parametrize("reply", PASSING, ids=lambda reply: reply.status)
def test_who_is_throttled_or_fails_is_asked_once_more(slept: list[float], reply: Reply) -> None:
    connection = Recording(reply, SOUND)
    over(connection).assume_role(REQUEST, KEY)
    assert len(connection.exchanges) == 2
    assert len(slept) == 1


@pytest.mark.parametrize("status", [400, 403, 404, 428, 430, 499])
def test_any_other_refusal_is_final(slept: list[float], status: int) -> None:
    connection = Recording(Reply(status, b'{"Code":"NoPermission","Message":"no Throttling"}'))
    with pytest.raises(StsRefused):
        over(connection).assume_role(REQUEST, KEY)
    assert slept == []


def test_two_faults_are_the_end(slept: list[float]) -> None:
    with pytest.raises(StsUnreachable, match="STS cannot be reached: no answer in time"):
        over(Recording(FAULT, FAULT)).assume_role(REQUEST, KEY)


def test_warming_up_takes_a_second_at_most(slept: list[float]) -> None:
    connection = Recording()
    over(connection).warm()
    assert connection.connects == [1001.0]


def test_warming_up_says_what_is_wrong(client_of: ClientOf) -> None:
    with scripted_sts(success()) as server:
        client = client_of(server)
    with pytest.raises(StsUnreachable, match="refused the connection"):
        client.warm()


def test_a_client_that_is_closed_closes_its_connection() -> None:
    connection = Recording()
    over(connection).close()
    assert connection.is_closed


def test_credentials_end_when_they_say_but_for_the_clock_skew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends = sts.Credentials(*CREDENTIALS.values()).expires
    assert ends == 2_082_758_400
    for now, is_sound in ((ends + 900, True), (ends + 901, False)):
        monkeypatch.setattr("token_service.token.assume_role.time.time", lambda now=now: now)
        if is_sound:
            assert over(Recording(SOUND)).assume_role(REQUEST, KEY).expires == ends
        else:
            with pytest.raises(StsInvalidAnswer, match="expired"):
                over(Recording(SOUND)).assume_role(REQUEST, KEY)


@pytest.mark.parametrize("status", [201, 204, 302])
def test_only_200_brings_credentials(slept: list[float], status: int) -> None:
    with pytest.raises(StsInvalidAnswer, match=f"HTTP {status}"):
        over(Recording(SOUND._replace(status=status))).assume_role(REQUEST, KEY)


@pytest.mark.parametrize("name", CREDENTIALS)
def test_a_member_that_is_missing_is_named(slept: list[float], name: str) -> None:
    given = {other: value for other, value in CREDENTIALS.items() if other != name}
    body = json.dumps({"Credentials": given}).encode()
    with pytest.raises(StsInvalidAnswer, match=f"no valid {name}"):
        over(Recording(Reply(200, body))).assume_role(REQUEST, KEY)


def test_an_answer_without_credentials_is_said_so(slept: list[float]) -> None:
    with pytest.raises(StsInvalidAnswer, match="no Credentials"):
        over(Recording(Reply(200, b"{}"))).assume_role(REQUEST, KEY)


def test_secrets_are_not_in_reprs() -> None:
    credentials = sts.Credentials(*CREDENTIALS.values())
    shown = f"{KEY!r} {TEMPORARY_KEY!r} {credentials!r}"
    for secret in (*KEY[:2], *TEMPORARY_KEY, *credentials[:3]):
        assert str(secret) not in shown
    assert credentials.expiration in repr(credentials)
