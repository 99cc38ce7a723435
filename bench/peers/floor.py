"""The lowest possible cost of a token: http.client, hmac and json on a kept connection, without a
login."""

import json

from standard_library import assume_role


def handler(_event, _context):
    return {"body": json.dumps({"StatusCode": 200, **assume_role("anonymous")})}
