"""The operations of OSS: which request means which operation, and which rights the operation needs.

Operations that are not in the table are refused. Parameters and headers that an operation does not
know are refused too (known_names.py). Otherwise an unknown request could be handled as a plain read
or write. The actions are from the vendor's documentation. An upload with an ACL also
needs oss:PutObjectAcl. This is the strict reading of the documentation, and it is not verified on
the real OSS (assumption 1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from starlette.responses import Response

from sandbox.oss import buckets, links, listing, multipart, objects
from sandbox.oss.call import Call, Need, Site, Target
from sandbox.oss.callbacks import names_in
from sandbox.oss.errors import OssError, not_implemented
from sandbox.oss.known_names import check_names, unknown_subresources
from sandbox.oss.objects import Stored
from sandbox.oss.signatures import OPERATION_SUBRESOURCES


class Body(Enum):
    """The body that an operation reads: nothing, a small document, or an object's bytes."""

    NONE = "none"
    DOCUMENT = "document"
    OBJECT = "object"


WITH_CALLBACK = ("PutObject", "CompleteMultipartUpload")
"""The operations that may have a callback, in addition to PostObject (vendor documentation)."""
# oss2's resumable_upload sends callback headers with the operations below, but not when it
# completes the upload (seen in 2.19.1). The sandbox accepts these headers, but sends no callback.
# It is not verified that the real OSS accepts callback headers with these operations (assumption
# 15).
_DEAF_TO_CALLBACKS = ("InitiateMultipartUpload", "UploadPart", "ListParts")
# NoSuchUpload is an error of several operations, and its EC depends on the operation (vendor
# documentation). We know the EC of NoSuchUpload only for these two operations.
_ECS = {
    ("UploadPart", "NoSuchUpload"): "0042-00000104",
    ("AbortMultipartUpload", "NoSuchUpload"): "0042-00000002",
}

Needs = Callable[[Call, bytes], list[Need]]


@dataclass(frozen=True)
class Operation:
    """One operation of OSS. `needs` returns the actions and resources that must be allowed, `body`
    says which kind of body is read, and `run` executes the operation."""

    name: str
    needs: Needs
    run: Callable[..., Response | Stored]
    body: Body = Body.NONE

    def perform(self, call: Call, site: Site, body: object) -> Response | Stored:
        """Execute the operation. `self.body` says which kind of body `body` is. Raises OssError."""
        try:
            return self.run(call, site) if self.body is Body.NONE else self.run(call, site, body)
        except OssError as error:
            error.ec = error.ec or _ECS.get((self.name, error.code), "")
            raise


def operation_of(call: Call) -> Operation:
    """Return the operation of a request.

    Raises NotImplemented or MethodNotAllowed, and passes on the errors of check_names().
    """
    level = "object" if call.key else "bucket" if call.bucket else "service"
    subresources = frozenset(OPERATION_SUBRESOURCES & call.query.keys())
    if "x-oss-process" in call.query:
        kind = call.query["x-oss-process"].partition("/")[0]
        if call.method == "POST":
            # A POST has its instructions in the body. Only SelectObject also names the object's
            # format (csv or json) in the query.
            is_select = kind in ("csv", "json")
            saves = "POST with x-oss-process, which saves the result"
            raise not_implemented(f"SelectObject ({kind})" if is_select else saves)
        if kind != "image":
            raise not_implemented(f"x-oss-process={kind}, only image/...")
        if subresources or level != "object" or call.method not in ("GET", "HEAD"):
            raise not_implemented("x-oss-process in requests other than GET and HEAD of an object")
    if level == "bucket" and "list-type" in call.query:
        if call.query["list-type"] != "2":
            raise not_implemented(f"list-type={call.query['list-type']}, only 2")
        subresources |= {"list-type"}
    copies = level == "object" and call.method == "PUT" and "x-oss-copy-source" in call.headers
    found = _OPERATIONS.get((level, call.method, subresources, copies))
    if found is not None:
        foreign = names_in(call.headers, call.query)
        if foreign and found.name not in (*WITH_CALLBACK, *_DEAF_TO_CALLBACKS):
            raise not_implemented(f"{foreign[0]} with {found.name}")
        check_names(found.name, call)
        return found
    asked_for = [*sorted(subresources), *unknown_subresources(call.query)]
    if asked_for or (level == "object" and call.method == "POST"):
        asked = f" of {'&'.join(asked_for)}" if asked_for else ""
        article = "an" if level == "object" else "a"
        raise not_implemented(f"{call.method}{asked} on {article} {level}")
    message = "The specified method is not allowed against this resource."
    raise OssError(405, "MethodNotAllowed", message, details={"Method": call.method})


def needs_of_form(call: Call) -> list[Need]:
    """Return the permissions that PostObject needs.

    Raises the errors of check_names(). PostObject is not in the table, because its object is known
    only after the form has been read.
    """
    check_names("PostObject", call)
    return _write(call, b"")


def takes_form(target: Target, query: Mapping[str, str]) -> bool:
    """Whether a POST is PostObject, whose signature is in its form."""
    chosen = not OPERATION_SUBRESOURCES.isdisjoint(query) or unknown_subresources(query)
    return bool(target.bucket) and not target.key and not chosen


def _named(name: str) -> Needs:
    return lambda call, _: [Need(f"oss:{name}", call.target)]


def _read(call: Call, _: bytes) -> list[Need]:
    return [Need("oss:GetObject", call.target)]


