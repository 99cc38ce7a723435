"""Tests the probes of limits. test_conform_probes.py tests all other probes in the same way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from answers import Answer, refused_by_oss
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
from ops.conform import limit_probes, transcript
from ops.conform.account import Account
from ops.conform.exchanges import Exchanges
from ops.conform.probes import PROBES
from ops.conform.runner import probe_each
from ops.conform.site import Site
from ops.conform.verdicts import Verdict
from sandbox.oss import (
    app,
    authentication,
    callbacks,
    form_policy,
    multipart,
    objects,
    storage,
)
from sandbox.oss.errors import malformed_xml
from sandbox.oss.signatures import v4_canonical_request


def supplied_at_the_end(patch: Patch) -> None:
    """Accept the signature of a completion even if the signed header x-oss-forbid-overwrite is not
    sent."""

    def canonical(method: Any, resource: Any, headers: Any, query: Any, *rest: Any) -> bytes:
        is_end = method == "POST" and any(name == "uploadId" for name, *_ in query)
        more = {"x-oss-forbid-overwrite": "true"} if is_end else {}
        return v4_canonical_request(method, resource, {**headers, **more}, query, *rest)

    patch.setattr(authentication, "v4_canonical_request", canonical)


def not_in_query(patch: Patch) -> None:
    """Read a callback only from headers, not from the query."""
    real = callbacks.requested
    patch.setattr(app, "requested", lambda headers, _: real(headers, {}))


def given_fields(patch: Patch) -> None:
    """Make a condition of a form's policy count as met if the form lacks the condition's field."""
    real = form_policy.FormPolicy.check

    def check(self: form_policy.FormPolicy, fields: Mapping[str, str], *rest: object) -> None:
        wanted = {one.name: one.values[0] for one in self.conditions}
        real(self, {**wanted, **fields}, *rest)  # type: ignore[arg-type]

    patch.setattr(form_policy.FormPolicy, "check", check)


def any_value(patch: Patch) -> None:
    """Make each condition of a form's policy accept any value of its field. A form without
    the field is still refused."""
    patch.setattr(form_policy.Condition, "holds", lambda *_: True)


def raises_malformed(*_: object) -> None:
    """Refuse a completion without parts, as S3 does."""
    raise malformed_xml("no parts")


def kept(patch: Patch) -> None:
    """A completed upload stays open."""
    patch.setattr(storage.Storage, "_drop_upload", nothing)


FLIPS: list[tuple[str, Callable[[Patch], None], str]] = [
    ("part_size", partial(supplied, "content-length", "7"), "another size was accepted"),
    (
        "completion_overwrite",
        patches(multipart, "may_overwrite", lambda *_: True),
        "the second completion got the answer 200",
    ),
    ("completion_overwrite", supplied_at_the_end, "without the signed header got the answer 200"),
    ("completion_callback", not_in_query, "answered 200"),
    ("completion_repeated", kept, "second completion got the answer 200"),
    (
        "empty_completion",
        patches(storage, "multipart_etag", lambda _: "D41D8CD98F00B204E9800998ECF8427E"),
        'ETag "D41D8CD98F00B204E9800998ECF8427E"',
    ),
    (
        "empty_completion",
        patches(multipart, "_chosen", raises_malformed),
        "the completion got the answer 400 MalformedXML",
    ),
    ("start_overwrite", patches(multipart, "is_forbidden", lambda _: False), "got the answer 200"),
    (
        "start_headers",
        patches(multipart, "stored_headers", lambda _: {"content-type": "text/plain"}),
        "cache-control: None; content-disposition: None; content-type: text/plain",
    ),
    (
        "signed_disposition",
        partial(supplied, "content-disposition", "attachment"),
        "another value was accepted (200); a PUT without the header was",
    ),
    ("form_exact", patches(objects, "may_overwrite", lambda *_: True), "the second form"),
    (
        "form_exact",
        given_fields,
        "without x-oss-forbid-overwrite was accepted (204); a form without content-disposition was",
    ),
    (
        "form_exact",
        any_value,
        "another x-oss-forbid-overwrite was accepted (204); another content-disposition was",
    ),
    (
        "response_headers",
        patches(objects, "_overrides", lambda _: {}),
        "content-disposition: inline; content-type: text/html",
    ),
    ("two_framings", patches(app, "check_size", nothing), "7 bytes were stored, but 17"),
]
"""Each row has a probe, a change that breaks one rule of the sandbox, and words that the probe must
report after this change."""


@pytest.mark.parametrize(
    ("probe", "flip", "said"), FLIPS, ids=[f"{probe}: {said}" for probe, _, said in FLIPS]
)
def test_a_rule_that_is_another_one_is_refuted(
    probe: str, flip: Callable[[Patch], None], said: str, account: Account, monkeypatch: Patch
) -> None:
    check_flip(probe, flip, said, account, monkeypatch)


def test_each_probe_of_limits_can_be_refuted() -> None:
    """A probe that no cloud can refute is useless, so FLIPS must have a change for each probe."""
    here = {n for n, probe in PROBES.items() if probe.__module__ == limit_probes.__name__}
    assert {probe for probe, _, _ in FLIPS} == here


def both(chunked: Response, size: int = 0) -> Answer:
    """Return a function that answers requests for the object framing/both. It answers a PUT with
    `chunked`, and a HEAD with a response whose Content-Length is `size`."""

    def answer(request: Request, _: bytes) -> Response | None:
        if not request.url.path.endswith("framing/both"):
            return None
        is_head = request.method == "HEAD"
        return Response("", 200, {"content-length": str(size)}) if is_head else chunked

    return answer


@pytest.mark.parametrize(
    "other",
    [
        both(Response("<html>400 Bad Request</html>", 400)),
        both(refused_by_oss(403, "SignatureDoesNotMatch")),
        both(Response(""), 17),
    ],
    ids=["a gateway's refusal", "a refusal of OSS's", "stored with the frames"],
)
def test_what_takes_no_more_than_the_signed_size_confirms_it(other: Answer) -> None:
    with wrapped("oss", other) as account:
        assert found("two_framings", account).verdict is Verdict.CONFIRMED


def test_a_download_that_oss_itself_makes_an_attachment_confirms_nothing() -> None:
    """OSS's own domains send a web page as an attachment, whatever the object's headers say."""

    def forced(request: Request, _: bytes) -> Response | None:
        headers = {"content-disposition": "attachment", "content-type": "image/png"}
        is_it = request.method == "GET" and request.url.path.endswith("shown/a")
        return Response("conform", 200, headers) if is_it else None

    with wrapped("oss", forced) as account:
        assert found("response_headers", account).verdict is Verdict.REFUTED


def test_a_function_that_oss_does_not_call_tells_nothing_of_completions() -> None:
    def uncalled(request: Request, _: bytes) -> Response | None:
        return Response("") if "x-oss-callback" in request.headers else None

    with wrapped("oss", uncalled) as account:
        finding = found("completion_callback", account)
    assert finding.verdict is Verdict.NOT_TRIED
    assert "a PUT with a callback got the answer 200" in finding.detail


def test_the_transcript_does_not_have_the_callback_with_the_functions_host(
    account: Account,
) -> None:
    site = Site(account, Exchanges())
    judged = list(probe_each(site, [ASSUMPTIONS["completion_callback"]]))
    text = transcript.text(site, judged, "a sandbox")
    assert "callback=SECRET" in text
    # If a callback begins with {"callbackUrl": its base64 begins with the text below.
    assert "eyJjYWxsYmFja1VybCI6" not in text
