"""Tests `make conform`: its output, its limits, the objects that it leaves, and the secrets that it
hides."""

from __future__ import annotations

import json
import py_compile
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from answers import answering, refused_by_oss
from ops.conform import __main__ as command
from ops.conform import exchanges, page, probes, register, runner, transcript
from ops.conform.account import NEEDED, Account, read_account
from ops.conform.exchanges import MAX_CALLS, MAX_SECONDS, Exchanges, OverBudget
from ops.conform.local_cloud import local_cloud, rights
from ops.conform.register import Assumption
from ops.conform.runner import clean_up, probe_each
from ops.conform.site import Site
from ops.conform.verdicts import Finding, Verdict
from ops.smoke import wire
from ops.smoke.options import UsageError
from ops.smoke.wire import Address, Call, NoAnswer, Reply
from token_service import instance
from token_service.settings.values import AccessKey

NEEDS_MORE = {"internal_endpoint", "plain_http"}
"""Probes that the sandbox cannot run. The first probe needs a function in the bucket's region.
The second probe needs a function with an https URL."""
CLOUD = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAI5tOperator",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "the-operators-secret",
    "ROLE_ARN": "acs:ram::1234567890123456:role/upload",
    "BUCKET_NAME": "my-bucket",
    "OSS_REGION": "cn-beijing",
}


def refusing_v1(name: str, app: ASGIApp) -> ASGIApp:
    """Make the sandbox's OSS refuse V1, as a new bucket does."""

    def answer(request: Request, body: bytes) -> Response | None:
        in_header = request.headers.get("authorization", "").startswith("OSS ")
        by_v1 = in_header or "OSSAccessKeyId" in request.query_params or b'"OSSAccessKeyId"' in body
        return refused_by_oss(403, "SignatureVersionNotSupported") if by_v1 else None

    return answering(app, answer) if name == "oss" else app


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    # This machine's Python may be set to write no byte code, so the byte code is written here.
    py_compile.compile(instance.__file__)
    with local_cloud(refusing_v1) as account:
        yield account


def assumption(probe: str) -> Assumption:
    (found,) = (one for one in register.load() if one.probe == probe)
    return found


def run(account: Account, folder: Path, *chosen: Assumption) -> int:
    env = {"TRANSCRIPT": str(folder / "conform.txt")}
    return command.run(account, "a sandbox", env, chosen or None)


@pytest.fixture(scope="module")
def whole(
    account: Account, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Site, list[tuple[Assumption, Finding]], list[str]]:
    """Run all probes and the clean-up once. Return the site, the findings, and the objects that are
    left."""
    site = Site(account, Exchanges())
    found = list(probe_each(site, register.load()))
    return site, found, clean_up(site)


def test_nothing_is_refuted_and_all_that_can_be_tried_is(whole: Any) -> None:
    _, found, _ = whole
    verdicts = {one.probe: finding for one, finding in found if one.probe}
    assert {p: f for p, f in verdicts.items() if f.verdict is Verdict.REFUTED} == {}
    tried = {p for p, f in verdicts.items() if f.verdict is Verdict.CONFIRMED}
    assert tried == set(probes.PROBES) - NEEDS_MORE


def test_every_assumption_is_listed_and_what_is_not_tried_has_its_reason(whole: Any) -> None:
    _, found, _ = whole
    assert [one for one, _ in found] == list(register.load())
    for one, finding in found:
        if not one.probe:
            assert finding.verdict is Verdict.NOT_TRIED
            assert one.why in finding.detail
            assert one.command in finding.detail


def test_nothing_is_left(whole: Any, account: Account) -> None:
    site, _, left = whole
    assert left == []
    assert len(site.written) > 20
    assert len(site.uploads) == 10
    query = {"list-type": "2", "prefix": site.prefix}
    assert b"<Key>" not in site.oss(account.key, "GET", "", query=query).body


def test_it_keeps_well_within_its_bounds(whole: Any) -> None:
    site, _, _ = whole
    assert len(site.exchanges.notes) < MAX_CALLS - exchanges.CLEAN_UP_CALLS
    assert (MAX_CALLS, MAX_SECONDS) == (240, 180)


