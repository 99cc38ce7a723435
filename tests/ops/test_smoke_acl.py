"""Tests `make smoke UPLOAD=1 ACL=1`. The command tells whether a token can make an object public,
and leaves no object public (finding A6)."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from faulty_proxy import Exchange, Fault, faulty, sound
from ops.smoke import acl, checks
from ops.smoke.options import UsageError, read_options
from running_function import RunningFunction, running_function
from sandbox import cloud
from sandbox.oss.storage import ObjectInfo
from smoke_test import Table, smoke

ROOT = Path(__file__).parents[2]
FULL = {"UPLOAD": "1", "ACL": "1"}
PUBLIC, PRIVATE, CLEAN_UP = acl.NAMES


@contextmanager
def running_open(folder: Path, **variables: str) -> Iterator[RunningFunction]:
    """A function whose tokens may set ACLs. It is not known whether every token may set ACLs on the
    real OSS."""
    actions = ["oss:PutObject", "oss:PutObjectAcl"]
    resource = "acs:oss:*:*:{{ bucket }}/{{ keys }}"
    statement = {"Effect": "Allow", "Action": actions, "Resource": resource}
    template = folder / "open.json.j2"
    template.write_text(json.dumps({"Version": "1", "Statement": [statement]}))
    with running_function(folder / "state", POLICY_FILE=str(template), **variables) as running:
        yield running


@pytest.fixture(scope="module")
def open_function(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFunction]:
    with running_open(tmp_path_factory.mktemp("open")) as running:
        yield running


@pytest.fixture
def own_key(open_function: RunningFunction) -> dict[str, str]:
    """The access key of the sandbox's account, which may do everything in the sandbox."""
    secrets = cloud.load_secrets(Path(open_function.cloud.env["POLICY_FILE"]).parent / "state")
    names = ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET")
    return dict(zip(names, secrets.account_key, strict=True))


@contextmanager
def at_oss(
    running: RunningFunction, fault: Fault = sound, *, before: Fault = sound
) -> Iterator[str]:
    """Yield the function's URL. The function's tokens name the endpoint of an OSS with the fault
    `fault`."""

    def lead(exchange: Exchange) -> None:
        endpoint = oss_url.rstrip("/")
        exchange.rewrite(lambda document: document["Scope"].update(Endpoint=endpoint))

    with (
        faulty(running.cloud.env["OSS_ENDPOINT"], fault, before=before) as oss_url,
        faulty(running.url, lead) as url,
    ):
        yield url


def tried_in(running: RunningFunction) -> list[ObjectInfo]:
    """Return the test objects that exist in the bucket."""
    made = running.cloud.cloud
    found = made.storage.keys_from(made.bucket, b"", inclusive=True, prefix=b"", limit=999)
    return [info for info in found if acl.NAME in info.key]


def checked(running: RunningFunction, url: str = "", **env: str) -> tuple[Table, list[ObjectInfo]]:
    """Run the smoke test. Return its table, and the test objects that are still in the bucket."""
    before = {info.key for info in tried_in(running)}
    table = smoke(url or running.url, **FULL, **env)
    return table, [info for info in tried_in(running) if info.key not in before]


# The kinds of requests


def publishes(exchange: Exchange) -> bool:
    return exchange.headers.get("x-oss-object-acl") == "public-read"


def changes_acl(exchange: Exchange) -> bool:
    return exchange.target.partition("?")[2].startswith("acl")


def overwrites(exchange: Exchange) -> bool:
    is_private = exchange.headers.get("x-oss-object-acl") == "private"
    return is_private and not changes_acl(exchange)


def looks(exchange: Exchange) -> bool:
    return exchange.method == "GET" and "authorization" not in map(str.lower, exchange.headers)


def refused(*which: Callable[[Exchange], bool]) -> dict[str, Fault]:
    """Return a fault for the proxy: OSS denies each request for which one of the functions `which`
    returns true."""

    def before(exchange: Exchange) -> None:
        if any(is_one(exchange) for is_one in which):
            exchange.method, exchange.target = "GET", "/denied"

    def fault(exchange: Exchange) -> None:
        if exchange.target == "/denied":
            deny(exchange)

    return {"before": before, "fault": fault}


