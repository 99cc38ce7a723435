"""Hostile requests. OSS must answer in its own format, and write no file outside its folder."""

from __future__ import annotations

import asyncio
import base64
import encodings.aliases
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote_from_bytes, unquote_plus, unquote_to_bytes

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.types import ASGIApp, Message, Scope

from running_oss import BUCKET, REGION, Clock
from sandbox.identities import AccessKey, Identities
from sandbox.oss import Storage, cors, create_app
from sandbox.oss.addressing import BUCKET_NAME, check_key, readings
from sandbox.oss.call import Target
from sandbox.oss.errors import OssError
from sandbox.oss.objects import md5_of, wanted_range
from sandbox.oss.signatures import (
    OPERATION_SUBRESOURCES,
    UNSIGNED_PAYLOAD,
    V4_ALGORITHM,
    V4Scope,
    v4_canonical_request,
    v4_signature,
    v4_string_to_sign,
)
from sandbox.oss.xml import parse, render
from tried import examples

few = examples(50, 500)

KEY_ID, SECRET = "LTAI5tRoot", "root-secret"
ORIGIN = b"https://page.test"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The error's code; "" for a success, and for an answer without a body."""
        if self.status < 400 or not self.body:
            return ""
        error = parse(self.body, "Error")
        assert error.findtext("RequestId") == self.headers["x-oss-request-id"]
        return error.findtext("Code", "")


