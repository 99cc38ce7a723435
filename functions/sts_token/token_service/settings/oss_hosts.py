"""Reads the hosts of OSS endpoints: where the bucket's name goes, and which hosts are accepted.

With a local address the bucket is the path's first segment, as in the Python SDKs (path style). OSS
itself refuses path style, and the sandbox accepts it. A host under aliyuncs.com belongs to OSS, so
the bucket's name goes in front. Any other host, also `*.localhost`, is a domain that is bound to
the bucket (CNAME). The Android and iOS SDKs detect a CNAME. The Python and JavaScript SDKs need an
option (`is_cname`, `use_cname`, `cname`). Source: vendor documentation ("Regions and endpoints").
"""

from __future__ import annotations

import re

from token_service.settings import variables as v
from token_service.settings.addresses import LOCAL, LOCAL_ADDRESS
from token_service.settings.parsing import Reader, Variable
from token_service.settings.values import Endpoint

# Hosts of old VPCs (vpc100-) and PrivateLink are not verified on the real OSS (assumptions 48, 63).
_OF_OSS = (
    r"(?:(?P<bucket>[^.]+)\.)?(?:oss-(?P<internal>[^.]+)-internal|vpc100-oss-(?P<vpc>[^.]+)|oss-"
    r"(?P<public>[^.]+)|(?P<dual>[^.]+)\.oss|ep-[^.]+\.oss\.(?P<private>[^.]+)\.privatelink)"
    r"\.aliyuncs\.com"
)
# Hosts that look like OSS's hosts but are not, and numeric addresses like 8.8.8.8 and 0x7f.1.
_FALSE = r"(?:^|\.)(?:aliyun(?:cs)?|oss-(?:cn-|[a-z]{2}-[a-z]+-\d)[^.]*)(?:\.|$)|\.\d[^.]*$"
# Names in public, dual-stack and internal hosts of finance regions: not verified (assumption 47).
_FINANCE = {
    "cn-hangzhou-finance": ("cn-hzfinance", "cn-hangzhou-finance", "cn-hzjbp-a", "cn-hzjbp-b"),
    "cn-shanghai-finance-1": ("cn-shanghai-finance-1-pub", "cn-shanghai-finance"),
    "cn-shenzhen-finance-1": ("cn-szfinance", "cn-shenzhen-finance"),
    "cn-beijing-finance-1": ("cn-beijing-finance-1-pub", ""),
}


def public(region: str, suffix: str = "") -> Endpoint:
    """Return the region's public endpoint, or with the suffix "-internal" its internal endpoint."""
    return Endpoint("https", f"oss-{_FINANCE.get(region, [region])[0]}{suffix}.aliyuncs.com", 443)


def read(reader: Reader, region: str, bucket: str) -> tuple[Endpoint, Endpoint, bool]:
    """Read the clients' endpoint, the function's endpoint, and whether clients use a CNAME."""
    oss = internal = _read(reader, v.OSS_ENDPOINT, public(region), region, bucket)
    if reader.text(v.FC_REGION) == region and not re.fullmatch(LOCAL, oss.host):
        internal = public(region, "-internal")
    return oss, _read(reader, v.OSS_INTERNAL_ENDPOINT, internal, region, bucket), is_cname(oss)


def is_path_style(endpoint: Endpoint) -> bool:
    """Whether the bucket's name goes into the path."""
    return re.fullmatch(LOCAL_ADDRESS, endpoint.host) is not None


def is_cname(endpoint: Endpoint) -> bool:
    """Whether the host is a domain that is bound to the bucket."""
    is_of_oss = f".{endpoint.host}".endswith(".aliyuncs.com")
    return "." in endpoint.host and not is_of_oss and not is_path_style(endpoint)


def bucket_address(endpoint: Endpoint, bucket: str) -> tuple[Endpoint, str]:
    """Return the bucket's endpoint, and the path that comes before an object's key."""
    if is_path_style(endpoint):
        return endpoint, f"/{bucket}/"
    if is_cname(endpoint):
        return endpoint, "/"
    return endpoint._replace(host=f"{bucket}.{endpoint.host}"), "/"


def _read(reader: Reader, which: Variable, other: Endpoint, region: str, bucket: str) -> Endpoint:
    """Read one of the two endpoints. Remove the bucket's name from the start of OSS's host."""
    endpoint: Endpoint = reader.optional(which, other)
    if is_path_style(endpoint) or (is_cname(endpoint) and not re.search(_FALSE, endpoint.host)):
        return endpoint
    name, dual, *more = _FINANCE.get(region, (region, region))
    known = {"private": (region,), "vpc": (region,), "internal": (name, *(more or [region]))}
    known |= {"public": (name, "accelerate", "accelerate-overseas"), "dual": (dual,)}
    found = re.fullmatch(_OF_OSS, endpoint.host)
    if found is None:
        fault = "is not a host of OSS"
    elif found["bucket"] not in (None, bucket):
        fault = "begins with a bucket other than BUCKET_NAME"
    elif which is v.OSS_ENDPOINT and found.lastgroup not in ("public", "dual"):
        fault = "is an internal host, which phones cannot reach (set OSS_INTERNAL_ENDPOINT to it)"
    elif found[found.lastindex or 0] not in known[found.lastgroup or ""]:
        fault = "is not a host of the bucket's region (OSS_REGION)"
    else:
        return endpoint._replace(host=endpoint.host[found.end("bucket") + 1 :])
    internal = "" if which is v.OSS_ENDPOINT else f"{public(region, '-internal').host}, "
    accepts = f"{internal}{public(region).host}, an acceleration host, or a domain of your own"
    reader.fault(which, f"{fault}; must be {accepts} that is bound to the bucket")
    return other
