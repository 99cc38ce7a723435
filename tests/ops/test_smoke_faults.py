"""Faults that the smoke test must detect. Each test adds one mistake to the answers of the real
function."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faulty_proxy import Exchange, Fault, faulty
from ops.report import table as printed
from ops.smoke import checks
from ops.smoke.options import read_options
from running_function import RunningFunction, running_function
from signed_logins import SECRET
from smoke_test import Table, smoke

ORIGIN = "https://app.example.com"
CREDENTIALS = ("AccessKeyId", "AccessKeySecret", "SecurityToken")


def smoke_with(function: RunningFunction, fault: Fault, **how: Any) -> Table:
    """Check the real function through a proxy that makes a mistake."""
    env = {name: how.pop(name) for name in ("LOGIN", "ORIGIN", "UPLOAD") if name in how}
    with faulty(function.url, fault, **how) as url:
        return smoke(url, **env)


def test_the_proxy_alone_makes_no_mistake(function: RunningFunction) -> None:
    def none(exchange: Exchange) -> None:
        exchange.change()

    table = smoke_with(function, none, ORIGIN=ORIGIN, UPLOAD="1")
    assert not table.failed, table.text


# The answer as a whole


def test_a_late_answer(function: RunningFunction, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "ANSWER_SECONDS", 0.2)

    def late(exchange: Exchange) -> None:
        if exchange.target == "/sts/":
            time.sleep(0.3)

    table = smoke_with(function, late)
    table.check("answer time", "FAIL", "at most 0.2 s", "uploads on Android wait for the answer")


def test_html_in_place_of_json(function: RunningFunction) -> None:
    def html(exchange: Exchange) -> None:
        exchange.body = b"<!DOCTYPE html><title>Welcome</title>"
        exchange.answered["content-type"] = "text/html"

    table = smoke_with(function, html)
    table.check("token", "FAIL", "HTML")
    table.check("headers", "FAIL", "Content-Type is text/html")
    table.check("Android", "FAIL", "HTML")
    assert table.failed >= {"health", "iOS", "credentials_uri", "failures"}


def test_http_403_fails_all_but_ios(function: RunningFunction) -> None:
    def forbidden(exchange: Exchange) -> None:
        exchange.status = 403

    table = smoke_with(function, forbidden)
    table.check("headers", "FAIL", "HTTP 403: must be 200")
    table.check("Android", "FAIL", "HTTP 403", "before it reads the body")
    table.check("iOS", "PASS")
    table.check("credentials_uri", "FAIL", "HTTP 403")


def test_a_redirect_fails_and_its_login_is_not_shown(function: RunningFunction) -> None:
    def redirect(exchange: Exchange) -> None:
        exchange.status = 302
        exchange.answered["location"] = "https://elsewhere.example/?access_token=l0gin"

    table = smoke_with(function, redirect)
    table.check("headers", "FAIL", "HTTP 302", "redirect to elsewhere.example")
    table.check("Android", "FAIL", "HTTP 302")
    assert "l0gin" not in table.text


def test_compression_that_nobody_asked_for(function: RunningFunction) -> None:
    def compress(exchange: Exchange) -> None:
        exchange.body = gzip.compress(exchange.body)
        exchange.answered["content-encoding"] = "gzip"

    table = smoke_with(function, compress)
    table.check("token", "FAIL", "compressed")
    table.check("headers", "FAIL", "Content-Encoding is gzip")
    # iOS asks for compressed answers.
    table.check("iOS", "PASS")


def test_a_missing_no_store(function: RunningFunction) -> None:
    def cache(exchange: Exchange) -> None:
        exchange.answered["cache-control"] = "max-age=60"

    table = smoke_with(function, cache)
    table.check("headers", "FAIL", "no-store", "shared cache")
    table.check("failures", "FAIL", "no-store")


def test_a_missing_content_length(function: RunningFunction) -> None:
    table = smoke_with(function, Exchange.change, framed=False)
    table.check("headers", "FAIL", "Content-Length is missing")


def test_an_answer_that_ends_half_way(function: RunningFunction) -> None:
    def cut(exchange: Exchange) -> None:
        exchange.answered["Transfer-Encoding"] = "chunked"
        exchange.body = b"ff\r\n{"

    table = smoke_with(function, cut, framed=False)
    table.check("connection", "FAIL", "cut off")


def test_a_byte_order_mark(function: RunningFunction) -> None:
    def mark(exchange: Exchange) -> None:
        exchange.body = b"\xef\xbb\xbf" + exchange.body

    smoke_with(function, mark).check("token", "FAIL", "byte order mark")


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "empty"),
        (b"OK", "not JSON"),
        (b"[]", "array"),
        (b"null", "must be a JSON object"),
        (b"\xff\xfe{\x00", "not JSON"),
        (b'{"StatusCode":200,"StatusCode":200}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"9" * 5000, "not JSON"),
    ],
)
def test_a_body_that_is_no_json_object(function: RunningFunction, body: bytes, word: str) -> None:
    def replace(exchange: Exchange) -> None:
        exchange.body = body

    table = smoke_with(function, replace)
    table.check("token", "FAIL", word)
    table.check("iOS", "FAIL", word)


# Its members


def with_member(name: str, value: object) -> Fault:
    return lambda exchange: exchange.change(**{name: value})


def without_member(name: str) -> Fault:
    return lambda exchange: exchange.rewrite(lambda document: document.pop(name))


def stamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


def test_an_expiration_with_an_offset(function: RunningFunction) -> None:
    """Android reads only the first 19 characters of the time, as UTC. If the time has the offset
    +08:00, Android therefore uses the token for 8 h too long."""
    fault = with_member("Expiration", stamp(8 * 3600 + 900)[:-1] + "+08:00")
    table = smoke_with(function, fault)
    table.check("expiration", "FAIL", "offset", "Android ignores")
    table.check("Android", "FAIL", "30 s")


def test_an_expiration_with_a_fraction(function: RunningFunction) -> None:
    fault = with_member("Expiration", stamp(900)[:-1] + ".000Z")
    table = smoke_with(function, fault)
    table.check("expiration", "FAIL", "fraction", "iOS")
    table.check("iOS", "FAIL", "a new token for each request")


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("2036-01-01 00:00:00", "exactly like"),
        ("2036-01-01T00:00:00", "lacks the Z"),
        ("2036-02-30T00:00:00Z", "exactly like"),
        ("2036-01-01t00:00:00z", "exactly like"),
        ("\u0662\u0660\u0663\u0666-01-01T00:00:00Z", "exactly like"),
        (2082758400, "iOS crashes on a number"),
        (None, "missing or null"),
        (["2036-01-01T00:00:00Z"], "must be text"),
    ],
)
def test_an_expiration_of_another_form(function: RunningFunction, value: object, word: str) -> None:
    table = smoke_with(function, with_member("Expiration", value))
    table.check("expiration", "FAIL", word)
    assert table.failed >= {"expiration", "Android", "iOS", "credentials_uri"}


@pytest.mark.parametrize("left", [-10, 20, 290])
def test_too_short_a_life(function: RunningFunction, left: int) -> None:
    def short(exchange: Exchange) -> None:
        exchange.change(Expiration=stamp(left))

    table = smoke_with(function, short)
    table.check("expiration", "FAIL", "s are left", "a new token for each request")
    table.check("Android", "FAIL", "a new token for each request")
    table.check("iOS", "FAIL", "a new token for each request")


def test_a_life_that_sts_never_gives(function: RunningFunction) -> None:
    table = smoke_with(function, with_member("Expiration", stamp(100_000)))
    table.check("expiration", "FAIL", "more than STS's longest session")


@pytest.mark.parametrize("name", ["Region", "Bucket", "Endpoint", "Timeout", "region", "Message"])
def test_a_member_at_the_top_that_ali_oss_takes_as_an_option(
    function: RunningFunction, name: str
) -> None:
    table = smoke_with(function, with_member(name, "cn-hangzhou"))
    table.check("token", "FAIL", repr(name), "ali-oss", "Scope")


@pytest.mark.parametrize("name", CREDENTIALS)
def test_a_credential_that_is_null_fails_every_client(function: RunningFunction, name: str) -> None:
    table = smoke_with(function, with_member(name, None))
    table.check("token", "FAIL", f"{name} is null", 'the text "null"')
    assert table.failed >= {"Android", "iOS", "credentials_uri"}


@pytest.mark.parametrize("name", [*CREDENTIALS, "Scope"])
def test_a_token_without_a_member_fails(function: RunningFunction, name: str) -> None:
    smoke_with(function, without_member(name)).check("token", "FAIL", name)


@pytest.mark.parametrize("value", ["", "clé", "a b", "a\nb", 7, {"a": 1}])
def test_a_security_token_that_is_not_printable_ascii(
    function: RunningFunction, value: object
) -> None:
    table = smoke_with(function, with_member("SecurityToken", value))
    table.check("token", "FAIL", "SecurityToken must be")


@pytest.mark.parametrize("value", ["200", True, 201, None, 200.5])
def test_a_status_code_that_is_not_the_number_200(function: RunningFunction, value: object) -> None:
    table = smoke_with(function, with_member("StatusCode", value))
    table.check("token", "FAIL", "StatusCode")
    table.check("Android", "FAIL", "StatusCode")


def test_a_missing_code(function: RunningFunction) -> None:
    table = smoke_with(function, without_member("Code"))
    table.check("token", "FAIL", "Success")
    table.check("credentials_uri", "FAIL", "Success")
    table.check("Android", "PASS")


def test_a_leaked_key_id(function: RunningFunction) -> None:
    table = smoke_with(function, with_member("AccessKeyId", "LTAI5tLongLivedKeyId"))
    table.check("temporary key", "FAIL", "long-lived key", "disable that key")
    assert "LTAI5tLongLivedKeyId" not in table.text


def test_a_key_id_that_leaks_beside_a_sound_one(function: RunningFunction) -> None:
    def leak(exchange: Exchange) -> None:
        exchange.rewrite(lambda document: document["Scope"].update(Owner="LTAI5tLongLived"))

    smoke_with(function, leak).check("temporary key", "FAIL", "the answer contains", "long-lived")


# Clocks


@pytest.mark.parametrize("seconds", [-600, 600, 86400])
def test_a_wrong_clock_of_the_function(function: RunningFunction, seconds: int) -> None:
    table = smoke_with(function, with_member("LastUpdated", stamp(seconds)))
    side = "ahead of" if seconds > 0 else "behind"
    table.check("clock", "FAIL", "LastUpdated", side, "clock")


def test_a_wrong_clock_of_the_platform(function: RunningFunction) -> None:
    def off(exchange: Exchange) -> None:
        exchange.answered["date"] = "Thu, 01 Jan 2026 00:00:00 GMT"

    smoke_with(function, off).check("clock", "FAIL", "Date is", "behind")


def test_a_missing_date(function: RunningFunction) -> None:
    def dateless(exchange: Exchange) -> None:
        exchange.answered.pop("date")

    smoke_with(function, dateless).check("clock", "FAIL", "Date is missing")


# Browsers


def without_header(name: str) -> Fault:
    def fault(exchange: Exchange) -> None:
        exchange.answered.pop(name, None)

    return fault


def test_answers_without_cors_fail_preflight_and_page(function: RunningFunction) -> None:
    fault = without_header("access-control-allow-origin")
    table = smoke_with(function, fault, ORIGIN=ORIGIN)
    table.check("preflight", "FAIL", "no Access-Control-Allow-Origin", "ALLOWED_ORIGINS")
    table.check("page", "FAIL", "no Access-Control-Allow-Origin")


def test_options_that_the_trigger_does_not_pass_on(function: RunningFunction) -> None:
    def refuse(exchange: Exchange) -> None:
        if exchange.method == "OPTIONS":
            exchange.status = 405

    table = smoke_with(function, refuse, ORIGIN=ORIGIN)
    table.check("preflight", "FAIL", "HTTP 405", "trigger's methods")
    table.check("methods", "FAIL", "OPTIONS: HTTP 405")


def test_a_preflight_that_forbids_the_login_header(function: RunningFunction) -> None:
    def forbid(exchange: Exchange) -> None:
        if "access-control-allow-headers" in exchange.answered:
            exchange.answered["access-control-allow-headers"] = "*, content-type"

    table = smoke_with(function, forbid, ORIGIN=ORIGIN)
    table.check("preflight", "FAIL", "lacks authorization")


def test_a_cached_answer_of_another_origin(function: RunningFunction) -> None:
    table = smoke_with(function, without_header("vary"), ORIGIN=ORIGIN)
    table.check("page", "FAIL", "Vary lacks Origin")


def test_a_date_that_pages_cannot_see(function: RunningFunction) -> None:
    fault = without_header("access-control-expose-headers")
    smoke_with(function, fault, ORIGIN=ORIGIN).check("page", "FAIL", "lacks Date")


def echo_origin(exchange: Exchange) -> None:
    exchange.answered["access-control-allow-origin"] = exchange.headers.get("Origin", "null")


def test_an_origin_that_is_echoed_whoever_asks(function: RunningFunction) -> None:
    table = smoke_with(function, echo_origin)
    table.check("other origins", "WARN", "any page may read tokens")


def test_cookies_that_strangers_pages_may_send(function: RunningFunction) -> None:
    def with_cookies(exchange: Exchange) -> None:
        echo_origin(exchange)
        exchange.answered["access-control-allow-credentials"] = "true"

    table = smoke_with(function, with_cookies, ORIGIN=ORIGIN)
    table.check("other origins", "FAIL", "Access-Control-Allow-Credentials")
    table.check("page", "FAIL", "no cookies are used")


# Failures, methods, logins


def edit_failure(edit: Callable[[dict[str, Any]], object]) -> Fault:
    def fault(exchange: Exchange) -> None:
        if exchange.target.startswith(checks.NO_SUCH_PATH):
            document = json.loads(exchange.body)
            edit(document)
            exchange.body = json.dumps(document).encode()

    return fault


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"StatusCode": 200}, "StatusCode"),
        ({"StatusCode": "404"}, "StatusCode"),
        ({"ErrorCode": ""}, "ErrorCode"),
        ({"ErrorMessage": None}, "ErrorMessage"),
        ({"Code": "Success"}, "Success"),
        ({"AccessKeyId": ""}, "AccessKeyId must not be in an error answer"),
    ],
)
def test_a_failure_of_another_form(
    function: RunningFunction, change: dict[str, object], word: str
) -> None:
    fault = edit_failure(lambda document: document.update(change))
    smoke_with(function, fault).check("failures", "FAIL", word)


def test_a_post_that_is_not_answered(function: RunningFunction) -> None:
    def refuse(exchange: Exchange) -> None:
        if exchange.method == "POST":
            exchange.body = b'{"StatusCode":405,"ErrorCode":"MethodNotAllowed","ErrorMessage":"x"}'

    smoke_with(function, refuse).check(
        "methods", "FAIL", "POST: there is no token", "MethodNotAllowed"
    )


def test_logins_that_are_not_looked_at(function: RunningFunction, login: str) -> None:
    """The function has AUTH=anonymous, so it does not check logins, although the operator believes
    that it does."""
    table = smoke(function.url, LOGIN=login)
    table.check("logins", "FAIL", "a token without a valid login", "none", "altered", "unsigned")


def test_logins_whose_signature_is_not_verified(
    login_function: RunningFunction, login: str
) -> None:
    def believe(exchange: Exchange) -> None:
        # Simulate a function that decodes a JWT and forgets to verify it.
        head, found, _ = exchange.target.partition("access_token=")
        if found:
            exchange.target = f"{head}access_token={login}"

    def none(exchange: Exchange) -> None:
        pass

    table = smoke_with(login_function, none, before=believe, LOGIN=login)
    table.check("logins", "FAIL", "(altered)", "(unsigned)")
    assert "(none)" not in table.lines["logins"][1]


# Access that a token gives


def smoke_under(statements: list[dict[str, Any]], tmp_path: Path, login: str) -> Table:
    """Return the smoke test's table for a function whose policy has these statements."""
    template = tmp_path / "own.json.j2"
    template.write_text(json.dumps({"Version": "1", "Statement": statements}))
    variables = {"AUTH": "jwt", "JWT_SECRET": SECRET, "POLICY_FILE": str(template)}
    with running_function(tmp_path / "state", **variables) as function:
        return smoke(function.url, LOGIN=login, UPLOAD="1")


