"""Makes a token from a grant and credentials: the JSON members that the vendor's SDKs read."""

from __future__ import annotations

import time
from collections.abc import Mapping

from token_service.grant.grants import Grant
from token_service.settings.reading import Settings
from token_service.token.assume_role import Credentials


def token(
    credentials: Credentials,
    grant: Grant,
    settings: Settings,
    callback: Mapping[str, str] | None = None,
) -> dict[str, object]:
    """Build the token of a grant. `callback` has the members for callbacks. Do not add members at
    the top, because ali-oss reads each of them as an option, like `Region` (seen in 6.23)."""
    scope: dict[str, object] = {
        "Bucket": grant.bucket,
        "Region": settings.region,
        "Endpoint": str(settings.oss_endpoint),
        "Cname": settings.is_cname,
        "Prefix": grant.prefix,
        "Policy": grant.policy,
    }
    if grant.object_key is not None:
        scope["Object"] = grant.object_key
    scope.update(callback or {})
    return {
        # Android and iOS expect a number.
        "StatusCode": 200,
        "AccessKeyId": credentials.access_key_id,
        "AccessKeySecret": credentials.access_key_secret,
        "SecurityToken": credentials.security_token,
        "Expiration": credentials.expiration,
        # The vendor's SDKs need `Code` if the function's URL is their `credentials_uri`.
        "Code": "Success",
        # Without `LastUpdated`, oss2's EcsRamRoleCredentialsProvider refreshes too early.
        "LastUpdated": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "Scope": scope,
    }
