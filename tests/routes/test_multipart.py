"""POST /multipart: an upload of one sealed object in parts. The sandbox's OSS verifies all
requests."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from running_cloud import RunningCloud, running_cloud
from token_service.app import App
from token_service.callback import seals
from token_service.grant.grants import Grant
from token_service.grant.refusals import InvalidParameter
from token_service.http.messages import Request, Response
from token_service.settings.parsing import Reader
from token_service.signing import limits, multipart, sealing
from token_service.signing.multipart import MAX_PARTS, PART_BYTES, UPLOAD_SECONDS
from tried import examples

SECRET = "j" * 32
MOST = 3 * PART_BYTES
SIZE = 2 * PART_BYTES + 1000
STEPS = ("list", "complete", "abort")

Answer = dict[str, Any]


def in_ascii(text: str) -> str:
    """Return an ASCII id for a test. pytest uses backslashes to escape all other characters in an
    id. If the same process collects the tests again, pytest would also escape the backslashes, and
    the id would change."""
    return re.sub(r"[^ -~]", "?", text)


def login(user: str = "alice") -> str:
    return jwt.encode({"sub": user, "exp": int(time.time()) + 300}, SECRET, "HS256")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    variables: dict[str, Any] = {
        "POLICY_CHOICES": "bucket_read_policy",
        "UPLOAD_MAX_BYTES": str(MOST),
        "URL_EXPIRE_TIME_MAX": "604800",
        "CALLER_URLS_PER_MINUTE": "0",
    }
    folder = tmp_path_factory.mktemp("cloud")
    with running_cloud(folder, AUTH="jwt", JWT_SECRET=SECRET, **variables) as running:
        # CALLBACK_URL contains the function's URL, which is known only after the function has
        # started. So it is set here.
        running.env["CALLBACK_URL"] = f"{running.url}/callback"
        yield running


def respond(app: App, user: str, wishes: Mapping[str, object]) -> Response:
    headers = {"authorization": f"Bearer {login(user)}"}
    request = Request("POST", "/multipart", {}, headers, json.dumps(wishes).encode())
    return app.respond(lambda: request)


def ask(cloud: RunningCloud | App, user: str = "alice", /, **wishes: object) -> Answer:
    app = cloud if isinstance(cloud, App) else cloud.app
    answer: Answer = json.loads(respond(app, user, wishes).body)
    return answer


def granted(cloud: RunningCloud | App, user: str = "alice", /, **wishes: object) -> Answer:
    answer = ask(cloud, user, **wishes)
    assert answer["StatusCode"] == 200, answer
    return answer


def refused(cloud: RunningCloud | App, user: str = "alice", /, **wishes: object) -> tuple[int, str]:
    answer = ask(cloud, user, **wishes)
    # The message gives a reason.
    assert "None" not in answer["ErrorMessage"]
    return answer["StatusCode"], answer["ErrorCode"]


def send(
    signed: Answer, body: bytes | None = None, url: str = "", **headers: str
) -> tuple[int, str, str]:
    """Send exactly the signed request, plus `headers`. Return status, text and ETag of OSS's
    answer."""
    target = urlsplit(url or signed["Url"])
    connection = HTTPConnection(target.netloc, timeout=30)
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(
        signed["Method"], f"{target.path}?{target.query}", body, {**signed["Headers"], **more}
    )
    reply = connection.getresponse()
    text = reply.read().decode()
    connection.close()
    return reply.status, text, reply.getheader("ETag", "")


class Upload:
    """An upload that has begun."""

    def __init__(self, cloud: RunningCloud, name: str, size: int = SIZE, **wishes: object) -> None:
        self.cloud = cloud
        self.answer = granted(cloud, object=name, size=size, **wishes)
        status, text, _ = send(self.answer)
        assert status == 200, text
        (self.id,) = re.findall("<UploadId>(.*)</UploadId>", text)

    @property
    def step(self) -> dict[str, str]:
        return {"Upload": self.answer["Upload"], "upload_id": self.id}

    def part(self, number: int) -> Answer:
        (part,) = granted(self.cloud, **self.step, parts=[number])["Parts"]
        assert isinstance(part, dict)
        return part

    def put(self, *numbers: int) -> dict[int, str]:
        """Upload the parts with these numbers, and return their ETags by number."""
        tags = {}
        for part in granted(self.cloud, **self.step, parts=list(numbers))["Parts"]:
            status, text, tags[part["Number"]] = send(part, b"x" * part["Size"])
            assert status == 200, text
        return tags

    def complete(self, tags: Mapping[int, str]) -> tuple[int, str]:
        return send(granted(self.cloud, **self.step, action="complete"), completion(tags))[:2]


def completion(tags: Mapping[int, str]) -> bytes:
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>"
        for number, tag in sorted(tags.items())
    )
    return f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()


def size_of(cloud: RunningCloud, key: str) -> int | None:
    found = cloud.cloud.storage.find(cloud.cloud.bucket, key)
    return None if found is None else found.size


# It works


def test_an_upload_in_parts_is_one_object(cloud: RunningCloud) -> None:
    upload = Upload(cloud, "whole.mp4", content_type="video/mp4")
    answer = upload.answer
    assert (answer["PartSize"], answer["PartCount"], answer["Size"]) == (PART_BYTES, 3, SIZE)
    assert answer["Headers"]["Content-Type"] == "video/mp4"
    assert answer["Object"] == "uploads/alice/whole.mp4"
    assert answer["Scope"]["Bucket"] == cloud.cloud.bucket
    assert upload.part(3)["Size"] == 1000
    status, text = upload.complete(upload.put(1, 2, 3))
    assert status == 200, text
    found = cloud.cloud.storage.find(cloud.cloud.bucket, answer["Object"])
    assert found is not None
    assert (found.size, found.headers["content-type"]) == (SIZE, "video/mp4")


def test_what_was_sent_is_listed_from_any_number_on(cloud: RunningCloud) -> None:
    upload = Upload(cloud, "listed")
    upload.put(1, 3)
    for after, numbers in (("", ["1", "3"]), ("1", ["3"]), ("3", [])):
        wish = {"after": after} if after else {}
        listing = granted(cloud, **upload.step, action="list", **wish)
        status, text, _ = send(listing)
        assert (status, listing["Method"]) == (200, "GET")
        assert re.findall("<PartNumber>(.*?)</PartNumber>", text) == numbers


def test_an_aborted_upload_is_gone(cloud: RunningCloud) -> None:
    upload = Upload(cloud, "aborted")
    tags = upload.put(1)
    abort = granted(cloud, **upload.step, action="abort")
    assert (send(abort)[0], abort["Method"]) == (204, "DELETE")
    status, text = upload.complete(tags)
    assert (status, "NoSuchUpload" in text) == (404, True)


def test_it_goes_on_after_a_new_login_and_a_rotation_of_the_secret(
    cloud: RunningCloud, mocker: MockerFixture
) -> None:
    upload = Upload(cloud, "rotated")
    old = cloud.app.env["MULTIPART_SECRET"]
    mocker.patch.dict(cloud.app.env, MULTIPART_SECRET=f"{'n' * 32},{old}")
    assert upload.complete(upload.put(1, 2, 3))[0] == 200


def test_parts_are_a_list_or_a_text_in_a_body_or_the_query(cloud: RunningCloud) -> None:
    upload = Upload(cloud, "spelled")
    for parts in ([2, 1], "2,1", " 2 , 1"):
        answer = granted(cloud, **upload.step, parts=parts)
        assert [part["Number"] for part in answer["Parts"]] == [2, 1]
    query = {"access_token": login(), "parts": "2,1", **upload.step}
    request = Request("POST", "/multipart", query)
    answer = json.loads(cloud.app.respond(lambda: request).body)
    assert [part["Number"] for part in answer["Parts"]] == [2, 1]


def test_a_callback_goes_with_the_completion_and_with_nothing_else(cloud: RunningCloud) -> None:
    upload = Upload(cloud, "called-back", PART_BYTES)
    tags = upload.put(1)
    others: list[Answer] = [{"parts": "1"}, {"action": "list"}, {"action": "abort"}]
    for wishes in others:
        assert "callback" not in json.dumps(granted(cloud, **upload.step, **wishes))
    signed = granted(cloud, **upload.step, action="complete")
    without = re.sub("&callback-var=[^&]*", "", signed["Url"])
    assert send(signed, completion(tags), without)[0] == 403
    status, text, _ = send(signed, completion(tags))
    assert status == 200, text
    told = json.loads(text)
    assert (told["Object"], told["Caller"]) == ("uploads/alice/called-back", "alice")
    assert told["Size"] == PART_BYTES


# Sealed values cannot be altered


def test_any_character_of_a_seal_counts(cloud: RunningCloud) -> None:
    upload = Upload(cloud, "altered")
    text = str(upload.answer["Upload"])
    expected = respond(cloud.app, "alice", {**upload.step, "Upload": "x", "parts": [1]}).body

    @given(st.integers(0, len(text) - 1), st.characters(codec="utf-8"))
    def altered(place: int, character: str) -> None:
        changed = text[:place] + character + text[place + 1 :]
        body = respond(cloud.app, "alice", {**upload.step, "Upload": changed, "parts": [1]}).body
        assert (body == expected) == (changed != text)

    altered()


@given(text=st.text())
def test_no_text_is_a_seal(cloud: RunningCloud, text: str) -> None:
    assert refused(cloud, Upload=text, upload_id="A", parts=[1]) == (403, "UploadRefused")


def test_a_seal_of_one_issuer_goes_on_where_a_spelling_of_it_is_added(cloud: RunningCloud) -> None:
    """Before JWT_ISSUER became a list, a seal contained the whole text of JWT_ISSUER. This text is
    now the first entry of the list."""
    env = {**cloud.env, "JWT_ISSUER": "https://login.example.com"}
    start = {"object": "spelling", "size": SIZE}

    def answered(env: dict[str, str], issuer: str, wishes: dict[str, object]) -> dict[str, Any]:
        shown = {"sub": "alice", "exp": int(time.time()) + 300, "iss": issuer}
        query = {"access_token": jwt.encode(shown, SECRET, "HS256")}
        request = Request("POST", "/multipart", query, {}, json.dumps(wishes).encode())
        with closing(App(env)) as app:
            found: dict[str, Any] = json.loads(app.respond(lambda: request).body)
        return found

    begun = answered(env, "https://login.example.com", start)
    goes_on = {"Upload": begun["Upload"], "upload_id": "A", "parts": [1]}
    spelt = {**env, "JWT_ISSUER": "https://login.example.com, login.example.com"}
    for issuer in ("https://login.example.com", "login.example.com"):
        assert answered(spelt, issuer, goes_on)["StatusCode"] == 200
    other = {**env, "JWT_ISSUER": "login.example.com"}
    assert answered(other, "login.example.com", goes_on)["ErrorCode"] == "UploadRefused"


def test_a_seal_is_refused_in_one_way_whatever_is_wrong(
    cloud: RunningCloud, mocker: MockerFixture
) -> None:
    upload = Upload(cloud, "refused")
    wishes = {**upload.step, "parts": [1]}
    version, _, rest = str(upload.answer["Upload"]).partition(".")
    assert version == "1"
    answers = [
        ask(cloud, "bob", **wishes),
        ask(cloud, **{**wishes, "Upload": f"2.{rest}"}),
        ask(cloud, **{**wishes, "Upload": ""}),
    ]
    for changes in (
        {"JWT_ISSUER": "https://other.example"},
        {"BUCKET_NAME": "another-bucket"},
        {"OBJECT_PREFIX": "elsewhere/"},
        {"MULTIPART_SECRET": "n" * 32},
        # New limits also apply to uploads that began before the limits changed.
        {"UPLOAD_MAX_BYTES": str(SIZE - 1)},
    ):
        app = App({**cloud.env, **changes})
        issuer = {"iss": changes["JWT_ISSUER"]} if "JWT_ISSUER" in changes else {}
        shown = {"sub": "alice", "exp": int(time.time()) + 300, **issuer}
        token = jwt.encode(shown, SECRET, "HS256")
        request = Request(
            "POST", "/multipart", {"access_token": token}, {}, json.dumps(wishes).encode()
        )
        answers.append(json.loads(app.respond(partial(lambda asked: asked, request)).body))
        app.close()
    later = time.time() + UPLOAD_SECONDS
    mocker.patch("token_service.routes.multipart.time.time", return_value=later)
    answers.append(ask(cloud, **wishes))
    assert [answer for answer in answers if answer != answers[0]] == []
    assert answers[0]["StatusCode"] == 403
    assert answers[0]["ErrorCode"] == "UploadRefused"
    mocker.stopall()
    granted(cloud, **wishes)


def test_a_seal_is_its_callers_own_wherever_the_object_lies(cloud: RunningCloud) -> None:
    """The object's folder does not prove which caller got the seal. If OBJECT_PREFIX changes, an
    object that alice named can be in bob's folder."""
    begun = granted(cloud, object="bob/moved", size=SIZE)
    assert begun["Object"] == "uploads/alice/bob/moved"
    goes_on = {"Upload": begun["Upload"], "upload_id": "A", "parts": [1]}
    with closing(App({**cloud.env, "OBJECT_PREFIX": "uploads/alice/"})) as moved:
        assert granted(moved, "bob", object="moved", size=SIZE)["Object"] == begun["Object"]
        assert refused(moved, "bob", **goes_on) == (403, "UploadRefused")
    granted(cloud, **goes_on)


