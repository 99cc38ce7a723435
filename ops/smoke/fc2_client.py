"""Calls a function on Function Compute 2.0, with the vendor's `aliyun-fc2`.

The package knows only the FC 2.0 API (2016-08-15, services and functions); a function on FC 3.0 is
called over HTTPS (wire.py). Traps of version 2.5.2, seen in its source and in runs:

- It repeats a GET (or HEAD, OPTIONS) that is answered 500, 502 or 504 six times, with half a minute
  between, and then raises. So only POST is used here.
- It repeats a refused connection as often. So wire.reach() looks first.
- It logs to the root logger: API calls at ERROR with their headers, the security token among them,
  and HTTP calls at DEBUG. So all logging is off meanwhile.
- Its API calls raise JSONDecodeError for a 4xx that is not JSON. So `do_http_request` is used.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ops.smoke.wire import GIVE_UP_SECONDS, Address, Call, NoAnswer, Reply, Send
from token_service.settings.values import AccessKey


def sender(address: Address, service: str, function: str, key: AccessKey) -> Send:
    """Return a function that sends a Call as a POST; it raises NoAnswer."""
    # Imported here, since it imports requests, which no other check needs.
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
                    # By default requests asks for gzip, and decompresses it.
                    headers={**call.headers, "accept-encoding": "identity"},
                    params=dict(call.query),
                    body=call.body,
                )
        except (OSError, ValueError) as error:
            # Errors of requests are OSErrors; their text may quote the URL with a login.
            raise NoAnswer(f"aliyun-fc2 got no answer ({type(error).__name__})") from None
        # It follows redirects, but clients do not.
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
