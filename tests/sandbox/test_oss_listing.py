"""Tests listings: oss2 reads them, and a simple model makes the same ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import oss2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oss2.exceptions import OssError

from javascript import need, run
from running_oss import BUCKET, Oss
from sandbox.identities import Identities
from sandbox.oss.call import Call, Site, Target
from sandbox.oss.errors import OssError as RefusedByOss
from sandbox.oss.listing import list_objects, list_objects_v2
from sandbox.oss.storage import Storage, successor
from sandbox.oss.xml import parse
from signature_versions import VERSIONS
from tried import examples


@pytest.fixture(params=VERSIONS)
def bucket(request: pytest.FixtureRequest, oss: Oss) -> oss2.Bucket:
    return oss.oss2(oss.session(), version=request.param)


def test_pages_hold_every_key_once(bucket: oss2.Bucket) -> None:
    keys = sorted(["a", "a/", "a/b", "b c+", "é", "é/x", "😀"], key=str.encode)
    for key in keys:
        bucket.put_object(key, b"x")
    for iterator in (oss2.ObjectIterator, oss2.ObjectIteratorV2):
        assert [found.key for found in iterator(bucket, max_keys=2)] == keys
    both = list(oss2.ObjectIterator(bucket, delimiter="/", max_keys=1))
    assert [(found.key, found.is_prefix()) for found in both] == [
        ("a", False),
        ("a/", True),
        ("b c+", False),
        ("é", False),
        ("é/", True),
        ("😀", False),
    ]


def test_an_entry_tells_what_an_sdk_asks(bucket: oss2.Bucket) -> None:
    etag = bucket.put_object("a", b"12345").etag
    [entry] = bucket.list_objects_v2(fetch_owner=True).object_list
    assert (entry.size, entry.etag, entry.type, entry.storage_class) == (
        5,
        etag,
        "Normal",
        "Standard",
    )
    assert entry.owner.id == "1234567890123456"
    [without] = bucket.list_objects_v2().object_list
    assert without.owner is None


def test_start_after_begins_behind_a_key(bucket: oss2.Bucket) -> None:
    for key in "abc":
        bucket.put_object(key, b"")
    page = bucket.list_objects_v2(start_after="a")
    assert [found.key for found in page.object_list] == ["b", "c"]


@pytest.mark.parametrize(
    "wish", [{"max_keys": 0}, {"max_keys": 1001}, {"max_keys": "x"}, {"encoding_type": "base64"}]
)
def test_refuses_parameters_out_of_range(bucket: oss2.Bucket, wish: dict[str, object]) -> None:
    with pytest.raises(OssError) as error:
        bucket.list_objects_v2(**wish)
    assert (error.value.status, error.value.code) == (400, "InvalidArgument")


def test_refuses_a_token_that_was_not_given_out(bucket: oss2.Bucket) -> None:
    for token in ("not base64!", "/w=="):
        with pytest.raises(OssError) as error:
            bucket.list_objects_v2(continuation_token=token)
        assert (error.value.status, error.value.code) == (400, "InvalidArgument")


NAMES = st.text(st.sampled_from("ab/é\U0010ffff"), min_size=1, max_size=5)


def listed(
    site: Site, operation: object, query: dict[str, str]
) -> tuple[list[str], list[str], str]:
    call = Call("GET", Target(BUCKET), query, {}, None, "", "")
    assert callable(operation)
    page = parse(bytes(operation(call, site).body), "ListBucketResult")
    more = page.findtext("NextMarker") or page.findtext("NextContinuationToken") or ""
    assert page.findtext("IsTruncated") == ("true" if more else "false")
    keys = [str(element.findtext("Key")) for element in page.findall("Contents")]
    prefixes = [str(element.findtext("Prefix")) for element in page.findall("CommonPrefixes")]
    assert 0 < len(keys) + len(prefixes) <= int(query["max-keys"]) or not more
    return keys, prefixes, more


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    storage = Storage(Path(tmp_path_factory.mktemp("listing")))
    storage.create_bucket(BUCKET)
    yield Site(storage, Identities("1", b"k", [], []), "cn-hangzhou")
    storage.close()


@examples(60, 500)
@given(
    keys=st.sets(NAMES, max_size=12),
    prefix=st.text(st.sampled_from("ab/é"), max_size=2),
    delimiter=st.sampled_from(["", "/", "a", "é", "b/"]),
    size=st.integers(1, 4),
)
def test_pages_are_those_of_a_plain_model(
    site: Site, keys: set[str], prefix: str, delimiter: str, size: int
) -> None:
    storage = site.storage
    storage.delete(
        BUCKET,
        [
            info.key
            for info in storage.keys_from(BUCKET, b"", inclusive=True, prefix=b"", limit=1000)
        ],
    )
    for key in keys:
        staged = storage.stage()
        staged.finish()
        storage.put(BUCKET, key, staged, headers={}, acl="default")
    expected_keys, expected_prefixes = set(), set()
    for key in keys:
        if key.startswith(prefix):
            head, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            if found:
                expected_prefixes.add(prefix + head + delimiter)
            else:
                expected_keys.add(key)
    for operation, name in ((list_objects, "marker"), (list_objects_v2, "continuation-token")):
        query = {"prefix": prefix, "delimiter": delimiter, "max-keys": str(size)}
        got_keys, got_prefixes, more = listed(site, operation, query)
        while more:
            next_keys, next_prefixes, more = listed(site, operation, {**query, name: more})
            got_keys += next_keys
            got_prefixes += next_prefixes
        assert got_keys == sorted(expected_keys, key=str.encode)
        assert got_prefixes == sorted(expected_prefixes, key=str.encode)


@given(st.binary(max_size=4), st.binary(max_size=4))
def test_the_successor_ends_a_prefix(prefix: bytes, key: bytes) -> None:
    end = successor(prefix)
    inside = key >= prefix and (end is None or key < end)
    assert inside == key.startswith(prefix)


def test_a_page_has_100_keys_unless_another_number_is_asked_for(oss: Oss) -> None:
    for number in range(101):
        oss.oss2().put_object(f"{number:03}", b"")
    bucket = oss.oss2()
    for params in ({}, {"list-type": "2"}):
        page = bucket._do("GET", bucket.bucket_name, "", params=params).read()
        assert page.count(b"<Key>") == 100
        assert b"<IsTruncated>true</IsTruncated>" in page
        assert (b"<KeyCount>100</KeyCount>" in page) == bool(params)


# An XML parser turns a raw "\r" into a line end, so "\r" is left out.
CONTROLS = "ctl" + "".join(chr(code) for code in range(1, 32) if code != 13) + "&#x1;\x7f.txt"


@pytest.mark.parametrize("reference", [True, False], ids=["as a reference", "as it is"])
def test_a_key_with_control_characters_is_listed_and_deleted(oss: Oss, reference: bool) -> None:
    """The two SDKs write control characters in different ways. XML 1.0 allows neither way.

    test_chinese::test_batch_delete_objects of oss2 writes control characters unchanged.
    TestDeleteObjectsNormal of aliyun-oss-go-sdk writes references like &#x1;.
    """
    bucket = oss.oss2(version="v4")
    bucket.put_object(CONTROLS, b"x")
    bucket.put_object("other", b"x")
    assert [found.key for found in bucket.list_objects().object_list] == [CONTROLS, "other"]
    if not reference:
        assert bucket.batch_delete_objects([CONTROLS]).deleted_keys == [CONTROLS]
    else:
        key = "".join(f"&#{ord(c)};" if ord(c) % 2 else f"&#x{ord(c):02X};" for c in CONTROLS)
        body = f"<Delete><Object><Key>{key}</Key></Object></Delete>".encode()
        headers = {"Content-MD5": oss2.utils.content_md5(body)}
        bucket._Bucket__do_bucket("POST", data=body, params={"delete": ""}, headers=headers)
    assert [found.key for found in bucket.list_objects().object_list] == ["other"]


def test_ali_oss_lists_and_deletes_a_key_with_control_characters(oss: Oss) -> None:
    """Source: ali-oss's test "should encode variant object keys", for list and listV2."""
    need("ali-oss in Node", browser=False)
    name = "ctl\x01\x0b\x1f.txt"
    job = {
        "endpoint": f"http://localhost:{oss.port}",
        "key": oss.root.access_key_id,
        "secret": oss.root.access_key_secret,
        "bucket": BUCKET,
        "name": name,
    }
    assert run("node_keys.mjs", job) == {"list": [name], "listV2": [name], "deleted": [name]}
    assert oss.storage.find(BUCKET, name) is None


