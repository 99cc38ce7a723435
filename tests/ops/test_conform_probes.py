"""Tests that each probe confirms its assumption in the sandbox, and refutes it in a sandbox whose
rules are changed."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from answers import Answer, answering, function_answer, refused_by_oss
from conform_probes import (
    ASSUMPTIONS,
    Patch,
    check_flip,
    found,
    nothing,
    patches,
    supplied,
    wrapped,
)
from ops.conform import limit_probes
from ops.conform.account import Account
from ops.conform.exchanges import Exchanges
from ops.conform.local_cloud import local_cloud
from ops.conform.probes import PROBES
from ops.conform.runner import probe_each
from ops.conform.site import Site
from ops.conform.verdicts import Finding, Verdict
from ops.smoke import wire
from ops.smoke.wire import Address, Call
from sandbox import ram, sts
from sandbox.identities import Role
from sandbox.oss import (
    authentication,
    callbacks,
    form_policy,
    forms,
    image_instructions,
    links,
    objects,
    operations,
)
from sandbox.oss.authorization import authorize
from sandbox.oss.errors import OssError


def without_acl(patch: Patch) -> None:
    """Require only PutObject for an upload with an ACL, as the vendor's table does."""

    def lenient(call: Any, needs: Any, site: Any) -> None:
        authorize(call, [need for need in needs if need.action != "oss:PutObjectAcl"], site)

    for module in ("app", "form_upload"):
        patch.setattr(f"sandbox.oss.{module}.authorize", lenient)


def forgetful_form(patch: Patch) -> None:
    """If a form has a field twice, use only the last value."""
    real = forms.FormReader._begin_value

    def begin(self: forms.FormReader) -> None:
        known, self._fields = self._fields, {}
        real(self)
        self._fields = known
        if self.form is not None:
            self.form = replace(self.form, fields=known)

    patch.setattr(forms.FormReader, "_begin_value", begin)


def type_of_file(patch: Patch) -> None:
    """Conditions on content-type check the Content-Type of the file's part."""
    real = forms.FormReader._begin_value

    def begin(self: forms.FormReader) -> None:
        real(self)
        if self.form is not None:
            self._fields["content-type"] = self.form.content_type

    patch.setattr(forms.FormReader, "_begin_value", begin)


def caseless(patch: Patch) -> None:
    real = ram._fields_match
    patch.setattr(
        ram,
        "_fields_match",
        lambda pattern, fields: real(
            tuple(map(str.lower, pattern)), [field.lower() for field in fields]
        ),
    )


def with_variables(patch: Patch) -> None:
    real = ram._fields_match

    def match(pattern: tuple[str, ...], fields: list[str]) -> bool:
        filled = tuple(one.replace("${acs:AccessId}", "STS.somebody") for one in pattern)
        return real(filled, fields)

    patch.setattr(ram, "_fields_match", match)


def refused_variables(patch: Patch) -> None:
    """Make STS refuse a policy with a dollar sign."""
    real = ram.Policy.parse

    def parse(text: str) -> ram.Policy:
        if "$" in text:
            raise ram.PolicyGrammarError("a variable")
        return real(text)

    patch.setattr(ram.Policy, "parse", parse)


def true_when_absent(patch: Patch) -> None:
    real = ram._Condition.holds

    def holds(self: Any, context: Mapping[str, str]) -> bool:
        return real(self, context) or self.key not in context

    patch.setattr(ram._Condition, "holds", holds)


def status_of_sts(code: str, patch: Patch) -> None:
    patch.setitem(sts._ERRORS, code, (403, sts._ERRORS[code][1]))


def one_hour(patch: Patch) -> None:
    """Limit sessions to one hour, as AWS limits chained sessions."""

    def duration(text: str, role: Role) -> int:
        if int(text) > 3600:
            raise sts._Refusal("InvalidParameter.DurationSeconds", longest="1hr")
        return int(text)

    patch.setattr(sts, "_duration", duration)


def unknown_key(patch: Patch) -> None:
    error = OssError(403, "InvalidAccessKeyId", "No such key.", "0002-00000002")
    patch.setattr(authentication, "_unknown", lambda _: error)