def test_a_seal_of_parts_of_another_size_is_refused(
    cloud: RunningCloud, mocker: MockerFixture
) -> None:
    """A new version may have another PART_BYTES. An upload that began with parts of the old size
    must not get parts of the new size."""
    mocker.patch("token_service.signing.multipart.PART_BYTES", 2 * PART_BYTES)
    begun = granted(cloud, object="mixed", size=SIZE)
    assert begun["PartCount"] == 2
    mocker.stopall()
    step = {"Upload": begun["Upload"], "upload_id": "A", "parts": [1]}
    assert refused(cloud, **step) == (403, "UploadRefused")


def test_urls_end_with_the_seal(cloud: RunningCloud, mocker: MockerFixture) -> None:
    upload = Upload(cloud, "ends")
    clock = "token_service.routes.multipart.time.time"
    mocker.patch(clock, return_value=int(time.time()) + UPLOAD_SECONDS - 60)
    (part,) = granted(cloud, **upload.step, parts=[1], expires=600)["Parts"]
    left = int(re.findall("x-oss-expires=([0-9]+)", part["Url"])[0])
    assert 50 <= left <= 60


def test_a_callback_seal_is_no_upload(cloud: RunningCloud) -> None:
    """An operator may use the same secret for callbacks and for uploads in parts."""
    secret = cloud.env["MULTIPART_SECRET"].encode()
    text = str(Upload(cloud, "purpose").answer["Upload"])
    content = sealing.unseal(text, "multipart", "1", (secret,))
    assert content is not None
    other = sealing.seal(content, "callback", "1", secret)
    assert refused(cloud, Upload=other, upload_id="A", parts=[1]) == (403, "UploadRefused")


