"""Tests `make smoke` with the real function and the sandbox: the checks that pass, and the
uploads."""

from __future__ import annotations

import errno
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import jwt
import pytest

from certificates import certificate, server_context
from faulty_proxy import Exchange, faulty, sound
from operators_tool import run_tool
from ops.smoke import checks, upload, wire
from ops.smoke.options import UsageError, read_options
from running_function import RunningFunction, running_function
from running_sandbox import make
from sandbox import cloud, oss
from sandbox.identities import AccessKey, Identities
from sandbox.ram import Policy
from sandbox.servers import Service, in_background, listen
from smoke_test import KEY, smoke

ROOT = Path(__file__).parents[2]
ORIGIN = "https://app.example.com"
JUDGED_BY_CLIENTS = {"Android", "iOS", "credentials_uri", "preflight", "page"}


def test_it_passes_against_the_function_that_anybody_may_call(function: RunningFunction) -> None:
    table = smoke(function.url, ORIGIN=ORIGIN, UPLOAD="1")
    assert not table.failed, table.text
    passed = {name for name, (outcome, _) in table.lines.items() if outcome == "PASS"}
    assert passed >= JUDGED_BY_CLIENTS | {"health", "token", "expiration", "temporary key"}
    assert passed >= {"headers", "clock", "methods", "failures", "answer time", "other origins"}
    assert passed >= {"upload", "neighbour: write", "neighbour: read", "neighbour: list"}
    table.check("logins", "WARN", "AUTH=anonymous")
    table.check("clean-up", "WARN", "a token cannot delete", "smoke-test-")


@pytest.mark.parametrize(
    ("deployed", "given", "outcome", "says"),
    [
        ("yes", "", "PASS", "may replace"),
        ("no", "", "PASS", "refused"),
        ("no", "no", "PASS", "refused"),
        # The operator tells `make smoke` OVERWRITE=no, but the bucket has no rule for that.
        ("yes", "no", "FAIL", "a token replaced an object"),
    ],
)
def test_it_says_whether_a_token_overwrites(
    tmp_path: Path, deployed: str, given: str, outcome: str, says: str
) -> None:
    with running_function(tmp_path, OVERWRITE=deployed) as running:
        table = smoke(running.url, UPLOAD="1", OVERWRITE=given)
    table.check("overwriting", outcome, says)
    assert table.failed == ({"overwriting"} if outcome == "FAIL" else set())


def test_it_says_which_signature_each_client_uses_and_what_makes_it_v4(
    function: RunningFunction,
) -> None:
    table = smoke(function.url, UPLOAD="1")
    table.check("upload", "PASS", "signed with V4")
    lines = {
        "Android": 'conf.setSignVersion(SignVersion.V4); client.setRegion("cn-hangzhou")',
        "iOS": 'conf.signVersion = OSSSignVersionV4; client.region = @"cn-hangzhou"',
        "ali-oss": "authorizationV4: true, region: 'oss-cn-hangzhou'",
        "oss2": "StsAuth(..., auth_version='v4'), Bucket(..., region='cn-hangzhou')",
    }
    for client, line in lines.items():
        table.check(f"OSS signature: {client}", "NOTE", "V1 by default", line)
    table.check("OSS signature: alibabacloud-oss-v2", "NOTE", "V4 always")
    # The last line counts only WARN lines, because a NOTE line reports no fault.
    looked_at = sum(outcome == "WARN" for outcome, _ in table.lines.values())
    assert f", {looked_at} to look at" in table.text.splitlines()[-1]
    without = smoke(function.url)
    assert not [name for name in without.lines if name.startswith("OSS signature")]


def test_it_passes_against_the_function_that_wants_logins(
    login_function: RunningFunction, login: str
) -> None:
    table = smoke(login_function.url, LOGIN=login, ORIGIN=ORIGIN, UPLOAD="1")
    assert not table.failed, table.text
    table.check("token", "PASS", "uploads/alice/")
    table.check("page", "PASS", "login in the header")
    table.check("logins", "PASS", "an altered login and with an unsigned login are refused")
    table.check("upload", "PASS", "uploads/alice/smoke-test-")
    assert login not in table.text


def test_without_a_login_it_says_that_one_is_wanted(login_function: RunningFunction) -> None:
    table = smoke(login_function.url)
    table.check("token", "FAIL", "AUTH=jwt", "LOGIN")
    table.check("Android", "SKIP", "a token needs a login")
    assert table.text.count("FAIL") == 1


