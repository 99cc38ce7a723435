"""`make run` and `make token` as people use them: processes, with ports, signals and a terminal."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import oss2
import pytest
import requests

import needs
from running_cloud import Token
from running_sandbox import (
    ROOT,
    RUN,
    TOKEN,
    Sandbox,
    are_free,
    environment,
    finished,
    free_port,
    given,
    make,
    running,
    running_by_make,
    secrets_of,
    wait_for,
)
from sandbox import sts
from sandbox.command_line import OWN_VARIABLES
from sandbox.environment import RULES
from sandbox.identities import AccessKey, Identities, Role
from sandbox.ram import Policy
from sandbox.servers import Service, in_background, listen
from scripted_sts import hang, scripted_sts

CLEAN = (sys.executable, "-m", "sandbox", "clean")
ROLE_ARN = "acs:ram::42:role/upload"
KEY = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAI5tOwn",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "own-secret",
}
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def check_refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Check that stderr has one clear line, stdout is empty, and the exit status is 1."""
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr


def check_refused_token(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Check a refusal as check_refused() does, but for `make token`, which also prints the error's
    JSON on stdout."""
    printed = json.loads(done.stdout)
    assert (printed["StatusCode"], printed["ErrorCode"]) == (500, "Misconfiguration")
    for word in words:
        assert word in printed["ErrorMessage"]
    done.stdout = ""
    check_refused(done, "make token: ", *words)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    folder = tmp_path_factory.mktemp("run") / "state"
    with running(folder) as sandbox:
        yield sandbox


# What a run shows, and gives


def test_a_run_prints_the_token_url_and_a_first_command(sandbox: Sandbox) -> None:
    lines = [line.strip() for line in sandbox.stdout.splitlines()]
    assert f"token URL  http://127.0.0.1:{sandbox.port}/" in lines
    assert f"Try:  curl http://127.0.0.1:{sandbox.port}/" in lines
    for port in (sandbox.port + 1, sandbox.port + 2):
        assert f"http://127.0.0.1:{port}" in sandbox.stdout
    assert "AUTH=anonymous" in sandbox.stdout


def test_the_first_lines_are_the_page_the_token_url_and_what_is_deployed(sandbox: Sandbox) -> None:
    url = f"http://127.0.0.1:{sandbox.port}/"
    page, token_url, deployed = sandbox.stdout.splitlines()[:3]
    assert page.split()[:2] == ["page", f"{url}app/"]
    assert token_url == f"  token URL  {url}"
    assert "has AUTH=jwt by default, and its tokens cannot read objects" in deployed
    to_try = f"make run PORT={sandbox.port} AUTH=jwt POLICY_FILE=bucket_write_policy"
    assert deployed.endswith(to_try)
    # Without a terminal, the output has no control sequences.
    assert "\x1b" not in sandbox.stdout


def test_the_command_of_the_third_line_plays_what_is_deployed(tmp_path: Path) -> None:
    """A token for a signed-in user, who may write but not read in their own folder."""
    arguments = ("AUTH=jwt", "POLICY_FILE=bucket_write_policy")
    with running_by_make(tmp_path / "state", 0, *arguments) as sandbox:
        assert sandbox.stdout.splitlines()[2].endswith(
            "and its tokens cannot read objects; this run has the same settings"
        )
        login = sandbox.answer(path="/sandbox/login?user=alice")["access_token"]
        bucket = Token.of(sandbox.answer(path=f"/?access_token={login}")).oss2("v4")
        bucket.put_object("uploads/alice/a", b"Hello")
        with pytest.raises(oss2.exceptions.AccessDenied):
            bucket.get_object("uploads/alice/a")


@pytest.mark.parametrize("variables", [{}, {"POLICY_FILE": " "}])
def test_a_newcomer_reads_what_was_uploaded(tmp_path: Path, variables: dict[str, str]) -> None:
    with running(tmp_path / "state", **variables) as sandbox:
        assert sandbox.answer()["Scope"]["Policy"] == "bucket_read_write_policy"
        bucket = sandbox.bucket()
        bucket.put_object("uploads/a", b"Hello")
        assert bucket.get_object("uploads/a").read() == b"Hello"
        listed = bucket.list_objects_v2(prefix="uploads/").object_list
        assert [found.key for found in listed] == ["uploads/a"]
        # `make token` uses the same default POLICY_FILE as a deployment.
        printed = finished(TOKEN, sandbox.folder, PORT=str(sandbox.port))
        assert check_printed(printed)["Scope"]["Policy"] == "bucket_write_policy"


def on_a_terminal(folder: Path, **variables: str) -> list[str]:
    """The lines of `make run` if stdout and stderr are one terminal."""
    port = free_port()
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        make("run", f"PORT={port}"),
        cwd=folder,
        env=environment(folder / "state", **{"TERM": "xterm", **variables}),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    said = b""
    try:
        while b"Ctrl-C ends it." not in said:
            said += os.read(ours, 1000)
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(10)
        os.close(ours)
    return said.decode().replace(str(port), "7080").splitlines()


def test_on_a_terminal_the_first_line_is_the_page_and_a_link(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1\n")
    url = "http://127.0.0.1:7080/app/"
    lines = on_a_terminal(tmp_path)
    assert f"\x1b]8;;{url}\x1b\\{url}\x1b]8;;\x1b\\" in lines[0]
    assert lines[1] == "  token URL  http://127.0.0.1:7080/"
    # Warnings come after the banner.
    assert not any(".env" in line for line in lines[:3])


@pytest.mark.slow
@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_who_wants_no_colour_gets_a_plain_line(tmp_path: Path, variables: dict[str, str]) -> None:
    lines = on_a_terminal(tmp_path, **variables)
    assert lines[0].split()[:2] == ["page", "http://127.0.0.1:7080/app/"]
    assert not any("\x1b" in line for line in lines)


def test_the_first_command_prints_a_token(sandbox: Sandbox) -> None:
    needs.program("curl")
    command = sandbox.stdout.partition("Try:")[2].splitlines()[0].split()
    done = finished(command, sandbox.folder)
    assert json.loads(done.stdout)["StatusCode"] == 200


def test_the_token_opens_the_prefix_and_nothing_else(sandbox: Sandbox) -> None:
    token = Token.of(sandbox.answer())
    assert token.endpoint == f"http://127.0.0.1:{sandbox.port + 1}"
    bucket = token.oss2("v4")
    assert bucket.put_object(f"{token.prefix}a", b"Hello").status == 200
    for key in ("a", "uploads2/a"):
        with pytest.raises(oss2.exceptions.AccessDenied):
            bucket.put_object(key, b"Hello")


def test_a_client_that_signs_with_v1_is_told_what_to_change(sandbox: Sandbox) -> None:
    token = Token.of(sandbox.answer())
    with pytest.raises(oss2.exceptions.ServerError) as error:
        token.oss2("v1").put_object(f"{token.prefix}a", b"Hello")
    assert (error.value.status, error.value.code) == (403, "SignatureV1Refused")
    assert "auth_version='v4'" in error.value.message
    assert "403 SignatureV1Refused" in sandbox.stderr


def test_signature_v1_is_taken_where_that_is_asked_for(tmp_path: Path) -> None:
    with running(tmp_path / "state", SIGNATURE_V1="1") as sandbox:
        assert "V1 as for old buckets" in sandbox.stdout
        token = Token.of(sandbox.answer())
        for version in ("v1", "v4"):
            assert token.oss2(version).put_object(f"{token.prefix}a", b"Hello").status == 200


def test_localhost_works_as_well(sandbox: Sandbox) -> None:
    answer = sandbox.answer("localhost")
    answer["Scope"]["Endpoint"] = answer["Scope"]["Endpoint"].replace("127.0.0.1", "localhost")
    token = Token.of(answer)
    assert "localhost" in token.endpoint
    assert token.oss2("v4").put_object("uploads/by-name", b"Hello").status == 200


def test_nothing_listens_beyond_loopback(sandbox: Sandbox) -> None:
    addresses = socket.gethostbyname_ex(socket.gethostname())[2]
    for address in (address for address in addresses if not address.startswith("127.")):
        for offset in range(3):
            with pytest.raises(OSError, match=r"refused|timed out|nreachable"):
                socket.create_connection((address, sandbox.port + offset), timeout=5)


def test_what_is_set_wins(tmp_path: Path) -> None:
    variables = {
        "POLICY_FILE": "bucket_read_write_policy",
        "BUCKET_NAME": "my-bucket",
        "OBJECT_PREFIX": "photos/",
        "TOKEN_EXPIRE_TIME": "3600",
        "OSS_REGION": "cn-beijing",
    }
    with running(tmp_path / "state", 0, given(RUN, "BUCKET_NAME"), **variables) as sandbox:
        answer = sandbox.answer()
        assert answer["Scope"]["Policy"] == "bucket_read_write_policy"
        token = Token.of(answer)
        assert (token.bucket, token.prefix, token.region) == ("my-bucket", "photos/", "cn-beijing")
        bucket = token.oss2("v4")
        bucket.put_object("photos/a", b"Hello")
        assert bucket.get_object("photos/a").read() == b"Hello"


# Each user a folder of their own


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    folder = tmp_path_factory.mktemp("users") / "state"
    with running(folder, AUTH="jwt") as sandbox:
        yield sandbox


def test_a_login_opens_ones_own_folder(users: Sandbox) -> None:
    login = users.answer(path="/sandbox/login?user=alice")["access_token"]
    answer = users.answer(path=f"/?access_token={login}")
    assert answer["Scope"]["Prefix"] == "uploads/alice/"
    assert Token.of(answer).oss2("v4").put_object("uploads/alice/a", b"Hello").status == 200
    assert users.answer()["ErrorCode"] == "MissingToken"
    assert login not in users.stdout + users.stderr


def in_a_shell(commands: str, folder: Path) -> subprocess.CompletedProcess[str]:
    needs.program("curl")
    return subprocess.run(
        ["sh", "-c", commands],  # noqa: S607 - whichever a newcomer has
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        encoding="utf-8",
        timeout=20,
        check=False,
    )


def test_the_first_commands_upload_as_alice_and_are_refused_in_bobs_folder(
    users: Sandbox, tmp_path: Path
) -> None:
    commands = users.stdout.partition("Try, as alice:")[2].partition("Ctrl-C")[0]
    done = in_a_shell(commands, tmp_path)
    assert (done.returncode, done.stdout) == (1, "200\n")
    assert done.stderr.splitlines()[-1].startswith("oss2.exceptions.AccessDenied: {'status': 403")


STRANGE = """{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "oss:PutObject",
  "Resource": "acs:oss:*:*:{{ bucket }}/{{ keys }}",
  "Condition": {"Bool": {"acs:MFAPresent": "true"}}}]}"""


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["bucket_read_policy", "all_policy", "strange.json.j2"])
def test_no_upload_is_shown_that_would_not_end_as_it_says(tmp_path: Path, policy: str) -> None:
    """bucket_read_policy allows no upload. all_policy also allows uploads into bob's folder. The
    sandbox cannot tell what strange.json.j2 allows."""
    own = tmp_path / policy
    if "." in policy:
        own.write_text(STRANGE, encoding="utf-8")
    named = str(own) if own.exists() else policy
    with running(tmp_path / "state", AUTH="jwt", POLICY_FILE=named) as sandbox:
        assert "Try, as alice:" in sandbox.stdout
        assert "AccessDenied" not in sandbox.stdout


def test_with_keys_of_ones_own_the_sandbox_signs_no_login(tmp_path: Path) -> None:
    secret = "own-secret-of-more-than-32-bytes!"
    command = given(RUN, "JWT_SECRET")
    with running(tmp_path / "state", 0, command, AUTH="jwt", JWT_SECRET=secret) as sandbox:
        status, error = sandbox.ask("/sandbox/login?user=alice")
        assert (status, error["ErrorCode"]) == (404, "NotFound")
        assert "JWT_SECRET" in error["ErrorMessage"]
        assert "/sandbox/login" not in sandbox.stdout
        login = jwt.encode({"sub": "alice", "exp": time.time() + 60}, secret)
        assert sandbox.answer(path=f"/?access_token={login}")["StatusCode"] == 200
        assert secret not in sandbox.stdout + sandbox.stderr


def test_where_all_share_a_folder_nobody_signs_in(sandbox: Sandbox) -> None:
    status, error = sandbox.ask("/sandbox/login?user=alice")
    assert (status, error["ErrorCode"]) == (404, "NotFound")
    assert "there is no sign-in with AUTH=anonymous" in error["ErrorMessage"]
    assert "make run AUTH=jwt" in error["ErrorMessage"]


@pytest.mark.parametrize(
    ("caller", "prefix"),
    [
        ({}, "uploads/alice/"),
        ({"CALLER": "bob"}, "uploads/bob/"),
        ({"CALLER": "../bob"}, "uploads/~ksbadruduxjbi47smpj6sz5gkbywthck/"),
    ],
)
def test_a_token_is_for_whoever_is_named(
    users: Sandbox, caller: dict[str, str], prefix: str
) -> None:
    done = finished(TOKEN, users.folder, PORT=str(users.port), AUTH="jwt", **caller)
    token = Token.of(check_printed(done))
    assert token.prefix == prefix
    assert token.oss2("v4").put_object(f"{prefix}a", b"Hello").status == 200


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"CALLER": "alice"}, ["CALLER", "AUTH=jwt"]),
        ({"AUTH": "jwt", "JWT_SECRET": "o" * 32}, ["login", "Authorization: Bearer"]),
        (
            {"AUTH": "jwt", "JWT_SECRET": "o" * 32, "CLOUD": "1", **KEY, "ROLE_ARN": ROLE_ARN},
            ["login", "Authorization: Bearer"],
        ),
        ({"AUTH": "jwt", "CLOUD": "1", **KEY, "ROLE_ARN": ROLE_ARN}, ["JWT_SECRET: not set"]),
    ],
)
def test_a_token_for_nobody_is_one_line_that_says_what_it_needs(
    tmp_path: Path, variables: dict[str, str], words: list[str]
) -> None:
    done = finished(given(TOKEN, *variables), tmp_path / "state", **variables)
    check_refused_token(done, *words)


def test_what_oss_answers_is_a_line_without_signature_or_token(tmp_path: Path) -> None:
    with running(tmp_path / "state", POLICY_FILE="bucket_write_policy") as sandbox:
        token = Token.of(sandbox.answer())
        token.oss2("v4").put_object("uploads/a b", b"Hello")
        with pytest.raises(oss2.exceptions.AccessDenied):
            token.oss2("v4").put_object("theirs", b"Hello")
        requests.get(token.oss2("v4").sign_url("GET", "uploads/a b", 60), timeout=10)
        said = sandbox.stderr
    assert re.search(
        r"^..:..:.. function GET / 200 \(.*cache miss, STS .* ms, .* ms\)$", said, re.M
    )
    assert " OSS      PUT /sandbox-bucket/uploads/a%20b 200\n" in said
    assert " OSS      PUT /sandbox-bucket/theirs 403 AccessDenied: oss:PutObject on " in said
    assert " OSS      GET /sandbox-bucket/uploads/a%20b 403 AccessDenied: oss:GetObject on " in said
    for secret in (token.access_key_id, token.access_key_secret, token.security_token):
        assert secret not in said


@pytest.mark.slow
def test_what_is_stored_is_removed_but_not_under_a_running_sandbox(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with running(folder) as sandbox:
        check_refused(
            finished(CLEAN, folder), "make clean: ", "a sandbox is using", "stop it first"
        )
        sandbox.bucket().put_object("uploads/still-there", b"Hello")
    assert finished(CLEAN, folder).returncode == 0
    assert not folder.exists()
    assert finished(CLEAN, folder).returncode == 0


# An account of today


def finds_names(folder: Path, *, finds: bool) -> str:
    """Return a PYTHONPATH with a module that replaces Python's name lookup. With `finds`, Python
    resolves every name below localhost. Without it, Python resolves none of these names. What the
    machine itself can resolve makes no difference."""
    address = "'127.0.0.1'" if finds else "'no-such-name.invalid'"
    code = (
        "import socket\n"
        "find = socket.getaddrinfo\n"
        "socket.getaddrinfo = lambda host, *more, **options: find(\n"
        f"    {address} if str(host).endswith('.localhost') else host, *more, **options)\n"
    )
    (folder / "sitecustomize.py").write_text(code)
    return f"{folder}:{environment(folder)['PYTHONPATH']}"


HINT = 'Python and Node.js may not find files.localhost; add "127.0.0.1 files.localhost" to'


def facts(sandbox: Sandbox) -> list[str]:
    return [" ".join(line.split()) for line in sandbox.stdout.splitlines()]


def test_a_closed_public_endpoint_is_told_at_the_start(tmp_path: Path) -> None:
    path = finds_names(tmp_path, finds=False)
    variables = {"AUTH": "jwt", "PUBLIC_ENDPOINT": "closed", "PYTHONPATH": path}
    with running(tmp_path / "state", **variables) as sandbox:
        port, lines = sandbox.port, facts(sandbox)
        own = f"http://files.localhost:{port + 1}"
        assert f"OSS {own} bucket sandbox-bucket; the bucket's own domain (CNAME)" in lines
        assert f"closed http://127.0.0.1:{port + 1}, the public endpoint (no data calls)" in lines
        assert f"internal http://127.0.0.1:{port + 3}, for the function's own calls" in lines
        assert sandbox.stdout.count(own) == 1
        # The output contains no command that would fail.
        assert f"{HINT} /etc/hosts" in lines
        assert "put " not in sandbox.stdout
        done = finished(TOKEN, sandbox.folder, PORT=str(port), PUBLIC_ENDPOINT="closed")
        token = Token.of(check_printed(done))
        assert token.endpoint == own
        with pytest.raises(oss2.exceptions.OssError) as refused:
            replace(token, endpoint=sandbox.endpoint).oss2("v4").put_object("uploads/a", b"Hello")
        assert refused.value.code == "PublicEndpointForbidden"
    assert are_free(port, 4)


@pytest.mark.slow
def test_where_the_buckets_own_domain_is_found_the_first_commands_upload_by_it(
    tmp_path: Path,
) -> None:
    path = finds_names(tmp_path, finds=True)
    variables = {"AUTH": "jwt", "PUBLIC_ENDPOINT": "closed", "PYTHONPATH": path}
    with running(tmp_path / "state", **variables) as sandbox:
        assert HINT not in sandbox.stdout
        commands = sandbox.stdout.partition("Try, as alice:")[2].partition("Ctrl-C")[0]
        done = in_a_shell(f"export PYTHONPATH={path}\n{commands}", tmp_path)
        assert (done.returncode, done.stdout) == (1, "200\n"), done.stderr
        assert "AccessDenied" in done.stderr.splitlines()[-1]


def test_the_line_of_oss_says_where_tokens_lead_and_no_address_is_there_twice(
    tmp_path: Path,
) -> None:
    port = free_port()
    public = f"http://127.0.0.1:{port + 1}"
    variables = {"AUTH": "jwt", "PUBLIC_ENDPOINT": "closed", "OSS_ENDPOINT": public}
    with running(tmp_path / "state", port, given(RUN, "OSS_ENDPOINT"), **variables) as sandbox:
        lines = facts(sandbox)
        assert f"OSS {public} bucket sandbox-bucket; the public endpoint (no data calls)" in lines
        assert f"domain http://files.localhost:{port + 1}, the bucket's own domain (CNAME)" in lines
        assert sandbox.stdout.count(public) == 1
        # The upload would be refused.
        assert "put " not in sandbox.stdout


def test_the_documented_commands_upload_by_the_buckets_own_domain(tmp_path: Path) -> None:
    needs.program("curl")
    page = (ROOT / "docs" / "sandbox.md").read_text(encoding="utf-8")
    section = page.partition("\n## An account of today\n")[2]
    commands = section.partition("```sh\n")[2].partition("```")[0]
    with running(tmp_path / "state", PUBLIC_ENDPOINT="closed") as sandbox:
        done = finished(["sh", "-c", commands.replace("7080", str(sandbox.port))], sandbox.folder)
        assert (done.returncode, done.stdout) == (0, "200\n"), done.stderr
        assert "PUT /uploads/hello.txt 200" in sandbox.stderr


def test_an_open_sandbox_has_no_internal_endpoint(sandbox: Sandbox) -> None:
    assert "internal" not in sandbox.stdout
    assert are_free(sandbox.port + 3, 1)


def test_make_hands_the_closed_endpoint_on(tmp_path: Path) -> None:
    arguments = ("PUBLIC_ENDPOINT=closed",)
    with running_by_make(tmp_path / "state", 0, *arguments) as sandbox:
        endpoint = sandbox.answer()["Scope"]["Endpoint"]
        assert endpoint == f"http://files.localhost:{sandbox.port + 1}"


def test_a_bare_name_of_the_buckets_domain_is_no_https(tmp_path: Path) -> None:
    port = free_port()
    env = {"PORT": str(port), "OSS_ENDPOINT": f"files.localhost:{port + 1}"}
    done = finished(given(RUN, "OSS_ENDPOINT"), tmp_path / "state", **env)
    check_refused(done, "OSS_ENDPOINT: ", f"http://files.localhost:{port + 1}")


# Through make


def test_make_hands_variables_on_and_ends_with_all_its_processes(tmp_path: Path) -> None:
    port = free_port()
    variables = ("POLICY_FILE=bucket_read_write_policy", "SIGNATURE_V1=1")
    command = make("run", f"PORT={port}", *variables)
    with running(tmp_path / "state", port, command) as sandbox:
        token = sandbox.answer()
        assert token["Scope"]["Policy"] == "bucket_read_write_policy"
        assert Token.of(token).oss2("v1").put_object("uploads/a", b"Hello").status == 200
        again = finished(make("token", f"PORT={port}"), sandbox.folder)
        assert Token.of(json.loads(again.stdout)).endpoint == f"http://127.0.0.1:{port + 1}"
        # Like Ctrl-C, this sends the signal to every process in the terminal's group.
        os.killpg(sandbox.process.pid, signal.SIGINT)
        sandbox.process.wait(3)
        sandbox.check_gone()


# The end


@contextlib.contextmanager
def stuck_upload(url: str, folder: Path) -> Iterator[None]:
    """Hold a connection on which half of an upload has arrived."""
    before = set((folder / "oss" / "data").iterdir())
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as sock:
        head = f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        sock.sendall(head.encode() + b"Content-Length: 6000000\r\n\r\n" + bytes(3_000_000))
        wait_for(lambda: set((folder / "oss" / "data").iterdir()) > before)
        yield


@contextlib.contextmanager
def stuck_download(url: str) -> Iterator[None]:
    """Keep a download open whose client does not read any more."""
    parts = urlsplit(url)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect((parts.hostname, parts.port))
        head = f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n"
        sock.sendall(head.encode())
        assert sock.recv(100).startswith(b"HTTP/1.1 200")
        yield


@contextlib.contextmanager
def half_a_request(port: int) -> Iterator[None]:
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{")
        yield


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_it_at_once(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path / "state") as sandbox:
        began = time.monotonic()
        sandbox.end(number)
        assert time.monotonic() - began < 1


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_it_within_3_s_whatever_is_half_way(
    tmp_path: Path, number: signal.Signals
) -> None:
    with running(tmp_path / "state", POLICY_FILE="bucket_read_write_policy") as sandbox:
        bucket = sandbox.bucket()
        bucket.put_object("uploads/large", bytes(20_000_000))
        with (
            stuck_upload(bucket.sign_url("PUT", "uploads/half", 600), sandbox.folder),
            stuck_download(bucket.sign_url("GET", "uploads/large", 600)),
            half_a_request(sandbox.port),
            half_a_request(sandbox.port + 2),
        ):
            sandbox.end(number)
    with running(tmp_path / "state", POLICY_FILE="bucket_read_write_policy") as again:
        listed = again.bucket().list_objects_v2(prefix="uploads/").object_list
        assert [found.key for found in listed] == ["uploads/large"]
        # No file is left of the upload that was interrupted.
        assert len(list((again.folder / "oss" / "data").iterdir())) == 1


@pytest.mark.slow
def test_a_signal_ends_it_within_3_s_while_sts_does_not_answer(tmp_path: Path) -> None:
    with (
        scripted_sts(hang) as server,
        running(
            tmp_path / "state", 0, given(RUN, "STS_ENDPOINT"), STS_ENDPOINT=server.url
        ) as sandbox,
        socket.create_connection(("127.0.0.1", sandbox.port)) as sock,
    ):
        sock.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        wait_for(lambda: len(server.requests) > 0)
        sandbox.end()


# What outlives a run


def test_objects_and_tokens_outlive_a_restart(tmp_path: Path) -> None:
    port = free_port()
    variables = {"POLICY_FILE": "bucket_read_write_policy"}
    with running(tmp_path / "state", port, **variables) as sandbox:
        bucket = sandbox.bucket()
        bucket.put_object("uploads/before", b"Hello")
    with running(tmp_path / "state", port, **variables) as sandbox:
        assert bucket.get_object("uploads/before").read() == b"Hello"
        bucket.put_object("uploads/after", b"Hello")
        assert sandbox.bucket().get_object("uploads/after").read() == b"Hello"


def test_secrets_are_kept_for_the_owner_and_never_said(sandbox: Sandbox) -> None:
    sandbox.bucket().put_object("uploads/a", b"Hello")
    file = sandbox.folder / "secrets.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    secrets = secrets_of(sandbox.folder)
    assert len(secrets) == 8
    for secret in secrets:
        assert secret not in sandbox.stdout + sandbox.stderr
        assert secret not in json.dumps(sandbox.answer())


def test_the_accounts_key_may_do_what_no_other_key_may(sandbox: Sandbox) -> None:
    # finished() is not used here, because it forbids secrets in the output.
    command = (sys.executable, "-m", "sandbox", "account-key")
    env = {**os.environ, "SANDBOX_DIR": str(sandbox.folder)}
    said = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    key = dict(line.split("=", 1) for line in said.stdout.splitlines())
    assert list(key) == list(KEY)
    service = oss2.Service(oss2.AuthV4(*key.values()), sandbox.endpoint, region="cn-hangzhou")
    assert "sandbox-bucket" in [found.name for found in service.list_buckets().buckets]
    secrets = json.loads((sandbox.folder / "secrets.json").read_text())
    own = oss2.AuthV4(secrets["access_key_id"], secrets["access_key_secret"])
    with pytest.raises(oss2.exceptions.AccessDenied):
        oss2.Service(own, sandbox.endpoint, region="cn-hangzhou").list_buckets()


# What is refused


def test_a_used_port_is_one_clear_line(sandbox: Sandbox, tmp_path: Path) -> None:
    for port in (sandbox.port, sandbox.port - 1, sandbox.port - 2):
        done = finished(RUN, tmp_path / "state", PORT=str(port))
        check_refused(done, f"port {sandbox.port} ", "in use", "make run PORT=")
    # The refused run makes no folder.
    assert not (tmp_path / "state").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"PORT": "abc"}, ["PORT", "65533"]),
        ({"PORT": "0"}, ["PORT", "65533"]),
        ({"PORT": "-1"}, ["PORT", "65533"]),
        ({"PORT": "65534"}, ["PORT", "65533"]),
        ({"PORT": "9" * 5000}, ["PORT", "65533"]),
        ({"PORT": "\uff17\uff10\uff18\uff10"}, ["PORT", "65533"]),
        ({"SIGNATURE_V1": "yes"}, ["SIGNATURE_V1 must be 1", "or 0"]),
        ({"PUBLIC_ENDPOINT": "Closed"}, ["PUBLIC_ENDPOINT", "closed", "open"]),
        ({"PUBLIC_ENDPOINT": "closed", "CLOUD": "1"}, ["PUBLIC_ENDPOINT=closed", "CLOUD=1"]),
        ({"PUBLIC_ENDPOINT": "closed", "PORT": "65533"}, ["PORT", "65532", "three"]),
        ({"TOKEN_EXPIRE_TIME": "5"}, ["TOKEN_EXPIRE_TIME: ", "900"]),
        ({"AUTH": "nonsense"}, ["AUTH: ", "anonymous"]),
        ({"ALLOWED_ORIGINS": "*,null"}, ["ALLOWED_ORIGINS: ", "entry 2 is left out"]),
        ({"ALLOWED_HEADERS": "cookie"}, ["ALLOWED_HEADERS: ", "entry 1 is left out"]),
        ({"POLICY_FILE": "no_such_policy"}, ["POLICY_FILE: ", "bucket_write_policy"]),
        ({"POLICY_CHOICES": "no_such_policy"}, ["POLICY_CHOICES: ", "bucket_write_policy"]),
        ({"HTTP_ERROR_STATUS": "nonsense"}, ["HTTP_ERROR_STATUS: ", "real"]),
        ({"ROLE_ARN": "nonsense"}, ["ROLE_ARN: ", "acs:ram::"]),
        ({"BUCKET_NAME": "My_Bucket"}, ["BUCKET_NAME: ", "3 to 63"]),
        (
            {"UPLOAD_HOOK_URL": "http://127.0.0.1:9/hook", "UPLOAD_HOOK_SECRET": "h" * 32},
            ["CALLBACK_URL: ", "not set"],
        ),
        ({"SANDBOX_DIR": f"{__file__}/state"}, ["SANDBOX_DIR: ", "Not a directory"]),
        ({"CLOUD": "2"}, ["CLOUD must be 1"]),
        ({"CLOUD": "1"}, [*KEY, "ROLE_ARN"]),
        ({"CLOUD": "1", "ROLE_ARN": ROLE_ARN}, [*KEY]),
        ({"CLOUD": "1", **KEY}, ["ROLE_ARN"]),
        ({"CLOUD": "1", **KEY, "ROLE_ARN": "nonsense"}, ["ROLE_ARN: ", "acs:ram::"]),
    ],
    ids=lambda value: (
        " ".join(f"{n}={v[:20]}" for n, v in value.items()) if isinstance(value, dict) else ""
    ),
)
def test_a_wrong_variable_is_one_line_that_names_it(
    tmp_path: Path, variables: dict[str, str], words: list[str]
) -> None:
    env = {"PORT": str(free_port()), "SANDBOX_DIR": str(tmp_path / "state"), **variables}
    folder = Path(env.pop("SANDBOX_DIR"))
    done = finished(given(RUN, *variables), folder, **env)
    check_refused(done, "make run: ", *words)
    assert "own-secret" not in done.stderr


@pytest.mark.slow
def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    wrong = {"URL_EXPIRE_TIME": "soon", "POLICY_FILE": "x", "AUTH": "n0ne", "OBJECT_PREFIX": "up"}
    done = finished(RUN, tmp_path / "state", PORT=str(free_port()), **wrong)
    assert (done.returncode, done.stdout) == (1, "")
    lines = done.stderr.splitlines()
    # The policy file is checked only if all other variables are correct.
    assert [line.split(": ")[:2] for line in lines] == [
        ["make run", "OBJECT_PREFIX"],
        ["make run", "AUTH"],
        ["make run", "URL_EXPIRE_TIME"],
    ]
    assert "1 to 604800" in lines[2]
    assert not any(value in done.stderr for value in ("soon", "n0ne"))
    answer = json.loads(finished(TOKEN, tmp_path / "state", **wrong).stdout)
    assert "AUTH: " in answer["ErrorMessage"]
    assert "URL_EXPIRE_TIME: " in answer["ErrorMessage"]


@pytest.mark.slow
def test_an_endpoint_where_the_sandbox_does_not_speak_tls_is_refused(tmp_path: Path) -> None:
    """A host without a scheme means https. The real OSS accepts https, but the sandbox's OSS
    accepts only http."""
    port = free_port()
    env = {"PORT": str(port), "AUTH": "jwt", "OSS_ENDPOINT": f"localhost:{port + 1}"}
    done = finished(given(RUN, "OSS_ENDPOINT"), tmp_path / "state", **env)
    check_refused(done, "OSS_ENDPOINT: ", f"http://localhost:{port + 1}")
    done = finished(given(TOKEN, "OSS_ENDPOINT"), tmp_path / "state", **env)
    check_refused_token(done, "OSS_ENDPOINT: ", f"http://localhost:{port + 1}")


@pytest.mark.slow
def test_a_template_that_cannot_be_rendered_is_refused_at_once(tmp_path: Path) -> None:
    own = tmp_path / "own.json.j2"
    own.write_text('{"Version": "1", "Statement": [{{ bukcet }}]}')
    env = {"PORT": str(free_port()), "AUTH": "jwt", "POLICY_FILE": str(own)}
    done = finished(RUN, tmp_path / "state", **env)
    check_refused(done, "own.json.j2", "'bukcet' is undefined")
    done = finished(TOKEN, tmp_path / "state", **env)
    assert json.loads(done.stdout)["ErrorCode"] == "InvalidPolicy"


@pytest.mark.slow
def test_damaged_secrets_are_one_line_and_json(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("{")
    done = finished(TOKEN, tmp_path)
    check_refused_token(done, "secrets.json is damaged; `make clean`")
    check_refused(finished(RUN, tmp_path, PORT=str(free_port())), "secrets.json is damaged")


def test_a_misspelt_variable_is_told(tmp_path: Path) -> None:
    done = finished(TOKEN, tmp_path / "state", POLICY_FIEL="bucket_read_policy")
    assert "POLICY_FIEL is not a variable of the function; did you mean POLICY_FILE?" in done.stderr
    assert json.loads(done.stdout)["StatusCode"] == 200


@pytest.mark.slow
@pytest.mark.parametrize("command", [RUN, TOKEN])
def test_each_misspelt_name_on_the_command_line_is_refused_without_its_value(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    """A misspelt name would be ignored, and logins of any issuer would be accepted."""
    names = {"JWT_ISUER": "https://a.example", "POLICY_FIEL": "https://b.example"}
    done = finished(given(command, *names), tmp_path / "state", PORT=str(free_port()), **names)
    assert done.returncode == 1
    lines = [line.partition(": ")[2] for line in done.stderr.splitlines()]
    assert lines == [
        "there is no variable JWT_ISUER; did you mean JWT_ISSUER? Nothing was started",
        "there is no variable POLICY_FIEL; did you mean POLICY_FILE? Nothing was started",
    ]
    assert "example" not in done.stdout
    assert not (tmp_path / "state").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "name", "meant"),
    [
        (("run", "ATUH=jwt"), "ATUH", "AUTH"),
        (("run", "auth=jwt"), "auth", "AUTH"),
        (("token", "AUHT=jwt"), "AUHT", "AUTH"),
        (("run", "LNA=1"), "LNA", "LAN"),
        (("run", "CLUOD=1"), "CLUOD", "CLOUD"),
        (("run", "PUBLIC_ENDPONT=closed"), "PUBLIC_ENDPONT", "PUBLIC_ENDPOINT"),
        (("token", "AUTH=jwt", "CALER=bob"), "CALER", "CALLER"),
        (("token", "JWT_ISUER=x", "CLOUD=1"), "JWT_ISUER", "JWT_ISSUER"),
        (("token", "LNA?=1"), "LNA", "LAN"),
        (("account-key", "SANDBOX_DRI=x"), "SANDBOX_DRI", "SANDBOX_DIR"),
    ],
)
def test_a_misspelt_name_after_make_is_refused_before_anything_starts(
    tmp_path: Path, arguments: tuple[str, ...], name: str, meant: str
) -> None:
    # The first line must be about the name, and not about an .env that is not read.
    (tmp_path / ".env").touch()
    done = finished(make(*arguments, f"PORT={free_port()}"), tmp_path / "state")
    assert done.returncode != 0
    text = f"there is no variable {name}; did you mean {meant}? Nothing was started"
    assert done.stderr.splitlines()[0] == f"make {arguments[0]}: {text}"
    if arguments[0] == "token":
        assert json.loads(done.stdout)["ErrorMessage"] == text
    assert not (tmp_path / "state").exists()


def test_clean_with_a_misspelt_folder_removes_nothing(tmp_path: Path) -> None:
    """Otherwise it would remove the default folder, which is not the one that was meant."""
    stored = tmp_path / "state" / "oss" / "file"
    stored.parent.mkdir(parents=True)
    stored.touch()
    done = finished(make("clean", "SANDBOX_DRI=x"), tmp_path / "state")
    assert "there is no variable SANDBOX_DRI; did you mean SANDBOX_DIR?" in done.stderr
    assert stored.exists()
    assert finished(make("clean"), tmp_path / "state").returncode == 0
    assert not stored.exists()


@pytest.mark.slow
def test_each_known_name_and_each_name_of_another_program_is_accepted_after_make(
    tmp_path: Path,
) -> None:
    # An empty value is accepted, except for HOST, which has a message of its own.
    values = dict.fromkeys({*RULES, *OWN_VARIABLES} - {"HOST"}, "")
    values |= {"OBJECT_PREFIX": "uploads/", "SANDBOX_DIR": str(tmp_path / "state")}
    values |= {"PORT": str(free_port()), "FOO": "1", "V": "1", "PYTHON": "python3.12"}
    values |= {"VENV": "x", "LANG": "C", "SHELL": "/bin/sh"}
    arguments = (f"{name}={value}" for name, value in values.items())
    done = finished(make("token", *arguments), tmp_path / "state")
    assert (done.returncode, "did you mean" in done.stderr) == (0, False), done.stderr
    assert json.loads(done.stdout)["StatusCode"] == 200


@pytest.mark.slow
def test_a_misspelt_name_in_the_environment_or_makeflags_stops_nothing(tmp_path: Path) -> None:
    """Only names of the function cause a warning, because other programs also use short names."""
    names = {"ATUH": "jwt", "JWT_ISUER": "x"}
    flags = {"MAKEFLAGS": "ATUH=jwt JWT_ISUER=x"}
    port = f"PORT={free_port()}"
    for done in (
        finished(make("token", port), tmp_path / "state", **names),
        finished(make("token", port), tmp_path / "state", **flags),
        finished(TOKEN, tmp_path / "state", PORT=port.removeprefix("PORT="), **names),
    ):
        assert done.returncode == 0, done.stderr
        assert "sandbox: JWT_ISUER is not a variable of the function" in done.stderr
        assert "ATUH" not in done.stderr


# .env is the deployment's file


@pytest.mark.slow
def test_without_cloud_the_env_file_is_not_read_and_one_line_says_so(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OBJECT_PREFIX=of-the-file/\nJWT_ISUER=x\n")
    done = finished(TOKEN, tmp_path / "state")
    line = "sandbox: .env is not read, since it is for the deployment; with CLOUD=1 it is read"
    assert done.stderr.splitlines().count(line) == 1
    assert "JWT_ISUER" not in done.stderr
    assert json.loads(done.stdout)["Scope"]["Prefix"] == "uploads/"
    with running(tmp_path / "state") as sandbox:
        assert sandbox.answer()["Scope"]["Prefix"] == "uploads/"
        assert ".env is not read" in sandbox.stderr


# In the tests below, the STS of another sandbox simulates the real STS


@pytest.fixture(scope="module")
def another_sts() -> Iterator[dict[str, str]]:
    """An STS that knows KEY, and the environment for it."""

    def allow(action: str, resource: str) -> Policy:
        statement = {"Effect": "Allow", "Action": action, "Resource": resource}
        return Policy.parse(json.dumps({"Version": "1", "Statement": [statement]}))

    user = "acs:ram::42:user/function"
    key_id, secret = KEY.values()
    key = AccessKey(key_id, secret, user, (allow("sts:AssumeRole", ROLE_ARN),))
    role = Role(ROLE_ARN, (user,), (allow("oss:*", "acs:oss:*:*:my-bucket/*"),))
    listener = listen(0)
    port = listener.getsockname()[1]
    with in_background(
        [Service(sts.create_app(Identities("42", b"seal", [key], [role])), listener)]
    ):
        yield {
            "CLOUD": "1",
            **KEY,
            "ROLE_ARN": ROLE_ARN,
            "STS_ENDPOINT": f"http://127.0.0.1:{port}",
            "BUCKET_NAME": "my-bucket",
        }


def test_with_the_real_sts_nothing_of_the_sandbox_is_started(
    tmp_path: Path, another_sts: dict[str, str]
) -> None:
    with running(tmp_path / "state", **another_sts) as sandbox:
        answer = sandbox.answer()
        assert answer["Scope"]["Bucket"] == "my-bucket"
        assert answer["Scope"]["Endpoint"] == "https://oss-cn-hangzhou.aliyuncs.com"
        assert answer["AccessKeyId"].startswith("STS.")
        assert "real STS" in sandbox.stdout
        assert "OSS_REGION is not set: the default cn-hangzhou is used" in sandbox.stderr
        assert "BUCKET_NAME" not in sandbox.stderr
        assert "own-secret" not in sandbox.stdout + sandbox.stderr
        assert not are_free(sandbox.port, 1)
        assert are_free(sandbox.port + 1, 2)
    assert not (tmp_path / "state").exists()


@pytest.mark.slow
def test_with_the_real_sts_the_env_file_is_read_and_the_environment_wins(
    tmp_path: Path, another_sts: dict[str, str]
) -> None:
    lines = {**another_sts, "OBJECT_PREFIX": "file/", "BUCKET_NAME": "of-the-file"}
    del lines["CLOUD"]
    lines["JWT_ISUER"] = "x"
    (tmp_path / ".env").write_text("".join(f"{name}='{value}'\n" for name, value in lines.items()))
    done = finished(TOKEN, tmp_path / "state", CLOUD="1", BUCKET_NAME="my-bucket")
    assert "JWT_ISUER is not a variable of the function; did you mean JWT_ISSUER?" in done.stderr
    assert done.returncode == 0, done.stdout + done.stderr
    scope = json.loads(done.stdout)["Scope"]
    assert (scope["Bucket"], scope["Prefix"]) == ("my-bucket", "file/")
    assert "sandbox: .env is read: 6 variables; the environment wins over it" in done.stderr
    with running(tmp_path / "state", CLOUD="1", BUCKET_NAME="my-bucket") as sandbox:
        assert sandbox.answer()["Scope"]["Prefix"] == "file/"


def test_with_the_real_sts_nobody_signs_in_without_a_key(
    tmp_path: Path, another_sts: dict[str, str]
) -> None:
    own = {"AUTH": "jwt", "JWT_SECRET": "own-secret-of-more-than-32-bytes!"}
    with running(tmp_path / "state", **another_sts, **own) as sandbox:
        # The function itself answers with StatusCode 404, because it has no such route.
        status, error = sandbox.ask("/sandbox/login?user=alice")
        assert (status, error["StatusCode"]) == (200, 404)
        assert "/sandbox/login" not in sandbox.stdout


# One token


def check_printed(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Check that the output is exactly one line of JSON, and return it."""
    assert done.stdout.endswith("\n")
    assert len(done.stdout.splitlines()) == 1, done.stdout
    assert "Traceback" not in done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def test_token_prints_one_that_works_at_the_sandbox_that_is_running(sandbox: Sandbox) -> None:
    done = finished(TOKEN, sandbox.folder, PORT=str(sandbox.port))
    assert done.returncode == 0
    token = Token.of(check_printed(done))
    assert token.endpoint == f"http://127.0.0.1:{sandbox.port + 1}"
    assert token.oss2("v4").put_object("uploads/printed", b"Hello").status == 200


