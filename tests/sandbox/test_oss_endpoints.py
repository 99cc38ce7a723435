"""The bucket's own domain (CNAME), and a public endpoint that is closed to data calls. These tests
send raw requests; tests/test_closed_endpoint.py uses SDKs and browsers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import oss2
import pytest

from localhost_names import localhost_names
from post_forms import multipart, v4_form
from running_cloud import Token
from running_oss import BUCKET, REGION, Oss, Server, running_oss
from sandbox.oss.cors import ANY_ORIGIN, store_rules
from signed_requests import Answer, send

CNAME = "files.localhost"
NAMESAKE = "files"
"""A bucket whose name is the first label of CNAME."""
PARTS = b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part>"
PREFLIGHT = {"Origin": "https://app.example", "Access-Control-Request-Method": "PUT"}

DATA = [
    ("PUT", "a", "", b"x"),
    ("GET", "kept", "", b""),
    ("DELETE", "kept", "", b""),
    ("PUT", "kept", "acl", b""),
    ("GET", "kept", "acl", b""),
    ("POST", "a", "append&position=0", b"x"),
    ("POST", "a", "uploads", b""),
    ("PUT", "a", "partNumber=1&uploadId=0", b"x"),
    ("POST", "a", "uploadId=0", PARTS),
    ("GET", "", "", b""),
    ("GET", "", "list-type=2", b""),
    ("GET", "", "uploads", b""),
    ("POST", "", "delete", b"<Delete><Object><Key>kept</Key></Object></Delete>"),
]
"""Method, key, query and body of calls about objects."""

CONTROL = [
    ("GET", "bucketInfo"),
    ("GET", "location"),
    ("GET", "acl"),
    ("PUT", "acl"),
    ("GET", "cors"),
    ("DELETE", "cors"),
    ("PUT", ""),
]
"""Method and query of calls about the bucket."""


@pytest.fixture(params=[False, True], ids=["open", "closed"])
def either(request: pytest.FixtureRequest, tmp_path: Path, oss_server: Server) -> Iterator[Oss]:
    """An OSS whose bucket has a domain. A test runs with an open and a closed public endpoint."""
    with _running(tmp_path, oss_server, is_public_closed=request.param) as oss:
        yield oss


@pytest.fixture
def closed(tmp_path: Path, oss_server: Server) -> Iterator[Oss]:
    with _running(tmp_path, oss_server, is_public_closed=True) as oss:
        yield oss


def _running(
    folder: Path, server: Server, *, is_public_closed: bool
) -> AbstractContextManager[Oss]:
    return running_oss(
        folder / "oss", server, BUCKET, cname=CNAME, is_public_closed=is_public_closed
    )


def token(oss: Oss, bucket: str = BUCKET) -> Token:
    session = oss.session()
    return Token(
        session.access_key_id,
        session.access_key_secret,
        session.security_token,
        bucket,
        REGION,
        oss.endpoint,
        "",
    )


def service(oss: Oss, endpoint: str) -> oss2.Service:
    auth = oss2.AuthV4(oss.root.access_key_id, oss.root.access_key_secret)
    return oss2.Service(auth, endpoint, region=REGION, session=oss.oss2_session())


def by_domain(
    oss: Oss, method: str, key: str, query: str = "", body: bytes = b"", host: str = CNAME
) -> Answer:
    """Send a request to a host that names the bucket."""
    return send(token(oss), "v4", method, key, query, signed_for=key, host=host, body=body)


def keys(oss: Oss, bucket: str = BUCKET) -> list[str]:
    found = oss.storage.keys_from(bucket, b"", inclusive=True, prefix=b"", limit=10)
    return [info.key for info in found]


# The domain is the bucket


def test_the_domain_is_the_bucket(either: Oss) -> None:
    for host in (CNAME, CNAME.upper(), f"{CNAME}:7081"):
        assert by_domain(either, "PUT", "a", body=b"Hello", host=host).status == 200
        assert by_domain(either, "GET", "a", host=host).body == b"Hello"
    assert keys(either) == ["a"]
    listing = by_domain(either, "GET", "").body
    assert f"<Name>{BUCKET}</Name>".encode() in listing


def test_the_domain_is_no_other_bucket_whatever_its_name_or_path_say(either: Oss) -> None:
    """The name of another bucket is also the beginning of the key, and of the domain."""
    either.storage.create_bucket(NAMESAKE)
    assert by_domain(either, "PUT", f"{NAMESAKE}/a", body=b"Hello").status == 200
    assert keys(either) == [f"{NAMESAKE}/a"]
    theirs = send(token(either, NAMESAKE), "v4", "PUT", "a", signed_for="a", host=CNAME, body=b"x")
    assert (theirs.status, theirs.code) == (403, "SignatureDoesNotMatch")
    assert keys(either, NAMESAKE) == []


def test_by_the_domain_nobody_lists_buckets(either: Oss) -> None:
    with localhost_names(), pytest.raises(oss2.exceptions.SignatureDoesNotMatch):
        service(either, f"http://{CNAME}:{either.port}").list_buckets()


def test_a_form_by_the_domain_is_told_the_objects_url_there(either: Oss) -> None:
    status, headers, _ = post(either, CNAME, "/")
    assert (status, headers["location"]) == (201, f"http://{CNAME}/photos/a.jpg")
    assert keys(either) == ["photos/a.jpg"]


def post(oss: Oss, host: str, path: str) -> tuple[int, dict[str, str], bytes]:
    fields = v4_form(
        oss.root,
        [{"bucket": BUCKET}, ["starts-with", "$key", "photos/"]],
        {"key": "photos/a.jpg", "success_action_status": "201"},
    )
    parts = [(f'name="{name}"', value.encode()) for name, value in fields.items()]
    body = multipart([*parts, ('name="file"; filename="a.jpg"', b"Hello")])
    kind = "multipart/form-data; boundary=9431149156168"
    return oss.raw("POST", path, {"Host": host, "Content-Type": kind}, body)


# The public endpoint is closed


@pytest.mark.parametrize(("method", "key", "query", "body"), DATA)
def test_no_data_call_goes_by_the_public_endpoint(
    closed: Oss, method: str, key: str, query: str, body: bytes
) -> None:
    assert by_domain(closed, "PUT", "kept", body=b"Hello").status == 200
    path = send(token(closed), "v4", method, key, query, signed_for=key, body=body)
    host = by_domain(closed, method, key, query, body, f"{BUCKET}.localhost:7081")
    for answer in (path, host):
        assert (answer.status, answer.code) == (400, "PublicEndpointForbidden")
        assert b"<EC>0048-00000401</EC>" in answer.body
        assert b"please use CNAME instead" in answer.body
    assert keys(closed) == ["kept"]
    assert by_domain(closed, "GET", "kept").body == b"Hello"


@pytest.mark.parametrize(("method", "key", "query", "body"), DATA)
def test_every_data_call_goes_by_the_domain(
    closed: Oss, method: str, key: str, query: str, body: bytes
) -> None:
    by_domain(closed, "PUT", "kept", body=b"Hello")
    answer = by_domain(closed, method, key, query, body)
    assert answer.code != "PublicEndpointForbidden"


@pytest.mark.parametrize(
    "host", ["localhost:7081", "10.0.2.2:7081", "[::1]:7081", f"x.{CNAME}", f"{CNAME}.", ""]
)
def test_whatever_is_not_the_domain_is_the_public_endpoint(closed: Oss, host: str) -> None:
    sent = {"Host": host}
    answer = send(token(closed), "v4", "PUT", "a", signed_for="a", headers=sent, body=b"x")
    assert answer.code == "PublicEndpointForbidden"
    assert keys(closed) == []


@pytest.mark.parametrize(("method", "query"), CONTROL)
def test_what_is_on_the_bucket_is_asked_by_the_public_endpoint(
    closed: Oss, method: str, query: str
) -> None:
    closed.storage.set_cors(BUCKET, store_rules([ANY_ORIGIN]))
    headers = {"x-oss-acl": "private"} if query == "acl" else {}
    answer = send(token(closed), "v4", method, "", query, headers=headers)
    assert answer.status in (200, 204), answer


def test_buckets_are_listed_by_the_public_endpoint(closed: Oss) -> None:
    listed = service(closed, closed.endpoint).list_buckets().buckets
    assert [bucket.name for bucket in listed] == [BUCKET]


def test_a_form_by_the_public_endpoint_is_refused_and_stores_nothing(closed: Oss) -> None:
    for host, path in (("127.0.0.1", f"/{BUCKET}/"), (f"{BUCKET}.localhost", "/")):
        status, headers, body = post(closed, host, path)
        assert (status, headers["x-oss-ec"]) == (400, "0048-00000401")
        assert b"<Code>PublicEndpointForbidden</Code>" in body
    assert keys(closed) == []


def test_a_head_by_the_public_endpoint_is_told_in_the_headers(closed: Oss) -> None:
    url = closed.oss2(version="v4").sign_url("HEAD", "a", 60)
    status, headers, body = closed.raw("HEAD", url.removeprefix(closed.endpoint))
    assert (status, headers["x-oss-ec"], body) == (400, "0048-00000401", b"")


def test_a_page_learns_why_it_is_refused(closed: Oss) -> None:
    """The preflight is answered, so the page can read the refusal."""
    closed.storage.set_cors(BUCKET, store_rules([ANY_ORIGIN]))
    status, headers, _ = closed.raw("OPTIONS", f"/{BUCKET}/a", PREFLIGHT)
    assert (status, headers["access-control-allow-origin"]) == (200, "*")
    status, headers, _ = closed.raw("PUT", f"/{BUCKET}/a", {"Origin": PREFLIGHT["Origin"]}, b"x")
    assert (status, headers["access-control-allow-origin"]) == (400, "*")


def test_who_sends_is_looked_at_before_the_endpoint(closed: Oss) -> None:
    answer = send(token(closed), "v4", "PUT", "a", signed_for="b", body=b"x")
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