def percent_counts(patch: Patch) -> None:
    real = image_instructions.Resize

    def resize(**given: Any) -> image_instructions.Resize:
        return real(**{**given, "width": 10})

    patch.setattr(image_instructions, "Resize", resize)


def other_signature(patch: Patch) -> None:
    wrong = base64.b64encode(bytes(256)).decode()
    patch.setattr("sandbox.oss.callback_signer.CallbackSigner.sign", lambda *_: wrong)


FLIPS: list[tuple[str, Callable[[Patch], None], str]] = [
    ("acl_in_put", without_acl, "a PUT was accepted"),
    ("link_rights", patches(links, "authorize", nothing), "through the link was accepted"),
    ("signed_size", partial(supplied, "content-length", "7"), "another size was accepted"),
    ("forbid_overwrite", patches(objects, "may_overwrite", lambda *_: True), "the second upload"),
    ("forbid_overwrite", partial(supplied, "x-oss-forbid-overwrite", "true"), "without the signed"),
    ("additional_header", partial(supplied, "range", "bytes=0-1"), "without the header was"),
    ("foreign_token", unknown_key, "403 InvalidAccessKeyId"),
    (
        "form_conditions",
        patches(form_policy, "BOUND_BY_V4", ()),
        "without the conditions was accepted",
    ),
    ("form_field_twice", forgetful_form, "given twice was accepted"),
    ("form_content_type", type_of_file, "text/plain only in the header of its file"),
    ("multipart_callback", patches(operations, "_DEAF_TO_CALLBACKS", ()), "NotImplemented"),
    ("callback_variable", patches(callbacks, "_check_template", nothing), "203"),
    ("callback_key", other_signature, "203"),
    ("image_actions", patches(image_instructions, "MAX_ACTIONS", 99), "17 actions was accepted"),
    ("image_percent", percent_counts, "10 pixels wide"),
    ("resource_case", caseless, "under a policy for Case/ was accepted"),
    ("policy_variable", with_variables, "AccessDenied"),
    ("policy_variable", refused_variables, "STS refuses the policy"),
    ("absent_condition_key", true_when_absent, "without the key was accepted"),
    ("sts_statuses", partial(status_of_sts, "SignatureDoesNotMatch"), "403 SignatureDoesNotMatch"),
    ("sts_statuses", partial(status_of_sts, "InvalidTimeStamp.Expired"), "403 InvalidTimeStamp"),
    ("sts_statuses", partial(status_of_sts, "SignatureNonceUsed"), "403 SignatureNonceUsed"),
    ("sts_statuses", partial(status_of_sts, "MissingParameter"), "403 MissingParameter"),
]
"""Each row has a probe, a function that changes one rule of the sandbox, and words that the
probe's finding must then contain."""


@pytest.mark.parametrize(
    ("probe", "flip", "said"), FLIPS, ids=[f"{probe}: {said}" for probe, _, said in FLIPS]
)
def test_a_rule_that_is_another_one_is_refuted(
    probe: str, flip: Callable[[Patch], None], said: str, account: Account, monkeypatch: Patch
) -> None:
    check_flip(probe, flip, said, account, monkeypatch)


def is_v1(request: Request, body: bytes) -> bool:
    in_header = request.headers.get("authorization", "").startswith("OSS ")
    return in_header or "OSSAccessKeyId" in request.query_params or b'"OSSAccessKeyId"' in body


def v1(answer: Callable[[], Response]) -> Answer:
    return lambda request, body: answer() if is_v1(request, body) else None


def public(answer: Callable[[], Response]) -> Answer:
    return lambda request, _: answer() if request.url.path.endswith("/public/none") else None


def at(path: str, answer: Callable[[Request], Response]) -> Answer:
    return lambda request, _: answer(request) if request.url.path == path else None


def redirected(code: int, location: str) -> Answer:
    def answer(_: Request, body: bytes) -> Response | None:
        headers = {"location": location}
        return Response("", code, headers) if b"success_action_redirect" in body else None

    return answer