def test_for_a_caller_it_makes_the_login_with_the_deployments_secret(
    login_function: RunningFunction,
) -> None:
    secret = login_function.cloud.env["JWT_SECRET"]
    done = run(*make("smoke", f"URL={login_function.url}", "CALLER=carol"), JWT_SECRET=secret)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "uploads/carol/" in done.stdout
    assert "eyJ" not in done.stdout + done.stderr
    assert secret not in done.stdout + done.stderr


def test_it_makes_no_login_that_nobody_asked_for(login_function: RunningFunction) -> None:
    """Even with JWT_SECRET, `make smoke` makes no login by itself, because the host of URL would
    see it."""
    table = smoke(login_function.url, JWT_SECRET=login_function.cloud.env["JWT_SECRET"])
    table.check("token", "FAIL", "AUTH=jwt", "CALLER=alice", "JWT_SECRET", "make login")


def test_an_expired_login_is_named(login_function: RunningFunction) -> None:
    secret = login_function.cloud.env["JWT_SECRET"]
    login = jwt.encode({"sub": "alice", "exp": int(time.time()) - 3600}, secret, "HS256")
    table = smoke(login_function.url, LOGIN=login)
    table.check("token", "FAIL", "ExpiredToken")
    table.check("upload", "SKIP")


def test_a_function_with_real_error_statuses_is_sound_but_for_android(tmp_path: Path) -> None:
    with running_function(tmp_path, HTTP_ERROR_STATUS="real") as running:
        table = smoke(running.url)
    assert not table.failed, table.text
    table.check("failures", "WARN", "HTTP 404", "Android")


def test_a_function_without_tokens_is_sound(tmp_path: Path) -> None:
    with running_function(tmp_path, ENABLED_ROUTES="signed-url,form") as running:
        table = smoke(running.url, UPLOAD="1")
    assert not table.failed, table.text
    for line in ("token", "expiration", "Android", "page", "upload"):
        table.check(line, "SKIP")
    assert "ENABLED_ROUTES closes their routes" in table.text


def test_a_misconfigured_function_is_named_by_its_health(tmp_path: Path) -> None:
    with running_function(tmp_path) as running:
        del running.cloud.env["ROLE_ARN"]
        table = smoke(running.url)
    table.check("health", "FAIL", "Misconfiguration", "ROLE_ARN")
    table.check("token", "FAIL", "Misconfiguration", "ROLE_ARN")


def test_the_limit_of_an_answer_is_what_android_holds_its_uploads_for() -> None:
    assert checks.ANSWER_SECONDS == 5


# The upload


@contextmanager
def with_an_operator(running: RunningFunction, folder: Path, *actions: str) -> Iterator[str]:
    """Yield the function's URL. The function's tokens name the address of a simulated OSS, which
    also accepts the operator's own key."""
    made, account = running.cloud.cloud, "1234567890123456"
    role = made.identities.role(running.cloud.env["ROLE_ARN"])
    assert role is not None
    statement = {"Effect": "Allow", "Action": actions, "Resource": f"acs:oss:*:*:{made.bucket}/*"}
    policy = Policy.parse(json.dumps({"Version": "1", "Statement": [statement]}))
    key_id, secret = KEY.values()
    key = AccessKey(key_id, secret, f"acs:ram::{account}:user/operator", (policy,))
    seal = bytes.fromhex(cloud.load_secrets(folder).seal_key)
    identities = Identities(account, seal, [key], [role])
    app = oss.create_app(made.storage, identities, region=made.region, default_bucket=made.bucket)
    service = Service(app, listen(0))

    def lead(exchange: Exchange) -> None:
        endpoint = f"http://127.0.0.1:{service.port}"
        exchange.rewrite(lambda document: document["Scope"].update(Endpoint=endpoint))

    with in_background([service]), faulty(running.url, lead) as url:
        yield url


def keys_in(running: RunningFunction) -> list[str]:
    made = running.cloud.cloud
    found = made.storage.keys_from(made.bucket, b"", inclusive=True, prefix=b"", limit=99)
    return [info.key for info in found]


def test_what_was_written_is_deleted_with_the_operators_own_key(tmp_path: Path) -> None:
    with (
        running_function(tmp_path) as running,
        with_an_operator(running, tmp_path, "oss:DeleteObject") as url,
    ):
        table = smoke(url, UPLOAD="1", **KEY)
        left = keys_in(running)
    assert not table.failed, table.text
    table.check("upload", "PASS")
    table.check("clean-up", "PASS", "operator's own key")
    assert left == []


def test_what_the_operator_may_not_delete_is_said_to_stay(tmp_path: Path) -> None:
    with (
        running_function(tmp_path) as running,
        with_an_operator(running, tmp_path, "oss:GetObject") as url,
    ):
        table = smoke(url, UPLOAD="1", **KEY)
        left = keys_in(running)
    assert not table.failed, table.text
    table.check("clean-up", "WARN", "AccessDenied", *left)
    assert len(left) == 1
    assert left[0].startswith("uploads/smoke-test-")