def deny(exchange: Exchange) -> None:
    exchange.status, exchange.answered = 403, {"Content-Type": "application/xml"}
    exchange.body = b"<Error><Code>AccessDenied</Code><Message>m</Message></Error>"


def hang_up(exchange: Exchange) -> None:
    raise ConnectionError


# The results


def test_a_refused_upload_passes_and_leaves_nothing(function: RunningFunction) -> None:
    """The sandbox requires PutObjectAcl (finding A6)."""
    table, left = checked(function)
    assert not table.failed, table.text
    table.check(PUBLIC, "PASS", "OSS refused the upload")
    table.check(PRIVATE, "SKIP", "nothing was stored")
    table.check(CLEAN_UP, "SKIP", "nothing was written")
    assert left == []


def test_a_token_that_publishes_fails_and_its_object_is_private_again(
    open_function: RunningFunction,
) -> None:
    """Earlier, no check tried to make an object public, so nobody noticed a bucket without
    BlockPublicAccess (finding A6)."""
    table, left = checked(open_function)
    assert table.failed == {PUBLIC}, table.text
    table.check(PUBLIC, "FAIL", "everybody can read them", "Block Public Access")
    table.check(PUBLIC, "FAIL", "Permission Control", "PutBucketPublicAccessBlock")
    table.check(PRIVATE, "PASS", "by PutObjectACL")
    (info,) = left
    assert info.acl == "private"
    assert re.fullmatch("uploads/smoke-test-acl-[0-9a-f]{16}", info.key)
    table.check(CLEAN_UP, "WARN", info.key)


def test_the_object_holds_one_harmless_text(open_function: RunningFunction) -> None:
    """For a moment everybody may read the object, so its text must be harmless (finding A6)."""
    seen = []

    def look(exchange: Exchange) -> None:
        if looks(exchange) and exchange.status == 200:
            seen.append(exchange.body)

    with at_oss(open_function, look) as url:
        checked(open_function, url)
    assert seen == [b"Written by `make smoke UPLOAD=1 ACL=1`; it can be deleted.\n"]


def test_without_acl_nothing_is_published(open_function: RunningFunction) -> None:
    """An object is made public only if ACL=1 is set (finding A6)."""
    before = tried_in(open_function)
    table = smoke(open_function.url, UPLOAD="1")
    assert PUBLIC not in table.lines
    assert tried_in(open_function) == before


def test_the_operators_own_key_deletes_the_object(
    open_function: RunningFunction, own_key: dict[str, str]
) -> None:
    """The operator's key also deletes the other objects of the smoke test (finding A6)."""
    table, left = checked(open_function, **own_key)
    table.check(PRIVATE, "PASS", "by PutObjectACL")
    table.check(CLEAN_UP, "PASS", "operator's own key")
    assert left == []


def test_where_nothing_can_be_uploaded_nothing_is_published(
    login_function: RunningFunction, login: str
) -> None:
    """If OSS refuses every upload, it also refuses an upload with an ACL. This shows nothing about
    ACLs (finding A6)."""
    url = f"{login_function.url}?policy=bucket_read_policy"
    table, left = checked(login_function, url, LOGIN=login)
    for name in acl.NAMES:
        table.check(name, "SKIP", "nothing could be uploaded")
    assert left == []


def test_what_is_stored_and_cannot_be_read_passes(open_function: RunningFunction) -> None:
    """The bucket ignores public ACLs. The smoke test still makes the object private (finding
    A6)."""

    def ignore(exchange: Exchange) -> None:
        if looks(exchange):
            deny(exchange)

    with at_oss(open_function, ignore) as url:
        table, left = checked(open_function, url)
    assert not table.failed, table.text
    table.check(PUBLIC, "PASS", "but refuses to serve it without a signature")
    assert [info.acl for info in left] == ["private"]


