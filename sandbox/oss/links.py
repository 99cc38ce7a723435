"""Symbolic links: PutSymlink, GetSymlink, and reading the object that a link leads to.

A link names a key in its own bucket. It may name a key that has no object. A reader needs
oss:GetObject on the link and on its target. Permissions on the target are checked when the link is
read, not when it is made (vendor documentation). It is not verified on the real OSS that only the
reader's permissions count (assumption 2).
"""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote, unquote_to_bytes

from starlette.responses import Response

from sandbox.oss.addressing import check_key, invalid_object_name
from sandbox.oss.authorization import authorize
from sandbox.oss.call import Call, Need, Site, Target
from sandbox.oss.errors import OssError, invalid_argument
from sandbox.oss.objects import checksums, object_acl, stored_headers
from sandbox.oss.overwrite import may_overwrite
from sandbox.oss.responses import empty, http_date
from sandbox.oss.storage import ObjectInfo

TYPE = "Symlink"
_TARGET = "x-oss-symlink-target"


def put_symlink(call: Call, site: Site) -> Response:
    """PutSymlink: make a link. The target's key is in a header, percent-encoded."""
    if _TARGET not in call.headers:
        raise invalid_argument("A link needs a target.", _TARGET)
    try:
        target = unquote_to_bytes(call.headers[_TARGET].encode("latin-1")).decode()
    except UnicodeDecodeError:
        raise invalid_object_name() from None
    check_key(target)
    staged = site.storage.stage()
    try:
        staged.finish()
        made = site.storage.put(
            call.bucket,
            call.key,
            staged,
            headers={**stored_headers(call.headers), _TARGET: quote(target)},
            acl=object_acl(call.headers),
            overwrite=may_overwrite(call, site),
            kind=TYPE,
        )
    finally:
        staged.discard()
    return empty(headers=checksums(made))


def get_symlink(call: Call, site: Site) -> Response:
    """GetSymlink: return the link's target, which need not exist, and the link's own metadata.

    It is not verified that the real OSS returns the metadata (assumption 42). The vendor's page
    lists x-oss-symlink-target and the common headers.
    """
    info = site.storage.get(call.bucket, call.key)
    if info.type != TYPE:
        raise OssError(400, "NotSymlink", "The object is not a symbolic link.")
    times = {"last-modified": http_date(info.modified)}
    return empty(headers={**info.headers, **times, "etag": f'"{info.etag}"'})


def followed(call: Call, site: Site) -> tuple[Call, ObjectInfo | None]:
    """Return the call that reads the link's target, and the link itself. If the key is not a link,
    return the same call and None.

    The returned link leaves out the header that names the target. It is not verified that the real
    OSS leaves this header out (assumption 42). Raises AccessDenied, SymlinkTargetNotExist, or
    InvalidTargetType for a link to a link.
    """
    info = site.storage.find(call.bucket, call.key)
    if info is None or info.type != TYPE:
        return call, None
    target = Target(call.bucket, unquote_to_bytes(info.headers[_TARGET]).decode())
    # Authorize before the lookup, since a refusal must not reveal whether the target exists.
    authorize(call, [Need("oss:GetObject", target)], site)
    found = site.storage.find(target.bucket, target.key)
    headers = {"x-oss-object-type": TYPE}
    if found is None:
        message = "The symlink target object does not exist."
        raise OssError(404, "SymlinkTargetNotExist", message, headers=headers)
    if found.type == TYPE:
        raise OssError(403, "InvalidTargetType", "The target is a link itself.", headers=headers)
    own = {name: value for name, value in info.headers.items() if name != _TARGET}
    return replace(call, target=target), replace(info, headers=own)
