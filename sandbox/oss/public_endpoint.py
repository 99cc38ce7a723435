"""The public endpoint of a new account: closed to data calls, for a bucket in the mainland.

Status, code and EC are from the vendor's documentation (doc-detail/31836,
use-amazon-s3-sdks-to-access-oss), which calls uploads and downloads data calls. A user of such an
account reports the message, and that listings are refused but calls about buckets are not
(creation, information, ACL). Not verified on the real OSS (assumption 25): that each call that
names an object is a data call, that a preflight is still answered, and that the signature is
checked first.
"""

from __future__ import annotations

from sandbox.oss.addressing import host_name
from sandbox.oss.call import Call, Site
from sandbox.oss.errors import OssError

# Calls on a bucket that are about its objects. Every call that names an object counts too.
_DATA_OF_BUCKETS = (
    *("ListObjects", "ListObjectsV2", "ListMultipartUploads"),
    *("DeleteMultipleObjects", "PostObject"),
)


def check_endpoint(call: Call, operation: str, site: Site) -> None:
    """Refuse a data call through the public endpoint, if that is closed.

    Every host except the bucket's own domain is the public endpoint. Raises
    PublicEndpointForbidden.
    """
    is_data = bool(call.key) or operation in _DATA_OF_BUCKETS
    by_cname = host_name(call.headers.get("host", "")) in site.cnames
    if site.is_public_closed and is_data and not by_cname:
        message = "Not allowed using the OSS public endpoint, please use CNAME instead."
        raise OssError(400, "PublicEndpointForbidden", message, "0048-00000401")
