"""The least that a token costs: http.client, hmac and json on a kept connection, and no login."""

import json

from standard_library import assume_role


def handler(_event, _context):
    return {"body": json.dumps({"StatusCode": 200, **assume_role("anonymous")})}
