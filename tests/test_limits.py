"""UPLOAD_MAX_BYTES, UPLOAD_CONTENT_TYPES, OVERWRITE and ENABLED_ROUTES limit every upload.

The attacker has a login, gets the function's answers (URLs, forms and seals), and may change these
answers. After each test the bucket holds only images of at most 10 bytes.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import post_forms
from javascript import need, run
from running_cloud import RunningCloud, running_cloud
from token_service import base64url

MOST = 10
TYPE = "image/png"
NAME = "a.png"
KEY = f"uploads/{NAME}"
LIMITS: dict[str, Any] = {
    "UPLOAD_MAX_BYTES": str(MOST),
    "UPLOAD_CONTENT_TYPES": TYPE,
    "ENABLED_ROUTES": "signed-url,form,multipart,uploads",
}
Answer = dict[str, Any]


class Stored(NamedTuple):
    """The properties of an object that a limit can restrict."""

    key: str
    size: int
    content_type: str
    disposition: str


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud"), **LIMITS) as cloud:
        yield cloud


@pytest.fixture(autouse=True)
def nothing_else_is_stored(cloud: RunningCloud) -> Iterator[None]:
    yield
    check_and_empty(cloud)


def stored(cloud: RunningCloud) -> list[Stored]:
    """The objects in the bucket."""
    storage, bucket = cloud.cloud.storage, cloud.cloud.bucket
    found = storage.keys_from(bucket, b"", inclusive=True, prefix=b"", limit=1000)
    return [
        Stored(
            info.key,
            info.size,
            info.headers.get("content-type", ""),
            info.headers.get("content-disposition", ""),
        )
        for info in found
    ]


def check_and_empty(cloud: RunningCloud) -> None:
    storage, bucket = cloud.cloud.storage, cloud.cloud.bucket
    found = stored(cloud)
    storage.delete(bucket, [one.key for one in found])
    for one in found:
        assert one.key.startswith("uploads/"), one
        assert one.size <= MOST, one
        assert one.content_type == TYPE, one
        assert one.disposition == "attachment", one
    assert storage.uploads(bucket, "") == []


def answered(cloud: RunningCloud, path: str, **wishes: str) -> Answer:
    return cloud.answer("POST" if path == "/multipart" else "GET", path, **wishes)


def ask(cloud: RunningCloud, path: str, **wishes: str) -> Answer:
    answer = answered(cloud, path, **wishes)
    assert answer["StatusCode"] == 200, answer
    return answer


def url_for(cloud: RunningCloud, size: int = MOST, **wishes: str) -> Answer:
    return ask(cloud, "/signed-url", **{"object": NAME, "size": str(size), **wishes})


def send(url: str, headers: Mapping[str, str], body: bytes, method: str = "PUT") -> tuple[int, str]:
    """Send a request unchanged. Add a Content-Length if the headers have no Content-Length and no
    Transfer-Encoding."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    framed = {name.lower() for name in headers} & {"content-length", "transfer-encoding"}
    try:
        connection.putrequest(method, f"{parts.path}?{parts.query}", skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value.encode("latin-1", "replace"))
        if not framed:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        reply = connection.getresponse()
        return reply.status, reply.read().decode("utf-8", "replace")
    finally:
        connection.close()


def start_for(cloud: RunningCloud, size: int = MOST) -> Answer:
    return ask(cloud, "/multipart", object=NAME, size=str(size))


def begin(cloud: RunningCloud, size: int = MOST) -> dict[str, str]:
    """Begin an upload in parts. Return the wishes that each later request for this upload needs."""
    start = start_for(cloud, size)
    status, text = send(start["Url"], start["Headers"], b"", start["Method"])
    assert status == 200, text
    (upload_id,) = re.findall("<UploadId>(.*)</UploadId>", text)
    return {"Upload": start["Upload"], "upload_id": upload_id}


def part_for(cloud: RunningCloud, size: int = MOST) -> Answer:
    """Begin an upload in parts. Return the signed request for part 1."""
    part: Answer = ask(cloud, "/multipart", **begin(cloud, size), parts="1")["Parts"][0]
    return part