# What a signed URL cannot be used for


@pytest.mark.parametrize("length", [0, 1, 999, 1001, PART_BYTES])
def test_a_part_has_its_size_and_no_other(cloud: RunningCloud, length: int) -> None:
    upload = Upload(cloud, "sized")
    status, text, _ = send(upload.part(3), b"x" * length)
    assert (status, "SignatureDoesNotMatch" in text) == (403, True)


def test_a_part_without_a_length_is_refused(cloud: RunningCloud) -> None:
    part = Upload(cloud, "chunked").part(3)
    target = urlsplit(part["Url"])
    connection = HTTPConnection(target.netloc, timeout=30)
    body = iter([b"x" * 1000])
    connection.request(
        "PUT",
        f"{target.path}?{target.query}",
        body,
        encode_chunked=True,
        headers={"Transfer-Encoding": "chunked"},
    )
    assert connection.getresponse().status in (400, 403, 411)
    connection.close()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("partNumber=3", "partNumber=1"),
        ("partNumber=3", "partNumber=4"),
        ("/parted?", "/other?"),
        ("x-oss-additional-headers=content-length", "x-oss-additional-headers=host"),
        ("x-oss-additional-headers=content-length&", ""),
        ("uploadId=", "uploadId=A"),
        ("partNumber=3&", ""),
    ],
)
def test_an_altered_url_of_a_part_is_refused(cloud: RunningCloud, old: str, new: str) -> None:
    part = Upload(cloud, "parted").part(3)
    assert old in part["Url"]
    for length in (1000, PART_BYTES):
        status, text, _ = send(part, b"x" * length, part["Url"].replace(old, new))
        assert status in (400, 403, 404), text


