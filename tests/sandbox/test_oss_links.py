"""Symbolic links with the real SDK. To make a link, a client needs the right to write. To read a
link, a client needs rights on the link and on its target."""

from __future__ import annotations

import oss2
import pytest

from running_oss import BUCKET, Oss, policy

ALICE = policy(
    {
        "Action": ["oss:PutObject", "oss:GetObject"],
        "Resource": f"acs:oss:*:*:{BUCKET}/uploads/alice/*",
    }
)


@pytest.fixture
def alice(oss: Oss) -> oss2.Bucket:
    oss.oss2().put_object("uploads/bob/secret", b"bob's")
    return oss.oss2(oss.session(ALICE))


def test_a_link_is_read_as_its_target(oss: Oss, alice: oss2.Bucket) -> None:
    alice.put_object("uploads/alice/a \u7167+%2F", b"alice's", {"Content-Type": "text/plain"})
    alice.put_symlink("uploads/alice/a \u7167+%2F", "uploads/alice/link")
    found = alice.get_object("uploads/alice/link")
    assert (found.read(), found.headers["x-oss-object-type"]) == (b"alice's", "Symlink")
    head = alice.head_object("uploads/alice/link")
    assert (head.content_length, head.object_type) == (7, "Symlink")
    assert alice.get_symlink("uploads/alice/link").target_key == "uploads/alice/a \u7167+%2F"
    listed = [(o.key, o.type) for o in oss.oss2().list_objects("uploads/alice/l").object_list]
    assert listed == [("uploads/alice/link", "Symlink")]


def test_a_link_is_told_of_with_its_own_headers(oss: Oss, alice: oss2.Bucket) -> None:
    """Sources: HeadObject (help.aliyun.com/document_detail/31984), tests of oss2
    (test_put_symlink) and of ali-oss."""
    target = {"Content-Type": "text/css", "x-oss-meta-of": "target"}
    alice.put_object("uploads/alice/a", b"hello", target)
    oss.clock.ahead += 60
    own = {"Content-Type": "text/html", "x-oss-meta-key1": "value1", "Cache-Control": "no-cache"}
    alice.put_symlink("uploads/alice/a", "uploads/alice/link", own)
    of_link = alice.head_object("uploads/alice/link")
    of_target = alice.head_object("uploads/alice/a")
    # oss2's test expects these values.
    assert (of_link.content_length, of_link.etag) == (5, "5D41402ABC4B2A76B9719D911017C592")
    for read in (of_link, alice.get_object("uploads/alice/link")):
        assert {name: read.headers[name] for name in own} == own
        assert "x-oss-meta-of" not in read.headers
        for name in ("ETag", "Content-MD5", "x-oss-hash-crc64ecma"):
            assert read.headers[name] == of_target.headers[name]
        # The clock is running and the times are whole seconds, so the difference may exceed 60 s.
        assert read.last_modified >= of_target.last_modified + 60
    got = alice.get_symlink("uploads/alice/link").headers
    assert {name: got[name] for name in own} == own


def test_a_link_is_as_new_as_what_it_leads_to(oss: Oss, alice: oss2.Bucket) -> None:
    """Source: HeadObject, help.aliyun.com/document_detail/31984 ("the later of the two")."""
    alice.put_symlink("uploads/alice/a", "uploads/alice/link")
    oss.clock.ahead += 60
    alice.put_object("uploads/alice/a", b"new")
    made = alice.head_object("uploads/alice/a").headers["Last-Modified"]
    assert alice.head_object("uploads/alice/link").headers["Last-Modified"] == made
    with pytest.raises(oss2.exceptions.NotModified):
        alice.get_object("uploads/alice/link", headers={"If-Modified-Since": made})


def test_a_link_to_a_log_is_no_log(alice: oss2.Bucket) -> None:
    alice.append_object("uploads/alice/log", 0, b"1")
    alice.put_symlink("uploads/alice/log", "uploads/alice/link")
    headers = alice.head_object("uploads/alice/link").headers
    assert headers["x-oss-object-type"] == "Symlink"
    assert "x-oss-next-append-position" not in headers


def test_a_link_leads_nobody_where_they_may_not_go(oss: Oss, alice: oss2.Bucket) -> None:
    for target in ("uploads/bob/secret", "uploads/bob/nothing"):
        alice.put_symlink(target, "uploads/alice/link")
        for read in (alice.get_object, alice.head_object):
            with pytest.raises(oss2.exceptions.ServerError) as error:
                read("uploads/alice/link")
            assert error.value.status == 403
    assert oss.oss2().get_object("uploads/bob/secret").read() == b"bob's"


def test_a_link_is_made_where_one_may_write_only(alice: oss2.Bucket) -> None:
    with pytest.raises(oss2.exceptions.AccessDenied):
        alice.put_symlink("uploads/alice/x", "uploads/bob/link")


def test_a_link_to_nothing_and_to_a_link_are_told(alice: oss2.Bucket) -> None:
    alice.put_symlink("uploads/alice/nothing", "uploads/alice/one")
    with pytest.raises(oss2.exceptions.ServerError) as missing:
        alice.get_object("uploads/alice/one")
    assert missing.value.code == "SymlinkTargetNotExist"
    alice.put_symlink("uploads/alice/one", "uploads/alice/two")
    with pytest.raises(oss2.exceptions.ServerError) as chain:
        alice.get_object("uploads/alice/two")
    assert chain.value.code == "InvalidTargetType"


@pytest.mark.parametrize("target", ["", "/a", "%ff", "a" * 1024])
def test_a_target_that_is_no_key_is_refused(oss: Oss, target: str) -> None:
    url = oss.oss2().sign_url("PUT", "a", 60, {"x-oss-symlink-target": target}, {"symlink": ""})
    headers = {"x-oss-symlink-target": target, "Content-Length": "0"}
    assert oss.raw("PUT", url[url.index("/", 8) :], headers=headers)[0] == 400


def test_what_is_no_link_leads_nowhere(oss: Oss) -> None:
    oss.oss2().put_object("a", b"x")
    with pytest.raises(oss2.exceptions.ServerError) as error:
        oss.oss2().get_symlink("a")
    assert error.value.code == "NotSymlink"