def test_a_token_that_opens_the_neighbours_prefix(tmp_path: Path, login: str) -> None:
    """This policy allows the operator's whole prefix, not only the caller's folder."""
    statements: list[dict[str, Any]] = [
        {
            "Effect": "Allow",
            "Action": ["oss:PutObject", "oss:GetObject"],
            "Resource": "acs:oss:*:*:sandbox-bucket/uploads/*",
        },
        {
            "Effect": "Allow",
            "Action": "oss:ListObjects",
            "Resource": "acs:oss:*:*:sandbox-bucket",
        },
    ]
    table = smoke_under(statements, tmp_path, login)
    table.check("upload", "PASS")
    table.check("neighbour: write", "FAIL", "may write uploads/smoke-test-")
    table.check("neighbour: read", "FAIL", "may read uploads/smoke-test-")
    table.check("neighbour: list", "FAIL", "may list uploads/smoke-test-")
    table.check("clean-up", "WARN", "stays")


def test_a_token_whose_prefix_lacks_its_slash(tmp_path: Path, login: str) -> None:
    """The pattern uploads/alice* also matches uploads/alice-and-bob/."""
    statement = {
        "Effect": "Allow",
        "Action": "oss:PutObject",
        "Resource": "acs:oss:*:*:sandbox-bucket/uploads/alice*",
    }
    table = smoke_under([statement], tmp_path, login)
    table.check("neighbour: write", "FAIL", "may write uploads/alice-smoke-test-")
    table.check("neighbour: read", "PASS")