def test_a_completion_with_another_keys_upload_id_completes_nothing(cloud: RunningCloud) -> None:
    one, other = Upload(cloud, "one"), Upload(cloud, "two")
    tags = one.put(1, 2, 3)
    signed = granted(cloud, **{**other.step, "upload_id": one.id}, action="complete")
    status, text, _ = send(signed, completion(tags))
    assert (status, "NoSuchUpload" in text) == (404, True)
    assert size_of(cloud, "uploads/alice/two") is None


@pytest.mark.parametrize("action", STEPS)
def test_a_url_of_one_operation_does_no_other(cloud: RunningCloud, action: str) -> None:
    upload = Upload(cloud, "operation")
    signed = granted(cloud, **upload.step, action=action)
    for method in {"GET", "POST", "PUT", "DELETE"} - {signed["Method"]}:
        assert send({**signed, "Method": method}, b"")[0] in (400, 403), method
    for more in ("&x-oss-complete-all=yes", "&acl", "&x-oss-process=image/info"):
        assert send(signed, b"", signed["Url"] + more)[0] in (400, 403), more
    assert send(signed, b"", x_oss_complete_all="yes")[0] in (400, 403)
    assert send(signed, b"", x_oss_object_acl="public-read")[0] in (400, 403)


def test_the_type_of_a_start_is_the_sealed_one(cloud: RunningCloud) -> None:
    start = granted(cloud, object="typed", size=SIZE, content_type="image/png")
    assert send({**start, "Headers": {**start["Headers"], "Content-Type": "text/html"}})[0] == 403
    assert send({**start, "Headers": {}})[0] in (400, 403)
    assert send(start)[0] == 200