def test_a_token_that_may_only_read_uploads_nothing(
    login_function: RunningFunction, login: str
) -> None:
    table = smoke(f"{login_function.url}?policy=bucket_read_policy", LOGIN=login, UPLOAD="1")
    assert not table.failed, table.text
    table.check("upload", "SKIP", "bucket_read_policy")
    table.check("clean-up", "SKIP", "nothing was written")


def test_an_object_of_the_callers_is_never_overwritten(function: RunningFunction) -> None:
    table = smoke(f"{function.url}?object=precious.jpg", UPLOAD="1")
    table.check("upload", "FAIL", "must not overwrite")
    table.check("clean-up", "SKIP")


def test_neighbours_are_the_sibling_the_same_beginning_and_the_top() -> None:
    assert upload.neighbours("uploads/alice/", "m") == ("uploads/m/", "uploads/alice-m/", "")
    assert upload.neighbours("uploads/", "m") == ("m/", "uploads-m/", "")


# TLS


def test_a_trusted_certificate_is_passed_and_its_end_is_seen(
    function: RunningFunction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = certificate(tmp_path, "localhost", days=90)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with faulty(function.url, sound, tls=server_context(pem)) as url:
        table = smoke(url)
    assert not table.failed, table.text
    table.check("connection", "PASS", "TLS is verified", "expires in 90 days")


def test_a_certificate_that_ends_soon_is_a_warning(
    function: RunningFunction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = certificate(tmp_path, "localhost", days=3)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with faulty(function.url, sound, tls=server_context(pem)) as url:
        table = smoke(url)
    table.check("connection", "WARN", "expires in 3 days")


def test_an_untrusted_certificate_ends_the_test_before_the_login_is_sent(
    login_function: RunningFunction, login: str, tmp_path: Path
) -> None:
    seen: list[Exchange] = []
    pem = certificate(tmp_path, "localhost")
    with faulty(login_function.url, sound, before=seen.append, tls=server_context(pem)) as url:
        table = smoke(url, LOGIN=login)
    table.check("connection", "FAIL", "certificate cannot be trusted")
    assert seen == []
    assert set(table.lines) == {"address", "connection", "all else"}


def test_plain_http_beyond_loopback_is_refused_before_anything_is_sent() -> None:
    table = smoke("http://token.example.com/", LOGIN="l0gin")
    table.check("address", "FAIL", "plain http")
    assert set(table.lines) == {"address", "all else"}


def test_a_dead_address_is_one_line() -> None:
    with listen(0) as listener:
        port = listener.getsockname()[1]
    table = smoke(f"http://127.0.0.1:{port}")
    table.check("connection", "FAIL", "refused")


def test_a_server_that_is_none_of_http_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        answer = threading.Thread(target=say, args=(server, b"SSH-2.0-OpenSSH_9.2\r\n"))
        answer.start()
        table = smoke(f"http://127.0.0.1:{server.getsockname()[1]}")
        answer.join()
    table.check("connection", "FAIL", "not valid HTTP")


def say(server: socket.socket, text: bytes) -> None:
    sock, _ = server.accept()
    with sock:
        sock.recv(65536)
        sock.sendall(text)


def test_an_answer_that_drips_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte arrives quickly, so the timeout of the socket would never end the exchange."""
    monkeypatch.setattr(wire, "GIVE_UP_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        answer = threading.Thread(target=drip, args=(server,))
        answer.start()
        table = smoke(f"http://127.0.0.1:{server.getsockname()[1]}")
        answer.join()
    table.check("connection", "FAIL", "no complete answer", "Android")


def test_a_socket_that_is_closed_as_it_is_given_up_is_no_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The timeout of the socket has the same length as GIVE_UP_SECONDS. Therefore the socket may
    already be closed when it is shut down. pytest would report an exception in this thread as an
    error."""
    hang_up = socket.socket.shutdown

    def too_late(sock: socket.socket, how: int) -> None:
        hang_up(sock, how)
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(socket.socket, "shutdown", too_late)
    test_an_answer_that_drips_ends_all_the_same(monkeypatch)


def drip(server: socket.socket) -> None:
    sock, _ = server.accept()
    with sock, suppress(OSError):
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + bytes(900):
            sock.sendall(bytes([byte]))
            time.sleep(0.05)


# The command, run as users run it


def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return run_tool("ops.smoke", *command, seconds=30, **variables)


def test_make_smoke_prints_the_table_and_succeeds(
    login_function: RunningFunction, login: str
) -> None:
    done = run(*make("smoke", f"URL={login_function.url}"), LOGIN=login)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS  token" in done.stdout
    assert login not in done.stdout + done.stderr
    assert done.stderr == ""


def test_a_failed_line_is_the_exit_status(function: RunningFunction) -> None:
    def html(exchange: Exchange) -> None:
        exchange.body = b"<!DOCTYPE html><title>Welcome</title>"

    with faulty(function.url, html) as url:
        done = run(URL=url)
    assert done.returncode == 1
    assert "FAIL  token" in done.stdout
    assert done.stdout.endswith("explains each line, and docs/errors.md each code\n")
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("variables", "word"),
    [
        ({}, "URL"),
        ({"URL": ""}, "URL"),
        ({"URL": "ftp://a.example"}, "URL"),
        ({"URL": "https://user@a.example"}, "URL"),
        ({"URL": "https://a.example:99999"}, "URL"),
        ({"URL": "https://a.example/#x"}, "URL"),
        ({"URL": "https://a.example/\r\nX: y"}, "URL"),
        ({"URL": "https://[::1"}, "URL"),
        ({"URL": "https://a.example/?access_token=s3cret"}, "LOGIN"),
        ({"LOGIN": "two words"}, "LOGIN"),
        ({"LOGIN": "a\r\nX: y"}, "LOGIN"),
        ({"LOGIN": "x" * 9000}, "LOGIN"),
        ({"LOGIN": "l0gin", "CALLER": "alice"}, "CALLER makes a login"),
        ({"CALLER": "alice"}, "JWT_SECRET"),
        ({"CALLER": "alice", "JWT_SECRET": "s3cret"}, "JWT_SECRET"),
        ({"CALLER": "alice", "AUTH": "anonymous"}, "AUTH"),
        ({"CALLER": "alice", "JWT_JWKS_URL": "https://a.example/"}, "JWT_JWKS_URL"),
        ({"ORIGIN": "app.example.com"}, "ORIGIN"),
        ({"ORIGIN": "https://app.example.com/"}, "ORIGIN"),
        ({"ORIGIN": "https://a.example,https://b.example"}, "ORIGIN must be one origin"),
        ({"ORIGIN": "https://app.example.com:443"}, "ORIGIN"),
        ({"ORIGIN": "*"}, "capacitor://localhost"),
        ({"UPLOAD": "yes"}, "UPLOAD"),
        ({"SIGN": "2"}, "SIGN"),
        ({"SIGN": "1"}, "ALIBABA_CLOUD_ACCESS_KEY_ID"),
        ({"FC2": "a/b"}, "ALIBABA_CLOUD_ACCESS_KEY_ID"),
        ({"FC2": "service", **KEY}, "FC2"),
        ({"FC2": "service/function/more", **KEY}, "FC2"),
        ({"FC2": "../x/function", **KEY}, "FC2"),
        ({"FC2": "a/b", "SIGN": "1", **KEY}, "SIGN"),
        ({"FC2": "a/b", "URL": "https://a.example/path", **KEY}, "URL"),
        ({"ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAI5t"}, "ALIBABA_CLOUD_ACCESS_KEY_SECRET"),
    ],
)
def test_a_wrong_variable_is_named_and_its_value_is_not_shown(
    variables: dict[str, str], word: str
) -> None:
    given = {"URL": "https://a.example", **variables} if variables else {}
    with pytest.raises(UsageError) as caught:
        read_options(given)
    message = str(caught.value)
    assert word in message
    assert "\n" not in message
    assert "s3cret" not in message
    assert KEY["ALIBABA_CLOUD_ACCESS_KEY_SECRET"] not in message


def test_a_wrong_variable_is_one_line_on_stderr() -> None:
    done = run(URL="nonsense", LOGIN="l0gin")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("make smoke: URL must be ")
    assert len(done.stderr.splitlines()) == 1
    assert "l0gin" not in done.stderr


def test_options_show_no_secret() -> None:
    options = read_options({"URL": "https://a.example", "LOGIN": "l0gin", **KEY})
    assert "l0gin" not in repr(options)
    assert KEY["ALIBABA_CLOUD_ACCESS_KEY_SECRET"] not in repr(options)


def test_a_token_url_may_be_given_with_its_route_and_with_wishes() -> None:
    address = read_options({"URL": "https://A.example:8443/api/sts/?duration=900"}).address
    assert (address.host, address.port, address.base) == ("a.example", 8443, "/api")
    assert address.query == {"duration": "900"}
    assert str(address) == "https://a.example:8443/api/"