def echoed(request: Request) -> Response:
    origin = request.headers.get("origin", "")
    return Response("{}", 200, {"access-control-allow-origin": origin})


def internal(uploads: Response) -> Answer:
    """Simulate a function that runs in the bucket's region, so /health names the internal endpoint.
    `uploads` is the function's answer to GET /uploads."""
    health = function_answer(200, OssHost="oss-cn-hangzhou-internal.aliyuncs.com")
    answers = {"/health": health, "/uploads": uploads}
    return lambda request, _: answers.get(request.url.path)


def of(name: str, response: Response, method: str = "PUT") -> Answer:
    """Return a function that answers `response` to each `method` request for the object `name`."""

    def answer(request: Request, _: bytes) -> Response | None:
        is_it = request.url.path.endswith(name) and request.method == method
        return response if is_it and "symlink" not in request.query_params else None

    return answer


def conditional_write(request: Request, _: bytes) -> Response | None:
    is_it = request.method == "POST" and "if-none-match" in request.headers
    return Response("") if is_it else None


def referenced(request: Request, _: bytes) -> Response | None:
    """Answer with a listing that writes the control character as an XML reference."""
    prefix = request.query_params.get("prefix", "")
    text = f"<ListBucketResult><Key>{prefix}a&#x1;b</Key></ListBucketResult>"
    return Response(text) if prefix.endswith("control/") else None


def let_through(request: Request) -> Response:
    """Simulate a function in a custom runtime, on a platform that passes the x-fc-* headers of a
    client on to the function."""
    if "x-fc-security-token" in request.headers:
        return function_answer(500, ErrorCode="InvalidAccessKeyId.NotFound")
    return function_answer(200)


CLOSED = ("PublicEndpointForbidden", "0048-00000401")
ANSWERS: list[tuple[str, str, Answer, Verdict, str]] = [
    ("v1_refused", "oss", v1(lambda: refused_by_oss(403, "X")), Verdict.CONFIRMED, "403 X"),
    ("v1_refused", "oss", v1(lambda: Response("", 200)), Verdict.REFUTED, "header signed by V1"),
    (
        "public_endpoint",
        "public",
        public(lambda: refused_by_oss(403, *CLOSED)),
        Verdict.REFUTED,
        "403 Public",
    ),
    (
        "public_endpoint",
        "public",
        public(lambda: refused_by_oss(400, "Closed")),
        Verdict.REFUTED,
        "400 Closed",
    ),
    (
        "form_redirect",
        "oss",
        redirected(302, "https://example.com/done?a=b"),
        Verdict.REFUTED,
        "302",
    ),
    (
        "form_redirect",
        "oss",
        redirected(303, "https://example.com/done?a=b&etag=x"),
        Verdict.REFUTED,
        "etag=x",
    ),
    *[
        ("unknown_header", "oss", of("unknown/a", Response("")), Verdict.REFUTED, "accepted"),
        ("write_condition", "oss", conditional_write, Verdict.REFUTED, "AppendObject was accepted"),
        ("control_characters", "oss", referenced, Verdict.REFUTED, "written as a&#x1;b"),
        (
            "link_headers",
            "oss",
            of("tells/link", Response("", 200, {"x-oss-symlink-target": "x"}), "HEAD"),
            Verdict.REFUTED,
            "HEAD has the target's name",
        ),
        (
            "range_answer",
            "oss",
            of("gzip/a", Response("co", 206, {"content-encoding": "gzip"}), "GET"),
            Verdict.REFUTED,
            "the range is compressed",
        ),
        (
            "compressed_type",
            "oss",
            of("gzip/a", Response("co"), "GET"),
            Verdict.REFUTED,
            "OSS compresses by the stored type",
        ),
        (
            "appendable_copy",
            "oss",
            of("append/copy", refused_by_oss(400, "ObjectNotAppendable")),
            Verdict.REFUTED,
            "refused: 400",
        ),
    ],
    ("platform_cors", "function", at("/", echoed), Verdict.REFUTED, "conform.invalid is allowed"),
    (
        "empty_variables",
        "function",
        at("/health", lambda _: function_answer(500, ErrorMessage="JWT_ISSUER: null")),
        Verdict.REFUTED,
        "JWT_ISSUER",
    ),
    (
        "preinstalled",
        "function",
        at("/", lambda _: Response("ImportModuleError", 502)),
        Verdict.REFUTED,
        "the answer is not from the function",
    ),
    (
        "byte_code",
        "function",
        at("/health", lambda _: function_answer(200, ByteCode=False)),
        Verdict.REFUTED,
        "ByteCode is false",
    ),
    (
        "byte_code",
        "function",
        at("/health", lambda _: function_answer(200)),
        Verdict.NOT_TRIED,
        "does not have ByteCode",
    ),
    (
        "internal_endpoint",
        "function",
        internal(function_answer(200, Objects=[])),
        Verdict.CONFIRMED,
        "came through",
    ),
    (
        "internal_endpoint",
        "function",
        internal(function_answer(503, ErrorCode="OssUnreachable")),
        Verdict.REFUTED,
        "OssUnreachable",
    ),
    (
        "platform_headers",
        "function",
        at("/", let_through),
        Verdict.REFUTED,
        "with the headers: InvalidAccessKeyId.NotFound",
    ),
]
"""For each probe: an answer that the test sends in place of the sandbox's answer, and the verdict
that the probe must give then."""