def test_parts_of_two_seals_of_one_object_do_not_pass_the_limit(cloud: RunningCloud) -> None:
    """The size of a part does not depend on the size of the upload. Otherwise an attacker could mix
    many small parts of one seal with large parts of another seal, and exceed both limits."""
    sizes = [MOST, MOST - 1, SIZE, PART_BYTES + 1, PART_BYTES, 1]
    uploads = [Upload(cloud, "mixed", size) for size in sizes]
    first = uploads[0]
    largest: dict[int, int] = {}
    for upload in uploads:
        count = upload.answer["PartCount"]
        step = {**upload.step, "upload_id": first.id}
        for part in granted(cloud, **step, parts=list(range(1, count + 1)))["Parts"]:
            largest[part["Number"]] = max(part["Size"], largest.get(part["Number"], 0))
    assert sum(largest.values()) == MOST
    # Only the larger uploads have a part 2. With the seal of the small upload, part 2 is refused.
    step = {**uploads[-1].step, "upload_id": first.id}
    assert refused(cloud, **step, parts=[2]) == (400, "InvalidParameter.Parts")


# Wishes


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [0],
        [4],
        [1, 1],
        [1, "01"],
        [-1],
        [1.0],
        ["x"],
        [True],
        [None],
        [[1]],
        "",
        ",",
        "1,",
        "1 2",
        "1;2",
        "\u0661",
        {"1": 1},
        list(range(1, MAX_PARTS + 2)),
        [10**40],
        [json.loads('{"a":' * 700 + "1" + "}" * 700)],
    ],
    ids=lambda parts: in_ascii(str(parts)[:40]),
)
def test_other_numbers_of_parts_are_refused(cloud: RunningCloud, parts: object) -> None:
    upload = Upload(cloud, "numbers")
    assert refused(cloud, **upload.step, parts=parts) == (400, "InvalidParameter.Parts")


@pytest.mark.tries("parts")
@examples(100)
@given(parts=st.lists(st.integers(-2, 6) | st.text(max_size=3), max_size=6))
def test_parts_are_signed_each_once_or_not_at_all(
    cloud: RunningCloud, sealed: Answer, parts: list[object]
) -> None:
    answer = ask(cloud, **sealed, parts=parts)
    sound = bool(parts) and all(part in (1, 2, 3) for part in parts)
    if sound and len(set(map(str, parts))) == len(parts):
        assert [part["Number"] for part in answer["Parts"]] == parts
    elif answer["StatusCode"] == 200:
        # Each text in `parts` may contain several part numbers.
        numbers = [part["Number"] for part in answer["Parts"]]
        assert len(set(numbers)) == len(numbers)
        assert set(numbers) <= {1, 2, 3}
    else:
        assert answer["ErrorCode"] == "InvalidParameter.Parts"


LARGEST = limits.read(Reader({}))
# Any size, and often a size at a limit: a multiple of the part size, or one byte less or more than
# a multiple.
SIZES = st.integers(1, LARGEST.max_url_bytes) | st.builds(
    lambda parts, more: parts * PART_BYTES + more, st.integers(1, 1023), st.integers(-1, 1)
)


@pytest.mark.tries("parts")
@examples(100)
@given(size=SIZES, data=st.data())
def test_parts_of_any_size_are_the_object_and_no_byte_more(size: int, data: st.DataObject) -> None:
    """Each URL is for one part number and for exactly the announced number of bytes. A part after
    the last one gets no URL."""

    def sign(method: str, query: Mapping[str, str], headers: Mapping[str, str]) -> str:
        return json.dumps([method, query, headers])

    grant = Grant("my-bucket", "u/", "u/a", "bucket_write_policy", 900, "alice")
    upload = multipart.read_start({"object": "a", "size": str(size)}, grant, LARGEST, "", 0)
    count = upload.part_count
    drawn = data.draw(st.lists(st.integers(1, count), max_size=5))
    numbers = dict.fromkeys([count, 1, *drawn])
    step = multipart.read_step({"upload_id": "A", "parts": ",".join(map(str, numbers))}, upload, 0)
    parts: Any = multipart.signed(step, upload, sign, LARGEST, {})["Parts"]
    assert [part["Number"] for part in parts] == list(numbers)
    for part in parts:
        length = PART_BYTES if part["Number"] < count else size - (count - 1) * PART_BYTES
        assert 1 <= length == part["Size"] <= PART_BYTES
        query = {"uploadId": "A", "partNumber": str(part["Number"])}
        assert json.loads(part["Url"]) == ["PUT", query, {"Content-Length": str(length)}]
    for number in (0, count + 1):
        with pytest.raises(InvalidParameter, match=f"part numbers from 1 to {count}"):
            multipart.read_step({"upload_id": "A", "parts": str(number)}, upload, 0)