def completion(*parts: tuple[int, str]) -> bytes:
    each = [f"<Part><PartNumber>{n}</PartNumber><ETag>{tag}</ETag></Part>" for n, tag in parts]
    return f"<CompleteMultipartUpload>{''.join(each)}</CompleteMultipartUpload>".encode()


def finish(cloud: RunningCloud) -> None:
    """Close all open uploads. An upload that has parts gets a new seal, and is completed with
    all of its parts. An upload without parts is aborted."""
    storage, bucket = cloud.cloud.storage, cloud.cloud.bucket
    for upload in storage.uploads(bucket, ""):
        assert upload.key == KEY, upload
        found = storage.parts(bucket, KEY, upload.id)
        if not found:
            storage.abort_upload(bucket, KEY, upload.id)
            continue
        seal = start_for(cloud)["Upload"]
        end = ask(cloud, "/multipart", Upload=seal, upload_id=upload.id, action="complete")
        body = completion(*[(part.number, part.etag) for part in found])
        status, text = send(end["Url"], end["Headers"], body, "POST")
        assert status == 200, (upload, found, text)


def test_no_token_goes_around_the_limits(cloud: RunningCloud) -> None:
    for path in ("/", "/sts"):
        for method in ("GET", "POST"):
            assert cloud.answer(method, path)["ErrorCode"] == "RouteDisabled"
    assert not [text for text in cloud.answer(path="/health")["Warnings"] if "bind" in text]


# By curl

CURL = "-s -S -o /dev/null -w %{http_code} --max-time 10".split()