@dataclass(frozen=True)
class Service:
    """An OSS in this process. The tests call this OSS directly, without a socket."""

    app: ASGIApp
    storage: Storage
    folder: Path

    def send(
        self,
        method: str,
        path: bytes,
        query: bytes = b"",
        headers: Mapping[bytes, bytes] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """Send one request, and check that a server can send the answer."""
        given = {b"host": b"127.0.0.1", b"content-length": b"%d" % len(body), **(headers or {})}
        scope: Scope = {
            "type": "http",
            "http_version": "1.1",
            "scheme": "http",
            "method": method,
            "path": unquote_to_bytes(path).decode("utf-8", "replace"),
            "raw_path": path,
            "query_string": query,
            "headers": list(given.items()),
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        sent: list[Message] = []
        answered = asyncio.Event()

        async def receive() -> Message:
            if not scope.get("read"):
                scope["read"] = True
                return {"type": "http.request", "body": body, "more_body": False}
            await answered.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        async def answer() -> None:
            await self.app(scope, receive, send)

        asyncio.run(answer())
        start, *rest = sent
        # h11.Response() checks the headers, and raises an error for a header that HTTP forbids.
        h11.Response(status_code=start["status"], headers=start["headers"])
        names = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
        return Answer(start["status"], names, b"".join(part["body"] for part in rest))

    def send_signed(
        self,
        method: str,
        key: bytes,
        query: bytes = b"",
        headers: Mapping[bytes, bytes] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """Send one request on BUCKET as the account itself, which may do everything."""
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        given = {b"x-oss-date": moment.encode(), **(headers or {})}
        names = {name.decode(): value.decode("latin-1") for name, value in given.items()}
        parts = [part.partition("=") for part in query.decode("latin-1").split("&") if part]
        pairs = [(unquote_plus(n), unquote_plus(v), bool(equals)) for n, equals, v in parts]
        # A key that is not UTF-8 is refused before the signature is checked.
        resource = f"/{BUCKET}/{key.decode('utf-8', 'replace')}"
        text = v4_canonical_request(method, resource, names, pairs, [], UNSIGNED_PAYLOAD)
        scope = V4Scope(moment[:8], REGION)
        signature = v4_signature(v4_string_to_sign(text, moment, scope), SECRET, scope)
        credential = f"Credential={KEY_ID}/{scope}"
        given[b"authorization"] = f"{V4_ALGORITHM} {credential},Signature={signature}".encode()
        path = f"/{BUCKET}/{quote_from_bytes(key)}".encode()
        answer = self.send(method, path, query, given, body)
        assert answer.code != "SignatureDoesNotMatch"
        return answer

    def check_files(self) -> None:
        """Check that the folder has only the index and files with random names, and that no other
        file is beside the folder."""
        assert [path.name for path in self.folder.parent.iterdir()] == [self.folder.name]
        names = {path.name for path in self.folder.iterdir()}
        assert {re.sub("-(wal|shm)$", "", name) for name in names} == {
            "data",
            "index.sqlite3",
            "lock",
        }
        for path in (self.folder / "data").iterdir():
            assert re.fullmatch("[0-9a-f]{32}", path.name)
            assert path.is_file()


@contextmanager
def running(folder: Path) -> Iterator[Service]:
    clock = Clock()
    root = AccessKey(KEY_ID, SECRET, "acs:ram::1234567890123456:root", None)
    identities = Identities("1234567890123456", b"seal key", [root], [], clock)
    storage = Storage(folder, clock)
    storage.create_bucket(BUCKET)
    # V1 is accepted, so that hostile V1 signatures are parsed and not only refused.
    app = create_app(storage, identities, region=REGION, clock=clock, takes_v1=True)
    with closing(storage):
        yield Service(app, storage, folder)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """An OSS to which no authorized client has written."""
    with running(tmp_path_factory.mktemp("untouched") / "oss") as made:
        yield made


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """An OSS in which Hypothesis may leave any objects."""
    with running(tmp_path_factory.mktemp("hostile") / "oss") as made:
        yield made


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Service]:
    with running(tmp_path / "oss") as made:
        yield made


Read = TypeVar("Read")


def read_or_code(read: Callable[[], Read]) -> Read | str:
    """Return the value that `read` returns, or the error code if it raises OssError."""
    try:
        return read()
    except OssError as error:
        return error.code


def check_answer(method: str, answer: Answer) -> None:
    assert answer.status in range(200, 600)
    assert answer.status != 500
    assert answer.headers["server"] == "AliyunOSS"
    assert re.fullmatch("[0-9A-F]{24}", answer.headers["x-oss-request-id"])
    if method == "HEAD":
        assert answer.body == b""
        if answer.status >= 400:
            parse(base64.b64decode(answer.headers["x-oss-err"]), "Error")
    elif answer.status >= 400:
        assert answer.code


# Header values that a server accepts. They have no NUL, and no white space at the ends.
VALUES = st.binary(max_size=60).map(lambda raw: re.sub(rb"[\x00\s]", b" ", raw).strip(b" "))
DATES = st.sampled_from(
    [
        b"Thu, 17 Nov 2005 18:49:58 GMT",
        b"Thu, 17 Nov 99999 18:49:58 GMT",
        b"1 Jan 0001 00:00:00 +2359",
        b", GMT",
        b"\xa0",
        b"20251107T000000Z",
        b"99991231T235960Z",
    ]
)
SCHEMES = st.sampled_from(
    [
        b"OSS LTAI5tRoot:",
        b"OSS STS.x:",
        b"OSS4-HMAC-SHA256 Signature=\xff,Credential=LTAI5tRoot/",
        b"OSS4-HMAC-SHA256 Signature=,AdditionalHeaders=",
        b"Bearer ",
    ]
)
AUTHORIZATIONS = st.tuples(SCHEMES, VALUES).map(lambda pair: (pair[0] + pair[1]).strip(b" "))
METHODS = st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "get"])
NAMES = st.from_regex(rb"[!#$%&'*+.^_`|~0-9a-z-]{1,12}", fullmatch=True).filter(
    lambda name: name not in (b"content-length", b"transfer-encoding")
)
# The headers that OSS reads, with values that are random or similar to valid values.
READ = {
    b"access-control-request-headers": VALUES,
    b"access-control-request-method": METHODS.map(str.encode),
    b"content-md5": VALUES,
    b"content-type": VALUES,
    b"host": VALUES | st.sampled_from([b"[", b"[::1]:80", b"my-bucket.test", b"a:b:c", b".."]),
    b"if-match": VALUES,
    b"if-modified-since": DATES | VALUES,
    b"if-none-match": VALUES,
    b"if-unmodified-since": DATES | VALUES,
    b"origin": VALUES | st.just(ORIGIN),
    b"range": VALUES | st.sampled_from([b"bytes=0-", b"bytes=-1", b"bytes=1-0"]),
    b"user-agent": VALUES,
    b"x-oss-acl": VALUES,
    b"x-oss-complete-all": st.just(b"yes") | VALUES,
    b"x-oss-copy-source": VALUES
    | st.sampled_from([b"/my-bucket/a", b"my-bucket/%FF", b"/my-bucket/..%2F", b"/x/", b"?"]),
    b"x-oss-copy-source-if-modified-since": DATES,
    b"x-oss-copy-source-range": VALUES | st.just(b"bytes=0-0"),
    b"x-oss-forbid-overwrite": st.just(b"true") | VALUES,
    b"x-oss-meta-a": VALUES,
    b"x-oss-metadata-directive": st.just(b"replace") | VALUES,
    b"x-oss-object-acl": st.just(b"public-read") | VALUES,
    b"x-oss-range-behavior": st.just(b"standard"),
}
SIGNING = {
    b"authorization": AUTHORIZATIONS | VALUES,
    b"date": DATES | VALUES,
    b"x-oss-content-sha256": VALUES,
    b"x-oss-date": DATES | VALUES,
    b"x-oss-security-token": VALUES | st.just(b"CAISAAAA"),
}


