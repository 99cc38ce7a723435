"""The operations of SDKs on OSS, by well-known names, and the RAM actions that they need.

Each operation is one request or several. The sandbox's OSS says which actions a request needs, so
this module has no table of actions. In the tests, the sandbox's OSS also judges the requests of
the real SDKs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote
from xml.sax.saxutils import escape

from sandbox.oss.call import Call, Need, Target
from sandbox.oss.operations import operation_of

KEY = "photo.jpg"
"""The name of an object in its folder."""


@dataclass(frozen=True)
class Place:
    """The place of an operation: a folder of a bucket ("" is its root), and an object in it."""

    bucket: str
    folder: str
    key: str

    @classmethod
    def in_folder(cls, bucket: str, folder: str) -> Place:
        """Return a folder, and any object in it."""
        return cls(bucket, folder, folder + KEY)


@dataclass(frozen=True)
class Operation:
    """An operation of an SDK. It makes one request or several, and all of them must be allowed.

    `needs` returns the permissions that the operation needs. The arguments of `needs` are the place
    where the operation acts, and the caller's own place. `on_bucket`: the operation acts on a whole
    bucket, so folders do not matter. `assumed` are RAM actions that the sandbox requires, but the
    real OSS may not require.
    """

    name: str
    needs: Callable[[Place, Place], list[Need]]
    on_bucket: bool = False
    assumed: frozenset[str] = frozenset()


def operations() -> tuple[Operation, ...]:
    """Return all operations, the most frequent first."""
    return _OPERATIONS


def _needs(
    method: str,
    target: Target,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> list[Need]:
    call = Call(
        method=method,
        target=target,
        query=query or {},
        headers=headers or {},
        identity=None,
        client="",
        request_id="",
    )
    return operation_of(call).needs(call, body)


def _on_object(name: str, *requests: str) -> Operation:
    """Return an operation on an object. A request is a method and sub-resources, like "PUT" or
    "PUT partNumber uploadId"."""

    def needs(place: Place, _: Place) -> list[Need]:
        return [
            need
            for request in requests
            for method, *query in [request.split()]
            for need in _needs(method, Target(place.bucket, place.key), dict.fromkeys(query, ""))
        ]

    return Operation(name, needs)


def _put_with_acl(place: Place, _: Place) -> list[Need]:
    headers = {"x-oss-object-acl": "private"}
    return _needs("PUT", Target(place.bucket, place.key), headers=headers)


def _on_bucket(name: str, request: str) -> Operation:
    method, *query = request.split()

    def needs(place: Place, _: Place) -> list[Need]:
        return _needs(method, Target(place.bucket), dict.fromkeys(query, ""))

    return Operation(name, needs, on_bucket=True)


def _copy(source: Place, target: Place) -> list[Need]:
    header = f"/{source.bucket}/{quote(source.key)}"
    return _needs("PUT", Target(target.bucket, target.key), headers={"x-oss-copy-source": header})


def _list(place: Place, _: Place) -> list[Need]:
    return _needs("GET", Target(place.bucket), {"prefix": place.folder, "delimiter": "/"})


def _delete_several(place: Place, _: Place) -> list[Need]:
    body = f"<Delete><Object><Key>{escape(place.key)}</Key></Object></Delete>"
    return _needs("POST", Target(place.bucket), {"delete": ""}, body=body.encode())


def _table() -> Iterator[Operation]:
    # A form upload needs the same actions as a put. Image processing needs the same actions as a
    # get. A signed URL needs the actions of the request that it signs (vendor documentation).
    yield _on_object("put, form upload", "PUT")
    yield _on_object("append", "POST append position")
    yield _on_object("multipart upload", "POST uploads", "PUT partNumber uploadId", "POST uploadId")
    yield _on_object("resume (ListParts)", "GET uploadId")
    yield _on_object("abort", "DELETE uploadId")
    yield _on_object("get, signed GET URL", "GET")
    yield _on_object("image processing", "GET")
    yield _on_object("head, does it exist", "HEAD")
    yield Operation("copy within", lambda place, _: _copy(place, place))
    yield Operation("copy from there", lambda place, own: _copy(place, own))
    yield Operation("copy to there", lambda place, own: _copy(own, place))
    yield Operation("list the folder", _list)
    yield _on_bucket("list without prefix", "GET")
    yield _on_bucket("list all uploads", "GET uploads")
    yield _on_object("delete", "DELETE")
    yield Operation("delete several", _delete_several)
    # The vendor's table of PutObject's permissions lists only oss:PutObject. The sandbox also
    # requires oss:PutObjectAcl. It is not verified whether the real OSS requires it (assumption 1).
    yield Operation("put with an ACL", _put_with_acl, assumed=frozenset({"oss:PutObjectAcl"}))
    yield _on_object("change the ACL", "PUT acl")
    yield _on_object("read the ACL", "GET acl")
    yield _on_bucket("bucket's information", "GET bucketInfo")
    yield _on_bucket("change bucket's ACL", "PUT acl")
    yield _on_bucket("delete the bucket", "DELETE")
    yield Operation("list the buckets", lambda *_: _needs("GET", Target()), on_bucket=True)


_OPERATIONS = tuple(_table())
