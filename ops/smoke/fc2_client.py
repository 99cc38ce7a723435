"""Calls a function that is deployed on Function Compute 2.0, through the vendor's `aliyun-fc2`.

The package speaks the FC 2.0 API (2016-08-15, services and functions) and nothing else: a function
on FC 3.0 is called over HTTPS (wire.py). Traps of version 2.5.2, seen in its source and in runs:

- A GET (or HEAD, OPTIONS) that is answered 500, 502 or 504 is sent six times, with half a minute
  of sleep between, and then raises: only POST is used here.
- A refused connection is tried as often: wire.reach() looks first.
- It logs to the root logger, its API calls at ERROR with the request's headers, the security token
  among them, and its HTTP calls at DEBUG: all logging is off while it works.
- Its API calls raise JSONDecodeError for a 4xx that is no JSON: `do_http_request` reads none.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ops.smoke.wire import GIVE_UP_SECONDS, Address, Call, NoAnswer, Reply, Send
from token_service.settings.values import AccessKey


def sender(address: Address, service: str, function: str, key: AccessKey) -> Send:
    """Return what sends a Call, as a POST, to the function; it raises NoAnswer."""
    # Here: it brings requests, which no other way of checking needs.
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
                    # By itself requests asks for gzip, and unpacks it.
                    headers={**call.headers, "accept-encoding": "identity"},
                    params=dict(call.query),
                    body=call.body,
                )
        except (OSError, ValueError) as error:
            # What requests raises is an OSError; its text may quote the URL, and a login in it.
            raise NoAnswer(f"aliyun-fc2 got no answer ({type(error).__name__})") from None
        # It follows redirects, which no client expects.
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
