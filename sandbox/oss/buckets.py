"""Operations on the service and on a bucket itself; listing.py lists its objects."""

from __future__ import annotations

from starlette.responses import Response

from sandbox.oss import overwrite
from sandbox.oss.addressing import BUCKET_NAME
from sandbox.oss.call import Call, Site
from sandbox.oss.cors import parse_rules, rules_content
from sandbox.oss.errors import (
    OssError,
    invalid_argument,
    invalid_bucket_name,
    no_such_bucket,
    not_implemented,
)
from sandbox.oss.listing import max_keys
from sandbox.oss.responses import document, empty, iso_date
from sandbox.oss.storage import Bucket
from sandbox.oss.xml import parse

BUCKET_ACLS = ("private", "public-read", "public-read-write")


def list_buckets(call: Call, site: Site) -> Response:
    """ListBuckets (GetService): return one page of the buckets, sorted by name."""
    prefix, marker = call.query.get("prefix", ""), call.query.get("marker", "")
    limit = max_keys(call.query, "max-keys")
    found = [
        bucket
        for bucket in site.storage.buckets()
        if bucket.name.startswith(prefix) and bucket.name > marker
    ]
    page = found[:limit]
    content: list[tuple[str, object]] = []
    # The elements Prefix to NextMarker are left out if all buckets are listed (vendor
    # documentation).
    if len(found) > limit or {"prefix", "marker", "max-keys"} & call.query.keys():
        is_truncated = len(found) > limit
        content += [
            ("Prefix", prefix),
            ("Marker", marker),
            ("MaxKeys", limit),
            ("IsTruncated", "true" if is_truncated else "false"),
            ("NextMarker", page[-1].name if is_truncated else ""),
        ]
    content += [
        ("Owner", _owner(site)),
        ("Buckets", [("Bucket", _summary(bucket, site)) for bucket in page]),
    ]
    return document("ListAllMyBucketsResult", content)


def put_bucket(call: Call, site: Site, body: bytes) -> Response:
    """PutBucket: an existing bucket stays unchanged, except for an ACL in the request.

    Raises NotImplemented for a document that asks for another kind of bucket.
    """
    if not BUCKET_NAME.fullmatch(call.bucket):
        raise invalid_bucket_name(call.bucket)
    for element in parse(body, "CreateBucketConfiguration") if body else ():
        text, only = (element.text or "").strip(), _only_kind(site).get(element.tag)
        if only is None:
            raise not_implemented(f"{element.tag} of a bucket")
        if text not in ("", only):
            raise not_implemented(f"{element.tag} {text} of a bucket, only {only}")
    acl = call.headers.get("x-oss-acl")
    if acl is not None:
        _check_acl(acl)
    site.storage.create_bucket(call.bucket, acl or "private")
    if acl is not None:
        site.storage.set_bucket_acl(call.bucket, acl)
    return empty(headers={"location": f"/{call.bucket}"})


def delete_bucket(call: Call, site: Site) -> Response:
    """DeleteBucket."""
    site.storage.delete_bucket(call.bucket)
    return empty(204)


def get_bucket_info(call: Call, site: Site) -> Response:
    """GetBucketInfo."""
    bucket = existing(call, site)
    content = [
        *_summary(bucket, site),
        ("Owner", _owner(site)),
        ("AccessControlList", [("Grant", bucket.acl)]),
        ("DataRedundancyType", "LRS"),
        ("Comment", ""),
        # oss2, alibabacloud-oss-v2 and the Go SDKs read these members. Here they have fixed values.
        ("ServerSideEncryptionRule", [("SSEAlgorithm", "None")]),
        ("AccessMonitor", "Disabled"),
        ("BlockPublicAccess", "false"),
        ("TransferAcceleration", "Disabled"),
        ("CrossRegionReplication", "Disabled"),
        ("ResourceGroupId", f"rg-sandbox{site.identities.account_id}"),
    ]
    return document("BucketInfo", [("Bucket", content)])


