"""The parameters and x-oss- headers that the sandbox knows; others are refused, never ignored.

If an unknown name were ignored, a request could overwrite a protected object, or list everything
instead of a part. It is not verified (assumption 39) how the real OSS treats unknown names.

Two kinds of names are ignored. The first kind is a header for uploads that comes with a request
which does not use it: a read, a delete, or another step of a multipart upload. For example, some
headers are for the request that begins an upload in parts, but ali-oss also sends them with the
request that completes the upload. The second kind is an unknown parameter in a request for an
object, if it has a value and does not begin with x-oss-. Such a parameter only avoids caches
("?t=1").
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sandbox.oss.call import Call
from sandbox.oss.errors import OssError, invalid_argument, not_implemented
from sandbox.oss.signatures import OPERATION_SUBRESOURCES, RESPONSE_OVERRIDES

_ANYWHERE = frozenset(
    """
    Expires OSSAccessKeyId Signature security-token x-oss-additional-headers x-oss-content-sha256
    x-oss-credential x-oss-date x-oss-expires x-oss-security-token x-oss-signature
    x-oss-signature-version x-oss-user-agent
    callback callback-var x-oss-callback x-oss-callback-var
    """.split()
)
"""The names of the headers, URL parameters and form fields that belong to a signature or carry a
callback. operations.py checks the callbacks."""

_MULTIPART = frozenset(
    "InitiateMultipartUpload UploadPart UploadPartCopy CompleteMultipartUpload".split()
)
_MAKE_OBJECTS = frozenset(
    "PutObject PostObject CopyObject AppendObject PutSymlink InitiateMultipartUpload".split()
)
_ANY_META = "x-oss-meta-"
# The operations that each header belongs to.
_HEADERS: Mapping[str, frozenset[str]] = {
    _ANY_META: _MAKE_OBJECTS,
    "x-oss-object-acl": _MAKE_OBJECTS | {"CompleteMultipartUpload", "PutObjectAcl"},
    "x-oss-storage-class": _MAKE_OBJECTS,
    "x-oss-forbid-overwrite": _MAKE_OBJECTS - {"AppendObject"} | {"CompleteMultipartUpload"},
    "x-oss-metadata-directive": frozenset({"CopyObject"}),
    "x-oss-copy-source-range": frozenset({"UploadPartCopy"}),
    **dict.fromkeys(
        [
            "x-oss-copy-source",
            "x-oss-copy-source-if-match",
            "x-oss-copy-source-if-none-match",
            "x-oss-copy-source-if-modified-since",
            "x-oss-copy-source-if-unmodified-since",
        ],
        frozenset({"CopyObject", "UploadPartCopy"}),
    ),
    "x-oss-symlink-target": frozenset({"PutSymlink"}),
    "x-oss-complete-all": frozenset({"CompleteMultipartUpload"}),
    "x-oss-acl": frozenset({"PutBucket", "PutBucketAcl"}),
    "x-oss-range-behavior": frozenset({"GetObject", "HeadObject"}),
    "x-oss-content-type": frozenset({"PostObject"}),
}
_CONDITIONS = ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since")

# The parameters of each operation. A parameter that selects the operation itself (a sub-resource
# like ?acl) is not listed here.
_PARAMETERS: Mapping[str, frozenset[str]] = {
    operation: frozenset(names.split())
    for operation, names in {
        "ListBuckets": "prefix marker max-keys",
        "ListObjects": "prefix marker delimiter max-keys encoding-type",
        "ListObjectsV2": "prefix delimiter start-after continuation-token max-keys fetch-owner "
        "list-type encoding-type",
        "ListMultipartUploads": "prefix delimiter key-marker upload-id-marker max-uploads "
        "encoding-type",
        "DeleteMultipleObjects": "encoding-type",
        "ListParts": "max-parts part-number-marker encoding-type",
    }.items()
}
_KNOWN_PARAMETERS = frozenset().union(
    _ANYWHERE, OPERATION_SUBRESOURCES, RESPONSE_OVERRIDES, {"x-oss-process"}, *_PARAMETERS.values()
)
# A parameter that only avoids caches may be a bare number: "?1700000000".
_SUBRESOURCE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


def unknown_subresources(query: Mapping[str, str]) -> list[str]:
    """Return the query parameters that the sandbox does not know, and that may choose an operation
    of OSS.

    These parameters have no value ("?regions"), or begin with x-oss-.
    """
    return [
        name
        for name, value in query.items()
        if name not in _KNOWN_PARAMETERS
        and (name.lower().startswith("x-oss-") or (not value and _SUBRESOURCE.fullmatch(name)))
    ]


def check_names(operation: str, call: Call) -> None:
    """Refuse unknown parameters and headers of an operation.

    Raises NotImplemented, and InvalidArgument for a wrong value of x-oss-forbid-overwrite.
    """
    _check_parameters(operation, call)
    for name, value in call.headers.items():
        if name.startswith("x-oss-") and name not in _ANYWHERE:
            _check_header(operation, call.method, name, value)
    if call.method not in ("GET", "HEAD"):
        for name in _CONDITIONS:
            if name in call.headers:
                raise _conditional(name, operation)


def _check_parameters(operation: str, call: Call) -> None:
    refused = unknown_subresources(call.query)
    if not call.key and not refused:
        # An unknown parameter could limit the listing of a bucket, so every unknown one is refused.
        allowed = _PARAMETERS.get(operation, frozenset()) | OPERATION_SUBRESOURCES | _ANYWHERE
        refused = sorted(call.query.keys() - allowed - RESPONSE_OVERRIDES)
    if refused:
        raise not_implemented(f"the parameter {refused[0]} with {operation}")


def _check_header(operation: str, method: str, name: str, value: str) -> None:
    belongs_to = _HEADERS.get(_ANY_META if name.startswith(_ANY_META) else name)
    if belongs_to is None:
        raise not_implemented(f"the header {name}")
    if operation in belongs_to:
        if name == "x-oss-storage-class" and value.lower() != "standard":
            raise not_implemented(f"{name}: {value}, only Standard")
        if name == "x-oss-forbid-overwrite" and value.lower() not in ("true", "false"):
            raise invalid_argument(f"{name} must be true or false.", name, value)
    elif method in ("PUT", "POST") and operation not in _MULTIPART:
        raise not_implemented(f"the header {name} with {operation}")


def _conditional(name: str, operation: str) -> OssError:
    """Make the error for a condition on a write (the EC is from the vendor's documentation)."""
    message = "A header you provided implies functionality that is not implemented."
    written = f"{message} The sandbox does not implement {name.title()} with {operation}."
    return OssError(400, "NotImplemented", written, "0017-00000245")