def curl(answer: Answer, file: Path, *options: str, **headers: str) -> int:
    """PUT a file by `curl --upload-file`. `headers` replace headers of the answer, or are added to
    them."""
    sent = {**answer["Headers"], **{k.replace("_", "-"): v for k, v in headers.items()}}
    for name, value in sent.items():
        options += ("--header", f"{name}: {value}" if value else f"{name}:")
    done = subprocess.run(
        ["curl", *CURL, "--upload-file", str(file), *options, answer["Url"]],  # noqa: S607
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return int(done.stdout)


@pytest.mark.parametrize("size", [0, 1, MOST - 1, MOST])
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_curl_stores_the_size_that_was_signed_and_no_other(
    cloud: RunningCloud, tmp_path: Path, size: int, more: int
) -> None:
    if size + more < 0:
        more = 2
    (file := tmp_path / "file").write_bytes(b"x" * (size + more))
    status = curl(url_for(cloud, size), file)
    assert status == (403 if more else 200)
    assert [one.size for one in stored(cloud)] == ([] if more else [size])


@pytest.mark.parametrize(
    "wish", ["", "-1", "1e1", "11", "5368709120", "5368709121", "10.0", "0x0a", " 10", "\u0661"]
)
@pytest.mark.parametrize("path", ["/signed-url", "/multipart"])
def test_no_other_size_is_signed(cloud: RunningCloud, path: str, wish: str) -> None:
    answer = answered(cloud, path, object=NAME, size=wish)
    assert answer["ErrorCode"] == "InvalidParameter.Size"


@pytest.mark.parametrize("path", ["/signed-url", "/multipart"])
def test_no_url_is_signed_without_a_size_or_for_another_type(
    cloud: RunningCloud, path: str
) -> None:
    for wishes, code in (
        ({}, "InvalidParameter.Size"),
        ({"size": "1", "content_type": "text/html"}, "InvalidParameter.ContentType"),
        ({"size": "1", "content_type": "image/svg+xml"}, "InvalidParameter.ContentType"),
        ({"size": "1", "max_bytes": "99"}, "InvalidParameter.MaxBytes"),
        ({"size": "1", "disposition": "none"}, "InvalidParameter.Disposition"),
    ):
        assert answered(cloud, path, object=NAME, **wishes)["ErrorCode"] == code


def test_curl_stores_nothing_of_unknown_length(cloud: RunningCloud, tmp_path: Path) -> None:
    (file := tmp_path / "file").write_bytes(b"x" * MOST)
    chunked = {"Transfer_Encoding": "chunked"}
    assert curl(url_for(cloud), file, **chunked) in (400, 403)
    assert curl(url_for(cloud), file, Content_Length="") in (400, 403, 411)
    assert stored(cloud) == []


OTHER_HEADERS = [
    ("Content-Type", "text/html"),
    ("Content-Type", "image/PNG"),
    ("Content-Type", "image/png; charset=utf-8"),
    ("Content-Type", ""),
    ("Content-Disposition", "inline"),
    ("Content-Disposition", "ATTACHMENT"),
    ("Content-Disposition", ""),
    ("Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg=="),
    ("x-oss-object-acl", "public-read"),
    ("x-oss-meta-a", "b"),
    ("x-oss-forbid-overwrite", "false"),
    ("x-oss-copy-source", "/sandbox-bucket/uploads/b.png"),
    ("x-oss-symlink-target", "b.png"),
    ("x-oss-storage-class", "Standard"),
]


@pytest.mark.parametrize(("name", "value"), OTHER_HEADERS)
def test_curl_stores_nothing_with_another_header(
    cloud: RunningCloud, tmp_path: Path, name: str, value: str
) -> None:
    (file := tmp_path / "file").write_bytes(b"x" * MOST)
    assert curl(url_for(cloud), file, **{name.replace("-", "_"): value}) in (400, 403)
    assert stored(cloud) == []


def test_what_the_uploader_may_still_say_is_no_limit(cloud: RunningCloud, tmp_path: Path) -> None:
    """A client may choose the four headers in this test. docs/security.md lists them."""
    (file := tmp_path / "file").write_bytes(b"x" * MOST)
    free = {"Cache_Control": "no-cache", "Content_Encoding": "br", "Content_Language": "en"}
    assert curl(url_for(cloud), file, Expires="0", **free) == 200
    start = start_for(cloud)
    named = {name.replace("_", "-"): value for name, value in free.items()}
    headers = {**start["Headers"], **named, "Expires": "0"}
    assert send(start["Url"], headers, b"", "POST")[0] == 200
    finish(cloud)


# By a socket


CHUNKED = b"3e8\r\n" + b"x" * 1000 + b"\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("lengths", "body", "most"),
    [
        (["Content-Length: 10"], b"x" * 1000, MOST),
        (["Content-Length: 10", "Content-Length: 1000"], b"x" * 1000, 0),
        (["Content-Length: 10", "Transfer-Encoding: chunked"], CHUNKED, 0),
        (["Transfer-Encoding: chunked", "Content-Length: 10"], CHUNKED, 0),
        (["Transfer-Encoding: chunked"], CHUNKED, 0),
        (["Content-Length: 10, 1000"], b"x" * 1000, 0),
        (["Content-Length: +10"], b"x" * 1000, 0),
    ],
)
@pytest.mark.parametrize("of", [url_for, part_for])
def test_no_framing_of_the_body_gets_more_in(
    cloud: RunningCloud,
    lengths: list[str],
    body: bytes,
    most: int,
    of: Callable[[RunningCloud], Answer],
) -> None:
    """If a body is longer than its Content-Length, OSS reads only that length. OSS refuses a
    request with two lengths."""
    answer = of(cloud)
    parts = urlsplit(answer["Url"])
    headers = [f"{name}: {value}" for name, value in answer["Headers"].items()]
    head = [f"PUT {parts.path}?{parts.query} HTTP/1.1", f"Host: {parts.netloc}", *headers, *lengths]
    with socket.create_connection((parts.hostname, parts.port or 80), timeout=10) as sock:
        sock.sendall("\r\n".join([*head, "Connection: close", "", ""]).encode() + body)
        status = int(sock.recv(4096).split()[1])
    assert (status == 200) == bool(most)
    finish(cloud)
    assert sum(one.size for one in stored(cloud)) == most


# By ali-oss's signer


