"""The public endpoint of an account of today: closed to data calls, for a bucket in the mainland.

Status, code and EC are vendor documentation (doc-detail/31836, use-amazon-s3-sdks-to-access-oss),
which names uploads and downloads as data calls. The message, that listings are refused, and that
what is on buckets is not (its creation, information, ACL), are what a user of such an account
reports. Not verified on the real OSS (assumption
25): that each call that names an object is one of data, that a
preflight is answered all the same, and that who sends a request is checked first.
"""

from __future__ import annotations

from sandbox.oss.addressing import host_name
from sandbox.oss.call import Call, Site
from sandbox.oss.errors import OssError

# What is asked of a bucket and is about its objects. Whatever names an object is about one.
_DATA_OF_BUCKETS = (
    *("ListObjects", "ListObjectsV2", "ListMultipartUploads"),
    *("DeleteMultipleObjects", "PostObject"),
)


def check_endpoint(call: Call, operation: str, site: Site) -> None:
    """Refuse a data call that came by the public endpoint, where that is closed.

    Every host is that but the bucket's own domain. Raises PublicEndpointForbidden.
    """
    is_data = bool(call.key) or operation in _DATA_OF_BUCKETS
    by_cname = host_name(call.headers.get("host", "")) in site.cnames
    if site.is_public_closed and is_data and not by_cname:
        message = "Not allowed using the OSS public endpoint, please use CNAME instead."
        raise OssError(400, "PublicEndpointForbidden", message, "0048-00000401")