def test_a_prefix_that_has_to_be_quoted_is_looked_at_where_it_was_written(tmp_path: Path) -> None:
    """If the check read a wrong URL, OSS would answer 403, and the check would pass by mistake
    (finding A6)."""
    with running_open(tmp_path, OBJECT_PREFIX="a%2Fb+c%/") as running:
        table, left = checked(running)
    table.check(PUBLIC, "FAIL", "everybody can read them")
    table.check(PRIVATE, "PASS")
    assert [info.acl for info in left] == ["private"]


@pytest.mark.parametrize(
    ("env", "word"),
    [({"ACL": "1"}, "ACL=1 needs UPLOAD=1"), ({"ACL": "yes", "UPLOAD": "1"}, "ACL must be 1 or 0")],
)
def test_acl_alone_is_an_error_of_usage(env: dict[str, str], word: str) -> None:
    """With ACL=1 alone, an object would be made public without the checks of UPLOAD=1 (finding
    A6)."""
    with pytest.raises(UsageError, match=word):
        read_options({"URL": "https://a.example", **env})


# Ways to make the object private again


def test_who_may_not_change_an_acl_overwrites_the_object(open_function: RunningFunction) -> None:
    """OSS may require only PutObject for an upload with an ACL, and still refuse PutObjectACL to
    the same token (finding A6)."""
    with at_oss(open_function, **refused(changes_acl)) as url:
        table, left = checked(open_function, url)
    table.check(PUBLIC, "FAIL", "everybody can read them")
    table.check(PRIVATE, "PASS", "by overwriting it")
    assert [info.acl for info in left] == ["private"]


def test_what_a_token_cannot_take_back_the_operators_key_does(
    open_function: RunningFunction, own_key: dict[str, str]
) -> None:
    """If a token cannot make the object private again, the operator's key is tried (finding A6)."""

    def tokens(is_one: Callable[[Exchange], bool]) -> Callable[[Exchange], bool]:
        return lambda exchange: is_one(exchange) and "x-oss-security-token" in exchange.headers

    with at_oss(open_function, **refused(tokens(changes_acl), tokens(overwrites))) as url:
        table, left = checked(open_function, url, **own_key)
    table.check(PRIVATE, "PASS", "by your own key")
    assert left == []
    with at_oss(open_function, **refused(changes_acl, overwrites)) as url:
        table, left = checked(open_function, url, **own_key)
    table.check(PRIVATE, "PASS", "by deleting it")
    assert left == []


def test_what_nobody_could_take_back_is_a_fault_that_names_it(
    open_function: RunningFunction,
) -> None:
    """If an object stays public, the command always reports the object's key (finding A6)."""
    with at_oss(open_function, **refused(changes_acl, overwrites)) as url:
        table, left = checked(open_function, url)
    (info,) = left
    assert info.acl == "public-read"
    table.check(PRIVATE, "FAIL", info.key, "may be public", "Set its ACL to private")
    table.check(PRIVATE, "FAIL", "PutObjectACL: AccessDenied", "overwriting it: AccessDenied")


def test_an_acl_that_is_changed_and_changes_nothing_is_noticed(
    open_function: RunningFunction,
) -> None:
    """OSS says that the ACL was changed, but a request without a signature can still read the
    object. The check must fail then (finding A6)."""

    def still(exchange: Exchange) -> None:
        if looks(exchange):
            exchange.status = 200

    with at_oss(open_function, still) as url:
        table, _ = checked(open_function, url)
    table.check(PRIVATE, "FAIL", "the object can still be read")


def test_the_version_that_an_overwriting_leaves_public_is_noticed(
    open_function: RunningFunction, own_key: dict[str, str]
) -> None:
    """In a bucket with versioning, the public version still exists after it is overwritten (finding
    A6)."""
    gone = []

    def before(exchange: Exchange) -> None:
        if "versionId=v1" in exchange.target:
            if exchange.method == "DELETE":
                gone.append(exchange.target)
            exchange.method, exchange.target = "GET", "/of-a-version"
        elif changes_acl(exchange):
            exchange.method, exchange.target = "GET", "/denied"

    def fault(exchange: Exchange) -> None:
        if publishes(exchange):
            exchange.answered["x-oss-version-id"] = "v1"
        if exchange.target in ("/denied", "/of-a-version"):
            deny(exchange)
        if exchange.target == "/of-a-version" and not gone and looks(exchange):
            exchange.status = 200
        if exchange.target == "/of-a-version" and gone and not looks(exchange):
            exchange.status, exchange.body = 204, b""

    with at_oss(open_function, fault, before=before) as url:
        without, _ = checked(open_function, url)
        with_own, _ = checked(open_function, url, **own_key)
    without.check(PRIVATE, "FAIL", "overwriting it: the object can still be read")
    with_own.check(PRIVATE, "PASS", "by deleting it")
    assert len(gone) == 1