def test_alioss_signs_the_same(cloud: RunningCloud) -> None:
    """ali-oss gets the function's key, and the size and headers of our URL. It makes the same
    signature as the function."""
    need("signing by ali-oss", browser=False)
    answer = url_for(cloud)
    ours = dict(parse_qsl(urlsplit(answer["Url"]).query))
    key, secret = (cloud.env[f"ALIBABA_CLOUD_ACCESS_KEY_{name}"] for name in ("ID", "SECRET"))
    endpoint = cloud.env["OSS_ENDPOINT"]
    job = {
        "method": "PUT",
        "expires": int(ours["x-oss-expires"]),
        "headers": {**answer["Headers"], "Content-Length": str(MOST)},
        "name": KEY,
        "additional": ours["x-oss-additional-headers"].split(";"),
    }
    connection = {"endpoint": endpoint, "key": key, "secret": secret}
    made = run("node_signer.mjs", {**connection, "bucket": cloud.cloud.bucket, "jobs": [job]})
    (url,) = made["urls"]
    theirs = dict(parse_qsl(urlsplit(url).query))
    assert theirs.keys() == ours.keys()
    same = ("x-oss-additional-headers", "x-oss-credential", "x-oss-expires")
    assert [theirs[name] for name in same] == [ours[name] for name in same]
    assert send(url, answer["Headers"], b"x" * (MOST + 1))[0] == 403
    assert send(url, answer["Headers"], b"x" * (MOST - 1))[0] == 403
    assert send(url, {**answer["Headers"], "Content-Type": "text/html"}, b"x" * MOST)[0] == 403
    assert send(url, answer["Headers"], b"x" * MOST)[0] == 200


# By a browser


@pytest.mark.slow
def test_a_page_stores_blobs_of_the_signed_size_and_no_others(cloud: RunningCloud) -> None:
    need("signed PUTs in a browser", browser=True)
    expected, puts = [], []
    for by in ("fetch", "xhr"):
        for size, sent in ((0, 0), (1, 1), (MOST, MOST), (MOST, 9), (MOST, MOST + 1), (0, 1)):
            answer = url_for(cloud, size, object=f"{by}-{size}-{sent}.png")
            put = {"url": answer["Url"], "headers": answer["Headers"], "by": by}
            puts.append({**put, "size": sent, "type": TYPE})
            expected.append(200 if size == sent else 403)
        answer = url_for(cloud, object=f"{by}.png")
        put = {"url": answer["Url"], "by": by, "size": MOST}
        attached = {"Content-Disposition": "attachment"}
        for headers, kind, status in (
            # If the page sets no Content-Type, the browser sends the type of the Blob.
            (attached, TYPE, 200),
            (attached, "text/html", 403),
            ({"Content-Type": TYPE}, TYPE, 400),
            ({**attached, "Content-Type": "text/html"}, TYPE, 403),
            # A browser ignores the Content-Length that a page sets, so OSS gets the true length.
            ({**answer["Headers"], "Content-Length": "999"}, TYPE, 200),
        ):
            puts.append({**put, "headers": headers, "type": kind})
            expected.append(status)
    assert run("browser_put.mjs", {"puts": puts})["statuses"] == expected


# By random changes