@pytest.fixture(scope="module")
def sealed(cloud: RunningCloud) -> Answer:
    return Upload(cloud, "sealed").step


@pytest.mark.parametrize(
    "upload_id",
    ["", "a b", "a/b", "a&b", "a=b", "a%41", "\u00e9", "\u0661", "a" * 65, "a\n", "..", "a-b", "*"],
    ids=lambda upload_id: in_ascii(upload_id),
)
def test_another_upload_id_is_refused(cloud: RunningCloud, sealed: Answer, upload_id: str) -> None:
    wishes = {**sealed, "upload_id": upload_id, "action": "abort"}
    assert refused(cloud, **wishes) == (400, "InvalidParameter.UploadId")


@pytest.mark.parametrize(
    ("wishes", "code"),
    [
        ({}, "Action"),
        ({"action": "start"}, "Action"),
        ({"action": "list", "parts": [1]}, "Action"),
        ({"action": "abort", "after": "1"}, "After"),
        ({"action": "list", "after": "4"}, "After"),
        ({"action": "list", "after": "x"}, "After"),
        ({"action": "list", "object": "a"}, "Object"),
        ({"action": "list", "size": "1"}, "Size"),
        ({"action": "list", "content_type": "image/png"}, "ContentType"),
        ({"action": "list", "expires": "604801"}, "Expires"),
        ({"action": "list", "policy": "all_policy"}, "Policy"),
    ],
)
def test_a_step_with_other_wishes_is_refused(
    cloud: RunningCloud, sealed: Answer, wishes: Answer, code: str
) -> None:
    assert refused(cloud, **sealed, **wishes) == (400, f"InvalidParameter.{code}")


@pytest.mark.parametrize(
    ("wishes", "code"),
    [
        ({"size": "1"}, "Object"),
        ({"object": "a"}, "Size"),
        ({"object": "a", "size": "0"}, "Size"),
        ({"object": "a", "size": "-1"}, "Size"),
        ({"object": "a", "size": "1e3"}, "Size"),
        ({"object": "a", "size": str(MOST + 1)}, "Size"),
        ({"object": "../a", "size": "1"}, "Object"),
        ({"object": "a/", "size": "1"}, "Object"),
        ({"object": "a", "size": "1", "content_type": "x"}, "ContentType"),
        ({"object": "a", "size": "1", "upload_id": "A"}, "UploadId"),
        ({"object": "a", "size": "1", "parts": [1]}, "Parts"),
        ({"object": "a", "size": "1", "action": "list"}, "Action"),
        ({"object": "a", "size": [1]}, "Size"),
    ],
)
def test_a_start_with_other_wishes_is_refused(
    cloud: RunningCloud, wishes: Answer, code: str
) -> None:
    assert refused(cloud, **wishes) == (400, f"InvalidParameter.{code}")


def test_an_empty_object_is_sent_to_signed_url(cloud: RunningCloud) -> None:
    assert "/signed-url" in ask(cloud, object="a", size=0)["ErrorMessage"]


# Who may, and how often


@pytest.mark.parametrize("wishes", [{"action": "list"}, {"action": "abort"}, {"parts": [1]}])
def test_what_the_policy_does_not_allow_is_not_signed(
    cloud: RunningCloud, sealed: Answer, wishes: Answer
) -> None:
    granted(cloud, **sealed, **wishes)
    reading = {**sealed, **wishes, "policy": "bucket_read_policy"}
    assert refused(cloud, **reading) == (403, "NotAllowed")


def test_listing_and_aborting_need_rights_of_their_own(
    cloud: RunningCloud, sealed: Answer, tmp_path: Path
) -> None:
    own = tmp_path / "putting.json.j2"
    own.write_text(
        '{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "oss:PutObject",'
        ' "Resource": "acs:oss:*:*:{{ bucket }}/{{ keys }}"}]}'
    )
    app = App({**cloud.env, "POLICY_FILE": str(own)})
    granted(app, **sealed, parts=[1])
    granted(app, **sealed, action="complete")
    for action in ("list", "abort"):
        assert refused(app, **sealed, action=action) == (403, "NotAllowed")
    app.close()


def test_a_policy_is_asked_for_the_sealed_object_and_no_more(
    cloud: RunningCloud, tmp_path: Path
) -> None:
    own = tmp_path / "images.json.j2"
    own.write_text(
        '{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "oss:*",'
        ' "Resource": "acs:oss:*:*:{{ bucket }}/*.png"}]}'
    )
    app = App({**cloud.env, "POLICY_FILE": str(own)})
    for name, status in (("a.png", 200), ("a.gif", 403)):
        step = {"Upload": granted(cloud, object=name, size=1)["Upload"], "upload_id": "A"}
        wishes: list[Answer] = [{"parts": [1]}, *({"action": one} for one in STEPS)]
        assert {ask(app, **step, **wish)["StatusCode"] for wish in wishes} == {status}
    app.close()