def some(known: Mapping[bytes, st.SearchStrategy[bytes]]) -> st.SearchStrategy[dict[bytes, bytes]]:
    one = st.one_of(
        [st.tuples(st.just(name), values) for name, values in known.items()]
        + [st.tuples(NAMES, VALUES)]
    )
    return st.lists(one, max_size=5).map(dict)


PARAMETERS = st.sampled_from(
    [
        *sorted(OPERATION_SUBRESOURCES),
        *"list-type prefix delimiter marker max-keys start-after continuation-token".split(),
        *"encoding-type fetch-owner key-marker upload-id-marker max-uploads max-parts".split(),
        *"part-number-marker response-content-type response-expires callback".split(),
    ]
).map(str.encode)
SIGNING_PARAMETERS = st.sampled_from(
    [
        *"OSSAccessKeyId Expires Signature security-token x-oss-signature-version".split(),
        *"x-oss-credential x-oss-date x-oss-expires x-oss-signature x-oss-security-token".split(),
        "x-oss-additional-headers",
    ]
).map(str.encode)
PARAMETER_VALUES = st.binary(max_size=12).map(lambda raw: quote_from_bytes(raw).encode()) | (
    st.sampled_from([b"", b"0", b"1", b"2", b"url", b"/", b"%00", b"%FF", b"9" * 30, b"LTAI5tRoot"])
    | st.sampled_from([b"OSS4-HMAC-SHA256", b"20251107T000000Z", b"9999999999", b"604800"])
)