NAMES = """
    append position uploads uploadId partNumber acl symlink tagging x-oss-process callback
    x-oss-additional-headers x-oss-security-token
""".split()
HEADERS = ("Content-Type", "Content-Disposition", "Content-Length", "Transfer-Encoding", "x-oss-a")
VALUES = st.sampled_from(
    ["", "0", "1", "10", "11", TYPE, "text/html", "inline", "attachment", "content-length"]
) | st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12)
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["drop", "set", "add", "header", "no header", "path", "method"]),
        st.integers(0, 20),
        st.sampled_from(NAMES),
        st.sampled_from(HEADERS),
        VALUES,
    ),
    max_size=3,
)
OFTEN = settings(
    max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


def send_altered(
    answer: Answer, changes: list[tuple[str, int, str, str, str]], body: bytes
) -> tuple[int, str]:
    """Send a signed request with these changes. The status is 0 if there is no answer."""
    parts = urlsplit(answer["Url"])
    path, method = parts.path, answer["Method"]
    pairs, headers = parse_qsl(parts.query, keep_blank_values=True), dict(answer["Headers"])
    for kind, place, name, header, value in changes:
        at = place % max(len(pairs), 1)
        if kind == "drop" and pairs:
            del pairs[at]
        elif kind == "set" and pairs:
            pairs[at] = (pairs[at][0], value)
        elif kind == "add":
            pairs.append((name, value))
        elif kind == "header":
            headers[header] = value
        elif kind == "no header":
            headers.pop(header, None)
        elif kind == "path":
            path += quote(value)
        else:
            method = "POST" if place % 2 else "PUT"
    url = f"http://{parts.netloc}{path}?{urlencode(pairs)}"
    try:
        return send(url, headers, body, method)
    except (OSError, http.client.HTTPException):
        # The head is not valid HTTP, or the body is shorter than its Content-Length.
        return 0, ""


@OFTEN
@given(CHANGES, st.integers(0, MOST), st.integers(0, 2 * MOST))
def test_no_altered_url_stores_anything_else(
    cloud: RunningCloud, changes: list[tuple[str, int, str, str, str]], size: int, sent: int
) -> None:
    reply = send_altered(url_for(cloud, size), changes, b"x" * sent)
    found = stored(cloud)
    check_and_empty(cloud)
    assert all(one.key == KEY and one.size == size for one in found), reply


FIELDS = (
    "content-type x-oss-content-type Content-Disposition key policy x-oss-signature x-oss-date"
    " x-oss-credential x-oss-object-acl x-oss-forbid-overwrite x-oss-storage-class cache-control"
    " success_action_status callback x-oss-meta-a file"
).split()


@OFTEN
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["set", "drop", "case"]),
            st.sampled_from(FIELDS),
            VALUES | st.sampled_from(["${filename}", "uploads/b", "theirs/b", "uploads/../b"]),
        ),
        max_size=3,
    ),
    st.integers(0, 2 * MOST),
    st.sampled_from(["", TYPE, "text/html"]),
)
def test_no_altered_form_stores_anything_else(
    cloud: RunningCloud, changes: list[tuple[str, str, str]], sent: int, own_type: str
) -> None:
    form = ask(cloud, "/form")
    fields = dict(form["Fields"])
    for kind, name, value in changes:
        if kind == "drop":
            fields.pop(name, None)
        else:
            fields[name.upper() if kind == "case" else name] = value
    reply = post_forms.send(
        cloud.env["OSS_ENDPOINT"],
        fields,
        b"x" * sent,
        filename="b.png",
        content_type=own_type,
        bucket=cloud.cloud.bucket,
    )
    found = stored(cloud)
    check_and_empty(cloud)
    assert len(found) <= 1, reply.text


def test_a_form_as_it_is_stores_an_image(cloud: RunningCloud) -> None:
    form = ask(cloud, "/form", name="auto", ext="png")
    bucket = cloud.cloud.bucket
    endpoint = cloud.env["OSS_ENDPOINT"]
    assert post_forms.send(endpoint, form["Fields"], b"x" * MOST, bucket=bucket).status_code == 200
    assert [one.key for one in stored(cloud)] == [form["Object"]] == [form["Fields"]["key"]]
    more = post_forms.send(endpoint, form["Fields"], b"x" * (MOST + 1), bucket=bucket)
    assert "EntityTooLarge" in more.text


@pytest.mark.parametrize("path", ["/signed-url", "/form", "/multipart"])
def test_a_name_is_made_here_and_ends_as_the_type_does(cloud: RunningCloud, path: str) -> None:
    wishes = {} if path == "/form" else {"size": "1"}
    one, other = (ask(cloud, path, name="auto", ext="png", **wishes) for _ in range(2))
    assert one["Object"] != other["Object"]
    for extension in ("jpg", "html", "svg"):
        refused = answered(cloud, path, name="auto", ext=extension, **wishes)
        assert refused["ErrorMessage"] == "ext: must be png or left out (UPLOAD_CONTENT_TYPES)"
    for wrong in ({"object": "a"}, {"name": "mine"}):
        refused = answered(cloud, path, **{"name": "auto", **wishes, **wrong})
        assert refused["StatusCode"] == 400, wrong


