"""Each user has their own folder. The tests use real logins, the real function and SDKs of OSS, and
the sandbox's STS and OSS.

With a token of each policy, alice tries all operations. test_isolation.py checks the policies
without OSS.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

import pytest
import requests

from ops.policies_described import describe, offered
from running_cloud import RunningCloud, Token, running_cloud
from sdk_clients import PART, SDKS, Client, Refusal, client, refusal
from signed_requests import VERSIONS, Answer, send
from token_service.app import App
from token_service.http.messages import Request
from token_service.login import callers

ALICE = "uploads/alice/"
BOB = "uploads/bob/"
SECRET = b"bob's bytes"
# Bob, and users whose names resemble alice: a longer name, a shorter name, another case, and a name
# that becomes a hash.
NEIGHBOURS = ("bob", "alice2", "alic", "Alice", "alice/../bob")
# The keys are the operations that the tests try. The values are the names of these operations in
# `make explain`. tests/ops/test_policies_described.py tests what each policy allows.
NAMED = {
    "put": {"put, form upload"},
    "append": {"append"},
    "parts": {"multipart upload", "resume (ListParts)"},
    "resume": {"resume (ListParts)"},
    "abort": {"abort"},
    "get": {"get, signed GET URL"},
    "head": {"head, does it exist"},
    "list": {"list the folder"},
}
MAY = {
    policy: {name for name, does in NAMED.items() if does <= describe(policy).allowed}
    for policy in offered()
}
DENIED = Refusal(403, "AccessDenied", "0003-00000301")
# The answer to a HEAD has no body, so oss2 reads no error code.
DENIED_HEAD = (DENIED, Refusal(403, "", ""))


@dataclass(frozen=True)
class Town:
    """The cloud with the uploads of all users."""

    cloud: RunningCloud
    # The objects of all users except alice. Maps the key of each object to the id of an open upload
    # of this key.
    theirs: Mapping[str, str]
    # An open upload that belongs to alice.
    upload: str

    def token(self, policy: str, user: str = "alice", **wishes: str) -> Token:
        return self.cloud.token(access_token=self.cloud.login(user), policy=policy, **wishes)

    def state(self) -> object:
        """Return everything in the storage that is not alice's. Assert that alice's folder contains
        no bytes of others."""
        storage = self.cloud.cloud.storage
        objects, uploads = {}, {}
        for bucket in storage.buckets():
            for info in storage.keys_from(bucket.name, b"", inclusive=True, prefix=b"", limit=1000):
                with storage.open(bucket.name, info.key) as opened:
                    data = b"".join(opened.chunks(0, info.size))
                if not (bucket.name == "sandbox-bucket" and info.key.startswith(ALICE)):
                    objects[bucket.name, info.key] = (info, data)
                else:
                    assert SECRET not in data, info.key
            for upload in storage.uploads(bucket.name, ""):
                if not upload.key.startswith(ALICE):
                    uploads[upload.id] = (upload, storage.parts(bucket.name, upload.key, upload.id))
        return storage.buckets(), objects, uploads

    def tidy(self) -> None:
        """Delete everything that alice has, except the one file that she had at the start."""
        storage = self.cloud.cloud.storage
        found = storage.keys_from(
            "sandbox-bucket", b"", inclusive=True, prefix=ALICE.encode(), limit=1000
        )
        keys = [info.key for info in found if info.key != f"{ALICE}mine"]
        storage.delete("sandbox-bucket", keys)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with running_cloud(
        tmp_path_factory.mktemp("cloud"),
        # Signature V1 is enabled, because the tests show that V1 allows no more than V4.
        SIGNATURE_V1="1",
        AUTH="jwt",
        POLICY_FILE="bucket_read_write_policy",
        POLICY_CHOICES=",".join(offered()),
        TOKEN_EXPIRE_TIME_MAX="3600",
    ) as cloud:
        theirs = {}
        for user in NEIGHBOURS:
            token = cloud.token(access_token=cloud.login(user))
            sdk, key = client("oss2 V4", token), f"{token.prefix}theirs"
            sdk.put(key, SECRET)
            theirs[key] = sdk.begin(key)
            sdk.put_part(key, theirs[key])
        own = client("oss2 V4", cloud.token(access_token=cloud.login("alice")))
        own.put(f"{ALICE}mine")
        upload = own.begin(f"{ALICE}copied")
        # No token may write these objects, so the test puts them directly into the storage.
        storage = cloud.cloud.storage
        storage.create_bucket("other-bucket")
        for bucket, key in (
            ("other-bucket", f"{ALICE}mine"),
            ("sandbox-bucket", "uploads/alice"),
            ("sandbox-bucket", "uploads/theirs"),
            ("sandbox-bucket", "theirs"),
        ):
            staged = storage.stage()
            staged.write(SECRET)
            staged.finish()
            storage.put(bucket, key, staged, headers={}, acl="default")
            if bucket == "sandbox-bucket":
                theirs[key] = "no-upload"
        yield Town(cloud, theirs, upload)


@pytest.fixture(autouse=True)
def _nothing_of_others_changes(town: Town) -> Iterator[None]:
    """After every test, check that other users' data did not change, and delete what the test left
    in alice's folder."""
    before = town.state()
    yield
    assert town.state() == before
    town.tidy()