def test_the_callback_of_a_completion_is_sealed_for_the_one_object(cloud: RunningCloud) -> None:
    upload = Upload(cloud, "sealed-callback")
    signed = granted(cloud, **upload.step, action="complete")
    query = dict(parse_qsl(urlsplit(signed["Url"]).query))
    secrets = (cloud.env["CALLBACK_SECRET"].encode(),)
    (text,) = json.loads(base64.b64decode(query["callback-var"])).values()
    sealed = seals.unseal(text, secrets, time.time())
    assert (sealed.key, sealed.is_prefix) == ("uploads/alice/sealed-callback", False)


def test_a_policy_for_reading_starts_nothing(cloud: RunningCloud) -> None:
    wishes = {"object": "a", "size": 1, "policy": "bucket_read_policy"}
    assert refused(cloud, **wishes) == (403, "NotAllowed")


@pytest.fixture
def limited(cloud: RunningCloud) -> Iterator[App]:
    app = App({**cloud.env, "CALLER_URLS_PER_MINUTE": "5"})
    yield app
    app.close()


def test_each_url_of_a_part_counts(limited: App, sealed: Answer) -> None:
    granted(limited, **sealed, parts=[1, 2, 3])
    assert refused(limited, **sealed, parts=[1, 2, 3]) == (429, "Throttling.Caller")
    granted(limited, **sealed, parts=[1, 2])
    assert refused(limited, **sealed, action="list") == (429, "Throttling.Caller")


def test_a_call_for_more_parts_than_a_minute_has_is_told_so(
    cloud: RunningCloud, sealed: Answer
) -> None:
    app = App({**cloud.env, "CALLER_URLS_PER_MINUTE": "2"})
    answer = ask(app, **sealed, parts=[1, 2, 3])
    assert answer["ErrorCode"] == "InvalidParameter.Parts"
    assert "at most 2 (CALLER_URLS_PER_MINUTE)" in answer["ErrorMessage"]
    app.close()


def test_a_denied_caller_goes_on_with_nothing(cloud: RunningCloud, sealed: Answer) -> None:
    app = App({**cloud.env, "DENIED_CALLERS": "alice"})
    assert refused(app, **sealed, parts=[1])[0] == 403
    app.close()


# Without the secret


@pytest.mark.parametrize("wishes", [{}, {"object": "a", "size": 1}, {"Upload": "x"}])
def test_without_its_secret_there_is_no_such_route_and_health_is_sound(
    cloud: RunningCloud, wishes: Answer
) -> None:
    app = App({**cloud.env, "MULTIPART_SECRET": ""})
    answer = ask(app, **wishes)
    assert (answer["StatusCode"], answer["ErrorCode"]) == (404, "NotFound")
    assert "MULTIPART_SECRET" in answer["ErrorMessage"]
    health = app.respond(lambda: Request("GET", "/health"))
    assert json.loads(health.body)["Status"] == "OK"
    app.close()


@pytest.mark.parametrize("secret", ["s" * 31, f"{'s' * 32},short"])
def test_a_secret_that_is_too_short_is_a_fault_that_health_names(
    cloud: RunningCloud, secret: str
) -> None:
    app = App({**cloud.env, "MULTIPART_SECRET": secret})
    health = app.respond(lambda: Request("GET", "/health"))
    for told in (json.loads(health.body), ask(app, object="a", size=1)):
        assert (told["StatusCode"], told["ErrorCode"]) == (500, "Misconfiguration")
        assert told["ErrorMessage"].startswith("MULTIPART_SECRET: ")
        assert secret not in told["ErrorMessage"]
    app.close()


def test_neither_sts_nor_oss_is_asked(cloud: RunningCloud, sealed: Answer) -> None:
    """In these settings, no server listens at the addresses of STS and OSS."""
    nobody = {"STS_ENDPOINT": "http://127.0.0.1:9", "OSS_INTERNAL_ENDPOINT": "http://127.0.0.1:9"}
    app = App({**cloud.env, **nobody})
    granted(app, object="a", size=1)
    for wishes in ({"parts": [1]}, {"action": "list"}, {"action": "complete"}):
        granted(app, **sealed, **wishes)
    app.close()


# Limits


@pytest.fixture
def strict(cloud: RunningCloud) -> Iterator[App]:
    """With these settings, a caller can only store PNG files of at most ten bytes."""
    limits = {"UPLOAD_MAX_BYTES": "10", "UPLOAD_CONTENT_TYPES": "image/png", "OVERWRITE": "no"}
    app = App({**cloud.env, **limits, "ENABLED_ROUTES": "signed-url,form,multipart,uploads"})
    yield app
    app.close()