def scope(**members: object) -> Fault:
    return lambda exchange: exchange.rewrite(lambda document: document["Scope"].update(members))


def test_a_token_that_opens_nothing(function: RunningFunction) -> None:
    table = smoke_with(function, scope(Prefix="elsewhere/"), UPLOAD="1")
    table.check("upload", "FAIL", "AccessDenied")
    table.check("overwriting", "SKIP", "nothing was written")


def test_a_token_that_oss_does_not_know_is_no_proof_of_refusal(function: RunningFunction) -> None:
    """OSS refuses a wrong key for every object, so a 403 alone proves nothing about the policy."""
    fault = with_member("SecurityToken", "CAISmade-up")
    table = smoke_with(function, fault, UPLOAD="1")
    table.check("upload", "FAIL", "SecurityToken")
    for name in ("neighbour: write", "neighbour: read", "neighbour: list"):
        table.check(name, "FAIL", "cannot be judged")


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://oss.example.com",
        "ftp://127.0.0.1",
        "http://127.evil.example",
        "https://[",
        # oss2 would put http:// before a name without a scheme.
        "oss.example.com",
    ],
)
def test_a_token_is_not_sent_in_the_open(function: RunningFunction, endpoint: str) -> None:
    table = smoke_with(function, scope(Endpoint=endpoint), UPLOAD="1")
    table.check("upload", "FAIL", "https://… or a loopback address")
    table.check("neighbour: write", "SKIP")