def queries(names: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    part = st.tuples(names, st.just(b"") | PARAMETER_VALUES.map(lambda value: b"=" + value))
    return st.lists(part.map(b"".join), max_size=6).map(b"&".join)


RAW_PATHS = st.binary(max_size=40).map(lambda raw: b"/" + raw.replace(b"?", b""))
PATHS = st.one_of(
    RAW_PATHS,
    RAW_PATHS.map(lambda raw: b"/my-bucket" + raw),
    st.sampled_from(
        [b"", b"*", b"http://[/", b"//", b"/my-bucket", b"/UPPER/x", b"/a%2Fb", b"/\xff"]
    ),
)
KEYS = st.one_of(
    st.binary(max_size=30),
    st.text(max_size=30).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from([b"", b"a", b"parts", b"..", b"../../etc/passwd", b"a\0b", b"\xed\xa0\x80"]),
)
WORDS = st.sampled_from(
    [
        *(f"<{name}>" for name in ("Delete", "Object", "Key", "CORSRule", "Part", "ETag")),
        *(f"</{name}>" for name in ("Delete", "Object", "Key", "CORSRule", "Part", "ETag")),
        *("<CORSConfiguration>", "</CORSConfiguration>", "<AllowedOrigin>*</AllowedOrigin>"),
        *("<CompleteMultipartUpload>", "</CompleteMultipartUpload>", "<PartNumber>1</PartNumber>"),
        *("<AllowedMethod>GET</AllowedMethod>", "<ExposeHeader>", "</ExposeHeader>"),
        *("<!DOCTYPE a>", "<![CDATA[", "]]>", "&#0;", "&lt;", "\0", "<?xml version='1.0'?>", "../"),
    ]
)
BODIES = st.one_of(
    st.binary(max_size=60),
    st.lists(WORDS | st.text(max_size=8), max_size=12).map(
        lambda parts: "".join(parts).encode("utf-8", "surrogatepass")
    ),
)


@few
@given(
    method=METHODS,
    path=PATHS,
    query=st.binary(max_size=30) | queries(PARAMETERS | SIGNING_PARAMETERS),
    headers=some({**READ, **SIGNING}),
    body=BODIES,
)
@example("GET", b"/UPPER/x", b"", {}, b"")
@example("GET", b"", b"\x80", {b"host": b"["}, b"")
@example("OPTIONS", b"*", b"", {b"origin": ORIGIN}, b"")
@example("GET", b"/", b"&".join([b"a=b"] * 201), {}, b"")
def test_whatever_a_stranger_sends_is_answered_and_changes_nothing(
    untouched: Service,
    method: str,
    path: bytes,
    query: bytes,
    headers: dict[bytes, bytes],
    body: bytes,
) -> None:
    answer = untouched.send(method, path, query, headers, body)
    check_answer(method, answer)
    # The request is not signed.
    assert answer.status >= 400 or method == "OPTIONS"
    untouched.check_files()
    assert [bucket.name for bucket in untouched.storage.buckets()] == [BUCKET]
    assert list((untouched.folder / "data").iterdir()) == []


@few
@given(
    method=METHODS.filter(lambda method: method != "OPTIONS"),
    key=KEYS,
    query=queries(PARAMETERS),
    headers=some({name: values for name, values in READ.items() if name != b"host"}),
    body=BODIES,
)
@example("GET", b"a", b"response-content-type=%20text/css%20", {}, b"")
@example("GET", b"a", b"", {b"if-modified-since": b"\xa0"}, b"")
@example("PUT", b"a", b"", {b"x-oss-copy-source": b"/my-bucket/%FF"}, b"")
def test_whatever_the_account_sends_is_answered(
    service: Service,
    method: str,
    key: bytes,
    query: bytes,
    headers: dict[bytes, bytes],
    body: bytes,
) -> None:
    # An earlier request may have deleted the bucket.
    service.storage.create_bucket(BUCKET)
    service.send_signed("PUT", b"a", body=b"bytes")
    check_answer(method, service.send_signed(method, key, query, headers, body))
    service.check_files()


@few
@given(name=st.sampled_from(["cors", "delete", "uploadId"]), body=BODIES)
def test_whatever_document_the_account_sends_is_answered(
    service: Service, name: str, body: bytes
) -> None:
    answer = send_document(service, name, body)
    check_answer("POST", answer)
    page = service.send("GET", f"/{BUCKET}/".encode(), headers={b"origin": ORIGIN})
    check_answer("GET", page)


# Documents


def send_document(service: Service, name: str, body: bytes) -> Answer:
    """Send the body of PutBucketCors, DeleteMultipleObjects or CompleteMultipartUpload."""
    service.storage.create_bucket(BUCKET)
    headers = {b"content-md5": md5_of(body).encode()}
    if name == "cors":
        return service.send_signed("PUT", b"", b"cors", headers, body)
    if name == "delete":
        return service.send_signed("POST", b"", b"delete", headers, body)
    # Each call makes a new upload, because the last one may have been deleted with its bucket.
    upload = service.storage.create_upload(BUCKET, "parts", headers={}, acl="default")
    query = f"uploadId={upload.id}".encode()
    return service.send_signed("POST", b"parts", query, headers, body)


# The root element of each document, and valid content for it.
DOCUMENTS = {
    "cors": (
        "CORSConfiguration",
        "<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>",
    ),
    "delete": ("Delete", "<Object><Key>a</Key></Object>"),
    "uploadId": (
        "CompleteMultipartUpload",
        "<Part><PartNumber>1</PartNumber><ETag>a</ETag></Part>",
    ),
}


def filled(name: str, pattern: str) -> bytes:
    root, good = DOCUMENTS[name]
    return pattern.replace("ROOT", root).replace("GOOD", good).encode()


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize(
    "pattern",
    [
        "<ROOT>GOOD</ROOT>",
        '<?xml version="1.0" encoding="UTF-8"?>\n<ROOT xmlns="http://doc.test">GOOD</ROOT>\n',
        "<ROOT>GOOD" + "<a>" * 7 + "</a>" * 7 + "</ROOT>",
    ],
)
def test_reads_a_document_that_is_one(empty: Service, name: str, pattern: str) -> None:
    # The part that the document names was never uploaded.
    code = "InvalidPart" if name == "uploadId" else ""
    assert send_document(empty, name, filled(name, pattern)).code == code


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "garbage",
        "<!DOCTYPE ROOT><ROOT>GOOD</ROOT>",
        "<!DOCTYPE a><ROOT>GOOD</ROOT>",
        '<!DOCTYPE ROOT [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><ROOT>GOOD<c>&b;</c></ROOT>',
        '<!DOCTYPE ROOT SYSTEM "file:///etc/passwd"><ROOT>GOOD</ROOT>',
        '<!DOCTYPE ROOT [<!ENTITY a SYSTEM "file:///etc/passwd">]><ROOT>GOOD<c>&a;</c></ROOT>',
        '<!DOCTYPE ROOT [<!ENTITY % a SYSTEM "http://127.0.0.1/">%a;]><ROOT>GOOD</ROOT>',
        "<ROOT>GOOD&unknown;</ROOT>",
        "<ROOT>GOOD&#0;</ROOT>",
        "<ROOT>GOOD&#xD800;</ROOT>",
        "<ROOT>GOOD\0</ROOT>",
        "<ROOT>GOOD\x01</ROOT>",
        "<ROOT>GOOD</ROOT><ROOT/>",
        "<ROOT>GOOD",
        "<Other>GOOD</Other>",
        "<Other><ROOT>GOOD</ROOT></Other>",
        '<a:ROOT xmlns:a="b">GOOD</a:ROOT>',
        "<ROOT>GOOD" + "<a>" * 8 + "</a>" * 8 + "</ROOT>",
        '<?xml version="1.0" encoding="no-such"?><ROOT>GOOD</ROOT>',
        '<?xml version="1.0" encoding="utf-16"?><ROOT>GOOD</ROOT>',
        '<?xml version="1.0" encoding="idna"?><ROOT>GOOD</ROOT>',
    ],
)
def test_refuses_a_document_that_is_none(service: Service, name: str, pattern: str) -> None:
    answer = send_document(service, name, filled(name, pattern))
    assert (answer.status, answer.code) == (400, "MalformedXML")


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name != "uploadId"])
def test_refuses_a_document_of_nothing(service: Service, name: str) -> None:
    """An upload without parts makes an empty object (multipart.py). All other documents need
    content."""
    answer = send_document(service, name, filled(name, "<ROOT/>"))
    assert (answer.status, answer.code) == (400, "MalformedXML")


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize(
    "body",
    [
        b"\xff" * (1 << 20),
        b"<a>" * (1 << 18),
        b"\0" * (1 << 20),
        b"<a " + b"a='b' " * (1 << 17),
        b"<!--" + b"-" * (1 << 20),
        b"<" + b"a" * (1 << 20),
        b"<Delete>\xff</Delete>",
        b"<Delete><Object><Key>\xed\xa0\x80</Key></Object></Delete>",
        b"<Delete>" + b"<Object><Key>a</Key></Object>" * 1001 + b"</Delete>",
    ],
    ids=range(9),
)
def test_refuses_a_document_that_is_large_or_deep_or_no_text(
    service: Service, name: str, body: bytes
) -> None:
    answer = send_document(service, name, body)
    assert (answer.status, answer.code) == (400, "MalformedXML")