# Network faults


def test_an_upload_whose_answer_is_lost_is_taken_back(open_function: RunningFunction) -> None:
    """If the answer to an upload is lost, the client cannot know whether the object is stored
    (finding A6)."""

    def lose(exchange: Exchange) -> None:
        if publishes(exchange):
            hang_up(exchange)

    with at_oss(open_function, lose) as url:
        table, left = checked(open_function, url)
    table.check(PUBLIC, "FAIL", "everybody can read them")
    table.check(PRIVATE, "PASS", "by PutObjectACL")
    assert [info.acl for info in left] == ["private"]


def test_an_upload_that_never_arrived_is_no_proof_and_leaves_nothing(
    open_function: RunningFunction,
) -> None:
    """If OSS cannot be reached, this does not prove that OSS refuses the upload (finding A6)."""

    def lose(exchange: Exchange) -> None:
        if publishes(exchange):
            hang_up(exchange)

    with at_oss(open_function, before=lose) as url:
        table, left = checked(open_function, url)
    table.check(PUBLIC, "FAIL", "cannot be judged: OSS cannot be reached")
    table.check(PRIVATE, "PASS", "the object does not exist")
    table.check(CLEAN_UP, "SKIP", "nothing was written")
    assert left == []


def test_an_oss_that_goes_away_after_the_upload_is_said_to_hold_it(
    open_function: RunningFunction,
) -> None:
    """If OSS can no longer be reached, the object cannot be made private. The table then says that
    the object may be public (finding A6)."""
    published: list[Exchange] = []

    def vanish(exchange: Exchange) -> None:
        if published:
            hang_up(exchange)
        published.extend([exchange] if publishes(exchange) else [])

    with at_oss(open_function, before=vanish) as url:
        table, left = checked(open_function, url)
    (info,) = left
    table.check(PUBLIC, "FAIL", "cannot be judged", "closed without an answer")
    table.check(PRIVATE, "FAIL", info.key, "may be public", "OSS cannot be reached")
    table.check(CLEAN_UP, "WARN", info.key, "stays")


def test_a_look_that_fails_is_no_proof(open_function: RunningFunction) -> None:
    """If reading the object fails, this does not show whether the object is public (finding A6)."""

    def busy(exchange: Exchange) -> None:
        if looks(exchange):
            exchange.status, exchange.body = 503, b"busy"

    with at_oss(open_function, busy) as url:
        table, left = checked(open_function, url)
    table.check(PUBLIC, "FAIL", "cannot be judged: HTTP 503")
    table.check(
        PRIVATE, "WARN", "by PutObjectACL", "whether it is still public is unknown: HTTP 503"
    )
    assert [info.acl for info in left] == ["private"]


def test_an_upload_that_oss_fails_is_no_refusal(open_function: RunningFunction) -> None:
    """OSS may answer 500 after it has stored the object (finding A6)."""

    def fail(exchange: Exchange) -> None:
        if publishes(exchange):
            exchange.status, exchange.body = 500, b"<Error><Code>InternalError</Code></Error>"

    def ignore(exchange: Exchange) -> None:
        fail(exchange)
        if looks(exchange):
            deny(exchange)

    with at_oss(open_function, ignore) as url:
        table, left = checked(open_function, url)
    table.check(PUBLIC, "FAIL", "cannot be judged: InternalError")
    assert [info.acl for info in left] == ["private"]