@pytest.fixture(params=MAY)
def policy(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def token(town: Town, policy: str) -> Token:
    return town.token(policy)


@pytest.fixture(params=SDKS)
def alice(request: pytest.FixtureRequest, token: Token) -> Client:
    return client(request.param, token)


# What alice may do, in her folder


def test_alice_does_in_her_folder_what_the_policy_allows(
    town: Town, alice: Client, policy: str, tmp_path: Path
) -> None:
    key = f"{ALICE}{tmp_path.name} ü+%2F.txt"
    upload = client("oss2 V4", town.token("bucket_write_policy")).begin(key)

    def parts() -> None:
        own = alice.begin(key)
        alice.put_part(key, own)
        assert alice.parts(key, own) == 1

    found = {
        "put": refusal(alice.put, key),
        "append": refusal(alice.append, f"{key}.log"),
        "parts": refusal(parts),
        "resume": refusal(alice.parts, key, upload),
        "abort": refusal(alice.abort, key, upload),
        "get": refusal(alice.get, f"{ALICE}mine"),
        "head": refusal(alice.head, f"{ALICE}mine"),
        "list": refusal(alice.list_v1, ALICE) or refusal(alice.list_v2, ALICE),
    }
    assert {name for name, refused in found.items() if refused is None} == MAY[policy]
    assert set(filter(None, found.values())) <= set(DENIED_HEAD)


@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize("name", ["bucket_write_policy", "bucket_read_write_policy"])
def test_alice_resumes_an_interrupted_upload(
    town: Town, sdk: str, name: str, tmp_path: Path
) -> None:
    file = tmp_path / "video"
    file.write_bytes(os.urandom(4 * PART))
    key = f"{ALICE}video {sdk} {name}"
    sent: list[int] = []

    class Interrupted(Exception):
        pass

    def interrupt(consumed: int) -> None:
        if consumed >= 2 * PART:
            raise Interrupted

    # A new token continues the upload. The first token may have expired, for example while a phone
    # was off.
    first, second = town.token(name), town.token(name, duration="901")
    assert first != second
    with pytest.raises(Interrupted):
        client(sdk, first).resume(key, file, interrupt)
    client(sdk, second).resume(key, file, sent.append)
    # The upload continued where it had stopped, so the first part was not sent again.
    assert min(sent) >= PART
    assert client(sdk, town.token("bucket_read_policy")).get(key) == file.read_bytes()


def test_alice_lists_her_own_files_only(town: Town) -> None:
    for sdk in SDKS:
        alice = client(sdk, town.token("bucket_read_policy"))
        for found in (alice.list_v1(ALICE), alice.list_v2(ALICE), alice.list_v1(f"{ALICE}m")):
            assert f"{ALICE}mine" in found
            assert all(key.startswith(ALICE) for key in found)


# What alice may not do with any policy


OBJECT_ATTACKS: dict[str, Callable[[Client, str, str, Town], object]] = {
    "put": lambda a, key, _, __: a.put(key),
    "append": lambda a, key, _, __: a.append(key),
    "get": lambda a, key, _, __: a.get(key),
    "head": lambda a, key, _, __: a.head(key),
    "meta": lambda a, key, _, __: a.meta(key),
    "copy out": lambda a, key, _, __: a.copy(a.bucket, f"{ALICE}mine", key),
    "copy in": lambda a, key, _, __: a.copy(a.bucket, key, f"{ALICE}copied"),
    "copy onto itself": lambda a, key, _, __: a.copy(a.bucket, key, key),
    "copy a part in": lambda a, key, _, t: a.copy_part(a.bucket, key, f"{ALICE}copied", t.upload),
    "copy a part out": lambda a, key, up, _: a.copy_part(a.bucket, f"{ALICE}mine", key, up),
    "begin": lambda a, key, _, __: a.begin(key),
    "put a part": lambda a, key, up, _: a.put_part(key, up),
    "list parts": lambda a, key, up, _: a.parts(key, up),
    "complete": lambda a, key, up, _: a.complete(key, up),
    "abort": lambda a, key, up, _: a.abort(key, up),
    "delete": lambda a, key, _, __: a.delete(key),
    "delete many": lambda a, key, _, __: a.delete_many([key]),
    "delete many, mine first": lambda a, key, _, __: a.delete_many([f"{ALICE}mine", key]),
    "read the ACL": lambda a, key, _, __: a.acl(key),
    "open to all": lambda a, key, _, __: a.open_to_all(key),
}


def outcomes(alice: Client, key: str, upload: str, town: Town) -> dict[str, Refusal | None]:
    """The result of each attack on a key."""
    return {
        name: refusal(attack, alice, key, upload, town) for name, attack in OBJECT_ATTACKS.items()
    }


def all_denied(outcomes: dict[str, Refusal | None]) -> bool:
    return all(
        refused == DENIED or (name in ("head", "meta") and refused in DENIED_HEAD)
        for name, refused in outcomes.items()
    )


def test_bobs_object_is_out_of_reach(town: Town, alice: Client) -> None:
    key = f"{BOB}theirs"
    found = outcomes(alice, key, town.theirs[key], town)
    assert all_denied(found), found


def test_nobody_elses_object_is_in_reach(town: Town, token: Token) -> None:
    alice = client("oss2 V4", token)
    for key, upload in town.theirs.items():
        found = outcomes(alice, key, upload, town)
        assert all_denied(found), (key, found)


def test_an_upload_of_bobs_is_not_alices_by_its_id(town: Town, alice: Client, policy: str) -> None:
    """The policy only checks the key in the URL, so OSS must check that the upload with this id is
    for the same key."""
    key, upload = f"{ALICE}copied", town.theirs[f"{BOB}theirs"]
    attacks: dict[Callable[[str, str], object], str] = {
        alice.put_part: "put",
        alice.parts: "resume",
        alice.complete: "put",
        alice.abort: "abort",
    }
    for attack, name in attacks.items():
        expected = Refusal(404, "NoSuchUpload", "") if name in MAY[policy] else DENIED
        refused = refusal(attack, key, upload)
        assert refused is not None
        assert refused[:2] == expected[:2]


def test_the_bucket_is_out_of_reach(alice: Client) -> None:
    for name, operation in alice.bucket_operations().items():
        assert refusal(operation) == DENIED, name
    for prefix in (ALICE, BOB, ""):
        assert refusal(alice.uploads, prefix) == DENIED


def test_a_list_outside_her_folder_is_refused(alice: Client) -> None:
    for prefix in (None, "", "u", "uploads/", "uploads/alic", "uploads/alice", BOB, "*", "/"):
        assert refusal(alice.list_v1, prefix) == DENIED, prefix
        assert refusal(alice.list_v2, prefix) == DENIED, prefix


@pytest.mark.parametrize("sdk", SDKS)
def test_another_bucket_is_out_of_reach(town: Town, token: Token, sdk: str) -> None:
    """In another bucket, alice must not use the folder that has the same name as her own folder."""
    key = f"{ALICE}mine"
    other, own = client(sdk, token, "other-bucket"), client(sdk, token)
    found = outcomes(other, key, "no-upload", town)
    assert all_denied(found), found
    for name, operation in other.bucket_operations().items():
        assert refusal(operation) == DENIED, name
    assert refusal(other.list_v1, ALICE) == DENIED
    assert refusal(own.copy, "other-bucket", key, f"{ALICE}copied") == DENIED
    part_of = ("other-bucket", key, f"{ALICE}copied", town.upload)
    assert refusal(own.copy_part, *part_of) == DENIED


# Requests with URLs that the SDKs would change

PATHS = [
    "uploads/bob/theirs",
    "uploads%2Fbob%2Ftheirs",
    "uploads%2fbob%2ftheirs",
    "uploads%252Fbob%252Ftheirs",
    "%75ploads/bob/theirs",
    "uploads/alice/../bob/theirs",
    "uploads/alice/%2e%2e/bob/theirs",
    "uploads/alice/%2E%2E%2Fbob%2Ftheirs",
    "uploads%2Falice%2F..%2Fbob%2Ftheirs",
    "uploads/alice/%252e%252e/bob/theirs",
    "uploads/alice/..%5Cbob%5Ctheirs",
    "uploads/alice/%c0%ae%c0%ae/bob/theirs",
    "uploads/alice/%EF%BC%8E%EF%BC%8E/bob/theirs",
    "uploads/alice%00/../bob/theirs",
    "uploads/bob/theirs%00/../../alice/mine",
    "uploads/bob/../alice/../bob/theirs",
    "uploads/./bob/theirs",
    "./uploads/bob/theirs",
    "../sandbox-bucket/uploads/bob/theirs",
    "/uploads/bob/theirs",
    "uploads//bob/theirs",
    "uploads/alice;/../bob/theirs",
    "uploads/alice/mine/../../bob/theirs",
    "uploads/bob/theirs%3F/uploads/alice/",
]
OWN_CODES = {"AccessDenied", "SignatureDoesNotMatch", "InvalidObjectName", "NoSuchKey"}


def once_decoded(path: str) -> str | None:
    """Return the key that a path names, or None if the path is not UTF-8."""
    try:
        return unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        return None


@pytest.mark.parametrize(
    ("method", "version"), [*product(("GET", "PUT"), VERSIONS), ("HEAD", "v4"), ("DELETE", "v1")]
)
def test_no_spelling_of_a_path_leads_out(
    town: Town, token: Token, policy: str, version: str, method: str
) -> None:
    """OSS and RAM give dots no special meaning, so a key with alice's prefix is always in her
    folder."""
    for path in PATHS:
        named = once_decoded(path)
        # Send the path several times. Each time, sign the request for another key: the key that the
        # path names, the path before it is decoded, a key of bob, and another key of alice.
        for key in {named or path, path, f"{BOB}theirs", f"{ALICE}mine"}:
            answer = send(token, version, method, path, signed_for=key, body=b"alice was here")
            assert SECRET not in answer.body
            is_hers = named == key and key.startswith(ALICE)
            if answer.status == 200:
                assert (method, is_hers) == ("PUT", True)
                assert "put" in MAY[policy]
                assert town.cloud.cloud.storage.find(token.bucket, key) is not None
                continue
            assert answer.status in (400, 403, 404)
            # An answer to HEAD has no body, so it has no code.
            assert answer.code in (OWN_CODES if method != "HEAD" else {""})
            if answer.status == 404:
                assert is_hers


COPY_SOURCES = [
    "/sandbox-bucket/uploads/bob/theirs",
    "sandbox-bucket/uploads/bob/theirs",
    "/sandbox-bucket/uploads%2Fbob%2Ftheirs",
    "/sandbox-bucket/uploads%252Fbob%252Ftheirs",
    "/sandbox-bucket/uploads/alice/../bob/theirs",
    "/sandbox-bucket/uploads/alice/%2e%2e/bob/theirs",
    "/sandbox-bucket/uploads/alice/%252e%252e/bob/theirs",
    "/sandbox-bucket/uploads/alice/mine/../../bob/theirs",
    "/sandbox-bucket/uploads/alice/mine,/sandbox-bucket/uploads/bob/theirs",
    "/sandbox-bucket/uploads/bob/theirs?versionId=null",
    "/sandbox-bucket/uploads/alice/mine?/../../bob/theirs",
    "/sandbox-bucket//uploads/bob/theirs",
    "//sandbox-bucket/uploads/bob/theirs",
    "/sandbox-bucket/uploads/alice/%c0%ae%c0%ae/bob/theirs",
    "/other-bucket/uploads/alice/mine",
    "/other-bucket/../sandbox-bucket/uploads/bob/theirs",
    "%2Fsandbox-bucket%2Fuploads%2Fbob%2Ftheirs",
    "http://127.0.0.1/sandbox-bucket/uploads/bob/theirs",
    "",
]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("whole", [True, False], ids=["CopyObject", "UploadPartCopy"])
def test_no_spelling_of_a_copy_source_leads_out(
    town: Town, token: Token, version: str, whole: bool
) -> None:
    key = f"{ALICE}copied"
    query = "" if whole else f"partNumber=1&uploadId={town.upload}"
    for source in COPY_SOURCES:
        headers = {"x-oss-copy-source": source}
        answer = send(token, version, "PUT", key, query, signed_for=key, headers=headers)
        assert answer.status in (400, 403, 404), source
        assert answer.code in OWN_CODES | {"InvalidArgument", "NotImplemented"}, source
    assert town.cloud.cloud.storage.parts(token.bucket, key, town.upload) == []


LISTS = [
    "",
    "prefix=",
    "prefix=uploads%2Fbob%2F",
    "prefix=uploads%2Fbob%2F&encoding-type=url",
    "encoding-type=url&prefix=uploads%252Fbob%252F",
    "encoding-type=url&prefix=uploads%252Falice%252F",
    "encoding-type=url&prefix=%75ploads/bob/",
    "encoding-type=none&prefix=uploads/bob/",
    "prefix=uploads/bob/&prefix=uploads/alice/",
    "prefix=uploads/alice/&prefix=uploads/bob/",
    "prefix=uploads/alice/..%2Fbob/",
    "prefix=uploads/alice/%2e%2e/bob/&encoding-type=url",
    "prefix=uploads/alice/%252e%252e/bob/&encoding-type=url",
    "prefix=uploads/alice/../bob/&delimiter=/",
    "Prefix=uploads/alice/",
    "prefix=uploads/alice&delimiter=/",
    "prefix=uploads/alice/&marker=uploads/a",
    "prefix=uploads/alice/&marker=uploads/bob/",
    "prefix=uploads/alice/&start-after=uploads/a",
    "prefix=uploads/alice/&delimiter=uploads/alice/",
    "prefix=uploads/alice/%00&encoding-type=url",
    "prefix=*",
    "prefix=uploads/*",
    "prefix=uploads/alice*",
    "prefix=uploads/alice%2A&encoding-type=url",
    "prefix=uploads/?ob/",
    "prefix=+uploads/alice/",
]


@pytest.mark.parametrize("version", VERSIONS)
def test_no_spelling_of_a_list_shows_a_name_of_others(
    token: Token, policy: str, version: str
) -> None:
    for query, kind in product(LISTS, ("", "list-type=2")):
        answer = send(token, version, "GET", "", "&".join(filter(None, (query, kind))))
        assert b"theirs" not in answer.body, query
        is_hers = query.startswith("prefix=uploads/alice/")
        # The sandbox's OSS refuses a parameter that it does not know. If the sandbox's OSS
        # ignored the parameter, its list could have more objects than the list of the real OSS.
        unknown = {"Prefix", "marker" if kind else "start-after"}
        if not unknown.isdisjoint(part.partition("=")[0] for part in query.split("&")):
            assert (answer.status, answer.code) == (400, "NotImplemented"), query
        elif "list" not in MAY[policy] or not is_hers:
            assert (answer.status, answer.code) == (403, "AccessDenied"), query
        else:
            assert answer.status == 200, query


def delete_many(token: Token, version: str, key: str, query: str) -> Answer:
    body = f"<Delete><Object><Key>{key}</Key></Object></Delete>".encode()
    md5 = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    return send(token, version, "POST", "", query, headers={"content-md5": md5}, body=body)


@pytest.mark.parametrize("version", VERSIONS)
def test_no_spelling_of_a_delete_takes_anything(token: Token, version: str) -> None:
    """No policy allows a phone to delete, not even in its own folder."""
    keys = (f"{BOB}theirs", quote(f"{BOB}theirs", safe=""), f"{ALICE}../bob/theirs", f"{ALICE}mine")
    for key, query in product(keys, ("delete", "delete&encoding-type=url")):
        answer = delete_many(token, version, key, query)
        assert (answer.status, answer.code) == (403, "AccessDenied"), key


@pytest.mark.parametrize("version", ["v1", "v4"])
def test_a_signed_url_carries_no_further_than_its_token(
    town: Town, token: Token, version: str
) -> None:
    sdk = token.oss2(version)
    for key in town.theirs:
        assert refusal(sdk.get_object_with_url, sdk.sign_url("GET", key, 60)) == DENIED
        assert refusal(sdk.put_object_with_url, sdk.sign_url("PUT", key, 60), b"x") == DENIED


# Who a token is for


@pytest.mark.parametrize(
    "user", ["../bob", "bob/", "./bob", "bob/../bob", "*", "b?b", "BOB", "bob ", "bob\0", "~bob"]
)
def test_an_id_that_looks_like_bobs_folder_is_somebody_elses(town: Town, user: str) -> None:
    somebody = town.token("bucket_read_write_policy", user)
    assert somebody.prefix not in (BOB, ALICE)
    sdk = client("oss2 V4", somebody)
    for key in town.theirs:
        assert refusal(sdk.get, key) == DENIED
        assert refusal(sdk.put, key) == DENIED
    assert refusal(sdk.list_v1, BOB) == DENIED


def test_a_wish_for_one_object_opens_that_one_of_alices(town: Town, policy: str) -> None:
    token = town.token(policy, object="mine")
    for sdk in SDKS:
        alice = client(sdk, token)
        assert refusal(alice.get, f"{BOB}theirs") == DENIED
        assert refusal(alice.put, f"{ALICE}mine2") == DENIED
        assert refusal(alice.list_v1, ALICE) == DENIED
        allowed = refusal(alice.get, f"{ALICE}mine") is None
        assert allowed == ("get" in MAY[policy])


@pytest.mark.parametrize("user", ["alice", "a", "alice@example.com", "\u7167", "x" * 500])
def test_the_session_names_the_caller(town: Town, user: str) -> None:
    """ActionTrail and OSS's own log show a caller by the RoleSessionName."""
    token = town.token("bucket_read_write_policy", user)
    identities = town.cloud.cloud.identities
    identity = identities.find(token.access_key_id, token.security_token)
    expected = f"{town.cloud.env['ROLE_ARN']}/{callers.named(user).session_name}"
    assert identity.arn == expected
    # OSS's own explanation of a refusal contains the session name, too.
    answer = send(token, "v4", "GET", f"{BOB}theirs", signed_for=f"{BOB}theirs")
    assert (
        f"<AuthPrincipalDisplayName>{expected}</AuthPrincipalDisplayName>".encode() in answer.body
    )


def test_sessions_of_different_callers_have_different_names(town: Town) -> None:
    names = set()
    for user in (*NEIGHBOURS, "alice"):
        token = town.token("bucket_write_policy", user)
        identity = town.cloud.cloud.identities.find(token.access_key_id, token.security_token)
        names.add(identity.arn)
    assert len(names) == len(NEIGHBOURS) + 1


# Callers who may only read. A second deployment for the same bucket signs URLs for these callers


@pytest.fixture(scope="module")
def readers(town: Town) -> Iterator[App]:
    env = {**town.cloud.env, "POLICY_FILE": "bucket_read_policy", "POLICY_CHOICES": ""}
    with closing(App(env)) as app:
        yield app


def signed(app: App, **query: str) -> dict[str, str]:
    """Return the answer of `app`, whose callers may only read."""
    request = Request("GET", "/signed-url", query)
    answer: dict[str, str] = json.loads(app.respond(lambda: request).body)
    return answer


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_link_of_a_read_only_caller_leads_to_nobody_elses_object(
    town: Town, readers: App, method: str
) -> None:
    """Finding A2, tried for every neighbour. Alice makes the symbolic link in another deployment,
    in which she may write."""
    writer = town.token("bucket_write_policy").oss2("v4")
    login = town.cloud.login("alice")
    for number, key in enumerate([*town.theirs, "no-such-object"]):
        name = f"link{number}"
        writer.put_symlink(key, f"{ALICE}{name}")
        url = signed(readers, object=name, method=method, access_token=login)["Url"]
        found = requests.request(method, url, timeout=10)
        assert (found.status_code, SECRET in found.content) == (403, False), key


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_read_only_caller_gets_no_url_of_anybody_elses_object(
    town: Town, readers: App, method: str
) -> None:
    login = town.cloud.login("alice")
    for name in ("../bob/theirs", "/uploads/bob/theirs", "a/../../bob/theirs", "*"):
        answer = signed(readers, object=name, method=method, access_token=login)
        assert answer["ErrorCode"] == "InvalidParameter.Object"