# In parts


@pytest.mark.parametrize("size", [1, MOST - 1, MOST])
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_an_upload_in_parts_has_the_size_that_is_sealed(
    cloud: RunningCloud, size: int, more: int
) -> None:
    part = part_for(cloud, size)
    status, text = send(part["Url"], part["Headers"], b"x" * (size + more))
    assert status == (403 if more else 200), text
    finish(cloud)
    assert [one.size for one in stored(cloud)] == ([] if more else [size])


def test_no_upload_in_parts_has_a_second_part(cloud: RunningCloud) -> None:
    """An upload has only one part. The test tries to add a second part in three ways: with another
    seal of the same object, with another upload id, and by sending the part twice."""
    one, other = begin(cloud), begin(cloud, MOST - 1)
    for begun in ({**one, "Upload": other["Upload"]}, {**other, "Upload": one["Upload"]}):
        (part,) = ask(cloud, "/multipart", **begun, parts="1")["Parts"]
        assert send(part["Url"], part["Headers"], b"x" * part["Size"])[0] == 200
        for parts in ("2", "1,2", "1,1", "0"):
            answer = answered(cloud, "/multipart", **begun, parts=parts)
            assert answer["ErrorCode"] == "InvalidParameter.Parts"
        second = part["Url"].replace("partNumber=1", "partNumber=2")
        assert send(second, part["Headers"], b"x" * part["Size"])[0] == 403
    storage, bucket = cloud.cloud.storage, cloud.cloud.bucket
    (found,) = storage.parts(bucket, KEY, one["upload_id"])
    end = ask(cloud, "/multipart", **one, action="complete")
    twice = completion(*[(found.number, found.etag)] * 2)
    assert send(end["Url"], end["Headers"], twice, "POST")[0] == 400
    finish(cloud)
    assert [one.key for one in stored(cloud)] == [KEY]


@pytest.mark.parametrize(("name", "value"), OTHER_HEADERS)
def test_no_other_header_changes_what_an_upload_in_parts_stores(
    cloud: RunningCloud, name: str, value: str
) -> None:
    def sent(answer: Answer, body: bytes) -> int:
        headers = {**answer["Headers"], name: value}
        kept = {header: text for header, text in headers.items() if text}
        return send(answer["Url"], kept, body, answer["Method"])[0]

    storage, bucket = cloud.cloud.storage, cloud.cloud.bucket
    assert sent(start_for(cloud), b"") in (400, 403)
    assert storage.uploads(bucket, "") == []
    begun = begin(cloud)
    (part,) = ask(cloud, "/multipart", **begun, parts="1")["Parts"]
    sent(part, b"x" * MOST)
    assert send(part["Url"], part["Headers"], b"x" * MOST)[0] == 200
    (found,) = storage.parts(bucket, KEY, begun["upload_id"])
    end = ask(cloud, "/multipart", **begun, action="complete")
    sent(end, completion((found.number, found.etag)))
    finish(cloud)
    assert [one.size for one in stored(cloud)] == [MOST]


MEMBERS = ("issuer", "caller", "bucket", "part_size", "key", "size", "headers", "expires")
SEALED = st.sampled_from(
    [
        ("size", MOST + 1),
        ("size", -1),
        ("part_size", MOST + 1),
        ("part_size", 1),
        ("key", "uploads/b.png"),
        ("key", "theirs/a.png"),
        ("headers", {}),
        ("headers", {"Content-Type": "text/html", "Content-Disposition": "attachment"}),
        ("headers", {"Content-Type": TYPE, "Content-Disposition": "inline"}),
        ("expires", 2**40),
    ]
)


