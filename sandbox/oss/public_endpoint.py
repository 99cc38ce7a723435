"""Simulates a new account's public endpoint. This endpoint refuses data calls to buckets in
mainland China.

Status, code and EC are from the vendor's documentation (doc-detail/31836,
use-amazon-s3-sdks-to-access-oss). The documentation calls uploads and downloads "data calls". The
message is from a report by a user of a new account. The user also reports that listings are
refused, and that calls about buckets (creation, information, ACL) are accepted.

Three things are not verified on the real OSS (assumption 25). Each call that names an object is a
data call. A preflight is still answered. The signature is checked first.
"""

from __future__ import annotations

from sandbox.oss.addressing import host_name
from sandbox.oss.call import Call, Site
from sandbox.oss.errors import OssError

# Calls for a whole bucket that count as data calls. Every call that names an object is also a data
# call.
_DATA_OF_BUCKETS = (
    *("ListObjects", "ListObjectsV2", "ListMultipartUploads"),
    *("DeleteMultipleObjects", "PostObject"),
)


def check_endpoint(call: Call, operation: str, site: Site) -> None:
    """Refuse a data call through the public endpoint, if this endpoint is closed.

    Every host counts as the public endpoint, except the bucket's own domain. Raises
    PublicEndpointForbidden.
    """
    is_data = bool(call.key) or operation in _DATA_OF_BUCKETS
    by_cname = host_name(call.headers.get("host", "")) in site.cnames
    if site.is_public_closed and is_data and not by_cname:
        message = "Not allowed using the OSS public endpoint, please use CNAME instead."
        raise OssError(400, "PublicEndpointForbidden", message, "0048-00000401")
