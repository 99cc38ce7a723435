"""Uploads in parts are sealed and signed. tests/routes/test_multipart.py tests the route."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from token_service.grant.grants import Grant
from token_service.grant.refusals import InvalidParameter
from token_service.settings.parsing import Reader
from token_service.signing import limits, multipart
from token_service.signing.limits import Limits
from token_service.signing.multipart import (
    MAX_PARTS,
    PART_BYTES,
    UPLOAD_SECONDS,
    Step,
    Upload,
    UploadRefused,
)

SECRET = b"s" * 32
NOW = 1_702_743_657.9
GRANT = Grant("my-bucket", "u/alice/", "u/alice/a.png", "bucket_write_policy", 900, "alice")
SIZE = 2 * PART_BYTES + 1
ANY: Limits = limits.read(Reader({}))
STRICT: Limits = limits.read(
    Reader({"UPLOAD_MAX_BYTES": str(SIZE), "UPLOAD_CONTENT_TYPES": "image/png", "OVERWRITE": "no"})
)
STRICT_HEADERS = {
    "Content-Type": "image/png",
    "Content-Disposition": "attachment",
    "x-oss-forbid-overwrite": "true",
}


def start(size: int = SIZE, bounds: Limits = ANY, **wishes: str) -> Upload:
    return multipart.read_start({"size": str(size), **wishes}, GRANT, bounds, "issuer", NOW)


def opened(text: str, grant: Grant = GRANT, bounds: Limits = ANY, now: float = NOW) -> Upload:
    return multipart.unseal(text, (SECRET,), grant, bounds, "issuer", now)


def sign(method: str, query: Mapping[str, str], headers: Mapping[str, str]) -> str:
    return json.dumps([method, query, headers])


def signed(step: Step, bounds: Limits = ANY, **callback: str) -> list[Any]:
    """Return the signed method, query and headers. Assert that the answer has the same method and
    headers."""
    answer = multipart.signed(step, start(bounds=bounds), sign, bounds, callback)
    assert set(answer) == {"Url", "Method", "Headers"}
    method, query, headers = json.loads(str(answer["Url"]))
    assert (answer["Method"], answer["Headers"]) == (method, headers)
    return [method, query, headers]


def test_a_start_is_sealed_with_whose_it_is_and_what_may_be_stored() -> None:
    upload = start(content_type="image/png")
    assert upload == Upload(
        issuer="issuer",
        caller="alice",
        bucket="my-bucket",
        part_size=PART_BYTES,
        key="u/alice/a.png",
        size=SIZE,
        headers={"Content-Type": "image/png"},
        expires=1_702_743_657 + UPLOAD_SECONDS,
    )
    assert upload.part_count == 3
    text = multipart.seal(upload, SECRET)
    assert text.startswith("1.")
    assert opened(text) == upload


def test_parts_are_counted_up() -> None:
    counts = {size: start(size).part_count for size in (1, PART_BYTES, PART_BYTES + 1)}
    assert counts == {1: 1, PART_BYTES: 1, PART_BYTES + 1: 2}


@pytest.mark.parametrize(
    ("wishes", "says"),
    [
        ({"upload_id": "A"}, "upload_id: .*Upload"),
        ({"action": "list"}, "action: .*Upload"),
        ({"size": "0"}, "size: .*/signed-url"),
        ({"size": "-1"}, "size: .*1 to"),
    ],
)
def test_a_start_that_is_none_says_why(wishes: dict[str, str], says: str) -> None:
    with pytest.raises(InvalidParameter, match=says):
        multipart.read_start({"size": "1", **wishes}, GRANT, ANY, "", NOW)


def test_a_start_without_a_size_or_an_object_says_so() -> None:
    with pytest.raises(InvalidParameter, match="size: must be given"):
        multipart.read_start({}, GRANT, ANY, "", NOW)
    with pytest.raises(InvalidParameter, match=r"object: .*name=auto"):
        multipart.read_start({"size": "1"}, GRANT._replace(object_key=None), ANY, "", NOW)


def test_a_seal_ends_to_the_second() -> None:
    text = multipart.seal(start(), SECRET)
    ends = int(NOW) + UPLOAD_SECONDS
    assert opened(text, now=ends - 0.1).expires == ends
    for now in (ends, ends + 1):
        with pytest.raises(UploadRefused, match="start the upload again"):
            opened(text, now=now)


@pytest.mark.parametrize(
    "other",
    [
        GRANT._replace(session_name="bob"),
        GRANT._replace(bucket="other"),
        GRANT._replace(prefix="u/bob/"),
    ],
)
def test_a_seal_is_of_no_other_caller_bucket_or_folder(other: Grant) -> None:
    text = multipart.seal(start(), SECRET)
    with pytest.raises(UploadRefused):
        opened(text, other)
    with pytest.raises(UploadRefused):
        multipart.unseal(text, (SECRET,), GRANT, ANY, "another", NOW)
    with pytest.raises(UploadRefused):
        multipart.unseal(text, (b"o" * 32,), GRANT, ANY, "issuer", NOW)


def test_todays_limits_hold_for_a_seal_of_before() -> None:
    sound = start(bounds=STRICT, content_type="image/png")
    assert sound.headers == STRICT_HEADERS
    assert opened(multipart.seal(sound, SECRET), bounds=STRICT) == sound
    # A seal may lack the header about overwriting, because the rule about overwriting is applied
    # again at the end of the upload.
    may = {name: value for name, value in STRICT_HEADERS.items() if not name.startswith("x-oss")}
    free = sound._replace(headers=may)
    assert opened(multipart.seal(free, SECRET), bounds=STRICT) == free
    inline = sound._replace(headers={**STRICT_HEADERS, "Content-Disposition": "inline"})
    assert opened(multipart.seal(inline, SECRET), bounds=STRICT) == inline
    for wider in (
        sound._replace(size=SIZE + 1),
        sound._replace(headers={**STRICT_HEADERS, "Content-Type": "text/html"}),
        sound._replace(headers={"Content-Type": "image/png"}),
        sound._replace(headers={}),
        sound._replace(headers={**STRICT_HEADERS, "x-oss-object-acl": "public-read"}),
    ):
        with pytest.raises(UploadRefused):
            opened(multipart.seal(wider, SECRET), bounds=STRICT)


@pytest.mark.parametrize(
    ("wishes", "step"),
    [
        ({"action": "list"}, Step("list", "A")),
        ({"action": "list", "after": "0"}, Step("list", "A", after="0")),
        ({"action": "list", "after": "3"}, Step("list", "A", after="3")),
        ({"action": "complete"}, Step("complete", "A")),
        ({"action": "complete", "callback_variables": "x"}, Step("complete", "A")),
        ({"action": "abort"}, Step("abort", "A")),
        ({"parts": "3, 1"}, Step("parts", "A", (3, 1))),
    ],
)
def test_a_step_is_one_of_five(wishes: dict[str, str], step: Step) -> None:
    assert multipart.read_step({"upload_id": "A", **wishes}, start(), 0) == step


@pytest.mark.parametrize(
    ("wishes", "says"),
    [
        ({"action": "list", "size": "1"}, "size: .*start"),
        ({"action": "list", "upload_id": ""}, "upload_id: .*1 to 64"),
        ({"action": "list", "upload_id": "A" * 65}, "upload_id: .*1 to 64"),
        ({}, "action: .*'list', 'complete' or 'abort'"),
        ({"action": "complete", "parts": "1"}, "action: .*'list', 'complete' or 'abort'"),
        ({"action": "complete", "after": "1"}, "after: .*action=list"),
        ({"action": "list", "after": "4"}, "after: .*numbers of parts, 0 to 3"),
        ({"parts": "4"}, "parts: .*at most 100 part numbers from 1 to 3"),
        ({"parts": "1,1"}, "parts: .*at most 100 part numbers from 1 to 3"),
    ],
)
def test_a_step_that_is_none_says_why(wishes: dict[str, str], says: str) -> None:
    with pytest.raises(InvalidParameter, match=says):
        multipart.read_step({"upload_id": "A", **wishes}, start(), 0)


def test_a_step_names_its_upload() -> None:
    with pytest.raises(InvalidParameter, match="upload_id: "):
        multipart.read_step({"action": "abort"}, start(), 0)


@pytest.mark.parametrize("action", ["list", "abort", None])
def test_variables_of_a_callback_go_with_the_completion_only(action: str | None) -> None:
    given = {"parts": "1"} if action is None else {"action": action}
    with pytest.raises(InvalidParameter, match=r"callback_variables: .*action=complete"):
        multipart.read_step({"upload_id": "A", "callback_variables": "x", **given}, start(), 0)


@pytest.mark.parametrize("upload_id", ["a", "Z", "0", "A" * 64])
def test_an_upload_id_is_what_oss_gives(upload_id: str) -> None:
    wishes = {"upload_id": upload_id, "action": "abort"}
    assert multipart.read_step(wishes, start(), 0).upload_id == upload_id


@pytest.mark.parametrize(
    ("per_minute", "most", "why"),
    [(0, MAX_PARTS, ""), (2, 2, r" \(CALLER_URLS_PER_MINUTE\)"), (1000, MAX_PARTS, "")],
)
def test_as_many_parts_are_signed_at_once_as_a_minute_has(
    per_minute: int, most: int, why: str
) -> None:
    upload = start(200 * PART_BYTES)

    def step(count: int) -> Step:
        numbers = ",".join(map(str, range(1, count + 1)))
        return multipart.read_step({"upload_id": "A", "parts": numbers}, upload, per_minute)

    assert step(most).parts == tuple(range(1, most + 1))
    with pytest.raises(InvalidParameter, match=f"must list at most {most}{why} part"):
        step(most + 1)


def test_each_step_is_signed_as_oss_documents_it() -> None:
    assert signed(Step("start"), STRICT) == ["POST", {"uploads": ""}, {**STRICT_HEADERS}]
    identified = {"uploadId": "A"}
    assert signed(Step("list", "A")) == ["GET", identified, {}]
    assert signed(Step("list", "A", after="2")) == [
        "GET",
        {**identified, "part-number-marker": "2"},
        {},
    ]
    assert signed(Step("abort", "A"), STRICT, callback="e30=") == ["DELETE", identified, {}]
    xml = {"Content-Type": "application/xml"}
    assert signed(Step("complete", "A"), callback="e30=") == [
        "POST",
        {**identified, "callback": "e30="},
        xml,
    ]
    assert signed(Step("complete", "A"), STRICT) == [
        "POST",
        identified,
        {**xml, "x-oss-forbid-overwrite": "true"},
    ]


def test_each_part_is_signed_for_its_number_and_size() -> None:
    answer: Any = multipart.signed(Step("parts", "A", (3, 1)), start(), sign, STRICT, {"x": "y"})
    assert set(answer) == {"Parts"}
    for part, number, size in zip(answer["Parts"], (3, 1), (1, PART_BYTES), strict=True):
        query = {"uploadId": "A", "partNumber": str(number)}
        assert part == {
            "Number": number,
            "Url": sign("PUT", query, {"Content-Length": str(size)}),
            "Method": "PUT",
            "Headers": {},
            "Size": size,
        }
