"""What a host of OSS means, and whether it can be meant: the one place that reads one.

An address or `localhost` has no names below it, so the bucket is the path's first segment, as the
Python SDKs write it too (path style): OSS itself refuses that, the sandbox does not. A host of
aliyuncs.com is OSS's own, with the bucket in front. Any other, `*.localhost` too, is a domain that
is bound to the bucket and says nothing of it (CNAME): so the Android and iOS SDKs read an endpoint.
The Python and JavaScript SDKs have to be told (`is_cname`, `use_cname`, `cname`).
Source: vendor documentation ("Regions and endpoints", February 2026).
"""

from __future__ import annotations

import re

from token_service.settings import variables as v
from token_service.settings.parsing import Reader, Variable
from token_service.settings.values import Endpoint

_PATH_STYLE = r"localhost|[0-9.]+|.*:.*"
# Public, internal, dual-stack; PrivateLink's form is not verified on the real OSS (assumption 48).
_OF_OSS = (
    r"(?:(?P<bucket>[^.]+)\.)?(?:oss-(?P<name>[^.]+?)(?P<internal>-internal)?|(?P<dual>[^.]+)\.oss"
    r"|ep-[^.]+\.oss\.(?P<private>[^.]+)\.privatelink)\.aliyuncs\.com"
)
_ANYWHERE = ("accelerate", "accelerate-overseas")
_FINANCE = {
    "cn-hangzhou-finance": "cn-hzfinance",
    "cn-shanghai-finance-1": "cn-shanghai-finance-1-pub",
    "cn-shenzhen-finance-1": "cn-szfinance",
    "cn-beijing-finance-1": "cn-beijing-finance-1-pub",
}
"""What stands for the region in the public hosts of the finance cloud; not verified on the real OSS
(assumption 47). Those with the region's own name are internal, of buckets that no phone reaches."""


def read(reader: Reader, region: str, bucket: str) -> tuple[Endpoint, Endpoint, bool]:
    """Read where clients reach OSS, where the function does, and whether the first is a CNAME."""
    name = _FINANCE.get(region, region)
    public = Endpoint("https", f"oss-{name}.aliyuncs.com", 443)
    oss = internal = _read(reader, v.OSS_ENDPOINT, public, region, bucket)
    is_local = is_path_style(oss) or oss.host.endswith(".localhost")
    if reader.text(v.FC_REGION) == region and not is_local:
        internal = public._replace(host=f"oss-{name}-internal.aliyuncs.com")
    return oss, _read(reader, v.OSS_INTERNAL_ENDPOINT, internal, region, bucket), is_cname(oss)


def is_path_style(endpoint: Endpoint) -> bool:
    """Whether the bucket is in the path there."""
    return re.fullmatch(_PATH_STYLE, endpoint.host) is not None


def is_cname(endpoint: Endpoint) -> bool:
    """Whether it is a domain that is bound to the bucket."""
    is_of_oss = f".{endpoint.host}".endswith(".aliyuncs.com")
    return "." in endpoint.host and not is_of_oss and not is_path_style(endpoint)


def bucket_address(endpoint: Endpoint, bucket: str) -> tuple[Endpoint, str]:
    """Where the bucket answers, and the path there that an object's key goes behind."""
    if is_path_style(endpoint):
        return endpoint, f"/{bucket}/"
    if is_cname(endpoint):
        return endpoint, "/"
    return endpoint._replace(host=f"{bucket}.{endpoint.host}"), "/"


def _read(reader: Reader, which: Variable, other: Endpoint, region: str, bucket: str) -> Endpoint:
    """Read one of the two; the bucket in front of its own host is dropped."""
    endpoint: Endpoint = reader.optional(which, other)
    if is_path_style(endpoint) or is_cname(endpoint):
        return endpoint
    is_for_clients, name = which is v.OSS_ENDPOINT, _FINANCE.get(region, region)
    names = (*_ANYWHERE, name) if is_for_clients else (*_ANYWHERE, name, region)
    found = re.fullmatch(_OF_OSS, endpoint.host)
    if found is None:
        fault = "is no host of OSS"
    elif found["bucket"] not in (None, bucket):
        fault = "has another bucket in front than BUCKET_NAME"
    elif is_for_clients and (found["internal"] or found["private"]):
        fault = "is an internal host, which no phone reaches (OSS_INTERNAL_ENDPOINT takes it)"
    elif found["name"] not in names and region not in found.group("dual", "private"):
        fault = "is no host of the bucket's region (OSS_REGION)"
    else:
        return endpoint._replace(host=endpoint.host[found.end("bucket") + 1 :])
    internal = "" if is_for_clients else f"oss-{name}-internal.aliyuncs.com, "
    accepts = f"{internal}oss-{name}.aliyuncs.com, an acceleration host, or a domain of your own"
    reader.fault(which, f"{fault}; must be {accepts} that is bound to the bucket")
    return other