def test_a_fault_of_our_own_takes_it_back_first(
    open_function: RunningFunction, mocker: MockerFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """If our own code raises an exception, the object is made private before the command ends
    (finding A6)."""
    before = tried_in(open_function)
    mocker.patch.object(acl, "_look", side_effect=[RuntimeError("a bug"), "AccessDenied"])
    with pytest.raises(RuntimeError, match="a bug"):
        checks.run(read_options({"URL": open_function.url, **FULL}))
    (info,) = (info for info in tried_in(open_function) if info not in before)
    assert info.acl == "private"
    assert "PASS  private again  by PutObjectACL" in capsys.readouterr().err


# Interruptions

# If the test process ignores a signal, its child processes ignore it too. Therefore this code sets
# all signals as they are in a terminal.
RUN = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
runpy.run_module("ops.smoke", run_name="__main__")
"""


@pytest.fixture
def ctrl_c_works() -> Iterator[None]:
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.mark.usefixtures("ctrl_c_works")
@pytest.mark.parametrize("when", [publishes, looks, changes_acl])
def test_ctrl_c_waits_until_it_is_private_again(
    open_function: RunningFunction,
    when: Callable[[Exchange], bool],
    capfd: pytest.CaptureFixture[str],
) -> None:
    """After Ctrl-C, the command waits until the object is private. Otherwise the object would stay
    public (finding A6)."""
    before = tried_in(open_function)
    pressed: list[Exchange] = []

    def press(exchange: Exchange) -> None:
        if when(exchange) and not pressed:
            pressed.append(exchange)
            os.kill(os.getpid(), signal.SIGINT)

    with (
        at_oss(open_function, before=press) as url,
        pytest.raises(KeyboardInterrupt),
    ):
        checks.run(read_options({"URL": url, **FULL}))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    (info,) = (info for info in tried_in(open_function) if info not in before)
    assert info.acl == "private"
    err = capfd.readouterr().err
    assert "make smoke: please wait" in err
    assert "FAIL  public object" in err
    assert "PASS  private again" in err


@pytest.mark.usefixtures("ctrl_c_works")
def test_what_is_said_last_shows_no_secret(
    open_function: RunningFunction, capfd: pytest.CaptureFixture[str]
) -> None:
    """A faulty server may send a secret as an error code (finding A6)."""
    secrets = []

    def press(exchange: Exchange) -> None:
        if looks(exchange):
            os.kill(os.getpid(), signal.SIGINT)

    def quote(exchange: Exchange) -> None:
        if changes_acl(exchange) or overwrites(exchange):
            secrets.append(exchange.headers["x-oss-security-token"])
            exchange.status = 403
            exchange.body = f"<Error><Code>{secrets[-1]}</Code></Error>".encode()

    with at_oss(open_function, quote, before=press) as url, pytest.raises(KeyboardInterrupt):
        checks.run(read_options({"URL": url, **FULL}))
    err = capfd.readouterr().err
    assert "PutObjectACL: ***" in err
    assert secrets[0] not in err


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_ended_make_smoke_leaves_nothing_public(
    open_function: RunningFunction, number: signal.Signals
) -> None:
    """Ctrl-C, `kill`, or closing the terminal may end the command (finding A6)."""
    before = tried_in(open_function)
    started = threading.Event()
    process: list[subprocess.Popen[str]] = []

    def end(exchange: Exchange) -> None:
        if publishes(exchange):
            started.wait(30)
            process[0].send_signal(number)

    with at_oss(open_function, before=end) as url:
        smoked = subprocess.Popen(
            [sys.executable, "-c", RUN],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "URL": url, **FULL},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        process.append(smoked)
        started.set()
        out, err = smoked.communicate(timeout=60)
    assert smoked.returncode == (130 if number == signal.SIGINT else -number)
    (info,) = (info for info in tried_in(open_function) if info not in before)
    assert info.acl == "private"
    assert out == ""
    assert "PASS  private again" in err
    assert "Traceback" not in err


def test_beside_the_main_thread_signals_are_let_alone(open_function: RunningFunction) -> None:
    """In another thread, the check sets no signal handlers, because only the main thread may set
    them (finding A6)."""
    tables: list[Table] = []
    thread = threading.Thread(target=lambda: tables.append(checked(open_function)[0]))
    thread.start()
    thread.join()
    tables[0].check(PRIVATE, "PASS")