def test_refuses_a_document_of_more_than_four_mebibytes(service: Service) -> None:
    answer = send_document(service, "delete", b"<Delete>" + b" " * (4 << 20) + b"</Delete>")
    assert (answer.status, answer.code) == (400, "EntityTooLarge")


@pytest.mark.parametrize("key", ["", "/a", "\\a", "k" * 1024, "ü" * 512])
def test_deletes_no_object_that_cannot_be(empty: Service, key: str) -> None:
    body = render("Delete", [("Object", [("Key", key)]), ("Object", [("Key", "a")])])
    empty.send_signed("PUT", b"a", body=b"bytes")
    answer = send_document(empty, "delete", body)
    assert (answer.status, answer.code) == (400, "InvalidObjectName")
    assert empty.storage.find(BUCKET, "a") is not None


# Keys


@pytest.mark.parametrize(
    "key",
    [
        b"..",
        b"../../../tmp/outside",
        b"a/../../b",
        b"./a",
        b"a\0b",
        b"\0",
        b"\r\nx-oss-object-acl: public-read",
        b"\x7f\x1b[0m",
        b"a\\..\\b",
        b"C:\\a",
        b"%2e%2e%2f",
        b"k" * 1023,
        "ü".encode() * 511,
        "\ufeff\u202e\U0010ffff".encode(),
        b"a?acl",
        b"index.sqlite3",
        b"data/" + b"0" * 32,
    ],
    ids=range(17),
)
def test_a_strange_key_is_one_like_others(empty: Service, key: bytes) -> None:
    assert empty.send_signed("PUT", key, body=key).status == 200
    assert empty.send_signed("GET", key).body == key
    source = {b"x-oss-copy-source": f"/{BUCKET}/{quote_from_bytes(key)}".encode()}
    assert empty.send_signed("PUT", b"copy", headers=source).status == 200
    assert empty.send_signed("GET", b"copy").body == key
    prefix = f"encoding-type=url&prefix={quote_from_bytes(key)}".encode()
    found = parse(empty.send_signed("GET", b"", prefix).body, "ListBucketResult")
    listed = [element.findtext("Key", "") for element in found.findall("Contents")]
    assert [unquote_to_bytes(name) for name in listed] == [key]
    # XML cannot hold some keys. Without encoding-type the list must still be a valid answer.
    check_answer("GET", empty.send_signed("GET", b""))
    empty.check_files()
    assert empty.send_signed("DELETE", key).status == 204
    assert empty.send_signed("GET", key).code == "NoSuchKey"