def test_the_operators_rights_are_those_of_the_page() -> None:
    """local_cloud gives its key exactly these rights, so the other tests show that these rights are
    enough."""
    text = page.PAGE.read_text("utf-8")
    (written,) = re.findall(r"```json\n(.*?)```", text, re.S)
    assert json.loads(written) == rights("BUCKET", "uploads/", "acs:ram::ACCOUNT:role/ROLE")


def test_the_page_is_that_of_today() -> None:
    """If this test fails, run `make docs`."""
    assert page.PAGE.read_text("utf-8") == page.page(register.load())


def test_no_secret_and_no_name_is_in_the_transcript(whole: Any, account: Account) -> None:
    site, found, _ = whole
    named = replace(
        account,
        role_arn=account.role_arn,
        login="eyJhbGciOi.eyJzdWIi.c2lnbmF0dXJl",
        function=Address("https", "my-function.example.com", 443, ""),
    )
    site.account = named
    # A faulty server might quote the request.
    quoting = " ".join([*site.secrets, *filter(None, account.key), named.login, account.bucket])
    first, finding = found[0]
    worst = [(first, finding._replace(detail=f"{quoting} my-function.example.com")), *found[1:]]
    text = transcript.text(site, worst, "a sandbox")
    site.account = account
    assert len(site.secrets) > 50
    for secret in (*site.secrets, *filter(None, account.key), named.login):
        assert secret not in text
    for name in (account.bucket, "1234567890123456", "sandbox-upload", "my-function", site.mark):
        assert name not in text
    assert not re.search(
        r"[Ss]ignature=|[Aa]uthorization:|security-token|LTAI|STS\.|[0-9a-f]{64}", text
    )
    # But the transcript shows which requests were sent.
    assert "PUT PREFIX/acl/put (URL signed by V4) x-oss-object-acl: private; -> 403" in text


@pytest.mark.parametrize(
    "quoted",
    [
        "LTAI5tSomebodyElse",
        "STS.NUgYrLnoC37mZZCNnAbez",
        "CAISjgJ1q6Ft5B2yfSjIr4uT",
        "acs:ram::1098765432109876:user/alice",
        "300109876543210987",
        "203.0.113.7",
        "eyJhbGciOi.eyJzdWIi.c2lnbmF0",
    ],
)
@pytest.mark.parametrize("before", ["", "x" * 290])
def test_what_a_message_quotes_is_masked_and_then_cut(
    quoted: str, before: str, account: Account
) -> None:
    site = Site(account, Exchanges())
    answer = exchanges.Answer(403, "NoPermission", message=f"{before} {quoted} said so")
    site.exchanges.notes.append(exchanges.Note(0, "STS POST AssumeRole", {}, answer))
    text = transcript.text(site, [], "a sandbox")
    assert "403 NoPermission" in text
    # Not even the beginning of the quoted name is in the transcript.
    assert quoted[-6:] not in text
    assert quoted.removeprefix("acs:ram::")[:5] not in text


def test_of_a_wrong_signature_no_request_is_noted() -> None:
    """The answer of STS quotes the string to sign, which contains the operator's own token."""
    message = "Specified signature is not matched with our calculation. server string to sign is:A"
    body = json.dumps({"Code": "SignatureDoesNotMatch", "Message": message}).encode()
    answer = exchanges._answer(Reply(400, (), body, 0.0, 0.0))
    assert answer.message == "Specified signature is not matched with our calculation. "


def test_each_request_is_in_the_transcript(whole: Any) -> None:
    site, found, _ = whole
    text = transcript.text(site, found, "a sandbox")
    assert text.count(" -> ") >= len(site.exchanges.notes)
    assert "clean-up\n    OSS DELETE" in text


def test_a_refuted_belief_is_exit_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.oss.objects.may_overwrite", lambda *_: True)
    with local_cloud() as account:
        assert run(account, tmp_path, assumption("forbid_overwrite")) == 1
    shown = capsys.readouterr()
    assert "refuted     4" in shown.out
    assert "1 refuted, 0 not tried" in shown.out
    assert "0 of 1 assumptions hold in the sandbox" in shown.out
    assert "refuted: A URL that signs x-oss-forbid" in (tmp_path / "conform.txt").read_text()