@pytest.mark.parametrize("text", ["&#x1;", "\x01"])
def test_control_characters_are_read_in_keys_and_nowhere_else(text: str) -> None:
    assert parse(f"<a><Key>b{text}c</Key></a>".encode(), "a").findtext("Key") == "b\x01c"
    for body in (f"<a><ETag>b{text}c</ETag></a>", f"<a>{text}<Key>b</Key></a>"):
        with pytest.raises(RefusedByOss, match="MalformedXML"):
            parse(body.encode(), "a")


@pytest.mark.parametrize("text", ["&#0;", "&#x0;", "\0", "&#xFFFE;", "&#xD800;", "&#x110000;"])
def test_what_is_no_character_of_a_key_is_refused(text: str) -> None:
    with pytest.raises(RefusedByOss, match="MalformedXML"):
        parse(f"<a><Key>b{text}c</Key></a>".encode(), "a")


def test_a_key_in_another_encoding_is_read_as_it_is() -> None:
    # These letters in UTF-16 have the same bytes as a Key element with a control character in
    # ASCII.
    letters = b"<Key>\x01</Key>".decode("utf-16-le")
    body = f'<?xml version="1.0" encoding="utf-16"?><a><Key>{letters}</Key></a>'
    assert parse(body.encode("utf-16"), "a").findtext("Key") == letters