@pytest.mark.parametrize(
    "key",
    [
        b"/a",
        b"//",
        b"\\a",
        b"k" * 1024,
        "ü".encode() * 512,
        b"\xff",
        b"\xc0\xaf",
        b"a\xed\xa0\x80",
        b"\xed\xb0\x80",
        b"\xf4\x90\x80\x80",
        b"caf\xe9",
    ],
)
@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
def test_refuses_a_key_that_no_object_can_have(empty: Service, method: str, key: bytes) -> None:
    answer = empty.send_signed(method, key, body=b"x" if method == "PUT" else b"")
    assert (answer.status, answer.code) == (400, "InvalidObjectName")
    source = {b"x-oss-copy-source": f"/{BUCKET}/{quote_from_bytes(key)}".encode()}
    copy = empty.send_signed("PUT", b"copy-of-none", headers=source)
    assert (copy.status, copy.code) == (400, "InvalidObjectName")
    empty.check_files()


# The functions that read


@few
@given(
    host=st.text(st.characters(max_codepoint=0xFF), max_size=20)
    | st.sampled_from(["my-bucket.oss.test:80", "127.0.0.1:80", "[::1]:80", "[", "other-bucket.a"])
    | st.sampled_from(["files.test", "Files.Test:80", "other-bucket.test:80", "x.files.test"]),
    path=PATHS | st.sampled_from([b"/my-bucket/other-bucket/a", b"/other-bucket/%2F", b"/new/a"]),
    default=st.none() | st.just("default-bucket"),
)
def test_a_url_means_only_what_stands_in_it(host: str, path: bytes, default: str | None) -> None:
    known = {BUCKET, "other-bucket", "default-bucket"}
    cnames = {"files.test": BUCKET, "other-bucket.test": BUCKET}
    found = read_or_code(lambda: readings(host, path, known.__contains__, default, cnames))
    if isinstance(found, str):
        assert found in ("InvalidBucketName", "InvalidObjectName")
        return
    assert found
    assert len(set(found)) == len(found)
    whole = path.removeprefix(b"/")
    segment, _, rest = whole.partition(b"/")
    if host.lower().removesuffix(":80") in cnames:
        assert found == [Target(BUCKET, unquote_to_bytes(whole).decode())]
        return
    for target in found:
        if target == Target():
            assert whole == b""
            continue
        in_path = segment.decode("latin-1") == target.bucket
        in_host = host.lower().partition(".")[0] == target.bucket
        assert in_path or in_host or target.bucket == default
        assert BUCKET_NAME.fullmatch(target.bucket)
        raw = {unquote_to_bytes(part) for part in (rest, whole)}
        assert target.key.encode() in raw
    # Two different targets (each is a bucket and a key) never have the same resource. Therefore a
    # signature over the resource is valid for only one target.
    assert len({target.resource for target in found}) == len(found)


@few
@given(key=st.text(st.characters(exclude_categories=["Cs"]), max_size=1100))
@example("k" * 1023)
@example("k" * 1024)
def test_a_key_is_refused_for_its_length_and_its_first_character_only(key: str) -> None:
    good = 1 <= len(key.encode()) <= 1023 and not key.startswith(("/", "\\"))
    assert read_or_code(lambda: check_key(key)) == (None if good else "InvalidObjectName")