@OFTEN
@given(st.lists(SEALED, min_size=1, max_size=3), st.sampled_from("12"), st.integers(0, 2))
def test_no_altered_seal_goes_on(
    cloud: RunningCloud, changes: list[tuple[str, Any]], version: str, length: int
) -> None:
    """The test sends a changed seal in three ways: with the whole MAC of the true seal, with this
    MAC without its last character, and without a MAC."""
    _, payload, mac = start_for(cloud)["Upload"].split(".")
    sealed = dict(zip(MEMBERS, json.loads(base64url.decode(payload)), strict=True))
    changed = {**sealed, **dict(changes)}
    altered = base64url.encode(json.dumps([*changed.values()]).encode())
    seal = f"{version}.{altered}.{mac[: (0, 42, 43)[length]]}"
    for wishes in ({"parts": "1"}, {"action": "complete"}):
        answer = answered(cloud, "/multipart", Upload=seal, upload_id="A", **wishes)
        assert answer["ErrorCode"] == "UploadRefused"


@OFTEN
@given(
    st.sampled_from(["start", "parts", "complete"]),
    CHANGES,
    st.integers(1, MOST),
    st.integers(0, 2 * MOST),
)
def test_no_altered_url_of_an_upload_in_parts_stores_anything_else(
    cloud: RunningCloud,
    step: str,
    changes: list[tuple[str, int, str, str, str]],
    size: int,
    sent: int,
) -> None:
    storage, bucket = cloud.cloud.storage, cloud.cloud.bucket
    body = b"x" * sent
    if step == "start":
        reply = send_altered(start_for(cloud, size), changes, body)
        for upload in storage.uploads(bucket, ""):
            begun = {"Upload": start_for(cloud, size)["Upload"], "upload_id": upload.id}
            (part,) = ask(cloud, "/multipart", **begun, parts="1")["Parts"]
            send(part["Url"], part["Headers"], b"x" * size)
    else:
        begun = begin(cloud, size)
        (part,) = ask(cloud, "/multipart", **begun, parts="1")["Parts"]
        if step == "complete":
            send(part["Url"], part["Headers"], b"x" * size)
            (found,) = storage.parts(bucket, KEY, begun["upload_id"])
            part = ask(cloud, "/multipart", **begun, action="complete")
            body = completion((found.number, found.etag))
        reply = send_altered(part, changes, body)
    finish(cloud)
    objects = stored(cloud)
    check_and_empty(cloud)
    assert all(one.key == KEY and one.size == size for one in objects), reply


# Insert only


@pytest.fixture(scope="module")
def insert_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud"), OVERWRITE="no") as cloud:
        yield cloud


def test_nothing_that_is_there_is_replaced(insert_only: RunningCloud) -> None:
    """Finding A7: if an upload overwrites an object, the earlier content of the object is lost."""
    url = ask(insert_only, "/signed-url", object="a")
    form = ask(insert_only, "/form", object="a")
    endpoint, bucket = insert_only.env["OSS_ENDPOINT"], insert_only.cloud.bucket

    def posted(fields: Mapping[str, str]) -> int:
        return post_forms.send(endpoint, fields, b"form", bucket=bucket).status_code

    name = "x-oss-forbid-overwrite"
    assert url["Headers"] == {name: "true"}
    assert form["Fields"][name] == "true"
    for headers in ({}, {name: "false"}, {name: ""}, {name: "TRUE"}):
        assert send(url["Url"], headers, b"url")[0] == 403
    without = {field: value for field, value in form["Fields"].items() if field != name}
    for fields in (without, {**without, name: "false"}, {**without, name: ""}):
        assert posted(fields) == 403
    assert stored(insert_only) == []
    assert send(url["Url"], url["Headers"], b"url")[0] == 200
    assert send(url["Url"], url["Headers"], b"")[0] == 409
    assert posted(form["Fields"]) == 409
    assert [one.size for one in stored(insert_only)] == [3]
    assert insert_only.answer(path="/health")["Warnings"]