def test_it_says_first_what_it_will_do(
    account: Account, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(account, tmp_path, assumption("signed_size")) == 0
    before, _, after = capsys.readouterr().out.partition("holds here")
    assert account.bucket in before
    assert account.role_arn in before
    assert "It makes at most 240 calls in 180 s." in before
    assert "0 refuted, 0 not tried" in after
    assert account.key.access_key_secret not in before + after


def test_what_the_sandbox_does_confirms_nothing(
    account: Account, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(account, tmp_path, assumption("signed_size")) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[-1] == (
        "1 of 1 assumptions hold in the sandbox. This says nothing about the real cloud, which "
        "`make conform CLOUD=1` tests (docs/assumptions.md)."
    )
    assert "confirmed" not in shown
    assert "issue" not in shown


def test_what_the_cloud_does_is_a_line_each_with_a_transcript_to_give_away(
    account: Account, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """This test does not call the real cloud. The test checks the output and the transcript that a
    run in the real cloud would have."""
    env = {"TRANSCRIPT": str(tmp_path / "conform.txt")}
    by_hand = next(one for one in register.load() if not one.probe)
    confirmed = assumption("signed_size")
    assert command.run(account, "the cloud", env, (confirmed, by_hand)) == 0
    lines = capsys.readouterr().out.partition("as they are.\n")[2].splitlines()
    assert lines[:2] == [
        f"confirmed  {confirmed.id:>2} {confirmed.service:<4} {confirmed.claim}",
        f"not tried  {by_hand.id:>2} {by_hand.service:<4} {by_hand.claim}",
    ]
    assert by_hand.why in lines[2]
    assert lines[4].startswith("1 confirmed, 0 refuted, 1 not tried; ")
    assert lines[5:] == [
        f"Transcript, without secrets and names: {env['TRANSCRIPT']}. "
        "Please read it and add it to an issue."
    ]


@pytest.mark.parametrize(
    ("changes", "is_said"),
    [
        ({"OSS_REGION": ""}, True),
        ({"ROLE_ARN": ""}, True),
        ({"ROLE_ARN": "", "OSS_REGION": "cn-hongkong"}, False),
        ({"ROLE_ARN": "", "OSS_ENDPOINT": "files.example.com"}, False),
    ],
)
def test_a_mainland_region_may_need_a_domain_too(changes: dict[str, str], is_said: bool) -> None:
    with pytest.raises(UsageError) as caught:
        read_account({**CLOUD, **changes})
    assert ("a bucket in mainland China also needs its own domain" in str(caught.value)) is is_said


def interrupted(account: Account, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> Site:
    """Run a probe that raises `error` in the middle of its work."""
    sites = []

    def probe(site: Site) -> Finding:
        sites.append(site)
        key = site.session({"Effect": "Allow", "Action": "oss:*", "Resource": "*"})
        assert site.oss(key, "PUT", "half/done", body=b"x").is_good
        raise error

    monkeypatch.setattr(runner, "PROBES", {"signed_size": probe})
    with pytest.raises(type(error)):
        command.run(account, "a sandbox", {"TRANSCRIPT": "/dev/null"}, [assumption("signed_size")])
    return sites[0]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("a fault of a probe")])
def test_it_cleans_up_after_an_interruption(
    error: BaseException, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = interrupted(account, monkeypatch, error)
    assert list(site.written) == [f"{site.prefix}half/done"]
    query = {"list-type": "2", "prefix": site.prefix}
    assert b"<Key>" not in site.oss(account.key, "GET", "", query=query).body


SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT]


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_it_with_a_clean_up(number: int, tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from ops.conform import __main__ as command, runner\n"
        "def probe(site):\n"
        "    key = site.session({'Effect': 'Allow', 'Action': 'oss:*', 'Resource': '*'})\n"
        "    site.oss(key, 'PUT', 'half/done', body=b'x')\n"
        f"    os.kill(os.getpid(), {int(number)})\n"
        "    signal.pause()\n"
        "runner.PROBES = dict.fromkeys(runner.PROBES, probe)\n"
        "sys.exit(command.main())\n"
    )
    env = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": ":".join(path for path in sys.path if path),
        "TRANSCRIPT": str(tmp_path / "conform.txt"),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 130, done.stderr
    # The output has no warning that anybody may call the function, because this function is the
    # sandbox's own.
    assert done.stderr == "make conform: interrupted\n"
    text = (tmp_path / "conform.txt").read_text()
    assert "PUT PREFIX/half/done" in text
    assert re.search(r"clean-up\n    OSS POST /\?delete .* -> 200\n    OSS GET .* -> 200", text)


def test_a_clean_up_that_fails_names_what_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def undeletable(request: Request, _: bytes) -> Response | None:
        is_delete = request.method == "DELETE" or "delete" in request.query_params
        return refused_by_oss(403, "AccessDenied") if is_delete else None

    def wrap(name: str, app: ASGIApp) -> ASGIApp:
        return answering(app, undeletable) if name == "oss" else app

    with local_cloud(wrap) as account:
        assert run(account, tmp_path, assumption("signed_size")) == 1
    told = capsys.readouterr().err
    assert "sandbox-bucket may still have: uploads/conform-" in told
    assert "size/as-signed" in told


def test_a_bad_day_does_not_end_the_clean_up(account: Account) -> None:
    """OSS answers the first delete request with 503. The clean-up still deletes the listed
    objects."""
    busy = [refused_by_oss(503, "ServiceUnavailable")]

    def once(request: Request, _: bytes) -> Response | None:
        return busy.pop() if busy and "delete" in request.query_params else None

    def wrap(name: str, app: ASGIApp) -> ASGIApp:
        return answering(app, once) if name == "oss" else app

    with local_cloud(wrap) as unlucky:
        site = Site(unlucky, Exchanges())
        list(probe_each(site, [assumption("signed_size")]))
        assert clean_up(site) == []
        query = {"list-type": "2", "prefix": site.prefix}
        assert b"<Key>" not in site.oss(unlucky.key, "GET", "", query=query).body


def test_what_a_listing_makes_up_is_not_deleted() -> None:
    """The clean-up deletes only objects under the run's own prefix, even if a listing names
    others."""
    deleted: list[bytes] = []

    def lying(request: Request, body: bytes) -> Response | None:
        if "delete" in request.query_params:
            deleted.append(body)
        if "list-type" in request.query_params:
            return Response(
                "<ListBucketResult><Key>uploads/alice/photo.jpg</Key></ListBucketResult>"
            )
        return None

    def wrap(name: str, app: ASGIApp) -> ASGIApp:
        return answering(app, lying) if name == "oss" else app

    with local_cloud(wrap) as account:
        site = Site(account, Exchanges())
        list(probe_each(site, [assumption("signed_size")]))
        clean_up(site)
    assert len(deleted) == 1
    assert b"alice" not in deleted[0]


def test_all_that_is_written_lies_under_the_prefix(whole: Any) -> None:
    site, _, _ = whole
    # A token of the function writes into its caller's folder. The key of an object in that folder
    # must also contain the mark of this run.
    assert all(site.mark in key for key in site.written)
    puts = [note.asked for note in site.exchanges.notes if re.match("OSS (PUT|POST)", note.asked)]
    assert len(puts) > 30
    assert all(site.mark in asked or "?delete" in asked for asked in puts)


def bounded(account: Account, calls: int, seconds: float) -> tuple[Site, list[Finding]]:
    """Run all probes with at most `calls` calls, and pretend that each call took `seconds`. A test
    can then reach a limit quickly."""
    now = [0.0]
    counted = Exchanges(clock=lambda: now[0])
    site = Site(account, counted)
    send = counted.send

    def sent(asked: str, address: Address, call: Call) -> exchanges.Answer:
        answer = send(asked, address, call)
        now[0] += seconds
        return answer

    counted.send = sent  # type: ignore[method-assign]
    counted._calls = min(calls, counted._calls)
    return site, [finding for _, finding in probe_each(site, register.load())]


@pytest.mark.parametrize(("calls", "seconds"), [(20, 0.0), (1000, 6.0)], ids=["calls", "seconds"])
def test_a_limit_ends_the_probes_and_leaves_enough_for_the_clean_up(
    calls: int, seconds: float, account: Account
) -> None:
    site, found = bounded(account, calls, seconds)
    assert len(site.exchanges.notes) <= 20
    assert found[0].verdict is Verdict.CONFIRMED
    late = [finding.detail for finding in found if "reached its" in finding.detail]
    assert len(late) > 15
    assert clean_up(site) == []


@pytest.mark.parametrize("bound", ["calls", "seconds"])
def test_the_clean_up_is_bounded_too_and_names_what_it_did_not_reach(
    bound: str, account: Account
) -> None:
    now = [0.0]
    site = Site(account, Exchanges(clock=lambda: now[0]))
    list(probe_each(site, [assumption("signed_size"), assumption("multipart_callback")]))
    done = list(site.exchanges.notes)
    before, now[0] = now[0], MAX_SECONDS if bound == "seconds" else 0.0
    if bound == "calls":
        site.exchanges.notes.extend(done[:1] * (MAX_CALLS - len(done)))
    used_up = "this run has reached its limit of calls or of seconds"
    left = clean_up(site)
    assert f"a multipart upload of {site.prefix}multipart/plain: {used_up}" in left
    assert f"{site.prefix}size/as-signed: {used_up}" in left
    with pytest.raises(OverBudget):
        site.oss(account.key, "GET", "")
    # Reset the time and the calls, so that no limit is reached. The clean-up then removes all
    # objects.
    now[0], site.exchanges.notes = before, done
    assert clean_up(site) == []


@pytest.mark.parametrize("name", NEEDED)
def test_each_missing_variable_is_named(name: str) -> None:
    with pytest.raises(UsageError, match=name):
        read_account({key: value for key, value in CLOUD.items() if key != name})


def test_all_missing_variables_are_named_at_once_and_nothing_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (*NEEDED, "URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUD", "1")
    assert command.main() == 1
    told = capsys.readouterr()
    assert all(name in told.err for name in NEEDED)
    assert told.out == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [("CLOUD", "yes"), ("ROLE_ARN", "upload"), ("OSS_ENDPOINT", "ftp://x"), ("URL", "x y")],
)
def test_a_wrong_variable_is_named(
    name: str, value: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, text in {**CLOUD, "CLOUD": "1", name: value}.items():
        monkeypatch.setenv(variable, text)
    assert command.main() == 1
    assert name in capsys.readouterr().err


def test_the_account_is_read_as_the_function_reads_it() -> None:
    account = read_account({**CLOUD, "OBJECT_PREFIX": "in/", "URL": "https://f.example.com/sts"})
    assert str(account.oss) == "https://oss-cn-beijing.aliyuncs.com"
    assert str(account.sts) == "https://sts.cn-beijing.aliyuncs.com"
    assert account.prefix == "in/"
    assert str(account.function) == "https://f.example.com/"
    own = read_account({**CLOUD, "OSS_ENDPOINT": "https://files.example.com"})
    assert str(own.oss) == "https://files.example.com"
    assert str(own.public) == "https://oss-cn-beijing.aliyuncs.com"
    temporary = read_account({**CLOUD, "ALIBABA_CLOUD_SECURITY_TOKEN": "CAIStoken"})
    assert temporary.key == AccessKey("LTAI5tOperator", "the-operators-secret", "CAIStoken")


def test_without_cloud_the_operators_variables_are_not_used(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in {**CLOUD, "TRANSCRIPT": str(tmp_path / "conform.txt")}.items():
        monkeypatch.setenv(name, value)
    chosen = assumption("signed_size")
    monkeypatch.setattr(register, "load", lambda: (chosen,))
    assert command.main() == 0
    shown = capsys.readouterr().out
    assert "my-bucket" not in shown
    assert "sandbox-bucket" in shown


def test_a_login_never_goes_over_plain_http(account: Account, monkeypatch: Any) -> None:
    """One probe uses http://. Everybody in the network can read the request of this probe, so the
    request must have no login."""
    sent: list[tuple[Address, Call]] = []

    def send(address: Address, call: Call) -> Any:
        sent.append((address, call))
        raise NoAnswer("nobody there")

    monkeypatch.setattr("ops.smoke.wire.send", send)
    function = Address("https", "f.example.com", 443, "")
    site = Site(replace(account, function=function, login="eyJlogin"), Exchanges())
    site.function("GET", "/health")
    site.function("GET", "/health", plain=True)
    (first, with_login), (second, plain) = sent
    assert (first.scheme, second.scheme, second.port) == ("https", "http", 80)
    assert with_login.headers == {"Authorization": "Bearer eyJlogin"}
    assert plain.headers == {}


@pytest.mark.parametrize("url", ["http://f.example.com", "http://localhost.example.com/sts"])
@pytest.mark.parametrize("login", ["", "eyJlogin"])
def test_a_function_is_not_asked_by_plain_http(url: str, login: str) -> None:
    """With http://, others in the network could read the login in the requests, and the token in
    the answer to GET /."""
    with pytest.raises(UsageError, match=r"^URL must begin with https://. Only a"):
        read_account({**CLOUD, "URL": url, "LOGIN": login})


def test_on_loopback_plain_http_is_read_by_nobody() -> None:
    account = read_account({**CLOUD, "URL": "http://127.0.0.1:9000", "LOGIN": "eyJlogin"})
    assert str(account.function) == "http://127.0.0.1:9000/"


def broken_off(
    account: Account,
    monkeypatch: pytest.MonkeyPatch,
    probe: str,
    part: str,
    error: Exception | None,
) -> tuple[Site, list[str]]:
    """Run a probe. If the target of a request matches `part`, OSS carries out the request, but the
    probe gets no answer."""
    real = wire.send

    def send(address: Address, call: Call) -> Reply:
        reply = real(address, call)
        if re.search(part, call.target(address)):
            raise error or KeyboardInterrupt
        return reply

    monkeypatch.setattr(wire, "send", send)
    site = Site(account, Exchanges())
    if error is None:
        with pytest.raises(KeyboardInterrupt):
            list(probe_each(site, [assumption(probe)]))
    else:
        list(probe_each(site, [assumption(probe)]))
    return site, clean_up(site)


@pytest.mark.parametrize("error", [None, NoAnswer("too late")], ids=["Ctrl-C", "no answer"])
@pytest.mark.parametrize(
    ("probe", "part", "what"),
    [
        ("multipart_callback", "[?&]uploads", "a multipart upload of {}multipart/plain"),
        ("signed_size", "size/as-signed", "{}size/as-signed"),
        ("form_redirect", "/sandbox-bucket/$", "{}form/redirect"),
    ],
)
def test_what_had_no_answer_is_named_although_nothing_is_seen_of_it(
    error: NoAnswer | None,
    probe: str,
    part: str,
    what: str,
    account: Account,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """OSS may create the object or the upload only after the clean-up has listed what exists."""
    site, left = broken_off(account, monkeypatch, probe, part, error)
    late = "OSS did not answer, and may still carry out the request; look again later"
    assert f"{what.format(site.prefix)}: {late}" in left


def test_a_key_that_cannot_be_deleted_is_named_alone(account: Account) -> None:
    """OSS refuses to delete a whole list of keys because of one key in it."""

    def denied(request: Request, body: bytes) -> Response | None:
        is_it = b"size/other" in body or request.url.path.endswith("size/other")
        is_delete = request.method == "DELETE" or "delete" in request.query_params
        return refused_by_oss(403, "AccessDenied") if is_it and is_delete else None

    def wrap(name: str, app: ASGIApp) -> ASGIApp:
        return answering(app, denied) if name == "oss" else app

    with local_cloud(wrap) as other:
        site = Site(other, Exchanges())
        key = site.session({"Effect": "Allow", "Action": "oss:*", "Resource": "*"})
        for name in ("size/a", "size/other", "size/b"):
            assert site.oss(key, "PUT", name, body=b"x").is_good
        assert clean_up(site) == [f"{site.prefix}size/other: 403 AccessDenied"]
        query = {"list-type": "2", "prefix": site.prefix}
        listing = site.oss(key, "GET", "", query=query).body
    assert re.findall(rb"size/[a-z]+(?=</Key>)", listing) == [b"size/other"]


def test_where_nothing_can_be_listed_keys_are_deleted_one_by_one() -> None:
    def denied(request: Request, _: bytes) -> Response | None:
        is_it = {"delete", "list-type"} & request.query_params.keys()
        return refused_by_oss(403, "AccessDenied") if is_it else None

    def wrap(name: str, app: ASGIApp) -> ASGIApp:
        return answering(app, denied) if name == "oss" else app

    with local_cloud(wrap) as account:
        site = Site(account, Exchanges())
        list(probe_each(site, [assumption("signed_size")]))
        (told,) = clean_up(site)
        key = site.session({"Effect": "Allow", "Action": "oss:*", "Resource": "*"})
        found = site.oss(key, "GET", "size/as-signed")
    assert told == f"objects under {site.prefix}, which could not be listed: 403 AccessDenied"
    assert found.code == "NoSuchKey"


@pytest.mark.parametrize("name", ["", "file/below"])
def test_a_transcript_that_cannot_be_written_is_told_before_anything_is_asked(
    name: str, account: Account, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"^TRANSCRIPT must name a file .*, but .* cannot be"):
        command.run(account, "a sandbox", {"TRANSCRIPT": str(tmp_path / name)}, ())


def test_a_closed_output_loses_neither_the_transcript_nor_what_is_left(tmp_path: Path) -> None:
    """For example, `make conform | head -1` closes the output early."""
    code = (
        "import sys\n"
        "from ops.conform import __main__ as command\n"
        "clean_up = command.clean_up\n"
        "command.clean_up = lambda site: [*clean_up(site), 'something']\n"
        "sys.exit(command.main())\n"
    )
    env = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": ":".join(path for path in sys.path if path),
        "TRANSCRIPT": str(tmp_path / "conform.txt"),
    }
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        assert started.stdout is not None
        assert started.stderr is not None
        assert started.stdout.readline().startswith("make conform: tests")
        started.stdout.close()
        told = started.stderr.read()
    assert started.returncode == 1
    assert "sandbox-bucket may still have: something" in told
    assert "its output was closed" in told
    assert "Traceback" not in told
    assert "Exception" not in told
    assert "clean-up\n" in (tmp_path / "conform.txt").read_text()


def test_a_domain_of_ones_own_is_not_in_the_transcript(account: Account) -> None:
    own = account.oss._replace(host="files.my-company.example")
    site = Site(replace(account, oss=own), Exchanges())
    answer = exchanges.Answer(403, "AccessDenied", message="at files.my-company.example")
    site.exchanges.notes.append(exchanges.Note(0, "OSS GET /", {}, answer))
    text = transcript.text(site, [], "the cloud")
    assert "my-company" not in text
    assert "at ENDPOINT" in text


def test_the_env_file_of_the_deployment_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in CLOUD.items()))
    for name in (*NEEDED, "URL", "LOGIN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUD", "1")
    accounts: list[Account] = []

    def run(account: Account, where: str, env: object) -> int:
        accounts.append(account)
        return len(where) * bool(env)

    monkeypatch.setattr(command, "run", run)
    assert command.main() == len("the cloud")
    assert accounts == [read_account(CLOUD)]


@pytest.mark.parametrize(
    ("more", "public"),
    [
        ({"OSS_REGION": "cn-shenzhen-finance-1"}, "https://oss-cn-szfinance.aliyuncs.com"),
        ({"OSS_ENDPOINT": "http://127.0.0.1:7081"}, "http://127.0.0.1:7081"),
        ({"OSS_ENDPOINT": "http://files.localhost:7081"}, "http://files.localhost:7081"),
        ({"OSS_ENDPOINT": "files.example.com"}, "https://oss-cn-beijing.aliyuncs.com"),
    ],
)
def test_the_public_endpoint_is_the_vendors_but_never_asked_for_a_sandbox(
    more: dict[str, str], public: str
) -> None:
    assert str(read_account({**CLOUD, **more}).public) == public