def test_an_oss_that_cannot_be_reached(function: RunningFunction) -> None:
    table = smoke_with(function, scope(Endpoint="http://127.0.0.1:9"), UPLOAD="1")
    refused = "OSS cannot be reached: http://127.0.0.1:9: the connection was refused"
    table.check("upload", "FAIL", refused)
    for name in ("write", "read", "list"):
        table.check(f"neighbour: {name}", "SKIP", "no upload reached OSS")


def test_a_checksum_of_something_else_is_one_line(function: RunningFunction) -> None:
    def wrong(exchange: Exchange) -> None:
        exchange.answered["x-oss-hash-crc64ecma"] = "1"

    with faulty(function.cloud.env["OSS_ENDPOINT"], wrong) as oss:
        table = smoke_with(function, scope(Endpoint=oss.rstrip("/")), UPLOAD="1")
    table.check("upload", "FAIL", "checksum")


def test_a_refusal_that_ends_half_way_is_one_line(function: RunningFunction) -> None:
    def cut(exchange: Exchange) -> None:
        exchange.status = 403
        exchange.answered["Transfer-Encoding"] = "chunked"
        exchange.body = b"ff\r\n<Error>"

    with faulty(function.cloud.env["OSS_ENDPOINT"], cut, framed=False) as oss:
        table = smoke_with(function, scope(Endpoint=oss.rstrip("/")), UPLOAD="1")
    table.check("upload", "FAIL", "cannot be reached")