@few
@given(
    text=st.text(max_size=30)
    | st.builds(
        "bytes={}-{}".format, st.integers(0, 40) | st.just(""), st.integers() | st.just("")
    ),
    size=st.integers(0, 30),
)
@example("bytes=-0", 5)
@example("bytes=-5", 0)
@example("bytes=0-" + "9" * 40, 5)
@example("bytes=\u0661-\u0662", 5)
@example("bytes=0-1,3-4", 5)
def test_a_range_lies_in_the_object_or_is_none(text: str, size: int) -> None:
    cut = wanted_range(text, size, clip=True)
    if cut is not None:
        start, end = cut
        assert 0 <= start < end <= size
    assert wanted_range(text, size) in (cut, None)


@few
@given(size=st.integers(1, 30), first=st.integers(0, 40), last=st.integers(0, 40))
def test_a_range_that_is_cut_is_what_rfc_9110_says(size: int, first: int, last: int) -> None:
    whole = range(size)

    def read(text: str) -> range | None:
        found = wanted_range(text, size, clip=True)
        return whole[slice(*found)] if found else None

    assert read(f"bytes={first}-{last}") == (whole[first : last + 1] or None)
    assert read(f"bytes={first}-") == (whole[first:] or None)
    assert read(f"bytes=-{last}") == ((whole[-last:] if last else None) or None)


@few
@given(body=BODIES | st.binary())
def test_a_document_is_read_or_refused(body: bytes) -> None:
    found = read_or_code(lambda: parse(body, "Delete").tag)
    assert found in ("Delete", "MalformedXML")


@pytest.mark.parametrize("encoding", sorted({*encodings.aliases.aliases.values(), "undefined"}))
def test_a_document_of_any_encoding_is_read_or_refused(encoding: str) -> None:
    body = f'<?xml version="1.0" encoding="{encoding}"?>'.encode() + b"<Delete>\xe9a</Delete>"
    found = read_or_code(lambda: parse(body, "Delete").tag)
    assert found in ("Delete", "MalformedXML")


@few
@given(text=st.text())
def test_every_text_can_be_written_as_xml(text: str) -> None:
    read = parse(render("a", [("b", text)]), "a").findtext("b")
    shown = re.sub("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)
    assert read == shown


ORIGINS = st.sampled_from(["*", "https://*.test", ORIGIN.decode(), "null"]) | st.text(max_size=12)
RULES = st.lists(
    st.lists(
        st.tuples(st.just("AllowedOrigin"), ORIGINS)
        | st.tuples(st.just("AllowedMethod"), st.sampled_from(["GET", "PUT", "PATCH", "get"]))
        | st.tuples(st.just("AllowedHeader"), st.sampled_from(["*", "x-*", "x-*-*", "", "ü"]))
        | st.tuples(st.just("ExposeHeader"), st.just("ETag") | st.text(max_size=12))
        | st.tuples(st.just("MaxAgeSeconds"), st.sampled_from(["0", "600", "-1", "", "9" * 10])),
        max_size=8,
    ).map(lambda content: ("CORSRule", content)),
    max_size=22,
)


@few
@given(rules=RULES, headers=some(READ))
@example(
    [
        (
            "CORSRule",
            [("AllowedOrigin", "*"), ("AllowedMethod", "GET"), ("ExposeHeader", "日本\nx: y")],
        )
    ],
    {b"origin": ORIGIN},
)
def test_cors_rules_are_refused_or_make_headers_that_can_be_sent(
    rules: list[tuple[str, list[tuple[str, str]]]], headers: dict[bytes, bytes]
) -> None:
    stored = read_or_code(lambda: cors.parse_rules(render("CORSConfiguration", rules)))
    if stored in ("MalformedXML", "InvalidArgument"):
        return
    assert 1 <= len(rules) <= 20
    again = cors.parse_rules(render("CORSConfiguration", cors.rules_content(stored)))
    assert again == stored
    request = {name.decode(): value.decode("latin-1") for name, value in headers.items()}
    answers = [cors.answer_headers(stored, request, "GET")]
    allowed = read_or_code(lambda: cors.preflight(stored, request))
    if isinstance(allowed, str):
        assert allowed == "AccessForbidden"
    else:
        answers.append(allowed)
    for answer in answers:
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in answer.items()]
        h11.Response(status_code=200, headers=encoded)
