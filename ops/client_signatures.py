"""The signature version that each OSS client uses by default, and the line that sets V4.

OSS refuses V1 for new accounts since 2025-03-01 and for new buckets since 2025-09-01, "in phases".
The source is the vendor documentation, "Guide to upgrading from Signature V1 to Signature V4". The
versions and most of the lines are also from this guide. The sandbox and `make smoke` use this
module.
"""

from __future__ import annotations

from typing import NamedTuple


class Client(NamedTuple):
    """An SDK or tool. `default` is V1 or V4. `line` is the setting for V4, with the placeholder
    REGION. `line` is "" if the client knows only V4."""

    name: str
    default: str
    line: str = ""

    def v4(self, region: str) -> str:
        """Return `line` with a region (like cn-hangzhou) in place of REGION."""
        return self.line.replace("REGION", region)


OF_APPS = (
    # See ClientConfiguration.java:45 of aliyun-oss-android-sdk 2.9.20. This SDK was also run.
    Client(
        "Android",
        "V1",
        'conf.setSignVersion(SignVersion.V4); client.setRegion("REGION")',
    ),
    # See OSSModel.m:342 of aliyun-oss-ios-sdk 2.11.1. OSSClient.m:152 refuses V4 without a region.
    Client("iOS", "V1", 'conf.signVersion = OSSSignVersionV4; client.region = @"REGION"'),
    Client("ali-oss", "V1", "authorizationV4: true, region: 'oss-REGION' (6.20 or newer)"),
    Client(
        "oss2",
        "V1",
        "StsAuth(..., auth_version='v4'), Bucket(..., region='REGION') (2.18.4 or newer)",
    ),
    Client("alibabacloud-oss-v2", "V4"),
)
"""The clients that apps use to upload with a token."""
OTHERS = (
    Client("ossutil 1", "V1", "--sign-version v4 --region REGION (1.7.12 or newer)"),
    Client("Go SDK 1", "V1", 'oss.AuthVersion(oss.AuthV4), oss.Region("REGION") (3.0.2 or newer)'),
)
"""The clients that the bucket's operator uses."""


def lines(region: str) -> list[str]:
    """Return, for each client that signs with V1 by default, the line of code that sets V4."""
    return [f"{client.name}: {client.v4(region)}" for client in (*OF_APPS, *OTHERS) if client.line]
