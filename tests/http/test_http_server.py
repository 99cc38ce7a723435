"""Tests server.py, as a custom runtime starts it, with many requests at a time and with hostile
clients."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from custom_runtime import FUNCTION, CustomRuntime, custom_runtime, document, received
from scripted_sts import ScriptedSts, refusal, scripted_sts, success
from token_service.http import http_server

PLATFORM_KEY = ("STS.PlatformKeyId", "platform-key-secret", "platform-security-token")
STRANGERS_KEY = ("STS.StrangersKeyId", "strangers-key-secret", "strangers-security-token")
Env = dict[str, str]


def key_headers(key: tuple[str, str, str], separator: str = "-") -> list[str]:
    names = ("x-fc-access-key-id", "x-fc-access-key-secret", "x-fc-security-token")
    return [f"{n.replace('-', separator)}: {value}" for n, value in zip(names, key, strict=True)]


def head(*lines: str, method: str = "GET", path: str = "/") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: f", *lines, "", ""]).encode("latin-1")


def answers(data: bytes) -> list[dict[str, object]]:
    """Return the JSON of each answer in the received bytes."""
    parts = data.decode().split("\r\n\r\n")[1:]
    return [json.JSONDecoder().raw_decode(part)[0] for part in parts]


@pytest.fixture
def env(env: Env) -> Env:
    """Allow wishes for a lifetime, so that requests can get different tokens."""
    return {**env, "TOKEN_EXPIRE_TIME_MAX": "3600"}


@pytest.fixture
def runtime(env: Env, server: ScriptedSts) -> Iterator[CustomRuntime]:
    with custom_runtime({**env, "STS_ENDPOINT": server.url}) as runtime:
        yield runtime


def test_requests_on_one_connection_are_answered_and_logged(runtime: CustomRuntime) -> None:
    connection = runtime.connect()
    for number, path in enumerate(["/", "/sts?policy=x&policy=y", "/caf%C3%A9"]):
        connection.request("GET", path, headers={"x-fc-request-id": f"r{number}"})
        response = connection.getresponse()
        assert response.headers["Connection"] == "keep-alive"
        assert response.headers["Cache-Control"] == "no-store"
        assert not {"Server", "Date"} & set(response.headers)
        document(response)
    connection.close()
    assert runtime.end() == 0
    first, second, third = runtime.logged
    assert (first["requestId"], first["route"], first["stsRequestId"]) == ("r0", "/", "R")
    assert (second["requestId"], second["error"]) == ("r1", "InvalidParameter.Policy")
    assert (third["requestId"], third["error"]) == ("r2", "NotFound")


def test_a_request_id_cannot_fill_the_log(runtime: CustomRuntime) -> None:
    runtime.get(x_fc_request_id='a"\\' + "b" * 60_000)
    assert runtime.end() == 0
    assert runtime.logged[-1]["requestId"] == 'a"\\' + "b" * 61


def test_a_body_is_read_and_one_that_is_too_long_is_refused(runtime: CustomRuntime) -> None:
    connection = runtime.connect()
    for body, code in [
        (b'{"policy": "x"}', "InvalidParameter.Policy"),
        (b"\xff" * (1 << 20), "InvalidParameter.Body"),
        (b"[", "InvalidParameter.Body"),
    ]:
        connection.request("POST", "/", body, {"Content-Type": "application/json"})
        assert document(connection.getresponse())["ErrorCode"] == code
    connection.request("HEAD", "/health")
    assert connection.getresponse().read() == b""
    connection.close()


def test_one_instance_answers_requests_at_the_same_time(env: Env) -> None:
    together = threading.Barrier(20)

    def meet(sock: socket.socket) -> bool:
        together.wait(20)
        return success()(sock)

    with (
        scripted_sts(meet) as sts,
        custom_runtime({**env, "STS_ENDPOINT": sts.url}) as runtime,
        ThreadPoolExecutor(20) as clients,
    ):
        paths = [f"/?duration={900 + number}" for number in range(20)]
        assert {answer["StatusCode"] for answer in clients.map(runtime.get, paths)} == {200}


def test_the_key_that_comes_with_a_request_signs_it(
    runtime: CustomRuntime, server: ScriptedSts
) -> None:
    runtime.send(head(*key_headers(PLATFORM_KEY), "Connection: close"))
    sent = server.requests[-1]
    assert (sent["AccessKeyId"], sent["SecurityToken"]) == (PLATFORM_KEY[0], PLATFORM_KEY[2])


def test_a_strangers_key_signs_nothing_for_others(
    runtime: CustomRuntime, server: ScriptedSts, env: Env
) -> None:
    """The test simulates a platform that passes on x-fc-* headers of a client."""
    spoofed = head(*key_headers(STRANGERS_KEY), path="/?duration=901")
    runtime.send(spoofed + head("Connection: close", path="/?duration=902"))
    assert [sent["AccessKeyId"] for sent in server.requests] == [
        STRANGERS_KEY[0],
        env["ALIBABA_CLOUD_ACCESS_KEY_ID"],
    ]


def test_who_waits_for_a_call_of_sts_gets_no_strangers_refusal(env: Env) -> None:
    """Equal requests at the same time share a call to STS only if they have the same access key."""
    asked, go_on = threading.Event(), threading.Event()

    def refuse(sock: socket.socket) -> bool:
        asked.set()
        go_on.wait(20)
        return refusal(404, "InvalidAccessKeyId.NotFound", "no such key")(sock)

    with (
        scripted_sts(refuse, success()) as sts,
        custom_runtime({**env, "STS_ENDPOINT": sts.url}) as runtime,
        ThreadPoolExecutor(1) as threads,
    ):
        spoofed = threads.submit(
            runtime.send, head(*key_headers(STRANGERS_KEY), "Connection: close")
        )
        assert asked.wait(20)
        assert runtime.get()["Code"] == "Success"
        go_on.set()
        (answer,) = answers(spoofed.result(20))
        assert answer["ErrorCode"] == "InvalidAccessKeyId.NotFound"


def test_no_key_is_hidden_in_another_header(
    runtime: CustomRuntime, server: ScriptedSts, env: Env
) -> None:
    """The test simulates a platform that checks only the names of headers, and accepts a CR in
    their values."""
    for end_of_line in ("\r", "\n", "\r\n "):
        hidden = end_of_line.join(["A: b", *key_headers(STRANGERS_KEY)])
        runtime.send(head(hidden, "Connection: close"))
    assert {sent["AccessKeyId"] for sent in server.requests} <= {env["ALIBABA_CLOUD_ACCESS_KEY_ID"]}


MAYBE_A_STRANGERS = {
    "underscores": key_headers(STRANGERS_KEY, "_"),
    "second": [*key_headers(PLATFORM_KEY), *key_headers(STRANGERS_KEY)],
    "first": [*key_headers(STRANGERS_KEY), *key_headers(PLATFORM_KEY)],
    "not whole": key_headers(STRANGERS_KEY)[:2],
}


def test_a_key_that_may_be_a_strangers_signs_nothing(
    runtime: CustomRuntime, server: ScriptedSts, env: Env
) -> None:
    for number, (case, lines) in enumerate(MAYBE_A_STRANGERS.items()):
        runtime.send(head(*lines, "Connection: close", path=f"/?duration={900 + number}"))
        assert server.requests[-1]["AccessKeyId"] == env["ALIBABA_CLOUD_ACCESS_KEY_ID"], case
        assert len(server.requests) == number + 1


def test_what_the_platform_may_call_does_nothing_for_a_stranger(runtime: CustomRuntime) -> None:
    for path in ("/initialize", "/pre-stop", "/invoke"):
        posted = head("Content-Length: 0", method="POST", path=path)
        data = runtime.send(posted + head("Connection: close", path=path))
        assert [answer["ErrorCode"] for answer in answers(data)] == ["NotFound", "NotFound"], path


def test_the_initializer_is_answered(env: Env, server: ScriptedSts) -> None:
    """The answer is 200 even with HTTP_ERROR_STATUS=real. With another status the instance would
    fail (vendor documentation)."""
    variables = {**env, "STS_ENDPOINT": server.url, "HTTP_ERROR_STATUS": "real"}
    with custom_runtime(variables) as runtime:
        lines = ["x-fc-control-path: /initialize", "Content-Length: 0", "Connection: close"]
        data = runtime.send(head(*lines, method="POST", path="/initialize"))
        assert data.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answers(data) == [{}]
        assert server.requests == []
        # This request uses the connection that was opened at the start.
        assert runtime.get()["Code"] == "Success"
        assert server.connections == 1


TWO_WAYS_TO_READ = [
    ["Transfer-Encoding: chunked"],
    ["Transfer-Encoding: chunked", "Content-Length: 4"],
    ["Content-Length: 4", "Content-Length: 4"],
    ["Content-Length: +4"],
    ["Content-Length: 0x4"],
    ["Content-Length: \xb2"],
    ["Content-Length: 4\r\n 4"],
    ["Content-Length: 99999999999999999999"],
    ["Transfer-Encoding : chunked"],
    ["no header", "Content-Length: 4"],
    ["A: b\rContent-Length: 4"],
    ["A: b\rContent-Length: 4", "Content-Length: 0"],
    ["A: b\nContent-Length: 4"],
    ["A: b\r"],
    ["A: b\r\n\r"],
    ["A: b\r\n\nContent-Length: 4"],
]


def test_a_body_never_becomes_a_request_of_its_own(runtime: CustomRuntime) -> None:
    """If a gateway and the server read different lengths, one client could get another client's
    answer."""
    smuggled = head(*key_headers(STRANGERS_KEY), "Connection: close")
    for lines in TWO_WAYS_TO_READ:
        data = runtime.send(head(*lines, method="POST") + b"0\r\n\r\n" + smuggled)
        assert [answer["ErrorCode"] for answer in answers(data)] == ["InvalidEvent"], lines
        assert b"Connection: close" in data


RUBBISH = [
    b"\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 40 + b"\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/1.1\n\r\n",
    b"GET / HTTP/1.1\r\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1 x\r\n\r\n",
    b"GET x HTTP/1.1\r\n\r\n",
    b"BREW / HTTP/1.1\r\n\r\n",
    b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n",
    b"GET / HTTP/1.1\r\nA: " + b"b" * 70000 + b"\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf",
    hashlib.shake_256(b"noise").digest(3000),
]


def test_no_rubbish_ends_it_or_shows_its_insides(runtime: CustomRuntime) -> None:
    for rubbish in RUBBISH:
        with socket.create_connection(("127.0.0.1", runtime.port), timeout=20) as sock:
            sock.sendall(rubbish)
            sock.shutdown(socket.SHUT_WR)
            data = received(sock)
        assert b"Traceback" not in data
        assert all(answer["ErrorCode"] == "InvalidEvent" for answer in answers(data)), rubbish
    assert runtime.get()["Code"] == "Success"
    assert runtime.end() == 0
    assert not [line for line in runtime.lines if "Traceback" in line]


WORDS = (
    "GET POST PUT BREW / /sts? % HTTP/1.1 HTTP/1.0 : , _ Content-Length Transfer-Encoding chunked"
    " Expect: 100-continue x-fc-access-key-id Connection close keep-alive 0 4 \xff \0"
)
PIECES = st.sampled_from([*WORDS.split(" "), " ", "\t", "\r\n", "\r\n\r\n", "\r", "\n"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200) | st.lists(PIECES, max_size=40).map("".join))
@example(data="POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n4444")
def test_whatever_comes_is_answered_with_json_or_not_at_all(
    runtime: CustomRuntime, data: bytes | str
) -> None:
    sent = data if isinstance(data, bytes) else data.encode("latin-1")
    with socket.create_connection(("127.0.0.1", runtime.port), timeout=20) as sock:
        sock.sendall(sent)
        sock.shutdown(socket.SHUT_WR)
        came = received(sock).replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
    for part in came.split(b"HTTP/1.1 ")[1:]:
        headers, _, body = part.partition(b"\r\n\r\n")
        assert headers.startswith(b"200 OK\r\n")
        assert f"Content-Length: {len(body)}".encode() in headers
        assert not body or json.loads(body)["StatusCode"]
    assert runtime.process.poll() is None


def test_heads_fill_no_memory(runtime: CustomRuntime) -> None:
    """An earlier version used 1.3 GB for 200 connections with 100 headers of 64 KB each."""
    lines = [f"A{number}: {'b' * 2000}" for number in range(50)]
    (answer,) = answers(runtime.send(head(*lines)))
    assert answer["ErrorCode"] == "InvalidEvent"
    data = runtime.send(2 * head(*lines[:30]) + head("Connection: close"))
    assert [answer["Code"] for answer in answers(data)] == 3 * ["Success"]


def test_clients_that_go_away_leave_nothing_in_the_log(runtime: CustomRuntime) -> None:
    for data in (b"", b"GET / HT", head("Content-Length: 9", method="POST"), head()):
        sock = socket.create_connection(("127.0.0.1", runtime.port))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.sendall(data)
        sock.close()
    assert runtime.get()["Code"] == "Success"
    assert runtime.end() == 0
    assert not [line for line in runtime.lines if "Traceback" in line]


@pytest.mark.parametrize("sent", [b"GET / HT", head("Content-Length: 99", method="POST")])
def test_a_slow_client_is_not_waited_for(env: Env, server: ScriptedSts, sent: bytes) -> None:
    variables = {**env, "STS_ENDPOINT": server.url}
    with custom_runtime(variables, REQUEST_SECONDS=0.2, IDLE_SECONDS=60) as runtime:
        stop = threading.Event()

        def drip(sock: socket.socket) -> None:
            while not stop.wait(0.05):
                sock.sendall(b"x")

        with socket.create_connection(("127.0.0.1", runtime.port), timeout=20) as sock:
            sock.sendall(sent)
            dripping = threading.Thread(target=drip, args=(sock,), daemon=True)
            dripping.start()
            data = received(sock)
            stop.set()
            dripping.join()
        assert all(answer["ErrorCode"] == "InvalidEvent" for answer in answers(data))
        assert runtime.get()["Code"] == "Success"


def test_what_is_idle_for_too_long_is_closed(env: Env, server: ScriptedSts) -> None:
    variables = {**env, "STS_ENDPOINT": server.url}
    with custom_runtime(variables, REQUEST_SECONDS=0.1, IDLE_SECONDS=0.2) as runtime:
        (answer,) = answers(runtime.send(head()))
        assert answer["Code"] == "Success"


def test_idle_connections_make_room_for_others(env: Env, server: ScriptedSts) -> None:
    variables = {**env, "STS_ENDPOINT": server.url}
    with custom_runtime(variables, MAX_CONNECTIONS=3) as runtime:
        kept = []
        for _ in range(9):
            kept.append(runtime.connect())
            kept[-1].request("GET", "/")
            assert document(kept[-1].getresponse())["Code"] == "Success"
        assert runtime.end() == 0
        for connection in kept:
            connection.close()


def test_who_has_just_connected_makes_no_room_for_others(env: Env) -> None:
    go_on = threading.Event()

    def wait(sock: socket.socket) -> bool:
        go_on.wait(20)
        return success()(sock)

    with (
        scripted_sts(wait) as sts,
        custom_runtime({**env, "STS_ENDPOINT": sts.url}, MAX_CONNECTIONS=3) as runtime,
        ThreadPoolExecutor(2) as threads,
        contextlib.closing(runtime.connect()) as late,
    ):
        busy = [threads.submit(runtime.send, head("Connection: close")) for _ in range(2)]
        late.connect()
        # The server looks for idle connections twice a second.
        time.sleep(1.2)
        late.request("GET", "/health")
        go_on.set()
        assert late.getresponse().status == 200
        assert all(b"200 OK" in one.result(20) for one in busy)


def test_who_is_slow_does_not_keep_it_from_ending(env: Env) -> None:
    with (
        custom_runtime(env, MAX_CONNECTIONS=2, REQUEST_SECONDS=60) as runtime,
        contextlib.ExitStack() as clients,
    ):
        for _ in range(4):
            address = ("127.0.0.1", runtime.port)
            clients.enter_context(socket.create_connection(address)).sendall(b"GET / HT")
        # The server accepts two of the connections, and the others wait.
        time.sleep(1)
        assert runtime.end() == 0


def test_connections_that_end_meanwhile_stop_no_server() -> None:
    """Other threads may end connections while the garbage collector runs. The callback `end_one`
    simulates this."""
    with http_server._Server(("127.0.0.1", 0), http_server._Handler) as server:
        # With so many connections in progress, the garbage collector starts.
        server.until = dict.fromkeys(range(2000), time.monotonic() + http_server.REQUEST_SECONDS)

        def end_one(phase: str, _info: object) -> None:
            server.until.popitem()

        gc.callbacks.append(end_one)
        try:
            server.service_actions()
        finally:
            gc.callbacks.remove(end_one)
    assert server.until


def test_at_the_end_what_is_under_way_is_answered(env: Env) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def wait(sock: socket.socket) -> bool:
        asked.set()
        go_on.wait(20)
        return success()(sock)

    with (
        scripted_sts(wait) as sts,
        custom_runtime({**env, "STS_ENDPOINT": sts.url}) as runtime,
        ThreadPoolExecutor(2) as threads,
        socket.create_connection(("127.0.0.1", runtime.port), timeout=20) as idle,
    ):
        under_way = threads.submit(runtime.send, head("x-fc-request-id: last"))
        assert asked.wait(20)
        ended = threads.submit(runtime.end)
        # The idle connection is closed at once. The connection with a request is closed after the
        # answer.
        assert received(idle) == b""
        go_on.set()
        (answer,) = answers(under_way.result())
        assert answer["Code"] == "Success"
        assert ended.result() == 0
    assert runtime.logged[-1]["requestId"] == "last"


@pytest.mark.parametrize("place", ["var/fc/lang", "opt"])
def test_bootstrap_becomes_the_server_in_either_place(tmp_path: Path, place: str) -> None:
    python = tmp_path / place / "python3.10" / "bin" / "python3.10"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$$ $1"\n')
    python.chmod(0o755)
    text = (FUNCTION / "bootstrap").read_text().replace(" /var", f" {tmp_path}/var")
    script = tmp_path / "bootstrap"
    script.write_text(text.replace(" /opt", f" {tmp_path}/opt"))
    with subprocess.Popen(["/bin/sh", script], stdout=subprocess.PIPE, text=True) as process:
        out, _ = process.communicate()
    # The server replaces the shell in the same process, so it receives SIGTERM.
    assert out == f"{process.pid} /code/server.py\n"


def test_bootstrap_says_what_is_missing(tmp_path: Path) -> None:
    text = (FUNCTION / "bootstrap").read_text().replace(" /var", " /no").replace(" /opt", " /no")
    (tmp_path / "bootstrap").write_text(text)
    command = ["/bin/sh", str(tmp_path / "bootstrap")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "use the runtime custom.debian10" in done.stderr