def test_a_start_is_bound_in_type_disposition_and_overwriting(strict: App) -> None:
    start = granted(strict, object="ten.png", size=10)
    assert start["Headers"] == {
        "Content-Type": "image/png",
        "Content-Disposition": "attachment",
        "x-oss-forbid-overwrite": "true",
    }
    assert refused(strict, object="a", size=11) == (400, "InvalidParameter.Size")
    wishes = {"object": "a", "size": 10, "content_type": "text/html"}
    assert refused(strict, **wishes) == (400, "InvalidParameter.ContentType")
    inline = granted(strict, object="a.png", size=10, disposition="inline")
    assert inline["Headers"]["Content-Disposition"] == "inline"


def test_what_is_begun_under_other_limits_does_not_go_on(cloud: RunningCloud, strict: App) -> None:
    starts: list[Answer] = [
        {"size": 11, "content_type": "image/png", "disposition": "attachment"},
        {"size": 10, "content_type": "text/html", "disposition": "attachment"},
        {"size": 10, "content_type": "image/png; a=b", "disposition": "attachment"},
        {"size": 10},
    ]
    for wishes in starts:
        begun = granted(cloud, object="before.png", **wishes)
        step = {"Upload": begun["Upload"], "upload_id": "A", "parts": [1]}
        assert refused(strict, **step) == (403, "UploadRefused"), wishes
    sound = {"size": 10, "content_type": "image/png", "disposition": "attachment"}
    begun = granted(cloud, object="before.png", **sound)
    granted(strict, Upload=begun["Upload"], upload_id="A", parts=[1])


def test_what_is_begun_without_a_disposition_does_not_go_on_under_limits(
    cloud: RunningCloud, strict: App
) -> None:
    app = App({**cloud.env, "UPLOAD_MAX_BYTES": ""})
    begun = granted(app, object="a.png", size=10, content_type="image/png")
    assert begun["Headers"] == {"Content-Type": "image/png"}
    step = {"Upload": begun["Upload"], "upload_id": "A", "parts": [1]}
    granted(app, **step)
    assert refused(strict, **step) == (403, "UploadRefused")
    app.close()


def test_what_was_begun_under_wider_limits_is_completed_by_a_new_seal(
    cloud: RunningCloud, strict: App
) -> None:
    """An open upload (upload_id) can be completed with a seal that was made later, under stricter
    limits. docs/security.md describes this, and tells the operator to abort open uploads."""
    upload = Upload(cloud, "wider.png", content_type="text/html")
    tags = upload.put(1, 3)
    new = granted(strict, object="wider.png", size=10)
    step = {"Upload": new["Upload"], "upload_id": upload.id}
    signed = granted(strict, **step, action="complete")
    assert send(signed, completion(tags))[0] == 200
    assert size_of(cloud, "uploads/alice/wider.png") == PART_BYTES + 1000


def test_without_overwriting_a_completion_replaces_nothing(
    cloud: RunningCloud, strict: App
) -> None:
    """The second upload began before the first upload stored the object, but the completion of the
    second upload is refused."""
    wishes = {"content_type": "image/png", "disposition": "attachment"}
    first, second = (Upload(cloud, "once.png", 10, **wishes) for _ in range(2))
    tags = [first.put(1), second.put(1)]
    for upload, tag, expected in ((first, tags[0], 200), (second, tags[1], 409)):
        signed = granted(strict, **upload.step, action="complete")
        assert signed["Headers"]["x-oss-forbid-overwrite"] == "true"
        without = {**signed, "Headers": {"Content-Type": "application/xml"}}
        assert send(without, completion(tag))[0] == 403
        assert send(signed, completion(tag))[0] == expected
    assert send(granted(strict, object="once.png", size=10))[0] == 409


def test_a_name_is_made_for_a_start_and_kept_by_the_seal(cloud: RunningCloud) -> None:
    begun = granted(cloud, name="auto", ext="mp4", size=1, content_type="video/mp4")
    key = begun["Object"]
    assert re.fullmatch("uploads/alice/[0-9]{4}/[0-9]{2}/[0-9]{2}/[a-z2-7]{26}[.]mp4", key)
    step = {"Upload": begun["Upload"], "upload_id": "A"}
    assert granted(cloud, **step, action="list")["Object"] == key
    assert refused(cloud, **step, name="auto", action="list") == (400, "InvalidParameter.Name")


def test_a_closed_route_is_closed_for_what_was_begun_too(
    cloud: RunningCloud, sealed: Answer
) -> None:
    app = App({**cloud.env, "ENABLED_ROUTES": "form"})
    assert refused(app, **sealed, parts=[1]) == (403, "RouteDisabled")
    app.close()