def get_bucket_location(call: Call, site: Site) -> Response:
    """GetBucketLocation."""
    return document("LocationConstraint", f"oss-{site.region}")


def get_bucket_acl(call: Call, site: Site) -> Response:
    """GetBucketAcl."""
    bucket = existing(call, site)
    content = [("Owner", _owner(site)), ("AccessControlList", [("Grant", bucket.acl)])]
    return document("AccessControlPolicy", content)


def put_bucket_acl(call: Call, site: Site) -> Response:
    """PutBucketAcl: the ACL is in the x-oss-acl header."""
    acl = call.headers.get("x-oss-acl", "")
    _check_acl(acl)
    site.storage.set_bucket_acl(call.bucket, acl)
    # ali-oss's tests look for this header (test/node/bucket.test.js).
    return empty(headers={"location": f"/{call.bucket}"})


def get_bucket_cors(call: Call, site: Site) -> Response:
    """GetBucketCors."""
    content = rules_content(existing(call, site).cors)
    if not content:
        message = "The CORS Configuration does not exist."
        raise OssError(404, "NoSuchCORSConfiguration", message)
    return document("CORSConfiguration", content)


def put_bucket_cors(call: Call, site: Site, body: bytes) -> Response:
    """PutBucketCors: replace all rules."""
    site.storage.set_cors(call.bucket, parse_rules(body))
    return empty()


def delete_bucket_cors(call: Call, site: Site) -> Response:
    """DeleteBucketCors."""
    site.storage.set_cors(call.bucket, "[]")
    return empty(204)


def get_bucket_overwrite_config(call: Call, site: Site) -> Response:
    """GetBucketOverwriteConfig. If there are no rules, the error has the code and status that the
    vendor's Kotlin SDK expects from the real OSS (its BucketOverwriteConfigTest)."""
    content = overwrite.rules_content(existing(call, site).overwrite)
    if not content:
        message = "The bucket has no overwrite configuration."
        raise OssError(404, "NoSuchBucketOverwriteConfig", message)
    return document("OverwriteConfiguration", content)


def put_bucket_overwrite_config(call: Call, site: Site, body: bytes) -> Response:
    """PutBucketOverwriteConfig: replace all rules."""
    rules = overwrite.parse_rules(body, site.identities.account_id)
    site.storage.set_overwrite_rules(call.bucket, rules)
    return empty()


def delete_bucket_overwrite_config(call: Call, site: Site) -> Response:
    """DeleteBucketOverwriteConfig: delete all rules."""
    site.storage.set_overwrite_rules(call.bucket, "[]")
    return empty(204)


def existing(call: Call, site: Site) -> Bucket:
    """Return the call's bucket. Raises NoSuchBucket."""
    bucket = site.storage.bucket(call.bucket)
    if bucket is None:
        raise no_such_bucket(call.bucket)
    return bucket


def _summary(bucket: Bucket, site: Site) -> list[tuple[str, str]]:
    return [
        ("Name", bucket.name),
        ("CreationDate", iso_date(bucket.created)),
        ("Location", f"oss-{site.region}"),
        ("Region", site.region),
        ("ExtranetEndpoint", f"oss-{site.region}.aliyuncs.com"),
        ("IntranetEndpoint", f"oss-{site.region}-internal.aliyuncs.com"),
        ("StorageClass", "Standard"),
    ]


def _only_kind(site: Site) -> dict[str, str]:
    return {
        "StorageClass": "Standard",
        "DataRedundancyType": "LRS",
        "LocationConstraint": f"oss-{site.region}",
    }


def _owner(site: Site) -> list[tuple[str, str]]:
    account = site.identities.account_id
    return [("ID", account), ("DisplayName", account)]


def _check_acl(acl: str) -> None:
    if acl not in BUCKET_ACLS:
        message = f"no such bucket access control exists; use one of {', '.join(BUCKET_ACLS)}"
        raise invalid_argument(message, "x-oss-acl", acl)