def _write(call: Call, _: bytes) -> list[Need]:
    needs = [Need("oss:PutObject", call.target)]
    if "x-oss-object-acl" in call.headers:
        needs.append(Need("oss:PutObjectAcl", call.target))
    return needs


def _copy(call: Call, body: bytes) -> list[Need]:
    return [Need("oss:GetObject", objects.copy_source(call.headers)), *_write(call, body)]


def _list(call: Call, _: bytes) -> list[Need]:
    # A condition in a policy always finds both keys. The value is "" if the request has no such
    # parameter (vendor documentation).
    context = {
        "oss:Prefix": call.query.get("prefix", ""),
        "oss:Delimiter": call.query.get("delimiter", ""),
    }
    return [Need("oss:ListObjects", Target(call.bucket), context)]


def _delete_each(call: Call, body: bytes) -> list[Need]:
    keys = objects.deleted_keys(body)
    return [Need("oss:DeleteObject", Target(call.bucket, key)) for key in keys]


def _get_object(call: Call, site: Site) -> Response:
    read, link = links.followed(call, site)
    return objects.get_object(read, site, link)


def _row(
    level: str,
    method: str,
    query: str,
    name: str,
    run: Callable[..., Response | Stored],
    needs: Needs | None = None,
    body: Body = Body.NONE,
) -> tuple[tuple[str, str, frozenset[str], bool], Operation]:
    """Return one row of the table. `query` names the sub-resources. If `needs` is not given, the
    operation needs the permission for the RAM action with the same name."""
    operation = Operation(name, needs or _named(name), run, body)
    return (level, method, frozenset(query.split()), needs is _copy), operation


_OPERATIONS = dict(
    [
        _row("service", "GET", "", "ListBuckets", buckets.list_buckets),
        _row("bucket", "GET", "", "ListObjects", listing.list_objects, _list),
        _row("bucket", "GET", "list-type", "ListObjectsV2", listing.list_objects_v2, _list),
        _row("bucket", "GET", "uploads", "ListMultipartUploads", multipart.list_uploads),
        _row("bucket", "GET", "bucketInfo", "GetBucketInfo", buckets.get_bucket_info),
        _row("bucket", "GET", "location", "GetBucketLocation", buckets.get_bucket_location),
        _row("bucket", "GET", "acl", "GetBucketAcl", buckets.get_bucket_acl),
        _row("bucket", "PUT", "acl", "PutBucketAcl", buckets.put_bucket_acl),
        _row("bucket", "GET", "cors", "GetBucketCors", buckets.get_bucket_cors),
        _row("bucket", "PUT", "cors", "PutBucketCors", buckets.put_bucket_cors, body=Body.DOCUMENT),
        _row("bucket", "DELETE", "cors", "DeleteBucketCors", buckets.delete_bucket_cors),
        _row(
            "bucket",
            "GET",
            "overwriteConfig",
            "GetBucketOverwriteConfig",
            buckets.get_bucket_overwrite_config,
        ),
        _row(
            "bucket",
            "PUT",
            "overwriteConfig",
            "PutBucketOverwriteConfig",
            buckets.put_bucket_overwrite_config,
            body=Body.DOCUMENT,
        ),
        _row(
            "bucket",
            "DELETE",
            "overwriteConfig",
            "DeleteBucketOverwriteConfig",
            buckets.delete_bucket_overwrite_config,
        ),
        _row("bucket", "PUT", "", "PutBucket", buckets.put_bucket, body=Body.DOCUMENT),
        _row("bucket", "DELETE", "", "DeleteBucket", buckets.delete_bucket),
        _row(
            "bucket",
            "POST",
            "delete",
            "DeleteMultipleObjects",
            objects.delete_objects,
            _delete_each,
            Body.DOCUMENT,
        ),
        _row("object", "PUT", "", "PutObject", objects.put_object, _write, Body.OBJECT),
        _row("object", "PUT", "", "CopyObject", objects.copy_object, _copy),
        _row(
            "object",
            "POST",
            "append position",
            "AppendObject",
            objects.append_object,
            _write,
            Body.OBJECT,
        ),
        _row("object", "GET", "", "GetObject", _get_object),
        _row("object", "HEAD", "", "HeadObject", _get_object, _read),
        _row("object", "PUT", "symlink", "PutSymlink", links.put_symlink, _write),
        _row("object", "GET", "symlink", "GetSymlink", links.get_symlink, _read),
        _row("object", "HEAD", "objectMeta", "GetObjectMeta", objects.get_object_meta, _read),
        _row("object", "DELETE", "", "DeleteObject", objects.delete_object),
        _row("object", "GET", "acl", "GetObjectAcl", objects.get_object_acl),
        _row("object", "PUT", "acl", "PutObjectAcl", objects.put_object_acl),
        _row("object", "POST", "uploads", "InitiateMultipartUpload", multipart.initiate, _write),
        _row(
            "object",
            "PUT",
            "partNumber uploadId",
            "UploadPart",
            multipart.upload_part,
            _write,
            Body.OBJECT,
        ),
        _row(
            "object",
            "PUT",
            "partNumber uploadId",
            "UploadPartCopy",
            multipart.upload_part_copy,
            _copy,
        ),
        _row("object", "GET", "uploadId", "ListParts", multipart.list_parts),
        _row(
            "object",
            "POST",
            "uploadId",
            "CompleteMultipartUpload",
            multipart.complete,
            _write,
            Body.DOCUMENT,
        ),
        _row("object", "DELETE", "uploadId", "AbortMultipartUpload", multipart.abort),
    ]
)