@pytest.mark.parametrize(
    ("probe", "service", "other", "verdict", "said"),
    ANSWERS,
    ids=[f"{probe}: {said}" for probe, _, _, _, said in ANSWERS],
)
def test_another_answer_is_judged_by_what_it_means(
    probe: str, service: str, other: Answer, verdict: Verdict, said: str
) -> None:
    with wrapped(service, other) as account:
        finding = found(probe, account)
    assert finding.verdict is verdict, finding
    assert said in finding.detail


def test_a_variable_that_does_not_arrive_empty_is_refuted() -> None:
    with local_cloud(JWT_JWKS_URL="null", URL_EXPIRE_TIME="null") as account:
        finding = found("empty_variables", account)
    assert finding.verdict is Verdict.REFUTED
    assert "URL_EXPIRE_TIME" in finding.detail


def test_a_session_that_ends_after_an_hour_is_refuted(monkeypatch: Patch) -> None:
    one_hour(monkeypatch)
    # This test needs a new function, because the shared function would answer with a token from its
    # cache.
    with local_cloud() as account:
        finding = found("session_hours", account)
    assert finding.verdict is Verdict.REFUTED
    assert "InvalidParameter.DurationSeconds" in finding.detail


def test_a_short_token_by_choice_tells_nothing() -> None:
    with local_cloud(TOKEN_EXPIRE_TIME_MAX="3600") as account:
        finding = found("session_hours", account)
    assert finding.verdict is Verdict.NOT_TRIED
    assert "TOKEN_EXPIRE_TIME_MAX=7200" in finding.detail


def test_each_probe_can_be_refuted() -> None:
    """A probe that no cloud can refute is useless. test_conform_limits.py tests the probes of
    limits."""
    here = {n for n, probe in PROBES.items() if probe.__module__ != limit_probes.__name__}
    refuted = {"session_hours", "plain_http"} | {probe for probe, _, _ in FLIPS}
    refuted |= {probe for probe, _, _, verdict, _ in ANSWERS if verdict is Verdict.REFUTED}
    assert refuted == here


@pytest.mark.parametrize("probe", PROBES)
def test_no_answer_refutes_nothing(probe: str) -> None:
    """A fault of the network or a busy OSS proves nothing about an assumption."""
    busy = refused_by_oss(503, "ServiceUnavailable")

    def wrap(name: str, app: ASGIApp) -> ASGIApp:
        return answering(app, lambda *_: busy) if name in ("oss", "public") else app

    with local_cloud(wrap) as account:
        site = Site(replace(account, function=None), Exchanges())
        ((_, finding),) = probe_each(site, [ASSUMPTIONS[probe]])
    is_sts_alone = probe == "sts_statuses"
    assert finding.verdict is (Verdict.CONFIRMED if is_sts_alone else Verdict.NOT_TRIED), finding


