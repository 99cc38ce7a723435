"""Calls a function on Function Compute 2.0, with the vendor's `aliyun-fc2`.

The package knows only the FC 2.0 API (2016-08-15, services and functions). wire.py calls a function
on FC 3.0 over HTTPS. Version 2.5.2 has these problems, seen in its source and in runs:

- If a GET, HEAD or OPTIONS is answered with 500, 502 or 504, aliyun-fc2 sends the call six times
  within half a minute, and then raises. To avoid these retries, only POST is used here.
- aliyun-fc2 also tries six times to connect if the server refuses the connection. To avoid this,
  wire.reach() connects first.
- aliyun-fc2 logs to the root logger: API calls at ERROR with all their headers (also the security
  token), and HTTP calls at DEBUG. To avoid this, logging is switched off during a call.
- The API calls of aliyun-fc2 raise JSONDecodeError for a 4xx that is not JSON. To avoid this,
  `do_http_request` is used.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ops.smoke.wire import GIVE_UP_SECONDS, Address, Call, NoAnswer, Reply, Send
from token_service.settings.values import AccessKey


def sender(address: Address, service: str, function: str, key: AccessKey) -> Send:
    """Return a function that sends a Call as a POST. The function raises NoAnswer."""
    # The import is here, because fc2 imports `requests`, which no other check needs.
    from fc2 import Client

    client = Client(
        endpoint=f"{address.scheme}://{address.authority}",
        accessKeyID=key.access_key_id,
        accessKeySecret=key.access_key_secret,
        securityToken=key.security_token or "",
        Timeout=GIVE_UP_SECONDS,
    )

    def send(call: Call) -> Reply:
        began, start = time.time(), time.monotonic()
        try:
            with _silence():
                answer = client.do_http_request(
                    "POST",
                    service,
                    function,
                    call.path,
                    # By default, the library `requests` asks for gzip, and decompresses the answer.
                    headers={**call.headers, "accept-encoding": "identity"},
                    params=dict(call.query),
                    body=call.body,
                )
        except (OSError, ValueError) as error:
            # The errors of `requests` are OSErrors. Their text is not quoted, because it may
            # contain the URL with a login.
            raise NoAnswer(f"aliyun-fc2 got no answer ({type(error).__name__})") from None
        # Clients do not follow redirects, but aliyun-fc2 does, so use the first answer.
        first = answer.history[0] if answer.history else answer
        return Reply(
            status=first.status_code,
            headers=tuple(first.headers.items()),
            body=first.content,
            began=began,
            seconds=time.monotonic() - start,
        )

    return send


@contextmanager
def _silence() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
