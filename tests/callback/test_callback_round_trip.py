"""The whole round trip: token, SDK upload with callback, verification, webhook and listing.

No part is replaced by a fake for the test: real SDKs upload to the sandbox's OSS, which has its own
key, and the function runs behind the sandbox's gateway. The back end verifies each request as
docs/callbacks.md tells it to.
"""

from __future__ import annotations

import base64
import io
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import alibabacloud_oss_v2 as oss_v2
import jwt
import oss2
import pytest
import requests
from PIL import Image
from pytest_mock import MockerFixture

import documented_code
from javascript import need, run
from running_cloud import RunningCloud, Token, running_cloud
from sandbox.cloud import load_secrets
from scripted_sts import ScriptedSts, answer, scripted_sts
from token_service.app import App
from token_service.http.messages import Request

LOGIN_SECRET = "j" * 32
HOOK_SECRET = "h" * 32
BACK_END = documented_code.run(documented_code.python_with("callbacks.md", "def verified("))
STORED = {"photo": 7, "Status": "stored"}
HOSTILE_NAME = "\u65e5\u672c/a\"b'&object=uploads/bob/x&size=1+%26${etag}\u00e9\n.png"


def picture(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(file, "PNG")
    return file.getvalue()


PICTURE = picture(64, 48)


@dataclass(frozen=True)
class World:
    """The running cloud, and the back end (`hook`). A test may change the back end's answers."""

    cloud: RunningCloud
    hook: ScriptedSts
    bucket: oss2.Bucket
    """The bucket as the back end uses it, with the account's own key."""

    def login(self, user: str) -> str:
        return jwt.encode({"sub": user, "exp": int(time.time()) + 300}, LOGIN_SECRET, "HS256")

    def ask(self, path: str, user: str, **wishes: str) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {self.login(user)}"}
        method = "POST" if path == "/multipart" else "GET"
        query, body = ({}, wishes) if method == "POST" else (wishes, {})
        request = Request(method, path, query, headers, json.dumps(body).encode())
        answered: dict[str, Any] = json.loads(self.cloud.app.respond(lambda: request).body)
        return answered

    def uploads(self, user: str) -> dict[str, dict[str, Any]]:
        """Return the entries of GET /uploads for this user, by object key."""
        listing = self.ask("/uploads", user, details="1")
        assert listing["StatusCode"] == 200, listing
        return {entry["Key"]: entry for entry in listing["Uploads"]}

    def heard(self) -> list[dict[str, Any]]:
        """Return the documents that the back end received, verified as docs/callbacks.md says."""
        documents = []
        for head, body in self.hook.received:
            lines = (line.partition(": ") for line in head.decode().split("\r\n")[1:])
            headers = {name: value for name, _, value in lines}
            document = BACK_END["verified"](headers, body, [HOOK_SECRET.encode()])
            assert document is not None
            documents.append(document)
        return documents


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("cloud")
    with (
        scripted_sts(answer(200, STORED)) as hook,
        running_cloud(folder, AUTH="jwt", JWT_SECRET=LOGIN_SECRET) as cloud,
    ):
        # These variables are set here, because the function's URL was not known before the function
        # started.
        cloud.env.update(
            CALLBACK_URL=f"{cloud.url}/callback",
            CALLBACK_SECRET="s" * 32,
            UPLOAD_HOOK_URL=f"{hook.url}/uploaded",
            UPLOAD_HOOK_SECRET=HOOK_SECRET,
        )
        auth = oss2.AuthV4(*load_secrets(folder).account_key)
        endpoint = cloud.env["OSS_ENDPOINT"]
        bucket = oss2.Bucket(auth, endpoint, "sandbox-bucket", region="cn-hangzhou")
        yield World(cloud, hook, bucket)


@pytest.fixture
def world(running: World) -> World:
    running.hook.moves[:] = [answer(200, STORED)]
    running.hook.received.clear()
    return running


def headers_of(token: dict[str, Any]) -> dict[str, str]:
    scope = token["Scope"]
    return {
        "x-oss-callback": scope["Callback"],
        "x-oss-callback-var": scope["CallbackVar"],
        "Content-Type": "image/png",
    }


def by_oss2(token: dict[str, Any], key: str) -> bytes:
    return read(Token.of(token).oss2("v4").put_object(key, PICTURE, headers_of(token)))


def by_oss2_in_parts(token: dict[str, Any], key: str) -> bytes:
    bucket = Token.of(token).oss2("v4")
    upload = bucket.init_multipart_upload(key, {"Content-Type": "image/png"}).upload_id
    part = bucket.upload_part(key, upload, 1, PICTURE)
    parts = [oss2.models.PartInfo(1, part.etag)]
    headers = headers_of(token)
    del headers["Content-Type"]
    return read(bucket.complete_multipart_upload(key, upload, parts, headers))


def by_oss_v2(token: dict[str, Any], key: str) -> bytes:
    found = Token.of(token)
    request = oss_v2.PutObjectRequest(
        bucket=found.bucket,
        key=key,
        body=PICTURE,
        content_type="image/png",
        callback=token["Scope"]["Callback"],
        callback_var=token["Scope"]["CallbackVar"],
    )
    answered: str = found.oss_v2().put_object(request).callback_result
    return answered.encode()


def by_signed_url(world: World, key: str) -> bytes:
    name = key.removeprefix("uploads/alice/")
    made = world.ask("/signed-url", "alice", object=name, content_type="image/png")
    answered = requests.put(made["Url"], PICTURE, headers=made["Headers"], timeout=10)
    assert answered.status_code == 200, answered.text
    return answered.content


def by_form(world: World, key: str) -> bytes:
    name = key.removeprefix("uploads/alice/")
    made = world.ask("/form", "alice", object=name, content_type="image/png")
    fields = {**made["Fields"], "content-type": "image/png"}
    answered = requests.post(made["Url"], fields, files={"file": PICTURE}, timeout=10)
    assert answered.status_code == 200, answered.text
    return answered.content


def by_form_of_the_vendors_sample(world: World, key: str) -> bytes:
    """Upload by a form, built as the front ends of the vendor's samples do."""
    made = world.ask("/form", "alice")
    fields = {
        "success_action_status": "200",
        "policy": made["policy"],
        "x-oss-signature": made["signature"],
        "x-oss-signature-version": "OSS4-HMAC-SHA256",
        "x-oss-credential": made["x_oss_credential"],
        "x-oss-date": made["x_oss_date"],
        "key": made["dir"] + key.removeprefix("uploads/alice/"),
        "x-oss-security-token": made["security_token"],
        "callback": made["callback"],
    }
    file = ("photo.png", PICTURE, "image/png")
    answered = requests.post(made["host"], fields, files={"file": file}, timeout=10)
    assert answered.status_code == 200, answered.text
    return answered.content


def read(result: Any) -> bytes:
    assert result.status == 200
    body: bytes = result.resp.read()
    return body


Upload = Callable[[dict[str, Any], str], bytes]


@pytest.mark.parametrize("upload", [by_signed_url, by_form, by_form_of_the_vendors_sample])
def test_an_upload_without_a_token_is_verified_passed_on_and_listed(
    world: World, upload: Callable[[World, str], bytes]
) -> None:
    key = f"uploads/alice/{upload.__name__}.png"
    assert json.loads(upload(world, key)) == STORED
    (heard,) = world.heard()
    assert (heard["Caller"], heard["Object"], heard["Size"]) == ("alice", key, len(PICTURE))
    assert (heard["Width"], heard["Height"], heard["ContentType"]) == (64, 48, "image/png")
    assert heard["ETag"] == world.uploads("alice")[key]["ETag"]


def test_a_signed_url_cannot_be_used_without_its_callback(world: World) -> None:
    url = world.ask("/signed-url", "alice", object="silent.png")["Url"]
    for part in ("callback=", "callback-var="):
        cut = "&".join(p for p in url.split("&") if not p.startswith(part))
        cut = re.sub(rf"\?{part}[^&]*&", "?", cut)
        assert cut != url
        refused = requests.put(cut, PICTURE, timeout=10)
        assert (refused.status_code, "SignatureDoesNotMatch" in refused.text) == (403, True)
    assert "uploads/alice/silent.png" not in world.uploads("alice")
    assert world.heard() == []


def test_a_form_cannot_be_used_without_its_callback(world: World) -> None:
    made = world.ask("/form", "alice", object="silent.png")
    other = base64.b64encode(b'{"callbackUrl":"http://127.0.0.1:9/","callbackBody":"a=b"}')
    for callback in (None, other.decode()):
        fields = {**made["Fields"], "callback": callback}
        refused = requests.post(made["Url"], fields, files={"file": PICTURE}, timeout=10)
        assert (refused.status_code, "Invalid according to Policy" in refused.text) == (403, True)
    assert "uploads/alice/silent.png" not in world.uploads("alice")
    assert world.heard() == []


@pytest.mark.parametrize("upload", [by_oss2, by_oss2_in_parts, by_oss_v2])
def test_an_upload_is_verified_passed_on_and_listed(world: World, upload: Upload) -> None:
    token = world.ask("/", "alice")
    key = f"{token['Scope']['Prefix']}{upload.__name__}.png"
    assert json.loads(upload(token, key)) == STORED
    (heard,) = world.heard()
    listed = world.uploads("alice")[key]
    assert heard == {
        "Id": heard["Id"],
        "LegacyId": heard["LegacyId"],
        "Caller": "alice",
        "Bucket": "sandbox-bucket",
        "Object": key,
        "Size": len(PICTURE),
        "ETag": listed["ETag"],
        "ContentType": "image/png",
        "Width": 64,
        "Height": 48,
    }
    assert (listed["Size"], listed["ContentType"]) == (len(PICTURE), "image/png")
    assert world.uploads("bob") == {}


def test_a_hostile_file_name_arrives_as_it_is(world: World) -> None:
    token = world.ask("/", "alice")
    key = token["Scope"]["Prefix"] + HOSTILE_NAME
    assert json.loads(by_oss2(token, key)) == STORED
    (heard,) = world.heard()
    assert (heard["Object"], heard["Size"]) == (key, len(PICTURE))
    assert key in world.uploads("alice")


def test_a_token_for_one_object_reports_that_one(world: World) -> None:
    token = world.ask("/", "alice", object="one.png")
    assert json.loads(by_oss2(token, token["Scope"]["Object"])) == STORED
    assert [heard["Object"] for heard in world.heard()] == ["uploads/alice/one.png"]


def test_uploads_of_the_same_bytes_are_two_once_a_second_has_passed(
    world: World, mocker: MockerFixture
) -> None:
    """The uploads differ only in Last-Modified, which OSS gives in whole seconds (finding A13)."""
    moment = mocker.patch.object(world.cloud.cloud.storage, "_clock")
    token = world.ask("/", "alice")
    for now in (1_800_000_000.0, 1_800_000_000.9, 1_800_000_001.0):
        moment.return_value = now
        by_oss2(token, "uploads/alice/again.png")
    first, same, second = (heard["Id"] for heard in world.heard())
    assert first == same != second


CONDITIONS = ("safe.copy_object(", "bucket.get_object(")


@pytest.mark.parametrize("start", CONDITIONS)
def test_a_back_end_that_reads_as_documented_gets_what_was_verified_or_nothing(
    world: World, start: str
) -> None:
    """The webhook reports an object, and then the same token overwrites it (finding A14)."""
    code = documented_code.python_with("callbacks.md", start)
    token = world.ask("/", "alice")
    by_oss2(token, "uploads/alice/swapped.png")
    (upload,) = world.heard()
    names = {"upload": upload, "bucket": world.bucket, "safe": world.bucket}
    found = documented_code.run(code, **names)
    if "data" in found:
        assert found["data"] == PICTURE
    else:
        assert world.bucket.get_object(f"checked/{upload['Id']}").read() == PICTURE
        world.bucket.delete_object(f"checked/{upload['Id']}")
    Token.of(token).oss2("v4").put_object("uploads/alice/swapped.png", b"MZ")
    with pytest.raises(oss2.exceptions.PreconditionFailed):
        documented_code.run(code, **names)
    assert not world.bucket.object_exists(f"checked/{upload['Id']}")


def failure(result: Any) -> str:
    """Return OSS's answer for a failed callback. The object is stored although the callback
    failed."""
    assert result.status == 203
    body: bytes = result.resp.read()
    assert b"<Code>CallbackFailed</Code>" in body
    return body.decode()


def test_a_hook_that_refuses_fails_the_callback_and_the_object_is_there(world: World) -> None:
    world.hook.moves[:] = [answer(403, {"Status": "OK"})]
    token = world.ask("/", "alice")
    key = "uploads/alice/refused.png"
    failure(Token.of(token).oss2("v4").put_object(key, PICTURE, headers_of(token)))
    assert len(world.heard()) == 1
    assert key in world.uploads("alice")


def forged(token: dict[str, Any], **changes: str) -> dict[str, str]:
    """Return headers for an upload. The client has changed the callback's text in these headers.
    OSS signs any text."""
    callback = json.loads(base64.b64decode(token["Scope"]["Callback"]))
    for name, value in changes.items():
        callback["callbackBody"] = callback["callbackBody"].replace(f"${{{name}}}", value)
    encoded = base64.b64encode(json.dumps(callback).encode()).decode()
    return {**headers_of(token), "x-oss-callback": encoded}


LIES = {
    "another's object": {"object": "uploads%2Fbob%2Fphoto.png"},
    "an object that is not there": {"object": "uploads%2Falice%2Fnothing"},
    "another size": {"size": "1"},
    "another ETag": {"etag": "0" * 32},
    "another bucket": {"bucket": "another-bucket"},
}


@pytest.mark.parametrize("changes", LIES.values(), ids=LIES)
def test_what_a_client_makes_oss_sign_is_not_believed(
    world: World, changes: dict[str, str]
) -> None:
    bob = world.ask("/", "bob")
    by_oss2(bob, "uploads/bob/photo.png")
    world.hook.received.clear()
    token = world.ask("/", "alice")
    bucket = Token.of(token).oss2("v4")
    failure(bucket.put_object("uploads/alice/lie.png", PICTURE, forged(token, **changes)))
    assert world.heard() == []


def test_anothers_seal_is_not_believed(world: World) -> None:
    alice, bob = world.ask("/", "alice"), world.ask("/", "bob")
    stolen = {**headers_of(alice), "x-oss-callback-var": bob["Scope"]["CallbackVar"]}
    bucket = Token.of(alice).oss2("v4")
    failure(bucket.put_object("uploads/alice/stolen.png", PICTURE, stolen))
    assert world.heard() == []


def test_ali_oss_passes_the_callback_on_for_an_upload_in_one_and_in_parts(world: World) -> None:
    """docs/callbacks.md describes this upload for apps."""
    need("ali-oss in Node", browser=False)
    token = world.ask("/", "alice")
    endpoint = token["Scope"]["Endpoint"].replace("127.0.0.1", "localhost")
    outcomes = run("callback_upload.mjs", {"token": token, "endpoint": endpoint})
    assert outcomes == {"put": STORED, "multipart": STORED}
    assert [heard["Object"] for heard in world.heard()] == [
        "uploads/alice/js put.txt",
        "uploads/alice/js parts.bin",
    ]
    # Only the upload in parts has one of the app's own variables.
    assert [heard.get("Variables") for heard in world.heard()] == [None, {"order": "7"}]


# An app's own variables


def with_own(token: dict[str, Any], body: str, own: dict[str, str]) -> dict[str, str]:
    """Add an app's own variables to the token's callback, as the vendor documents it."""
    callback = json.loads(base64.b64decode(token["Scope"]["Callback"]))
    custom = json.loads(base64.b64decode(token["Scope"]["CallbackVar"]))
    callback["callbackBody"] += body
    pair = {"x-oss-callback": callback, "x-oss-callback-var": {**custom, **own}}
    return {n: base64.b64encode(json.dumps(v).encode()).decode() for n, v in pair.items()}


OWN = {"x:order": "7 & \u65e5\u672c=%26bucket=bob", "x:note": ""}
OWN_BODY = "&order=${x:order}&x:note=${x:note}&source=app"
HEARD = {"order": OWN["x:order"], "note": "", "source": "app"}


def test_own_variables_of_a_token_reach_the_back_end(world: World) -> None:
    """The SDKs' users ask most often how to send own variables (ali-oss#589, ios#258, java#80)."""
    token = world.ask("/", "alice")
    bucket = Token.of(token).oss2("v4")
    headers = with_own(token, OWN_BODY, OWN)
    put = bucket.put_object("uploads/alice/own.png", PICTURE, headers)
    assert json.loads(read(put)) == STORED
    (heard,) = world.heard()
    assert (heard["Caller"], heard["Object"]) == ("alice", "uploads/alice/own.png")
    assert heard["Variables"] == HEARD


def test_own_variables_reach_the_back_end_as_documented(world: World) -> None:
    code = documented_code.python_with("callbacks.md", '"x:order": "7"')
    token = world.ask("/", "alice")
    bucket = Token.of(token).oss2("v4")
    found = documented_code.run(code, scope=token["Scope"], bucket=bucket, data=PICTURE)
    assert json.loads(found["answer"]) == STORED
    assert world.heard()[0]["Variables"] == {"order": "7"}


def test_own_variables_of_an_upload_in_parts_reach_the_back_end(world: World) -> None:
    token, key = world.ask("/", "alice"), "uploads/alice/own parts.png"
    bucket = Token.of(token).oss2("v4")
    upload = bucket.init_multipart_upload(key).upload_id
    parts = [oss2.models.PartInfo(1, bucket.upload_part(key, upload, 1, PICTURE).etag)]
    headers = with_own(token, OWN_BODY, OWN)
    assert json.loads(read(bucket.complete_multipart_upload(key, upload, parts, headers))) == STORED
    assert world.heard()[0]["Variables"] == HEARD


@pytest.mark.parametrize("field", ["&bucket=bob", "&Caller=bob", "&x:seal=${x:seal}", "&a=1&A=2"])
def test_a_field_that_could_be_read_for_another_fails_the_callback(
    world: World, field: str
) -> None:
    token = world.ask("/", "alice")
    headers = with_own(token, field, {})
    failure(Token.of(token).oss2("v4").put_object("uploads/alice/own.png", PICTURE, headers))
    assert world.heard() == []


def test_own_variables_of_a_form_are_constants_or_fields_of_their_own(world: World) -> None:
    made = world.ask("/form", "alice", callback_variables="order=${x:order}&source=app")
    for order in ("7", "8 & more", None):
        fields = {**made["Fields"], "key": "uploads/alice/own.png", "x:order": order}
        stored = requests.post(made["Url"], fields, files={"file": PICTURE}, timeout=10)
        assert (stored.status_code, stored.json()) == (200, STORED)
    own = [heard["Variables"] for heard in world.heard()]
    assert own == [{"order": order, "source": "app"} for order in ("7", "8 & more", "")]


def test_own_variables_of_a_signed_url_are_in_its_callback(world: World) -> None:
    wishes = {"object": "own.png", "callback_variables": "order=7+%26+8&x:colour=red"}
    made = world.ask("/signed-url", "alice", **wishes)
    stored = requests.put(made["Url"], PICTURE, headers=made["Headers"], timeout=10)
    assert (stored.status_code, stored.json()) == (200, STORED)
    assert world.heard()[0]["Variables"] == {"order": "7 & 8", "colour": "red"}


def test_own_variables_are_of_the_completion_of_multipart(world: World) -> None:
    start = world.ask("/multipart", "alice", object="own parts.bin", size=str(len(PICTURE)))
    text = requests.post(start["Url"], headers=start["Headers"], timeout=10).text
    step = {"Upload": start["Upload"], "upload_id": re.findall("<UploadId>(.*)</U", text)[0]}
    (part,) = world.ask("/multipart", "alice", **step, parts="1")["Parts"]
    tag = requests.put(part["Url"], PICTURE, timeout=10).headers["ETag"]
    for action in ({"action": "list"}, {"action": "abort"}, {"parts": "1"}):
        refused = world.ask("/multipart", "alice", **step, **action, callback_variables="order=7")
        assert refused["ErrorMessage"] == "callback_variables: is for action=complete only"
    end = world.ask("/multipart", "alice", **step, action="complete", callback_variables="order=7")
    parts = f"<Part><PartNumber>1</PartNumber><ETag>{tag}</ETag></Part>"
    body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>"
    done = requests.post(end["Url"], body, headers=end["Headers"], timeout=10)
    assert (done.status_code, done.json()) == (200, STORED)
    assert world.heard()[0]["Variables"] == {"order": "7"}


OWN_WISHES: list[tuple[str, str, dict[str, str], str]] = [
    ("/form", "Bucket=bob", {}, "own variable 1, Bucket: that name is reserved"),
    ("/form", '{"order": 7}', {}, "own variable 1: its name must be 1 to 32 characters"),
    ("/signed-url", f"a={'%2B' * 1000}", {"object": "l" * 900}, "must be shorter, because"),
    ("/signed-url", "a=1", {"method": "GET"}, "callback_variables: is for PUT only"),
    ("/signed-url", "a=1", {"method": "HEAD"}, "callback_variables: is for PUT only"),
    ("/multipart", "a=1", {"size": "9"}, "callback_variables: needs Upload too"),
    ("/", "a=1", {}, "callback_variables: is for other routes"),
]


@pytest.mark.parametrize(("path", "own", "wishes", "says"), OWN_WISHES)
def test_a_wish_for_own_variables_that_cannot_be_granted_says_why(
    world: World, path: str, own: str, wishes: dict[str, str], says: str
) -> None:
    named = {} if path in ("/", "/form") else {"object": "a"}
    answered = world.ask(path, "alice", **{**named, "callback_variables": own, **wishes})
    assert answered["ErrorCode"] == "InvalidParameter.CallbackVariables"
    assert says in answered["ErrorMessage"]


@pytest.mark.parametrize("name", ["callback", "callback_url", "callbackUrl", "variables"])
def test_what_clients_call_so_for_other_ends_is_ignored(world: World, name: str) -> None:
    """Clients may send these names for purposes that have nothing to do with our callbacks. For
    example, JSONP uses `callback`, and GraphQL uses `variables`."""
    assert world.ask("/form", "alice", **{name: "x"})["StatusCode"] == 200


def test_without_callbacks_a_wish_for_own_variables_is_refused(world: World) -> None:
    headers = {"authorization": f"Bearer {world.login('alice')}"}
    request = Request("GET", "/form", {"callback_variables": "order=7"}, headers)
    without = {"CALLBACK_URL": "", "UPLOAD_HOOK_URL": ""}
    with closing(App({**world.cloud.env, **without})) as app:
        answered = json.loads(app.respond(lambda: request).body)
    message = "callback_variables: callbacks are not configured (CALLBACK_URL)"
    assert answered["ErrorMessage"] == message