def test_a_scope_that_oss2_does_not_take(function: RunningFunction) -> None:
    table = smoke_with(function, scope(Bucket="Not_A_Bucket"), UPLOAD="1")
    table.check("upload", "FAIL", "Bucket or Endpoint")


# Secrets


def test_a_secret_that_a_faulty_function_quotes_is_masked(
    login_function: RunningFunction, login: str
) -> None:
    """The table shows the function's error message, which may quote the refused login."""
    stolen: list[str] = []

    def quote(exchange: Exchange) -> None:
        document = json.loads(exchange.body or b"{}")
        if "SecurityToken" in document:
            stolen.append(document["SecurityToken"])
        if exchange.target.startswith("/health"):
            text = f"\x1b[31m {login} {' '.join(stolen)}\n"
            wrong = {"StatusCode": 500, "ErrorCode": "X", "ErrorMessage": text}
            exchange.body = json.dumps(wrong).encode()

    with faulty(login_function.url, quote) as url:
        found, secrets = checks.run(read_options({"URL": url, "LOGIN": login}))
    text = printed(found, secrets)
    line = next(line for line in text.splitlines() if " health " in line)
    assert line.startswith("FAIL  health")
    assert line.count("***") == 2
    assert "\x1b" not in text
    assert stolen
    for secret in (login, *stolen):
        assert secret not in text