def test_token_needs_no_sandbox_that_is_running(tmp_path: Path) -> None:
    done = finished(TOKEN, tmp_path / "state")
    assert done.returncode == 0
    assert check_printed(done)["StatusCode"] == 200
    # `make token` opens no storage, because storage belongs to a running sandbox.
    assert [file.name for file in (tmp_path / "state").iterdir()] == ["secrets.json"]


def test_token_asks_the_real_sts(tmp_path: Path, another_sts: dict[str, str]) -> None:
    done = finished(TOKEN, tmp_path / "state", **another_sts)
    assert done.returncode == 0
    assert check_printed(done)["StatusCode"] == 200
    assert "own-secret" not in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"ROLE_ARN": "acs:ram::42:role/unknown"}, "EntityNotExist.Role"),
        ({"ALIBABA_CLOUD_ACCESS_KEY_SECRET": "another-secret"}, "SignatureDoesNotMatch"),
        ({"ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAI5tUnknown"}, "InvalidAccessKeyId.NotFound"),
        ({"TOKEN_EXPIRE_TIME": "43200"}, "InvalidParameter.DurationSeconds"),
        ({"STS_ENDPOINT": "http://127.0.0.1:9"}, "StsUnreachable"),
    ],
)
def test_token_prints_the_refusal_and_fails(
    tmp_path: Path, another_sts: dict[str, str], change: dict[str, str], code: str
) -> None:
    done = finished(TOKEN, tmp_path / "state", **{**another_sts, **change})
    assert done.returncode == 1
    printed = check_printed(done)
    assert printed["ErrorCode"] == code
    assert printed["StatusCode"] >= 400
    assert printed["ErrorMessage"]
    for secret in ("own-secret", "another-secret"):
        assert secret not in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "word"),
    [
        ({"TOKEN_EXPIRE_TIME": "5"}, "TOKEN_EXPIRE_TIME: "),
        ({"POLICY_FILE": "no_such_policy"}, "POLICY_FILE: "),
        ({"PORT": "abc"}, "PORT"),
        ({"CLOUD": "1"}, "ROLE_ARN"),
    ],
)
def test_token_names_a_wrong_variable_in_one_line(
    tmp_path: Path, variables: dict[str, str], word: str
) -> None:
    check_refused_token(finished(TOKEN, tmp_path / "state", **variables), word)