@pytest.mark.parametrize(
    ("probe", "answer", "reason"),
    [
        ("v1_refused", b"<CreationDate>2024-01-01T00:00:00.000Z</CreationDate>", "2025-09 or"),
        ("v1_refused", b"<Nothing/>", "CreationDate"),
    ],
)
def test_an_old_bucket_does_not_tell(probe: str, answer: bytes, reason: str) -> None:
    def old(request: Request, _: bytes) -> Response | None:
        return Response(answer) if "bucketInfo" in request.query_params else None

    with wrapped("oss", old) as account:
        finding = found(probe, account)
    assert finding.verdict is Verdict.NOT_TRIED
    assert reason in finding.detail


def test_a_control_that_fails_tells_nothing() -> None:
    """If the role lacks rights that the probe needs, OSS refuses for another reason than the probe
    expects."""

    def denied(request: Request, _: bytes) -> Response | None:
        return refused_by_oss(403, "AccessDenied") if request.method in ("PUT", "POST") else None

    with wrapped("oss", denied) as account:
        site = Site(account, Exchanges())
        (_, finding), *_ = probe_each(site, [ASSUMPTIONS["acl_in_put"]])
    assert finding.verdict is Verdict.NOT_TRIED
    assert "nothing can be concluded" in finding.detail


def test_an_account_whose_public_endpoint_is_open_tells_nothing(account: Account) -> None:
    finding = found("public_endpoint", replace(account, public=account.oss))
    assert finding.verdict is Verdict.NOT_TRIED


def test_an_origin_that_everybody_has_tells_nothing() -> None:
    with local_cloud(ALLOWED_ORIGINS="*") as account:
        finding = found("platform_cors", account)
    assert finding.verdict is Verdict.NOT_TRIED


def by_https(account: Account, monkeypatch: Patch, plain: wire.Reply | None = None) -> Finding:
    """Run the probe plain_http on a function with an https URL. `plain` replaces the answer to
    http://."""
    real = wire.send

    def send(address: Address, call: Call) -> wire.Reply:
        if address.scheme == "http" and plain is not None:
            return plain
        assert address.host == "f.example.com"
        assert account.function is not None
        return real(account.function, call)

    monkeypatch.setattr(wire, "send", send)
    function = Address("https", "f.example.com", 443, "")
    return found("plain_http", replace(account, function=function))


def test_a_function_that_answers_plain_http_is_seen(account: Account, monkeypatch: Patch) -> None:
    assert by_https(account, monkeypatch).verdict is Verdict.CONFIRMED


def test_one_that_does_not_answer_plain_http_is_seen(account: Account, monkeypatch: Patch) -> None:
    moved = wire.Reply(301, (("location", "https://x/"),), b"", 0, 0)
    finding = by_https(account, monkeypatch, moved)
    assert finding.verdict is Verdict.REFUTED
    assert "301" in finding.detail


def test_a_url_that_is_plain_http_itself_tells_nothing(account: Account) -> None:
    """This probe compares https:// with http://. If URL begins with http://, the probe would
    send the same request twice."""
    finding = found("plain_http", account)
    assert finding.verdict is Verdict.NOT_TRIED
    assert "needs the https:// URL" in finding.detail


@pytest.mark.parametrize("prefix", ["", "other/"])
def test_a_prefix_that_is_not_the_operators_is_not_written_to(prefix: str) -> None:
    """The function's answer tells the probe where to write, so the probe refuses places outside
    OBJECT_PREFIX."""
    scope = {"Bucket": "sandbox-bucket", "Prefix": prefix, "Callback": "a", "CallbackVar": "b"}
    key = dict.fromkeys(("AccessKeyId", "AccessKeySecret", "SecurityToken"), "x")
    token = function_answer(200, Scope=scope, **key)
    with wrapped("function", at("/", lambda _: token)) as account:
        site = Site(account, Exchanges())
        ((_, finding),) = probe_each(site, [ASSUMPTIONS["callback_key"]])
    assert finding.verdict is Verdict.NOT_TRIED
    assert "does not begin with OBJECT_PREFIX" in finding.detail
    assert not site.written
